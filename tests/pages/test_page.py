"""Claims about the page: whole, offline, and obeying no record."""

import html
import itertools
import json
import re
import subprocess
import sys
from dataclasses import replace
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.errors import Wrong
from harness.paths import ROOT
from harness.record import records
from reports import verdicts
from reports.analysis import short
from reports.charts import marks
from reports.pages import compare_page, machines_page, page, template
from reports.runs import compare
from tests.support.colours import EYES, XYZ, lab, linear
from tests.support.parsed import Page, made
from tests.support.synthetic import HOSTILE, WORKLOADS, edit_groups, poison, write_run
from tests.support.yardstick import Limit

OUR_SCRIPTS = [None, "module"]  # the theme, before anything is painted; and all the rest


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / "whole")


@pytest.fixture(scope="module")
def whole(folder: Path) -> Page:
    return made(folder)


def test_the_page_says_first_what_the_verdicts_say(folder: Path, whole: Page) -> None:
    analysis = verdicts.analyse(records.read(folder))
    sentences = [choice.sentence for choice in analysis.recommendations]
    assert len(sentences) == 7
    assert sum(sentence.startswith("Choose torch:compile") for sentence in sentences) == 4
    before_the_map = whole.text.partition("Every contender in every workload")[0]
    for sentence in sentences:
        assert sentence in before_the_map


def test_figures_stand_beside_a_margin_and_a_score_is_worked_out(folder: Path) -> None:
    """Figures where one thing is wanted of one workload; no sum that lacks a factor."""
    analysis = verdicts.analyse(records.read(folder))
    text = html.unescape(page.render(analysis))
    told = worked = 0
    for choice in analysis.recommendations:
        wanted = [each for each in choice.objectives if each["weight"]]
        first, second = choice.ranking[0]["contender"], choice.runner_up
        if len(wanted) == 1 and len(wanted[0]["comparisons"]) == 1:
            told += 1
            assert f"{wanted[0]['told'][first]} against {wanted[0]['told'][second]}" in text
        elif len(wanted) > 1:
            worked += 1
            assert f"The score of {second} over {first}, worked out" in text
        choice.ranking[1]["factors"][0]["ratio"] = None
        assert choice.ranking[1]["contender"] == second
    assert told and text.count("worked out:") == worked > 0
    assert "worked out:" not in page.render(analysis)


def test_weight_that_has_no_figure_is_told_beside_the_choice(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    choice = next(c for c in analysis.recommendations if c.profile == "low-latency-serving")
    assert (choice.lost, choice.lacking) == (0.5, ["latency, p99"])
    assert "no figure: latency, p99 (50% of the weight)" in page.render(analysis)


def test_the_noise_floors_band_says_where_it_was_found(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    floor = analysis.noise_floor
    assert floor and floor["widest"] in {c.id for c in analysis.comparisons}
    most = f"differs from itself, most in {short(floor['widest'])}: {floor['percent']:.1f}%."
    assert most in page.render(analysis)


def test_a_page_of_forty_contenders_is_made(tmp_path: Path) -> None:
    """A chart of one layer that is taller than a screen has its axis on top."""
    many = {f"framework{number}": 1 + number / 50 for number in range(40)}
    text = page.render(verdicts.analyse(records.read(write_run(tmp_path / "run", many))))
    assert text.count("framework39") > 10


def test_who_has_no_ratio_though_it_did_all_well_is_told_why(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    analysis.contenders[0] |= {"twin": False, "computes": False}
    analysis.contenders[1] |= {"twin": False, "computes": True}
    analysis.contenders[2] |= {"twin": True}
    names = [contender["name"] for contender in analysis.contenders]
    assert [page.unranked(analysis, name) for name in names[:3]] == [
        "it computes nothing",
        "it shares no launch with the leader",
        "noise floor's twin",
    ]


def test_a_wrong_answer_stands_first_in_no_order(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    first = page.standing(analysis)[0]
    for comparison in analysis.comparisons:
        comparison.cells[:] = [
            replace(cell, status="wrong") if cell.contender == first else cell
            for cell in comparison.cells
        ]
    assert page.standing(analysis)[0] != first


def test_where_another_leads_it_is_told_by_how_much(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    ahead = {
        "comparison": analysis.comparisons[0].id,
        "leader": "jax",
        "ratio": 1.25,
        "proven": True,
    }
    analysis.recommendations[0].split.append(ahead)
    text = re.sub(r"\s+", " ", page.render(analysis))
    assert re.search(r"but behind on relu [^(]*\(jax 20% less time", text)


def test_the_colour_blind_tell_frameworks_apart_on_a_light_page_and_on_a_dark_one() -> None:
    style = (template.TEMPLATES / "style.css").read_text()
    grounds = {XYZ[1] @ linear(of) for of in re.findall(r"--(?:page|panel): (#\w{6})", style)}
    colours = sorted({*marks.FIXED.values(), *marks.SPARE})
    for colour in colours:
        for ground in grounds:
            low, high = sorted((ground, XYZ[1] @ linear(colour)))
            assert (high + 0.05) / (low + 0.05) >= 3, colour
    for one, other in itertools.combinations(colours, 2):
        for eye in EYES:
            apart = lab(eye @ linear(one)) - lab(eye @ linear(other))
            assert np.linalg.norm(apart) >= 10, (one, other)


def test_each_step_of_the_map_stands_out_more_than_the_last_to_every_eye() -> None:
    """From the ground outwards, lighter in the dark and darker in the light; text stays legible."""
    style = (template.TEMPLATES / "style.css").read_text()
    pattern = r"--panel: (#\w{6}); --text: (#\w{6})|--h\d: (#\w{6})"
    found = re.findall(pattern, style)
    assert len(found) == 3 * 8  # light, dark, and dark by the system's wish
    for start in range(0, len(found), 8):
        panel, text = (linear(of) for of in found[start][:2])
        steps = [linear(of) for _, _, of in found[start + 1 : start + 8]]
        for step in steps:
            low, high = sorted((XYZ[1] @ step, XYZ[1] @ text))
            assert (high + 0.05) / (low + 0.05) >= 4.5
        away = np.diff([lab(of)[0] for of in (panel, *steps)])
        assert (away * np.sign(away[0]) >= 3).all()
        for one, other in itertools.pairwise(steps):
            assert min(np.linalg.norm(lab(eye @ one) - lab(eye @ other)) for eye in EYES) >= 7


def test_every_comparison_has_an_anchor_that_links_reach(folder: Path, whole: Page) -> None:
    from urllib.parse import unquote

    ids = [attributes["id"] for _, attributes in whole.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for comparison in verdicts.analyse(records.read(folder)).comparisons:
        assert comparison.id in ids
        assert comparison.why in whole.text
        assert comparison.command in whole.text
    for link in whole.all("a"):
        assert unquote((link["href"] or "").removeprefix("#")) in ids


def test_nothing_is_fetched_from_anywhere(whole: Page) -> None:
    for tag, attributes in whole.elements:
        for key in ("src", "href", "srcset", "action", "data", "poster"):
            value = attributes.get(key) or "#"
            assert value.startswith("#") or value == "data:,", f"<{tag} {key}={value}>"
    style = whole.source.partition("<style>")[2].partition("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style
    assert len(whole.source.encode()) < 4 * 2**20


def test_only_the_pages_own_script_may_run(whole: Page) -> None:
    [policy] = [m["content"] for m in whole.all("meta") if m.get("http-equiv")]
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe-eval" not in policy
    [script_sources] = re.findall(r"script-src ([^;]*)", policy)
    assert re.fullmatch(r"('sha256-[A-Za-z0-9+/]{43}=' ?){2}", script_sources)
    kinds = [script.get("type") for script in whole.all("script")]
    assert [kind for kind in kinds if kind != "application/json"] == OUR_SCRIPTS


def test_every_chart_is_json_and_has_its_place(whole: Page) -> None:
    places = {attributes.get("id") for _, attributes in whole.elements}
    charts = [
        (attributes, text)
        for attributes, text in zip(whole.all("script"), whole.scripts, strict=True)
        if attributes.get("type") == "application/json"
    ]
    assert {"chart-ratios", "chart-roof"} <= {a["data-place"] for a, _ in charts} <= places
    for attributes, text in charts:
        spec = json.loads(text)
        assert "vega-lite" in spec["$schema"]
        assert spec["width"] == "container", attributes


def test_a_command_stands_as_code_and_what_a_record_says_stays_text() -> None:
    told = template.typed(f"see `bakeoff check {HOSTILE}`, not `{HOSTILE}`")
    assert told.count("<code>") == 1 and "see <code>bakeoff check &lt;/script&gt;" in told
    assert "<script>" not in told and "<img" not in told and "\u202e" not in told


def test_a_hostile_record_is_shown_and_never_run(tmp_path: Path) -> None:
    speeds = {"torch": 1.0, HOSTILE: 1.2, "jax": 2.0}
    folder = write_run(
        tmp_path / "hostile",
        speeds,
        failures={("resnet20", "jax"): ("crash", HOSTILE)},
        absent=[{"name": "tensorflow", "reason": HOSTILE}],
        left_out=[{"comparison": HOSTILE, "reason": HOSTILE}],
        suite={"name": "quick", "title": HOSTILE, "summary": HOSTILE},
        command=f"bakeoff run {HOSTILE}",
    )
    found = made(folder)
    kinds = [script.get("type") for script in found.all("script")]
    assert [kind for kind in kinds if kind != "application/json"] == OUR_SCRIPTS
    assert not found.all("img")
    assert "<img" not in found.source.partition('<script type="application/json"')[0]
    assert not [a for _, a in found.elements for name in a if name.startswith("on")]
    assert found.text.count("alert('r')") > 10
    assert "\u202e" not in found.source
    assert "\\u202e" in found.text
    assert "49" not in found.text.partition("{{ 7")[2][:8]
    ratios = json.loads(found.scripts[1])
    shown = json.dumps(ratios, ensure_ascii=False).replace("\\\\u202e", "\\u202e")
    assert HOSTILE.replace("\u202e", "\\u202e") in shown


def test_a_backslash_of_a_record_makes_no_mark_of_what_stands_behind_it() -> None:
    """`\\u202e` in six characters is text already; `C:\\build` has no backspace in it."""
    for text in (r"\u202e", r"C:\build", "a\u202eb\x1bc", "<\u2028&"):
        [read] = json.loads(str(template._json([text])))
        assert read == template.visible(text)


def test_a_page_of_many_runs_has_a_name_that_a_system_takes() -> None:
    names = [f"resnet18-quick-launch-{n}" for n in range(12)]
    assert len(template.place(*names).name) < 200
    assert template.place(*names) != template.place(*names[:-1], "other")


def harmless(found: Page) -> None:
    """Nothing that a record holds has become an element, an attribute or a script."""
    kinds = [script.get("type") for script in found.all("script")]
    assert [kind for kind in kinds if kind != "application/json"] == OUR_SCRIPTS
    assert not found.all("img")
    assert not [a for _, a in found.elements for name in a if name.startswith("on")]
    assert "\u202e" not in found.source
    for text in found.scripts[1:-1]:
        json.loads(text)


@pytest.mark.parametrize("make", ["one", "compare", "machines"])
def test_a_hostile_string_in_every_field_of_every_record_is_text_on_every_page(
    tmp_path: Path, make: str
) -> None:
    folders = [write_run(tmp_path / name, {"torch": 1.0, "jax": 1.2}) for name in ("a", "b")]
    for folder in folders:
        poison(folder, HOSTILE)
    runs = [records.read(folder) for folder in folders]
    assert not any(run.problems for run in runs)
    path = tmp_path / "page.html"
    if make == "one":
        found = Page(page.write(runs[0], path))
    elif make == "compare":
        changes = compare.compare(runs[0], runs[1], None, 0.03, (1.0, 2.0))
        assert changes.changes and changes.clocked and changes.costs
        found = Page(compare_page.write(changes, tmp_path, path))
    else:
        found = Page(machines_page.write(runs, None, path))
    harmless(found)
    assert found.text.count("alert('r')") > 10


def test_a_hundred_thousand_characters_are_shown(tmp_path: Path) -> None:
    failures = {("relu", "jax"): ("crash", HOSTILE + "x" * 100_000)}
    found = made(write_run(tmp_path / "long", {"torch": 1.0, "jax": 1.2}, failures=failures))
    harmless(found)
    assert "x" * 100_000 in found.text


def test_20_000_records_are_a_page_in_under_20_seconds(tmp_path: Path) -> None:
    """Many comparisons, and many launches of a few: neither grows with the square."""
    speeds = {"torch": 1.0, "jax": 1.2, "tensorflow": 1.5}
    for name, works, launches in (("wide", 600, 26), ("deep", 8, 2500)):
        workloads = [(f"w{n}", "convnet", 1, 32, "infer", n < 3) for n in range(works)]
        folder = write_run(tmp_path / name, speeds, launches=launches, workloads=workloads)
        with Limit(20) as limit:
            run = records.read(folder)
            page.write(run, tmp_path / f"{name}.html")
        assert limit.kept, limit
        assert len(run.groups) + len(run.cells) >= 18_000


def test_marks_that_nobody_sees_are_shown(tmp_path: Path) -> None:
    failures = {("relu", "jax"): ("crash", "a\u061cb\x1b[2Jc\x00d\x9be")}
    found = made(write_run(tmp_path / "unseen", failures=failures))
    assert r"a\u061cb\u001b[2Jc\u0000d\u009be" in found.text
    assert not {"\u061c", "\x1b", "\x00", "\x9b"} & set(
        found.source.partition('<script type="application/json"')[0]
    )


def test_what_failed_stands_where_it_would_have_stood_and_again_with_its_reason(
    tmp_path: Path,
) -> None:
    failures = {
        (workload, name): (status, f"{status} of {name}")
        for workload in ("resnet18", "relu")
        for name, status in (("jax", "crash"), ("tensorflow", "wrong"), ("numpy", "timeout"))
    }
    found = made(write_run(tmp_path / "half", failures=failures))
    for status, name in (("crash", "jax"), ("wrong", "tensorflow"), ("timeout", "numpy")):
        assert f"{status} of {name}" in found.text
        assert re.search(rf'<td class="failed"[^>]*>{status}</td>', found.source)
    assert "Choose torch:compile" in found.text


def test_too_few_launches_are_called_screening_and_nothing_is_chosen(tmp_path: Path) -> None:
    found = made(write_run(tmp_path / "few", launches=2))
    assert "Screening" in found.text
    assert "not proven" in found.text
    assert "Choose " not in found.text


def test_winners_stand_beside_a_comparison_that_is_only_screening(tmp_path: Path) -> None:
    """The banner must not say that no winner is named where one is."""
    folder = write_run(tmp_path / "mixed")
    edit_groups(folder, lambda group: "relu/" not in group["comparison"] or group["launch"] == 1)
    found = made(folder)
    assert "1 of 4 comparisons has fewer than 6 launches" in found.text
    assert "Choose torch:compile" in found.text
    assert "o winner is named" not in found.text


def test_contenders_that_never_met_in_a_launch_have_no_ratio_and_there_is_a_page(
    tmp_path: Path,
) -> None:
    def apart(group: dict[str, Any]) -> bool:
        gone = ("torch", "torch#2") if group["launch"] == 1 else ("jax",)
        for name in gone:
            del group["turns"][name]
        return True

    folder = write_run(tmp_path / "apart", {"torch": 1.0, "jax": 2.0}, launches=2)
    edit_groups(folder, apart)
    found = made(folder)
    assert "nan" not in re.sub(r"\w*nan\w+|\w+nan\w*", "", found.text.lower())
    assert "Choose " not in found.text


def test_a_run_without_a_single_record_gives_a_page(tmp_path: Path) -> None:
    found = made(write_run(tmp_path / "empty", launches=0))
    assert "Nothing was measured: see What failed" in found.text
    assert "nothing measured" in found.text
    assert "not measured torch, torch:compile" in found.text
    assert "Choose " not in found.text
    assert "no rival" not in found.text


def test_a_run_in_which_all_failed_says_so_on_top(tmp_path: Path) -> None:
    failures = {(each[0], "torch"): ("crash", "gone") for each in WORKLOADS}
    failures |= {(each[0], "torch#2"): ("crash", "gone") for each in WORKLOADS}
    found = made(write_run(tmp_path / "failed", {"torch": 1.0}, failures=failures))
    assert (
        "Every contender failed: see What failed"
        in found.text.partition("What to choose on this")[0]
    )


def test_calls_of_no_time_and_a_probe_of_no_rate_give_a_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "zeros", {"torch": 1.0, "jax": 2.0})

    def still(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"]:
            turn["calls"] = [0 for _ in turn["calls"]]
            turn["total_ns"] = 0
        return True

    edit_groups(folder, still)
    run = records.read(folder)
    run.probes[:] = [{**probe, "flops_per_s": 0.0} for probe in run.probes]
    analysis = verdicts.analyse(run)
    assert run.probes and analysis.roof is None
    assert "How much calls differ" in page.render(analysis)


def test_a_device_s_memory_is_in_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "device")
    [path] = folder.glob("records-*.jsonl")
    more = '"memory":{"allocated":123000000,"reserved":456000000,"device":789000000,'
    path.write_text(path.read_text().replace('"memory":{', more))
    text = made(folder).text
    assert all(figure in text for figure in ("123 MB", "456 MB", "789 MB"))


def test_a_title_can_be_given(folder: Path, tmp_path: Path) -> None:
    path = page.write(records.read(folder), tmp_path / "p.html", title="Ours & <theirs>")
    assert "<h1>Ours &amp; &lt;theirs&gt;</h1>" in path.read_text()


def test_a_page_that_cannot_be_written_is_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="cannot be written"):
        page.write(records.read(folder), tmp_path)


def test_measuring_and_showing_need_no_library_of_the_page() -> None:
    code = (
        "import sys, harness.run.runner, reports.pages.page, reports.terminal, reports.verdicts\n"
        "sys.exit(', '.join({'altair', 'jinja2', 'vl_convert'} & sys.modules.keys()) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_where_a_library_is_absent_the_page_says_what_to_do(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = util.find_spec
    monkeypatch.setattr(util, "find_spec", lambda name: None if name == "altair" else there(name))
    with pytest.raises(Wrong, match=r"needs altair.*bakeoff report whole"):
        page.write(records.read(folder))


def test_each_contender_is_said_in_words(folder: Path) -> None:
    analysis = verdicts.analyse(records.read(folder))
    words, *_ = page.rows_of_manifest(analysis)
    summaries = [c["summary"] for c in analysis.contenders if not c["twin"]]
    assert words["values"] == summaries and all(summaries)


def test_a_pages_place_is_in_its_folder_whatever_the_run_calls_itself() -> None:
    folder = template.place("plain").parent
    for name in ("../../etc/cron.d/x", "a/b", "x\x00y", "torch@2.12+cpu"):
        path = template.place(name, "..")
        assert path.parent == folder and path.suffix == ".html" and "\x00" not in path.name
