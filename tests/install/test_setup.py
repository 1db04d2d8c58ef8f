"""Claims about set-up where something is in its way: it says what, and stops nobody else."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness import setup
from harness.install import environments, installers
from harness.install.environments import CannotInstall, Environment
from tests.conftest import Put
from tests.support.packages import failed


def test_a_full_disk_is_a_reason_like_any_other(
    project: Path, put_adapter: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(installers, "_call", full)
    put_adapter("fake")
    assert failed([]) == ["fake-cpu"]
    assert "No space left" in environments.why_absent("fake", "cpu")


def test_what_was_just_installed_is_on_the_disk_and_forgotten_before_it_counts_as_whole(
    project: Path, put_adapter: Put, pretend: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut may leave a stamp beside files that are empty."""
    folder = project / ".envs" / "fake-cpu"
    told: list[tuple[str, bool]] = []

    def note(what: str) -> Any:
        return lambda *_: told.append((what, (folder / "bakeoff-stamp").exists()))

    monkeypatch.setattr(environments.os, "sync", note("synced"))
    monkeypatch.setattr(environments.pagecache, "forget", note("forgotten"))
    put_adapter("fake", requirements="tiny==1")
    assert failed([]) == failed([]) == []  # the second time it is ready
    assert told == [("synced", False), ("forgotten", False)]
    assert not list(folder.glob("*.partial"))


def test_an_interruption_ends_what_installs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`kill` reaches this process alone, and an installer may have minutes to go."""

    def make(self: Environment, *_: Any) -> None:
        if self.name == "interrupted":
            time.sleep(0.5)  # the other has begun by then
            raise KeyboardInterrupt
        installers._call(["sleep", "30"], dict(os.environ), installers.Output(), print)

    monkeypatch.setattr(Environment, "make", make)
    names = ("interrupted", "installing")
    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        setup.make_all([Environment(name, project / name, "", ()) for name in names])
    assert time.monotonic() - begin < 10


def test_a_disk_on_which_not_even_the_reason_fits_stops_no_other(
    project: Path, put_adapter: Put, pretend: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what is half made is not left there to fill it."""
    make = Environment.make

    def full(self: Environment, *rest: Any) -> None:
        if self.name == "large-cpu":
            with self._replaced():
                (self.folder / "lib").mkdir(parents=True)
                raise OSError(28, "No space left on device")
        make(self, *rest)

    monkeypatch.setattr(Environment, "make", full)
    for name in ("large", "small"):
        put_adapter(name, requirements="tiny==1")
    reasons = project / ".envs" / "large-cpu.failed"
    reasons.mkdir(parents=True)  # so that nobody writes a file of that name
    told = {each.name: each.state for each in setup.make(["large", "small"], "cpu")}
    assert told == {"large-cpu": "failed", "small-cpu": "installed"}
    assert not (project / ".envs" / "large-cpu").exists()


def test_a_bare_python_is_sent_to_the_one_that_has_what_set_up_shows_itself_with(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "harness.install.installing", None)  # as if it had no rich
    assert setup.main(["numpy"]) == 2
    told = capsys.readouterr().err
    assert "`make env` first" in told and len(told.splitlines()) == 1


def test_what_is_ready_wants_no_place_to_write(
    project: Path, put_adapter: Put, pretend: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user's checkout, or one that is read-only."""
    put_adapter("fake")
    assert failed(["fake"]) == []
    (project / ".envs" / ".lock").unlink()
    monkeypatch.setattr(setup.fcntl, "flock", lambda *_: pytest.fail("it was locked"))
    assert failed(["fake"]) == [] and not (project / ".envs" / ".lock").exists()


def test_a_folder_that_cannot_be_written_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / ".envs").touch()
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    assert setup.main(["controller"]) == 1
    told = capsys.readouterr().err
    assert told.startswith(".venv cannot be made: ") and told.count("\n") == 1


def test_a_controller_that_cannot_be_made_anew_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a network there would be no command left."""
    folder = tmp_path / environments.CONTROLLER
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "bakeoff").touch()

    def no_network(*_: Any) -> Any:
        folder.mkdir()
        raise CannotInstall("no network")

    monkeypatch.setattr(installers, "install", no_network)
    with pytest.raises(CannotInstall, match="no network"):
        Environment(environments.CONTROLLER, folder, "changed", ("--editable", ".")).make()
    assert [path.name for path in tmp_path.iterdir()] == [environments.CONTROLLER]
    assert (folder / "bin" / "bakeoff").exists()


@pytest.mark.parametrize("whole", [True, False])
def test_what_an_earlier_making_left_aside_comes_back_only_where_that_did_not_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: bool
) -> None:
    """A killed removal leaves a part of the old one beside the new one, which is whole."""
    folder = tmp_path / environments.CONTROLLER
    aside = tmp_path / f"{folder.name}.before"
    for each in (folder, aside):
        (each / "bin").mkdir(parents=True)
        (each / "bin" / each.name).touch()
    if whole:
        (folder / "bakeoff-stamp").write_text("of other dependencies")

    def no_network(*_: Any) -> Any:
        raise CannotInstall("no network")

    monkeypatch.setattr(installers, "install", no_network)
    with pytest.raises(CannotInstall, match="no network"):
        Environment(environments.CONTROLLER, folder, "changed", ("--editable", ".")).make()
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert (folder / "bin" / (folder if whole else aside).name).exists()


def test_a_python_that_lives_there_is_known_though_a_link_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend: list[list[str]]
) -> None:
    """A checkout may be reached by one, and this Python would take itself away."""
    (tmp_path / "real" / "fake-cpu").mkdir(parents=True)
    (tmp_path / "link").symlink_to("real")
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "link" / "fake-cpu"))
    with pytest.raises(CannotInstall, match="this Python lives in it"):
        Environment("fake-cpu", tmp_path / "real" / "fake-cpu", "").make()


CLOSED = """
import os, runpy, signal, sys, time
from pathlib import Path
from harness.install import environments, installers

def closed(folder, *_):
    folder.mkdir()
    os.kill(os.getpid(), number)
    time.sleep(1)
    raise installers.CannotInstall("its installer was ended too")

number = int(sys.argv[2])
signal.signal(number, signal.SIG_DFL)  # whoever started these tests may have it ignored
environments.ROOT, installers.install = Path(sys.argv[1]), closed
sys.argv[1:] = ["controller"]
runpy.run_module("harness.setup", run_name="__main__")
"""


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_is_closed_meanwhile_leaves_the_controller_that_was(
    tmp_path: Path, number: int
) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]")
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "bakeoff").touch()
    command = [sys.executable, "-c", CLOSED, str(tmp_path), str(int(number))]
    done = subprocess.run(command, cwd=environments.ROOT, timeout=60, check=False)
    assert done.returncode == 130
    assert not (tmp_path / ".venv.before").exists()
    assert (tmp_path / ".venv" / "bin" / "bakeoff").exists()
