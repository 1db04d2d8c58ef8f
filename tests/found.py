"""README.md's tables of what was found: what the published runs say, as they are read today; and
what bfloat16 and a second thread gained.

python -m tests.found        prints both, to be put in their places
"""

from collections.abc import Sequence
from typing import Any

from harness.paths import ROOT
from harness.record import records
from reports.choice import sentences
from reports.comparison.conditions import Mean
from reports.runs import machines
from reports.verdicts import analyse
from reports.words import listed

PUBLISHED = ROOT / "results" / "published"
SIX = "six runs of 10 min, Xeon"
# A column's heading, and whose folders it is of: several runs are taken together.
COLUMNS = {
    "six runs of 10 min, EPYC": [f"quick-2core{n}" for n in ("", "-2", "-3", "-4", "-5", "-6")],
    SIX: [f"quick-xeon{n}" for n in ("", "-2", "-3", "-4", "-5", "-6")],
    "25 min, EPYC without AVX-512": ["quick-avx2"],
    "25 min, Xeon": ["quick-xeon-25m"],
    "in bfloat16, Xeon": ["precision-xeon"],
    "with engines, Xeon": ["serving-xeon"],
    "with engines, EPYC": ["serving-epyc"],
}
LOW, THREADS = "bfloat16", "threads-epyc"
USES = (
    "General use",
    "Training throughput",
    "Prototyping",
    "Low-latency serving",
    "Batch inference",
    "CPU-only deployment",
    "Small memory",
)


def table() -> str:
    found = [
        chosen([records.read(PUBLISHED / name) for name in of], f" ({LOW})" if LOW in head else "")
        for head, of in COLUMNS.items()
    ]
    rows = [["for", *COLUMNS], ["---"] * (1 + len(COLUMNS))]
    rows += [[use, *(each.get(use, "") for each in found)] for use in USES]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def gained() -> str:
    """Each contender's time in bfloat16 over its own in float32, and on two threads over its own on
    one, with their intervals."""
    low, two = (analyse(records.read(PUBLISHED / name)) for name in ("precision-xeon", THREADS))
    means = [
        (f"in {LOW} over float32, Xeon", low.precisions.means),
        ("on two cores over one, EPYC", two.scaling.means),
    ]
    names = list(dict.fromkeys(mean.contender for _, each in means for mean in each))
    rows = [["time", *names], ["---"] * (1 + len(names))]
    for head, each in means:
        of = {mean.contender: mean for mean in each}
        rows.append([head, *(within(of[name]) if name in of else "" for name in names)])
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def engine(name: str, run: str, than: str = "") -> tuple[float, float]:
    """An engine's time for one image over that of the best framework whose weights are arguments,
    or over another's: the least and the most over the networks of a run."""
    read = records.read(PUBLISHED / run)
    frameworks = {c["name"] for c in read.plan["contenders"] if c["trains"] and c["copy"] == 1}
    others = {than} if than else frameworks
    ratios = [
        max(r.ratio for r in c.ratios if r.a == name and r.b in others)
        for c in analyse(read).comparisons
        if c.batch == 1
    ]
    return min(ratios), max(ratios)


def within(mean: Mean) -> str:
    """0.47 (0.45 to 0.48); a star where the interval is at 99.9%."""
    star = "*" * (mean.confidence > 0.95)
    return f"{mean.ratio:.2f} ({mean.low:.2f} to {mean.high:.2f}){star}"


def chosen(runs: Sequence[records.Run], named: str = "") -> dict[str, str]:
    """By use, what one run says of it, or several together. named: what its title ends in there."""
    by_run = [{each.title: each for each in analyse(run).recommendations} for run in runs]
    over = machines.gather([*runs]).over if len(runs) > 1 else by_run[0]
    return {
        use.removesuffix(named): said(
            choice, any(sentences.status(each[use]) == "incomplete" for each in by_run)
        )
        for use, choice in over.items()
        if choice is not None and choice.ranking and use.endswith(named)
    }


def said(choice: Any, incomplete: bool) -> str:
    """In bold who is decided on; else who leads, and by how much it may be behind at worst."""
    if choice.choice:
        return f"**{choice.choice}**"
    if choice.tied:
        return f"**{listed(choice.tied, 'or')}** (a tie)"
    leader = choice.ranking[0]["contender"]
    if incomplete:
        return f"{leader} (*incomplete*)"
    return f"{leader} ({sentences.behind(choice.worst)})" if choice.worst else leader


if __name__ == "__main__":
    print(table(), gained(), sep="\n")
