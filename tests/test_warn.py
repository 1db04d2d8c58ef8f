"""Warnings: what a run's events say to the page's reader."""

from types import SimpleNamespace
from typing import Any

import pytest

from reports import warn

SPENT = {"what": "budget", "reason": "3 of 6 launches fit into 60 s"}
BUSY = {"what": "busy", "reason": "a load of 2.1 on 2 processors"}
RESUMED = {"what": "resumed", "reason": "after 4 launches"}


@pytest.mark.parametrize(
    "events, told",
    [
        ([BUSY, SPENT], [BUSY, SPENT]),
        ([BUSY, SPENT, RESUMED], [BUSY]),  # it had launches that were resumed beside that load
        ([SPENT, RESUMED, RESUMED, SPENT], [SPENT]),
        ([], []),
    ],
)
def test_a_budget_that_was_spent_is_told_until_the_run_is_resumed(
    events: list[dict[str, Any]], told: list[dict[str, Any]]
) -> None:
    shown = warn._events(SimpleNamespace(events=events))  # type: ignore[arg-type]
    assert [warning["what"] for warning in shown] == [event["reason"] for event in told]
