"""`bakeoff check` catches what newcomers do wrong, and names it; a new adapter is one file."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from adapters.core import skeleton
from adapters.core.base import Adapter
from adapters.core.reference import Reference
from harness.check import cases, conformance, expected
from harness.commands import adapt
from harness.errors import Wrong
from harness.paths import ROOT
from harness.plan import inventory
from harness.plan.inventory import Contender
from harness.process.processes import WorkerFailed
from harness.stats import comparable
from harness.worker.cell import Cell
from suites import catalogue
from tests.conftest import Typed

FAKES = ROOT / "tests" / "fakes"


def _bakeoff(*arguments: str, root: Path = ROOT, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness.cli", *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(FAKES), **more},
        capture_output=True,
        text=True,
        timeout=300,
    )


def _checked(*names: str, **more: Any) -> subprocess.CompletedProcess[str]:
    return _bakeoff("check", *names, "--python", "current", "--device", "cpu", "--json", **more)


def _checks(names: list[str], status: int, **more: Any) -> list[dict[str, Any]]:
    done = _checked(*names, **more)
    assert done.returncode == status, done.stdout + done.stderr
    return json.loads(done.stdout)


def _check(name: str, status: int, **more: Any) -> dict[str, Any]:
    [result] = _checks([name], status, **more)
    return result


# (adapter, stage, case, what is found, the usual cause)
MISTAKES = [
    ("early", "the file", "import", "imports wave", "__init__"),
    ("transposed", "arrays", "place, dump", "has shape", None),
    ("inner", "arrays", "place, dump", "is (2, 5, 4, 3): it must be logical", None),
    ("halved", "arrays", "place, dump", "is float16", None),
    ("lent", "arrays", "place, dump", "dump(place(image (2, 3, 5, 4))) shares memory", None),
    ("tongued", "the file", "__init__ and manifest", "expected a dict", None),
    ("swapped", "operations", "flatten,", "the output is off", "channel slowest"),
    ("leaky", "operations", "relu_of_the_input", "the output is off", "consume"),
    ("onesided", "operations", "conv3x3_stride2_even", "the output is off", "SAME"),
    ("rootless", "operations", "batch_norm_eps,", "the output is off", "eps"),
    ("stored", "operations", "other inputs into conv3x3", "the output is off", "anew"),
    ("shortened", "gradients", "fwd_bwd", "in a lower precision", "a framework's default"),
    ("longer", "gradients", "flatten", "1.0100 times", "one factor"),
    ("steep", "gradients", "relu_of_the_input", "times", "gradient at 0"),
    ("blocked", "gradients", "flatten", "gradient of input is missing", "stops at the input"),
    ("damped", "training", "linear,", "0.1000 times", "no dampening"),
    ("biased", "training", "batch_norm,", "batch-norm state bn.var", "unbiased"),
    (
        "remembering",
        "training",
        "other inputs into residual_down, train",
        "off",
        "an earlier input",
    ),
    ("sluggish", "training", "the third step of residual_down", "is off", "momentum * v"),
    ("sharing", "training", "after a restore", "is off", "fresh arrays"),
    ("hasty", "clock", "sync", "does not wait", "must wait"),
    ("lossalone", "clock", "sync, fwd_bwd", "does not wait", "the gradients as well"),
    ("lazy", "clock", "sync, infer", "until its result is asked for", "evaluate"),
    (
        "silent",
        "manifest",
        "manifest",
        "nothing of conv_precision, matmul_precision, threads",
        "say",
    ),
    ("folding", "operations", "second call of batch_norm", "the output is off", "in place"),
]


@pytest.mark.parametrize("stage", list(dict.fromkeys(stage for _, stage, *_ in MISTAKES)))
def test_a_mistake_is_caught_where_it_first_shows_and_named(stage: str) -> None:
    mistakes = [mistake for mistake in MISTAKES if mistake[1] == stage]
    results = _checks([mutant for mutant, *_ in mistakes], status=1)
    for (mutant, _, case, what, cause), result in zip(mistakes, results, strict=True):
        finding = result["finding"]
        assert result["contender"] == mutant and not result["ok"]
        assert finding["stage"] == stage, (mutant, finding)
        assert case in finding["case"], (mutant, finding)
        assert what in finding["what"], (mutant, finding)
        assert cause is None or cause in finding["cause"], (mutant, finding)


def test_one_operation_that_is_broken_is_the_one_that_is_named() -> None:
    """No case before its own asks for it; and of a crash nobody guesses at figures."""
    broken = {
        "lost": "not finite",
        "empty": "crash: AttributeError",
        "quits": "crash: ended with exit status 3",
        "leaves": "crash: ended with exit status 0",
    }
    for result in _checks([*broken], status=1):
        finding, what = result["finding"], broken[result["contender"]]
        assert finding["case"].startswith("add, infer"), finding
        assert what in finding["what"], finding
        assert finding["cause"] is None, finding
        assert what == "not finite" or finding["evidence"] == "it ran add, flatten", finding


def test_an_operation_is_first_asked_for_where_all_else_was_found_right() -> None:
    """So that what a check calls wrong is what is wrong; convolutions come many to an image."""
    known: set[str] = set()
    for workload in catalogue.load().values():
        if workload.kind == "check":
            asked = set(cases.operations(workload, training=False))
            assert len(asked - known) <= 1 or workload.name == "check_flatten", workload.name
            known |= asked


def test_what_is_asked_of_a_manifest_is_what_decides_who_is_ranked_and_a_skeleton_says_it() -> None:
    asked = {*conformance.TOLD, *conformance.TOLD_ON_A_GPU}
    assert asked == {*comparable.MATTERS} - {"deterministic"}  # which most have no mode for
    assert all(f'"{key}": ' in skeleton.source("toy") for key in asked)


@pytest.mark.alone
def test_an_adapter_that_takes_more_threads_than_it_was_told_is_caught() -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("one core: nobody can keep two busy")
    for _ in range(3):  # where another program holds the second core, nobody keeps two busy
        done = _checked("greedy")
        if done.returncode:
            break
    finding = json.loads(done.stdout)[0]["finding"]
    assert done.returncode == 1 and finding["stage"] == "clock"
    assert "cores busy" in finding["what"] and "in __init__" in finding["cause"]


def test_who_answers_in_float32_where_bfloat16_was_asked_for_is_caught() -> None:
    """As a run calls it incomparable."""
    done = _checked("unlowered", "--precision", "bfloat16")
    finding = json.loads(done.stdout)[0]["finding"]
    assert done.returncode == 1 and finding["case"].startswith("linear, infer")
    assert "that of float32, bfloat16 was asked for" in finding["what"]
    assert "for the backward pass too" in finding["cause"]


def test_on_one_processor_nobody_is_seen_to_keep_to_one_thread() -> None:
    check = conformance.Check(Contender("numpy"), "cpu", "float32", True)
    check.launcher = SimpleNamespace(cpus=[0])  # type: ignore[assignment]
    finding = check._one_thread()
    assert finding is not None and finding.unsupported and "one processor" in finding.what


def test_the_worst_element_is_shown_with_what_was_expected() -> None:
    evidence = _check("swapped", status=1)["finding"]["evidence"]
    assert re.fullmatch(r"output\[\d+, \d+\]: expected -?[\d.e-]+, got -?[\d.e-]+", evidence)


def test_what_is_right_passes_every_stage() -> None:
    result = _check("numpy", status=0)
    assert result["ok"]
    assert list(result["done"]) == [
        "the file", "arrays", "operations", "gradients", "training", "blocks", "clock",
        "manifest",
    ]  # fmt: skip
    assert min(result["done"][stage] for stage in ("operations", "gradients", "training")) > 20


def test_each_stage_is_told_as_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an operation hangs, a log says how far it came."""
    shown, seen = StringIO(), []

    def step() -> None:
        seen.append(shown.getvalue())

    class Three:
        def __init__(self, *_: Any) -> None: ...
        def __enter__(self) -> "Three":
            return self

        def __exit__(self, *_: object) -> None: ...
        def steps(self) -> list[conformance.Step]:
            return [conformance.Step(stage, "", step) for stage in ("arrays", "arrays", "clock")]

    monkeypatch.setattr(conformance, "Check", Three)
    result = adapt._checked(Contender("toy"), "cpu", "float32", True, Console(file=shown), False)
    assert result["done"] == {"arrays": 2, "clock": 1}
    assert ["arrays: 2" in text for text in seen] == [False, False, True]
    assert shown.getvalue().count("right") == 2


class Answering:
    """A worker whose every answer is right, or that has no memory."""

    dead = None

    def __init__(self, able: bool):
        self.able = able

    def ask(self, do: str, *_: Any, **__: Any) -> dict[str, Any]:
        if not self.able:
            raise WorkerFailed("oom", "no memory")
        oracle = {"ran": "float32", "ran_error": 1e-7}
        return {"ok": True, "reason": None, "manifest": {}, "oracle": oracle}


class Shared(expected.Expected):
    """Answers of a reference that can do all, or nothing."""

    def __init__(self, able: bool):
        super().__init__()
        self.able = able

    @property
    def worker(self) -> Any:
        return Answering(self.able)


def test_a_reference_that_does_not_open_is_one_line_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(*_: Any) -> None:
        raise WorkerFailed("oom", "no memory")

    monkeypatch.setattr(expected.oracle, "open_reference", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    linear = catalogue.get("check_linear")
    with (
        pytest.raises(Wrong, match="the reference does not open: oom: no memory"),
        expected.Expected() as shared,
    ):
        shared.of(linear, "infer")
    assert not list(tmp_path.iterdir())


def test_where_the_reference_fails_nothing_is_said_of_the_adapter(tmp_path: Path) -> None:
    check = conformance.Check(Contender("numpy"), "cpu", "float32", True)
    workload, check.folder = catalogue.get("check_linear"), tmp_path
    check._worker, check.expected = Answering(True), Shared(False)  # type: ignore[assignment]
    step = check._operation("operations", workload, "infer")
    with pytest.raises(Wrong, match="the reference failed in check_linear, infer: oom: no memory"):
        step.run()
    check._worker, check.expected = Answering(False), Shared(True)  # type: ignore[assignment]
    finding = step.run()
    assert finding is not None and finding.what == "oom: no memory"


def test_what_an_adapter_ran_with_is_not_right_unseen_and_the_clock_s_call_tells_it() -> None:
    check = conformance.Check(Contender("numpy"), "cpu", "float32", True)
    finding = check._says()
    assert finding is not None and "no call of it ran" in finding.what
    assert not finding.unsupported
    check._worker = Answering(True)  # type: ignore[assignment]
    assert check._waits("infer") is None
    finding = check._says()
    assert finding is not None and "nothing of conv_precision" in finding.what


def test_the_log_of_a_worker_that_died_is_not_its_successor_s() -> None:
    """What it printed says why; what is shown is of the one that is asked."""
    with conformance.Check(Contender("numpy"), "cpu", "float32", True) as check:
        first = check.worker
        first.log.write_text("why it died\n")
        assert check.printed() == ["why it died"]
        first.kill()
        assert check.worker.log != first.log
        assert first.log.read_text() == "why it died\n"
        assert check.logs == first.log.parent == check.worker.log.parent
        check.worker.log.write_text("another\n")
        assert check.printed() == ["another"]


def test_a_version_that_is_absent_is_advised_to_be_made() -> None:
    check = conformance.Check(Contender("torch", "1.0"), "cpu", "float32", False)
    with pytest.raises(conformance.Refused, match=r"run `bakeoff setup torch@1\.0`"):
        check._not_early()


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "threelayer"])
def test_a_training_is_followed_only_where_float32_can_follow_it(name: str) -> None:
    """Weights off by float32's rounding, all else in float64: does the third loss stay?"""

    def third_loss(nudge: float) -> float:
        reference = Reference()
        place, rng = reference.place, np.random.default_rng(0)

        def nudged(array: np.ndarray, role: str, groups: int = 1) -> Any:
            if role != "labels":
                array = array * (1 + nudge * rng.standard_normal(array.shape))
            return place(array, role, groups)

        reference.place = nudged  # type: ignore[method-assign]
        workload = catalogue.get(name).resized(expected.SMALL.get(name))
        cell = Cell(reference, workload, 3, "train")
        cell.build()
        for _ in range(conformance.STEPS):
            result = cell.step()
        return cell.loss(result) or 0.0

    moved = abs(third_loss(1e-7) / third_loss(0.0) - 1)
    assert (moved > 1e-3) if name in conformance.CHAOTIC else (moved < 1e-5)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        (("check",), "or give --all"),
        (("check", "nowhere"), "unknown contender"),
        (("check", "null"), "null computes nothing, by design"),
        (("check", "numpy", "--precision", "float8"), "expected one of"),
        (("check", "numpy", "--device", "cuda:7"), "expected one of"),
        (("check", "numpy@1.0", "--python", "current"), "this Python has one version of each"),
        (("setup", "--device", "tpu"), "expected cpu or cuda"),
        (("new-adapter", "Not-A-Name"), "expected small letters"),
        (("new-adapter", "numpy"), "is there already"),
        (("new-adapter", "core"), "is there already"),
    ],
)
def test_wrong_input_is_one_line_and_status_two(
    typed: Typed, arguments: tuple[str, ...], advice: str
) -> None:
    done = typed(*arguments)
    assert done.returncode == 2
    assert advice in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- from a skeleton to a ranked place ----------------------------------------------------------

# What a newcomer writes: an inference engine in plain NumPy, images as they come.
BODIES = {
    "shape": "return x.shape",
    "linear": "return x @ weight.T + (0 if bias is None else bias)",
    "batch_norm": """def c(v):
            return v[:, None, None]
        return (x - c(mean)) / np.sqrt(c(var) + np.float32(eps)) * c(scale) + c(shift)""",
    "relu": "return np.maximum(x, 0)",
    "add": "return a + b",
    "conv2d": """windows = self._windows(x, weight.shape[2:], stride, padding, 0)
        n, c, h, w = windows.shape[:4]
        windows = windows.reshape(n, groups, c // groups, h, w, *windows.shape[4:])
        kernel = weight.reshape(groups, -1, *weight.shape[1:])
        y = np.einsum("ngchwij,gocij->ngohw", windows, kernel, optimize=True)
        y = y.reshape(n, -1, h, w)
        return y if bias is None else y + bias[:, None, None]""",
    "max_pool": "return self._windows(x, kernel, stride, padding, -np.inf).max((4, 5))",
    "avg_pool": "return self._windows(x, kernel, stride, padding, 0).mean((4, 5))",
    "global_avg_pool": "return x.mean((2, 3))",
    "concat": "return np.concatenate(xs, 1)",
    "flatten": "return x.reshape(len(x), -1)",
    "place": "return np.array(value, dtype=None if role == 'labels' else self.precision)",
    "dump": "return np.array(handle)",
    "clone": "return array.copy()",
    "infer": "return lambda params, x: Network(self, params).run(workload, x)",
}
WINDOWS = """
    def _windows(self, x, kernel, stride, padding, value):
        (p, q), (s, t) = padding, stride
        x = np.pad(x, [(0, 0), (0, 0), (p, p), (q, q)], constant_values=value)
        return np.lib.stride_tricks.sliding_window_view(x, kernel, (2, 3))[:, :, ::s, ::t]
"""


def _written(text: str, operations: list[str]) -> str:
    """The skeleton with these bodies filled in."""
    for name in operations:
        text = text.replace(f'raise NotImplementedError("{name}")', BODIES[name])
    return text


def test_a_skeleton_has_every_operation_and_verb_and_says_which_comes_next() -> None:
    text = skeleton.source("my_framework")
    compile(text, "my_framework.py", "exec")
    assert "class MyFramework(Adapter):" in text
    for name in (*BODIES, "zeros_like", "gradients", "train", "cross_entropy", "batch_norm_train"):
        assert f'raise NotImplementedError("{name}")' in text
        assert inspectable(name) in text


def inspectable(name: str) -> str:
    """The first words of an operation's own docstring."""
    from adapters.core.algebra import Operations

    doc = getattr(Operations, name, None) or getattr(Adapter, name)
    return (doc.__doc__ or "").strip().splitlines()[0][:40]


def test_a_new_framework_goes_from_skeleton_to_a_ranked_place_in_one_file(tmp_path: Path) -> None:
    for folder in ("adapters", "harness", "suites", "reports"):
        skip = shutil.ignore_patterns("__pycache__", "raw", "html")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    done = _bakeoff("new-adapter", "toy", root=tmp_path)
    assert done.returncode == 0, done.stderr
    file = tmp_path / "adapters" / "toy.py"
    before = {p: p.read_bytes() for p in tmp_path.rglob("*.py") if p != file}

    def check() -> dict[str, Any]:
        arguments = ("check", "toy", "--python", "current", "--device", "cpu", "--json")
        done = _bakeoff(*arguments, root=tmp_path)
        return json.loads(done.stdout)[0]

    empty = file.read_text().replace("trains = True", "trains = False")
    file.write_text(empty)
    assert "NotImplementedError: place" in check()["finding"]["what"]

    usual = [name for name in BODIES if name != "max_pool"]
    file.write_text(_written(empty, usual) + WINDOWS)
    missing = check()["finding"]
    assert "max_pool2, infer" in missing["case"]
    assert "NotImplementedError: max_pool" in missing["what"]
    assert "still to be written" in missing["cause"]

    file.write_text(_written(empty, [*BODIES]) + WINDOWS)
    result = check()
    assert result["ok"], result
    assert len(file.read_text().splitlines()) < 250

    suite = tmp_path / "small.toml"
    suite.write_text('title = "Small"\n[[compare]]\nworkload = "lenet5"\nbatch = 2\n')
    done = _bakeoff(
        "run", "-c", "toy,numpy", "--suite", str(suite), "--python", "current", "--device", "cpu",
        "--launches", "2", "--run-id", "toys", root=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shown = json.loads(_bakeoff("show", "toys", "--json", root=tmp_path).stdout)
    comparison = next(c for c in shown["comparisons"] if c["direction"] == "infer")
    cells = {cell["contender"]: cell["status"] for cell in comparison["cells"]}
    assert cells["toy"] == "ok"
    assert any({ratio["a"], ratio["b"]} == {"toy", "numpy"} for ratio in comparison["ratios"])
    assert "toy" in (tmp_path / "reports" / "html" / "toys.html").read_text()
    assert all(p.read_bytes() == old for p, old in before.items())


def test_nobody_to_check_is_no_success(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "contenders", lambda *_: [])
    told = typed("check", "--all", "--device", "cpu")
    assert told.returncode == 2 and "no contender can run on cpu" in told.stderr
