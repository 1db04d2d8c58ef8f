"""The Python environments: one for the controller, and one per framework and device.

CUDA wheels of two frameworks install side by side without complaint and overwrite each
other's libcudnn; so each framework has an environment of its own under `.envs/`, made
from `adapters/requirements/<environment>-<device>.txt`, and the controller, which never
imports a framework, has `.venv`. An environment is made whole or not at all: a stamp is
written last, so what was interrupted is made again and what fits is left alone. One that
cannot be made leaves the reason in `<name>.failed` and stops no other.

    python3 -m harness.environments controller      # the bare system Python is enough
    .venv/bin/python -m harness.environments --device cpu torch jax
"""

import argparse
import fcntl
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness.errors import Wrong

ROOT = Path(__file__).resolve().parent.parent
REQUIREMENTS = ROOT / "adapters" / "requirements"
AT_A_TIME = 2  # one downloads while the other unpacks
TAIL_LINES = 20

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

Say = Callable[[str], None]


class CannotInstall(Exception):
    """The first line of the message is the reason; the rest is what the installer said."""


@dataclass(frozen=True)
class Environment:
    """A folder with a Python in it, made from a recipe: what the installer is given."""

    name: str
    folder: Path
    recipe: str  # the text that, changed, asks for a new environment
    arguments: tuple[str, ...]

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

    def make(self) -> None:
        """From nothing, every time. Raises CannotInstall."""
        if Path(sys.prefix) == self.folder:
            raise CannotInstall(
                f"{self.name} must be made anew, and this Python lives in it: deactivate it first"
            )
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        uv = shutil.which("uv")
        if uv:
            _call([uv, "venv", "--quiet", "--python", sys.executable, str(self.folder)])
            links = os.environ.get("PIP_FIND_LINKS", "").split()
            found = [word for link in links for word in ("--find-links", link)]
            python = ["--python", str(self.python)]
            _call([uv, "pip", "install", "--quiet", *python, *found, *self.arguments])
        else:
            if importlib.util.find_spec("ensurepip") is None:
                raise CannotInstall(
                    "this Python cannot make environments (no ensurepip): "
                    "on Debian and Ubuntu, `apt-get install python3-venv`; or install uv"
                )
            _call([sys.executable, "-m", "venv", str(self.folder)])
            quiet = ["--quiet", "--no-input", "--disable-pip-version-check"]
            _call([str(self.python), "-m", "pip", "install", *quiet, *self.arguments])
        self._stamp.write_text(self._fingerprint())


def controller() -> Environment:
    """`.venv`: the bakeoff command, the pytest front, and what checks this code."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    editable = ("--editable", f"{ROOT}[pytest,dev]")
    return Environment(".venv", ROOT / ".venv", repr(project), editable)


def environment_of(adapter: str, device: str, version: str | None = None) -> Environment | None:
    """The environment an adapter lives in, or None where it has none for that device.

    device is "cpu" or "cuda[:N]". Another version's environment is named with it, as
    in `torch@2.12-cpu`: made from a requirements file of that name where there is one, else
    from the adapter's own with its framework's pin replaced.
    """
    kind = device.partition(":")[0]
    usual = REQUIREMENTS / f"{_home(adapter)}-{kind}.txt"
    name = f"{_home(adapter)}@{version}-{kind}" if version else usual.stem
    own = REQUIREMENTS / f"{name}.txt"
    folder = ROOT / ".envs" / name
    if own.exists():
        return Environment(name, folder, own.read_text(), ("-r", str(own)))
    if version is None or not usual.exists():
        return None
    recipe = _pinned(usual.read_text(), adapter, version)
    words = [word for line in recipe.splitlines() for word in shlex.split(line, comments=True)]
    return Environment(name, folder, recipe, tuple(words))


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


def python_of(
    adapter: str, device: str, current: bool = False, version: str | None = None
) -> Path | None:
    """The interpreter that runs an adapter: this one where `current`; None if not installed."""
    if current:
        return Path(sys.executable)
    environment = environment_of(adapter, device, version)
    return environment.python if environment and environment.ready() else None


def why_absent(adapter: str, device: str, version: str | None = None) -> str:
    """Why `python_of` has nothing to give, in a line for a person."""
    environment = environment_of(adapter, device, version)
    if environment is None:
        return f"there is no environment of {adapter} for {device.partition(':')[0]}"
    try:
        return f"could not be installed: {environment.failed.read_text().splitlines()[0]}"
    except (OSError, IndexError):
        pass
    stale = environment.python.exists()
    how = f"`bakeoff setup {adapter}@{version}`" if version else "`make env`"
    return f"{'installed, but not as it should be' if stale else 'not installed'}: run {how}"


def default_device() -> str:
    """ "cuda" where an NVIDIA GPU is seen, else "cpu"."""
    from harness import machine

    return "cuda" if len(machine.devices()) > 1 else "cpu"


def setup(adapters: list[str], device: str, say: Say = print) -> list[str]:
    """Makes what is missing for these adapters (none: all). Returns the names that failed.

    An adapter may be named with a version, as in `torch@2.12`. Raises Wrong for one that
    does not exist.
    """
    from adapters.core import discovery

    known = discovery.names()
    for adapter in adapters:
        if adapter.partition("@")[0] not in known:
            raise Wrong(f"unknown adapter '{adapter}'; there are: {', '.join(known)}")
        if not re.fullmatch(r"[\w-]+(@[\w.+-]+)?", adapter):
            raise Wrong(f"adapter '{adapter}': expected ADAPTER or ADAPTER@VERSION, as torch@2.12")
    wanted: dict[str, Environment] = {}
    for adapter in adapters or known:
        plain, _, version = adapter.partition("@")
        environment = environment_of(plain, device, version or None)
        if environment is not None:
            wanted[environment.name] = environment
        elif adapter in adapters:
            say(f"{adapter}: {why_absent(plain, device)}")
    failed = make_all(list(wanted.values()), say)
    return failed + [name for name in adapters or known if not _prepare(name, device, say)]


def make_all(environments: list[Environment], say: Say = print) -> list[str]:
    """Makes what is not ready, a line for each. Returns the names that failed."""
    (ROOT / ".envs").mkdir(exist_ok=True)
    with (ROOT / ".envs" / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second `make env` waits for the first
        pool = ThreadPoolExecutor(AT_A_TIME)
        try:
            done = list(pool.map(lambda environment: _make(environment, say), environments))
        finally:
            pool.shutdown(cancel_futures=True)
    return [
        environment.name for environment, fine in zip(environments, done, strict=True) if not fine
    ]


def _make(environment: Environment, say: Say) -> bool:
    if environment.ready():
        say(f"{environment.name}: ready")
        return True
    say(f"{environment.name}: installing ...")
    begin = time.monotonic()
    try:
        environment.make()
    except (CannotInstall, OSError) as error:
        environment.failed.write_text(f"{error}\n")
        say(f"{environment.name}: cannot be installed: {error}")
        return False
    environment.failed.unlink(missing_ok=True)
    say(f"{environment.name}: installed in {time.monotonic() - begin:.0f} s")
    return True


def _prepare(adapter: str, device: str, say: Say) -> bool:
    """False where the adapter has something to do in its environment, and it failed."""
    from adapters.core import discovery
    from adapters.core.base import Adapter

    plain, _, version = adapter.partition("@")
    try:
        idle = discovery.adapter_class(plain).prepare.__func__ is Adapter.prepare.__func__  # type: ignore[attr-defined]
    except Exception:  # a broken adapter: its error is shown elsewhere
        return True
    python = python_of(plain, device, version=version or None)
    if idle or python is None:
        return True
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    result = subprocess.run(
        [python, "-c", PREPARE, plain], cwd=ROOT, env={**os.environ, "PYTHONPATH": path},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    if result.returncode:
        last = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
        say(f"{adapter}: cannot be prepared: {last}")
    return result.returncode == 0


def _home(adapter: str) -> str:
    """The environment's name. A broken adapter keeps its own; its error is shown elsewhere."""
    from adapters.core import discovery

    try:
        return discovery.adapter_class(adapter).environment or adapter
    except Exception:
        return adapter


def _call(command: list[str]) -> None:
    """Runs an installer. Raises CannotInstall with its own words: the error, then the tail."""
    result = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, errors="replace",
    )  # fmt: skip
    if result.returncode == 0:
        return
    lines = [line.strip() for line in result.stdout.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r"(?i)error|.*no space left", line)]
    reason = (errors or lines or [f"exit status {result.returncode}"])[-1]
    raise CannotInstall("\n".join([reason, *lines[-TAIL_LINES:]]))


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
        return 1 if not environment.ready() and make_all([environment]) else 0
    adapters = [re.split("[:#]", name)[0] for name in given.names]
    device = given.device or default_device()
    try:
        failed = setup(adapters, device)
    except Wrong as wrong:
        print(wrong, file=sys.stderr)
        return 2
    from adapters.core import discovery

    asked = [name.partition("@") for name in adapters or discovery.names()]
    usable = any(python_of(name, device, version=version or None) for name, _, version in asked)
    return 1 if failed and not usable else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # what was half made is made again the next time
