"""Whether an adapter gives back what it was given: `place`, then `dump`, for every role."""

from typing import Any

import numpy as np

# Every extent differs, so that swapped axes show; groups, where the layout depends on them.
SHAPES: tuple[tuple[str, tuple[int, ...], int], ...] = (
    ("image", (2, 3, 5, 4), 1),
    ("kernel", (6, 4, 3, 5), 1),
    ("kernel", (6, 2, 3, 5), 2),  # two groups
    ("kernel", (4, 1, 3, 2), 4),  # depthwise
    ("kernel", (8, 1, 3, 2), 4),  # depthwise, two outputs a channel
    ("matrix", (5, 7), 1),
    ("features", (4, 9), 1),
    ("bias", (6,), 1),
)


def mistake(adapter: Any) -> str | None:
    """The first thing wrong, in words; None where all is right."""
    rng = np.random.default_rng(0)
    for role, shape, groups in SHAPES:
        # Eighths below 32 are the same in every precision: what comes back must be equal.
        given = (rng.integers(-255, 256, shape) / 8).astype(np.float32)
        kept = given.copy()
        handle = adapter.place(given, role, groups)
        what = f"{role} {shape}" + (f" with {groups} groups" if groups > 1 else "")
        given[...] = 0
        got = np.asarray(adapter.dump(handle, role, groups))
        if not np.any(got) and got.shape == shape:
            return f"place({what}) keeps the caller's own memory: it must copy"
        if got.dtype not in (np.float32, np.float64):
            return f"dump(place({what})) is {got.dtype}, expected float32 or float64"
        if got.shape != shape:
            return f"dump(place({what})) has shape {got.shape}, expected {shape}"
        if not np.array_equal(got.astype(np.float32), kept):
            return f"dump(place({what})) holds other values or another order than were placed"
        if _shares(adapter, handle, role, groups):
            return f"dump(place({what})) shares memory: a later call may write there, it must copy"
        # One with models of its own is asked for the shapes of results alone.
        said = shape if adapter.workloads else tuple(adapter.shape(handle))
        if role == "image" and said != shape:
            return f"shape(place({what})) is {said}: it must be logical, (N, C, H, W)"
        copied = adapter.copy(handle)
        if not np.array_equal(adapter.dump(copied, role, groups), got):
            return f"clone(place({what})) holds other values than were placed"
    labels = np.array([3, 0, 2, 1])
    handle = adapter.place(labels, "labels")
    back = np.asarray(adapter.dump(handle, "labels"))
    if not np.array_equal(back.reshape(-1), labels):
        return f"dump(place(labels {labels.tolist()})) gives {back.tolist()}"
    if _shares(adapter, handle, "labels"):
        return "dump(place(labels)) shares memory: a later call may write there, it must copy"
    return None


def _shares(adapter: Any, handle: Any, role: str, groups: int = 1) -> bool:
    """Whether dumps of one array are the same memory: then that is the array's own, or kept."""
    first, second = (np.asarray(adapter.dump(handle, role, groups)) for _ in range(2))
    return np.shares_memory(first, second)
