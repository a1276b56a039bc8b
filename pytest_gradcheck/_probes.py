"""Which directions to difference: every coordinate, a sample, random directions."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


def generator(seed: int, *stream: int) -> np.random.Generator:
    """Return a generator for one purpose; the same seed and stream give the same numbers.

    Parameters
    ----------
    seed : int
    *stream : int
        The purpose, so that two purposes never share numbers.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, *stream))))


def random_weights(count: int, seed: int, *stream: int) -> Array:
    """Return weights for a direction: a random sign times uniform on [½, 3/2].

    No weight is near zero, so no single entry hides; no two are equal, so entries can be told
    apart and two equal errors do not cancel (signs alone would let them, half of the time).

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
    weights: Array = rng.uniform(0.5, 1.5, count) * rng.choice((-1.0, 1.0), count)
    return weights


def sample(size: int, count: int, seed: int) -> Array:
    """Return `count` of the coordinates 0 … size − 1, in order, chosen by the seed."""
    if count >= size:
        return np.arange(size)
    chosen = generator(seed, 3).choice(size, count, replace=False)
    return np.sort(chosen)
