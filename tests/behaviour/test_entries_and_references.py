"""`entries=`, which leaves out single entries; `reference=`, which is differenced for func."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from pytest_gradcheck import (
    GradientMismatch,
    assert_gradients_close,
    assert_jacobian_close,
    check_gradients,
    check_jacobian,
    check_jvp,
    check_vjp,
    compare_gradients,
)

RNG = np.random.default_rng(0)
PARAMS = {"A": RNG.normal(size=(4, 3)), "z": RNG.normal(size=3) + 1j * RNG.normal(size=3)}
MASK = np.ones((4, 3), dtype=bool)
MASK[1, 2] = False


def cost(p):
    return float(np.sum(p["A"] ** 3) + np.sum(np.abs(p["z"]) ** 4))


def slope(p):
    return {"A": 3 * p["A"] ** 2, "z": 4 * np.abs(p["z"]) ** 2 * p["z"]}


def off(p):
    """Return the gradient with two entries of nothing: A[1, 2] and z[2]."""
    found = slope(p)
    found["A"][1, 2], found["z"][2] = 99.0, -7j
    return found


LEFT_OUT = {"A": MASK, "z": [0, 1]}


@pytest.mark.parametrize("workers", [1, 2])
def test_entries_that_are_left_out_are_not_looked_at(workers):
    report = check_gradients(cost, off, PARAMS, entries=LEFT_OUT, workers=workers)
    assert (report.verdict, report.checked) == ("agree", 11 + 4)
    assert report.skipped == ("A (1 of 12 entries)", "z (1 of 3 entries)")
    assert "left out: A (1 of 12 entries)" in report.message()
    both = check_gradients(cost, off, PARAMS, workers=workers)
    assert {entry.label for entry in both.worst} == {"A[1, 2]", "z[2].real", "z[2].imag"}


def test_entries_that_are_left_out_are_never_perturbed():
    seen = set()

    def func(p):
        seen.add((p["A"][1, 2], p["z"][2]))
        return cost(p)

    check_gradients(func, off, PARAMS, entries=LEFT_OUT)
    assert seen == {(PARAMS["A"][1, 2], PARAMS["z"][2])}


def test_what_is_wrong_has_its_own_name():
    def wrong(p):
        found = off(p)
        found["A"][3, 1] += 1
        found["z"][1] += 2j
        return found

    report = check_gradients(cost, wrong, PARAMS, entries=LEFT_OUT)
    assert {entry.label: entry.index for entry in report.worst} == {
        "z[1].imag": (1,),
        "A[3, 1]": (3, 1),
    }
    only = check_gradients(cost, wrong, PARAMS, entries={"A": np.s_[3, 1]}, only="A")
    assert [entry.label for entry in only.worst] == ["A[3, 1]"]


def test_evaluations_are_those_of_the_entries():
    whole = check_gradients(cost, slope, PARAMS).evaluations
    assert check_gradients(cost, slope, PARAMS, entries=LEFT_OUT).evaluations == whole - 2 * 3


def test_batches_and_directions_leave_entries_out():
    func = lambda p: np.sum(p["A"] ** 3, axis=(1, 2))  # noqa: E731
    A = {"A": PARAMS["A"]}
    grad = lambda p: {"A": off({**p, "z": PARAMS["z"]})["A"]}  # noqa: E731
    assert check_gradients(func, grad, A, vectorized=True, entries={"A": MASK}).ok
    assert check_gradients(func, grad, A, vectorized=True).wrong == 1
    x = RNG.normal(size=(300, 20))

    def cosine(x):
        found = np.cos(x)
        found[7] = 5.0
        return found

    kept = np.delete(np.arange(300), 7)
    report = check_gradients(lambda x: np.sin(x).sum(), cosine, x, entries={"params": kept})
    assert report.directions > 0
    assert (report.verdict, report.size) == ("agree", 299 * 20)
    assert not check_gradients(lambda x: np.sin(x).sum(), cosine, x).ok


def test_jacobians_products_and_comparisons_leave_entries_out():
    x = np.array([1.0, 2.0, 3.0])
    bad = np.diag(np.cos(x))
    bad[:, 1] = 4.0
    kept = {"params": [0, 2]}
    assert check_jacobian(np.sin, bad, x, entries=kept).checked == 6
    assert check_jacobian(np.sin, bad, x).wrong == 3
    assert check_jvp(np.sin, lambda x, v: bad @ v, x, entries=kept).ok
    assert check_vjp(np.sin, lambda x, u: u @ bad, x, entries=kept).ok
    assert check_jacobian(
        lambda p: p["x"] * p["y"][0],
        lambda p: {"x": np.eye(3) * p["y"][0], "y": np.stack([p["x"], 0 * p["x"] + 9], 1)},
        {"x": x, "y": np.array([2.0, 5.0])},
        entries={"y": [True, False]},
    ).ok
    assert compare_gradients(bad[0], np.diag(np.cos(x))[0], entries=kept).ok


def test_an_index_of_another_byte_order_is_numpy_s_all_the_same():
    index = np.array([0, 2], dtype=">i8" if np.little_endian else "<i8")
    x = np.array([1.0, 2.0, 3.0])
    assert check_gradients(lambda x: x @ x, lambda x: 2 * x, x, entries={"params": index}).ok


@pytest.mark.parametrize(
    ("entries", "error"),
    [
        ({"B": [0]}, "entries: 'B' matches no block of params; they are A, z"),
        ({"A": np.ones(3, bool)}, "the mask of A has shape (3,), but the block has (4, 3)"),
        ({"A": [9]}, "entries: A of shape (4, 3) can't be indexed by [9] (index 9 is out of"),
        ({"A": "row"}, "entries: A of shape (4, 3) can't be indexed by 'row' ("),
        ({"A": []}, "entries: nothing of A is chosen; leave the block out with skip='A'"),
    ],
)
def test_entries_that_choose_nothing(entries, error):
    with pytest.raises(ValueError, match=re.escape(error)):
        check_gradients(cost, slope, PARAMS, entries=entries)


def test_entries_must_be_a_dict():
    with pytest.raises(TypeError, match="entries must be a dict from names of blocks"):
        check_gradients(cost, slope, PARAMS, entries=[0])


# reference=


W = RNG.normal(size=6).astype(np.float32)


def fused(w):
    return np.float32(np.sum(np.tanh(w.astype(np.float32))))


def plain(w):
    return np.sum(np.tanh(w))


def fused_slope(w):
    return (1 - np.tanh(w.astype(np.float64)) ** 2).astype(np.float32)


NUMERIC = "numeric is the derivative of reference, plain"


def test_a_reference_is_differenced_in_place_of_func():
    types = []

    def counted(w):
        types.append(w.dtype)
        return plain(w)

    report = check_gradients(fused, fused_slope, W, reference=counted)
    assert report.verdict == "agree"
    assert report.resolution < 1e-4 < check_gradients(fused, fused_slope, W).resolution
    assert set(types) == {np.dtype(np.float64)}
    assert report.evaluations == len(types) + 1  # func once
    assert report.name == "fused"
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(fused, lambda w: fused_slope(w) * 1.001, W, reference=plain)
    assert caught.value.report.wrong == 6
    assert NUMERIC in str(caught.value).splitlines()


def test_another_function_as_reference_is_named():
    report = check_gradients(fused, fused_slope, W, reference=lambda w: 3 * plain(w))
    assert not report.ok
    assert report.remarks[1] == (
        f"func is {float(fused(W)):.6g} at the parameters, and reference "
        f"{3 * plain(W.astype(float)):.6g}: are they the same function?"
    )


def test_a_reference_of_a_func_that_returns_its_gradient_or_takes_no_params():
    both = lambda w: (fused(w), fused_slope(w))  # noqa: E731
    assert check_gradients(both, True, W, reference=plain).verdict == "agree"
    twice = lambda w: (fused(w), 2 * fused_slope(w))  # noqa: E731
    assert check_gradients(twice, True, W, reference=plain).wrong == 6
    for own in (W.copy(), W.astype(np.float64)):
        params, before = {"w": own}, own.copy()
        report = check_gradients(
            lambda p=params: fused(p["w"]),
            lambda p=params: {"w": fused_slope(p["w"])},
            params,
            in_place=True,
            reference=lambda p: plain(p["w"]),
        )
        assert report.verdict == "agree"
        assert np.array_equal(own, before)


def test_args_threads_and_directions_with_a_reference():
    func = lambda w, c: c * fused(w)  # noqa: E731
    grad = lambda w, c: c * fused_slope(w)  # noqa: E731
    of = {"args": (np.float32(3),), "reference": lambda w, c: float(c) * plain(w)}
    assert check_gradients(func, grad, W, **of).ok
    with ThreadPoolExecutor(2) as pool:
        assert check_gradients(func, grad, W, workers=pool, **of).ok
    many = RNG.normal(size=3000).astype(np.float32)
    report = check_gradients(fused, fused_slope, many, reference=plain)
    assert report.directions > 0
    assert report.verdict == "agree"
    assert report.remarks == (NUMERIC,)

    def wrong(w):
        found = fused_slope(w)
        found[1234] *= 2
        return found

    worst = check_gradients(fused, wrong, many, reference=plain).worst[0]
    assert worst.label == "params[1234]"


def test_jacobians_and_products_with_a_reference():
    layer = lambda w: np.tanh(w.astype(np.float32))  # noqa: E731
    many = RNG.normal(size=2500).astype(np.float32)
    few = {"reference": np.tanh}
    report = assert_jacobian_close(layer, lambda w: np.diag(fused_slope(w)), W, **few)
    assert report.resolution < 1e-3
    assert report.remarks == ("numeric is the derivative of reference, tanh",)
    vjp = lambda w, u: u * fused_slope(w)  # noqa: E731
    for point in (W, many):
        assert check_vjp(layer, vjp, point, **few).verdict == "agree"
        assert check_jvp(layer, vjp, point, **few).verdict == "agree"
    assert check_jvp(layer, lambda w, v: 1.01 * vjp(w, v), W, **few).wrong == 6


def test_a_reference_that_fails_says_what_it_gets():
    with pytest.raises(TypeError, match="missing 1 required") as caught:
        check_gradients(fused, fused_slope, W, reference=lambda w, c: 0.0)
    assert caught.value.__notes__[0] == (
        "gradcheck: raised by reference, which gets copies of the parameters in float64"
    )
    with pytest.raises(TypeError, match="reference must be a function of params, not 3"):
        check_gradients(fused, fused_slope, W, reference=3)
