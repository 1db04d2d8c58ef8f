"""The campaign: every claim of docs/method.md, with the figures that hold it up or break it.

    bakeoff prove                 all of it: over an hour on two cores
    bakeoff prove coverage drift  two of its parts
    bakeoff prove --short         a cut for continuous integration: minutes

Each part leaves `PART.json` in the campaign's folder once it is done; a second call goes
on with what is missing, and inside a live part with the launches that are missing. What other
code found proves nothing of this one, nor what is live and was found on another machine or with
other versions: it is measured again.
"""

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from harness import disk
from harness.errors import Wrong
from harness.host import machine
from harness.plan import code, inventory, resuming
from harness.proof import live, savings, simulated, traces
from harness.proof.claims import Figure

Say = Callable[..., None]


@dataclass(frozen=True)
class Part:
    """One proof of one claim. `measure(folder, say, short)` gives its figures."""

    name: str
    claim: int
    title: str
    how: str  # simulated, traces, or live
    measure: Callable[[Path, Say, bool], list[Figure]]
    in_short: bool = True


MANY = 10_000  # trials of a simulation, in the short form as well


def _planning_trials(short: bool) -> int:
    return 100 if short else 2_000


PARTS = (
    Part(
        "identical-traces", 1, "Identical contenders are called different in at most 5%",
        "traces", lambda folder, say, short: traces.identical(MANY),
    ),
    Part(
        "identical-live", 1, "Identical contenders, live, beside a load: different in at most 8%",
        "live",
        lambda folder, say, short: live.identical(
            folder, 1 if short else 10, 8 if short else 20, say
        ),
    ),
    Part(
        "guard", 1, "A machine that others use is seen to be busy",
        "live", lambda folder, say, short: live.guarded(folder, say),
    ),
    Part(
        "power", 2, "A planted slowdown of 3% or 5% is found",
        "simulated", lambda folder, say, short: simulated.power(MANY),
    ),
    Part(
        "planted-live", 2, "A planted slowdown is found, live",
        "live", lambda folder, say, short: live.planted(folder, 3, 12, say), in_short=False,
    ),
    Part(
        "coverage", 3, "Intervals cover at least 93%, the planning of launches included",
        "simulated", lambda folder, say, short: simulated.coverage(MANY),
    ),
    Part(
        "drift", 4, "Drift moves no ratio by more than 0.5%; a sudden step favours nobody",
        "traces", lambda folder, say, short: traces.drift(),
    ),
    Part(
        "offsets", 5, "A process's lasting offset gives at most 6% false alarms",
        "simulated", lambda folder, say, short: simulated.lasting_offsets(MANY),
    ),
    Part(
        "overhead", 6, "At most 0.3 microseconds are added to a call",
        "live", lambda folder, say, short: live.overhead(),
    ),
    Part(
        "agreement", 7, "Means agree with torch.utils.benchmark and pytest-benchmark within 1%",
        "live", lambda folder, say, short: live.agreeing(folder), in_short=False,
    ),
    Part(
        "ties", 8, "What is the same is called a tie; of overlapping modes none is called faster",
        "traces", lambda folder, say, short: traces.ties(MANY),
    ),
    Part(
        "sync", 9, "An adapter whose sync does not wait is rejected",
        "live", lambda folder, say, short: live.hasty(),
    ),
    Part(
        "shared", 10, "Means over workloads that share launches keep 5%",
        "simulated", lambda folder, say, short: simulated.shared_effects(MANY),
    ),
    Part(
        "planning", 11, "Leaving early and planning name no false winner, and save a third",
        "simulated", lambda folder, say, short: simulated.planning(_planning_trials(short)),
    ),
    Part(
        "savings", 11, "On `quick`: nobody but whom 20 launches of everything name, in less time",
        "live", lambda folder, say, short: savings.measure(folder, say), in_short=False,
    ),
    Part(
        "upgrades", 12, "Between two days at most 5% call a change that none was",
        "simulated", lambda folder, say, short: simulated.upgrades(2_000),
    ),
    Part(
        "hours", 13, "What an hour does to one contender decides nothing over six runs",
        "simulated", lambda folder, say, short: simulated.hours(MANY),
    ),
)  # fmt: skip


def select(names: list[str], short: bool) -> list[Part]:
    """Parts by name or by the number of their claim; none: all. Raises Wrong."""
    if not names:
        return [part for part in PARTS if part.in_short or not short]
    chosen = []
    for name in names:
        found = [part for part in PARTS if name in (part.name, str(part.claim))]
        if not found:
            known = ", ".join(part.name for part in PARTS)
            raise Wrong(
                f"claim '{name}': expected a number from 1 to {PARTS[-1].claim}, or one of: {known}"
            )
        chosen += [part for part in found if part not in chosen]
    return chosen


def run(folder: Path, parts: list[Part], short: bool, say: Say) -> list[dict[str, Any]]:
    """Measures what is missing; returns every finding of `parts`, in their order.

    Raises Wrong where the folder is a run's, and where the code is edited meanwhile.
    """
    if (folder / "plan.json").exists():
        raise Wrong(f"{folder.name} is a run, not a campaign: choose another --run-id")
    folder.mkdir(parents=True, exist_ok=True)
    now = {live: behind(live) for live in {part.how == "live" for part in parts}}
    found = []
    for part in parts:
        path = folder / f"{part.name}.json"
        kept, stands = _read(path), now[part.how == "live"]
        other = kept is not None and kept.get("behind") != stands
        if kept is None or kept["short"] != short or other:
            say("part", part=part, again=other)
            begin = time.monotonic()
            # The short form's runs are smaller: the whole one cannot go on with them.
            runs = folder / f"{'runs-short' if short else 'runs'}-{_hash(stands)}"
            figures = part.measure(runs, say, short)
            resuming.refuse_edited(stands["code"], code.proving)
            kept = {
                **finding(part, figures),
                "seconds": time.monotonic() - begin,  # of this call: runs may be older
                "short": short,
                "behind": stands,
                "machine": machine.describe(),
            }
            disk.write_whole(path, json.dumps(kept, indent=1).encode() + b"\n")
        say("finding", finding=kept)
        found.append(kept)
    return found


def behind(live: bool) -> dict[str, str]:
    """What a finding is of: the code; where it is live the machine and all versions as well."""
    written = {"code": code.proving()}
    if not live:
        return written
    rows = [row for row in inventory.contenders("cpu") if row["available"]]
    versions = inventory.versions([row["name"] for row in rows], rows)
    return resuming.fingerprint(versions, "cpu", ()) | written


def _hash(stands: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(stands, sort_keys=True).encode()).hexdigest()[:16]


def finding(part: Part, figures: list[Figure]) -> dict[str, Any]:
    return {
        "schema": 1,
        "name": part.name,
        "claim": part.claim,
        "title": part.title,
        "how": part.how,
        "command": f"bakeoff prove {part.name}",
        "ok": all(figure.ok for figure in figures),
        "figures": [{**asdict(figure), "ok": figure.ok} for figure in figures],
    }


def read(folder: Path) -> list[dict[str, Any]]:
    """Every finding that a campaign's folder holds, by claim. Raises Wrong where there is none."""
    found = [kept for part in PARTS if (kept := _read(folder / f"{part.name}.json"))]
    if not found:
        raise Wrong(f"{folder} holds no proof; `bakeoff prove` makes one")
    return found


def current(folder: Path, short: bool) -> list[dict[str, Any]]:
    """Those that prove the method as it is now, and here; short: the short form's as well."""
    found = read(folder)
    now = {live: behind(live) for live in {kept["how"] == "live" for kept in found}}
    return [
        kept
        for kept in found
        if kept.get("behind") == now[kept["how"] == "live"] and (short or not kept["short"])
    ]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        kept = json.loads(path.read_text())
        return kept if kept["schema"] == 1 and "figures" in kept else None
    except (OSError, ValueError, KeyError, TypeError):
        return None  # missing or torn: it is measured again
