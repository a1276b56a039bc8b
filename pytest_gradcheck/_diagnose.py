"""What the error of a gradient looks like: for each block a hint, for the check diagnoses.

Everything here is a pure function of arrays.  `_repair` says what evidence is, `_repairs` and
`_rearranged` are the tables of formulas, `_places` says where, and `_causes` what goes together.
A wrong hint is worse than none.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ._blocks import Block
from ._causes import Cause, Upstream, causes, unknown
from ._evidence import Evidence
from ._names import brief
from ._question import AGREE, BENDS, DISAGREE, JUMP, KINK, NOISY, OPEN
from ._repair import CERTAIN, BlockData, Diagnosis

Array = np.ndarray[Any, Any]

MOST = 8
"""Diagnoses kept."""


@dataclass(frozen=True)
class Hint:
    """A stable code and one plain sentence."""

    code: str
    sentence: str


@dataclass(frozen=True)
class Explained:
    """What is said.

    Parameters
    ----------
    hints : dict of str to Hint
        By block, the best one.
    diagnoses : tuple of Diagnosis
        Best first.
    """

    hints: dict[str, Hint]
    diagnoses: tuple[Diagnosis, ...]


def diagnose(blocks: Sequence[BlockData], upstream: Upstream = unknown) -> Explained:
    """Return what the errors look like.

    Parameters
    ----------
    blocks : sequence of BlockData
        All blocks of the check, right ones too.
    upstream : callable, optional
        See `causes`.

    Returns
    -------
    Explained
        Empty when nothing is convincing, as for right gradients.
    """
    broken = [block for block in blocks if not_finite(block) is not None]
    found: list[Cause] = []
    for block in broken:
        text = not_finite(block) or ""
        told = (
            text.replace("analytic", f"analytic of {brief(block.name)}", 1)
            if len(blocks) > 1
            else text
        )
        found.append(Cause("not-finite", (block.name,), CERTAIN, 0.0, {block.name: text}, told))
    whole = [block for block in blocks if block not in broken]
    found += causes(whole, upstream)
    hints: dict[str, Hint] = {}
    for cause in found:
        for name, text in cause.hints.items():
            hints.setdefault(name, Hint(cause.code, text))
    return Explained(hints, tuple(cause.diagnosis() for cause in found[:MOST]))


def not_finite(block: BlockData) -> str | None:
    """Name entries that are NaN or infinite."""
    bad = int(np.count_nonzero(~np.isfinite(block.analytic)))
    if not bad:
        return None
    which = "every entry" if bad == block.analytic.size else f"{bad} of {block.analytic.size}"
    return f"analytic is NaN or infinite in {which}"


def explain(
    evidence: Evidence,
    precision: Sequence[float] = (),
    *,
    params_known: bool = True,
    reasons: Mapping[int, str] | None = None,
    upstream: Upstream = unknown,
) -> Explained:
    """Return what the errors of a check look like.

    Parameters
    ----------
    evidence : Evidence
    precision : sequence of float, optional
        The machine epsilon of each block's gradient; unset: float64's.
    params_known : bool, optional
        Whether ``evidence.params`` are the parameters.
    reasons : mapping of int to str, optional
        By coordinate, why it was left open.
    upstream : callable, optional
        See `causes`.

    Returns
    -------
    Explained
    """
    if not (evidence.verdict != AGREE).any():
        return Explained({}, ())
    sizes = _sizes(evidence.blocks)
    every = precision or [2.0**-52] * len(evidence.blocks)
    found = Explained({}, ())
    if (evidence.verdict == DISAGREE).any():
        data = [
            _data(evidence, block, eps, sizes, params_known)
            for block, eps in zip(evidence.blocks, every, strict=True)
            if block.size and not block.is_complex
        ]
        with np.errstate(all="ignore"):  # 1e300, squared
            found = diagnose(data, upstream)
    return replace(found, diagnoses=(*found.diagnoses, *_seen(evidence, reasons or {})))


def _data(
    evidence: Evidence, block: Block, eps: float, sizes: dict[int, str], params_known: bool
) -> BlockData:
    part = {
        name: values.astype(np.float64) if values.dtype.kind == "f" else values
        for name, values in evidence.arrays(block).items()
    }
    return BlockData(
        name=block.name,
        analytic=part["analytic"],
        numeric=part["numeric"],
        error=part["error_bar"],
        theta=part["params"] if params_known else None,
        wrong=part["verdict"] == DISAGREE,
        agrees=(part["verdict"] == AGREE) & np.isfinite(part["numeric"]),
        known=np.isfinite(part["numeric"]) & np.logical_not(part["kinks"]),
        allowed=part["allowed"],
        eps=eps,
        sizes=sizes,
        parameter=getattr(getattr(block, "param", None), "name", ""),
    )


def _sizes(blocks: Sequence[Block]) -> dict[int, str]:
    """Return the lengths and sizes of blocks, with what alone has each."""
    sizes: dict[int, list[str]] = {}
    for block in blocks:
        if len(block.shape) > 1:
            sizes.setdefault(block.size, []).append(f"the size of {brief(block.name)}")
        for axis, length in enumerate(block.shape):
            sizes.setdefault(length, []).append(f"the length of axis {axis} of {brief(block.name)}")
    return {size: names[0] if len(names) == 1 else "" for size, names in sizes.items() if size > 1}


def _seen(evidence: Evidence, reasons: Mapping[int, str]) -> tuple[Diagnosis, ...]:
    """Name a kink or noise, where a verdict is due to one."""
    wrong, left = evidence.verdict == DISAGREE, evidence.verdict == OPEN
    said = []
    at_kink = evidence.kinks & (wrong | left)
    jumps = [i for i, reason in reasons.items() if reason == JUMP and left[i]]
    if at_kink.any() or jumps:
        at_kink[jumps] = True
        count = int(np.count_nonzero(at_kink))
        told = f"func is {KINK} in {count:,} of {at_kink.size:,} parameters"
        said.append(Diagnosis("kink", told, _names_of(evidence, at_kink), CERTAIN))
    noisy = np.zeros(left.shape, dtype=bool)
    noisy[[i for i, reason in reasons.items() if reason in (NOISY, BENDS) and left[i]]] = True
    if noisy.any() and not wrong.any():
        count = int(np.count_nonzero(noisy))
        told = f"func is too noisy to tell {count:,} of {noisy.size:,} parameters"
        said.append(Diagnosis("noise", told, _names_of(evidence, noisy), CERTAIN))
    return tuple(said)


def _names_of(evidence: Evidence, which: Array) -> tuple[str, ...]:
    return tuple(block.name for block in evidence.blocks if which[block.window].any())
