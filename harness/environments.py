"""The Python environments: one for the controller, and one per framework and device.

CUDA wheels of two frameworks install side by side without complaint and overwrite each
other's libcudnn; so each framework has an environment of its own under `.envs/`, made
from `adapters/requirements/<environment>-<device>.txt` (or from what an adapter of another
package asks for), and the controller, which never imports a framework, has `.venv`. An
environment is made whole or not at all: a stamp is written last, so what was interrupted is
made again and what fits is left alone. One that cannot be made leaves the reason in
`<name>.failed` and stops no other. Beside the stamp lies what was made: the lock, and how
large it is and how long it took.

    python3 -m harness.environments controller      # the bare system Python is enough
    .venv/bin/python -m harness.environments --device cpu torch jax
"""

import argparse
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import installers, lock
from harness.errors import Wrong
from harness.installers import CannotInstall

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "adapters" / "requirements"
AT_A_TIME = 2  # one downloads while the other unpacks

# Runs in an adapter's environment, once that is there.
PREPARE = """
import sys
from adapters.core.base import Unsupported
from adapters.core.discovery import adapter_class
try:
    adapter_class(sys.argv[1]).prepare()
except Unsupported as why:
    sys.exit(str(why))
"""

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
        if Path(sys.prefix) == self.folder:
            raise CannotInstall(
                f"{self.name} must be made anew, and this Python lives in it: deactivate it first"
            )
        begin = time.monotonic()
        self._stamp.unlink(missing_ok=True)  # first: half a removal must not look whole
        if self.folder.is_symlink():
            self.folder.unlink()  # what it leads to is somebody else's
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        installer, cache = installers.install(
            self.folder, self.arguments or ("-r", str(self._written())), wheels, watch
        )
        seconds = time.monotonic() - begin
        held = lock.look(self.python)
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
        self._stamp.write_text(self._fingerprint())

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


def controller() -> Environment:
    """`.venv`: the bakeoff command, the pytest front, and what checks this code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    editable = ("--editable", f"{ROOT}[pytest,dev]")
    return Environment(".venv", ROOT / ".venv", repr(project), editable)


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

    `2.12` means any release of it, `2.12.1` that one.
    """
    from adapters.core import discovery

    frameworks = discovery.adapter_class(adapter).distributions
    release = version if version.count(".") >= 2 else f"{version}.*"

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
    if environment is None:
        return f"there is no environment of {adapter} for {device.partition(':')[0]}"
    try:
        return f"could not be installed: {environment.failed.read_text().splitlines()[0]}"
    except (OSError, IndexError):
        pass
    stale = environment.python.exists()
    name = f"{adapter}@{version}" if version else f"{adapter}:{variant}" if variant else adapter
    usual = version is None and environment.name in {e.name for e in _usual(device)}
    how = "`make env`" if usual else f"`bakeoff setup {name}`"
    return f"{'installed, but not as it should be' if stale else 'not installed'}: run {how}"


def default_device() -> str:
    """ "cuda" where an NVIDIA GPU is seen, else "cpu"."""
    from harness import machine

    return "cuda" if len(machine.devices()) > 1 else "cpu"


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


@dataclass(frozen=True)
class Outcome:
    """How the making of one environment ended; none, where there is nothing to make."""

    name: str
    state: str  # ready, installed, failed
    environment: Environment | None
    reason: str | None = None


def setup(
    adapters: list[str], device: str, say: Say = say_lines, wheels: Path | None = None
) -> list[Outcome]:
    """Makes what is missing for these adapters (none: all that a run of everyone takes).

    An adapter may be named with a version, as in `torch@2.12`, and with a variant, which may
    live elsewhere, as in `keras:torch`. `wheels`: a folder from which alone to install.
    Raises Wrong for what does not exist.
    """
    from adapters.core import discovery

    known = discovery.names()
    if wheels is not None:
        wheels = wheels.resolve()
        if not any(wheels.glob("*.whl")):
            raise Wrong(
                f"--wheels {wheels}: expected a folder with wheels in it; `pip download -r "
                f"adapters/requirements/NAME-{device}.txt -d FOLDER` fills one"
            )
    wanted: dict[str, Environment] = {}
    nothing = []
    for adapter in adapters:
        if re.split("[@:]", adapter)[0] not in known:
            raise Wrong(f"unknown adapter '{adapter}'; there are: {', '.join(known)}")
        parts = re.fullmatch(r"([\w-]+)(?:@([\w.+-]+))?(?::([\w-]+))?", adapter)
        if parts is None:
            raise Wrong(f"adapter '{adapter}': expected ADAPTER or ADAPTER@VERSION, as torch@2.12")
        plain, version, variant = parts[1], parts[2], parts[3] or ""
        environment = environment_of(plain, device, version, variant)
        if environment is not None:
            wanted[environment.name] = environment
        else:
            nothing.append(Outcome(adapter, "failed", None, why_absent(plain, device)))
            say(adapter, "failed", why_absent(plain, device))
    chosen = list(wanted.values()) if adapters else _usual(device)
    made = nothing + make_all(chosen, say, wheels)
    plain = {re.split("[@:]", adapter)[0] for adapter in adapters}
    return made + [failed for name in sorted(plain) if (failed := _prepared(name, device, say))]


def _usual(device: str) -> list[Environment]:
    """What a run of everyone needs: where something lives that need not be named."""
    from adapters.core import discovery

    found: dict[str, Environment] = {}
    for name in discovery.names():
        for variant in unnamed(name):
            environment = environment_of(name, device, variant=variant)
            if environment is not None:
                found[environment.name] = environment
    return list(found.values())


def unnamed(adapter: str) -> list[str]:
    """Those that take part unnamed. A broken adapter may have any: its error is shown elsewhere."""
    from adapters.core import discovery

    try:
        variants = discovery.adapter_class(adapter).variants
    except Exception:
        return [""]
    return [name for name, variant in variants.items() if not variant.named_only]


def make_all(
    environments: Iterable[Environment], say: Say = say_lines, wheels: Path | None = None
) -> list[Outcome]:
    """Makes what is not ready, two at a time."""
    (ROOT / ".envs").mkdir(exist_ok=True)
    with (ROOT / ".envs" / ".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)  # a second `make env` waits for the first
        pool = ThreadPoolExecutor(AT_A_TIME)
        try:
            return list(pool.map(lambda each: _make(each, say, wheels), environments))
        finally:
            pool.shutdown(cancel_futures=True)


def failures(outcomes: list[Outcome]) -> list[str]:
    """The names of what could not be made."""
    return [each.name for each in outcomes if each.state == "failed"]


def _make(environment: Environment, say: Say, wheels: Path | None) -> Outcome:
    name = environment.name
    if environment.ready():
        say(name, "ready", "")
        return Outcome(name, "ready", environment)
    say(name, "installing", "")
    try:
        environment.make(wheels, lambda line: say(name, "step", line))
    except (CannotInstall, OSError) as error:
        environment.failed.write_text(f"{error}\n")
        say(name, "failed", str(error))
        return Outcome(name, "failed", environment, str(error).splitlines()[0])
    environment.failed.unlink(missing_ok=True)
    made = environment.made()
    say(name, "installed", f"in {made['install_seconds']:.0f} s by {made['installer']}")
    return Outcome(name, "installed", environment)


def _prepared(adapter: str, device: str, say: Say) -> Outcome | None:
    """How it failed, where the adapter has something to do in its environment, and it did."""
    from adapters.core import discovery
    from adapters.core.base import Adapter

    try:
        idle = discovery.adapter_class(adapter).prepare.__func__ is Adapter.prepare.__func__  # type: ignore[attr-defined]
    except Exception:  # a broken adapter: its error is shown elsewhere
        return None
    python = python_of(adapter, device)
    if idle or python is None:
        return None
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    result = subprocess.run(
        [python, "-c", PREPARE, adapter], cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    if result.returncode == 0:
        return None
    last = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
    say(adapter, "failed", last)
    return Outcome(adapter, "failed", None, last)


def _home(adapter: str, variant: str) -> str:
    """The environment's name. A broken adapter keeps its own; its error is shown elsewhere."""
    from adapters.core import discovery

    try:
        kind = discovery.adapter_class(adapter)
    except Exception:
        return adapter
    own = kind.variants[variant].environment if variant in kind.variants else ""
    return own or kind.environment or adapter


def main(arguments: list[str] | None = None) -> int:
    """The command line. 0: something can be measured; 1: nothing can; 2: a wrong name."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.environments",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda with a GPU")
    parser.add_argument("names", nargs="*", metavar="ADAPTER", help="default: all; or: controller")
    given = parser.parse_args(arguments)
    if given.names == ["controller"]:
        environment = controller()
        return 0 if environment.ready() or not failures(make_all([environment])) else 1
    adapters = [name.partition("#")[0] for name in given.names]
    device = given.device or default_device()
    from harness.installing import Installing  # needs rich: the bare Python has made .venv by now

    try:
        with Installing() as say:
            outcomes = setup(adapters, device, say)
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        return 2
    failed = failures(outcomes)
    return 1 if failed and len(failed) == len(outcomes) else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # what was half made is made again the next time
