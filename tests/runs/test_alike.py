"""Claims about what is not alike in two runs, and about drift, which a day brings by itself."""

import json
from pathlib import Path

import pytest

from harness.record import records
from reports.pages import compare_page
from reports.runs import several
from tests.conftest import Typed
from tests.support.synthetic import write_run
from tests.support.two import BOTH, compared, elsewhere, pair, versions


def _recorded(
    folder: Path, code: str = "c0de", codes: dict[str, str] | None = None, **packages: list[str]
) -> None:
    """A run whose records say what code it ran, and what each environment held."""
    plan = json.loads((folder / "plan.json").read_text())
    plan["fingerprint"] = {"code": code, "machine": "here x86_64 A processor"}
    for contender in plan["contenders"]:
        contender["code"] = (codes or {}).get(contender["name"], "")
    (folder / "plan.json").write_text(json.dumps(plan))
    document = json.loads((folder / "environment.json").read_text())
    for name, seen in document["contenders"].items():
        held = packages.get(name, [f"{name}==1.2"])
        held = ["# CPython 3.11.7, linux x86_64", *held]
        seen["environment"] = {"name": f"{name}-cpu", "packages": held, "installed_bytes": 10**9}
    (folder / "environment.json").write_text(json.dumps(document))


def test_of_whom_nothing_changed_nobody_says_that_he_became_slower(
    typed: Typed, tmp_path: Path
) -> None:
    """Identical contenders moved by 14% from one hour to the next on a shared machine."""
    for folder in pair(tmp_path, {"jax": 1.5 * 1.14}):
        _recorded(folder)
    found = compared(tmp_path / "old", tmp_path / "new", anchor="torch")
    assert {c.verdict for c in found.changes if c.contender == "jax"} == {"drift"}
    assert "of 8: 4 stayed, 4 drift; by a margin of 3%." in found.sentence
    assert (
        "Nothing recorded about these contenders differs" in found.sentence
        and "up to 14%" in found.sentence
    )
    assert typed(*BOTH, "--anchor", "torch", "--fail-on", "slower").returncode == 0
    assert "although nothing recorded of it changed" in compare_page.render(found)


@pytest.mark.parametrize(
    ("by", "verdict", "status"),
    [(1.1, "perhaps_slower", 0), (1.5, "perhaps_slower", 0), (5, "materially_slower", 1)],
)
def test_what_drift_reaches_is_not_held_against_an_upgrade(
    typed: Typed, tmp_path: Path, by: float, verdict: str, status: int
) -> None:
    for folder in pair(tmp_path, {"jax": 1.5 * 1.14, "torch": by}):
        _recorded(folder)
    versions(tmp_path / "new", torch="2.13")
    found = compared(tmp_path / "old", tmp_path / "new", anchor="tensorflow")
    assert {c.verdict for c in found.changes if c.contender == "torch"} == {verdict}
    assert "jax moved by up to 14% though nothing recorded of it changed" in found.sentence
    assert "with one such yardstick a change below 3" in found.sentence
    gate = typed(*BOTH, "--anchor", "tensorflow", "--fail-on", "slower")
    assert gate.returncode == status


@pytest.mark.parametrize("what", ["code", "packages", "kernel"])
def test_where_something_recorded_changed_a_change_is_a_change(tmp_path: Path, what: str) -> None:
    """The same version, but another adapter, another jaxlib, another kernel."""
    old, new = pair(tmp_path, {"jax": 1.5 * 1.14})
    _recorded(old)
    _recorded(new, **{"code": {"code": "beef"}, "packages": {"jax": ["jaxlib==9"]}}.get(what, {}))
    for folder, kernel in ((old, "6.1"), (new, "6.1" if what != "kernel" else "6.2")):
        elsewhere(folder, kernel=kernel)
    found = compared(old, new, anchor="torch")
    assert {c.verdict for c in found.changes if c.contender == "jax"} == {"materially_slower"}
    told = {
        "code": "Bakeoff's own code, all of it: c0de → beef",
        "packages": "packages of jax-cpu: jax 1.2 → -, jaxlib - → 9",
        "kernel": "the machine's kernel: 6.1 → 6.2",
    }
    assert found.differences == [told[what]]


@pytest.mark.parametrize(
    ("changed", "verdict", "told"),
    [
        ("", "drift", "but nothing that runs for these"),
        ("torch", "drift", "of what runs for torch"),
        ("jax", "materially_slower", "of what runs for jax"),
    ],
)
def test_after_an_update_of_bakeoff_who_runs_what_he_ran_is_still_the_yardstick(
    tmp_path: Path, changed: str, verdict: str, told: str
) -> None:
    """Another page, or another's adapter, moves nobody."""
    names = ("torch", "torch:compile", "jax", "tensorflow", "numpy")
    before = dict.fromkeys(names, "aa")
    old, new = pair(tmp_path, {"jax": 1.5 * 1.14})
    _recorded(old, codes=before)
    _recorded(new, code="beef", codes=before | ({changed: "bb"} if changed else {}))
    found = compared(old, new, anchor="tensorflow")
    assert {c.verdict for c in found.changes if c.contender == "jax"} == {verdict}
    assert found.differences == [f"Bakeoff's own code, {told}: c0de → beef"]


def test_a_hash_of_an_older_form_tells_neither_same_nor_other(tmp_path: Path) -> None:
    runs = [write_run(tmp_path / name) for name in ("old", "new", "newer")]
    for folder, operations in zip(runs, ("aa", "2:bb", "2:cc"), strict=True):
        plan = json.loads((folder / "plan.json").read_text())
        plan["comparisons"][0]["operations"] = operations
        (folder / "plan.json").write_text(json.dumps(plan))
    old, new, newer = (records.read(folder) for folder in runs)
    assert not several.changed_work([old, new]) and several.changed_work([new, newer])
    assert several.changed_work([old, new, newer])


def test_other_operations_under_one_name_are_not_compared(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {})
    for folder, operations in ((old, "aa"), (new, "bb")):
        plan = json.loads((folder / "plan.json").read_text())
        plan["comparisons"][0]["operations"] = operations
        plan["comparisons"][1]["operations"] = "cc"
        (folder / "plan.json").write_text(json.dumps(plan))
    changed, *others = (c["id"] for c in plan["comparisons"])
    found = compared(old, new, anchor="torch")
    assert {c.comparison for c in found.changes} == set(others)
    assert found.only_old == found.only_new == [changed]
    work = changed.removesuffix("/cpu")
    told = f"{work}: other operations under that name, so it is not compared"
    assert told in found.differences


def test_of_gpus_what_differs_is_told_and_twins_are_not(tmp_path: Path) -> None:
    old, new = pair(tmp_path, {})
    for folder, version, driver in ((old, "2.12", "550.1"), (new, "2.13", "560.2")):
        versions(folder, **{"torch": version, "torch#2": version})
        gpu = {"name": "A GPU", "memory_bytes": 8e10, "driver": driver, "power_limit_watts": 700.0}
        elsewhere(folder, gpu=[gpu])
    told = ["torch: 2.12 → 2.13", "the machine's GPU 0: driver 550.1 → 560.2"]
    assert compared(old, new).differences == told
