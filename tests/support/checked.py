"""An old system's adapter under `bakeoff check`, as its tests want it: opened, and held."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from adapters.core import discovery
from harness.check.conformance import Check
from harness.install import environments
from harness.plan import inventory


@contextmanager
def opened(name: str, precision: str = "float32") -> Iterator[Check]:
    """A check of an adapter in its own environment; where it is absent the test is skipped."""
    reason = discovery.adapter_class(name).missing("")
    if reason is None and environments.python_of(name, "cpu") is None:
        reason = environments.why_absent(name, "cpu")
    if reason is not None:
        pytest.skip(reason)
    with Check(inventory.parse(name), "cpu", precision, current=False) as check:
        yield check


def held(check: Check, refused: set[str], words: str, stages: set[str] | None = None) -> None:
    """Every step of these stages (all) is right, or `refused` with a reason that begins so."""
    wrong, seen, done = [], set(), set()
    for step in check.steps():
        if stages is not None and step.stage not in stages:
            continue
        done.add(step.stage)
        finding = step.run()
        if finding is not None and finding.unsupported:
            if step.name == "one thread is one thread":  # said of the machine
                continue
            seen.add(step.name.partition(",")[0])
            assert finding.what.startswith(words)
        elif finding is not None:
            wrong.append(f"{step.name}: {finding.what}")
    assert not wrong, "\n".join(wrong)
    assert seen == refused
    assert done == (stages or done) and done
