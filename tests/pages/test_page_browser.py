"""Claims about the page in a real browser: it draws, sorts, fits, and asks no host for anything.

Headless Chromium with its driver, as Debian has them (`apt install chromium-driver`);
without them these tests are skipped.
"""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from harness.paths import ROOT
from harness.proof import campaign
from reports.pages import proof
from tests.support.browser import emulate
from tests.support.pages import DESK, PHONE, Open
from tests.support.synthetic import HOSTILE


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
        assert browser.execute_script(below, ".choices") < 1150
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


@pytest.mark.parametrize(
    ("name", "scheme"),
    [
        *((name, "light") for name in ("whole", "hostile", "history", "compare", "machines")),
        *((name, "dark") for name in ("hostile", "compare")),
    ],
)
def test_axe_finds_nothing_wrong_for_those_who_do_not_see_the_page(
    open_page: Open, name: str, scheme: str
) -> None:
    """All of axe-core's rules, best practices among them, with everything opened; in the dark
    the page with the most on it, which is the same but for its colours."""
    browser = open_page(name, scheme=scheme)
    browser.execute_script("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert axe(browser) == []


def axe(browser: Any, within: str = "html") -> list[str]:
    """What axe-core complains of: rule, and the first place."""
    package = importlib.util.find_spec("axe_core_python")
    if package is None or package.origin is None:
        pytest.skip("axe-core-python is not installed")
    browser.execute_script((Path(package.origin).parent / "axe.min.js").read_text())
    browser.set_script_timeout(60)
    found = browser.execute_async_script(
        "axe.run(arguments[0], {resultTypes: ['violations']})"
        ".then(arguments[1], error => arguments[1]({error: String(error)}))",
        within,
    )
    assert "error" not in found, found["error"]
    return [f"{v['id']}: {v['nodes'][0]['html'][:200]}" for v in found["violations"]]


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
    assert axe(browser, "#cell") == []
    browser.find_element("css selector", "#cell button").click()
    assert not browser.find_element("id", "cell").is_displayed()
    if name == "hostile":
        failed = browser.find_element("css selector", "table.map td.failed button")
        browser.execute_script("arguments[0].click()", failed)
        assert "alert('r')" in browser.find_element("id", "cell").text
        assert "crash" in browser.find_element("id", "cell").text


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
