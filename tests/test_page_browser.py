"""Claims about the page in a real browser: it draws, sorts, fits, and asks no host for anything.

Headless Chromium with its driver, as Debian has them (`apt install chromium-driver`);
without them these tests are skipped.
"""

import importlib.util
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness import records
from harness.paths import ROOT
from harness.proof import campaign
from reports import compare, compare_page, machines, page, proof
from reports.charts.start import PHASES
from tests.browser import await_, emulate, show
from tests.synthetic import EVERYONE, WORKLOADS, edit_groups, write_run
from tests.test_history import SUITE as CONVNETS
from tests.test_page import HOSTILE
from tests.test_profiles import edit_cells

PHONE, DESK = 400, 1600

Open = Callable[..., Any]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    crashed = {("resnet20", "jax"): ("crash", HOSTILE)}
    runs = {
        "whole": write_run(folder / "whole"),
        "hostile": write_run(folder / "hostile", {**EVERYONE, HOSTILE: 1.2}, failures=crashed),
        "empty": write_run(folder / "empty", launches=0),
        "decades": write_run(folder / "decades", {"torch": 1.0, "jax": 1.0, "numpy": 170.0}),
    }
    edit_groups(runs["decades"], uncertain)
    runs["warned"] = write_run(folder / "warned", failures=crashed)
    edit_groups(runs["warned"], faulting)
    runs["limited"] = write_run(folder / "limited")
    edit_cells(runs["limited"], "torch:compile", seconds={"total": 40.0})
    runs["history"] = write_run(folder / "history", EVERYONE, workloads=CONVNETS)
    batches = [(*WORKLOADS[1][:2], batch, *WORKLOADS[1][3:]) for batch in (4, 16)]
    runs["idle"] = write_run(folder / "idle", workloads=[*WORKLOADS, *batches])
    edit_plan(runs["idle"], lambda plan: plan["comparisons"][0]["cost"].update(flops=0))
    read = {name: records.read(run) for name, run in runs.items()}
    made = {name: page.write(run, folder / f"{name}.html") for name, run in read.items()}
    two = (read["hostile"], read["decades"])
    changes = compare.compare(*two, None, 0.03, (1.0, 2.0))
    made["compare"] = compare_page.write(changes, folder, folder / "compare.html")
    made["machines"] = machines.write([*two, read["whole"]], None, folder / "machines.html")
    return made


def edit_plan(folder: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    plan = json.loads((folder / "plan.json").read_text())
    edit(plan)
    (folder / "plan.json").write_text(json.dumps(plan))


def uncertain(group: dict[str, Any]) -> bool:
    """Every other launch of jax is slow: its interval reaches far to both sides."""
    for turn in group["turns"]["jax"]:
        turn["calls"] = [int(call * (0.8, 1.25)[group["launch"] % 2]) for call in turn["calls"]]
        turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
    return True


def faulting(group: dict[str, Any]) -> bool:
    """The kernel gives jax its memory anew in every call of one workload."""
    for turn in group["turns"].get("jax", []) if "relu" in group["comparison"] else []:
        turn |= {"minor_faults": 10**5, "wall_ns": sum(turn["calls"]), "cpu_ns": 1}
    return True


@pytest.fixture
def open_page(browser: Any, pages: dict[str, Path]) -> Open:
    def go(name: str = "whole", width: int = DESK, scheme: str = "light") -> Any:
        return show(browser, pages[name], width, scheme)

    return go


def requests(browser: Any) -> set[str]:
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return {
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    }


@pytest.mark.parametrize("name", ["whole", "hostile", "empty", "history", "compare", "machines"])
def test_the_page_asks_for_nothing_and_complains_of_nothing(
    open_page: Open, pages: dict[str, Path], name: str
) -> None:
    browser = open_page(name)
    asked = {url for url in requests(browser) if not url.startswith("data:")}
    assert asked == {pages[name].as_uri()}
    assert browser.get_log("browser") == []


def test_every_chart_is_drawn_with_its_marks(open_page: Open) -> None:
    browser = open_page()
    places = browser.execute_script(
        "return [...document.querySelectorAll('script.chart')].map(s => s.dataset.place)"
    )
    # ratios, calls, roof, roofline; start, memory and break-even of two comparisons
    assert len(places) == 10
    for place in places:
        marks = "return document.querySelectorAll(`#${arguments[0]} svg .mark-group path`).length"
        assert browser.execute_script(marks, place) > 5, place


def test_a_drawn_chart_is_still_a_picture_with_its_name(open_page: Open) -> None:
    browser = open_page()
    names = (
        "return [...document.querySelectorAll('.chart[data-drawn]')]"
        ".map(c => [c.role, c.ariaLabel])"
    )
    found = browser.execute_script(names)
    assert found
    for role, name in found:
        assert role == "img" and name and "visualization" not in name


def test_a_chart_has_figures_on_its_axes(open_page: Open) -> None:
    """Also where a workload counts no operation at all: its rate has no logarithm."""
    labels = (
        "return [...document.querySelectorAll(`#${arguments[0]} .role-axis-label text`)]"
        ".filter(t => getComputedStyle(t).opacity !== '0' && /\\d/.test(t.textContent)).length"
    )
    browser = open_page("idle")
    for place in ("chart-roofline", "chart-calls", "chart-throughput-0", "chart-latency-0"):
        assert browser.execute_script(labels, place) >= 4, place


def test_a_label_of_a_chart_is_not_cut_off(open_page: Open) -> None:
    for width in (360, PHONE, DESK):
        browser = open_page(width=width)
        outside = browser.execute_script(
            "return [...document.querySelectorAll('.chart svg text')].filter(t => {"
            "  const [a, b] = [t, t.closest('svg')].map(e => e.getBoundingClientRect());"
            "  return a.left < b.left - 1 || a.right > b.right + 1"
            "}).map(t => t.textContent)"
        )
        assert outside == []


def test_one_is_always_labelled_on_the_axis_of_ratios(open_page: Open) -> None:
    """Also where times span decades, with one interval that reaches below the leader."""
    for width in (PHONE, DESK):
        labels = open_page("decades", width).execute_script(
            "return [...document.querySelectorAll('#chart-ratios .role-axis-label text')]"
            ".filter(t => getComputedStyle(t).opacity !== '0').map(t => t.textContent)"
        )
        assert "1x" in labels


def test_what_saves_a_chart_stands_beneath_it_and_is_one_line_high(open_page: Open) -> None:
    boxes = (
        "return [...document.querySelectorAll('.save')].map(e => [e, e.previousElementSibling]"
        ".map(e => e.getBoundingClientRect()))"
        ".map(([save, chart]) => [save.height, save.right - chart.right, save.top - chart.bottom])"
    )
    for height, beside, below in open_page("idle").execute_script(boxes):
        assert height < 40 and abs(beside) < 2 and below > -1


def test_whoever_leaves_out_what_is_far_sees_more_of_what_is_near(open_page: Open) -> None:
    browser = open_page("decades")
    reach = (
        "return document.getElementById('chart-ratios').view.scale('x').domain()"
        ".map(Math.log).reduce((low, high) => high - low)"
    )
    texts = "return document.getElementById('chart-ratios').textContent"
    before = browser.execute_script(reach)
    assert "→ 17" in browser.execute_script(texts)
    tick(browser, "numpy")
    assert browser.execute_script(reach) < 0.8 * before
    assert "→" not in browser.execute_script(texts)
    assert browser.get_log("browser") == []


def test_a_hostile_record_does_not_run(open_page: Open) -> None:
    from selenium.common.exceptions import NoAlertPresentException

    browser = open_page("hostile")
    with pytest.raises(NoAlertPresentException):
        browser.switch_to.alert.accept()
    assert "alert('r')" in browser.execute_script("return document.body.innerText")


@pytest.mark.parametrize("name", ["whole", "hostile", "empty", "history", "compare", "machines"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_nothing_sticks_out_sideways(open_page: Open, name: str, width: int) -> None:
    browser = open_page(name, width)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_a_click_on_a_heading_sorts_and_another_turns_it_round(open_page: Open) -> None:
    browser = open_page()
    [column] = [
        head
        for head in browser.find_elements("css selector", "table.sortable thead th")
        if head.text == "items/s"
    ]
    values = (
        "return [...document.querySelectorAll('table.sortable tbody tr')]"
        ".map(row => Number(row.cells[6].dataset.value))"
    )
    before = browser.execute_script(values)
    for order, falling in (("ascending", False), ("descending", True)):
        button = column.find_element("css selector", "button")
        browser.execute_script("arguments[0].click()", button)
        assert column.get_attribute("aria-sort") == order
        assert browser.execute_script(values) == sorted(before, reverse=falling)
    assert len(set(before)) > 5


def test_a_limit_on_the_slider_marks_what_each_profile_then_chooses(open_page: Open) -> None:
    """All the way up nothing is limited: the last step; all the way down, the first, or none."""
    browser = open_page("limited")
    marked = (
        "return [...document.querySelectorAll('table.steps[data-measure=first_result] ol')]"
        ".map(list => [...list.children].map(step => step.classList.contains('on')))"
    )
    slide = (
        "const slider = document.querySelector('.slide input[data-measure=first_result]');"
        "slider.value = arguments[0]; slider.dispatchEvent(new Event('input'));"
        "return slider.closest('.slide').querySelector('output').textContent"
    )
    rows = browser.execute_script(marked)
    assert rows and all(row[-1] and sum(row) == 1 for row in rows)
    text = browser.execute_script(slide, 500)
    assert text.endswith(" s")
    slider = browser.find_element("css selector", ".slide input[data-measure=first_result]")
    assert slider.get_attribute("aria-valuetext") == text
    assert slider.accessible_name == "It must give a first result within Within"
    current = "return document.querySelectorAll(arguments[0]).length"
    steps = ".steps[data-measure=first_result] li.on[aria-current=true]"
    assert browser.execute_script(current, steps) == len(browser.execute_script(marked))
    assert all(row[0] and sum(row) == 1 for row in browser.execute_script(marked))
    browser.execute_script(slide, 0)
    assert not any(any(row) for row in browser.execute_script(marked))


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_what_to_choose_is_on_the_first_screens(open_page: Open, width: int) -> None:
    """The answer at once; on a desk all choices within the first screen and a bit, limits of a
    start by the second."""
    browser = open_page("limited", width)
    below = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom + scrollY"
    assert browser.execute_script(below, ".answer") < (450 if width == DESK else 800)
    assert browser.execute_script(below, ".choices tbody tr") < 1000
    if width == DESK:
        assert browser.execute_script(below, ".choices") < 1050
        assert browser.execute_script(below, "table.steps") < 1800


def test_the_theme_follows_the_system_and_a_press_turns_it_for_good(open_page: Open) -> None:
    ground = "return getComputedStyle(document.body).backgroundColor"
    label = "return getComputedStyle(document.querySelector('#chart-ratios svg text')).fill"
    text = "return getComputedStyle(document.body).color"
    browser = open_page(scheme="light")
    light = browser.execute_script(ground)
    browser = open_page(scheme="dark")
    dark = browser.execute_script(ground)
    assert light != dark
    assert browser.execute_script(label) == browser.execute_script(text)
    browser.find_element("id", "theme").click()
    assert browser.execute_script(ground) == light
    assert browser.execute_script(label) == browser.execute_script(text)
    assert open_page(scheme="dark").execute_script(ground) == light
    browser.execute_script("localStorage.clear()")


def test_paper_is_white_whatever_the_screen_was(open_page: Open) -> None:
    browser = open_page(scheme="dark")
    browser.execute_script("document.documentElement.dataset.theme = 'dark'")
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    colours = (
        "const s = getComputedStyle(document.body);"
        "return [s.backgroundColor, s.color].map(c => c.match(/\\d+/g).slice(0, 3).map(Number))"
    )
    ground, text = browser.execute_script(colours)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})
    assert min(ground) == 255
    assert max(text) < 64


# Every text whose contrast to the ground that lies under it is below 4.5 to 1.
POOR = """
const parts = (c) => c.match(/[\\d.]+/g).map(Number);
const light = (c) => {
  const [r, g, b] = parts(c).map(v => v / 255)
    .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const ground = (e) => {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if (parts(c)[3] !== 0) return c;
  }
};
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const found = new Set();
for (let node; node = walk.nextNode();) {
  const e = node.parentElement;
  if (!node.data.trim() || e.closest("svg, script") || !e.offsetParent) continue;
  const pair = [getComputedStyle(e).color, ground(e)].map(light).sort((a, b) => b - a);
  const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
  if (ratio < 4.5) found.add(`${node.data.trim().slice(0, 40)}: ${ratio.toFixed(2)}`);
}
return [...found];
"""


@pytest.mark.parametrize("name", ["hostile", "history", "compare", "machines"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page: Open, name: str, scheme: str) -> None:
    """4.5 to 1, as WCAG 2.2 (1.4.3) asks: every text on the ground that lies under it."""
    browser = open_page(name, scheme=scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert browser.execute_script(POOR) == []


@pytest.mark.parametrize("name", ["whole", "hostile", "history", "compare", "machines"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_wrong_for_those_who_do_not_see_the_page(
    open_page: Open, name: str, scheme: str
) -> None:
    """All of axe-core's rules, best practices among them, with everything opened."""
    browser = open_page(name, scheme=scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert axe(browser) == []


def axe(browser: Any) -> list[str]:
    """What axe-core complains of: rule, and the first place."""
    package = importlib.util.find_spec("axe_core_python")
    if package is None or package.origin is None:
        pytest.skip("axe-core-python is not installed")
    browser.execute_script((Path(package.origin).parent / "axe.min.js").read_text())
    browser.set_script_timeout(60)
    found = browser.execute_async_script(
        "axe.run({resultTypes: ['violations']}).then(arguments[0], e => arguments[0]({error: e}))"
    )
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found["violations"]]


SHOWN = (
    "return [...document.querySelectorAll('table.map thead th')]"
    ".filter(th => !th.hidden).map(th => th.textContent).slice(1)"
)
DRAWN = (
    "return [...new Set([...document.querySelectorAll('#chart-ratios .mark-symbol path')]"
    ".map(p => p.getAttribute('fill')))].length"
)


def tick(browser: Any, value: str) -> None:
    """A press on a box of the filter; the charts are drawn anew."""
    browser.execute_script(
        "delete document.documentElement.dataset.ready;"
        'document.querySelector(`#filter input[value="${arguments[0]}"]`).click()',
        value,
    )
    await_(lambda: browser.execute_script("return document.documentElement.dataset.ready"))


def test_what_is_left_out_leaves_tables_and_charts_and_the_address_keeps_it(
    open_page: Open,
) -> None:
    browser = open_page()
    everyone, colours = browser.execute_script(SHOWN), browser.execute_script(DRAWN)
    tick(browser, "numpy")
    tick(browser, "train")
    assert browser.execute_script(SHOWN) == [name for name in everyone if name != "numpy"]
    assert browser.execute_script(DRAWN) == colours - 1
    rows = "return [...document.querySelectorAll('table.map tbody tr')].map(r => r.hidden)"
    assert browser.execute_script(rows) == [False, False, False, True]
    address = browser.current_url
    assert "no-contender=numpy" in address and "no-direction=train" in address
    browser.get("about:blank")
    browser.get(address)
    await_(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    assert browser.execute_script(DRAWN) == colours - 1
    assert browser.execute_script(rows) == [False, False, False, True]
    browser.execute_script("document.querySelector('#filter form').reset()")
    await_(lambda: browser.execute_script(DRAWN) == colours)
    assert browser.execute_script(SHOWN) == everyone


def go(browser: Any, address: str) -> None:
    """To another place, or view, of the page that is open: loaded, or it would be no new entry."""
    await_(lambda: browser.execute_script("return performance.timing.loadEventEnd > 0"))
    browser.execute_script("location.hash = arguments[0]", address)


def test_an_address_is_obeyed_whenever_it_is_followed(open_page: Open) -> None:
    browser = open_page()
    everyone = browser.execute_script(SHOWN)
    fewer = [name for name in everyone if name != "numpy"]
    go(browser, "#figures?no-contender=numpy")
    await_(lambda: browser.execute_script(SHOWN) == fewer)
    box = browser.find_element("css selector", '#filter input[value="numpy"]')
    assert not box.is_selected()
    go(browser, "#100%")  # leads nowhere, and is no escape: what is left out stays so
    await_(lambda: browser.current_url.endswith("#100%25?no-contender=numpy"))
    assert browser.execute_script(SHOWN) == fewer
    assert browser.get_log("browser") == []


def test_whoever_goes_back_sees_what_was_left_out_there(open_page: Open) -> None:
    browser = open_page()
    everyone = browser.execute_script(SHOWN)
    fewer = [name for name in everyone if name != "numpy"]
    tick(browser, "numpy")
    # A press, as a person's: else a browser may make no new entry of it.
    browser.find_element("css selector", 'nav a[href="#map"]').click()
    await_(lambda: browser.current_url.endswith("#map?no-contender=numpy"))
    tick(browser, "numpy")
    assert browser.execute_script(SHOWN) == everyone and browser.current_url.endswith("#map")
    browser.back()
    await_(lambda: browser.execute_script(SHOWN) == fewer)
    assert browser.get_log("browser") == []


def test_all_that_stands_below_the_filter_follows_it(open_page: Open) -> None:
    browser = open_page("idle")
    tick(browser, "numpy")
    tick(browser, "train")
    seen = (
        "const filter = document.getElementById('filter');"
        "for (const d of document.querySelectorAll('details')) d.open = true;"
        "return [...document.querySelectorAll('[data-c], [data-w]')].filter(e =>"
        " filter.compareDocumentPosition(e) & 4 && e.checkVisibility() &&"
        " (e.dataset.c === 'numpy' || e.dataset.w?.includes('/train/')))"
        ".map(e => e.closest('section').id + ' ' + e.tagName)"
    )
    assert browser.execute_script(seen) == []


def test_where_nothing_is_shown_nothing_can_be_saved(open_page: Open) -> None:
    browser = open_page()
    browser.execute_script(
        "delete document.documentElement.dataset.ready;"
        "for (const box of document.querySelectorAll('#filter input[name=contender]')) box.click()"
    )
    await_(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    saves = browser.find_elements("css selector", "#filter ~ section .save button")
    assert saves and not any(button.is_displayed() for button in saves)
    assert "Nothing of this chart is shown." in browser.find_element("id", "ratios").text
    assert browser.get_log("browser") == []


def test_a_cell_holds_the_warnings_and_failures_that_are_about_it_and_no_others(
    open_page: Open,
) -> None:
    browser = open_page("warned")

    def said(workload: str, contender: str) -> str:
        browser.execute_script(
            "const row = [...document.querySelectorAll('table.map tbody tr')]"
            ".find(r => r.dataset.w.startsWith(arguments[0]));"
            "[...row.cells].find(c => c.dataset.c === arguments[1])"
            ".querySelector('button').click()",
            workload,
            contender,
        )
        text: str = browser.find_element("id", "cell").text
        browser.find_element("css selector", "#cell button").click()
        return text

    assert "from the kernel anew" in said("relu", "jax")
    assert "from the kernel anew" not in said("relu", "torch")
    assert "from the kernel anew" not in said("resnet18", "jax")
    assert HOSTILE[:20] in said("resnet20", "jax")
    assert HOSTILE[:20] not in said("resnet20", "torch")


@pytest.mark.parametrize("name", ["whole", "hostile"])
def test_a_cell_says_what_its_figure_rests_on(open_page: Open, name: str) -> None:
    browser = open_page(name)
    cell = "table.map tbody tr:nth-child(2) td[data-c=torch] button"
    browser.find_element("css selector", cell).send_keys("\n")  # by keyboard
    text = browser.find_element("id", "cell").text
    for told in ("torch in resnet18", "p50", "launch by launch", "leader", "layout", "bakeoff run"):
        assert told in text
    assert len(browser.find_elements("css selector", "#cell svg circle")) >= 6
    assert axe(browser) == []
    browser.find_element("css selector", "#cell button").click()
    assert not browser.find_element("id", "cell").is_displayed()
    if name == "hostile":
        failed = browser.find_element("css selector", "table.map td.failed button")
        browser.execute_script("arguments[0].click()", failed)
        assert "alert('r')" in browser.find_element("id", "cell").text
        assert "crash" in browser.find_element("id", "cell").text


@pytest.mark.parametrize("kind", ["SVG", "PNG"])
def test_a_chart_is_saved_with_colours_of_its_own(
    open_page: Open, tmp_path: Path, kind: str
) -> None:
    browser = open_page()
    allowed = {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    button = f"#ratios .save button[aria-label^='Save as {kind}']"
    browser.execute_script(f'document.querySelector("{button}").click()')
    path = tmp_path / f"ratios.{kind.lower()}"
    await_(path.exists)
    content = path.read_bytes()
    if kind == "PNG":
        assert content.startswith(b"\x89PNG") and len(content) > 5000
    else:
        assert b"var(--" not in content and b"resnet18" in content
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("width", [PHONE, DESK])
def test_a_saved_chart_says_what_it_shows_of_which_run_and_has_the_key(
    open_page: Open, width: int
) -> None:
    """The key in as many lines as the picture is wide, without those who are left out."""
    browser = open_page(width=width)
    tick(browser, "numpy")
    saved = (
        "let saved; const link = HTMLAnchorElement.prototype; const click = link.click;"
        "link.click = function () { saved = this.href; };"
        "document.querySelector(`#chart-${arguments[0]} + .save button`).click();"
        "link.click = click; return decodeURIComponent(saved)"
    )
    shown = [name for name in EVERYONE if name != "numpy"]
    for place, told, names in (
        ("ratios", "Time over the leader's", shown),
        ("start-0", "Seconds from nothing", list(PHASES)),
    ):
        picture = browser.execute_script(saved, place)
        title = " ".join(re.findall(r'font-weight="600"[^>]*>([^<]*)<', picture))
        assert title.startswith(told) and title.endswith("(whole)")
        assert re.findall(r'dy=".35em"[^>]*>([^<]*)<', picture) == names
        assert len(re.findall("<g transform[^>]*><(?:circle|polygon)", picture)) == len(names)
        assert float(re.findall(r'<svg [^>]*?width="([\d.]+)"', picture)[0]) <= width


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
def test_the_page_of_the_proofs_fits_is_legible_and_asks_for_nothing(
    browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    """The published findings, and one that does not hold."""
    findings = campaign.read(ROOT / "results" / "published" / "proofs-2core")
    findings[0]["ok"] = findings[0]["figures"][0]["ok"] = False
    written = proof.write(findings, "proofs-2core", tmp_path / "proofs.html")
    emulate(browser, width, scheme)
    browser.get(written.as_uri())
    asked = {url for url in requests(browser) if not url.startswith("data:")}
    assert asked == {written.as_uri()}
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    assert browser.execute_script(POOR) == []
    assert axe(browser) == []
    drawn = "return document.querySelectorAll('svg.strip circle.value').length"
    assert browser.execute_script(drawn) == sum(
        figure["series"] is None for finding in findings for figure in finding["figures"]
    )
    failing = sum(not finding["ok"] for finding in findings)
    text = browser.execute_script("return document.body.innerText")
    assert text.count("Does not hold") == failing > 0
