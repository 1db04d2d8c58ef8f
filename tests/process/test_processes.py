"""Claims about worker processes: whatever a framework does, the runner hears one clear answer."""

import os
import signal
import subprocess
import sys
import time
import tracemalloc
import weakref
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from harness.host import machine
from harness.paths import ROOT
from harness.process import processes
from harness.process.launch import Launcher
from harness.process.processes import WorkerFailed, WorkerProcess
from harness.worker import worker as working
from harness.worker.worker import Worker, failure

FAKES = ROOT / "tests" / "fakes"
CELL: dict[str, Any] = {"workload": "relu_16x32x32", "batch": 2, "direction": "infer"}


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """`start("dies")` -> an opened worker of one of tests/fakes, or of a real adapter."""
    monkeypatch.setenv("PYTHONPATH", str(FAKES))
    workers = []

    def open_one(adapter: str, opened: bool = True) -> WorkerProcess:
        environment = machine.worker_environment("cpu", 1, tmp_path)
        log = tmp_path / f"{len(workers)}.txt"
        worker = WorkerProcess(Path(sys.executable), environment, log)
        workers.append(worker)
        if opened:
            worker.ask(
                "open", adapter=adapter, variant="", device="cpu", precision="float32", threads=1
            )
        return worker

    yield open_one
    for worker in workers:
        worker.kill() if worker.dead is None else None


def _turn(worker: WorkerProcess, calls: int = 100, timeout: float = 60.0) -> dict[str, Any]:
    return worker.ask("turn", timeout, calls=calls, latency=True, queue=False)["turn"]


def _load(worker: WorkerProcess) -> None:
    worker.ask("load", **CELL)
    worker.ask("first")


def _gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


def test_a_turn_gives_its_calls_in_nanoseconds(start: Any) -> None:
    worker = start("numpy")
    _load(worker)
    turn = _turn(worker, calls=10)
    assert len(turn["calls"]) == 10
    assert all(isinstance(ns, int) and ns > 0 for ns in turn["calls"])
    assert turn["total_ns"] == sum(turn["calls"][turn["dropped"] :])


def test_what_a_framework_prints_cannot_break_the_talk(start: Any) -> None:
    worker = start("loud")
    _load(worker)
    assert len(_turn(worker, calls=50)["calls"]) == 50
    worker.close()
    assert "forged" in worker.log.read_text()


def test_a_worker_that_dies_says_how_and_its_last_words(start: Any) -> None:
    worker = start("dies")
    _load(worker)
    with pytest.raises(WorkerFailed) as failed:
        _turn(worker)
    assert failed.value.status == "crash"
    assert "SIGSEGV" in failed.value.reason
    assert "planted fault" in failed.value.reason
    with pytest.raises(WorkerFailed):
        worker.ask("memory")


def test_no_signal_goes_to_an_id_that_may_be_another_program_s_by_now(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From when a worker is reaped; its group is killed while the id is still its own."""
    worker = start("numpy")
    sent: list[tuple[int, bool]] = []
    really = os.killpg

    def watched(group: int, number: int) -> None:
        sent.append((number, Path(f"/proc/{group}").exists()))
        really(group, number)

    monkeypatch.setattr(os, "killpg", watched)
    os.kill(worker.pid, signal.SIGTERM)
    with pytest.raises(WorkerFailed, match="SIGTERM"):
        worker.ask("memory")
    assert sent[-1] == (signal.SIGKILL, True)
    sent.clear()
    worker.stop(), worker.resume(), worker.kill(), worker.close()
    assert not sent


def test_who_ended_while_it_was_not_asked_is_known_to_have(start: Any) -> None:
    worker = start("numpy")
    worker.stop()
    assert not worker.gone() and worker.dead is None
    os.kill(worker.pid, signal.SIGKILL)
    while not _gone(worker.pid):
        time.sleep(0.01)
    assert worker.gone()
    with pytest.raises(WorkerFailed, match="SIGKILL"):
        worker.ask("memory")


def test_descriptors_are_closed_by_one_thread_alone(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By then a number that is closed again may be another file's."""
    worker, held = start("numpy", opened=False), []

    def watched(self: Any, name: str, value: Any) -> None:
        if name in ("_ask", "_answer", "_end"):
            held.append(self._reaping.locked())
        object.__setattr__(self, name, value)

    monkeypatch.setattr(WorkerProcess, "__setattr__", watched)
    worker.kill()
    assert held == [True] * 3


def test_nobody_waits_for_descriptors_that_are_closed() -> None:
    begin = time.monotonic()
    assert processes._ready(-1, -1, seconds=3.0) == []
    assert time.monotonic() - begin < 1.0


def test_a_signal_without_a_name_is_told_by_its_number(start: Any) -> None:
    """Real-time signals: batch systems send some."""
    worker = start("numpy")
    os.kill(worker.pid, signal.SIGRTMIN + 6)
    with pytest.raises(WorkerFailed, match=f"killed by signal {signal.SIGRTMIN + 6}"):
        worker.ask("memory", timeout=10)


def test_a_worker_that_dies_while_its_child_holds_the_pipe_has_crashed(start: Any) -> None:
    """Not a timeout, ten minutes later; and the child ends with it."""
    worker = start("forks")
    _load(worker)
    child = int(worker.log.read_text())
    begin = time.monotonic()
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(WorkerFailed, match="SIGKILL") as failed:
        worker.ask("memory", timeout=10)
    assert failed.value.status == "crash"
    assert time.monotonic() - begin < 5
    while not _gone(child) and time.monotonic() < begin + 10:
        time.sleep(0.02)
    assert _gone(child)


def test_what_a_worker_said_before_it_died_is_heard(start: Any) -> None:
    worker = start("forks")
    _load(worker)
    os.write(worker._ask, b'{"do": "loss"}\n{"do": "close"}\n')
    time.sleep(1)
    assert worker._line(time.monotonic() + 5) == b'{"loss": null}'
    assert worker._line(time.monotonic() + 5) == b"{}"
    with pytest.raises(WorkerFailed, match="exit status 0"):
        worker.ask("memory", timeout=5)


def test_where_there_are_no_pidfds_the_pipe_tells_of_a_death(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    worker = start("dies")
    _load(worker)
    with pytest.raises(WorkerFailed, match="SIGSEGV"):
        _turn(worker)


def test_a_worker_that_hangs_is_ended_at_its_limit(start: Any) -> None:
    worker = start("hangs")
    _load(worker)
    begin = time.monotonic()
    with pytest.raises(WorkerFailed) as failed:
        _turn(worker, timeout=2)
    assert failed.value.status == "timeout"
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize(
    "line",
    [
        b"Warning: not JSON",
        b"\xff\xfe",
        b"[1, 2]",
        b'{"load": NaN}',
        b'{"load": -Infinity}',
        b'{"load": 1e999}',
        b'{"failed": "ok", "reason": "?"}',
        b"{}",
    ],
)
def test_an_answer_that_no_record_can_hold_is_a_crash(
    start: Any, monkeypatch: pytest.MonkeyPatch, line: bytes
) -> None:
    """Of this contender alone: it must not end the run, or make its records unreadable."""
    monkeypatch.setitem(os.environb, b"BABBLE", line)
    worker = start("babbles")
    for _ in range(2):  # who once spoke out of turn has no further say
        with pytest.raises(WorkerFailed, match="answer to 'load' cannot be read") as failed:
            worker.ask("load", **CELL)
        assert failed.value.status == "crash" and "\n" not in failed.value.reason
    assert worker.dead is not None


def test_a_worker_out_of_memory_says_so_and_goes_on(start: Any) -> None:
    worker = start("starved")
    with pytest.raises(WorkerFailed) as failed:
        worker.ask("load", **CELL)
    assert failed.value.status == "oom"
    assert "20.00 GiB" in failed.value.reason
    assert worker.ask("unload") == {}


def test_after_an_error_that_stays_with_its_process_the_worker_is_ended(start: Any) -> None:
    worker = start("poisoned")
    for do, cell in (("load", CELL), ("unload", {})):
        with pytest.raises(WorkerFailed, match="illegal memory access") as failed:
            worker.ask(do, **cell)
        assert failed.value.status == "crash"
    assert worker.dead is not None


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: the launch timed out and was terminated",
        "CUDA error: uncorrectable ECC error encountered",
        "CUDA error: unknown error",
        "INTERNAL: CUDA_ERROR_LAUNCH_FAILED: unspecified launch failure",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
    ],
)
def test_what_cuda_answers_to_every_further_call_ends_the_process(text: str) -> None:
    """As the runtime's manual has it (cudaError), and as its libraries word it."""
    assert processes.POISONED.search(text)
    assert not processes.POISONED.search("ValueError: unknown error of a shape")


def test_one_that_the_kernel_does_not_let_go_of_holds_up_nobody(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a driver's call that never ends: it is killed, told, and left."""
    worker = start("dies", opened=False)
    monkeypatch.setattr(processes, "KILLED", 0.2)
    process = worker._process
    real = process.wait

    def wait(timeout: float | None = None) -> int:
        assert timeout is not None, "would wait for ever"
        raise subprocess.TimeoutExpired("worker", timeout)

    monkeypatch.setattr(process, "wait", wait)
    worker.kill()
    with pytest.raises(WorkerFailed, match="cannot be ended, even by force"):
        worker.ask("load", **CELL)
    worker.kill()
    real(5)


def test_a_cell_is_gone_before_the_device_s_pools_are_emptied() -> None:
    """It is part of a cycle, which the collector alone ends: what it holds would stay reserved."""
    alive = []

    class Cell:
        def __init__(self) -> None:
            self.step = lambda: self

    worker = Worker()
    cell: Any = Cell()
    seen = weakref.ref(cell)
    worker.cell, worker.result = cell, None  # type: ignore[attr-defined]
    adapter: Any = SimpleNamespace(reset=lambda: alive.append(seen()))
    worker.adapter = adapter
    del cell
    worker.unload()
    assert alive == [None]


def test_a_cell_is_gone_before_the_next_one_is_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two whose weights do not fit side by side: a small batch is verified before the timed one."""
    alive: list[Any] = []
    made: list[Any] = []

    class Cell:
        drawn = 0.0

        def __init__(self, *_: Any, **__: Any) -> None:
            alive.append([each() for each in made])
            made.append(weakref.ref(self))
            self.step = lambda: self

        def build(self) -> None: ...

    monkeypatch.setattr(working, "Cell", Cell)
    monkeypatch.setattr(working.gc, "get_freeze_count", lambda: 1)  # nothing of this process
    worker = Worker()
    worker.adapter, worker.planted = None, 0.0  # type: ignore[assignment]
    for _ in range(2):
        worker.load(**CELL)
        worker.result = worker.cell.step()
    assert alive == [[], [None]]


@pytest.mark.parametrize(
    "text",
    [
        "CUDA error: out of memory",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate",
        "Failed to allocate memory for requested buffer of size 20",
        "INTERNAL: CUDA_ERROR_OUT_OF_MEMORY",
        f"Graph execution error: {'at some line ' * 100} OOM when allocating tensor [Op:Conv2D]",
    ],
)
def test_what_a_device_says_without_memory_is_out_of_memory(text: str) -> None:
    class ResourceExhaustedError(Exception):
        """TensorFlow's."""

    assert failure(RuntimeError(text))["failed"] == "oom"
    assert failure(ResourceExhaustedError("failed to allocate"))["failed"] == "oom"
    assert failure(RuntimeError("CUDNN_STATUS_NOT_SUPPORTED"))["failed"] == "crash"


def test_a_framework_that_does_not_import_is_unsupported_with_its_reason(start: Any) -> None:
    with pytest.raises(WorkerFailed) as failed:
        start("shuts")
    assert failed.value.status == "unsupported"
    assert "libshut.so.1" in failed.value.reason


def test_a_failed_request_leaves_the_worker_usable(start: Any) -> None:
    worker = start("numpy")
    with pytest.raises(WorkerFailed):
        worker.ask("load", workload="no_such_workload", batch=1, direction="infer")
    _load(worker)
    assert _turn(worker, calls=3)["calls"]


@pytest.mark.parametrize("stopped", [False, True])
def test_no_worker_outlives_a_killed_runner_not_even_a_stopped_one_or_its_child(
    tmp_path: Path, stopped: bool
) -> None:
    code = (
        "import sys, time; from pathlib import Path; from harness.host import machine\n"
        "from harness.process.processes import WorkerProcess\n"
        "tmp = Path(sys.argv[1])\n"
        "environment = machine.worker_environment('cpu', 1, tmp)\n"
        "worker = WorkerProcess(Path(sys.executable), environment, tmp / 'log')\n"
        "worker.ask('open', adapter='forks', variant='', device='cpu',\n"
        "           precision='float32', threads=1)\n"
        "worker.ask('load', workload='relu_16x32x32', batch=2, direction='infer')\n"
        "worker.ask('first')\n"
        f"{'worker.stop()' if stopped else ''}\n"
        "print(worker._process.pid, flush=True); time.sleep(60)\n"
    )
    runner = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{FAKES}"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert runner.stdout is not None
    pids = [int(runner.stdout.readline()), int((tmp_path / "log").read_text())]
    assert not any(map(_gone, pids))
    os.kill(runner.pid, signal.SIGKILL)
    runner.wait()
    deadline = time.monotonic() + 5
    while not all(map(_gone, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert all(map(_gone, pids))


def test_on_the_way_out_of_an_interruption_nobody_is_waited_for(tmp_path: Path) -> None:
    """Whoever compiles would not answer for seconds, and a scheduler has ten."""
    closed: list[bool] = []
    worker: Any = SimpleNamespace(close=lambda by_force: closed.append(by_force))
    launcher = Launcher(tmp_path, "cpu", True, 1, [0], False)
    for passing in (None, WorkerFailed("crash", "of one contender"), KeyboardInterrupt()):
        launcher.live.append(worker)
        with suppress(BaseException):
            try:
                if passing is not None:
                    raise passing
            finally:
                launcher.close(worker)
    assert closed == [False, False, True] and not launcher.live


def test_a_long_log_is_cut_to_its_tail(start: Any) -> None:
    worker = start("loud")
    _load(worker)
    for _ in range(5):
        _turn(worker, calls=200)
    worker.close()
    assert worker.log.stat().st_size < 70 * 1024
    assert worker.log.read_text().startswith("(the beginning is cut)")


def test_of_a_log_that_is_larger_than_memory_the_tail_alone_is_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        file.truncate(64 << 20)
        file.seek(0, os.SEEK_END)
        file.write(b"\nlast words\n")
    tracemalloc.start()
    try:
        assert processes.last_line(log) == "last words"
        processes._keep_tail(log)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    assert log.stat().st_size < 70 * 1024 and log.read_bytes().endswith(b"\nlast words\n")


def test_every_thread_of_a_worker_keeps_to_its_processors(tmp_path: Path) -> None:
    """NumPy's BLAS has made its threads before a worker is told where it may compute."""
    cpu = min(os.sched_getaffinity(0))
    environment = machine.worker_environment("cpu", 2, tmp_path)
    worker = WorkerProcess(Path(sys.executable), environment, tmp_path / "log.txt")
    try:
        asked = {"adapter": "numpy", "variant": "", "device": "cpu", "precision": "float32"}
        worker.ask("open", **asked, threads=2, cpus=[cpu])
        for thread in os.listdir(f"/proc/{worker.pid}/task"):
            assert os.sched_getaffinity(int(thread)) == {cpu}
    finally:
        worker.close()


def test_what_a_shell_has_set_for_its_libraries_reaches_no_worker(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OMP_WAIT_POLICY=PASSIVE costs PyTorch a factor of three, and no record would say so."""
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "1")
    monkeypatch.setenv("HOME_OF_MINE", "kept")
    worker = start("numpy")
    seen = Path(f"/proc/{worker.pid}/environ").read_text()
    assert "OMP_WAIT_POLICY" not in seen and "MALLOC_ARENA_MAX" not in seen
    assert "HOME_OF_MINE=kept" in seen and "OMP_NUM_THREADS=1" in seen


def test_an_answers_file_holds_its_quantities_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NumPy before 2.2 takes every keyword of savez for an array."""
    kept: dict[str, Any] = {}

    def savez(file: Any, *args: Any, **kwds: Any) -> None:
        kept.update(kwds)

    monkeypatch.setattr(np, "savez", savez)
    worker = Worker()
    found = {"output": np.zeros(3), "params:w": np.ones(2)}
    worker.cell = SimpleNamespace(answer=lambda result, rows: found)  # type: ignore[assignment]
    worker.result = None
    worker.answer(str(tmp_path / "answer.npz"), None, "float32")
    assert kept.keys() == found.keys() and (tmp_path / "answer.npz").exists()


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_is_a_wrong_answer(loss: float) -> None:
    """Of the whole batch, where only a small one was held against the oracle; JSON has none."""
    worker = Worker()
    worker.cell = SimpleNamespace(loss=lambda result: loss)  # type: ignore[assignment]
    worker.result = None
    answer = worker.loss()
    assert answer["failed"] == "wrong" and str(loss) in answer["reason"]
