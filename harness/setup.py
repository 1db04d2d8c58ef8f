"""Making the environments, two at a time; one that cannot be made stops no other.

    python3 -m harness.setup controller      # the bare system Python is enough
    .venv/bin/python -m harness.setup --device cpu torch jax

What failed leaves its reason in `.envs/<name>.failed`, for `bakeoff list`.
"""

import argparse
import fcntl
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from harness.errors import Wrong, as_interruptions
from harness.install import environments, installers
from harness.install.environments import Environment, Say, say_lines
from harness.install.installers import CannotInstall

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


@dataclass(frozen=True)
class Outcome:
    """How the making of one environment ended; none, where there is nothing to make."""

    name: str
    state: str  # ready, installed, failed
    environment: Environment | None
    reason: str | None = None


def make(
    adapters: list[str], device: str, say: Say = say_lines, wheels: Path | None = None
) -> list[Outcome]:
    """Makes what is missing for these adapters (none: all that a run of everyone takes).

    An adapter may be named with a version, as in `torch@2.12`, and with a variant, which may
    live elsewhere, as in `keras:torch`. `wheels`: a folder from which alone to install.
    Raises Wrong for what does not exist.
    """
    from harness.plan import inventory  # needs NumPy: the bare Python has made .venv by now

    if wheels is not None:
        wheels = wheels.resolve()
        if not any(wheels.glob("*.whl")):
            raise Wrong(
                f"--wheels {wheels}: expected a folder with wheels in it; `pip download -r "
                f"adapters/requirements/NAME-{device}.txt -d FOLDER` fills one"
            )
    wanted: dict[str, Environment] = {}
    nothing, named = [], []
    for adapter in adapters:
        its = inventory.parse(adapter)
        named.append(its.adapter)
        environment = environments.environment_of(its.adapter, device, its.version, its.variant)
        if environment is not None:
            wanted[environment.name] = environment
        else:
            why = environments.why_absent(its.adapter, device, its.version, its.variant)
            nothing.append(Outcome(adapter, "failed", None, why))
            say(adapter, "failed", why)
    chosen = list(wanted.values()) if adapters else environments.usual(device)
    made = nothing + make_all(chosen, say, wheels)
    prepared = (_prepared(name, device, say) for name in sorted({*named}))
    return made + [failed for failed in prepared if failed]


def make_all(
    wanted: Iterable[Environment], say: Say = say_lines, wheels: Path | None = None
) -> list[Outcome]:
    """Makes what is not ready, two at a time."""
    wanted, stopping = list(wanted), Event()
    installers.begin()
    if all(each.ready() for each in wanted):  # whoever may not write here need not
        return [_make_one(each, say, wheels, stopping) for each in wanted]
    (environments.ROOT / ".envs").mkdir(exist_ok=True)
    with (environments.ROOT / ".envs" / ".lock").open("w") as turn:
        with suppress(OSError):  # a file system that knows no locks
            fcntl.flock(turn, fcntl.LOCK_EX)  # a second `make env` waits for the first
        pool = ThreadPoolExecutor(AT_A_TIME)
        try:
            return list(pool.map(lambda each: _make_one(each, say, wheels, stopping), wanted))
        except BaseException:
            stopping.set()
            installers.stop()
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def failures(outcomes: list[Outcome]) -> list[str]:
    """The names of what could not be made."""
    return [each.name for each in outcomes if each.state == "failed"]


def _make_one(environment: Environment, say: Say, wheels: Path | None, stopping: Event) -> Outcome:
    name = environment.name
    if environment.ready():
        say(name, "ready", "")
        return Outcome(name, "ready", environment)
    if stopping.is_set():
        return Outcome(name, "failed", environment, "interrupted")
    say(name, "installing", "")
    try:
        environment.make(wheels, lambda line: say(name, "step", line))
    except (CannotInstall, OSError) as error:
        if stopping.wait(0.2):  # an interruption, which a terminal tells the installer too
            return Outcome(name, "failed", environment, "interrupted")
        with suppress(OSError):  # of a full disk nothing is written, and it stops no other
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
    python = environments.python_of(adapter, device)
    if idle or python is None:
        return None
    result = environments.run_python(python, "-c", PREPARE, adapter)
    if result.returncode == 0:
        return None
    last = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
    say(adapter, "failed", last)
    return Outcome(adapter, "failed", None, last)


def _controller() -> int:
    environment = environments.controller()
    try:
        return 0 if environment.ready() or not failures(make_all([environment])) else 1
    except OSError as error:
        print(f"{environment.name} cannot be made: {error}", file=sys.stderr)
        return 1


def main(arguments: list[str] | None = None) -> int:
    """The command line. 0: something can be measured; 1: nothing can; 2: a wrong name."""
    parser = argparse.ArgumentParser(
        prog="python -m harness.setup",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), help="default: cuda with a GPU")
    parser.add_argument(
        "names", nargs="*", metavar="ADAPTER", help="default: those of a plain run; or: controller"
    )
    given = parser.parse_args(arguments)
    if given.names == ["controller"]:
        return _controller()
    device = given.device or environments.default_device()
    try:
        from harness.install.installing import Installing  # needs rich, which .venv has
    except ImportError as error:
        print(f"{error}: `make env` first, then .venv/bin/bakeoff setup", file=sys.stderr)
        return 2
    try:
        with Installing() as say:
            outcomes = make(given.names, device, say)
    except (Wrong, OSError) as wrong:
        print(wrong, file=sys.stderr)
        return 2
    failed = failures(outcomes)
    return 1 if failed and len(failed) == len(outcomes) else 0


if __name__ == "__main__":
    as_interruptions()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)  # what was half made is made again the next time
