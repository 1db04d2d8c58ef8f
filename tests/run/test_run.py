"""Claims about whole runs: what happens to a run's parts never costs the rest of it.

The contenders are the numpy adapter and the misbehaving ones of tests/fakes, so that a run
takes seconds; they are real workers in real processes all the same.
"""

import hashlib
import os
import re
from pathlib import Path

import numpy as np
import pytest

from harness.record import records
from reports.analysis import Analysis
from reports.verdicts import analyse
from tests.support.runs import FAKES, NET, RELU, TRAIN, Start, measured, suite_of


def _statuses(analysis: Analysis, contender: str) -> set[str]:
    return {
        cell.status for c in analysis.comparisons for cell in c.cells if cell.contender == contender
    }


def test_a_run_measures_every_cell_in_each_launch_and_verifies_it(
    bakeoff: Start, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, NET, f"{TRAIN}\nheadline = true")
    analysis = measured(bakeoff, tmp_path, suite, "numpy,slow", "--budget", "60s", launches=3)
    run = records.read(tmp_path / "r")
    assert not run.problems
    for seen in run.environment["contenders"].values():
        packages = "".join(f"{line}\n" for line in seen["environment"]["packages"])
        assert f"numpy=={np.__version__}\n" in packages
        assert seen["environment"]["lock"] == hashlib.sha256(packages.encode()).hexdigest()
    for comparison in analysis.comparisons:
        assert comparison.launches == 3
        for cell in comparison.cells:
            assert cell.status == "ok", cell
            assert cell.oracle is not None and cell.oracle["ok"], cell
            assert cell.launches == comparison.launches
    cold = [c for c in analysis.comparisons if any(cell.cold for cell in c.cells)]
    assert [c.id for c in cold] == ["lenet5/b4/train/float32/cpu"]
    started = [cell for c in cold for cell in c.cells if cell.contender != "numpy#2"]
    assert started and all(cell.cold for cell in started)
    # Somebody waits for the first result of a training: they start again, in turns.
    assert [len(cell.starts) > 2 for cell in started] == [True, True]
    turns = [(cell["launch"], cell["comparison"]) for cell in run.again]
    assert turns == sorted(turns) and {*turns} == {
        (n, cold[0].id) for n in range(2, turns[-1][0] + 1)
    }
    for memory in (cell.memory or {} for cell in started):
        loaded = memory["load_rss_bytes"]  # known where the kernel forgets what came before
        assert loaded is not None or not os.access("/proc/self/clear_refs", os.W_OK)
        assert (loaded or 0) <= (memory["peak_rss_bytes"] or 0)
        assert memory["kin_bytes"] == 0  # it starts no compiler
    assert not any(cell.warm for cell in cold[0].cells)  # NumPy leaves no compiler cache
    assert analysis.noise_floor is not None


@pytest.mark.alone
def test_a_contender_that_takes_twice_its_time_is_found_and_loses(
    bakeoff: Start, tmp_path: Path
) -> None:
    analysis = measured(bakeoff, tmp_path, suite_of(tmp_path, NET), "numpy,slow")
    for comparison in analysis.comparisons:
        pair = comparison.ratio("slow", "numpy")
        assert pair is not None and 1.5 < pair.ratio < 2.5
        assert analysis.screening or comparison.winner == "numpy"


@pytest.mark.alone
def test_whoever_is_far_behind_leaves_early_and_loses_by_the_wider_interval(
    bakeoff: Start, tmp_path: Path
) -> None:
    """`crawls` takes ten times as long: that is seen after four or five launches."""
    suite = suite_of(tmp_path, NET)
    process = bakeoff(
        *("run", "--suite", suite, "--contenders", "numpy,numpy,crawls", "--python", "current"),
        *("--run-id", "r", "--no-page", "--budget", "50s"),
    )
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output
    run = records.read(tmp_path / "r")
    [event] = [e for e in run.events if e["what"] == "settled"]
    assert event["contender"] == "crawls" and (event["comparison"], "crawls") in run.settled
    [comparison] = analyse(run).comparisons
    assert comparison.launches >= 6  # the other two went on
    assert comparison.cell("crawls").status == "ok"
    pairs = [comparison.ratio("crawls", name) for name in ("numpy", "numpy#2")]
    assert all(p is not None and p.confidence == 0.999 and 3 <= p.launches <= 5 for p in pairs)
    # Clear of the one that was the best when it left; beside other tests the two may differ.
    assert max((p.low or 0.0) for p in pairs if p is not None) > 1.03


def test_the_same_contender_entered_twice_wins_nothing(bakeoff: Start, tmp_path: Path) -> None:
    analysis = measured(bakeoff, tmp_path, suite_of(tmp_path, NET), "numpy,numpy")
    assert [c["name"] for c in analysis.contenders] == ["numpy", "numpy#2"]
    assert analysis.noise_floor is None
    assert [c.winner for c in analysis.comparisons] == [None]


FAILING = {
    "liar": ("wrong", "output"),
    "dies": ("crash", "SIGSEGV"),
    "starved": ("oom", "20.00 GiB"),
    "shuts": ("unsupported", "libshut.so.1"),
    "hangs": ("timeout", "limit"),
    "hasty": ("wrong", "sync does not wait"),
    "odd": ("crash", "cannot be read"),
}


def test_a_contender_that_fails_is_shown_with_its_reason_and_the_others_go_on(
    bakeoff: Start, tmp_path: Path
) -> None:
    launches = 3
    arguments = (suite_of(tmp_path, RELU), ",".join(["numpy", "numpy", *FAILING]), "--timeout", "3")
    analysis = measured(bakeoff, tmp_path, *arguments, launches=launches)
    for fake, (status, word) in FAILING.items():
        assert _statuses(analysis, fake) == {status}, fake
        reasons = [f["reason"] or "" for f in analysis.failures if f["contender"] == fake]
        assert reasons and all(word in reason for reason in reasons), (fake, reasons)
    assert _statuses(analysis, "numpy") == _statuses(analysis, "numpy#2") == {"ok"}
    [comparison] = analysis.comparisons
    pair = comparison.ratio("numpy#2", "numpy")
    assert pair is not None and pair.launches == launches
    # Not even ahead in a screening of three launches, and compared with nobody.
    assert comparison.leader in ("numpy", "numpy#2")
    assert not any(FAILING.keys() & {each.a, each.b} for each in comparison.ratios)


def test_what_is_right_at_first_or_in_the_first_rows_alone_is_wrong(
    bakeoff: Start, tmp_path: Path
) -> None:
    """Once its turns are over a call is held against the reference again."""
    each = RELU.replace("batch = 2", "batch = 8")  # a headline's first call is another process's
    suite = suite_of(tmp_path, each, each.replace("16x32x32", "64x56x56") + "\nheadline = true")
    named = "numpy,tiring,chunked,tailless"
    analysis = measured(bakeoff, tmp_path, suite, named, launches=2)
    right_at_first = re.compile(r"right at its first call; after \d+ timed ones: the output is")
    for comparison in analysis.comparisons:
        failures = [f for f in analysis.failures if f["comparison"] == comparison.id]
        told = {f["contender"]: f["reason"] or "" for f in failures}
        assert right_at_first.match(told["tiring"] or ""), comparison.id
        assert "the output has 4 rows, the batch 8" in (told["chunked"] or "")
        assert (told["tailless"] or "").startswith("the output is off")
        assert comparison.leader == "numpy" and not comparison.ratios
        for name in ("tiring", "tailless"):  # how far off it was is kept, whenever it was found
            far = comparison.cell(name).oracle
            assert far and (far["error"] is None or far["error"] > far["gate"]), (name, far)
    assert {_status for name in told for _status in _statuses(analysis, name)} == {"wrong"}


def test_a_run_in_which_everyone_failed_says_so_and_ends_with_status_one(
    bakeoff: Start, tmp_path: Path
) -> None:
    arguments = ["run", "--suite", suite_of(tmp_path, RELU), "--contenders", "starved"]
    process = bakeoff(*arguments, "--python", "current", "--run-id", "r", "--no-page")
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 1 and "Nothing was measured" in output
    assert "Traceback" not in output


def test_a_worker_killed_at_its_start_is_launched_again_and_that_is_said(
    bakeoff: Start, tmp_path: Path
) -> None:
    """Nothing that was measured failed, so no comparison has it in its record."""
    once = tmp_path / "once"
    arguments = ["run", "--suite", suite_of(tmp_path, RELU), "--contenders", "numpy,fragile"]
    arguments += ["--python", "current", "--run-id", "r", "--no-page", "--launches", "2"]
    process = bakeoff(*arguments, FRAGILE=str(once))
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    analysis = analyse(records.read(tmp_path / "r"))
    assert _statuses(analysis, "fragile") == {"ok"}
    [warning] = [w for w in analysis.warnings if w["where"] == "launched again"]
    # Either, where it is entered twice: whichever started second.
    assert re.match(r"fragile(#2)? was launched again .*SIGKILL", warning["what"])


def test_on_a_gpu_calls_are_queued_too_training_goes_on_without_a_pause_and_memory_is_the_devices(
    bakeoff: Start, tmp_path: Path
) -> None:
    suite = suite_of(tmp_path, NET, f"{TRAIN}\nheadline = true")
    text = Path(suite).read_text().replace('"5m"', '"30m"\nsustained = "1s"')
    Path(suite).write_text(text)
    gpu = os.pathsep.join([str(FAKES / "gpu"), str(FAKES)])
    arguments = ["run", "--suite", suite, "--contenders", "streamed,streamed,numpy"]
    arguments += ["--python", "current", "--device", "cuda", "--run-id", "r", "--no-page"]
    process = bakeoff(*arguments, "--launches", "3", PYTHONPATH=gpu)
    output, _ = process.communicate(timeout=300)
    assert process.returncode == 0, output

    run = records.read(tmp_path / "r")
    analysis = analyse(run)
    assert analysis.machine["gpu"][0]["name"] == "Imaginary GPU"
    assert "gpu 0" in analysis.machine["energy_meters"]
    assert analysis.absent == [{"name": "numpy", "reason": "NumPy computes on the CPU alone"}]
    assert _statuses(analysis, "streamed") == {"ok"}
    for group in run.groups:
        turns = [turn for row in group["turns"].values() for turn in row]
        assert all((turn["queued_ns"] is not None) == (group["direction"] == "infer")
                   for turn in turns)  # fmt: skip
        blocks = group.get("sustained", {})
        assert (blocks.keys() == group["turns"].keys()) == (group["direction"] == "train")
        assert all(block["wall_s"] >= 1.0 and block["calls"] > 0 for block in blocks.values())
        assert all(block["total_ns"] < 1e9 * block["wall_s"] for block in blocks.values())
        # 100 W at least, while the block lasted; of less than a second the meter tells nothing.
        assert all(block["energy_j"] >= 100 * block["wall_s"] - 1 for block in blocks.values())
        assert all(turn.get("energy_j", 100) >= 99 for turn in turns)
    by = {c.direction: c.by for c in analysis.comparisons}
    assert by == {"infer": "throughput", "train": "sustained"}
    trained = next(c for c in analysis.comparisons if c.direction == "train")
    assert trained.ratio("streamed", "streamed#2").launches == 3  # type: ignore[union-attr]
    assert trained.cell("streamed").energy
    memory = trained.cell("streamed").memory
    assert memory is not None
    assert [memory[key] for key in ("allocated", "reserved", "device")] == [
        1 << 20,
        2 << 20,
        3 << 20,
    ]
    # It autotunes, and its launches share three choices, not one.
    assert trained.cell("streamed").compilations == 3
    assert not any("one compilation" in warning["advice"] for warning in analysis.warnings)


def test_a_loud_contender_is_measured_and_its_words_are_kept(
    bakeoff: Start, tmp_path: Path
) -> None:
    analysis = measured(bakeoff, tmp_path, suite_of(tmp_path, RELU), "loud", launches=2)
    assert _statuses(analysis, "loud") == {"ok"}
    assert any("noise" in log.read_text() for log in (tmp_path / "r" / "logs").glob("*loud*"))


def test_each_number_of_threads_is_measured_in_processes_of_its_own(
    bakeoff: Start, tmp_path: Path
) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two processors")
    suite = suite_of(tmp_path, f"{NET}\nheadline = true")
    analysis = measured(bakeoff, tmp_path, suite, "numpy,numpy", "--threads", "1,2", launches=2)
    assert analysis.threads == [1, 2]
    run = records.read(tmp_path / "r")
    for comparison in run.plan["comparisons"]:
        cells = [c for c in run.cells if c["comparison"] == comparison["id"] and c["manifest"]]
        passes = {c["pass"] for c in cells}
        assert {"cold", "steady"} <= passes
        assert {c["manifest"]["threads"] for c in cells} == {comparison["threads"]}
        assert len(run.groups_of(comparison["id"])) == 2
    first = [group["comparison"] for group in run.groups][::2]
    assert first[0] != first[1]  # another begins in every launch


def test_too_small_a_budget_gives_a_screening_and_says_so(bakeoff: Start, tmp_path: Path) -> None:
    analysis = measured(
        bakeoff, tmp_path, suite_of(tmp_path, RELU, NET), "numpy,loud", "--budget", "2s"
    )
    assert analysis.screening
    assert all(c.winner is None for c in analysis.comparisons)
    assert any(w["where"] == "budget" for w in analysis.warnings)
