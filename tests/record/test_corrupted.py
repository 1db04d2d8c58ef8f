"""Claims about a run of whose files one value is not what it was: it is shown, or refused in a
line. What came from a file is data, and no reader of it ends in a traceback."""

import io
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.errors import Wrong
from harness.record import records
from reports import terminal
from reports.pages import page
from reports.verdicts import analyse
from tests.support.synthetic import write_run

OTHER: list[Any] = [None, "x", -1, 0, 1e308, float("nan"), [], {}, [1], {"a": 1}, True, 10**30]


def _places(document: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if at:
        yield at
    inner = document.items() if isinstance(document, dict) else ()
    if isinstance(document, list):
        inner = enumerate(document[:4])
    for key, value in inner:
        yield from _places(value, (*at, key))


def _corrupted(document: Any, luck: random.Random) -> Any:
    """With one value gone, or of another kind."""
    *way, last = luck.choice([*_places(document)])
    holder = document
    for key in way:
        holder = holder[key]
    if isinstance(holder, dict) and luck.random() < 0.3:
        del holder[last]
    else:
        holder[last] = luck.choice(OTHER)
    return document


def _corrupt(folder: Path, luck: random.Random) -> None:
    name = luck.choice(["plan.json", "environment.json", *["records-000.jsonl"] * 3])
    lines = (folder / name).read_text().splitlines() if "records" in name else []
    if not lines:
        whole = json.loads((folder / name).read_text())
        (folder / name).write_text(json.dumps(_corrupted(whole, luck)))
        return
    place = luck.randrange(len(lines))
    lines[place] = json.dumps(_corrupted(json.loads(lines[place]), luck))
    (folder / name).write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("seed", range(8))
def test_one_value_that_is_another_is_told_or_refused(seed: int, tmp_path: Path) -> None:
    for turn in range(8):
        folder = write_run(tmp_path / str(turn), {"torch": 1.0, "jax": 1.3}, launches=6)
        _corrupt(folder, random.Random(100 * seed + turn))
        try:
            analysis = analyse(records.read(folder))
            terminal.render(analysis, Console(file=io.StringIO(), width=120), True)
            page.render(analysis)
        except Wrong as refused:
            assert "\n" not in str(refused)


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("plan.json", '"workload"', '"work"'),
        ("plan.json", '"contenders": ["torch"', '"contenders": ["troch"'),
        ("environment.json", '"manifest"', '"manifesto"'),
    ],
)
def test_what_a_document_lacks_is_named(name: str, old: str, new: str, tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", {"torch": 1.0, "jax": 1.3})
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    with pytest.raises(Wrong, match=rf"{name} is not whole: .*bring it back from a copy"):
        records.read(folder)
