"""Durations as a person writes them, and as they are told again."""

import math
import re

from harness.errors import Wrong

YEAR = 366 * 24 * 3600  # what is longer was not meant, and no clock waits for it


def seconds(text: str, of: str = "time") -> float:
    """'90s', '10m', '1h30m' -> seconds; so is a bare '90'. Raises Wrong, which says of what.

    A bare number below 60 is refused: it is more likely meant as minutes.
    """
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?|(\d+)", text.strip()[:100])
    if not text.strip() or match is None:
        raise Wrong(f"{of} '{text[:20]}': expected something like 90s, 10m or 1h30m")
    hours, minutes, rest, bare = (int(part or 0) for part in match.groups())
    total = 3600 * hours + 60 * minutes + rest + bare
    if total <= 0:
        raise Wrong(f"{of} '{text}': expected more than nothing, such as 10m")
    if total > YEAR:
        raise Wrong(f"{of} '{text[:20]}': expected a year at most, such as 10m or 24h")
    if 0 < bare < 60:
        raise Wrong(f"{of} '{text}': expected a unit: {bare}s or {bare}m")
    return float(total)


def spell(time: float) -> str:
    """As `seconds` reads it, rounded up to what people say: 100s, 13m, 2h10m, 29h."""
    if time <= 120:
        return f"{math.ceil(time)}s"
    minutes = math.ceil(time / 60)
    if minutes <= 90:
        return f"{minutes}m"
    if minutes > 600:
        return f"{math.ceil(minutes / 60)}h"
    hours, tens = divmod(math.ceil(minutes / 10), 6)
    return f"{hours}h{tens}0m" if tens else f"{hours}h"
