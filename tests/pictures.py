"""The pictures of README.md and docs/: what Chromium shows of a published run's page.

make pictures [RUN=results/published/quick-2core]
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from harness import records
from harness.processes import ROOT
from reports import page

DARK = "--blink-settings=preferredColorScheme=0"
SHOTS = (  # file, part of the page, width, height, theme
    ("report.png", "", 1280, 1000, ()),
    ("report-dark.png", "", 1280, 1000, (DARK,)),
    ("report-narrow.png", "", 500, 1000, ()),
    ("report-map.png", "#map", 1280, 900, ()),
)


def main(folder: Path) -> int:
    """Takes every picture anew; exit status 2 where there is no Chromium or no run."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium or not (folder / "plan.json").exists():
        absent = "Chromium (`apt install chromium`)" if not chromium else f"a run in {folder}"
        print(f"pictures need {absent}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as temporary:
        written = page.write(records.read(folder), Path(temporary) / "page.html")
        for name, part, width, height, theme in SHOTS:
            where = ROOT / "docs" / name
            subprocess.run(
                [
                    chromium,
                    "--headless",
                    "--no-sandbox",
                    "--disable-gpu",
                    "--hide-scrollbars",
                    "--virtual-time-budget=15000",
                    f"--user-data-dir={temporary}/profile",
                    f"--window-size={width},{height}",
                    f"--screenshot={where}",
                    *theme,
                    written.as_uri() + part,
                ],
                check=True,
                capture_output=True,
                timeout=120,
            )
            print(where.relative_to(ROOT))
    return 0


if __name__ == "__main__":
    default = ROOT / "results" / "published" / "quick-2core"
    sys.exit(main(Path(sys.argv[1]) if len(sys.argv) > 1 else default))
