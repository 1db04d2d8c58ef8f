"""Energy: the machine's own meters are read as they are documented, or nothing is said."""

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import doctor
from harness.host import energy
from harness.record import records
from reports.pages import page
from reports.verdicts import analyse
from tests.support.choices import asked
from tests.support.gpu import FakeDriver
from tests.support.synthetic import edit_groups, write_run

Zones = Callable[..., Path]


@pytest.fixture(autouse=True)
def nobody_names_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


@pytest.fixture
def zones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zones]:
    """`zones(package=(joules, wraps), ...)`: what the kernel shows of a processor's meters."""
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    energy.meters.cache_clear()

    def put(**counters: tuple[float, float]) -> Path:
        for number, (name, (joules, wraps)) in enumerate(counters.items()):
            zone = tmp_path / f"intel-rapl:{number}"
            zone.mkdir(exist_ok=True)
            (zone / "name").write_text(name.replace("_", "-") + "\n")
            (zone / "energy_uj").write_text(f"{joules * 1e6:.0f}\n")
            (zone / "max_energy_range_uj").write_text(f"{wraps * 1e6:.0f}\n")
        return tmp_path

    yield put
    energy.meters.cache_clear()


def _later(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + seconds)


def test_packages_and_memory_are_added_and_parts_of_a_package_are_not(
    zones: Zones, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones(package_0=(100, 1000), core=(60, 1000), dram=(10, 1000), psys=(300, 1000))
    assert [m.name for m in energy.meters("cpu")] == ["package-0", "dram of intel-rapl:2"]
    meter = energy.Energy("cpu")
    zones(package_0=(103, 1000), core=(62, 1000), dram=(10.5, 1000), psys=(310, 1000))
    _later(monkeypatch, 0.04)
    assert meter.since() == pytest.approx(3.5)


def test_a_counter_that_starts_anew_is_seen_through(
    zones: Zones, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones(package_0=(999, 1000))
    meter = energy.Energy("cpu")
    zones(package_0=(2, 1000))
    _later(monkeypatch, 0.04)
    assert meter.since() == pytest.approx(3)


def test_the_same_counters_by_another_way_are_not_counted_twice(zones: Zones) -> None:
    twin = zones(package_0=(100, 1000)) / "intel-rapl-mmio:0"
    twin.mkdir()
    for name in ("name", "energy_uj", "max_energy_range_uj"):
        (twin / name).write_text((twin.parent / "intel-rapl:0" / name).read_text())
    assert len(energy.meters("cpu")) == 1


def test_what_may_not_be_read_is_no_meter_and_the_doctor_says_what_to_do(zones: Zones) -> None:
    (zones(package_0=(100, 1000)) / "intel-rapl:0/energy_uj").unlink()
    meter = energy.Energy("cpu")
    assert meter.since() is None
    [finding] = doctor._energy()
    assert finding.state == "note" and "chmod" in finding.advice


def test_a_machine_without_meters_has_nothing_to_tell(zones: Zones) -> None:
    zones()
    assert energy.Energy("cpu").since() is None
    assert list(doctor._energy()) == []


def test_a_turn_shorter_than_its_meter_can_tell_has_no_energy(
    zones: Zones, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A GPU's counter moves ten times a second: a block of training, and no turn of 40 ms."""
    zones(package_0=(100, 1000))
    driver = FakeDriver(nvmlDeviceGetTotalEnergyConsumption=5_000)  # millijoules
    monkeypatch.setitem(sys.modules, "pynvml", driver)
    assert [m.name for m in energy.meters("cuda:0")] == ["package-0", "gpu 0"]
    meter = energy.Energy("cuda:0")
    driver.answers["nvmlDeviceGetTotalEnergyConsumption"] = 45_000
    zones(package_0=(110, 1000))
    _later(monkeypatch, 0.04)
    assert meter.since() is None
    driver.answers["nvmlDeviceGetTotalEnergyConsumption"] = 4_045_000
    zones(package_0=(210, 1000))
    _later(monkeypatch, 20)
    assert meter.since() == pytest.approx(4100)


def test_a_gpu_that_does_not_count_leaves_no_half_of_the_energy(
    zones: Zones, monkeypatch: pytest.MonkeyPatch
) -> None:
    zones(package_0=(100, 1000))
    monkeypatch.setitem(sys.modules, "pynvml", FakeDriver())
    assert energy.meters("cuda:0") == ()


def _metered(group: dict[str, Any]) -> bool:
    for turns in group["turns"].values():
        for turn in turns:
            turn["energy_j"] = 16.0
    return True


def test_the_page_has_joules_where_they_were_measured_and_no_column_else(tmp_path: Path) -> None:
    run = records.read(write_run(tmp_path / "plain"))
    assert "energy/item" not in page.render(analyse(run))
    folder = write_run(tmp_path / "metered")
    edit_groups(folder, _metered)
    analysis = analyse(records.read(folder))
    # Two joules a call of eight, over a batch of 32, of 1, of 32 and of 4.
    found = {c.batch: c.cells[0].energy for c in analysis.comparisons}
    assert found == {32: 2 / 32, 1: 2.0, 4: 0.5}
    text = page.render(analysis)
    assert "energy/item" in text and ">500 mJ<" in text and ">2 J<" in text


JOULES = '[[objective]]\nmeasure = "energy"\nof = "training"\nweight = 1\n'


def test_less_energy_is_not_told_as_less_time(tmp_path: Path) -> None:
    """jax draws half of torch's joules, and takes longer."""
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})

    def draws(group: dict[str, Any]) -> bool:
        for name, turns in group["turns"].items():
            for turn in turns:
                turn["energy_j"] = 8.0 if name == "jax" else 16.0
        return True

    edit_groups(folder, draws)
    found = asked(folder, JOULES)
    assert found.of == "energy" and found.choice == "jax"
    assert "it takes 0.50x the energy of torch" in found.sentence and "time" not in found.sentence
    edit_groups(folder, lambda group: _still(group))
    assert asked(folder, JOULES).ranking == []  # a meter that stands still has measured nothing


def _still(group: dict[str, Any]) -> bool:
    for turns in group["turns"].values():
        for turn in turns:
            turn["energy_j"] = 0.0
    return True


def test_training_without_a_pause_is_metered_in_its_block(tmp_path: Path) -> None:
    folder = write_run(tmp_path)

    def block(group: dict[str, Any]) -> bool:
        if group["direction"] == "train":
            spell = {"calls": 100, "total_ns": 10**9, "made": 200, "energy_j": 4000.0}
            group["sustained"] = dict.fromkeys(group["turns"], spell)
        return _metered(group)

    edit_groups(folder, block)
    [trained] = [c for c in analyse(records.read(folder)).comparisons if c.direction == "train"]
    assert {cell.energy for cell in trained.cells} == {4000 / 200 / 4}
