"""What several tests share: a browser with a page open; a project of their own, to break."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Where tests run side by side each has processors of its own, and so have its workers: two
    # that compute on both take three times as long as one, since threads wait for each other.
    # Before NumPy is imported, whose BLAS makes its threads then.
    own = int(os.environ["PYTEST_XDIST_WORKER"].removeprefix("gw"))
    beside, cpus = int(os.environ["PYTEST_XDIST_WORKER_COUNT"]), sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, cpus[own % len(cpus) :: beside])

import adapters
from adapters.core import discovery
from harness import cli
from harness.install import environments, installers, lock
from harness.paths import ROOT
from harness.process import processes
from tests.support.browser import CHROMIUM, DRIVER, show, start
from tests.support.runs import FAKES, Start

ADAPTER = """
from adapters.core.base import Adapter, Variant

class Fake(Adapter):
    distributions = ("tiny",)
    variants = {"": Variant("as it is", {}), "fast": Variant("faster", {})}
"""

Put = Callable[..., Path]
Typed = Callable[..., subprocess.CompletedProcess[str]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where tests run side by side the longest begin: none is left alone at the end."""
    if "PYTEST_XDIST_WORKER" in os.environ:
        items.sort(key=lambda i: ("test_parity" not in i.nodeid, "compile" not in i.nodeid))


def refused(told: subprocess.CompletedProcess[str], *words: str) -> None:
    """Exit status 2, and one line that holds these words."""
    errors = told.stderr
    assert told.returncode == 2, (told.stdout, errors)
    assert errors.count("\n") == 1 and "Traceback" not in errors, errors
    for word in words:
        assert word in errors, errors


@pytest.fixture
def typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Typed:
    """`typed("show", "r", COLUMNS="80")`: a command, by its entry point, in this process.

    What imports take is paid for once. Runs lie in `tmp_path` unless told.
    """

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        with monkeypatch.context() as here:
            for name, value in {"BAKEOFF_RESULTS": str(tmp_path), **environment}.items():
                here.setenv(name, value)
            here.setattr(sys, "argv", ["bakeoff", *arguments])
            with pytest.raises(SystemExit) as left:
                cli.main()
        assert isinstance(left.value.code, int)
        return subprocess.CompletedProcess(arguments, left.value.code, *capsys.readouterr())

    return run


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Headless Chromium, one for all tests; without it they are skipped."""
    if not CHROMIUM or not DRIVER:
        pytest.skip("no chromium with its chromedriver on this machine")
    pytest.importorskip("selenium.webdriver")
    driver = start(tmp_path_factory.mktemp("profile"))
    yield driver
    driver.quit()


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Pages by name; a file may have others of its own."""
    from tests.support.pages import written

    return written(tmp_path_factory.mktemp("runs"))


@pytest.fixture
def open_page(browser: Any, pages: dict[str, Path]) -> Callable[..., Any]:
    """`open_page(name, width, scheme)`: the browser, with that page open."""
    from tests.support.pages import DESK

    def go(name: str = "whole", width: int = DESK, scheme: str = "light") -> Any:
        return show(browser, pages[name], width, scheme)

    return go


@pytest.fixture
def signals() -> Iterator[None]:
    """What ends a process is as a shell leaves it, and afterwards as it was."""
    numbers = (signal.SIGTERM, signal.SIGHUP)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with no adapter, no requirements and no environment, seen by all of ours."""
    folder = tmp_path / "adapters"
    shutil.copytree(environments.ROOT / "adapters" / "core", folder / "core")
    (folder / "__init__.py").touch()
    (folder / "requirements").mkdir()
    for module in (environments, processes):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(environments, "REQUIREMENTS", folder / "requirements")
    monkeypatch.setattr(discovery, "FOLDER", folder)
    monkeypatch.setattr(adapters, "__path__", [str(folder)])
    return tmp_path


@pytest.fixture
def put_adapter(project: Path) -> Iterator[Put]:
    """`put_adapter("fake", requirements="tiny==1")` adds an adapter to the project."""
    added = []

    def put(name: str, text: str = ADAPTER, requirements: str | None = "") -> Path:
        path = project / "adapters" / f"{name}.py"
        path.write_text(text)
        if requirements is not None:
            (path.parent / "requirements" / f"{name}-cpu.txt").write_text(requirements)
        added.append(name)
        return path

    yield put
    for name in added:
        sys.modules.pop(f"adapters.{name}", None)


@pytest.fixture
def bakeoff(tmp_path: Path) -> Iterator[Start]:
    """`bakeoff("run", ...)` as a process of its own, with its results in a folder of its own."""
    started: list[subprocess.Popen[str]] = []

    def begin(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.cli", *arguments],
            cwd=ROOT,
            env={
                **os.environ,
                "PYTHONPATH": str(FAKES),
                "BAKEOFF_RESULTS": str(tmp_path),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Tests started in the background inherit that Ctrl-C is ignored.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Installers that only leave a Python behind; their command lines are returned."""
    commands: list[list[str]] = []

    def call(command: list[str], *_: Any) -> None:
        commands.append(command)
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()

    monkeypatch.setattr(installers, "_call", call)
    monkeypatch.setattr(lock, "look", lambda python: lock.Lock(("tiny==1",), 1))
    return commands


@pytest.fixture
def planned() -> Any:
    """The plan of a run of numpy alone, entered twice: what needs no environment."""
    from harness.proof import live

    return live.Itself("numpy", (), copies=2, launches=6, workloads=1).plan("r")
