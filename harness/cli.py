"""The command line: `bakeoff`, and how it leaves.

Wrong input gives one line on standard error and exit status 2: what was given, what was
expected, what to do. An interrupted run exits with 130; what it reported is kept.
"""

import errno
import os
import sys
from typing import Any, NoReturn

import typer

from harness.commands import adapt, export, measure, read, trust
from harness.commands.common import app
from harness.errors import Wrong
from suites.catalogue import Broken

__all__ = ["adapt", "export", "main", "measure", "read", "trust"]

# typer brings its own copy of click, or needs the package, by version: this name is in both.
UsageError: Any = typer.BadParameter.__mro__[1]


def main() -> None:
    """Entry point; turns what is the user's to mend into one line and exit status 2."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    try:
        status = app(standalone_mode=False)
    except (Wrong, UsageError, Broken) as wrong:
        text = wrong.format_message() if isinstance(wrong, UsageError) else str(wrong)
        _leave(text, 2)
    except (KeyboardInterrupt, typer.Abort):
        _leave("interrupted", 130)
    except BrokenPipeError:
        os._exit(0)
    except OSError as error:
        if error.filename is None and error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        text = f"cannot use {error.filename or 'this disk'}: {error.strerror}"
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            text += "; make room. What a run reported is kept: `bakeoff run --resume RUN` goes on"
        _leave(text, 2)
    sys.exit(status or 0)


def _leave(text: str, status: int) -> NoReturn:
    """One line, and out."""
    print(f"bakeoff: {' '.join(text.split())}", file=sys.stderr)
    sys.exit(status)


if __name__ == "__main__":
    main()
