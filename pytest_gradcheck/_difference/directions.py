"""Which directions to difference: every coordinate, a sample, random directions."""

from __future__ import annotations

from enum import IntEnum
from functools import lru_cache
from typing import Any

import numpy as np

from .._constants import FEW_WEIGHTS
from .._params.arrays import chunks

Array = np.ndarray[Any, Any]


class Stream(IntEnum):
    """What random numbers are for: each purpose has its own, so that no two share numbers."""

    NOISE = 1
    GROUP = 2
    SAMPLE = 3
    DEAD = 4
    SCREEN = 5
    COTANGENTS = 6
    WRONG_SHARE = 7
    SLICE = 8
    GLANCE = 9
    FIRST_ADDEND = 10
    SECOND_ADDEND = 11
    ADJOINT_X = 12
    ADJOINT_Y = 13
    STALE_POINT = 14
    STALE_DIRECTION = 15
    MOVED_BLOCKS = 16
    LINEARITY = 17
    HALVES = 18
    TANGENTS = 19
    AUTOGRAD = 20
    JAX = 21
    TAYLOR = 22
    ANALYTIC = 23
    BESIDE = 24
    COLUMNS = 25
    BLOCK = 26
    ALONG = 27


def generator(seed: int, stream: Stream, *which: int, skip: int = 0) -> np.random.Generator:
    """Return a generator for one purpose: the same seed and numbers `which` repeat it.

    `skip` leaves numbers out at the beginning, in fours, at no cost: Philox counts by four.
    """
    bits = np.random.Philox(np.random.SeedSequence((seed, stream, *which)))
    bits.advance(skip)
    return np.random.Generator(bits)


def fill_with_weights(out: Array, rng: np.random.Generator) -> None:
    """Draw the weights of a direction: a random sign times uniform on [½, 3/2].

    No weight is near zero, so no single entry hides; no two are equal, so entries can be told
    apart and two equal errors do not cancel (signs alone would let them, half of the time).
    Drawn in one piece or in several, the numbers are the same.
    """
    rng.random(out=out)
    out *= 2.0
    out -= 1.0
    out += np.copysign(0.5, out)


def random_weights(count: int, seed: int, stream: Stream, *which: int) -> Array:
    """Return weights for a direction, shape (count,); see `fill_with_weights`."""
    if count > FEW_WEIGHTS:
        return _drawn(count, seed, stream, *which)
    return _few(count, seed, stream, *which).copy()


def _drawn(count: int, seed: int, stream: Stream, *which: int) -> Array:
    rng = generator(seed, stream, *which)
    weights: Array = np.empty(count)
    for part in chunks(count):
        fill_with_weights(weights[part], rng)
    return weights


_few = lru_cache(maxsize=256)(_drawn)


def sample(size: int, count: int, seed: int) -> Array:
    """Return `count` of the coordinates 0 … size − 1, in order, chosen by the seed."""
    if count >= size:
        return np.arange(size)
    chosen = generator(seed, Stream.SAMPLE).choice(size, count, replace=False)
    return np.sort(chosen)
