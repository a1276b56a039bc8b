"""The statement that was wrong, and what it would be: one expression of grad changed at a time."""

import ast
import itertools
import logging
import math
import random
import re
import shutil
import sys
import threading
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, check_hessian, check_jacobian
from pytest_gradcheck._report.message import message
from pytest_gradcheck._source import repairs
from pytest_gradcheck._source.trace import Kind, _part_of

X = np.random.default_rng(3).normal(size=(4, 7))
Y = np.random.default_rng(4).normal(size=(4, 7))
X_BEFORE, Y_BEFORE = X.copy(), Y.copy()


def params():
    rng = np.random.default_rng(5)
    return {
        "W1": rng.normal(size=(4, 4)),
        "b1": rng.normal(size=(4, 1)),
        "W2": rng.normal(size=(4, 4)),
        "b2": rng.normal(size=(4, 1)),
    }


def forward(p):
    a = np.tanh(p["W1"] @ X + p["b1"])
    return a, p["W2"] @ a + p["b2"]


def cost(p):
    return 0.5 * np.mean((forward(p)[1] - Y) ** 2)


@pytest.fixture(autouse=True)
def nothing_of_the_users_is_changed(monkeypatch):
    monkeypatch.setattr(repairs, "SECONDS", math.inf)
    monkeypatch.setattr(repairs, "PATIENCE", math.inf)
    monkeypatch.setattr(repairs, "MOST_TRIED", 600)
    own = [cost, forward, *BUGS]
    codes = [function.__code__ for function in own]
    yield
    assert [function.__code__ for function in own] == codes
    assert X.flags.writeable
    assert Y.flags.writeable
    assert np.array_equal(X, X_BEFORE)
    assert np.array_equal(Y, Y_BEFORE)


def all_of(dz1, dz2, a):
    return {
        "W1": dz1 @ X.T,
        "b1": dz1.sum(axis=1, keepdims=True),
        "W2": dz2 @ a.T,
        "b2": dz2.sum(axis=1, keepdims=True),
    }


def not_transposed(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    da1 = p["W2"] @ dz2  # wrong: da1 = dz2.T @ p["W2"] | da1 = p["W2"].T @ dz2
    return all_of(da1 * (1 - a**2), dz2, a)


def subtracted(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    dz1 = p["W2"].T @ dz2 * (1 + a**2)  # wrong: dz1 = p["W2"].T @ dz2 * (1 - a ** 2)
    return all_of(dz1, dz2, a)


def power(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    slope = 1 - a**3  # wrong: slope = 1 - a ** 2
    return all_of(p["W2"].T @ dz2 * slope, dz2, a)


def other_name(p):
    a, out = forward(p)
    dz2 = (out - X) / Y.size  # wrong: dz2 = (out - Y) / Y.size
    return all_of(p["W2"].T @ dz2 * (1 - a**2), dz2, a)


def other_key(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    da1 = p["W1"].T @ dz2  # wrong: da1 = p["W2"].T @ dz2
    return all_of(da1 * (1 - a**2), dz2, a)


def derivative_forgotten(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    da1 = p["W2"].T @ dz2
    dz1 = da1  # wrong: dz1 = da1 * (1 - a ** 2)
    return all_of(dz1, dz2, a)


def derivative_of_another(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    dz1 = p["W2"].T @ dz2 * (a * (1 - a))  # wrong: dz1 = p["W2"].T @ dz2 * (1 - a ** 2)
    return all_of(dz1, dz2, a)


def rolled(p):
    a, out = forward(p)
    dz2 = (out - np.roll(Y, 1)) / Y.size  # wrong: dz2 = (out - Y) / Y.size
    return all_of(p["W2"].T @ dz2 * (1 - a**2), dz2, a)


def updated_too_early(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    W2 = p["W2"]
    W2 = W2 - 0.1 * dz2 @ a.T  # wrong: pass
    return all_of(W2.T @ dz2 * (1 - a**2), dz2, a)


def along_the_other_axis(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    found = all_of(p["W2"].T @ dz2 * (1 - a**2), dz2, a)
    found["b2"] = dz2.sum(axis=0)[:4, None]  # wrong: pass
    return found


def one_column_short(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    dz1 = p["W2"].T @ dz2 * (1 - a**2)
    found = all_of(dz1, dz2, a)
    found["W1"] = np.zeros((4, 4))
    for n in range(X.shape[1] - 1):  # wrong: for n in range(X.shape[1])
        found["W1"] = found["W1"] + np.outer(dz1[:, n], X[:, n])
    return found


def not_added_up(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    found = all_of(p["W2"].T @ dz2 * (1 - a**2), dz2, a)
    found["W2"] = np.zeros((4, 4))
    for n in range(X.shape[1]):
        found["W2"] = np.outer(dz2[:, n], a[:, n])  # wrong: found["W2"] = found["W2"] + np.outer
    return found


def in_a_function_of_its_own(p):
    a, out = forward(p)

    def through(dz):
        return p["W2"] @ dz  # wrong: return p["W2"].T @ dz | return dz.T @ p["W2"]

    dz2 = (out - Y) / Y.size
    return all_of(through(dz2) * (1 - a**2), dz2, a)


def not_divided(p):
    a, out = forward(p)
    dz2 = out - Y  # wrong: dz2 = (out - Y) / Y.size
    return all_of(p["W2"].T @ dz2 * (1 - a**2), dz2, a)


def half_of_a_term(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    half = p["W2"].T @ dz2 / 2
    da1 = half + half / 3  # wrong: da1 = half + 3 * (half / 3) | da1 = half + half
    return all_of(da1 * (1 - a**2), dz2, a)


def words_exchanged(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    dz1 = p["W2"].T @ dz2 * (1 - a**2)
    weights = {"W1": dz1 @ X.T, "W2": dz2 @ a.T}
    return dict(  # wrong: return dict(weights, b1=dz1
        weights, b1=dz2.sum(1)[:, None], b2=dz1.sum(1)[:, None]
    )


def entries_exchanged(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    dz1 = p["W2"].T @ dz2 * (1 - a**2)
    b2, b1 = (each.sum(axis=1, keepdims=True) for each in (dz1, dz2))  # wrong: b2, b1 = (each
    return {"W1": dz1 @ X.T, "b1": b1, "W2": dz2 @ a.T, "b2": b2}


def factor_forgotten_within(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    da1 = p["W2"].T @ dz2
    dz1 = da1 - a * (da1 + 0)  # wrong: dz1 = da1 - a * (da1 * a | dz1 = da1 - a ** 2
    return all_of(dz1, dz2, a)


class Layer:
    def __init__(self, W):
        self.W, self.dW = W, None

    def backward(self, dz, a):
        self.dW = dz @ a.T
        return self.W.T @ dz


class Forgetful(Layer):
    def backward(self, dz, a):
        self.dW = dz @ a.T
        return self.W @ dz  # wrong: return self.W.T @ dz | return dz.T @ self.W


LAYER = Forgetful(None)


class Squashed:
    def __init__(self, a):
        self.a = a

    def backward(self, da):
        return da * (1 - self.a)  # wrong: return da * (1 - self.a ** 2)


def layers_that_grad_makes(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    return all_of(Squashed(a).backward(p["W2"].T @ dz2), dz2, a)


def functions_of_a_module(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    return all_of(p["W2"].T @ dz2 * slopes.of(a), dz2, a)


def slope(a):
    return 1 + a**2  # wrong: return 1 - a ** 2


slopes = ModuleType("slopes")
slopes.__file__ = __file__
slopes.of = slope


def layers(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    LAYER.W = p["W2"]
    da1 = LAYER.backward(dz2, a)
    return all_of(da1 * (1 - a**2), dz2, a) | {"W2": LAYER.dW}


def written_to_after_a_copy(p):
    data, weights = X.copy(), {name: value.copy() for name, value in p.items()}
    weights["W1"] += 1
    data *= 3
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    dz1 = p["W2"].T @ dz2 * (1 - a)  # wrong: dz1 = p["W2"].T @ dz2 * (1 - a ** 2)
    return all_of(dz1, dz2, a) | {"W1": dz1 @ data.T / 3}


BUGS = [
    not_transposed,
    subtracted,
    power,
    other_name,
    other_key,
    derivative_forgotten,
    derivative_of_another,
    rolled,
    updated_too_early,
    along_the_other_axis,
    one_column_short,
    not_added_up,
    in_a_function_of_its_own,
    not_divided,
    half_of_a_term,
    words_exchanged,
    entries_exchanged,
    factor_forgotten_within,
    layers,
    layers_that_grad_makes,
    functions_of_a_module,
    written_to_after_a_copy,
]


def wrong_line(function):
    """Return the number of the line that is marked in a function, and what it would be."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    elsewhere = {
        layers: Forgetful.backward,
        layers_that_grad_makes: Squashed.backward,
        functions_of_a_module: slope,
    }
    start = elsewhere.get(function, function).__code__.co_firstlineno
    number = next(n for n in range(start, len(lines)) if "# wrong: " in lines[n - 1])
    return number, lines[number - 1].partition("# wrong: ")[2].split(" | ")


@pytest.mark.parametrize("grad", BUGS, ids=lambda grad: grad.__name__)
def test_the_statement_that_is_wrong_comes_first_with_what_it_would_be(grad):
    theta = params()
    report = check_gradients(cost, grad, theta)
    first = report.lines[0]
    number, mended = wrong_line(grad)
    assert (first.file, first.line, first.role) == (__file__, number, "wrong")
    assert any(first.mended.startswith(text) for text in mended), first.mended
    assert set(first.blocks) == {block.name for block in report.blocks if block.wrong}
    assert all(np.array_equal(theta[name], value) for name, value in params().items())


DECAY = 0.3


@pytest.mark.parametrize("missing", [True, False])
def test_a_term_gets_the_coefficient_that_it_lacks(missing):
    def decayed(p):
        return cost(p) + DECAY / (2 * X.shape[1]) * (p["W1"] ** 2).sum()

    def grad(p):
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        dz1 = p["W2"].T @ dz2 * (1 - a**2)
        data = dz1 @ X.T
        dW = data if missing else data + DECAY * p["W1"]
        return all_of(dz1, dz2, a) | {"W1": dW}

    first = check_gradients(decayed, grad, params()).lines[0]
    assert (first.blocks, first.role) == (("W1",), "wrong")
    if missing:
        assert re.search(r' \+ DECAY / .\.shape\[-1\] \* p\["W1"\]$', first.mended)
    else:
        assert re.search(r' else data \+ DECAY \* p\["W1"\] / .\.shape\[-1\]$', first.mended)


def test_a_coefficient_is_no_size_that_happens_to_have_its_value():
    p = {"W": np.arange(12.0).reshape(4, 3) / 7 - 0.6, "b": np.arange(5.0) / 3}

    def decayed(p):
        return np.sin(p["W"]).sum() + 0.1 * (p["W"] ** 2).sum() + (p["b"] ** 3).sum()

    def grad(p):
        dW = np.cos(p["W"])
        return {"W": dW, "b": 3 * p["b"] ** 2}

    # 1 / len(p["b"]) is 0.2 as well.
    assert check_gradients(decayed, grad, p).lines[0].mended == 'dW = np.cos(p["W"]) + 0.2 * p["W"]'


LABELS = np.arange(7) % 4


def cross_entropy(p):
    out = forward(p)[1]
    return np.mean(np.log(np.exp(out).sum(axis=0)) - out[LABELS, np.arange(7)])


def test_a_statement_that_is_missing_stands_behind_the_one_that_it_follows():
    def grad(p):
        a, out = forward(p)
        dz2 = np.exp(out) / np.exp(out).sum(axis=0)
        dz2[LABELS, np.arange(7)] -= 1
        dz1 = p["W2"].T @ dz2 * (1 - a**2)
        return all_of(dz1, dz2, a)

    first = check_gradients(cross_entropy, grad, params()).lines[0]
    assert (first.blocks, first.role) == (("W1", "b1", "W2", "b2"), "wrong")
    assert first.source == "dz2[LABELS, np.arange(7)] -= 1"
    assert re.fullmatch(
        r"dz2\[LABELS, np\.arange\(7\)\] -= 1; dz2 = dz2 / len\(LABELS\)", first.mended
    )


AT = np.linspace(0.1, 1.7, 6)


def decay(p):
    return p["A"] * np.exp(-p["k"] * AT)


def jac_of_decay(p):
    e = np.exp(-p["k"] * AT)
    dk = AT * p["A"] * e  # the sign
    return {"A": e, "k": dk}


def hess_of_decay(w):
    s = 1 / (1 + np.exp(-X.T @ w))
    return (X * s) @ X.T  # s * (1 - s)


@pytest.mark.parametrize("asked", [{}, {"repairs": "skip"}])
def test_jacobians_and_hessians_get_the_statement_as_it_would_be(asked):
    p = {"A": 1.3, "k": 0.6}
    first = check_jacobian(decay, jac_of_decay, p, **asked).lines[0]
    w = np.array([0.2, -0.4, 0.1, 0.7])
    second = check_hessian(
        lambda w: np.logaddexp(0, X.T @ w).sum(), hess_of_decay, w, **asked
    ).lines[0]
    assert (first.blocks, second.blocks) == (("output / k",), ("params / params",))
    wanted = ("", "") if asked else ("dk = -(AT", "return X * (s * (1 - s)) @ X.T")
    assert first.mended.startswith(wanted[0])
    assert second.mended == wanted[1]


def test_a_func_that_returns_what_grad_needs_is_looked_at_last():
    def loss(out):
        return 0.5 * np.mean((out - Y) ** 2), (out - Y) / len(Y)

    def func(p):
        return loss(forward(p)[1])[0]

    def grad(p):
        a, out = forward(p)
        dz2 = loss(out)[1]
        return all_of(p["W2"].T @ dz2 * (1 - a**2), dz2, a)

    first = check_gradients(func, grad, params()).lines[0]
    assert (first.role, first.source) == ("wrong", "dz2 = loss(out)[1]")
    assert re.fullmatch(r"dz2 = loss\(out\)\[1\] / .\.shape\[-1\]", first.mended)


def test_what_it_would_be_stands_below_the_statement_in_the_failure():
    text = message(check_gradients(cost, subtracted, params()), 80).splitlines()
    start = next(n for n, line in enumerate(text) if "is made by" in line)
    number = wrong_line(subtracted)[0]
    assert text[start + 1].startswith('W1, b1  dz1 = p["W2"].T @ dz2 * (1 + a**2)')
    assert f"test_repairs.py:{number}" in text[start + 1]
    assert text[start + 2] == '        would agree as dz1 = p["W2"].T @ dz2 * (1 - a ** 2)'
    narrow = message(check_gradients(cost, subtracted, params()), 50).splitlines()
    assert max(map(len, narrow[1:])) <= 50
    start = narrow.index('        would agree as dz1 = p["W2"].T @')
    assert narrow[start + 1] == "          dz2 * (1 - a ** 2)"


def test_a_statement_that_has_to_go_is_said_to_be_left_out():
    text = message(check_gradients(cost, updated_too_early, params()), 80).splitlines()
    assert "        would agree without it" in text


def test_two_statements_are_named_where_one_is_not_enough():
    def grad(p):
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        found = all_of(p["W2"].T @ dz2 * (1 - a**2), dz2, a)
        found["W1"] *= 3
        found["b2"] *= 4
        return found

    report = check_gradients(cost, grad, params())
    wrong = [line for line in report.lines if line.role == "wrong"]
    assert [(line.blocks, line.source, line.mended) for line in wrong] == [
        (("W1",), 'found["W1"] *= 3', "pass"),
        (("b2",), 'found["b2"] *= 4', "pass"),
    ]


def test_statements_that_make_some_blocks_right_are_named_where_none_makes_all():
    def summed(dz):
        return dz.mean(axis=1, keepdims=True)

    def grad(p):
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        dz1 = p["W2"].T @ dz2 * (1 - a) ** 2
        return all_of(dz1, dz2, a) | {"b1": summed(dz1), "b2": summed(dz2)}

    report = check_gradients(cost, grad, params())
    wrong = [line for line in report.lines if line.role == "wrong"]
    assert {(line.blocks, line.mended) for line in wrong} == {
        (("W1",), 'dz1 = p["W2"].T @ dz2 * (1 - a ** 2)'),
        (("b2",), "return dz.sum(axis=1, keepdims=True)"),
    }
    # Two bugs make b1: what is left of it to say names no block twice.
    places = [(name, line.line) for line in report.lines for name in line.blocks]
    assert len(places) == len(set(places))
    assert "b1" in dict(places)


def test_the_expression_of_a_lambda_is_changed_too():
    x = np.array([1.0, 2.0, 3.0])
    report = check_gradients(
        lambda x: np.sin(x) @ np.sin(x), lambda x: 2 * np.sin(x) * np.sin(x), x
    )
    (line,) = report.lines
    assert (line.source, line.role) == ("2 * np.sin(x) * np.sin(x)", "wrong")
    assert line.mended == "2 * np.cos(x) * np.sin(x)"


def test_a_func_that_returns_both_keeps_its_value():
    def both(p):
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        J = 0.5 * np.mean((out - Y) ** 2)
        da1 = p["W2"].T @ dz2 * a  # for the derivative
        return J, all_of(da1, dz2, a)

    report = check_gradients(both, True, params())
    first = report.lines[0]
    assert (first.role, first.source) == ("wrong", 'da1 = p["W2"].T @ dz2 * a')
    assert first.mended == 'da1 = p["W2"].T @ dz2 * (1 - a ** 2)'


# What is the user's stays as it is.


def counted(grad):
    """Return a grad that counts its calls, and the count."""
    calls = []

    def counting(p):
        calls.append(None)
        return grad(p)

    return counting, calls


def hopeless(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    dz1 = np.sqrt(np.abs(np.sin(p["W2"].T @ dz2 + 0.3 * a)))
    return all_of(dz1, dz2, a)


def test_nothing_is_tried_where_it_is_not_asked_for():
    grad, calls = counted(hopeless)
    report = check_gradients(cost, grad, params(), repairs="skip")
    alone = len(calls)
    assert {line.role for line in report.lines} >= {"shared"}
    assert all(not line.mended for line in report.lines)
    check_gradients(cost, grad, params())
    assert len(calls) == alone * 2  # what was counted was put back
    assert X.flags.writeable


def test_nothing_is_tried_where_func_answers_to_nothing():
    """Zero times anything would agree, and says nothing of what is wrong."""
    held = Y[0].copy()
    report = check_gradients(lambda p: float(held @ held), lambda p: 2 * p, Y[0])
    assert report.lines
    assert not any(line.mended for line in report.lines)


@pytest.mark.parametrize("grad", [hopeless, subtracted], ids=lambda grad: grad.__name__)
def test_containers_hold_what_they_held(grad):
    past, state, layer = [], {"calls": 0}, Layer(X)

    def remembering(p):
        past.append(len(past))
        state["calls"] += 1
        layer.backward(Y, X)
        layer.count = state["calls"]
        return grad(p)

    check_gradients(cost, remembering, params())
    assert past == list(range(len(past)))
    assert layer.count == state["calls"] == len(past) < 30
    assert np.array_equal(layer.dW, Y @ X.T)


class Slots:
    __slots__ = ("count", "held", "unset")

    def __init__(self):
        self.count, self.held = 0, X


class Counting:
    """A class that grad makes an object of; what it counts is the class's own."""

    total = 0

    def __init__(self):
        type(self).total += 1


def test_whatever_holds_something_holds_what_it_held(monkeypatch):
    monkeypatch.setattr(Counting, "total", 0)
    names, last, raw, slots = {"a"}, deque([1, 2], maxlen=2), bytearray(b"ab"), Slots()
    table, masked = np.array([[1], None], dtype=object), np.ma.masked_array(np.ones(3), [0, 0, 1])
    order, calls = OrderedDict(a=1, b=2), []

    def grad(p):
        Counting()
        order.move_to_end("ab"[len(calls) % 2])
        order[len(calls)] = None
        calls.append(None)
        names.add(len(calls))
        last.append(len(calls))
        raw.append(len(calls))
        table[0].append(None)
        slots.count += 1
        slots.unset = slots.held
        grad.times = getattr(grad, "times", 0) + 1
        helper.TIMES = len(calls)
        return hopeless(p)

    helper = ModuleType("helper")
    helper.__file__ = __file__
    check_gradients(cost, grad, params())
    n = len(calls)
    assert n < 30
    assert names == {"a", *range(1, n + 1)}
    assert list(last) == [n - 1, n]
    assert len(raw) == n + 2
    assert list(order)[:2] != ["a", "b"]
    assert len(order) == n + 2
    assert len(table[0]) == n + 1
    assert slots.count == Counting.total == grad.times == helper.TIMES == n
    assert slots.unset is X
    assert table.flags.writeable
    assert masked.mask.flags.writeable


def test_a_mask_can_not_be_written_to_either():
    masked = np.ma.masked_array(X, X > 0.5)
    before = masked.mask.copy()

    def grad(p):
        row = 0
        if row != 0:
            masked.mask[row - 1] = True
        return hopeless(p)

    check_gradients(cost, grad, params())
    assert np.array_equal(masked.mask, before)


def test_a_cache_of_the_standard_library_gets_right_values_alone():
    calls = []

    @lru_cache
    def power(n):
        calls.append(None)
        return 2 * n + 1

    def grad(p):
        if len(calls) > 50:
            power.cache_clear()
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        dz1 = p["W2"].T @ dz2 * (1 - a ** power(1))
        return all_of(dz1, dz2, a)

    report = check_gradients(cost, grad, params())
    assert report.lines[0].source == 'dz1 = p["W2"].T @ dz2 * (1 - a ** power(1))'
    assert [power(n) for n in range(-3, 4)] == [2 * n + 1 for n in range(-3, 4)]


def test_random_numbers_go_on_as_if_nothing_had_been_tried():
    rng = np.random.default_rng(3)

    def grad(p):
        np.random.seed(5)
        random.seed(5)
        _ = rng.normal(), np.random.normal(), random.random()
        return hopeless(p)

    after = []
    for repairs_too in ("skip", "try"):
        rng = np.random.default_rng(3)
        check_gradients(cost, grad, params(), repairs=repairs_too)
        after.append((rng.normal(), np.random.normal(), random.random()))
    assert after[0] == after[1]


def test_no_file_is_written_removed_or_moved(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("one")
    other.write_text("other")
    calls = []

    def grad(p):
        calls.append(None)
        shutil.copy(one, other)
        with (tmp_path / "log").open("a") as log:
            log.write("called")
        return hopeless(p)

    report = check_gradients(cost, grad, params())
    assert report.verdict == "disagree"
    assert one.read_text() == other.read_text() == "one"
    assert (tmp_path / "log").read_text() == "called" * len(calls)
    assert len(calls) < 30
    other.unlink()  # whoever goes on may do as ever


def test_what_could_not_be_put_back_is_not_tried():
    numbers = iter(range(1000))

    def grad(p):
        next(numbers)
        return subtracted(p)

    report = check_gradients(cost, grad, params())
    assert "wrong" not in {line.role for line in report.lines}
    assert next(numbers) < 30


TIMES = 0


def test_variables_of_functions_around_and_of_modules_keep_their_values():
    times = 0

    def grad(p):
        global TIMES
        nonlocal times
        times += 1
        TIMES += 1
        return subtracted(p)

    report = check_gradients(cost, grad, params())
    assert report.lines[0].role == "wrong"
    assert times == TIMES < 30


def test_a_buffer_that_grad_writes_to_is_put_back():
    buffer = np.zeros((4, 4))

    def grad(p):
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        dz1 = p["W2"].T @ dz2 * (1 + a**2)
        buffer[...] = dz1 @ X.T
        return all_of(dz1, dz2, a) | {"W1": buffer.copy()}

    report = check_gradients(cost, grad, params())
    assert report.lines[0].mended == 'dz1 = p["W2"].T @ dz2 * (1 - a ** 2)'
    assert np.array_equal(buffer, grad(params())["W1"])


ROWS = np.array([0, 2, 2, 3, 2])
TABLE = np.random.default_rng(8).normal(size=(4, 7))
LOOKED_UP = np.random.default_rng(9).normal(size=(5, 7))


def looked_up(p):
    return np.sum(np.sin(p["E"][ROWS]) * LOOKED_UP) + np.sum(p["E"] * TABLE)


def added_once(p):
    g = TABLE.copy()
    g[ROWS] += np.cos(p["E"][ROWS]) * LOOKED_UP
    return {"E": g}


def subtracted_once(p):
    g = TABLE.copy()
    g[ROWS] -= -np.cos(p["E"][ROWS]) * LOOKED_UP
    return {"E": g}


@pytest.mark.parametrize(
    ("grad", "mended"),
    [
        (added_once, 'np.add.at(g, ROWS, np.cos(p["E"][ROWS]) * LOOKED_UP)'),
        (subtracted_once, 'np.subtract.at(g, ROWS, -np.cos(p["E"][ROWS]) * LOOKED_UP)'),
    ],
)
def test_an_index_that_comes_twice_is_added_to_twice(grad, mended):
    report = check_gradients(looked_up, grad, {"E": X.copy()})
    assert (report.lines[0].role, report.lines[0].mended) == ("wrong", mended)


AT = 2 * np.random.default_rng(11).normal(size=(5, 3))
PAIRS = [(i, j) for i in range(5) for j in range(i)]


def repulsion(p):
    return sum(1 / np.linalg.norm(p["x"][i] - p["x"][j]) for i, j in PAIRS)


def a_divisor_of_entries_forgotten(p):
    g = np.zeros_like(p["x"])
    for i, j in PAIRS:
        d = p["x"][i] - p["x"][j]
        r = np.linalg.norm(d)
        unit = d / r**2
        g[i] -= unit / r
        g[j] += unit  # wrong: g[j] += unit / r
    return {"x": g}


def a_term_of_entries_forgotten(p):
    g = np.zeros_like(p["x"])
    for i, j in PAIRS:
        d = p["x"][i] - p["x"][j]
        part = d * [1, 0, 0] / np.linalg.norm(d) ** 3
        rest = d * [0, 1, 1] / np.linalg.norm(d) ** 3
        g[i] -= part + rest
        g[j] += part  # wrong: g[j] += part + rest
    return {"x": g}


def written_to_another_entry(p):
    g = np.zeros_like(p["x"])
    for i, j in PAIRS:
        d = p["x"][i] - p["x"][j]
        push = d / np.linalg.norm(d) ** 3
        g[i] -= push
        g[i] += push  # wrong: g[j] += push
    return {"x": g}


STEPS = np.random.default_rng(12).normal(size=(6, 4))


def states(p):
    found = [p["u"]]
    for t in range(len(STEPS)):
        found.append(np.tanh(STEPS[t] - p["w"] * found[t]))
    return found


def through_time(p):
    u = states(p)
    return sum(np.sum((u[t + 1] - STEPS[t]) ** 2) for t in range(len(STEPS)))


def one_step_too_early(p):
    u, g, dw = states(p), np.zeros(4), np.zeros(4)
    for t in reversed(range(len(STEPS))):
        g = g + 2 * (u[t] - STEPS[t])  # wrong: g = g + 2 * (u[t + 1] - STEPS[t])
        dz = g * (1 - u[t + 1] ** 2)
        dw -= dz * u[t]
        g = -dz * p["w"]
    return {"u": g, "w": dw}


def a_sign_in_each_step(p):
    u, g, dw = states(p), np.zeros(4), np.zeros(4)
    for t in reversed(range(len(STEPS))):
        g = g + 2 * (u[t + 1] - STEPS[t])
        dz = g * (1 - u[t + 1] ** 2)
        dw -= dz * u[t]
        g = dz * p["w"]  # wrong: g = -(dz * p["w"])
    return {"u": g, "w": dw}


def added_in_each_step(p):
    u, dw = states(p), np.zeros(4)
    g = np.zeros((len(STEPS) + 1, 4))
    for t in reversed(range(len(STEPS))):
        dz = (g[t + 1] + 2 * (u[t + 1] - STEPS[t])) * (1 - u[t + 1] ** 2)
        dw -= dz * u[t]
        g[t] += dz * p["w"]  # wrong: g[t] -= dz * p["w"]
    return {"u": g[0], "w": dw}


LATER = np.array([0, 1, 1, 2, 3, 3, 4])  # with ties


def risk_after(p, when=LATER):
    s = p["s"]
    return sum(np.log(np.exp(s[when >= t]).sum()) for t in range(5))


def not_at_the_edge(p, when=LATER):
    g, e = np.zeros_like(p["s"]), np.exp(p["s"])
    for t in range(5):
        there = when > t  # wrong: there = when >= t
        g += e * there / e[when >= t].sum()
    return {"s": g}


def powers(p, k=4):
    return np.sum(np.tanh(p["s"]) ** k)


def one_power_too_high(p, k=4):
    a = np.tanh(p["s"])
    return {"s": k * a**k * (1 - a**2)}  # wrong: return {"s": k * a ** (k - 1) * (1 - a ** 2)}


def differences(p):
    return np.sum(np.diff(p["s"]) ** 4)


def the_other_end_of_a_slice(p):
    d = 4 * (p["s"][1:] - p["s"][:-1]) ** 3
    g = np.zeros_like(p["s"])
    g[1:] += d
    g[1:] -= d  # wrong: g[:-1] -= d
    return {"s": g}


def of_a_product(p):
    return np.sum(np.sin((p["A"] * X[:, :4] + p["C"] * Y[:, :4]) @ (X @ X.T)))


def a_product_transposed(p):
    slope = np.cos((p["A"] * X[:, :4] + p["C"] * Y[:, :4]) @ (X @ X.T))
    g = X @ X.T @ slope.T  # wrong: g = (X @ X.T @ slope.T).T
    return {"A": g * X[:, :4], "C": g * Y[:, :4]}


BATCH = np.random.default_rng(13).normal(size=(2, 3, 3))


def of_a_batch(p):
    return np.sum(np.sin(BATCH @ p["A"]))


def the_last_axes_as_they_are(p):
    slope = np.cos(BATCH @ p["A"])
    return {"A": BATCH @ slope}  # wrong: return {"A": BATCH.swapaxes(-1, -2) @ slope}


GROUPS = [slice(0, 2), slice(2, 5), slice(5, 7)]
SEEN = np.array([1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0])


def of_groups(p):
    return sum(np.exp(p["s"][g]).sum() ** 2 for g in GROUPS) + SEEN @ p["s"] - np.exp(p["s"]).sum()


def the_last_group_left_out(p):
    g = SEEN - np.exp(p["s"])
    for k in GROUPS[:-1]:  # wrong: for k in GROUPS[:] | for k in GROUPS
        g[k] += 2 * np.exp(p["s"][k]).sum() * np.exp(p["s"][k])
    return {"s": g}


def one_for_all_that_are_seen(p, seen=SEEN):
    g = 1 - np.exp(p["s"])  # wrong: g = seen - np.exp(p["s"])
    for k in GROUPS:
        g[k] += 2 * np.exp(p["s"][k]).sum() * np.exp(p["s"][k])
    return {"s": g}


def of_halves(p):
    return np.sum(np.sin(p["s"][:H]) * p["s"][H:] ** 3)


def the_other_half(p):
    first, last = p["s"][:H], p["s"][:H]  # wrong: first, last = (p["s"][:H], p["s"][-H:]) | first
    return {"s": np.concatenate([np.cos(first) * last**3, 3 * np.sin(first) * last**2])}


H = 3


class Gated:
    def __init__(self, own):
        self.own = own

    def forward(self, x):
        self.x = x
        return np.tanh(self.own["w"] * x) * self.own["v"]

    def backward(self):
        t = np.tanh(self.own["w"] * self.x)
        return {
            "w": (1 - t**2) * self.x * self.own["w"],
            "v": t,
        }


def gated(p):
    return sum(np.sum(one.forward(X[0])) for one in [Gated(p)])


def an_entry_of_an_attribute(p):
    (one,) = [Gated(p) for _ in range(1)]
    one.forward(X[0])
    return one.backward()


def test_an_entry_of_an_attribute_and_a_class_in_a_comprehension_are_changed():
    values = {"w": X[1], "v": X[2]}
    first = check_gradients(gated, an_entry_of_an_attribute, values).lines[0]
    assert (first.role, first.blocks) == ("wrong", ("w",))
    assert '(1 - t ** 2) * self.x * self.own["v"]' in first.mended


SLIPS = {
    of_groups: ({"s": X[0]}, [the_last_group_left_out, one_for_all_that_are_seen]),
    of_halves: ({"s": X[0, :6]}, [the_other_half]),
    repulsion: (
        {"x": AT},
        [a_divisor_of_entries_forgotten, a_term_of_entries_forgotten, written_to_another_entry],
    ),
    through_time: (
        {"u": np.array([0.3, -0.2, 0.5, 1.0]), "w": np.array([0.7, 1.1, -0.4, 0.9])},
        [one_step_too_early, a_sign_in_each_step, added_in_each_step],
    ),
    powers: ({"s": X[0]}, [one_power_too_high]),
    differences: ({"s": X[0]}, [the_other_end_of_a_slice]),
    of_a_product: ({"A": X[:, :4], "C": Y[:, :4]}, [a_product_transposed]),
    of_a_batch: (
        {"A": np.random.default_rng(14).normal(size=(2, 3, 3))},
        [the_last_axes_as_they_are],
    ),
    risk_after: ({"s": X[0]}, [not_at_the_edge]),
}


@pytest.mark.parametrize(
    ("func", "grad"),
    [pytest.param(f, g, id=g.__name__) for f, (_, grads) in SLIPS.items() for g in grads],
)
def test_a_slip_by_one_step_is_named_with_what_was_meant(func, grad):
    report = check_gradients(func, grad, SLIPS[func][0])
    number, mended = wrong_line(grad)
    first = report.lines[0]
    assert (first.line, first.role) == (number, "wrong")
    assert any(first.mended.startswith(text) for text in mended), first.mended


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("g[k]", Kind("array", (3, 4))),
        ("g[-1, k:, ::2]", Kind("array", (2, 2))),
        ("g[..., 0]", Kind("array", (5, 3))),
        ("g[rows]", Kind("array", (2, 3, 4))),
        ("g[k + 1, None, :2]", Kind("array", (1, 2, 4))),
        ("g[k, 2, k - 1]", Kind("number")),
        ("g[unknown]", None),
        ("g[rows[0]]", None),
        ("g[k, k, k, k]", None),
        ("g[7]", None),
    ],
)
def test_what_is_written_to_entries_has_their_shape(text, kind):
    names = {"k": 1, "rows": np.array([0, 2]), "unknown": np.int64(1)}
    target = ast.parse(text).body[0].value
    assert _part_of(np.zeros((5, 3, 4)), target, names) == kind
    assert _part_of([np.zeros((3, 4))], target, names) is None


def test_a_change_is_no_repair_because_the_gradient_was_far_too_large():
    def grad(p):
        return {"E": 1e10 * np.exp(p["E"])}

    report = check_gradients(looked_up, grad, {"E": X.copy()})
    assert all(line.role != "wrong" for line in report.lines)


def test_what_writes_to_read_only_arrays_is_put_back(monkeypatch):
    """`np.add.at` writes to them, where its index leaves no axis: each name is tried for `g`."""
    monkeypatch.setattr(repairs, "MOST_TRIED", 3000)
    table, view, closed = X[0].copy(), X[1, ::-1].copy()[::-1], X[2].copy()
    closed.flags.writeable = False
    weights = {"e": X[3].copy()}
    kept = [table, view, view.base, closed, weights["e"]]
    before = [array.copy() for array in kept]

    def func(p):
        return np.sum(np.sin(p["e"][ROWS]) * Y[0, :5]) + np.sum(p["e"] * (table + view + closed))

    def none_near(p):
        g = table + view + closed
        np.add.at(g, ROWS, np.tanh(p["e"][ROWS] + 0.3) ** 3)
        return {"e": g}

    def flipped(p):
        g = table + view + closed
        np.add.at(g, ROWS, np.cos(p["e"][ROWS]) * np.flip(Y[0, :5]))
        return {"e": g}

    assert check_gradients(func, none_near, weights).verdict == "disagree"
    assert all(map(np.array_equal, kept, before))
    line = check_gradients(func, flipped, weights).lines[0]
    assert line.mended == 'np.add.at(g, ROWS, np.cos(p["e"][ROWS]) * Y[0, :5])'
    assert all(map(np.array_equal, kept, before))
    assert [array.flags.writeable for array in kept] == [True, True, True, False, True]


def test_more_than_can_be_put_back_is_not_tried(monkeypatch):
    monkeypatch.setattr(repairs, "MOST_BYTES", TABLE.nbytes)

    def grad(p):
        g = TABLE.copy()
        np.add.at(g, ROWS, np.cos(p["E"][ROWS]) * 2 * LOOKED_UP)
        return {"E": g}

    report = check_gradients(looked_up, grad, {"E": X.copy()})
    assert {line.role for line in report.lines} <= {"made", "changed", "from"}
    monkeypatch.undo()
    assert check_gradients(looked_up, grad, {"E": X.copy()}).lines[0].role == "wrong"


def test_a_name_that_was_copied_with_its_line_is_another_one_each_time():
    def grad(p):
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        gate = np.exp(-a)
        dz1 = p["W2"].T @ dz2 * (1 - gate * gate)
        return all_of(dz1, dz2, a)

    report = check_gradients(cost, grad, params())
    assert report.lines[0].mended == 'dz1 = p["W2"].T @ dz2 * (1 - a * a)'


class Wave:
    """A layer whose backward pass runs its forward pass, and takes its output for its input."""

    def forward(self, w):
        z = 1.5 * w + X[0]
        self.out = np.sin(z)
        return np.sum(self.out)

    def grad(self, w):
        self.forward(w)
        return 1.5 * np.cos(self.out)


def test_what_func_runs_too_is_right_unless_J_stays_what_it_is():
    """With `self.out = z` the gradient would be right, and J another one."""
    layer = Wave()
    report = check_gradients(layer.forward, layer.grad, Y[0])
    assert report.lines
    assert not any(line.mended for line in report.lines)


def test_ctrl_c_puts_everything_back():
    calls = []

    def grad(p):
        calls.append(None)
        found = hopeless(p)
        if calls[5:]:  # in the midst of what is tried
            raise KeyboardInterrupt
        return found

    code = hopeless.__code__
    calls += [None] * 2
    with pytest.raises(KeyboardInterrupt):
        check_gradients(cost, grad, params())
    assert hopeless.__code__ is code
    assert X.flags.writeable


def test_lines_that_only_changed_code_reaches_are_not_covered():
    def grad(p):
        sign = 1
        if sign == 0:
            sign = 7
        return {name: sign * each for name, each in hopeless(p).items()}

    def tracer(frame, event, argument):
        if frame.f_code.co_filename == __file__ and event == "line":
            seen.add(frame.f_lineno)
        return tracer

    seen = set()
    tracer.__module__ = "coverage.tracer"  # that of a debugger would stop it
    was = sys.gettrace()
    sys.settrace(tracer)
    try:
        check_gradients(cost, grad, params())
    finally:
        sys.settrace(was)
    first = grad.__code__.co_firstlineno
    assert {first + 1, first + 2, first + 4} <= seen
    assert first + 3 not in seen


def test_another_thread_runs_what_the_user_wrote():
    right = subtracted(params())["W1"]
    seen = []

    def grad(p):
        thread = threading.Thread(target=lambda: seen.append(subtracted(params())["W1"]))
        thread.start()
        thread.join()
        return subtracted(p)

    report = check_gradients(cost, grad, params())
    assert report.lines[0].role == "wrong"
    assert len(seen) > 5
    assert all(np.array_equal(one, right) for one in seen)


def test_threads_that_check_the_same_gradient_change_nothing():
    code = subtracted.__code__
    threads = 4
    with ThreadPoolExecutor(threads) as pool:
        reports = [*pool.map(lambda _: check_gradients(cost, subtracted, params()), range(threads))]
    assert all(report.lines == reports[0].lines for report in reports)
    assert all(line.role != "wrong" for line in reports[0].lines)
    assert subtracted.__code__ is code
    assert X.flags.writeable


def test_what_another_thread_prints_meanwhile_is_printed(capsys):
    def grad(p):
        thread = threading.Thread(target=print, args=["from beside"])
        thread.start()
        thread.join()
        return hopeless(p)

    check_gradients(cost, grad, params())
    # Without changes it is called less than 30 times, as the next test has it.
    assert capsys.readouterr().out.count("from beside") > 60


def test_what_grad_prints_and_logs_is_not_told_a_thousand_times(capsys, caplog):
    def grad(p):
        print("grad was called")
        print("grad was called", file=sys.stderr)
        logging.getLogger("grad").warning("grad was called")
        return hopeless(p)

    check_gradients(cost, grad, params())
    told = capsys.readouterr()
    assert told.out.count("\n") == told.err.count("\n") == len(caplog.records) < 30
    assert logging.root.manager.disable == logging.NOTSET


def test_a_change_that_ends_the_process_ends_nothing():
    def grad(p):
        ready = 1
        if ready != 1:
            sys.exit("not ready")
        return hopeless(p)

    report = check_gradients(cost, grad, params())
    assert report.verdict == "disagree"
    assert report.lines


def while_there_are(p):
    a, out = forward(p)
    dz2, n = (out - Y) / Y.size, 0
    while n < 3:
        n += 1
    dz1 = p["W2"].T @ dz2 * (1 + a**2)
    return all_of(dz1, dz2, a)


def until_there_are(p):
    a, out = forward(p)
    dz2 = (out - Y) / Y.size
    for n in itertools.count():
        if n == 3:
            break
    dz1 = p["W2"].T @ dz2 * (1 + a**2)
    return all_of(dz1, dz2, a)


@pytest.mark.parametrize("grad", [while_there_are, until_there_are])
def test_a_loop_that_may_not_end_is_left_alone(grad):
    report = check_gradients(cost, grad, params())
    assert "wrong" not in {line.role for line in report.lines}


def test_a_large_number_is_not_taken_for_a_count():
    rounds = []

    def grad(p):
        seed, count = 10**12, X.shape[1]
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        dz1 = p["W2"].T @ dz2 * (1 - a**3 * 1.3)
        found = all_of(dz1, dz2, a)
        for n in range(count):
            rounds.append(seed - n)
        return found

    report = check_gradients(cost, grad, params())  # or it would never end
    assert len(report.lines) > 1


def test_a_debugger_does_not_stop_in_what_is_tried():
    grad, stopped = subtracted, []

    def stop(frame, event, arg):
        stopped.append(frame.f_code.co_name)

    before = sys.gettrace()
    sys.settrace(stop)
    try:
        report = check_gradients(cost, grad, params())
    finally:
        sys.settrace(before)
    assert "wrong" not in {line.role for line in report.lines}
    assert stopped.count("subtracted") < 30


def test_where_someone_may_stop_nothing_is_tried():
    def grad(p):
        a, out = forward(p)
        dz2 = (out - Y) / Y.size
        if len(p) > 4:
            breakpoint()
        dz1 = p["W2"].T @ dz2 * (1 + a**2)
        return all_of(dz1, dz2, a)

    report = check_gradients(cost, grad, params())
    assert "wrong" not in {line.role for line in report.lines}


class Tensor:
    """Something that can be written to, and can't be closed."""

    def __dlpack__(self):
        raise BufferError


def test_nothing_is_tried_where_arrays_are_not_numpys():
    tensor = Tensor()

    def grad(p):
        assert tensor
        return subtracted(p)

    report = check_gradients(cost, grad, params())
    assert "wrong" not in {line.role for line in report.lines}


def test_a_gradient_that_is_another_each_time_is_not_tried():
    calls = []

    def grad(p):
        calls.append(None)
        return {name: value * len(calls) for name, value in subtracted(p).items()}

    report = check_gradients(cost, grad, params())
    assert len(calls) < 30
    assert "wrong" not in {line.role for line in report.lines}


def test_no_more_is_tried_than_a_limit_says(monkeypatch):
    tried = []
    known = repairs._tried
    monkeypatch.setattr(repairs, "MOST_TRIED", 40)
    monkeypatch.setattr(repairs, "_tried", lambda *given: tried.append(1) or known(*given))
    check_gradients(cost, hopeless, params())
    assert len(tried) == 40
