"""Environments are made whole or not at all, once, and one that fails stops no other."""

import importlib.util
import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import pytest
import typer

from harness import setup
from harness.commands import measure
from harness.errors import Wrong
from harness.host import bounded
from harness.install import environments, installers, lock
from harness.install.environments import ROOT, CannotInstall, Environment
from tests.conftest import Put
from tests.support.packages import failed, make_wheel


def tiny_wheel(folder: Path, version: str = "1") -> Path:
    return make_wheel(folder, "tiny", version, {"tiny.py": f"VERSION = '{version}'\n"})


class Heard(list[tuple[str, str, str]]):
    """A `say` that keeps what it was told, the installer's own lines apart."""

    def __init__(self) -> None:
        self.steps: list[str] = []

    def __call__(self, name: str, state: str, detail: str) -> None:
        if state == "step":
            self.steps.append(detail)
        else:
            self.append((name, state, detail))


@pytest.fixture
def no_uv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installers.shutil, "which", lambda name: None)


def test_one_that_cannot_be_installed_leaves_its_reason_and_stops_no_other(
    project: Path, put_adapter: Put, no_uv: None
) -> None:
    put_adapter("broken", requirements=f"{project}/nowhere-1-py3-none-any.whl")
    put_adapter("fine", requirements=str(tiny_wheel(project)))
    said = Heard()

    assert failed([], say=said) == ["broken-cpu"]

    assert environments.python_of("broken", "cpu") is None
    assert "nowhere-1" in environments.why_absent("broken", "cpu")
    python = environments.python_of("fine", "cpu")
    assert python is not None
    assert subprocess.check_output([python, "-c", "import tiny; print(tiny.VERSION)"]) == b"1\n"
    assert {(name, state) for name, state, _ in said} == {
        ("broken-cpu", "installing"), ("broken-cpu", "failed"),
        ("fine-cpu", "installing"), ("fine-cpu", "installed"),
    }  # fmt: skip
    assert any("tiny" in step for step in said.steps), "what is installed meanwhile is told"

    assert failed(["fine"], say=said) == []
    assert said[4:] == [("fine-cpu", "ready", "")]


def test_two_versions_of_one_framework_stand_side_by_side(
    project: Path, put_adapter: Put, no_uv: None
) -> None:
    """The second from the first one's requirements, with the framework's own pin replaced."""
    for version in ("1.0.0", "2.3.4"):
        tiny_wheel(project, version)
    put_adapter("fake", requirements=f"--no-index --find-links {project}\n# a note\ntiny==1.0.0\n")

    assert failed(["fake", "fake@2.3"]) == []

    found = {}
    for version in (None, "2.3"):
        python = environments.python_of("fake", "cpu", version=version)
        assert python is not None
        found[version] = subprocess.check_output([python, "-c", "import tiny; print(tiny.VERSION)"])
    assert found == {None: b"1.0.0\n", "2.3": b"2.3.4\n"}
    assert environments.why_absent("fake", "cpu", "9.9").endswith("run `bakeoff setup fake@9.9`")
    with pytest.raises(Wrong, match=r"expected ADAPTER\[@VERSION\]"):
        setup.make(["fake@../2"], "cpu")
    with pytest.raises(Wrong, match="unknown variant 'fake:faster'"):
        setup.make(["fake:faster"], "cpu")


def test_what_was_made_is_told_lock_size_seconds_and_installer(
    project: Path, put_adapter: Put, no_uv: None
) -> None:
    wheel = tiny_wheel(project)
    put_adapter("fake", requirements=str(wheel))
    [outcome] = setup.make(["fake"], "cpu")
    assert outcome.environment is not None
    folder = outcome.environment.folder

    made = outcome.environment.made()
    held = lock.look(outcome.environment.python)
    assert held is not None
    assert made["lock"] == held.sha256
    assert "tiny==1" in held.lines and not any(line.startswith("pip==") for line in held.lines)
    assert (folder / "bakeoff-lock.txt").read_text() == held.text
    assert made["installer"].startswith("pip ") and made["install_seconds"] > 0
    assert made["installed_bytes"] >= sum(f.stat().st_size for f in folder.rglob("tiny*.py"))

    told = environments.described("fake", "cpu")
    assert told == {"name": "fake-cpu", **made, "packages": list(held.lines)}
    # A package that is installed later changes the lock that a run records.
    tiny_wheel(project, "2")
    pip = [sys.executable, "-m", "pip", "--python", outcome.environment.python, "install"]
    subprocess.run([*pip, "--quiet", "--no-index", project / "tiny-2-py3-none-any.whl"], check=True)
    later = environments.described("fake", "cpu")
    assert later["lock"] != told["lock"] and "tiny==2" in later["packages"]


def test_a_folder_of_wheels_is_enough(
    project: Path, put_adapter: Put, no_uv: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheels = project / "wheels"
    wheels.mkdir()
    put_adapter("fake", requirements="tiny==1")
    with pytest.raises(Wrong, match=r"pip download -r adapters/requirements/NAME-cpu.txt"):
        failed(["fake"], wheels=wheels)
    tiny_wheel(wheels, "2")
    for variable in ("PIP_INDEX_URL", "PIP_FIND_LINKS"):  # not even looked at
        monkeypatch.setenv(variable, "http://127.0.0.1:9/")

    assert failed(["fake"], wheels=wheels) == ["fake-cpu"]
    reason = environments.why_absent("fake", "cpu")
    assert f"from {wheels} alone: there is no tiny==1 for this Python" in reason
    assert "the latest are 2; run `bakeoff setup fake`" in reason

    tiny_wheel(wheels, "1")
    assert failed(["fake"], wheels=wheels) == []


FOREIGN = """
from adapters.core.base import Adapter

class Fake(Adapter):
    distributions = ("tiny",)

    @classmethod
    def requirements(cls, device):
        lines = ["# ours", "--no-index", "--find-links FOLDER", "tiny==1"]
        return lines if device == "cpu" else None
"""


def test_an_adapter_of_another_package_names_its_own_requirements(
    project: Path, put_adapter: Put, no_uv: None
) -> None:
    for version in ("1", "3.0"):
        tiny_wheel(project, version)
    put_adapter("fake", FOREIGN.replace("FOLDER", str(project)), requirements=None)

    assert failed(["fake", "fake@3.0"]) == []

    assert "tiny==1" in environments.described("fake", "cpu")["packages"]
    assert "tiny==3.0" in environments.described("fake", "cpu", version="3.0")["packages"]
    assert environments.environment_of("fake", "cuda:0") is None
    assert environments.environment_of("fake", "cuda:0", "3.0") is None


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

    assert failed(["fake"]) == []

    assert environments.python_of("fake", "cpu") == environment.python
    assert not leftover.exists()


def test_what_a_link_leads_to_is_left_alone(
    project: Path, put_adapter: Put, pretend: list[list[str]]
) -> None:
    """An environment that is shared by a link and does not fit is made beside, not over."""
    put_adapter("fake")
    shared = project / "shared"
    (shared / "bin").mkdir(parents=True)
    (shared / "bakeoff-stamp").write_text("made whole, from other pins")
    (project / ".envs").mkdir()
    (project / ".envs" / "fake-cpu").symlink_to(shared)

    assert failed(["fake"]) == []

    assert environments.python_of("fake", "cpu") is not None
    assert {path.name for path in shared.iterdir()} == {"bin", "bakeoff-stamp"}
    assert not list((shared / "bin").iterdir())


def test_a_changed_pin_asks_for_a_new_environment(
    project: Path, put_adapter: Put, pretend: list[list[str]]
) -> None:
    put_adapter("fake", requirements="tiny==1")
    failed([])
    put_adapter("fake", requirements="tiny==2")
    assert environments.python_of("fake", "cpu") is None
    assert "run `bakeoff setup fake`" in environments.why_absent("fake", "cpu")


def test_uv_is_used_where_it_is_and_told_where_wheels_lie(
    project: Path, put_adapter: Put, pretend: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installers.shutil, "which", lambda name: f"/opt/{name}")
    monkeypatch.setenv("PIP_FIND_LINKS", "/wheels /more")
    put_adapter("fake", requirements="tiny==1")
    failed([])
    make, install = pretend
    assert make[:2] == ["/opt/uv", "venv"]
    assert install[:3] == ["/opt/uv", "pip", "install"]
    places = [install[i + 1] for i, word in enumerate(install) if word == "--find-links"]
    assert places == ["/wheels", "/more"]
    assert "--compile-bytecode" in install  # pip does without being told


def test_a_python_without_ensurepip_is_told_which_package_to_install(
    project: Path, no_uv: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(CannotInstall, match="apt-get install python3-venv"):
        Environment("fake-cpu", project / "fake-cpu", "", ()).make()


def test_an_adapter_with_no_requirements_for_a_device_has_no_environment_there(
    put_adapter: Put,
) -> None:
    put_adapter("fake")
    assert environments.python_of("fake", "cuda:0") is None
    assert environments.why_absent("fake", "cuda:0") == "there is no environment of fake for cuda"


ELSEWHERE = """
from adapters.core.base import Adapter, Variant

class Fake(Adapter):
    distributions = ("tiny",)
    variants = {"": Variant("as it is", {}), "fast": Variant("", {}, environment="elsewhere")}
"""


def test_what_is_advised_names_the_version_and_the_variant_that_were_asked_for(
    project: Path, put_adapter: Put
) -> None:
    put_adapter("fake", ELSEWHERE, requirements="tiny==1")
    [outcome] = setup.make(["fake:fast"], "cpu", Heard())
    assert outcome.reason == (
        "its `environment` is 'elsewhere', which adapters/requirements/elsewhere-cpu.txt would "
        "make: write that file, or name one that there is: fake"
    )
    (project / "adapters" / "requirements" / "elsewhere-cpu.txt").write_text("tiny==1")
    for version, variant, name in (
        (None, "", "fake"), (None, "fast", "fake:fast"), ("2.3", "", "fake@2.3"),
        ("2.3", "fast", "fake@2.3:fast"),
    ):  # fmt: skip
        told = environments.why_absent("fake", "cpu", version, variant)
        assert told == f"not installed: run `bakeoff setup {name}`"
    told = environments.why_absent("fake", "cuda", variant="fast")
    assert told == "there is no environment of fake for cuda"


def test_the_current_interpreter_needs_no_environment(put_adapter: Put) -> None:
    put_adapter("fake", requirements=None)
    assert environments.python_of("fake", "cpu", current=True) == Path(sys.executable)


def test_an_unknown_adapter_is_refused_by_name(
    put_adapter: Put, capsys: pytest.CaptureFixture[str]
) -> None:
    put_adapter("fake")
    with pytest.raises(Wrong, match="unknown contender 'tooch'; there are: fake"):
        setup.make(["tooch"], "cpu")
    assert setup.main(["--device", "cpu", "tooch"]) == 2
    assert "tooch" in capsys.readouterr().err


def test_the_command_tells_scripts_what_was_made_and_where(
    project: Path, put_adapter: Put, pretend: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    put_adapter("fake", requirements="tiny==1")
    with pytest.raises(typer.Exit) as left:
        measure.setup(["fake"], "cpu", None, True)
    assert left.value.exit_code == 0
    [row] = json.loads(capsys.readouterr().out)
    assert (row["environment"], row["state"], row["reason"]) == ("fake-cpu", "installed", None)
    assert row["python"] == str(environments.python_of("fake", "cpu"))
    assert row["install_seconds"] >= 0


def test_an_environment_for_a_gpu_is_made_where_there_is_none(
    project: Path, put_adapter: Put, pretend: list[list[str]]
) -> None:
    """A cluster's node with a network has no GPU, and the others no network."""
    put_adapter("fake")
    (project / "adapters" / "requirements" / "fake-cuda.txt").write_text("tiny==1")
    with pytest.raises(typer.Exit) as left:
        measure.setup(["fake"], "cuda", None, True)
    assert left.value.exit_code == 0 and environments.python_of("fake", "cuda") is not None
    told = environments.why_absent("fake", "cuda", "9.9")
    assert told.endswith("run `bakeoff setup fake@9.9 --device cuda`")


def pins(lines: list[str]) -> set[str]:
    return {line.replace(" ", "") for line in lines if line.strip() and line[0] not in "#-"}


@pytest.mark.parametrize("extra", ["torch", "tensorflow", "jax"])
def test_an_extra_pins_what_the_adapters_environment_pins(extra: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    required = pins((environments.REQUIREMENTS / f"{extra}-cpu.txt").read_text().splitlines())
    given = pins(project["dependencies"] + project["optional-dependencies"][extra])
    assert required, "the requirements are empty"
    assert required <= given


def test_keras_of_another_release_has_an_environment_that_pins_it_and_nobody_else_shares() -> None:
    keras = environments.environment_of("keras", "cpu", "3.10.0")
    assert keras is not None
    assert keras.name == "tensorflow-keras@3.10.0-cpu"
    assert keras.recipe.split() == ["tensorflow-cpu", "numpy", "keras==3.10.0"]
    torch, native = (environments.environment_of(n, "cpu", "2.12") for n in ("torch", "torch_nn"))
    assert torch is not None
    assert torch == native
    assert torch.name == "torch@2.12-cpu"


@pytest.mark.parametrize(
    ("asked", "pinned"),
    [("2", "2.*"), ("2.12", "2.12.*"), ("2.12.1", "2.12.1"), ("2.13rc1", "2.13rc1"),
     ("2.12+cu126", "2.12+cu126"), ("2.12.dev3", "2.12.dev3")],
)  # fmt: skip
def test_only_a_plain_release_stands_for_all_of_it(asked: str, pinned: str) -> None:
    """`==2.13rc1.*` is no version that an installer takes."""
    torch = environments.environment_of("torch", "cpu", asked)
    assert torch is not None and f"torch=={pinned}" in torch.recipe.split()


def test_a_python_that_does_not_let_go_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A driver may hold it, whoever kills it."""
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 10\n")
    python.chmod(0o755)
    monkeypatch.setattr(subprocess.Popen, "kill", lambda self: None)
    monkeypatch.setattr(bounded, "GONE", 0.2)
    begin = time.monotonic()
    with pytest.raises(Wrong, match=r"did not answer within 0\.2 s"):
        environments.run_python(python, timeout=0.2)
    assert time.monotonic() - begin < 5


def test_every_requirement_is_pinned() -> None:
    files = sorted(environments.REQUIREMENTS.glob("*.txt"))
    assert files
    for path in files:
        for pin in pins(path.read_text().splitlines()):
            assert "==" in pin, f"{path.name}: {pin}"


def test_a_controller_whose_folder_was_moved_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its `bakeoff` is a script that begins with the old folder's path."""
    stamps = []
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "pyproject.toml").write_text("[project]")
        monkeypatch.setattr(environments, "ROOT", tmp_path / name)
        stamps.append(environments.controller()._fingerprint())
    assert stamps[0] != stamps[1]
