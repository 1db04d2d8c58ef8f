"""The command line: `bakeoff`, and how it leaves.

Wrong input gives one line on standard error and exit status 2: what was given, what was
expected, what to do. An interrupted run exits with 130; what it reported is kept.
"""

import errno
import io
import os
import re
import signal
import sys
from typing import Any, NoReturn

import typer

from harness.commands import adapt, export, measure, read, repeat, trust
from harness.commands.common import app
from harness.errors import Wrong, as_interruptions
from harness.unseen import IN_A_LINE
from suites.catalogue import Broken

__all__ = ["adapt", "export", "main", "measure", "read", "repeat", "trust"]

# typer brings its own copy of click, or needs the package, by version: this name is in both.
UsageError: Any = typer.BadParameter.__mro__[1]


# In which `--help` lists them: what somebody comes for first.
ORDER = (
    *("run", "list", "show", "report", "compare", "repeat"),
    *("setup", "doctor", "calibrate", "prove", "export", "check", "new-adapter"),
)
app.registered_commands.sort(
    key=lambda each: ORDER.index(each.name or getattr(each.callback, "__name__", ""))
)

TELLS = ("list", "show", "report", "compare")  # whose status is no verdict


def main() -> None:
    """Entry point; turns what is the user's to mend into one line and exit status 2."""
    as_interruptions()
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # its descriptor was closed: `bakeoff list >&-`
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115, it stays as long as we do
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # what an encoding lacks is told as `?`
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        _refuse_empty(sys.argv[1:])
        status = _call(sys.argv[1:])
        sys.stdout.flush()
    except (Wrong, UsageError, Broken) as wrong:
        text = wrong.format_message() if isinstance(wrong, UsageError) else str(wrong)
        if "unexpected extra argument" in text and sys.argv[1] == "run":
            text += ". Contenders are separated by commas: -c torch,jax"
        _leave(text, 2)
    except (KeyboardInterrupt, typer.Abort):
        _leave("interrupted", 130)
    except BrokenPipeError:
        _unread()
    except SystemExit as left:  # as rich leaves a pipe that was closed
        if isinstance(left.__context__, BrokenPipeError):
            _unread()
        raise
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        if error.filename is None and not full:
            raise
        text = f"cannot use {error.filename or 'this disk'}: {error.strerror}"
        if full:
            text += "; make room"
        if full and sys.argv[1] == "run":
            text += ". What a run reported is kept: `bakeoff run --resume RUN` goes on"
        _leave(text, 2)
    sys.exit(status)


def _call(arguments: list[str]) -> int:
    """The command, and its exit status. `app()` would hide a Ctrl-C and a closed pipe from us."""
    command = typer.main.get_command(app)
    try:
        with command.make_context("bakeoff", arguments) as context:
            command.invoke(context)
    except typer.Exit as left:
        return left.exit_code
    return 0


def _refuse_empty(arguments: list[str]) -> None:
    """Raises Wrong for an empty value: an unset "$RUN" is not the same as none given."""
    for before, given in zip(["bakeoff", *arguments], arguments, strict=False):
        if given.encode("utf-8", "replace") != given.encode("utf-8", "surrogateescape"):
            raise Wrong(f"{given.encode('utf-8', 'replace').decode()}: expected UTF-8")
        if not given or re.fullmatch(r"--[\w-]+=", given):
            what = given or f"{before} ''"
            raise Wrong(f"{what}: expected a value, got an empty one; give one, or leave it out")


def _unread() -> NoReturn:
    """Nobody reads on. That is no error of what only tells; what measures did not end its work."""
    tells = sys.argv[1] in TELLS or {"--help", "--dry-run"} & {*sys.argv}
    if tells and not any(each.startswith("--fail-on") for each in sys.argv):
        os._exit(0)
    text = "stopped: its output was closed. What was reported is kept: "
    text += "`bakeoff run --resume RUN` goes on" if sys.argv[1] == "run" else "call it again"
    _leave(text, 128 + signal.SIGPIPE)


def _leave(text: str, status: int) -> NoReturn:
    """One line, and out."""
    print(f"bakeoff: {' '.join(text.split()).translate(IN_A_LINE)}", file=sys.stderr)
    try:
        sys.stdout.flush()
    except OSError:  # it is full: Python would try again, and leave with 120
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
