"""Several machines, or several runs of one: what each of them says, side by side.

Contenders are ranked within a machine, where they were measured in turns, and never across:
a table holds each contender's time over a shared anchor's on the same machine, so that a
column is one machine's and no figure relates two.

Runs of one machine in the same settings are replicates: see `repeats.py`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import compress
from typing import Any

from harness.errors import Wrong
from harness.record.records import Run
from harness.stats import readings
from reports.analysis import Analysis, finite, ranked
from reports.charts import marks
from reports.choice import overall
from reports.choice.profiles import Profile
from reports.comparison import pairs, unnamed
from reports.runs import alike, lost, repeats, several
from reports.verdicts import analyse
from reports.words import listed

OVER = "over the runs"  # how the page calls what all runs of one machine say together


@dataclass(frozen=True)
class Place:
    """A contender's time over the anchor's on one machine."""

    ratio: float
    low: float | None
    high: float | None
    verdict: str
    launches: int
    confidence: float  # of the interval: 0.999 for who left early


@dataclass(frozen=True)
class Machine:
    """One run, under the name by which the page calls it."""

    name: str
    told: str  # processor, threads, GPUs
    analysis: Analysis
    versions: dict[str, str | None]


@dataclass(frozen=True)
class Machines:
    """All of it. `places[comparison][contender][machine]`; "" is all shared comparisons."""

    machines: list[Machine]
    anchor: str | None
    sentence: str
    uses: dict[str, list[Any]]  # use -> each machine's recommendation, or None
    places: dict[str, dict[str, dict[str, Place]]]
    partly: list[str]  # those that some hold, and not all; or of other operations on some
    contenders: list[dict[str, Any]] = field(default_factory=list)  # the machines' own marks
    one: bool = False  # all runs are of one machine, on several days
    unlike: list[str] = field(default_factory=list)  # what makes runs of one machine no replicates
    repeated: dict[str, dict[str, repeats.Repeated]] = field(default_factory=dict)
    over: dict[str, repeats.Choice | None] = field(default_factory=dict)  # use -> of all runs


def gather(
    runs: list[Run], anchor: str | None = None, chosen: Sequence[Profile] | None = None
) -> Machines:
    """chosen: the profiles to recommend for; default: all that come along.

    Raises Wrong for an anchor that relates nothing, for one run given twice, and for two profiles
    of one title.
    """
    several.refuse_twice(runs)
    _refuse_namesakes(chosen or ())
    one = several.one_machine(runs)
    if one:  # they follow each other, however they were named: the first of them are a first stage
        runs = sorted(runs, key=lambda run: str(run.plan["created"]))
    names = _names(runs)
    machines = [
        Machine(name, several.machine_of(run), analyse(run, chosen), run.versions)
        for name, run in zip(names, runs, strict=True)
    ]
    common = several.contenders(runs)
    if anchor is not None and anchor not in common:
        raise Wrong(f"--anchor '{anchor}' is not in all runs; they share: {', '.join(common)}")
    shared = several.comparisons(runs)
    if anchor is not None and not shared:
        raise Wrong(
            f"--anchor '{anchor}' relates nothing: the runs share no comparison; leave it out"
        )
    seen = [lost.cells(machine.analysis) for machine in machines]
    timed = [several.turns(runs, each, seen) for each in shared]
    level = [n for n in common if len({m.versions.get(n) for m in machines}) == 1]
    anchor = anchor or several.steadiest(timed, level) or several.steadiest(timed, common)
    uses: dict[str, list[Any]] = {}
    for place, machine in enumerate(machines):
        for choice in machine.analysis.recommendations:
            uses.setdefault(choice.title, [None] * len(machines))[place] = choice
    loud = [{c.id for c in m.analysis.comparisons if c.busy} for m in machines]
    places = _places(runs, names, anchor, shared, timed, loud) if anchor else {}
    unlike = _unlike(runs, names) if one else []
    stayed = _stayed(runs) if one and not unlike else set()
    busy = _busy(shared, loud)
    alike_in = {each[0]["id"] for each in shared if _measured_alike(each)}
    together = {*alike_in, several.ALL} if len(alike_in) == len(shared) else alike_in
    repeated = {}
    if anchor in stayed:
        among = {place: on for place, on in places.items() if place in together}
        repeated = _repeated(among, names, stayed - {anchor}, busy)
    times = {
        place: {who: [its[n].ratio for n in names] for who, its in on.items() if {*names} <= {*its}}
        for place, on in places.items()
    }
    over = {
        use: repeats.choose(
            use,
            found,
            alike_in,
            stayed,
            unnamed.over({n: c.unnamed for n, c in zip(names, found, strict=True) if c}),
            times,
        )
        for use, found in uses.items()
    }
    if not any(over.values()):
        over = {}
    sentence = repeats.answer(over, [run.plan["created"] for run in runs])
    own = next(filter(None, (overall.own(m.analysis) for m in machines)), "")
    sentence = sentence or _sentence(machines, uses, "runs" if one else "machines")
    return Machines(
        machines=machines,
        anchor=anchor,
        sentence=" ".join(filter(None, (sentence + repeats.moved(repeated, anchor), own))),
        uses=uses,
        places=places,
        partly=several.partly(runs),
        contenders=_marked(names, bool(repeated or over)),
        one=one,
        unlike=unlike,
        repeated=repeated,
        over=over,
    )


def _refuse_namesakes(chosen: Sequence[Profile]) -> None:
    """Raises Wrong: what runs say of a use is put together by its title, and one would be lost."""
    titles = [profile.title for profile in chosen]
    for title in dict.fromkeys(titles):
        if titles.count(title) > 1:
            raise Wrong(f"two profiles have the title '{title}'; give one of them another")


def _names(runs: list[Run]) -> list[str]:
    """Runs' names; numbered where two machines called theirs the same."""
    found: list[str] = []
    for run in runs:
        name, number = run.name, 1
        while name in found:
            number += 1
            name = f"{run.name} ({number})"
        found.append(name)
    return found


def _sentence(machines: list[Machine], uses: dict[str, list[Any]], what: str) -> str:
    """Where they say the same, and where not."""
    parts, anybody = [], False
    for use, choices in uses.items():
        named = [
            (machine.name, told)
            for machine, choice in zip(machines, choices, strict=True)
            if choice is not None and (told := _decided(choice))
        ]
        anybody = anybody or bool(named)
        if not named:
            parts.append(f"{use}: none of the {what} names a winner")
        elif len({choice for _, choice in named}) == 1:
            where = f"all {what}" if len(named) == len(machines) else listed([n for n, _ in named])
            parts.append(f"{use}: {named[0][1]} on {where}")
        else:
            parts.append(f"{use}: " + ", ".join(f"{choice} on {name}" for name, choice in named))
    if parts and not anybody:
        return f"None of the {what} names a winner."
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else "No use has a choice."


def _decided(choice: Any) -> str:
    """Who is to be chosen, or who are a proved tie; nothing where it is open."""
    return choice.choice or (f"{listed(choice.tied, 'or')} (a tie)" if choice.tied else "")


def _places(
    runs: list[Run],
    names: list[str],
    anchor: str,
    shared: list[list[dict[str, Any]]],
    timed: list[list[readings.Times]],
    loud: list[set[str]],
) -> dict[str, dict[str, dict[str, Place]]]:
    found: dict[str, dict[str, dict[str, Place]]] = {}
    ids = [each[0]["id"] for each in shared]
    whole = several.whole(runs, shared)
    for column, (run, name) in enumerate(zip(runs, names, strict=True)):
        asked = [each[column] for each in shared]
        turns = [each[column] for each in timed]
        for contender in ranked(run):
            made = _of_one(run, asked, turns, contender, anchor, loud[column], whole)
            for place, its in zip((several.ALL, *ids), made, strict=True):
                if its is not None:
                    found.setdefault(place, {}).setdefault(contender, {})[name] = its
    return {place: found[place] for place in (several.ALL, *ids) if place in found}


def _of_one(
    run: Run,
    asked: list[dict[str, Any]],
    timed: list[readings.Times],
    contender: str,
    anchor: str,
    loud: set[str],
    whole: list[bool],
) -> Iterator[Place | None]:
    """A contender over the anchor in one run: over all comparisons, then in each.

    By the rules of the run's own page; over all they are stricter: what leaves one comparison
    open leaves the mean open. loud: the comparisons in which the run's machine was busy. whole:
    which of them the mean is over.
    """
    each = [
        pairs.pair(run, comparison["id"], times, contender, anchor, comparison["id"] in loud)
        for comparison, times in zip(asked, timed, strict=True)
    ]
    joint = list(compress(each, whole))
    some = len(joint) > 1 and all(its.logs for its in joint)
    yield _place(run, pairs.together(joint), contender == anchor) if some else None
    for its in each:
        yield _place(run, its, contender == anchor)


def _place(run: Run, found: pairs.Pair, is_anchor: bool) -> Place | None:
    if not found.logs:
        return None
    pair = pairs.judged(run, found)
    return Place(
        pair.ratio,
        finite(pair.low),
        finite(pair.high),
        "anchor" if is_anchor else pair.verdict,
        pair.launches,
        pair.confidence,
    )


def _marked(names: list[str], over: bool) -> list[dict[str, Any]]:
    """Whose dots the charts show; those of all runs together have a colour to themselves."""
    shared = len(marks.SPARE) - over
    found = [{"name": name, "adapter": f"run {n % shared}"} for n, name in enumerate(names)]
    return [*found, {"name": OVER, "adapter": OVER}] if over else found


def _unlike(runs: list[Run], names: list[str]) -> list[str]:
    """In which runs something that all contenders share was not as in the first."""
    found = {name: alike.around(runs[0], run) for name, run in zip(names, runs, strict=True)}
    return [f"{name}: {', '.join(told)}" for name, told in found.items() if told]


def _stayed(runs: list[Run]) -> set[str]:
    """Contenders of which nothing changed from run to run; of a single run, nobody."""
    others = [alike.unchanged(runs[0], run) for run in runs[1:]]
    return set.intersection(*others) if others else set()


def _measured_alike(each: list[dict[str, Any]]) -> bool:
    """Whether a comparison is ranked by the same in every run, on turns of as many calls: training
    without a pause and in short turns are two figures, and no replicates of one."""
    return len({(*readings.rank_of(c), c.get("calls") or 0) for c in each}) == 1


def _busy(shared: list[list[dict[str, Any]]], loud: list[set[str]]) -> set[str]:
    """Places in which the machine was busy in one of the runs; so is all together, then."""
    found = {
        each[0]["id"]
        for each in shared
        if any(one["id"] in its for one, its in zip(each, loud, strict=True))
    }
    return {*found, several.ALL} if found else found


def _repeated(
    places: dict[str, dict[str, dict[str, Place]]],
    names: list[str],
    stayed: set[str],
    busy: set[str],
) -> dict[str, dict[str, repeats.Repeated]]:
    """Of contenders that were measured in every run, and stayed what they were."""
    found = {}
    for place, contenders in places.items():
        found[place] = {
            contender: repeats.repeat([on[name].ratio for name in names], place in busy)
            for contender, on in contenders.items()
            if contender in stayed and all(name in on for name in names)
        }
    return {place: on for place, on in found.items() if on}


def document(found: Machines) -> dict[str, Any]:
    """For a script: what to choose for each use, and every ratio, over the runs and by each."""
    names = [machine.name for machine in found.machines]
    kept = ["choice", "tied", "runner_up", "ratio", "low", "high", "verdict", "sentence"]
    kept += ["lost", "lacking"]
    uses: dict[str, Any] = {}
    for use, choices in found.uses.items():
        over = found.over.get(use)
        each: dict[str, Any] = dict.fromkeys(names)
        for name, choice in zip(names, choices, strict=True):
            if choice is not None:
                leader = choice.ranking[0]["contender"] if choice.ranking else None
                each[name] = {"leader": leader, **{key: getattr(choice, key) for key in kept}}
        uses[use] = {"over": over and asdict(over), "runs": each}
    places: dict[str, Any] = {}
    for place, contenders in found.places.items():
        repeated = found.repeated.get(place, {})
        places[place or "all"] = {
            contender: {
                "over": asdict(repeated[contender]) if contender in repeated else None,
                "runs": {name: asdict(its) for name, its in on.items()},
            }
            for contender, on in contenders.items()
        }
    told = {"sentence": found.sentence, "anchor": found.anchor, "one_machine": found.one}
    return {"runs": names, **told, "unlike": found.unlike, "uses": uses, "ratios": places}
