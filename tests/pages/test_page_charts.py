"""Claims about the charts of the page in a real browser, on it and saved."""

import re
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from harness.record import records
from reports.charts.start import PHASES
from reports.pages import page
from tests.support.browser import await_, emulate, show
from tests.support.pages import DESK, PHONE, Open, tick
from tests.support.synthetic import EVERYONE, edit_cells, write_run


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
    for place in (
        "chart-roofline",
        "chart-calls",
        "chart-throughput-batch-0",
        "chart-latency-batch-0",
    ):
        assert browser.execute_script(labels, place) >= 4, place


def test_no_two_ticks_of_an_axis_read_alike(browser: Any, tmp_path: Path) -> None:
    """One unit for all of them made 1, 10 and 100 seconds `0k`, where an axis went past 1,000."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 0.5})
    edit_cells(folder, "jax", seconds={"total": 200.0})
    show(browser, page.write(records.read(folder), tmp_path / "page.html"), DESK)
    axes = browser.execute_script(
        "return [...document.querySelectorAll('.chart svg .role-axis-label')].map(axis =>"
        "  [...axis.querySelectorAll('text')].map(t => t.textContent))"
    )
    assert any({"1k", "100", "0"} <= {*ticks} for ticks in axes), axes
    assert [ticks for ticks in axes if len({*ticks}) < len(ticks)] == []


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("place", ["start", "roof", "failed", "roof?no-contender=numpy"])
def test_a_link_to_a_place_leads_there_though_charts_are_drawn_above_it(
    browser: Any, pages: dict[str, Path], place: str, width: int
) -> None:
    emulate(browser, width, "light")
    browser.get("about:blank")
    browser.get(f"{pages['whole'].as_uri()}#{place}")
    await_(lambda: browser.execute_script("return document.documentElement.dataset.ready"))
    top = "return document.getElementById(arguments[0]).getBoundingClientRect().top"
    below = "return document.body.scrollHeight - innerHeight - scrollY"  # the end goes no higher
    found = partial(browser.execute_script, top, place.partition("?")[0])
    await_(lambda: 0 <= found() < 40 or browser.execute_script(below) < 1)


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
    """The key in as many lines as the picture is wide, without those who are left out.

    It is as wide as its place: on a phone that of ratios is wider than the screen.
    """
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
        room = browser.execute_script(
            "return document.getElementById(`chart-${arguments[0]}`).offsetWidth", place
        )
        assert float(re.findall(r'<svg [^>]*?width="([\d.]+)"', picture)[0]) <= room + 20
