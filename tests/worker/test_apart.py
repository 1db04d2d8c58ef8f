"""Claims about what verification measures of a pair of arrays."""

import time
import tracemalloc
from typing import Any

import numpy as np
import pytest

from harness.worker.apart import PIECE, apart, update

RNG = np.random.default_rng(0)


def _pair(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    ref = RNG.standard_normal(shape)
    return (ref + 1e-3 * RNG.standard_normal(shape)).astype(np.float32), ref


def _layouts() -> dict[str, tuple[Any, Any]]:
    got, ref = _pair(6, 8, 30, 40)  # more than one piece
    last = np.ascontiguousarray(got.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return {
        "as they are": (got, ref),
        "channels last": (last, ref),
        "both strided": (got[:, :, ::2], ref[:, :, ::2]),
        "one value for all": (np.broadcast_to(np.float32(0.5), ref.shape), ref),
        "float16": (got.astype(np.float16), ref),
        "a scalar": (np.float32(1.5).reshape(()), np.asarray(1.25)),
    }


@pytest.mark.parametrize("layout", _layouts())
def test_pieces_give_what_the_whole_arrays_give(layout: str) -> None:
    got, ref = _layouts()[layout]
    found, off = apart(got, ref), got.astype(np.float64) - ref
    assert found.size == ref.size
    assert found.worst == np.abs(off).max()
    assert found.largest == np.abs(ref).max()
    assert found.error == pytest.approx(np.linalg.norm(off), rel=1e-12)
    assert found.norm == pytest.approx(np.linalg.norm(ref), rel=1e-12)
    assert found.product == pytest.approx((got.astype(np.float64) * ref).sum(), rel=1e-12)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [0, PIECE, -1])
def test_one_value_that_is_not_finite_is_seen_wherever_it_is(value: float, place: int) -> None:
    got, ref = _pair(3 * PIECE + 5)
    assert apart(got, ref).finite
    got[place] = value
    found = apart(got, ref)
    assert not found.finite
    assert not np.isfinite(found.worst)


def test_a_reference_that_is_no_number_is_never_passed() -> None:
    got, ref = _pair(2 * PIECE)
    ref[3] = np.nan
    assert not apart(got, ref).relative <= 1.0


def test_nothing_is_no_way_from_nothing() -> None:
    found = apart(np.empty((0, 3), np.float32), np.empty((0, 3)))
    assert (found.size, found.finite, found.relative, found.norm) == (0, True, 0.0, 0.0)


def test_an_update_is_held_to_its_own_gradient() -> None:
    rate, shape = 0.01, (300, 400)
    start, true = RNG.standard_normal((2, *shape))
    own = (true * 1.1).astype(np.float32)
    got, ref = (start - 0.5 * rate * own).astype(np.float32), start - rate * true
    off, step, whole = update(got, ref, own, true, rate)
    right = start - rate * own.astype(np.float64)
    assert off == pytest.approx(np.linalg.norm(got - right), rel=1e-9)
    assert off / step == pytest.approx(0.5, rel=1e-3)
    assert whole == pytest.approx(np.linalg.norm(right), rel=1e-12)


def test_large_arrays_are_not_copied() -> None:
    got, ref = _pair(4_000_000)
    for arrays in ((got, ref), (got.reshape(2000, -1).T, ref.reshape(2000, -1).T)):
        tracemalloc.start()
        apart(*arrays)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < ref.nbytes / 8


def test_a_comparison_stays_on_its_own_thread() -> None:
    """BLAS's threads wait for each other at every piece, and for whoever computes beside."""
    got = np.random.default_rng(0).standard_normal(4_000_000).astype(np.float32)
    ref = got.astype(np.float64)
    all_threads, own = time.process_time(), time.thread_time()
    apart(got, ref)
    update(got, ref, got, ref, 0.01)
    all_threads, own = time.process_time() - all_threads, time.thread_time() - own
    assert all_threads < 1.1 * own
