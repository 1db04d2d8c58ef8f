"""The Python environments: one for the controller, and one per framework and device.

CUDA wheels of two frameworks install side by side without complaint and overwrite each
other's libcudnn; so each framework has an environment of its own under `.envs/`, made
from `adapters/requirements/<environment>-<device>.txt` (or from what an adapter of another
package asks for), and the controller, which never imports a framework, has `.venv`. An
environment is made whole or not at all: a stamp is written last, so what was interrupted is
made again and what fits is left alone. Beside the stamp lies what was made: the lock, and how
large it is and how long it took. `harness.setup` makes them.
"""

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import disk
from harness.errors import Wrong
from harness.host import bounded
from harness.install import installers, lock, pagecache
from harness.install.installers import CannotInstall
from harness.paths import ROOT, python_path

REQUIREMENTS = ROOT / "adapters" / "requirements"
CONTROLLER = ".venv"


# Called with an environment's name, a state (`ready`, `installing`, `step`, `installed`,
# `failed`) and a detail; each environment ends in ready, installed or failed.
Say = Callable[[str, str, str], None]


def say_lines(name: str, state: str, detail: str) -> None:
    """A line for each thing that begins or ends: for logs, and where there is no rich."""
    if state != "step":
        print(f"{name}: {sentence(state, detail)}", flush=True)


def sentence(state: str, detail: str) -> str:
    """A state and its detail, for a person."""
    words = {"installing": "installing ...", "failed": "cannot be installed:"}
    return f"{words.get(state, state)} {detail}".rstrip()


@dataclass(frozen=True)
class Environment:
    """A folder with a Python in it, made from a recipe: what the installer is given."""

    name: str
    folder: Path
    recipe: str  # the text that, changed, asks for a new environment
    arguments: tuple[str, ...] = ()  # none: the recipe, written down as a requirements file

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def failed(self) -> Path:
        return ROOT / ".envs" / f"{self.name}.failed"

    @property
    def _stamp(self) -> Path:
        return self.folder / "bakeoff-stamp"

    def _fingerprint(self) -> str:
        release = ".".join(map(str, sys.version_info[:2]))
        return hashlib.sha256(f"{release}\n{self.recipe}".encode()).hexdigest()

    def ready(self) -> bool:
        """Whether it was made to its end, from the recipe as it is now."""
        try:
            return self._stamp.read_text() == self._fingerprint() and self.python.exists()
        except OSError:
            return False

    def make(self, wheels: Path | None = None, watch: installers.Watch = lambda line: None) -> None:
        """From nothing, every time. Raises CannotInstall.

        `wheels`: a folder from which alone to install. `watch` is given the installer's lines.
        """
        if Path(sys.prefix).resolve() == self.folder.resolve():  # reached by a link, it may be
            raise CannotInstall(
                f"{self.name} must be made anew, and this Python lives in it: deactivate it first"
            )
        begin = time.monotonic()
        if self.folder.is_symlink():
            self.folder.unlink()  # what it leads to is somebody else's, its stamp too
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        with self._replaced():
            installer, cache = installers.install(
                self.folder, self.arguments or ("-r", str(self._written())), wheels, watch
            )
            seconds = time.monotonic() - begin
            held = lock.look(self.python)
            if held is None and not _answers(self.python):
                raise CannotInstall("it was installed, and its Python does not answer")
            if held is not None:
                (self.folder / "bakeoff-lock.txt").write_text(held.text)
            made = {
                "lock": held and held.sha256,
                "installed_bytes": held and held.installed_bytes,
                "install_seconds": seconds,
                "installer": installer,
                "cache": cache,
            }
            self._made.write_text(json.dumps(made))
            os.sync()  # a power cut must not leave a stamp beside files that are empty
            pagecache.forget(self.folder)
            disk.write_whole(self._stamp, self._fingerprint().encode())

    @contextmanager
    def _replaced(self) -> Iterator[None]:
        """What was there goes; and what failed half-made, which may be why the disk is full. The
        controller's own comes back then: without a network there would be no command left."""
        aside = self.folder.with_name(f"{self.name}.before")
        if self._stamp.exists():
            shutil.rmtree(aside, ignore_errors=True)  # that had ended, but for this
        elif aside.is_dir():  # that was killed, half way
            shutil.rmtree(self.folder, ignore_errors=True)
            aside.rename(self.folder)
        kept = self.name == CONTROLLER and self.folder.is_dir()
        if kept:
            self.folder.rename(aside)
        self._stamp.unlink(missing_ok=True)  # first: half a removal must not look whole
        shutil.rmtree(self.folder, ignore_errors=True)
        try:
            yield
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            if kept:
                aside.rename(self.folder)
            raise
        shutil.rmtree(aside, ignore_errors=True)

    @property
    def _made(self) -> Path:
        return self.folder / "bakeoff-made.json"

    def made(self) -> dict[str, Any]:
        """How it was made: lock (its hash), installed_bytes, install_seconds, installer, cache.

        Empty for one made before these were kept.
        """
        try:
            return json.loads(self._made.read_text())
        except (OSError, ValueError):
            return {}

    def _written(self) -> Path:
        path = self.folder.parent / f"{self.name}.txt"
        path.write_text(self.recipe)
        return path


def _answers(python: Path) -> bool:
    """Slowly, it may be: what it holds takes a slow disk more than a minute to tell."""
    try:
        return run_python(python, "-c", "").returncode == 0
    except OSError:
        return False


def controller() -> Environment:
    """`.venv`: the bakeoff command, the pytest front, and what checks this code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    editable = ("--editable", f"{ROOT}[pytest,dev]")
    # Its commands hold this folder's path: one that was moved is made anew.
    return Environment(CONTROLLER, ROOT / CONTROLLER, f"{ROOT}\n{project!r}", editable)


def environment_of(
    adapter: str, device: str, version: str | None = None, variant: str = ""
) -> Environment | None:
    """The environment an adapter's variant lives in, or None where it has none for that device.

    device is "cpu" or "cuda[:N]". Another version's environment is named with it, as
    in `torch@2.12-cpu`: made from a requirements file of that name where there is one, else
    from the adapter's own with its framework's pin replaced.
    """
    kind = device.partition(":")[0]
    home = _home(adapter, variant)
    usual = REQUIREMENTS / f"{home}-{kind}.txt"
    name = f"{_versioned(home, adapter, version)}-{kind}" if version else usual.stem
    own = REQUIREMENTS / f"{name}.txt"
    folder = ROOT / ".envs" / name
    if own.exists():
        return Environment(name, folder, own.read_text(), ("-r", str(own)))
    recipe = usual.read_text() if usual.exists() else _asked_for(adapter, kind)
    if recipe is None:
        return None
    return Environment(name, folder, _pinned(recipe, adapter, version) if version else recipe)


def _asked_for(adapter: str, kind: str) -> str | None:
    """What an adapter without a file of ours asks for. A broken one asks for nothing."""
    from adapters.core import discovery

    try:
        lines = discovery.adapter_class(adapter).requirements(kind)
    except Exception:
        return None
    return None if lines is None else "".join(f"{line}\n" for line in lines)


def _pinned(recipe: str, adapter: str, version: str) -> str:
    """A recipe with its framework at another version, and the others where they then fit.

    `2` and `2.12` mean any release of it; all else (`2.12.1`, `2.13rc1`, `2.12+cu126`) that one.
    """
    from adapters.core import discovery

    frameworks = discovery.adapter_class(adapter).distributions
    release = f"{version}.*" if re.fullmatch(r"\d+(\.\d+)?", version) else version

    def pin(match: re.Match[str]) -> str:
        name, extras = match["name"], match["extras"] or ""
        return f"{name}{extras}=={release}" if name in frameworks else f"{name}{extras}"

    pattern = r"(?m)^(?P<name>[\w.-]+)(?P<extras>\[[^]]*\])?==\S+"
    return re.sub(pattern, pin, recipe)


def _versioned(home: str, adapter: str, version: str) -> str:
    """`torch@2.12`, where torch_nn lives too; Keras's releases are not those of its home."""
    from adapters.core import discovery

    kinds = [discovery.adapter_class(name) for name in (home, adapter) if name in discovery.names()]
    shared = len({kind.distributions for kind in kinds}) == 1 and len(kinds) == 2
    return f"{home}@{version}" if shared else f"{home}-{adapter}@{version}"


def python_of(
    adapter: str,
    device: str,
    current: bool = False,
    version: str | None = None,
    variant: str = "",
) -> Path | None:
    """The interpreter that runs an adapter: this one where `current`; None if not installed."""
    if current:
        return Path(sys.executable)
    environment = environment_of(adapter, device, version, variant)
    return environment.python if environment and environment.ready() else None


def why_absent(adapter: str, device: str, version: str | None = None, variant: str = "") -> str:
    """Why `python_of` has nothing to give, in a line for a person."""
    environment = environment_of(adapter, device, version, variant)
    elsewhere = variant and environment != environment_of(adapter, device, version)
    name = adapter + (f"@{version}" if version else "") + (f":{variant}" if elsewhere else "")
    if environment is None:
        kind = device.partition(":")[0]
        return (
            _unknown_home(adapter, variant, kind) or f"there is no environment of {name} for {kind}"
        )
    kind = device.partition(":")[0]
    again = f"run `bakeoff setup {name}{'' if kind == _usual_kind() else f' --device {kind}'}`"
    try:
        why = environment.failed.read_text().splitlines()[0]
        return f"could not be installed: {why}; {again} to try once more"
    except (OSError, IndexError):
        pass
    stale = environment.python.exists()
    what = "installed, but not as it should be" if stale else "not installed"
    return f"{what}: {again}"


def _usual_kind() -> str:
    return default_device().partition(":")[0]


def _unknown_home(adapter: str, variant: str, kind: str) -> str | None:
    """Of an adapter that names an environment which nothing makes, on whatever device."""
    home = _home(adapter, variant)
    if home == adapter or any(REQUIREMENTS.glob(f"{home}-*.txt")):
        return None
    there = sorted(p.name.removesuffix(f"-{kind}.txt") for p in REQUIREMENTS.glob(f"*-{kind}.txt"))
    return (
        f"its `environment` is '{home}', which adapters/requirements/{home}-{kind}.txt would make: "
        f"write that file, or name one that there is: {', '.join(there)}"
    )


def run_python(
    python: Path, *arguments: str, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """One environment's Python, from here, with this project to import; what it said is kept.

    Raises Wrong where it does not answer in time.
    """
    environment = {**os.environ, "PYTHONPATH": python_path()}
    try:
        return bounded.run([python, *arguments], ROOT, environment, timeout)
    except subprocess.TimeoutExpired:
        raise Wrong(f"{python} did not answer within {timeout:g} s; try again") from None


def default_device() -> str:
    """ "cuda:0" where an NVIDIA GPU is seen, else "cpu"."""
    from harness.host import machine

    return "cuda:0" if "cuda:0" in machine.devices() else "cpu"


def described(
    adapter: str,
    device: str,
    current: bool = False,
    version: str | None = None,
    variant: str = "",
) -> dict[str, Any]:
    """What a record says of the environment that an adapter runs in: name, how it was made,
    and its lock as it is now, whole (`packages`) and as a hash (`lock`)."""
    environment = None if current else environment_of(adapter, device, version, variant)
    python = python_of(adapter, device, current, version, variant)
    held = lock.look(python, isolated=not current) if python else None
    return {
        "name": environment.name if environment else "current",
        **(environment.made() if environment else {}),
        "lock": held and held.sha256,
        "packages": list(held.lines) if held else None,
    }


def usual(device: str) -> list[Environment]:
    """What a run of everyone needs: where something lives that need not be named."""
    from adapters.core import discovery

    found: dict[str, Environment] = {}
    for name in discovery.names():
        for variant in unnamed(name, device):
            environment = environment_of(name, device, variant=variant)
            if environment is not None:
                found[environment.name] = environment
    return list(found.values())


def unnamed(adapter: str, device: str) -> list[str]:
    """Its variants that take part there unnamed.

    A broken adapter may have any: its error is shown elsewhere.
    """
    from adapters.core import discovery

    try:
        variants = discovery.adapter_class(adapter).variants
    except Exception:
        return [""]
    return [name for name, variant in variants.items() if variant.joins_on(device)]


def _home(adapter: str, variant: str) -> str:
    """The environment's name. A broken adapter keeps its own; its error is shown elsewhere."""
    from adapters.core import discovery

    try:
        kind = discovery.adapter_class(adapter)
    except Exception:
        return adapter
    own = kind.variants[variant].environment if variant in kind.variants else ""
    return own or kind.environment or adapter
