"""Nested params to one vector and back, for the oracle, the self-test and the peers.

Written apart from the project's own flattening on purpose: a suite that judges a checker does
not borrow its parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np


def leaves(tree: Any) -> list[np.ndarray]:
    """Return the leaf arrays of dicts, lists and tuples, in their own order."""
    if isinstance(tree, dict):
        return [leaf for value in tree.values() for leaf in leaves(value)]
    if isinstance(tree, (list, tuple)):
        return [leaf for value in tree for leaf in leaves(value)]
    return [np.asarray(tree)]


def flatten(tree: Any, dtype: Any) -> np.ndarray:
    return np.concatenate([leaf.ravel().astype(dtype) for leaf in leaves(tree)])


def rebuild(tree: Any, flat: np.ndarray, *, as_given: bool = False) -> Any:
    """Return params' structure with the values of ``flat``.

    Parameters
    ----------
    tree : nested
        The structure, and with ``as_given`` the dtypes.
    flat : array
        One value per parameter.
    as_given : bool
        Cast to each leaf's own dtype; else the leaves have flat's.
    """
    position = 0
    # A complex vector for real params is a complex step; for mixed ones it is bookkeeping.
    mixed = kind(tree).kind == "c"

    def build(node: Any) -> Any:
        nonlocal position
        if isinstance(node, dict):
            return {key: build(value) for key, value in node.items()}
        if isinstance(node, (list, tuple)):
            return type(node)(build(value) for value in node)
        leaf = np.asarray(node)
        piece = flat[position : position + leaf.size].reshape(leaf.shape)
        position += leaf.size
        if piece.dtype.kind == "c" and leaf.dtype.kind != "c" and mixed:
            piece = piece.real
        if as_given:
            piece = piece.astype(leaf.dtype)
        return piece[()] if leaf.ndim == 0 else piece.copy()

    return build(tree)


def complex_entries(tree: Any) -> np.ndarray:
    """Return which parameters are complex, as a flat mask."""
    return np.concatenate([np.full(leaf.size, leaf.dtype.kind == "c") for leaf in leaves(tree)])


def kind(tree: Any) -> np.dtype[Any]:
    """Return the dtype that all leaves fit in, at least float64."""
    return np.result_type(np.float64, *[leaf.dtype for leaf in leaves(tree)])


def coarsest(tree: Any) -> float:
    """Return the largest machine epsilon among the leaves' dtypes."""
    floats = [leaf.dtype for leaf in leaves(tree) if leaf.dtype.kind in "fc"]
    return max([float(np.finfo(dtype).eps) for dtype in floats], default=2.0**-52)
