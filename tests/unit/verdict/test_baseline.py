"""A gradient beside the plain formula in its own precision, on errors worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from pytest_gradcheck import compare_gradients
from pytest_gradcheck._params.arrays_and_structure import flatten
from pytest_gradcheck._params.layout import blocks_of
from pytest_gradcheck._verdict.tolerance_and_comparison import errors_of

EXACT = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([8.0, 0.0])}
PLAIN = {"W": EXACT["W"] + [[0.0, 0.01], [0.0, 0.0]], "b": EXACT["b"] + [0.5, 0.0]}


def moved(name, index, by):
    found = {key: value.copy() for key, value in EXACT.items()}
    found[name][index] += by
    return found


def errors(analytic, baseline, precision, factor=2.0):
    structure = flatten(EXACT)
    blocks = blocks_of(structure, (), ())
    vectors = [
        np.concatenate([part.ravel() for part in one.values()])
        for one in (analytic, EXACT, baseline)
    ]
    return errors_of(blocks, *vectors, precision, factor)


def test_errors_by_maximum_and_by_norm():
    kernel = moved("W", (1, 1), 0.015)
    kernel["W"][0, 0] += 0.015
    W, b = errors(kernel, PLAIN, (2.0**-52, 2.0**-52))
    assert W.maximum == pytest.approx((0.015, 0.01))
    assert W.norm == pytest.approx((0.015 * 2**0.5, 0.01))
    assert W.times == pytest.approx((1.5, 1.5 * 2**0.5))
    assert not W.ok  # by norm alone
    assert W.allowed == pytest.approx(0.02)
    assert b.times == (0.0, 0.0)
    assert b.ok


def test_rounding_is_the_least_error_that_a_baseline_has():
    (W, b) = errors(moved("b", 0, 2.0**-7), EXACT, (2.0**-52, 2.0**-10))
    assert b.maximum == (2.0**-7, 8 * 2.0**-11)
    assert b.times == (2.0, 2.0)
    assert b.ok
    assert W.ok
    assert not errors(moved("b", 0, 2.1 * 2.0**-8), EXACT, (2.0**-52, 2.0**-10))[1].ok


def test_a_block_without_entries_has_no_error():
    blocks = blocks_of(flatten({"a": np.empty(0), "b": np.zeros(2)}), (), ())
    one = np.array([1.0, 2.0])
    (found,) = errors_of(blocks, one, one, one, (2.0**-52, 2.0**-52), 2.0)
    assert found.block.name == "b"


def test_the_report_names_the_entry_and_the_ratios():
    good = compare_gradients(moved("W", (0, 1), -0.019), EXACT, baseline=PLAIN)
    assert good.ok
    assert good.remarks == (
        "W: the error is 1.9 times that of baseline by maximum (0.019 at W[0, 1], beside 0.01) "
        "and 1.9 times by norm; 2 times is allowed",
    )
    bad = compare_gradients(moved("W", (1, 0), 0.03), EXACT, baseline=PLAIN)
    assert [block.verdict for block in bad.blocks] == ["disagree", "agree"]
    assert bad.worst[0].label == "W[1, 0]"
    assert bad.worst[0].ratio == pytest.approx(1.5)
    assert bad.reasons == (
        "W: the error is 3 times that of baseline by maximum (0.03 at W[1, 0], beside 0.01) and 3 "
        "times by norm; 2 times is allowed",
    )
    assert compare_gradients(moved("W", (1, 0), 0.03), EXACT, baseline=PLAIN, factor=3.5).ok


def test_an_error_of_the_norm_alone_fails_too():
    kernel = {"W": EXACT["W"] + 0.0199, "b": EXACT["b"]}
    report = compare_gradients(kernel, EXACT, baseline=PLAIN)
    assert (report.ok, report.verdict, report.wrong) == (False, "disagree", 0)
    assert report.reasons[0].startswith("W: the error is 2 times")
    assert "W: the error is" in report.message()


def test_numbers_that_are_none():
    assert not compare_gradients(moved("W", (1, 0), np.nan), EXACT, baseline=PLAIN).ok
    for given in ((EXACT, moved("b", 1, np.inf)), (moved("b", 1, np.inf), EXACT)):
        reference, baseline = given
        with pytest.raises(ValueError, match=r"^(reference|baseline) of b\[1\] is not finite"):
            compare_gradients(EXACT, reference, baseline=baseline)


def test_bad_input():
    with pytest.raises(ValueError, match="leave out rtol and atol, or leave out baseline"):
        compare_gradients(EXACT, EXACT, baseline=PLAIN, rtol=1e-3)
    for factor in (0, -1.0, np.inf, "2"):
        with pytest.raises(ValueError, match="factor must be a positive finite number, not"):
            compare_gradients(EXACT, EXACT, baseline=PLAIN, factor=factor)
    with pytest.raises(ValueError, match="baseline does not match reference: it has no b"):
        compare_gradients(EXACT, EXACT, baseline={"W": EXACT["W"]})
