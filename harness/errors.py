"""Input that is wrong, as opposed to a program that is; what cannot be found out; being told to
end."""

import functools
import signal
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class Wrong(Exception):
    """What the user gave cannot be used.

    The message is one line: what was given, what was expected, what to do. The command
    line prints it and exits with status 2; no traceback.
    """


def in_words(error: Exception) -> str:
    """One line: the message, and what raised it where that is no refusal of our own."""
    text = " ".join(str(error.args[0] if error.args else error).split())
    own = isinstance(error, KeyError | ValueError)
    return text if own else f"{type(error).__name__}: {text}"


def maybe(look: Callable[[], Any]) -> Any:
    """What `look` finds, or None: a library, a file or a driver that is absent is no error."""
    try:
        return look()
    except Exception:
        return None


def quiet(look: Callable[P, R]) -> Callable[P, R | None]:
    """A function of which every call is a `maybe`."""

    @functools.wraps(look)
    def looked(*args: P.args, **kwargs: P.kwargs) -> R | None:
        return maybe(lambda: look(*args, **kwargs))

    return looked


def as_interruptions() -> None:
    """A scheduler's SIGTERM and a closed terminal's SIGHUP are taken as Ctrl-C is."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
