"""The pictures of README.md and docs/: what Chromium shows of a published run's page.

And of the page of several runs, of `quick-xeon` and those that repeat it; and of one in two
precisions, one of several batches, and one on several numbers of threads.

make pictures [RUN=results/published/quick-xeon-25m]
"""

import base64
import sys
import tempfile
from pathlib import Path
from typing import Any

from harness.paths import ROOT
from harness.record import records
from reports.pages import machines_page, page
from tests import found
from tests.support.browser import CHROMIUM, DRIVER, await_, emulate, start

PRESS = "document.querySelector('table.map tbody tr:nth-child(8) td button').click()"
UNTIL = "to "
READY = "return document.documentElement.dataset.ready"
# File, part of the page ("": its first screen; "to ...": all until the end of it), width, theme,
# what to do first.
SHOTS = (
    ("report.png", "to #verdicts table", 1280, "light", ""),
    ("report-dark.png", "", 1280, "dark", ""),
    ("report-narrow.png", "", 420, "light", ""),
    ("report-map.png", "#map", 1280, "light", ""),
    ("report-why.png", "#profiled", 1280, "light", ""),
    ("report-cell.png", "", 1280, "light", PRESS),
)
OF_PRECISIONS = (("report-precision.png", "#precisions", 1280, "light", ""),)
OF_BATCHES = (("report-batches.png", "#batches", 1280, "light", ""),)
OF_THREADS = (("report-threads.png", "#scaling", 1280, "light", ""),)
OF_RUNS = (("report-runs.png", "to #chart-over", 1280, "light", ""),)


def main(folder: Path) -> int:
    """Takes every picture anew; exit status 2 where there is no Chromium or no run."""
    if not CHROMIUM or not DRIVER or not (folder / "plan.json").exists():
        no_browser = "Chromium with its driver (`apt install chromium-driver`)"
        absent = f"a run in {folder}" if CHROMIUM and DRIVER else no_browser
        print(f"pictures need {absent}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        pages = {page.write(records.read(folder), Path(temporary) / "page.html"): SHOTS}
        for name, of in (
            ("precision-xeon", OF_PRECISIONS),
            ("batches-xeon", OF_BATCHES),
            (found.THREADS, OF_THREADS),
        ):
            run = records.read(found.PUBLISHED / name)
            pages[page.write(run, Path(temporary) / f"{name}.html")] = of
        runs = [records.read(found.PUBLISHED / name) for name in found.COLUMNS[found.SIX]]
        pages[machines_page.write(runs, output=Path(temporary) / "runs.html")] = OF_RUNS
        shots = [(path, *each) for path, of in pages.items() for each in of]
        browser = start(Path(temporary) / "profile")
        try:
            for written, name, part, width, theme, first in shots:
                emulate(browser, width, theme)
                browser.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
                browser.get(written.as_uri())
                await_(lambda: browser.execute_script(READY))
                browser.execute_script(first)
                (ROOT / "docs" / name).write_bytes(shot(browser, part, width))
                print(f"docs/{name}")
        finally:
            browser.quit()
    return 0


def shot(browser: Any, part: str, width: int) -> bytes:
    """PNG of the first screen, of one part of the page, whole, or of all until the end of it."""
    clip: dict[str, Any] = {"x": 0, "y": 0, "width": width, "height": 900, "scale": 1}
    if part:
        # What the page lays out only once it comes into view has to be there all the same.
        where = (
            "for (const each of document.querySelectorAll('.later'))"
            "  each.style.contentVisibility = 'visible';"
            "const r = document.querySelector(arguments[0]).getBoundingClientRect();"
            "return [r.top + scrollY - 20, r.bottom + scrollY + 8]"
        )
        top, bottom = browser.execute_script(where, part.removeprefix(UNTIL))
        clip["y"] = 0 if part.startswith(UNTIL) else top
        clip["height"] = bottom - clip["y"]
    given = {"format": "png", "clip": clip, "captureBeyondViewport": bool(part)}
    taken = browser.execute_cdp_cmd("Page.captureScreenshot", given)
    return base64.b64decode(taken["data"])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else found.PUBLISHED / "quick-xeon-25m"))
