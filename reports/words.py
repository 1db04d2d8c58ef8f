"""Numbers in words: the same in the terminal, on the page and in sentences."""

from collections.abc import Sequence
from typing import Any

from harness.stats import statistics


def _scaled(value: float | None, *units: tuple[str, float]) -> str:
    """Three figures, in the first unit of which the *rounded* value has one: 1 ms, not 1e+03 µs."""
    if value is None:
        return "-"
    rounded = float(f"{value:.3g}")
    unit, size = next((each for each in units if rounded >= each[1]), units[-1])
    scaled = rounded / size
    return f"{scaled:.3g} {unit}" if scaled < 1000 else f"{scaled:.0f} {unit}"


def seconds(value: float | None) -> str:
    """1.23 s, 4.56 ms, 7.89 us: three figures."""
    return _scaled(value, ("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))


def times(ratio: float) -> str:
    """0.71x; two figures of what is less than a tenth, or more than ten."""
    if ratio < 0.095:
        return f"{ratio:.2g}x"
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.0f}x"


def less(ratio: float, fewer: str = "less", more: str = "more") -> str:
    """0.97 -> 3.0% less; 1.15 -> 15% more; past twice as much, or below a hundredth, 2.40x."""
    if ratio >= 2 or ratio < 0.01:
        return times(ratio)
    share = 100 * abs(ratio - 1)
    told = f"{share:.0f}%" if share >= 9.5 else f"{share:.1f}%"
    return f"{told} {fewer if ratio < 1 else more}" if told != "0.0%" else "as much"


def by(ratio: float, of: str) -> str:
    """18% less time per call; 2.40x the time per call."""
    told = less(ratio)
    return f"{told} {'the ' if told.endswith('x') else ''}{of}"


def tally(value: float) -> str:
    """Three figures of a count, as a person writes them: 2,160; 0.541."""
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f}%"


def rate(value: float | None) -> str:
    """Items per second: 12.3 k/s."""
    return _scaled(value, ("M/s", 1e6), ("k/s", 1e3), ("/s", 1.0)).replace(" /s", "/s")


def size(value: float | None) -> str:
    """Bytes: 123 MB, 1.5 GB."""
    return _scaled(value, ("GB", 1e9), ("MB", 1e6), ("kB", 1e3), ("B", 1.0))


def joules(value: float | None) -> str:
    """1.23 J, 4.56 mJ: three figures."""
    return _scaled(value, ("J", 1.0), ("mJ", 1e-3))


def interval(confidence: float) -> str:
    """95% interval; 99.9% where a contender left early."""
    return f"{100 * confidence:g}% interval"


def end(ratio: float) -> str:
    """Of an interval, to three decimals; however little is known, since two launches give figures
    of twenty digits."""
    return "<0.001" if ratio < 0.001 else ">1000" if ratio > 1000 else f"{ratio:.3f}"


def ends(low: float, high: float) -> str:
    """Of an interval of ratios: at two decimals, 0.968 to 0.971 reads as none at all."""
    return f"{end(low)} to {end(high)}"


VERDICTS = {"multimodal": "open: modes overlap"}


def verdict(name: str) -> str:
    """materially_slower -> materially slower; a statistician's word in plain ones."""
    return VERDICTS.get(name, name.replace("_", " "))


def few(names: Sequence[str], most: int = 3) -> str:
    """a, b, c and 4 more"""
    left = len(names) - most
    return f"{', '.join(names[:most])} and {left} more" if left > 0 else listed(names)


def listed(names: Sequence[str], last: str = "and") -> str:
    """a, b and c"""
    return f" {last} ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def threads(counts: Sequence[int | None]) -> str:
    """`1 thread`, `1, 2 and 4 threads`; of none, or where one is not known, `? threads`."""
    known = [str(count) for count in counts if count]
    if len(known) < len(counts) or not known:
        return "? threads"
    return f"{listed(known)} thread{'s' * (known != ['1'])}"


def needed(count: int, of: str = "launches") -> str:
    """How many it would take; past what a run can hold, no number means much."""
    if count > 100:
        return f"only hundreds of {of}"
    told = f"about {count} {of}"
    if of == "launches" and count > statistics.MOST_LAUNCHES:
        most = f"more than the {statistics.MOST_LAUNCHES} that a run takes by itself"
        told += f" ({most}: --launches {count}, and a --budget for them)"
    return told


def plain(value: Any) -> str:
    """Any value of a manifest or environment, for a cell of a table."""
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(plain(v) for v in value) or "-"
    if isinstance(value, dict):
        return ", ".join(f"{k}: {plain(v)}" for k, v in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def figure(value: float | None, unit: str) -> str:
    """A figure of a proof: a share as percent, microseconds, or a bare number."""
    if value is None:
        return ""
    if unit == "share":
        return f"{100 * value:.2f}%"
    return f"{value:.3f}{' µs' if unit == 'us' else ''}"
