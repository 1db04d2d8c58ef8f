"""Input that is wrong, as opposed to a program that is; and what cannot be found out."""

from collections.abc import Callable
from typing import Any


class Wrong(Exception):
    """What the user gave cannot be used.

    The message is one line: what was given, what was expected, what to do. The command
    line prints it and exits with status 2; no traceback.
    """


def maybe(look: Callable[[], Any]) -> Any:
    """What `look` finds, or None: a library, a file or a driver that is absent is no error."""
    try:
        return look()
    except Exception:
        return None
