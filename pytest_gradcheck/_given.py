"""Two gradients that the user already has; and what is done with every report."""

from __future__ import annotations

import math
import time
import warnings
from dataclasses import replace
from typing import Any

import numpy as np

from ._analytic import gradient_vector
from ._assemble import assemble
from ._compare import tolerance
from ._found import finding_of_two
from ._gradient import Patterns, options_from
from ._names import quoted, shown
from ._problem import structure_of
from ._repair import Diagnosis
from ._report import GradcheckWarning, GradientReport
from ._structure import flatten
from .hookspecs import observer, plugin_manager


def compare_gradients(
    analytic: Any,
    reference: Any,
    *,
    rtol: float | None = None,
    atol: float | None = None,
    threshold: float | None = None,
    only: Patterns = (),
    skip: Patterns = (),
    max_report: int = 5,
) -> GradientReport:
    """Compare two gradients that you already have, and return the report.

    Parameters
    ----------
    analytic, reference : array, number or container of them
        Of the same structure.  `reference` stands where the numeric gradient stands in reports,
        without an error bar.
    rtol : float, optional
        Relative tolerance per entry.  Unset: 1e-7, or coarser by the dtypes.
    atol : float, optional
        Absolute tolerance per entry.  Unset: 32 eps of the block's root mean square.
    threshold : float, optional
        Largest difference that passes.  Unset: not applied.
    only, skip : str or sequence of str, optional
        Names of blocks, or glob patterns.
    max_report : int, optional
        Worst entries in the message, default 5.

    Returns
    -------
    GradientReport
        Call its ``raise_if_failed()`` to assert.

    Raises
    ------
    TypeError, ValueError
        When the structures do not match.

    Examples
    --------
    >>> from pytest_gradcheck import compare_gradients
    >>> report = compare_gradients({"W": [1.0, 2.0]}, {"W": [1.0, 2.5]})
    >>> report.ok, report.worst[0].label
    (False, 'W[1]')
    """
    started = time.perf_counter()
    options = options_from(
        rtol=rtol, atol=atol, threshold=threshold, only=only, skip=skip, max_report=max_report
    )
    structure, blocks = structure_of(_floating(reference), options)
    numeric, narrow = gradient_vector(reference, structure, blocks, "reference")
    a, dtypes = gradient_vector(analytic, structure, blocks, "analytic")
    precision = [
        max(float(np.finfo(x).eps), float(np.finfo(y).eps), 2.0**-52)
        for x, y in zip(dtypes, narrow, strict=True)
    ]
    numeric = numeric.astype(np.float64)
    finding = finding_of_two(
        a,
        numeric,
        np.zeros(a.size),
        tolerance(numeric, np.ones(a.size), blocks, precision, options, fine=1.0),
        name="compare_gradients",
        scheme="two gradients as given",
        structure=structure,
        blocks=blocks,
        precision_of=precision,
    )
    return announced(assemble(finding, options, time.perf_counter() - started))


def _floating(gradient: Any) -> Any:
    """Return a gradient whose integers are floating point: exact ones are often written so."""
    structure = flatten(gradient, "reference")
    values = [
        leaf.array.astype(float)[()]
        if leaf.numeric and leaf.array.dtype.kind in "iu"
        else leaf.value
        for leaf in structure.leaves
    ]
    return structure.rebuild(values)


def announced(report: GradientReport) -> GradientReport:
    """Add the hints of plugins, tell the observer, and warn where the options ask for it."""
    if not report.ok:
        report = _with_hints(report, plugin_manager().hook.gradcheck_explain(report=report))
    watcher = observer.get()
    if watcher is not None:
        watcher(report)
    if report.warning:
        warnings.warn(report.warning, GradcheckWarning, stacklevel=3)
    return report


LONGEST_HINT = 500
"""Characters of a plugin's sentence."""


def _clean(one: Any) -> str | Diagnosis:
    """Return what a plugin says as it can be printed, on one line; TypeError for anything else."""
    if isinstance(one, str):
        return shown(" ".join(one.split()), LONGEST_HINT)
    if not isinstance(one, Diagnosis):
        raise TypeError(
            f"gradcheck_explain returned {type(one).__name__}; return a sentence (str), a "
            "Diagnosis, a list or tuple of them, or None"
        )
    texts = one.code, one.sentence, *(one.blocks if isinstance(one.blocks, (list, tuple)) else [0])
    bits = one.bits if isinstance(one.bits, (int, float)) else math.nan
    if not all(isinstance(text, str) for text in texts) or math.isnan(bits):
        raise TypeError(
            f"gradcheck_explain returned {quoted(one)}; code and sentence of a Diagnosis are str, "
            "blocks is a tuple of them, and bits is a number"
        )
    sentence = shown(" ".join(one.sentence.split()), LONGEST_HINT)
    return replace(one, code=shown(one.code), sentence=sentence, blocks=tuple(one.blocks))


def _with_hints(report: GradientReport, said: list[Any]) -> GradientReport:
    """Add what implementations of ``gradcheck_explain`` returned: sentences and diagnoses."""
    given: list[Any] = []
    for one in said:
        given += one if isinstance(one, (list, tuple)) else [one]
    every = [clean for one in given if one is not None and (clean := _clean(one))]
    diagnoses = list(report.diagnoses)
    for one in every:
        if isinstance(one, Diagnosis):
            fewer = (i for i, known in enumerate(diagnoses) if known.bits < one.bits)
            diagnoses.insert(next(fewer, len(diagnoses)), one)
    hints = tuple(one.sentence if isinstance(one, Diagnosis) else one for one in every)
    return replace(report, hints=hints, diagnoses=tuple(diagnoses)) if every else report
