"""Claims about profiles: what is seen of each framework, what it comes to, and what cannot hurt."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from adapters import jax
from adapters.core import profiling, xla
from adapters.core.base import Unsupported
from harness.host import machine
from harness.process.processes import WorkerFailed, WorkerProcess
from harness.record import records
from harness.run import cold
from harness.worker.worker import Worker
from reports import verdicts
from reports.comparison import why
from reports.pages import page
from tests.support import inside
from tests.support.synthetic import edit_groups, write_run

HOSTILE = "</script><script>alert('kernel')</script><img src=x onerror=alert(1)>"


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("aten::mkldnn_convolution", "convolution"),
        ("aten::convolution_backward", "convolution"),
        ("aten::native_batch_norm_backward", "normalisation"),
        ("aten::max_pool2d_with_indices", "pooling"),
        ("aten::addmm", "matrix product"),
        ("aten::mkldnn_linear", "matrix product"),
        ("aten::add_", "elementwise"),
        ("aten::threshold_backward", "elementwise"),
        ("aten::copy_", "copy"),
        ("## Call CompiledFxGraph fp3u ##", "fused"),
        ("triton_poi_fused_convolution_relu_0", "elementwise"),
        ("triton_red_fused__native_batch_norm_legit_convolution_3", "normalisation"),
        ("sm90_xmma_fprop_implicit_gemm_f32f32", "convolution"),
        ("ampere_sgemm_128x64_tn", "matrix product"),
        ("autograd::engine::evaluate_function: ConvolutionBackward0", "other"),
        ("CompiledFunctionBackward", "other"),
        ("AOTDispatcher Runtime Wrapper Prologue", "other"),
        ("ynn_fusion.15: convolution", "convolution"),
        ("ynn_fusion.14: reduce", "elementwise"),
        ("wrapped_reduce-window: reduce-window, reduce_window_max", "pooling"),
        ("wrapped_reduce-window.1: reduce-window", "elementwise"),
        ("wrapped_reduce-window.2: reduce-window, select_and_scatter", "pooling"),
        ("transpose_copy_fusion.3: transpose, copy", "copy"),
        ("transpose_copy_fusion.1: multiply, subtract, transpose, copy", "elementwise"),
        ("dot.1: dot", "matrix product"),
        ("copy.20: copy", "copy"),
        ("Conv2D:_MklNativeConv2D", "convolution"),
        ("gradient_tape/FusedBatchNormGradV3:_MklNativeFusedBatchNormGradV3", "normalisation"),
        ("MatMul:_MklMatMul", "matrix product"),
        ("gradient_tape/transpose/transpose:_MklTranspose", "copy"),
        ("SGD/ResourceApplyMomentum:ResourceApplyMomentum", "elementwise"),
        ("gradient_tape/ReluGrad:ReluGrad", "elementwise"),
        ("ReadVariableOp_5:ReadVariableOp", "other"),
        ("conv2d, gradient", "convolution"),
        ("depthwise, gradient", "convolution"),
        ("global_avg_pool", "pooling"),
        ("nobody knows", "other"),
    ],
)
def test_a_name_as_a_profiler_gives_it_is_put_into_its_kind(name: str, kind: str) -> None:
    assert profiling.kind_of(name) == kind


def test_a_moment_counts_once_however_many_spans_hold_it() -> None:
    nested = [("outer", 0, 10), ("inner", 2, 5), ("elsewhere", 4, 6), ("later", 12, 13)]
    found = {name: seconds for name, seconds, _ in profiling.shares(nested, 1.0)}
    assert found == {"outer": 6, "inner": 2, "elsewhere": 2, "later": 1}


def test_work_that_goes_on_elsewhere_lasts_until_its_end_is_told() -> None:
    spans = [("conv", 0, 1), ("end: conv", 50, 51), ("add", 51, 53), ("end: add", 53, 54)]
    assert xla.closed(spans) == [("conv", 0, 50), ("add", 51, 53)]


def test_a_fusion_is_told_by_what_it_is_made_of() -> None:
    text = """HloModule jit_step
%fused_computation.1 (a: f32[2], b: f32[2]) -> f32[2] {
  %a = f32[2]{0} parameter(0)
  ROOT %c.2 = f32[2]{0} convolution(%a, %a), window={size=1}
}
ENTRY %main (x: f32[2]) -> f32[2] {
  %x = f32[2]{0} parameter(0)
  ROOT %ynn_fusion = f32[2]{0} fusion(%x), kind=kCustom, calls=%fused_computation.1
}
"""
    told = xla.described(xla.program(text))
    assert told["ynn_fusion"] == "ynn_fusion: convolution"


def test_a_search_for_the_places_of_maxima_is_the_gradient_of_a_pool() -> None:
    """As XLA takes it apart; a sum that XLA writes as windows returns one thing alone."""
    text = """%wrapped_computation (a: f32[4], b: s32[4]) -> (f32[2], s32[2]) {
  ROOT %r.1 = (f32[2]{0}, s32[2]{0}) reduce-window(%a, %b, %c, %d), to_apply=%region
}
ENTRY %main (x: f32[4]) -> f32[2] {
  %wrapped_reduce-window = (f32[2]{0}, s32[2]{0}) fusion(%x, %i), calls=%wrapped_computation
  ROOT %sum = f32[2]{0} reduce-window(%x, %c), to_apply=%add
}
"""
    told = xla.described(xla.program(text))
    assert profiling.kind_of(told["wrapped_reduce-window"]) == "pooling"
    assert profiling.kind_of(told["sum"]) == "elementwise"


def test_the_longest_are_kept_and_the_rest_are_summed() -> None:
    found = profiling.summary([(f"aten::add {i}" + "x" * 300, 1.0, 2) for i in range(50)])
    assert len(found["events"]) == profiling.SHOWN + 1
    assert found["events"][-1] == {
        "name": "(20 more)", "kind": "other", "seconds": 20.0, "count": 40
    }  # fmt: skip
    assert found["by_kind"] == {"elementwise": 50.0}
    assert max(len(event["name"]) for event in found["events"]) == profiling.LONGEST_NAME


DIRECTIONS = [("torch", "train"), ("jax", "train"), ("tensorflow", "train"), ("numpy", "train")]


@pytest.mark.parametrize(("adapter", "direction"), [*DIRECTIONS, ("numpy", "infer")])
def test_a_framework_s_own_profiler_sees_the_convolutions(
    adapter: str, direction: str, tmp_path: Path
) -> None:
    python = inside.python_of(adapter)
    environment = machine.worker_environment("cpu", 1, tmp_path / "cache")
    worker = WorkerProcess(python, environment, tmp_path / "log.txt")
    try:
        how = {"variant": "", "device": "cpu", "precision": "float32", "threads": 1}
        worker.ask("open", adapter=adapter, **how)
        worker.ask("load", workload="resnet_basic", batch=2, direction=direction)
        worker.ask("first")
        profile = worker.ask("profile")["profile"]
        again = worker.ask("turn", calls=2, latency=True, queue=False)  # from the start state
    finally:
        worker.close()
    by_kind = profile["by_kind"]
    assert max(by_kind, key=lambda kind: by_kind[kind]) == "convolution"
    assert 0.5 < sum(by_kind.values()) / profile["profiled_s"] < 1.1
    assert sum(by_kind.values()) == pytest.approx(sum(e["seconds"] for e in profile["events"]))
    assert len(again["turn"]["calls"]) == 2


def test_an_adapter_without_a_profiler_says_so() -> None:
    worker = Worker()
    worker.open("null", "", "cpu", "float32", 1)
    worker.load("resnet_basic", 1, "infer")
    with pytest.raises(Unsupported, match="no profiler"):
        worker.profile()


class Failing:
    def __init__(self, status: str):
        self.status = status

    def ask(self, do: str, timeout: float | None = None, **_: Any) -> dict[str, Any]:
        raise WorkerFailed(self.status, "as it was told to")


@pytest.mark.parametrize("status", ["crash", "timeout", "unsupported"])
def test_a_profiler_that_fails_is_a_reason_and_nothing_more(status: str) -> None:
    worker: Any = Failing(status)
    small: Any = SimpleNamespace(direction="infer", batch=1, cost=None)
    assert cold._profile(worker, small) == {"failed": f"{status}: as it was told to"}


def _run(folder: Path, profiles: dict[str, Any]) -> records.Run:
    """A run of two, jax twice as slow, with these profiles in every headline cell."""
    write_run(folder, {"torch": 1.0, "jax": 2.0})
    for path in folder.glob("records-*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["kind"] == "cell" and line["pass"] == "warm":
                line["profile"] = profiles.get(line["contender"])
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return records.read(folder)


def _profile(name: str = "aten::conv", wall: float = 1.0, **by_kind: float) -> dict[str, Any]:
    events = [{"name": name, "kind": k, "seconds": s, "count": 1} for k, s in by_kind.items()]
    return {"wall_s": wall, "profiled_s": wall, "events": events, "by_kind": by_kind}


def test_the_sentence_names_what_the_difference_is_made_of(tmp_path: Path) -> None:
    profiles = {
        "torch": _profile(wall=0.010, convolution=0.005, elementwise=0.005),
        "jax": _profile(wall=0.020, convolution=0.014, elementwise=0.006),
    }
    found = verdicts.analyse(_run(tmp_path / "run", profiles)).profiled
    assert len(found) == 2
    assert len(found[0].sentences) == 1
    assert found[0].sentences[0].startswith("jax takes 2.0")
    assert "90% of the difference is convolution (14" in found[0].sentences[0]
    for one in found[0].profiled:
        assert sum(one.by_kind.values()) == pytest.approx(one.seconds)


def test_who_is_not_told_apart_has_no_difference_to_explain(tmp_path: Path) -> None:
    """Its profile may well differ: by the luck of the one call that was profiled."""
    profiles = {
        "torch": _profile(wall=0.010, convolution=0.005, elementwise=0.005),
        "jax": _profile(wall=0.020, convolution=0.014, elementwise=0.006),
    }
    folder = _run(tmp_path / "run", profiles).folder

    def scattered(group: dict[str, Any]) -> bool:
        for turn in group["turns"]["jax"]:
            luck = 0.2 if group["launch"] % 2 else 0.9
            turn["calls"] = [int(luck * call) for call in turn["calls"]]
            turn["total_ns"] = sum(turn["calls"][turn["dropped"] :])
        return True

    edit_groups(folder, scattered)
    found = verdicts.analyse(records.read(folder)).profiled
    assert all("not told apart from" in text for each in found for text in each.sentences)


def test_nobody_is_explained_against_who_is_not_ranked(tmp_path: Path) -> None:
    profiles = {
        "torch": _profile(wall=0.010, convolution=0.005, elementwise=0.005),
        "jax": _profile(wall=0.020, convolution=0.014, elementwise=0.006),
    }
    folder = _run(tmp_path / "run", profiles).folder
    for path in folder.glob("records-*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        for line in lines:
            if line["kind"] == "cell" and line["contender"] == "torch":
                line["status"] = "wrong"
        path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    for found in verdicts.analyse(records.read(folder)).profiled:
        assert found.sentences == [] and ("torch", "it is wrong") in found.unprofiled


def test_what_no_operation_accounts_for_is_idle_and_too_much_is_scaled() -> None:
    idle = why.laid_over("a", _profile(wall=1.0, convolution=0.4), 2.0)
    assert idle.by_kind["convolution"] == pytest.approx(0.8)
    assert idle.by_kind["idle or host"] == pytest.approx(1.2)
    threads = why.laid_over("a", _profile(wall=1.0, convolution=3.0, copy=1.0), None)
    assert threads.by_kind["convolution"] == pytest.approx(0.75)
    assert threads.by_kind["idle or host"] == pytest.approx(0.0)


def test_no_gap_needs_no_sentence_and_a_gap_may_be_won_back_in_part() -> None:
    fast = why.laid_over("a", _profile(wall=1.0, convolution=0.5, elementwise=0.5), None)
    same = why.laid_over("b", _profile(wall=1.01, convolution=0.9), None)
    mixed = why.laid_over("c", _profile(wall=1.5, convolution=1.4, elementwise=0.1), None)
    assert why.sentence(fast, same) == ""
    assert why.sentence(fast, mixed) == (
        "c takes 1.50x a's time: 900 ms more in convolution (1.4 s against 500 ms), "
        "and 400 ms less in the rest"
    )


def test_a_profile_of_a_process_that_ran_much_slower_is_called_rough() -> None:
    fast = why.laid_over("a", _profile(wall=1.0, convolution=1.0), 1.0)
    slow = why.laid_over("b", _profile(wall=6.0, convolution=5.0, copy=1.0), 2.0)
    assert why.sentence(fast, slow) == (
        "b takes 2.00x a's time: 67% of the difference is convolution (1.67 s against 1 s)"
    )
    assert why.Why("one", [fast, slow], [], []).rough == "b (3.00x)"
    assert why.Why("one", [fast], [], []).rough == ""


def test_a_run_without_profiles_has_no_such_section(tmp_path: Path) -> None:
    run = records.read(write_run(tmp_path / "old"))
    assert not run.problems
    assert verdicts.analyse(run).profiled == []
    assert 'id="profiled"' not in page.render(verdicts.analyse(run))


def test_a_reason_is_shown_and_a_hostile_kernel_is_text(tmp_path: Path) -> None:
    broken = {"wall_s": "x", "by_kind": [], "events": None, "profiled_s": 0}
    profiles: dict[str, Any] = {"torch": _profile(HOSTILE, convolution=0.5, **{HOSTILE: 0.1})}
    for other in ({"failed": f"crash: {HOSTILE}"}, broken):
        analysis = verdicts.analyse(
            _run(tmp_path / str(len(str(other))), profiles | {"jax": other})
        )
        text = page.render(analysis)
        assert "jax was not profiled: " in text
        assert 'data-place="chart-profiled-0"' in text
        assert "alert(&#39;kernel&#39;)" in text
        assert "alert('kernel')</script>" not in text
        assert "<img src=x" not in text


def _line(name: str, *events: tuple[str, dict[str, str]]) -> Any:
    found = [
        SimpleNamespace(name=event, stats=stats.items(), start_ns=10 * n, end_ns=10 * n + 5)
        for n, (event, stats) in enumerate(events)
    ]
    return SimpleNamespace(name=name, events=found)


def test_a_kernel_in_a_command_buffer_is_in_the_profile_though_no_instruction_names_it() -> None:
    """And what stands beside the streams covers them: the modules, the host."""
    host = SimpleNamespace(name="/host:CPU", lines=[_line("python", ("call", {}))])
    lines = [
        _line("Stream #7(Compute)", ("sm90_conv", {"hlo_op": "conv.1"}), ("loop_fusion_3", {})),
        _line("XLA Modules", ("jit_step", {})),
    ]
    gpu = SimpleNamespace(name="/device:GPU:0", lines=lines)
    assert [name for name, _, _ in jax._spans([host, gpu])] == ["conv.1", "loop_fusion_3"]
    on_cpu = _line("worker", ("dot.1", {"hlo_op": "dot.1"}), ("end: dot.1", {}), ("other", {}))
    plane = SimpleNamespace(name="/host:CPU", lines=[on_cpu])
    assert [name for name, _, _ in jax._spans([plane])] == ["dot.1", "end: dot.1"]
