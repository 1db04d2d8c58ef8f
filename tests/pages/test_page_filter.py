"""Claims about leaving out: what the filter hides, and that an address keeps and obeys it."""

from typing import Any

from tests.support.browser import await_
from tests.support.pages import Open, tick

SHOWN = (
    "return [...document.querySelectorAll('table.map thead th')]"
    ".filter(th => !th.hidden).map(th => th.textContent).slice(1)"
)


DRAWN = (
    "return [...new Set([...document.querySelectorAll('#chart-ratios .mark-symbol path')]"
    ".map(p => p.getAttribute('fill')))].length"
)


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
