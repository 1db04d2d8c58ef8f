"""What a person sees while environments are made: which, what it is at, for how long.

On a terminal a live line for each environment under way, and a line that stays for each
that is finished; elsewhere (a log, CI) only the latter.
"""

import threading
import time
from types import TracebackType

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from harness.install.environments import sentence

STYLES = {"installed": "green", "failed": "red"}


class Installing:
    """`with Installing() as say: setup.make(names, device, say)`."""

    def __init__(self, console: Console | None = None):
        self.console = console or Console()
        self.live = Live(self, console=self.console, refresh_per_second=4, transient=True)
        self.begun: dict[str, tuple[float, str]] = {}  # when, and the installer's last words
        self.lock = threading.Lock()  # two environments at a time speak here

    def __enter__(self) -> "Installing":
        if self.console.is_terminal:
            self.live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.console.is_terminal:
            self.live.stop()

    def __rich__(self) -> Table:
        rows = Table.grid(padding=(0, 2))
        rows.add_column(no_wrap=True)
        rows.add_column(justify="right")
        rows.add_column(no_wrap=True, overflow="ellipsis")
        with self.lock:
            for name, (begin, words) in self.begun.items():
                rows.add_row(name, f"{time.monotonic() - begin:.0f} s", Text(words, style="dim"))
        return rows

    def __call__(self, name: str, state: str, detail: str) -> None:
        with self.lock:
            if state == "step":
                self.begun[name] = (self.begun[name][0], detail)
                return
            if state == "installing":
                self.begun[name] = (time.monotonic(), "making room")
                if self.console.is_terminal:
                    return
            else:
                self.begun.pop(name, None)
        line = Text(f"{name}: {sentence(state, detail)}", style=STYLES.get(state, ""))
        self.console.print(line, soft_wrap=True, highlight=False)
