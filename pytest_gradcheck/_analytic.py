"""The user's gradient as one vector in the layout of params.

Names, shapes and lengths must match exactly: nothing is broadcast, transposed or reordered.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ._blocks import Block
from ._kinds import coordinates
from ._names import brief, listing
from ._structure import ROOT, Leaf, Structure, flatten

Array = np.ndarray[Any, Any]


def gradient_vector(
    gradient: Any, structure: Structure, blocks: Sequence[Block], what: str = "the gradient"
) -> tuple[Array, tuple[np.dtype[Any], ...]]:
    """Match a gradient with the parameters.

    Parameters
    ----------
    gradient : object
        The gradient in params' structure.  Leaves that are not checked may be missing or None.
    structure : Structure
        Of the parameters.
    blocks : sequence of Block
        Those that are checked.
    what : str
        How an error calls `gradient`.

    Returns
    -------
    vector : ndarray, shape (n,)
        float64, or longdouble if the gradient is; NaN and infinity stay.
    dtypes : tuple of numpy.dtype
        Of the gradient of each block: its real part's; float64 for Python numbers and integers.

    Raises
    ------
    ValueError
        When names or shapes differ, with both.
    TypeError
        When a leaf is no array or number, or complex where the parameter is real.
    """
    if blocks and gradient is None:
        raise TypeError(
            f"{what} is None; it must have params' structure (does grad lack a return?)"
        )
    found = {leaf.name: leaf for leaf in flatten(gradient, what).leaves}
    _refuse_pair(gradient, found, blocks, what)
    _match_names(set(found), structure, blocks, what)
    parts = [_matched(found[block.name], block, structure, what) for block in blocks]
    dtypes = tuple(_precision(part) for part in parts)
    wide = any(dtype.itemsize > 8 for dtype in dtypes)
    dtype = np.dtype(np.longdouble if wide else np.float64)
    vector = np.empty(blocks[-1].stop if blocks else 0, dtype)
    for block, part in zip(blocks, parts, strict=True):
        vector[block.window] = coordinates(part)
    return vector, dtypes


def _refuse_pair(
    gradient: Any, found: Mapping[str, Leaf], blocks: Sequence[Block], what: str
) -> None:
    """Raise TypeError for what looks like (J, gradient)."""
    if not (isinstance(gradient, tuple) and len(gradient) == 2):
        return
    first = flatten(gradient[0], what).leaves
    if len(first) != 1 or not first[0].numeric or np.size(first[0].value) != 1:
        return
    if any(block.name not in found for block in blocks):
        raise TypeError(
            f"{what} is a tuple of a number and something else; if a function returns "
            "(J, gradient), pass it as func, with grad=True"
        )


def _match_names(found: set[str], structure: Structure, blocks: Sequence[Block], what: str) -> None:
    known = {leaf.name for leaf in structure.leaves}
    wanted = [block.name for block in blocks]
    missing = [name for name in wanted if name not in found]
    extra = sorted(found - known)
    if not missing and not extra:
        return
    said = [f"it has no {listing(missing)}"] if missing else []
    said += [f"params has no {listing(extra)}"] if extra else []
    hint = ""
    for prefix in ("d", "grad_", "g_", "d_"):
        if missing and all(prefix + name in found for name in missing):
            hint = (
                "; give it params' names, for instance "
                f"{{name: grads[{prefix!r} + name] for name in params}}"
            )
            break
    hint = hint or _kind_hint(missing, extra, known)
    raise ValueError(f"{what} does not match params: {' and '.join(said)}{hint}")


def _kind_hint(missing: Sequence[str], extra: Sequence[str], known: set[str]) -> str:
    """Say where one is a list and the other an array or a number."""
    if known == set(missing) and len(known) == 1 and extra:
        (name,) = known
        if all(label.startswith(f"{name}[") for label in extra):
            return f"; it is a list where {brief(name)} is an array or a number: return an array"
    if len(extra) == 1 and missing and all(name.startswith(f"{extra[0]}[") for name in missing):
        return f"; it is an array or a number where {brief(extra[0])} is a list: return a list"
    listed = [all(_POSITION.match(name) for name in names) for names in (extra, known)]
    if extra == [ROOT]:
        return "; it is one array or number: split it, and return each part under its name"
    if extra and known == {ROOT}:
        return "; it has names where params is one array or number"
    if extra and known and listed == [True, False]:
        return "; it is a list or tuple where params has names: return dict(zip(params, gradient))"
    if extra and known and listed == [False, True]:
        return "; it has names where params is a list or tuple: return a list in that order"
    return ""


_POSITION = re.compile(re.escape(ROOT) + r"\[\d+\]")


def _matched(leaf: Leaf, block: Block, structure: Structure, what: str) -> Array:
    name = brief(block.name)
    if not leaf.numeric or isinstance(leaf.value, (bool, np.ma.MaskedArray)):
        raise TypeError(
            f"{what} of {name} is a {type(leaf.value).__name__}; it must be "
            f"{'an array of shape ' + str(block.shape) if block.shape else 'a number'}"
        )
    value = Leaf(f"{what} of {block.name}", leaf.value, leaf.kind).array
    if value.dtype.kind not in "fciu":
        raise TypeError(f"{what} of {name} has dtype {value.dtype}; it must be numeric")
    if value.shape != block.shape:
        raise ValueError(
            f"{what} of {name} has shape {value.shape}, but params has {block.shape}; "
            "shapes must be equal, nothing is broadcast or transposed"
        )
    if block.is_complex:
        return value.astype(np.result_type(value.dtype, np.complex64))
    if value.dtype.kind == "c":
        raise TypeError(
            f"{what} of {name} is complex ({value.dtype}), but the parameter is real; "
            "pass its real part if that is the gradient"
        )
    return value


def _precision(value: Array) -> np.dtype[Any]:
    return value.real.dtype if value.dtype.kind in "fc" else np.dtype(np.float64)
