"""A run in the formats of other tools: which there are, and how one is written.

One file a format beside this one; each has one function, from an analysis to the text of
the file. Text goes to standard output unless a place is named, as other tools' filters do.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from harness.errors import Wrong
from harness.record.records import Run
from reports.analysis import Analysis
from reports.choice.profiles import Profile
from reports.exports import github_action, markdown, parquet, pytest_benchmark, table, verdicts
from reports.pages import template
from reports.verdicts import analyse

TEXT: dict[str, Callable[[Analysis], str]] = {
    "markdown": markdown.text,
    "json": verdicts.text,
    "csv": table.text,
    "pytest-benchmark": pytest_benchmark.text,
    "github-action-benchmark": github_action.text,
}
NAMES = ("html", *TEXT, "parquet")


def known(name: str) -> str:
    """The name of a format, or Wrong."""
    if name not in NAMES:
        raise Wrong(f"--format {name}: expected one of {', '.join(NAMES)}")
    return name


def write(
    run: Run,
    name: str,
    output: Path | None,
    chosen: Sequence[Profile] | None = None,
    price: float | None = None,
) -> str:
    """What to print: the text itself, or where it was written. Raises Wrong.

    chosen and price: as `analyse` takes them.
    """
    if name == "parquet":
        if output is None:
            raise Wrong("--format parquet is no text: name a file with --output")
        return str(parquet.write(run, output))
    text = TEXT[name](analyse(run, chosen, price))
    return text if output is None else str(template.save(output, text, name))
