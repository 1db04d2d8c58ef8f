"""Claims about the page's tables and their place, on screens of every width and on paper."""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.paths import ROOT
from harness.record import records
from reports.pages import page
from tests.support.browser import OPEN_ALL, show
from tests.support.synthetic import write_run

DESK, LAPTOP, PHONE = 1400, 1000, 390
LONG = {f"{'framework' * 5}:{word}_and_more_of_it": n for word, n in (("one", 1.0), ("two", 1.3))}
MANY = {f"framework{n}:variant": 1 + n / 10 for n in range(12)}


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    works = [(f"workload_{n}", "convnet", 1, 32, "infer", n < 2) for n in range(30)]
    runs = {
        "long": write_run(folder / "long", LONG),
        "many": write_run(folder / "many", MANY, launches=2, workloads=works),
        "published": ROOT / "results" / "published" / "quick-2core",
    }
    return {
        name: page.write(records.read(run), folder / f"{name}.html") for name, run in runs.items()
    }


@pytest.mark.parametrize("width", [320, PHONE, 700, LAPTOP, DESK])
def test_names_of_sixty_characters_do_not_widen_the_page(
    browser: Any, pages: dict[str, Path], width: int
) -> None:
    assert min(map(len, LONG)) >= 60
    show(browser, pages["long"], width)
    browser.execute_script(OPEN_ALL)
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    widest = browser.execute_script(
        "return Math.max(...[...document.querySelectorAll('.scroll tbody th:first-child')]"
        ".filter(name => getComputedStyle(name).position === 'sticky')"
        ".map(name => name.offsetWidth / name.closest('.scroll').clientWidth))"
    )
    assert widest <= 0.55  # what stays in sight leaves room for figures


def test_every_table_of_seven_contenders_fits_a_desk_and_the_map_a_laptop(
    browser: Any, pages: dict[str, Path]
) -> None:
    wider = (
        "return [...document.querySelectorAll(arguments[0])].filter(box =>"
        " box.scrollWidth > box.clientWidth).map(box => box.ariaLabel)"
    )
    for width, boxes in ((DESK, ".scroll"), (LAPTOP, "#map .scroll")):
        show(browser, pages["published"], width)
        browser.execute_script(OPEN_ALL)
        assert browser.execute_script(wider, boxes) == []


def test_a_table_that_goes_on_to_the_right_says_so_until_its_end_is_seen(
    browser: Any, pages: dict[str, Path]
) -> None:
    show(browser, pages["published"], PHONE)
    said = browser.execute_async_script(
        "const [done] = arguments, box = document.querySelector('#figures .scroll');"
        "const soon = () => new Promise(go => requestAnimationFrame(() => setTimeout(go, 50)));"
        "const fades = () => getComputedStyle(box).maskImage !== 'none';"
        "const said = [];"
        "(async () => {"
        "  box.scrollIntoView(); await soon(); said.push(fades());"
        "  box.scrollLeft = box.scrollWidth; await soon(); said.push(fades());"
        "  done(said);"
        "})()"
    )
    assert said == [True, False]


def test_a_figure_is_in_sight_on_a_phone_and_names_stand_beside_their_glyphs(
    browser: Any, pages: dict[str, Path]
) -> None:
    show(browser, pages["published"], PHONE)
    seen = browser.execute_script(
        "const row = document.querySelector('#figures tbody tr');"
        "row.scrollIntoView();"
        "const figure = row.querySelector('td.n').getBoundingClientRect();"
        "const apart = [...document.querySelectorAll('#figures tbody th + th')].filter(name =>"
        "  name.offsetHeight > 1.9 * parseFloat(getComputedStyle(name).lineHeight)"
        "  && name.scrollHeight > name.closest('tr').cells[0].scrollHeight);"
        "return [figure.right <= innerWidth, apart.length]"
    )
    assert seen == [True, 0]


def test_heads_of_a_large_map_stay_in_sight(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["many"], DESK)
    head, row = browser.execute_script(
        "const box = document.querySelector('#map .scroll');"
        "box.scrollIntoView(); box.scrollTop = 500; box.scrollLeft = 300;"
        "const [at, a, b] = [box, box.querySelector('thead th:nth-child(9)'),"
        "  box.querySelector('tbody tr:last-child th')].map(e => e.getBoundingClientRect());"
        "return [a.top - at.top, b.left - at.left]"
    )
    assert abs(head) <= 2 and abs(row) <= 2


def test_a_heading_that_sorts_shows_it(browser: Any, pages: dict[str, Path]) -> None:
    show(browser, pages["published"], DESK)
    signs = browser.execute_script(
        "return [...document.querySelectorAll('table.sortable th button')]"
        ".map(each => getComputedStyle(each, '::after').content)"
    )
    assert len(signs) > 10 and all("⇅" in sign for sign in signs)


@pytest.fixture
def paper(browser: Any) -> Iterator[Any]:
    """The browser, as wide as the page of A4 that it prints on."""
    yield browser
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def to_paper(browser: Any) -> None:
    size = {"width": 718, "height": 1046, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})


@pytest.mark.parametrize("name", ["long", "published"])
def test_on_paper_nothing_is_cut_off_and_nothing_lies_over_anything(
    paper: Any, pages: dict[str, Path], name: str
) -> None:
    """Also with everything opened; and a heading that sorts is no button, which does not repeat."""
    show(paper, pages[name], DESK)
    paper.execute_script(OPEN_ALL)
    to_paper(paper)
    assert paper.execute_script("return document.documentElement.scrollWidth") <= 718
    cut = paper.execute_script(
        "return [...document.querySelectorAll('td, th')].filter(cell => cell.checkVisibility()"
        " && cell.scrollWidth > cell.clientWidth + 1).map(cell => cell.textContent)"
    )
    assert cut == []
    shown = "return getComputedStyle(document.querySelector(arguments[0])).display"
    assert paper.execute_script(shown, ".pair") == "block"
    assert paper.execute_script(shown, "th button") == "contents"


def test_printing_opens_nothing_so_that_it_is_a_short_document(
    browser: Any, pages: dict[str, Path]
) -> None:
    show(browser, pages["published"], DESK)
    given = {"printBackground": True, "paperWidth": 8.27, "paperHeight": 11.69}
    printed = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", given)["data"])
    assert 5 < len(re.findall(rb"/Type\s*/Page\b", printed)) <= 24
    assert browser.execute_script("return document.querySelectorAll('details[open]').length") == 0
