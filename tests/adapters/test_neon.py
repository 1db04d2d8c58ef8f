"""Claims about neon: what it can say is right, what it cannot is refused, where it is absent it
is said what to install. Neon itself is tried where NEON_HOME names a checkout; a stand-in that
speaks its interface, with arithmetic of its own, always."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters import neon
from adapters.neon import HOME, Neon
from harness.check.conformance import Check
from harness.paths import ROOT
from harness.plan import inventory
from suites import catalogue
from tests.support.checked import held, opened

STAND_IN = ROOT / "tests/fakes/nervana"
REFUSED = {
    "conv3x3_groups2", "conv3x3_groups2_stride2", "depthwise3x3", "depthwise3x3_stride2_even",
    "depthwise3x3_stride2_odd", "depthwise_doubled", "avg_pool3_padded",
    "avg_pool3_stride2_padded", "mobilenet_block",
}  # fmt: skip


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[Check]:
    monkeypatch.setenv(HOME, str(STAND_IN))
    with Check(inventory.parse("neon"), "cpu", "float32", current=True) as found:
        yield found


@pytest.fixture
def check() -> Iterator[Check]:
    with opened("neon") as found:
        yield found


def test_every_operation_and_gradient_and_step_is_right_or_refused(stand_in: Check) -> None:
    stages = {"arrays", "operations", "gradients", "training", "blocks"}
    held(stand_in, REFUSED, "neon's", stages)


def test_so_it_is_of_neon_itself(check: Check) -> None:
    held(check, REFUSED, "neon's")


def test_whole_networks_are_right(check: Check) -> None:
    for name in ("lenet5", "resnet20"):
        for direction in ("infer", "train"):
            finding = check._right(catalogue.get(name), direction)
            assert finding is None, f"{name}, {direction}: {finding}"


def test_where_it_is_absent_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(HOME, str(tmp_path))
    reason = Neon.missing("")
    assert reason is not None and "clone github.com/NervanaSystems/neon" in reason
    assert "appdirs future" in reason and HOME in reason and "\n" not in reason
    assert Neon.version() is None
    assert Neon.variants[""].joins == ()  # a run of everyone leaves it out


def test_what_neon_needs_is_looked_for_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOME, str(STAND_IN))
    assert Neon.missing("") is None
    monkeypatch.setattr(neon, "NEEDS", ("appdirs", "no_such_module"))
    reason = Neon.missing("")
    assert reason is not None and "needs no_such_module" in reason


def test_a_checkout_tells_its_version_without_being_imported(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(HOME, str(STAND_IN))
    assert Neon.version() == "0.0.1"
