"""Claims about answers: none lacks what is read of it, none is what no record could hold."""

import json
import re
from typing import Any

import pytest

from harness.paths import ROOT
from harness.process import answers

PAGE = (ROOT / "docs/worker.md").read_text()
RIGHT: dict[str, dict[str, Any]] = {
    "open": {"protocol": 3, "import": 1, "rss_bytes": 1, "manifest": {}},
    "load": {"load": 0.1},
    "first": {
        "first_call": 0.1,
        "finished": 1.5e5,
        "peak_rss_bytes": 1,
        "memory": {"allocated": 1, "reserved": None},
        "manifest": {},
    },
    "verify": {"ok": False, "reason": "it is not", "oracle": {}},
    "loss": {"loss": None},
    "waits": {"unfinished": 0.0},
    "warm": {"calls": 3, "seconds": 0.1, "steady": True, "needed": 2, "call": 0.01},
    "turn": {"turn": {"calls": [1, 2], "dropped": 1, "total_ns": 2, "cpu_ns": 3, "wall_ns": 3}},
    "block": {"block": {"calls": 1, "total_ns": 1}},
    "profile": {"profile": {}},
    "memory": {"peak_rss_bytes": 1, "memory": {}},
}
MISSING = [(do, field) for do, answer in RIGHT.items() for field in answer if field != "reason"]


def _read(do: str, answer: Any, **arguments: Any) -> dict[str, Any]:
    return answers.read(json.dumps(answer).encode(), do, arguments)


def test_a_whole_answer_is_taken_as_it_is_with_whatever_else_it_says() -> None:
    assert RIGHT.keys() == answers.ANSWERS.keys()
    for do, answer in RIGHT.items():
        assert _read(do, answer | {"more": "than asked"}) == answer | {"more": "than asked"}
    assert _read("unload", {}) == {}


@pytest.mark.parametrize(("do", "field"), MISSING)
def test_an_answer_without_a_field_that_is_read_of_it_is_none(do: str, field: str) -> None:
    short = {key: value for key, value in RIGHT[do].items() if key != field}
    with pytest.raises(ValueError, match=f"missing required field `{field}`"):
        _read(do, short)


@pytest.mark.parametrize(
    ("wrong", "queue", "told"),
    [
        ({"cpu_ns": None}, False, "cpu_ns"),
        ({"wall_ns": 0}, False, "wall_ns"),
        ({"queued_ns": None}, True, "queued_ns"),
    ],
)
def test_a_turn_holds_what_a_probe_divides_by(
    wrong: dict[str, Any], queue: bool, told: str
) -> None:
    """Else a worker that leaves it out would end the run."""
    turn = RIGHT["turn"]["turn"] | {"queued_ns": 4}
    _read("turn", {"turn": turn}, queue=queue)
    with pytest.raises(ValueError, match=told):
        _read("turn", {"turn": turn | wrong}, queue=queue)
    short = {key: value for key, value in turn.items() if key not in wrong}
    with pytest.raises(ValueError, match=f"missing required field `{told}`"):
        _read("turn", {"turn": short}, queue=queue)


def test_who_warms_up_for_a_number_of_calls_need_not_say_how_many_it_needed() -> None:
    short = {"calls": 3, "seconds": 0.1, "steady": True}
    assert _read("warm", short, calls=3) == short
    with pytest.raises(ValueError, match="needed"):
        _read("warm", short, calls=None, limit=3.0)


@pytest.mark.parametrize(
    ("do", "wrong"),
    [
        ("open", {"protocol": 1}),
        ("open", {"manifest": [1]}),
        ("open", {"import": "soon"}),
        ("first", {"memory": {"allocated": "much"}}),
        ("turn", {"turn": {"calls": [1, 2], "dropped": 2, "total_ns": 0}}),
        ("turn", {"turn": {"calls": [1, 2], "dropped": -1, "total_ns": 0}}),
        ("turn", {"turn": {"calls": [1, -2], "dropped": 1, "total_ns": 2}}),
        ("turn", {"turn": {"calls": 2}}),
        ("block", {"block": {"calls": 0, "total_ns": 0}}),
        ("loss", {"loss": "small"}),
        ("turn", {"failed": "ok", "reason": "?"}),
        ("turn", {"failed": "crash", "reason": 7}),
    ],
)
def test_an_answer_that_no_record_could_hold_is_none(do: str, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        _read(do, RIGHT[do] | wrong)


def test_a_failure_needs_no_other_field() -> None:
    for do in RIGHT:
        assert _read(do, {"failed": "oom", "reason": None}) == {"failed": "oom", "reason": None}


def test_every_field_that_is_read_is_on_the_page_of_the_protocol() -> None:
    for do, answer in RIGHT.items():
        [row] = re.findall(rf"^\| `{do}` \|.*$", PAGE, re.MULTILINE)
        assert all(f"`{field}`" in row for field in answer)
