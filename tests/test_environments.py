"""Environments are made whole or not at all, once, and one that fails stops no other."""

import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from harness import environments
from harness.environments import ROOT, CannotInstall, Environment
from harness.errors import Wrong
from tests.conftest import Put


def tiny_wheel(folder: Path, version: str = "1") -> Path:
    """A package of one line, so that a test installs something and needs no network."""
    path = folder / f"tiny-{version}-py3-none-any.whl"
    about = f"tiny-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny.py", f"VERSION = '{version}'\n")
        wheel.writestr(
            f"{about}/METADATA", f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n"
        )
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return path


@pytest.fixture
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environments.shutil, "which", lambda name: None)


def test_one_that_cannot_be_installed_leaves_its_reason_and_stops_no_other(
    project: Path, put_adapter: Put, no_uv: None
) -> None:
    put_adapter("broken", requirements=f"{project}/nowhere-1-py3-none-any.whl")
    put_adapter("fine", requirements=str(tiny_wheel(project)))
    said: list[str] = []

    assert environments.setup([], "cpu", said.append) == ["broken-cpu"]

    assert environments.python_of("broken", "cpu") is None
    assert "nowhere-1" in environments.why_absent("broken", "cpu")
    python = environments.python_of("fine", "cpu")
    assert python is not None
    assert subprocess.check_output([python, "-c", "import tiny; print(tiny.VERSION)"]) == b"1\n"
    assert len(said) == 4  # each says that it begins, and how it ended

    assert environments.setup(["fine"], "cpu", said.append) == []
    assert said[4:] == ["fine-cpu: ready"]


def test_two_versions_of_one_framework_stand_side_by_side(
    project: Path, put_adapter: Put, no_uv: None
) -> None:
    """The second from the first one's requirements, with the framework's own pin replaced."""
    for version in ("1.0.0", "2.3.4"):
        tiny_wheel(project, version)
    put_adapter("fake", requirements=f"--no-index --find-links {project}\n# a note\ntiny==1.0.0\n")

    assert environments.setup(["fake", "fake@2.3"], "cpu", lambda text: None) == []

    found = {}
    for version in (None, "2.3"):
        python = environments.python_of("fake", "cpu", version=version)
        assert python is not None
        found[version] = subprocess.check_output([python, "-c", "import tiny; print(tiny.VERSION)"])
    assert found == {None: b"1.0.0\n", "2.3": b"2.3.4\n"}
    assert environments.why_absent("fake", "cpu", "9.9").endswith("run `bakeoff setup fake@9.9`")
    with pytest.raises(Wrong, match="expected ADAPTER or ADAPTER@VERSION"):
        environments.setup(["fake@../2"], "cpu")


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Installers that only leave a Python behind; their command lines are returned."""
    commands: list[list[str]] = []

    def call(command: list[str]) -> None:
        commands.append(command)
        if "venv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()

    monkeypatch.setattr(environments, "_call", call)
    return commands


def test_an_interrupted_install_is_made_again_from_nothing(
    project: Path, put_adapter: Put, pretend: list[list[str]]
) -> None:
    put_adapter("fake")
    environment = environments.environment_of("fake", "cpu")
    assert environment is not None
    leftover = environment.folder / "half-a-package"
    leftover.mkdir(parents=True)
    environment.python.parent.mkdir()
    environment.python.touch()
    assert environments.python_of("fake", "cpu") is None

    assert environments.setup(["fake"], "cpu", print) == []

    assert environments.python_of("fake", "cpu") == environment.python
    assert not leftover.exists()


def test_a_changed_pin_asks_for_a_new_environment(
    project: Path, put_adapter: Put, pretend: list[list[str]]
) -> None:
    put_adapter("fake", requirements="tiny==1")
    environments.setup([], "cpu")
    put_adapter("fake", requirements="tiny==2")
    assert environments.python_of("fake", "cpu") is None
    assert "make env" in environments.why_absent("fake", "cpu")


def test_uv_is_used_where_it_is_and_told_where_wheels_lie(
    project: Path, put_adapter: Put, pretend: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    put_adapter("fake", requirements="tiny==1")
    environments.setup([], "cpu")
    make, install = pretend
    assert make[:2] == ["/opt/uv", "venv"]
    assert install[:3] == ["/opt/uv", "pip", "install"]
    places = [install[i + 1] for i, word in enumerate(install) if word == "--find-links"]
    assert places == ["/wheels", "/more"]


def test_a_python_without_ensurepip_is_told_which_package_to_install(
    project: Path, no_uv: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CannotInstall, match="apt-get install python3-venv"):
        Environment("fake-cpu", project / "fake-cpu", "", ()).make()


def test_a_full_disk_is_a_reason_like_any_other(
    project: Path, put_adapter: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(command: list[str]) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(environments, "_call", full)
    put_adapter("fake")
    assert environments.setup([], "cpu", print) == ["fake-cpu"]
    assert "No space left" in environments.why_absent("fake", "cpu")


def test_an_adapter_with_no_requirements_for_a_device_has_no_environment_there(
    put_adapter: Put,
) -> None:
    put_adapter("fake")
    assert environments.python_of("fake", "cuda:0") is None
    assert environments.why_absent("fake", "cuda:0") == "there is no environment of fake for cuda"


def test_the_current_interpreter_needs_no_environment(put_adapter: Put) -> None:
    put_adapter("fake", requirements=None)
    assert environments.python_of("fake", "cpu", current=True) == Path(sys.executable)


def test_an_unknown_adapter_is_refused_by_name(
    put_adapter: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    put_adapter("fake")
    with pytest.raises(Wrong, match="unknown adapter 'tooch'; there are: fake"):
        environments.setup(["tooch"], "cpu")
    assert environments.main(["--device", "cpu", "tooch"]) == 2
    assert "tooch" in capsys.readouterr().err


def pins(lines: list[str]) -> set[str]:
    return {line.replace(" ", "") for line in lines if line.strip() and line[0] not in "#-"}


@pytest.mark.parametrize("extra", ["torch", "tensorflow", "jax"])
def test_an_extra_pins_what_the_adapters_environment_pins(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = pins((environments.REQUIREMENTS / f"{extra}-cpu.txt").read_text().splitlines())
    given = pins(project["dependencies"] + project["optional-dependencies"][extra])
    assert required, "the requirements are empty"
    assert required <= given


def test_every_requirement_is_pinned() -> None:
    files = sorted(environments.REQUIREMENTS.glob("*.txt"))
    assert files
    for path in files:
        for pin in pins(path.read_text().splitlines()):
            assert "==" in pin, f"{path.name}: {pin}"
