"""Claims about the page for those who do not see it, press keys, have colours of their own or
run no script."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.paths import ROOT
from harness.proof import campaign
from harness.record import records
from reports.pages import compare_page, machines_page, page, proof
from reports.runs import compare
from tests.support.browser import OPEN_ALL, emulate, show
from tests.support.synthetic import CONVNETS, EVERYONE, write_run

DESK = 1400


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("runs")
    failures = {("resnet20", "jax"): ("crash", "gone")}
    whole = records.read(write_run(folder / "whole", failures=failures))
    other = records.read(write_run(folder / "other", {**EVERYONE, "jax": 1.3}))
    history = records.read(write_run(folder / "history", workloads=CONVNETS))
    changes = compare.compare(whole, other, None, 0.03, (1.0, 2.0))
    findings = campaign.read(ROOT / "results" / "published" / "proofs-2core")
    return {
        "whole": page.write(whole, folder / "whole.html"),
        "published": page.write(
            records.read(ROOT / "results" / "published" / "quick-2core"), folder / "published.html"
        ),
        "history": page.write(history, folder / "history.html"),
        "compare": compare_page.write(changes, folder, folder / "compare.html"),
        "machines": machines_page.write([whole, other], None, folder / "machines.html"),
        "proof": proof.write(findings, "proofs-2core", folder / "proof.html"),
    }


@pytest.mark.parametrize("name", ["whole", "published", "history", "compare", "machines", "proof"])
def test_every_table_has_a_name_and_every_row_its_head(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    browser.get(pages[name].as_uri())
    nameless, headless, count = browser.execute_script(
        "const tables = [...document.querySelectorAll('table')];"
        "const named = (t) => t.caption || t.ariaLabel || document.getElementById("
        "  t.getAttribute('aria-labelledby'))?.textContent;"
        "const headless = tables.flatMap(t => [...t.tBodies[0].rows])"
        "  .filter(row => row.cells[0].tagName !== 'TH' || row.cells[0].scope !== 'row');"
        "return [tables.filter(t => !named(t)).length, headless.length, tables.length]"
    )
    assert (nameless, headless) == (0, 0) and count > 1


def test_a_cell_of_the_map_says_whose_figure_it_is_and_that_it_opens_a_dialog(
    browser: Any, pages: dict[str, Path]
) -> None:
    show(browser, pages["whole"], DESK)
    names = browser.execute_script(
        "return [...document.querySelectorAll('table.map td button')]"
        ".map(each => [each.ariaLabel, each.ariaHasPopup, each.tabIndex])"
    )
    assert "torch in relu b32 infer: 1.22x, 10 ms" in [name for name, _, _ in names]
    assert "torch:compile in relu b32 infer: 1.00x, winner, 8.21 ms" in [n for n, _, _ in names]
    assert "jax in resnet20 b32 infer: crash" in [name for name, _, _ in names]
    assert {popup for _, popup, _ in names} == {"dialog"}
    assert sorted(at for _, _, at in names) == [-1] * (len(names) - 1) + [0]


def test_arrows_lead_from_cell_to_cell_past_those_left_out_and_enter_opens_one(
    browser: Any, pages: dict[str, Path]
) -> None:
    from selenium.webdriver.common.keys import Keys

    show(browser, pages["whole"], DESK)

    def press(key: str) -> str:
        browser.switch_to.active_element.send_keys(key)
        name: str = browser.execute_script("return document.activeElement.ariaLabel")
        return name.partition(": ")[0]

    heads = "return [...document.querySelectorAll('table.map thead th')].map(e => e.dataset.c)"
    columns = browser.execute_script(heads)
    first = browser.find_element("css selector", "table.map td button[tabindex='0']")
    browser.execute_script("arguments[0].focus()", first)
    assert press(Keys.ARROW_RIGHT).startswith(columns[2])
    assert press(Keys.ARROW_DOWN).startswith(f"{columns[2]} in resnet18@224")
    assert press(Keys.ARROW_UP).startswith(f"{columns[2]} in relu")
    box = f"#filter input[value='{columns[3]}']"
    browser.execute_script(f'document.querySelector("{box}").click()')
    assert press(Keys.ARROW_RIGHT).startswith(columns[4])
    stops = "return document.querySelectorAll('table.map td button[tabindex=\"0\"]').length"
    assert browser.execute_script(stops) == 1
    browser.switch_to.active_element.send_keys(Keys.ENTER)
    assert columns[4] in browser.find_element("id", "cell").text


def test_whatever_is_left_out_the_tab_key_comes_to_the_map(
    browser: Any, pages: dict[str, Path]
) -> None:
    show(browser, pages["whole"], DESK)
    seen = browser.execute_script(
        "const first = document.querySelector('table.map td button[tabindex=\"0\"]');"
        "const name = first.closest('td').dataset.c;"
        "document.querySelector(`#filter input[value='${name}']`).click();"
        "return document.querySelector('table.map td button[tabindex=\"0\"]').checkVisibility()"
    )
    assert seen


def test_what_is_pressed_is_24_pixels_high(browser: Any, pages: dict[str, Path]) -> None:
    """WCAG 2.2, 2.5.8; links within a sentence are exempt there, and a box has its label."""
    show(browser, pages["published"], DESK)
    browser.execute_script(OPEN_ALL)
    small = browser.execute_script(
        "return [...document.querySelectorAll('a, button, summary, input, label')]"
        ".filter(each => each.checkVisibility() && each.type !== 'checkbox')"
        ".filter(each => each.getBoundingClientRect().height < 24)"
        ".map(each => each.outerHTML.slice(0, 80))"
    )
    assert small == []


@pytest.fixture
def media(browser: Any) -> Iterator[Callable[[str, str], None]]:
    """The browser as a system that has that wish."""

    def wish(name: str, value: str) -> None:
        given = {"media": "", "features": [{"name": name, "value": value}]}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", given)

    yield wish
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "", "features": []})


def test_glyphs_and_the_map_keep_their_colours_where_the_system_has_its_own(
    browser: Any, pages: dict[str, Path], media: Callable[[str, str], None]
) -> None:
    show(browser, pages["published"], DESK)
    colours = (
        "return ['thead .glyph', '.h0', '.h6', '.h6 b'].map(each => getComputedStyle("
        "document.querySelector(`table.map ${each}`))).flatMap(s => [s.backgroundColor, s.color])"
    )
    before = browser.execute_script(colours)
    media("forced-colors", "active")
    assert browser.execute_script("return matchMedia('(forced-colors: active)').matches")
    after = browser.execute_script(colours)
    assert after[0] == before[0] and after[2:] == before[2:]


def test_without_a_script_nothing_is_said_of_charts_and_presses_but_that_they_are_absent(
    browser: Any, pages: dict[str, Path]
) -> None:
    told = ("A click on", "Each dot is", "The grey band", "A line above zero", "(the lower bar")
    text = "return document.querySelector('main').innerText"
    absent = "Without JavaScript this page draws no charts"
    show(browser, pages["published"], DESK)
    scripted = browser.execute_script(text)
    assert all(each in scripted for each in told) and absent not in scripted
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        emulate(browser, DESK, "light")
        browser.get(pages["published"].as_uri())
        plain = browser.execute_script(text)
        assert absent in plain and "They hold the figures" in plain
        assert not [each for each in told if each in plain]
        assert "Quantiles are of all calls of a launch" in plain
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
