"""This machine's rates: the best that any contender's own probe reached.

Nobody verifies a probe, so a rate counts only where the next contender comes near it: one
that hands out a stored result would lift the roof out of everyone's sight.
"""

from dataclasses import dataclass

from harness.record.records import Run

# Contenders on the same processors were seen to differ by less, but for a library of one core.
MOST_APART = 10.0
RATES = {"flops_per_s": "a large product", "bytes_per_s": "a stream through memory"}


@dataclass(frozen=True)
class Alone:
    """A rate that nobody else comes near, in `what`; `apart` times the next contender's."""

    contender: str
    what: str
    apart: float
    next: str


def rates(run: Run) -> dict[str, float] | None:
    """By what is measured; None where a probe measured nothing, or two are too far apart."""
    found = {}
    for key in RATES:
        best = _best(run, key)
        if _alone(best, key):
            best = best[1:] if len(best) > 2 else []  # of two, nobody says which is right
        found[key] = best[0][0] if best else 0.0
    return found if all(found.values()) else None


def alone(run: Run) -> list[Alone]:
    """What was left out of the roof."""
    return [one for key in RATES if (one := _alone(_best(run, key), key))]


def _best(run: Run, key: str) -> list[tuple[float, str]]:
    """Each contender's best, the fastest first; its twin vouches for nobody."""
    best: dict[str, float] = {}
    for probe in run.probes:
        name = probe["contender"].partition("#")[0]
        best[name] = max(best.get(name, 0.0), probe[key])
    return sorted(((rate, name) for name, rate in best.items()), reverse=True)


def _alone(best: list[tuple[float, str]], key: str) -> Alone | None:
    if len(best) < 2 or best[0][0] <= MOST_APART * best[1][0] or not best[1][0]:
        return None
    (rate, name), (second, other) = best[:2]
    return Alone(name, RATES[key], rate / second, other)
