"""The campaign's claims, those that need no long run: simulated, and on recorded traces.

`bakeoff prove` runs all of them; what is live and long is left to it, but for a cut that is
tested alone.
"""

import json
import shutil
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pytest

from harness.errors import Wrong
from harness.paths import ROOT
from harness.plan import code, inventory, resuming
from harness.plan.plan import write as write_plan
from harness.proof import calibrate, campaign, live, savings, simulated, traces
from harness.proof.claims import Figure, allowed, rate
from harness.record import records
from reports.pages import proof
from tests.support.synthetic import write_run

QUICK = [p for p in campaign.PARTS if p.how != "live" or p.name == "sync"]


def _silent(what: str, **told: Any) -> None:
    pass


@pytest.mark.parametrize("part", QUICK, ids=lambda part: part.name)
def test_the_claim_holds(part: campaign.Part, tmp_path: Path) -> None:
    figures = part.measure(tmp_path, _silent, True)
    broken = [figure for figure in figures if not figure.ok]
    controlled = any(figure.control for figure in figures)
    naive = ("coverage", "drift", "hours", "offsets", "shared", "upgrades")
    assert controlled == (part.name in naive)
    assert figures and not broken, "\n".join(
        f"{f.name}: {f.value:.4f} ({f.low} to {f.high}), wanted {f.least} to {f.most}"
        for f in broken
    )


def test_twenty_launches_are_twenty_of_every_comparison() -> None:
    """One that was cut short holds some of them alone, and the next has another number."""
    held = {1: "ab", 2: "a", 3: "ab"}
    groups = [{"launch": n, "comparison": name} for n, names in held.items() for name in names]
    run: Any = SimpleNamespace(plan={"comparisons": [{"id": "a"}, {"id": "b"}]}, groups=groups)
    assert savings._launches(run) == 2


def test_every_claim_of_the_method_has_a_proof() -> None:
    assert {part.claim for part in campaign.PARTS} == set(range(1, 14))


@pytest.mark.alone
def test_a_call_is_lengthened_by_less_than_a_third_of_a_microsecond() -> None:
    assert all(figure.ok for figure in live.overhead(tries=5, calls=20_000))


@pytest.mark.alone
def test_a_planted_slowdown_is_found_live_and_the_same_twice_is_not_different(
    tmp_path: Path,
) -> None:
    """Some live comparisons of `calibrate`'s kind, resumed in the middle."""
    folder = tmp_path / "itself"
    # Half as slow again, so that it is found in six launches on any machine.
    itself = live.Itself("numpy", (0.5,), copies=2, launches=2, workloads=3)
    first = live.measure(folder, itself, _silent)
    assert {g["launch"] for g in first.groups} == {1, 2}
    plan = json.loads((folder / "plan.json").read_text())
    plan["settings"]["launches"] = 6
    (folder / "plan.json").write_text(json.dumps(plan))
    run = live.measure(folder, itself, _silent)
    assert {g["launch"] for g in run.groups} == set(range(1, 7))
    twins, slowed = live.pairs(run, "numpy#2", "numpy"), live.pairs(run, "numpy+50%", "numpy")
    assert len(twins) == len(slowed) == 3
    assert not any(pair.verdict.startswith("materially") for pair in twins.values())
    assert sum(pair.verdict in live.SLOWER for pair in slowed.values()) >= 2
    found = calibrate.summary("numpy", twins, slowed)
    assert found["planted"]["found"] >= 2
    assert found["smallest_difference"]["median"] > 0
    assert any("Noise floor: numpy" in sentence for sentence in calibrate.sentences(found))
    assert not records.read(folder).problems
    started = len(list((folder / "logs").iterdir()))
    assert live.measure(folder, itself, _silent).groups == run.groups  # a whole run is only read
    assert len(list((folder / "logs").iterdir())) == started


def test_a_folder_of_another_run_or_of_other_code_is_refused(tmp_path: Path) -> None:
    itself = live.Itself("numpy", (), copies=2, launches=6, workloads=1)
    write_run(tmp_path / "quick")
    with pytest.raises(Wrong):
        live.measure(tmp_path / "quick", itself, _silent)
    with pytest.raises(Wrong, match="quick is a run, not a campaign"):
        campaign.run(tmp_path / "quick", [], True, _silent)
    begun = itself.plan("begun")
    begun.fingerprint["code"] = "0123456789abcdef"
    (tmp_path / "begun").mkdir()
    write_plan(begun, tmp_path / "begun")
    with pytest.raises(Wrong, match="cannot resume: code was 0123456789abcdef"):
        live.measure(tmp_path / "begun", itself, _silent)
    begun.suite["name"] = "quick"
    write_plan(begun, tmp_path / "begun")
    with pytest.raises(Wrong, match="begun is another run, of the suite quick"):
        live.measure(tmp_path / "begun", itself, _silent)


def test_a_figure_past_its_limit_fails_and_says_so_on_the_page(tmp_path: Path) -> None:
    part = campaign.select(["coverage"], True)[0]
    figures = [rate("covered", 80, 100, least=0.93), Figure("<b>told</b>", 0.5)]
    finding = {**campaign.finding(part, figures), "seconds": 1.0, "short": True, "machine": {}}
    assert not finding["ok"]
    text = proof.write([finding], "mine", tmp_path / "page.html").read_text()
    assert "Does not hold" in text and "0 of 1 proofs hold" in text
    assert "&lt;b&gt;told&lt;/b&gt;" in text and "<b>told</b>" not in text
    assert "<script" not in text


def test_a_campaign_goes_on_with_what_is_missing(tmp_path: Path) -> None:
    measured = []

    def measure(folder: Path, say: Any, short: bool) -> list[Figure]:
        measured.append(folder)
        return [Figure("one", 1.0)]

    parts = [campaign.Part(name, 1, "title", "simulated", measure) for name in ("a", "b")]
    campaign.run(tmp_path, parts[:1], True, _silent)
    found = campaign.run(tmp_path, parts, True, _silent)
    assert len(measured) == 2 and [f["name"] for f in found] == ["a", "b"]
    (tmp_path / "a.json").write_text('{"schema": 1, "figu')  # torn
    campaign.run(tmp_path, parts, True, _silent)
    assert len(measured) == 3
    campaign.run(tmp_path, parts[:1], False, _silent)  # the short form is not the whole
    assert len(measured) == 4


def test_what_other_code_found_is_measured_again_and_the_published_is_still_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its live runs are none of this code's."""
    measured: list[Path] = []
    told: list[bool] = []

    def measure(folder: Path, say: Any, short: bool) -> list[Figure]:
        measured.append(folder)
        return [Figure("one", 1.0)]

    def say(what: str, **fields: Any) -> None:
        told.extend([fields["again"]] if what == "part" else [])

    [part] = [campaign.Part("power", 2, "title", "simulated", measure)]
    for written in ("one", "one", "two"):
        monkeypatch.setattr(code, "everything", lambda written=written: written)
        [found] = campaign.run(tmp_path, [part], True, say)
        assert [found] == campaign.current(tmp_path, short=True)
    assert told == [False, True]
    assert len({folder.name for folder in measured}) == 2
    published = ROOT / "results" / "published" / "proofs-2core" / "power.json"
    shutil.copy(published, tmp_path)  # of a time when findings did not say of which code they are
    assert campaign.read(tmp_path)[0]["figures"]
    campaign.run(tmp_path, [part], json.loads(published.read_text())["short"], say)
    assert told == [False, True, True]


def test_a_proof_during_which_the_code_is_edited_proves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def edit(folder: Path, say: Any, short: bool) -> list[Figure]:
        monkeypatch.setattr(code, "everything", lambda: "0123456789abcdef")
        return []

    with pytest.raises(resuming.Edited):
        campaign.run(tmp_path, [campaign.Part("power", 2, "", "live", edit)], True, _silent)
    assert not list(tmp_path.iterdir())


def test_a_whole_run_of_other_code_is_not_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    itself = live.Itself("numpy", (), copies=2, launches=6, workloads=1)
    begun = itself.plan("whole")
    begun.fingerprint["code"] = "0123456789abcdef"
    (tmp_path / "whole").mkdir()
    write_plan(begun, tmp_path / "whole")
    (tmp_path / "whole" / "environment.json").write_text("{}")
    monkeypatch.setattr(records, "read", lambda folder: SimpleNamespace(groups=[]))
    monkeypatch.setattr(live, "_whole", lambda run, planned: True)
    with pytest.raises(Wrong, match=r"code was 0123456789abcdef.*choose another --run-id"):
        live.measure(tmp_path / "whole", itself, _silent)


def test_what_could_not_be_measured_often_enough_proves_nothing_and_says_where_to_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    comparison = {"id": "one", "direction": "infer", "batch": 1}
    run: Any = SimpleNamespace(folder="runs/r", groups=[], plan={"comparisons": [comparison]})
    monkeypatch.setattr(live, "measure", lambda *_: run)
    monkeypatch.setattr(live, "background_load", lambda ours=True: nullcontext())
    monkeypatch.setattr(live, "quick_to_start", lambda device: "numpy")
    for measure in (
        lambda: live.identical(Path(), 1, 1, _silent),
        lambda: live.guarded(Path(), _silent),
        lambda: live.planted(Path(), 1, 1, _silent),
        lambda: calibrate.measure(Path(), _silent),
    ):
        with pytest.raises(
            Wrong, match=r"could (not )?be measured.*`bakeoff show runs/r` says why"
        ):
            measure()


def test_a_live_proof_says_in_its_title_what_it_allows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "measure", lambda *_: None)
    monkeypatch.setattr(live, "background_load", lambda: nullcontext())
    monkeypatch.setattr(live, "quick_to_start", lambda device: "numpy")
    found = {"one": SimpleNamespace(verdict="tie")}
    monkeypatch.setattr(live, "pairs", lambda *_: found)
    [part] = campaign.select(["identical-live"], True)
    different, _ = part.measure(Path(), _silent, False)
    assert f"different in at most {different.most:.0%}" in part.title


def test_a_right_method_keeps_the_short_form_s_limit_in_95_of_100(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Of eight comparisons one is called different in every fourth such run."""
    monkeypatch.setattr(live, "measure", lambda *_: None)
    monkeypatch.setattr(live, "background_load", lambda: nullcontext())
    for alarms, holds in ((1, True), (2, True), (3, False)):
        verdicts = ["faster"] * alarms + ["tie"] * (8 - alarms)
        found = {str(i): SimpleNamespace(verdict=v) for i, v in enumerate(verdicts)}
        monkeypatch.setattr(live, "pairs", lambda *_, found=found: found)
        [different, _] = live.identical(Path(), 1, 8, _silent)
        assert different.ok == holds
    assert allowed(0.08, 8) == 2 / 8 and allowed(0.01, 8) == 1 / 8


def test_a_disturbed_bare_loop_makes_no_overhead_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """A microsecond more in each call, and a second bare loop that took as long for itself."""
    stamps = iter([0, 0, 0, 10_000])
    monkeypatch.setattr(live, "time", SimpleNamespace(perf_counter_ns=lambda: next(stamps)))
    monkeypatch.setattr(live.timing, "synced", lambda step, sync, calls: [1000] * calls)
    [added] = live.overhead(tries=2, calls=10)
    assert added.value == 1.0 and not added.ok


def test_drift_is_laid_over_turns_so_a_bad_order_is_seen() -> None:
    moved = {figure.name: figure.value for figure in traces.drift()}
    for name in traces.ONE_MODE:
        ramp = f"{name}, ramp of 30%"
        ours = moved[f"{ramp}: ratio moved by, in the worst of {traces.DEALS} deals"]
        assert 0 < ours < traces.MOVED < moved[f"{ramp}: always the same one first"]


def test_who_names_another_winner_or_takes_longer_saves_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = np.zeros((20, 2))
    comparison = {"id": "one", "direction": "infer", "batch": 1}
    run: Any = SimpleNamespace(folder="r", groups=[], plan={"comparisons": [comparison]})
    monkeypatch.setattr(savings.readings, "launch_log_times", lambda *_: (["a", "b"], times))
    monkeypatch.setattr(savings, "_turn_seconds", lambda *_: np.ones(2))
    monkeypatch.setattr(savings, "fixed_winner", lambda _: 0)
    for winner, launches, holds in ((0, 6, True), (None, 6, True), (1, 6, False), (0, 21, False)):
        played = SimpleNamespace(winner=winner, launches=[launches] * 2)
        monkeypatch.setattr(savings, "planned_run", lambda _, played=played: played)
        assert all(figure.ok for figure in savings.replay(run)) == holds


def test_a_saving_that_is_claimed_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By rules that save nothing: each contender has its twenty launches."""
    spent = simulated.PlannedRun(None, [20] * 6, {})
    monkeypatch.setattr(simulated, "planned_run", lambda _: spent)
    monkeypatch.setattr(simulated, "rate", lambda name, *_, **__: Figure(name, 0.0))
    failed = [figure.name for figure in simulated.planning(1) if not figure.ok]
    assert len(failed) == 18 and not any("six identical" in name for name in failed)


def test_savings_goes_on_after_a_greeting_that_was_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], **_: Any) -> Any:
        asked.append(command)
        return SimpleNamespace(returncode=1)

    monkeypatch.setattr(savings.subprocess, "run", run)
    for _ in range(2):
        with pytest.raises(Wrong, match="call again to go on"):
            savings.measure(tmp_path, _silent)
        (tmp_path / savings.NAME).mkdir(exist_ok=True)
        (tmp_path / savings.NAME / "plan.json").write_text("{}")
    assert "--device" in asked[0] and "cpu" in asked[0]
    assert asked[1][asked[1].index("--resume") + 1] == savings.NAME


def test_what_is_live_is_measured_again_where_the_machine_or_a_framework_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[bool] = []

    def say(what: str, **fields: Any) -> None:
        told.extend([fields["again"]] if what == "part" else [])

    def measure(folder: Path, say: Any, short: bool) -> list[Figure]:
        return [Figure("one", 1.0)]

    parts = [campaign.Part(n, 1, "", how, measure) for n, how in (("guard", "live"), ("power", ""))]
    monkeypatch.setattr(inventory, "contenders", lambda _: [])
    for version, node in (("2.12", "one"), ("2.12", "one"), ("2.13", "one"), ("2.13", "two")):
        monkeypatch.setattr(inventory, "versions", lambda *_, version=version: {"torch": version})
        monkeypatch.setattr(resuming.platform, "node", lambda node=node: node)
        campaign.run(tmp_path, parts, False, say)
    assert told == [False, False, True, True]  # both parts at first, then what is live alone


def test_what_other_code_or_the_short_form_found_is_not_on_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def measure(folder: Path, say: Any, short: bool) -> list[Figure]:
        return [Figure("one", 1.0)]

    a, b, c = (campaign.Part(n, 1, "", "", measure) for n in ("drift", "power", "ties"))
    monkeypatch.setattr(code, "everything", lambda: "other")
    campaign.run(tmp_path, [a], False, _silent)
    monkeypatch.undo()
    campaign.run(tmp_path, [b], True, _silent)
    campaign.run(tmp_path, [c], False, _silent)
    assert [f["name"] for f in campaign.current(tmp_path, short=False)] == ["ties"]
    assert [f["name"] for f in campaign.current(tmp_path, short=True)] == ["power", "ties"]


def test_an_unknown_claim_is_refused_with_those_there_are() -> None:
    with pytest.raises(Wrong, match="expected a number from 1 to 13, or one of: identical-traces"):
        campaign.select(["twelve"], False)
    assert [part.name for part in campaign.select(["2"], False)] == ["power", "planted-live"]
    assert len(campaign.select([], True)) < len(campaign.select([], False)) == len(campaign.PARTS)


def test_a_folder_without_findings_is_no_proof(tmp_path: Path) -> None:
    with pytest.raises(Wrong, match="holds no proof"):
        campaign.read(tmp_path)


def test_a_load_ends_with_the_campaign_that_made_it_however_that_ends() -> None:
    source = (
        "import time\nfrom harness.proof import live\n"
        "with live.background_load():\n    print('loaded', flush=True)\n    time.sleep(60)\n"
    )
    campaign_ = subprocess.Popen([sys.executable, "-c", source], cwd=ROOT, stdout=subprocess.PIPE)
    assert campaign_.stdout is not None and campaign_.stdout.readline() == b"loaded\n"
    loads = psutil.Process(campaign_.pid).children()
    time.sleep(0.3)  # a moment to say whom they go with
    campaign_.kill()
    campaign_.wait()
    gone, alive = psutil.wait_procs(loads, timeout=10)
    assert len(gone) == len(loads) > 0 and not alive
