"""Who was measured in one of two runs, and in the other failed, answered wrongly or was absent.

No interval speaks of such a change, which is the greatest there is: it is told beside them.
"""

from dataclasses import dataclass

from harness.record.records import Run
from reports.analysis import Analysis, Cell, short

Cells = dict[tuple[str, str], Cell]  # by comparison and contender


@dataclass(frozen=True)
class Lost:
    """A contender in a comparison (of the run that holds it); what the other run says of it."""

    comparison: str
    contender: str
    status: str  # a cell's, or "absent"
    reason: str | None

    @property
    def failed(self) -> bool:
        """Not where a run merely ended before it."""
        return self.status != "missing"


def told(cells: list[Lost]) -> list[tuple[str, list[str], str]]:
    """(contender, comparisons, what is said): said once where it is the same of several."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for cell in cells:
        key = (cell.contender, cell.status, cell.reason or "no reason given")
        found.setdefault(key, []).append(short(cell.comparison))
    return [(who, places, f"{status}: {reason}") for (who, status, reason), places in found.items()]


def cells(analysis: Analysis) -> Cells:
    return {(c.id, cell.contender): cell for c in analysis.comparisons for cell in c.cells}


def lost(
    there: Cells, here: Cells, run: Run, both: list[tuple[str, str]], names: list[str]
) -> list[Lost]:
    """What `there` is sound and `here`, in `run`, is not, though it was to be measured.

    both: the comparisons that the runs share, as each calls them. names: whom to look for.
    Whom nobody asked for is not lost.
    """
    absent = {each["name"]: each["reason"] for each in run.plan.get("absent", [])}
    found = []
    for place, mine in both:
        for name in names:
            if there.get((place, name)) is None or there[place, name].status != "ok":
                continue
            cell = here.get((mine, name))
            if cell is not None and cell.status != "ok":
                found.append(Lost(place, name, cell.status, cell.reason))
            elif cell is None and name in absent:
                found.append(Lost(place, name, "absent", absent[name]))
    return found
