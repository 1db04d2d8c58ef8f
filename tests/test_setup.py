"""Claims about set-up where something is in its way: it says what, and stops nobody else."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from harness import setup
from harness.install import environments, installers
from harness.install.environments import CannotInstall, Environment
from tests.conftest import Put
from tests.test_environments import failed


def test_a_full_disk_is_a_reason_like_any_other(
    project: Path, put_adapter: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(installers, "_call", full)
    put_adapter("fake")
    assert failed([]) == ["fake-cpu"]
    assert "No space left" in environments.why_absent("fake", "cpu")


def test_what_was_just_installed_is_forgotten_by_the_kernel_once_it_is_whole(
    project: Path, put_adapter: Put, pretend: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, bool]] = []
    monkeypatch.setattr(
        environments.pagecache,
        "forget",
        lambda folder: told.append((folder.name, (folder / "bakeoff-stamp").exists())),
    )
    put_adapter("fake", requirements="tiny==1")
    assert failed([]) == failed([]) == []  # the second time it is ready
    assert told == [("fake-cpu", True)]


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
