"""The worker's protocol, spoken by a plain script as docs/worker.md has it: pipes and JSON.

Nothing of Bakeoff is imported here on purpose: this is all that a runner in another language
would know.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "worker.md").read_text()
OPEN = {"adapter": "numpy", "variant": "", "device": "cpu", "precision": "float32", "threads": 1}
CELL = {"workload": "relu_16x32x32", "batch": 2, "direction": "infer"}
TRAINING = {"workload": "lenet5", "batch": 2, "direction": "train"}


class Script:
    def __init__(self) -> None:
        asks, self.ask = os.pipe()
        self.answers, answer = os.pipe()
        command = [sys.executable, "-m", "harness.worker.worker", str(asks), str(answer)]
        self.process = subprocess.Popen(command, cwd=ROOT, pass_fds=(asks, answer))
        os.close(asks)
        os.close(answer)
        self.lines = os.fdopen(self.answers, "rb")

    def say(self, do: str, **arguments: Any) -> dict[str, Any]:
        os.write(self.ask, json.dumps({"do": do, **arguments}).encode() + b"\n")
        return json.loads(self.lines.readline())


@pytest.fixture
def script() -> Iterator[Script]:
    script = Script()
    yield script
    script.process.kill()
    script.process.wait()
    script.lines.close()


def _rows() -> dict[str, str]:
    """Of the page's table: each request, and what it says of the answer."""
    rows = re.findall(r"^\| `(\w+)` \|[^|]*\| (.*) \|$", PAGE, re.MULTILINE)
    return dict(rows)


def test_the_exchange_on_the_page_happens_as_written(script: Script) -> None:
    exchange = PAGE[PAGE.index("## An exchange") :]
    asked = [json.loads(line) for line in re.findall(r"^    > (.*)$", exchange, re.MULTILINE)]
    answered = re.findall(r"^    < (.*)$", exchange, re.MULTILINE)
    assert len(asked) == len(answered) == 5
    for request, shown in zip(asked, answered, strict=True):
        got = script.say(**request)
        top = re.sub(r"\{[^{}]*\}", "{}", shown[1:-1])  # what lies inside has keys of its own
        assert set(re.findall(r'"(\w+)":', top)) == set(got), request
    assert script.process.wait(timeout=10) == 0


def test_every_request_of_the_page_is_answered_with_the_fields_it_names(
    script: Script, tmp_path: Path
) -> None:
    path = str(tmp_path / "answer.npz")
    life: list[tuple[str, dict[str, Any]]] = [
        ("open", OPEN),
        ("round_trips", {}),
        ("load", {**TRAINING, "once": True}),
        ("load", TRAINING),
        ("first", {}),
        ("loss", {}),
        ("answer", {"path": path, "rows": None, "precision": "float32"}),
        ("verify", {"oracle": path, "rows": None}),  # right by definition
        ("feed", {"seed": 1}),
        ("again", {"calls": 2}),
        ("warm", {"limit": 0.2}),
        ("waits", {}),
        ("turn", {"calls": 5, "latency": False, "queue": True}),
        ("block", {"calls": 2, "seconds": 0.1}),
        ("profile", {"calls": 1}),
        ("memory", {"calls": 1}),
        ("unload", {}),
        ("close", {}),
    ]
    rows = _rows()
    assert set(rows) == {do for do, _ in life}
    for do, arguments in life:
        got = script.say(do, **arguments)
        assert "failed" not in got, got
        for field in got:
            assert f"`{field}`" in rows[do], f"the answer to {do} has '{field}': not on the page"
        if do == "block":
            assert got["block"]["calls"] > 0
            assert all(f"`{field}`" in rows[do] for field in got["block"])
        if do == "turn":
            turn = got["turn"]
            assert len(turn["calls"]) == 5
            assert turn["dropped"] == 1
            assert turn["queued_ns"] > 0
            for field in turn:
                assert f"`{field}`" in PAGE
    assert script.process.wait(timeout=10) == 0


def test_a_peak_is_of_what_a_first_result_takes_and_not_of_drawing_its_weights(
    script: Script,
) -> None:
    """A layer of 64 MB of weights, which are drawn, scaled and placed: at times thrice."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pytest.skip("this kernel does not forget a peak")
    script.say("open", **OPEN)
    peaks = []
    for once in (True, False):
        loaded = script.say("load", workload="linear_4096", batch=1, direction="infer", once=once)
        peaks.append(script.say("first")["peak_rss_bytes"])
        assert ("rss_bytes" in loaded) is once
        if once:
            assert 64e6 < loaded["rss_bytes"] <= peaks[0] < loaded["rss_bytes"] + 60e6
        script.say("unload")
    assert peaks[1] > peaks[0] + 60e6


def test_the_version_is_the_page_s(script: Script) -> None:
    assert f"protocol, version {script.say('open', **OPEN)['protocol']}\n" in PAGE


def test_what_cannot_be_done_is_an_answer_and_the_worker_goes_on(script: Script) -> None:
    script.say("open", **OPEN)
    failed = script.say("load", workload="no_such_workload", batch=2, direction="infer")
    assert failed["failed"] == "crash"
    assert "no_such_workload" in failed["reason"]
    assert "failed" not in script.say("load", **CELL)


def test_a_closed_pipe_ends_the_worker(script: Script) -> None:
    script.say("open", **OPEN)
    os.close(script.ask)
    assert script.process.wait(timeout=10) == 0
