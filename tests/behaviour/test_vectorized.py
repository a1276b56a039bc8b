"""`vectorized=True`: many points at once give what one at a time does, and misuse is named."""

from collections import namedtuple

import numpy as np
import pooled
import pytest

from pytest_gradcheck import (
    check_gradients,
    numerical_gradient,
    numerical_gradient_with_error,
)
from pytest_gradcheck._evaluate import parallel
from pytest_gradcheck._options import validated


def costs(p, power=2):
    z = np.tanh(np.einsum("kij,kj->ki", p["W"], p["b"][0]))
    return np.sum(z**power, axis=1) + np.exp(p["b"][1])


def blocks(p):
    return p["W"], p["b"][0], p["b"][1]


def close(found, other):
    """Assert equality but for rounding: J is 4.2 and, at |θ| = ¼, a step 2.4e-6.

    Three roundings of J come to 3·2⁻⁵³·4.2/2.4e-6 = 5.8e-10 then.
    """
    for one, another in zip(blocks(found), blocks(other), strict=True):
        np.testing.assert_allclose(one, another, rtol=1e-8, atol=5e-10)


def test_gradients_are_those_of_a_serial_check():
    params = pooled.params()
    close(numerical_gradient(costs, params, vectorized=True), pooled.gradient(params))
    found, error = numerical_gradient_with_error(costs, params, vectorized=True)
    for one, another, bar in zip(
        blocks(found), blocks(pooled.gradient(params)), blocks(error), strict=True
    ):
        assert np.all(np.abs(one - another) <= bar)
    assert np.max(error["W"]) < 1e-8
    cube = numerical_gradient(pooled.cost, params, args=(3,))
    close(numerical_gradient(costs, params, args=(3,), vectorized=True), cube)


def test_verdicts_are_those_of_a_serial_check():
    serial = check_gradients(pooled.cost, pooled.wrong_gradient, pooled.params(), max_report=0)
    report = check_gradients(
        costs, pooled.wrong_gradient, pooled.params(), vectorized=True, max_report=0
    )
    assert report.verdict == serial.verdict == "disagree"
    assert {entry.label for entry in report.worst} == {entry.label for entry in serial.worst}
    assert {"W[2, 3]", "b[1]"} == {e.label for e in report.worst if e.verdict == "disagree"}
    right = check_gradients(costs, pooled.gradient, pooled.params(), vectorized=True)
    assert right.ok
    assert right.evaluations <= 2 * right.size + 22


def test_batches_are_as_large_as_memory_allows(monkeypatch):
    theta = np.linspace(1.0, 2.0, 100)
    lengths = []

    def cost(x):
        assert x.shape[1:] == (100,)
        assert x.flags.writeable
        assert x.flags.c_contiguous
        lengths.append(len(x))
        return np.sum(x**2, axis=1)

    whole = check_gradients(cost, 2 * theta, theta, vectorized=True)
    assert max(lengths) == 200
    assert len(lengths) <= 6
    for size, most in ((800 * 31, 31), (1, 2)):
        lengths.clear()
        monkeypatch.setattr(parallel, "BATCH_BYTES", size)
        report = check_gradients(cost, 2 * theta, theta, vectorized=True)
        assert 2 <= max(lengths) <= most
        assert report.difference == whole.difference
        assert report.evaluations == whole.evaluations == sum(lengths)


def test_workers_share_batches():
    serial = check_gradients(costs, pooled.wrong_gradient, pooled.params(), vectorized=True)
    for workers in (2, 3):
        report = check_gradients(
            costs, pooled.wrong_gradient, pooled.params(), vectorized=True, workers=workers
        )
        assert report.evaluations == serial.evaluations
        assert [e.label for e in report.worst] == [e.label for e in serial.worst]


Pair = namedtuple("Pair", "left right")


def test_every_array_and_every_float_has_the_axis_checked_or_not():
    seen = []

    def cost(p):
        seen.append((np.shape(p[0].left), np.shape(p[0].right), np.shape(p[1]), p[2], p[3]))
        return np.sum(p[0].left ** 2, axis=1) * p[0].right + p[1]

    params = [Pair(np.ones(3), 2.0), np.float64(0.5), "name", 7]
    found = numerical_gradient(cost, params, only=["params[0].left"], vectorized=True)
    np.testing.assert_allclose(found[0].left, 4.0)
    assert all(shapes == ((k, 3), (k,), (k,), "name", 7) for shapes in seen for k in [shapes[0][0]])
    assert len({shapes[0][0] for shapes in seen}) > 1


def test_complex_narrow_and_lone_parameters():
    z = np.array([1 + 2j, 0.5 - 1j])
    found = numerical_gradient(lambda z: np.sum(np.abs(z) ** 2, axis=1), z, vectorized=True)
    np.testing.assert_allclose(found, 2 * z, rtol=1e-8)
    x = np.linspace(1, 2, 5, dtype=np.float32)
    report = check_gradients(lambda x: np.sum(x**2, axis=1), 2 * x, x, vectorized=True)
    assert report.ok
    assert abs(numerical_gradient(lambda t: t**3, 2, vectorized=True) - 12) < 1e-7


def test_along_directions():
    theta = np.linspace(0.5, 1.5, 3000)
    wrong = 2 * theta
    wrong[1234] *= 1.1
    report = check_gradients(lambda x: np.sum(x**2, axis=1), wrong, theta, vectorized=True)
    assert report.worst[0].label == "params[1234]"
    assert report.evaluations < 200


def test_has_aux():
    report = check_gradients(
        lambda x: (np.sum(x**2, axis=1), "cache"),
        np.full(3, 2.0),
        np.ones(3),
        has_aux=True,
        vectorized=True,
    )
    assert report.ok


def test_an_exception_in_a_batch_is_found_one_by_one():
    def cost(x):
        if (x < 0).any():
            raise ValueError("negative")
        return np.sum(x * np.sqrt(x), axis=1)

    theta = np.array([1e-6, 1.0, 2.0, 0.0])
    report = check_gradients(
        cost, 1.5 * np.sqrt(theta), theta, vectorized=True, inconclusive="pass"
    )
    assert report.wrong == 0

    def bug(x):
        if (x[:, 2] != 1.0).any():
            raise KeyError("two")
        return np.sum(x, axis=1)

    with pytest.raises(KeyError) as caught:
        check_gradients(bug, np.ones(4), np.ones(4), vectorized=True, only="params", eps=1e-6)
    assert "params[2] perturbed" in caught.value.__notes__[0]


# Misuse


@pytest.mark.parametrize(
    ("func", "words"),
    [
        (lambda x: float(np.sum(x)), r"shape \(\) for a batch of 1; it must return shape \(1,\)"),
        (lambda x: x**2, r"shape \(1, 3\) for a batch of 1"),
        (lambda x: np.sum(x, axis=1, keepdims=True), r"shape \(1, 1\) for a batch of 1"),
        (lambda x: np.sum(x**2).reshape(1), r"shape \(1,\) for a batch of 2"),
    ],
)
def test_another_shape(func, words):
    with pytest.raises(ValueError, match=words) as caught:
        check_gradients(func, np.ones(3), np.ones(3), vectorized=True)
    assert "one J for each entry of the leading axis" in str(caught.value)
    assert type(caught.value).__module__ == "builtins"  # pytest shows no module of ours


@pytest.mark.parametrize(
    "func",
    [
        lambda x: np.full(len(x), np.sum(x**2)),
        lambda x: np.full(len(x), np.mean(x**2)),
        lambda x: np.sum((x - x.mean(axis=0)) ** 2, axis=1) + 1,
    ],
)
def test_a_func_that_mixes_the_entries_of_a_batch(func):
    with pytest.raises(ValueError, match="mixes the entries of a batch"):
        check_gradients(func, np.ones(3), np.ones(3), vectorized=True)


def test_a_func_that_does_not_repeat_itself_is_told_that():
    rng = np.random.default_rng(0)
    report = check_gradients(
        lambda x: np.sum(x**2, axis=1) + rng.normal(size=len(x)),
        np.full(3, 2.0),
        np.ones(3),
        vectorized=True,
    )
    assert "does not repeat itself" in report.message()


@pytest.mark.parametrize(
    ("value", "words"),
    [((1.0, 2), "has_aux=True"), (None, "NoneType"), ("text", "returned str")],
)
def test_no_numbers(value, words):
    with pytest.raises(TypeError, match=words):
        check_gradients(lambda x: value, np.ones(3), np.ones(3), vectorized=True)


def test_a_func_of_single_points_learns_why_it_failed():
    matrix = np.ones((3, 3))
    with pytest.raises(ValueError, match="matmul") as caught:
        check_gradients(lambda x: x @ (matrix @ x), np.ones(3), np.ones(3), vectorized=True)
    assert "leading axis" in caught.value.__notes__[0]


def test_combinations_that_cannot_be():
    theta = np.ones(3)
    with pytest.raises(ValueError, match="in_place=True: the arrays"):
        check_gradients(lambda: theta @ theta, 2 * theta, theta, in_place=True, vectorized=True)
    with pytest.raises(ValueError, match="func returns J alone"):
        check_gradients(lambda x: (x @ x, 2 * x), True, theta, vectorized=True)
    with pytest.raises(ValueError, match='scheme="complex"'):
        check_gradients(lambda x: x @ x, theta, theta, scheme="complex", vectorized=True)
    with pytest.raises(TypeError, match="must be True, False or"):
        validated({"vectorized": 1}, "here")


def test_nothing_left_to_check_is_said_as_without_vectorized():
    theta = np.ones(2)
    func, grad = lambda p: np.sum(p**2, axis=-1), 2 * theta
    alone = check_gradients(func, grad, theta, skip="*")
    together = check_gradients(func, grad, theta, skip="*", vectorized=True)
    assert str(together) == str(alone)
    assert together.reasons == ("nothing was checked: there is no parameter to difference",)
