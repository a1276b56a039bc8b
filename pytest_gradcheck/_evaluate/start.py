"""In which precision, and by which function, J is evaluated: what a check begins with."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._constants import EPS
from .._params.arrays import Float64
from .._params.layout import Block
from .._params.structure import Structure
from .._quoting import brief, listing
from .call import Call, name_of
from .closures import all_in_float64
from .evaluator import Evaluator


@dataclass(frozen=True)
class Start:
    """Who evaluates what is differenced, J at θ, the call, and what is to be said of it."""

    runner: Evaluator
    center: Any
    call: Call
    remarks: tuple[str, ...] = ()


def start_of(
    evaluator: Callable[..., Evaluator],
    call: Call,
    structure: Structure,
    blocks: Sequence[Block],
    reference: Callable[..., Any] | None,
    read: Callable[[Evaluator], None],
) -> Start:
    """Return the start of a check of func, or by a reference.

    `evaluator` makes one, of a precision and a call; `read` takes what func returned beside J. With
    a reference, func itself is called for that, and for J to be compared.
    """
    narrow = any(block.dtype.itemsize < 8 for block in blocks)
    if reference is not None:
        own = evaluator()
        try:
            first = own.at_theta()
            read(own)
            if call.returns_pair:
                own.at_theta()
                read(own)
        finally:
            own.work.restore()
        return _by_reference(evaluator, call, reference, first, narrow, structure)
    stepless = _without_steps(structure, blocks)
    if narrow and not call.in_place:
        return _promoted(evaluator, call, structure, stepless)
    if stepless:
        raise TypeError(f"{stepless}, and in_place=True leaves it as it is; {ELSEWHERE}")
    runner = evaluator()
    return Start(runner, runner.at_theta(), call)


def _by_reference(
    evaluator: Callable[..., Evaluator],
    call: Call,
    reference: Callable[..., Any],
    own: Any,
    narrow: bool,
    structure: Structure,
) -> Start:
    """Return the start of a check by a reference; `own` is J as func has it."""
    numeric = replace(call, func=reference, in_place=False, returns_pair=False)
    within = _with_float64(structure)
    context = within.context if within else None
    runner = evaluator(np.float64 if narrow else None, numeric, context)
    try:
        center = runner.at_theta()
    except Exception as error:
        error.add_note(
            "gradcheck: raised by reference, which gets copies of the parameters in float64"
        )
        raise
    remarks = [f"numeric is the derivative of reference, {name_of(reference)}"]
    k = int(np.argmax(np.abs(own)))
    here, there = float(np.ravel(own)[k]), float(np.ravel(center)[k])
    if abs(there - here) > ALIKE_WITHIN * abs(here) + ALIKE_NEAR_ZERO:
        remarks.append(
            f"func is {here:.6g} at the parameters, and reference {there:.6g}: are they the same "
            "function?"
        )
    return Start(runner, center, numeric, tuple(remarks))


ELSEWHERE = "pass reference=, the same formula as a function of float64 parameters"


def _without_steps(structure: Structure, blocks: Sequence[Block]) -> str:
    """Return which parameter is of a type in which no step can be taken, in words, or nothing."""
    for block in blocks:
        leaf = structure.leaves[block.leaf]
        if leaf.eps > max(np.finfo(block.dtype).eps, EPS):
            kind = getattr(leaf.value, "dtype", type(leaf.value).__name__)
            return f"{brief(block.name)} is {kind}, in which no step is small enough"
    return ""


def _promoted(
    evaluator: Callable[..., Evaluator], call: Call, structure: Structure, stepless: str
) -> Start:
    """Return the start in float64 for narrower parameters, if func allows it.

    It must give J to the precision of the narrow type, and more digits than that type holds; of
    several outputs, the largest one. Where func refuses, as torch does beside narrow data, a copy
    of it with wide data is tried; where the library has float64 only on request, that is asked for
    first. TypeError where nothing does and the parameters are `stepless` (see `_without_steps`).
    """
    narrow = evaluator()
    low = narrow.at_theta()
    k, why = int(np.argmax(np.abs(low))), "computes no more digits with copies in float64"
    bits = LOWEST_BITS if stepless else FLOAT32_BITS
    types = narrow.narrow if isinstance(narrow.narrow, list) else [narrow.narrow]
    coarse = bool(stepless) or any(one is not None and one < FLOAT32_BITS for one in types)

    def wide(of: Call, within: float, remark: str = "", context: Any = None) -> Start | None:
        runner = evaluator(np.float64, of, context)
        high = runner.at_theta()
        first, second = np.ravel(low)[k], np.ravel(high)[k]
        within = ALIKE_WITHIN if coarse else within
        near = abs(float(second - first)) <= within * abs(float(first)) + ALIKE_NEAR_ZERO
        found = near and _beyond(runner, second, k, bits)
        return Start(runner, high, of, (remark,) if remark else ()) if found else None

    if (found := _switched(wide, call, structure)) is not None:
        return found
    try:
        if (found := wide(call, ALIKE_WITHIN)) is not None:
            return found
    except Exception as error:  # a func may refuse float64 in any way it likes
        why = f"takes no copy in float64 ({str(error).partition(chr(10))[0]:.120})"
        if (found := _copied(wide, call)) is not None:
            return found
    if stepless:
        raise TypeError(f"{stepless}, and func {why}; {ELSEWHERE}")
    return Start(narrow, low, call)


Wide = Callable[..., Start | None]


def _copied(wide: Wide, call: Call) -> Start | None:
    """Return the start by a copy of func with wide copies of what it reads, if that works."""
    with suppress(Exception):  # as func itself may, so may its copy
        func, args, names = all_in_float64(call.func, call.args)
        said = f"func was evaluated in float64, with float64 copies of {listing(names)}"
        return wide(replace(call, func=func, args=args), COPY_WITHIN, said) if names else None
    return None


def _with_float64(structure: Structure) -> Float64 | None:
    kinds = [leaf.kind for leaf in structure.leaves if leaf.kind is not None]
    return next((found for kind in kinds if (found := kind.with_float64())), None)


def _switched(wide: Wide, call: Call, structure: Structure) -> Start | None:
    """Return the start in a context in which a library that has no float64 has it."""
    if (found := _with_float64(structure)) is None:
        return None
    with suppress(Exception):
        said = f"func was evaluated in float64, in {found.name}"
        return wide(call, COPY_WITHIN, said, found.context)
    return None


ALIKE_WITHIN, ALIKE_NEAR_ZERO = 0.02, 1e-6
"""By how much J may differ between two precisions: in relation to itself, and near zero."""

COPY_WITHIN = 1e-4
"""And between func and the copy of it that is evaluated in its place: some hundred roundings of
float32, as a sum of many terms has them."""


LOWEST_BITS, FLOAT32_BITS = 8, 24
"""Of precision: bfloat16's, the most of those in which no step is taken, and float32's."""


def _beyond(wide: Evaluator, center: Any, k: int, bits: int) -> bool:
    """Return whether J has more bits than so many, here or, where it is short, nearby."""

    def long(value: Any) -> bool:
        if not np.isfinite(value):
            return False
        mantissa = math.frexp(float(value))[0] * 2.0**bits
        return mantissa != round(mantissa)

    if long(center):
        return True
    # Σθ² of whole numbers is short, and so is a constant.
    theta = np.concatenate([part.astype(np.float64) for part in wide.work.theta])
    try:
        return long(np.ravel(wide.along(theta, (1e-3 / 3,)))[k])
    except Exception:  # as above
        return False
