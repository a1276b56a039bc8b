"""Which directions to difference: every coordinate, a sample, random directions."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._params.arrays import chunks

Array = np.ndarray[Any, Any]


def generator(seed: int, *stream: int, skip: int = 0) -> np.random.Generator:
    """Return a generator for one purpose; the same seed and stream give the same numbers.

    Parameters
    ----------
    seed : int
    *stream : int
        The purpose, so that two purposes never share numbers.
    skip : int, optional
        Numbers to leave out at the beginning, in fours, at no cost: Philox counts by four.
    """
    bits = np.random.Philox(np.random.SeedSequence((seed, *stream)))
    bits.advance(skip)
    return np.random.Generator(bits)


def fill_with_weights(out: Array, rng: np.random.Generator) -> None:
    """Draw the weights of a direction: a random sign times uniform on [½, 3/2].

    No weight is near zero, so no single entry hides; no two are equal, so entries can be told
    apart and two equal errors do not cancel (signs alone would let them, half of the time).

    Parameters
    ----------
    out : ndarray of float64, shape (count,)
        Filled.  Drawn in one piece or in several, the numbers are the same.
    rng : numpy.random.Generator
    """
    rng.random(out=out)
    out *= 2.0
    out -= 1.0
    out += np.copysign(0.5, out)


def random_weights(count: int, seed: int, *stream: int) -> Array:
    """Return weights for a direction (see `fill_with_weights`).

    Parameters
    ----------
    count : int
    seed : int
    *stream : int

    Returns
    -------
    ndarray, shape (count,)
    """
    rng = generator(seed, *stream)
    weights: Array = np.empty(count)
    for part in chunks(count):
        fill_with_weights(weights[part], rng)
    return weights


def sample(size: int, count: int, seed: int) -> Array:
    """Return `count` of the coordinates 0 … size − 1, in order, chosen by the seed."""
    if count >= size:
        return np.arange(size)
    chosen = generator(seed, 3).choice(size, count, replace=False)
    return np.sort(chosen)
