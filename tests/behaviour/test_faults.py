"""Bad input, row by row: the error that each must give, and that nothing of the user's changes.

What a func does that is no error, and hooks, names and arrays that are odd, are in
test_faults_func.py; what the plugin meets is in test_faults_plugin.py.
"""

import decimal
import fractions
import functools
import math
import os
import re
import sys
import threading
import warnings

import numpy as np
import pytest

from pytest_gradcheck import check_gradients as check


def J(p):
    return float(sum(np.sum(np.asarray(v) ** 2) for v in p.values()))


def g(p):
    return {k: 2 * v for k, v in p.items()}


def P():
    return {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([0.5, -0.5])}


def vec(n=3):
    return np.arange(1.0, n + 1)


def q(x):
    return float(x @ x)


def dq(x):
    return 2 * x


INPUTS = [
    # gradients that do not match
    (
        "gradient lacks a block",
        lambda: check(J, {"W": np.ones((2, 2))}, P()),
        ValueError,
        "the gradient does not match params: it has no b",
    ),
    (
        "gradient has a block too many",
        lambda: check(J, {**g(P()), "c": np.ones(1)}, P()),
        ValueError,
        "the gradient does not match params: params has no c",
    ),
    (
        "gradient has names with d",
        lambda: check(J, {"d" + k: v for k, v in g(P()).items()}, P()),
        ValueError,
        "the gradient does not match params: it has no W, b and params has no dW, db; give it params' names, for instance {name: grads['d' + name] for name in params}",
    ),
    (
        "gradient transposed shape",
        lambda: check(
            lambda p: float(p["W"].sum()), {"W": np.ones((3, 2))}, {"W": np.ones((2, 3))}
        ),
        ValueError,
        "the gradient of W has shape (3, 2), but params has (2, 3); shapes must be equal, nothing is broadcast or transposed",
    ),
    (
        "gradient flat",
        lambda: check(J, np.ones(6), P()),
        ValueError,
        "the gradient does not match params: it is one array or number where params has W, b: return each by name",
    ),
    (
        "gradient a scalar for a vector",
        lambda: check(q, 2.0, vec()),
        ValueError,
        "the gradient of params has shape (), but params has (3,); shapes must be equal, nothing is broadcast or transposed",
    ),
    (
        "gradient a vector for a scalar",
        lambda: check(lambda x: x * x, np.array([2.0]), 1.0),
        ValueError,
        "the gradient of params has shape (1,), but params has (); shapes must be equal, nothing is broadcast or transposed",
    ),
    (
        "gradient with an axis more",
        lambda: check(q, np.ones((3, 1)), vec()),
        ValueError,
        "the gradient of params has shape (3, 1), but params has (3,); shapes must be equal, nothing is broadcast or transposed",
    ),
    (
        "gradient shorter",
        lambda: check(q, np.ones(2), vec()),
        ValueError,
        "the gradient of params has shape (2,), but params has (3,); shapes must be equal, nothing is broadcast or transposed",
    ),
    (
        "gradient longer list",
        lambda: check(lambda p: q(p[0]), [vec(), vec()], [vec()]),
        ValueError,
        "the gradient does not match params: params has no params[1]",
    ),
    (
        "gradient shorter list",
        lambda: check(lambda p: q(p[0]) + q(p[1]), [vec()], [vec(), vec()]),
        ValueError,
        "the gradient does not match params: it has no params[1]",
    ),
    (
        "gradient dict for a list",
        lambda: check(lambda p: q(p[0]), {"0": vec()}, [vec()]),
        ValueError,
        "the gradient does not match params: it has names where params is a list or tuple: return a list in that order",
    ),
    (
        "gradient None",
        lambda: check(q, None, vec()),
        TypeError,
        "the gradient is None; it must have params' structure (is a return missing?)",
    ),
    (
        "gradient a block None",
        lambda: check(J, {"W": None, "b": np.ones(2)}, P()),
        ValueError,
        "the gradient does not match params: it has no W",
    ),
    (
        "gradient a string",
        lambda: check(q, "2x", vec()),
        TypeError,
        "the gradient of params is str; it must be an array of shape (3,)",
    ),
    (
        "gradient of strings",
        lambda: check(q, np.array(["a", "b", "c"]), vec()),
        TypeError,
        "the gradient of params has dtype <U1; it must be numeric",
    ),
    (
        "gradient of objects",
        lambda: check(q, np.array([1, 2, 3], dtype=object), vec()),
        TypeError,
        "the gradient of params has dtype object; it must be numeric",
    ),
    (
        "gradient of booleans",
        lambda: check(q, np.array([True, False, True]), vec()),
        TypeError,
        "the gradient of params has dtype bool; it must be numeric",
    ),
    (
        "gradient complex",
        lambda: check(q, 2j * vec(), vec()),
        TypeError,
        "the gradient of params is complex (complex128), but the parameter is real; pass its real part if that is the gradient",
    ),
    (
        "gradient masked",
        lambda: check(q, np.ma.masked_array(2 * vec(), [0, 1, 0]), vec()),
        TypeError,
        "the gradient of params is MaskedArray; it must be an array of shape (3,)",
    ),
    (
        "gradient of dates",
        lambda: check(q, np.array([1, 2, 3], dtype="M8[s]"), vec()),
        TypeError,
        "the gradient of params has dtype datetime64[s]; it must be numeric",
    ),
    (
        "gradient ragged list",
        lambda: check(q, [1.0, [2.0], 3.0], vec()),
        ValueError,
        "the gradient does not match params: it is a list or tuple where params is an array or a number: return an array",
    ),
    (
        "gradient callable returns None",
        lambda: check(q, lambda x: None, vec()),
        TypeError,
        "the gradient is None; it must have params' structure (is a return missing?)",
    ),
    (
        "gradient callable returns a tuple with J",
        lambda: check(q, lambda x: (q(x), 2 * x), vec()),
        TypeError,
        "the gradient is a tuple of a number and something else; if a function returns (J, gradient), pass it as func, with grad=True",
    ),
    (
        "gradient callable with no argument",
        lambda: check(q, lambda: 2 * vec(), vec()),
        TypeError,
        " takes 0 positional arguments but 1 was given",
    ),
    (
        "gradient callable raises",
        lambda: check(q, lambda x: 1 / 0, vec()),
        ZeroDivisionError,
        "division by zero",
    ),
    (
        "gradient writes to its input",
        lambda: check(q, lambda x: np.multiply(x, 2, out=x), vec()),
        ValueError,
        "grad changed its parameters: params is not what it was before the call; copy what is to be changed, or pass copy=True for a fresh copy in each call (your own arrays are as they were)",
    ),
    (
        "gradient a generator",
        lambda: check(q, (v for v in vec()), vec()),
        TypeError,
        "the gradient of params is generator; it must be an array of shape (3,)",
    ),
    (
        "gradient a set",
        lambda: check(q, {1.0, 2.0, 3.0}, vec()),
        TypeError,
        "the gradient of params is set; it must be an array of shape (3,)",
    ),
    (
        "grad=True but func returns J alone",
        lambda: check(q, True, vec()),
        TypeError,
        "func returned float, but has_aux=True or grad=True says that it returns a tuple whose first item is J",
    ),
    (
        "grad=False",
        lambda: check(q, False, vec()),
        TypeError,
        "the gradient of params is bool; it must be an array of shape (3,)",
    ),
    (
        "grad=True, func returns one-tuple",
        lambda: check(lambda x: (q(x),), True, vec()),
        TypeError,
        "func returned tuple, but has_aux=True or grad=True says that it returns a tuple whose first item is J",
    ),
    # parameters that can't be differenced
    (
        "params None",
        lambda: check(q, dq, None),
        TypeError,
        "params is missing: pass params, or points=[params, ...]",
    ),
    (
        "params a string",
        lambda: check(q, dq, "abc"),
        TypeError,
        "params is str, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses",
    ),
    (
        "params bytes",
        lambda: check(q, dq, b"abc"),
        TypeError,
        "params is bytes, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses",
    ),
    (
        "params boolean",
        lambda: check(q, dq, True),
        TypeError,
        "params is bool, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses",
    ),
    (
        "params boolean array",
        lambda: check(q, dq, np.array([True])),
        TypeError,
        "params is ndarray of dtype bool, which has no small steps to take; pass floating-point values (x.astype(float))",
    ),
    (
        "params integers",
        lambda: check(q, dq, np.arange(3)),
        TypeError,
        "params is ndarray of dtype int64, which has no small steps to take; pass floating-point values (x.astype(float))",
    ),
    (
        "params integer in a dict",
        lambda: check(J, g, {"a": 3}),
        TypeError,
        "a is int, which has no small steps to take; pass floating-point values (3.0), or leave the block out with skip='a'",
    ),
    (
        "params objects",
        lambda: check(q, dq, np.array([1.0, 2.0], dtype=object)),
        TypeError,
        "params is ndarray of dtype object, which has no small steps to take; pass floating-point values (x.astype(float), or list(x) of an array of arrays)",
    ),
    (
        "params masked",
        lambda: check(q, dq, np.ma.masked_array(vec(), [0, 1, 0])),
        TypeError,
        "params is a masked array: what a masked entry's gradient is, is not defined; pass the data without the mask",
    ),
    (
        "params strings array",
        lambda: check(q, dq, np.array(["a"])),
        TypeError,
        "params is ndarray of dtype <U1, which has no small steps to take; pass floating-point values (x.astype(float))",
    ),
    (
        "params dates",
        lambda: check(q, dq, np.array([1], dtype="M8[s]")),
        TypeError,
        "params is ndarray of dtype datetime64[s], which has no small steps to take; pass floating-point values (x.astype(float))",
    ),
    (
        "params structured array",
        lambda: check(q, dq, np.zeros(2, dtype=[("a", float)])),
        TypeError,
        "params is ndarray of dtype [('a', '<f8')], which has no small steps to take; pass floating-point values ({name: x[name] for name in x.dtype.names})",
    ),
    (
        "params a set",
        lambda: check(q, dq, {1.0, 2.0}),
        TypeError,
        "params is set, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses",
    ),
    (
        "params a generator",
        lambda: check(q, dq, (x for x in [1.0])),
        TypeError,
        "params is generator, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses; pass list(params)",
    ),
    (
        "params a function",
        lambda: check(q, dq, len),
        TypeError,
        "params is builtin_function_or_method, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses",
    ),
    (
        "params a class",
        lambda: check(q, dq, np.ndarray),
        TypeError,
        "params is type, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses",
    ),
    (
        "params NaN",
        lambda: check(q, dq, np.array([1.0, math.nan])),
        ValueError,
        "params must be finite to be differenced: params[1] is nan",
    ),
    (
        "params infinite",
        lambda: check(J, g, {"W": np.array([[1.0, -math.inf]])}),
        ValueError,
        "params must be finite to be differenced: W[0, 1] is -inf",
    ),
    (
        "params NaN number",
        lambda: check(lambda x: x * x, lambda x: 2 * x, math.nan),
        ValueError,
        "params must be finite to be differenced: params is nan",
    ),
    (
        "params too large to step",
        lambda: check(q, dq, np.array([1e308, 1.0])),
        ValueError,
        "func returned inf at params; J must be finite to be differenced",
    ),
    (
        "params recursive list",
        lambda: (lambda a: (a.append(a), check(q, dq, a)))([vec()]),
        ValueError,
        "params[1] holds itself: a structure of parameters must be a tree",
    ),
    (
        "params recursive dict",
        lambda: (lambda a: (a.update(me=a), check(q, dq, a)))({"x": vec()}),
        ValueError,
        "me holds itself: a structure of parameters must be a tree",
    ),
    (
        "params very deep",
        lambda: check(q, dq, functools.reduce(lambda a, _: [a], range(5000), vec())),
        ValueError,
        "params is nested too deeply to be taken apart, more than 200 containers; pass its arrays in one dict",
    ),
    (
        "params string in a dict",
        lambda: check(J, g, {"W": vec(), "name": "net"}),
        TypeError,
        "name is str, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses; pass other things in args=, or leave them out with skip='name'",
    ),
    (
        "params functions among arrays",
        lambda: check(
            J, g, {"W": vec(), "act": math.tanh, "old": "x", "out": math.exp}, skip="old"
        ),
        TypeError,
        "act is builtin_function_or_method, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses; pass other things in args=, or leave them out with skip=['old', 'act', 'out']",
    ),
    (
        "params fraction",
        lambda: check(q, dq, fractions.Fraction(1, 2)),
        TypeError,
        "params is Fraction, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses",
    ),
    (
        "params decimal",
        lambda: check(q, dq, decimal.Decimal("1.5")),
        TypeError,
        "params is Decimal, but a parameter is an array or a number, in dicts, lists, tuples and dataclasses",
    ),
    (
        "params integer numpy scalar",
        lambda: check(q, dq, np.int64(3)),
        TypeError,
        "params is int64 of dtype int64, which has no small steps to take; pass floating-point values (x.astype(float))",
    ),
    (
        "in_place read-only",
        lambda: (
            lambda x: (
                x.setflags(write=False),
                check(lambda: q(x), lambda: 2 * x, x, in_place=True),
            )
        )(vec()),
        ValueError,
        "in_place=True: params is read-only; pass writable arrays",
    ),
    (
        "in_place a number",
        lambda: check(lambda: 1.0, lambda: 1.0, 2.0, in_place=True),
        TypeError,
        "in_place=True: params is float, which can't be changed in place; pass arrays that can, or a func that takes params",
    ),
    (
        "in_place overlapping",
        lambda: (
            lambda x: check(
                lambda: q(x), lambda: [2 * x[:2], 2 * x[1:]], [x[:2], x[1:]], in_place=True
            )
        )(vec()),
        ValueError,
        "in_place=True: params[1] and params[0] share memory, so one can't be perturbed without the other; pass each array once",
    ),
    (
        "in_place twice the same",
        lambda: (lambda x: check(lambda: q(x), lambda: [2 * x, 2 * x], [x, x], in_place=True))(
            vec()
        ),
        ValueError,
        "in_place=True: params[1] and params[0] share memory, so one can't be perturbed without the other; pass each array once",
    ),
    (
        "in_place with workers",
        lambda: (lambda x: check(lambda: q(x), lambda: 2 * x, x, in_place=True, workers=2))(vec()),
        ValueError,
        "in_place=True: workers can't each perturb the one set of arrays that func reads; pass a func that takes params, or leave out workers",
    ),
    (
        "in_place with vectorized",
        lambda: (lambda x: check(lambda: q(x), lambda: 2 * x, x, in_place=True, vectorized=True))(
            vec()
        ),
        ValueError,
        "in_place=True: the arrays that func reads have no batch axis; pass a func that takes params, or leave out vectorized",
    ),
    (
        "in_place, func takes params",
        lambda: (lambda x: check(q, dq, x, in_place=True))(vec()),
        TypeError,
        "q() missing 1 required positional argument: 'x'",
    ),
    # functions that do not compute J
    (
        "func not callable",
        lambda: check(3.0, dq, vec()),
        TypeError,
        "func must be callable, func(params, *args) -> J, but is float",
    ),
    (
        "func and grad are arrays",
        lambda: check(vec(), vec(), vec()),
        TypeError,
        "func must be callable, func(params, *args) -> J, but is ndarray; to compare two gradients that you have, call compare_gradients(analytic, reference)",
    ),
    (
        "func returns None",
        lambda: check(lambda x: None, dq, vec()),
        TypeError,
        "func returned None; it must return the number J (is a return missing?)",
    ),
    (
        "func returns a tuple",
        lambda: check(lambda x: (q(x), "cache"), dq, vec()),
        TypeError,
        "func returned a tuple of 2; pass has_aux=True if it returns (J, anything), or grad=True if it returns (J, gradient)",
    ),
    (
        "func returns a vector",
        lambda: check(lambda x: x, dq, vec()),
        ValueError,
        "func returned an array of shape (3,); J must be one number: return its sum or mean; the loss of each sample has a Jacobian, assert_jacobian_close(func, jac, params)",
    ),
    (
        "func returns an empty array",
        lambda: check(lambda x: x[:0], dq, vec()),
        ValueError,
        "func returned an array of shape (0,); J must be one number: return its sum or mean; the loss of each sample has a Jacobian, assert_jacobian_close(func, jac, params)",
    ),
    (
        "func returns a string",
        lambda: check(lambda x: "1.0", dq, vec()),
        TypeError,
        "func returned str ('1.0'); J must be a number",
    ),
    (
        "func returns a boolean",
        lambda: check(lambda x: True, dq, vec()),
        TypeError,
        "func returned bool (True); J must be a number",
    ),
    (
        "func returns complex",
        lambda: check(lambda x: 1j * q(x), dq, vec()),
        TypeError,
        "func returned complex128; J must be real: return its real part",
    ),
    (
        "func returns a dict",
        lambda: check(lambda x: {"loss": q(x)}, dq, vec()),
        TypeError,
        "func returned dict ({'loss': 14.0}); J must be a number",
    ),
    (
        "func returns NaN",
        lambda: check(lambda x: math.nan, dq, vec()),
        ValueError,
        "func returned nan at params; J must be finite to be differenced",
    ),
    (
        "func returns infinity",
        lambda: check(lambda x: math.inf, dq, vec()),
        ValueError,
        "func returned inf at params; J must be finite to be differenced",
    ),
    (
        "func returns an object",
        lambda: check(lambda x: object(), dq, vec()),
        TypeError,
        "func returned object (<object object at",
    ),
    (
        "func returns a generator",
        lambda: check(lambda x: (v for v in x), dq, vec()),
        TypeError,
        "func returned generator (<generator object",
    ),
    ("func raises", lambda: check(lambda x: {}["missing"], dq, vec()), KeyError, "'missing'"),
    (
        "func takes no argument",
        lambda: check(lambda: 1.0, dq, vec()),
        TypeError,
        " takes 0 positional arguments but 1 was given",
    ),
    (
        "func takes two",
        lambda: check(lambda x, y: q(x), dq, vec()),
        TypeError,
        " missing 1 required positional argument: 'y'",
    ),
    (
        "func with args missing",
        lambda: check(lambda x, y: q(x) + y, dq, vec(), args=()),
        TypeError,
        " missing 1 required positional argument: 'y'",
    ),
    (
        "args not a tuple",
        lambda: check(lambda x, y: q(x) + y, lambda x, y: 2 * x, vec(), args=3.0),
        TypeError,
        "args must be a tuple of what follows params, not float",
    ),
    (
        "func writes",
        lambda: check(lambda x: q(np.multiply(x, 1.5, out=x)), dq, vec()),
        ValueError,
        "func changed its parameters: params is not what it was before the call; copy what is to be changed, or pass copy=True for a fresh copy in each call (your own arrays are as they were)",
    ),
    (
        "func sorts its input",
        lambda: check(lambda x: (x.sort(), q(x))[1], dq, vec()[::-1].copy()),
        ValueError,
        "func changed its parameters: params is not what it was before the call; copy what is to be changed, or pass copy=True for a fresh copy in each call (your own arrays are as they were)",
    ),
    (
        "func pops a key",
        lambda: check(lambda p: float(p.pop("W").sum()), g, P()),
        ValueError,
        "func changed its parameters: W is not what it was before the call; copy what is to be changed, or pass copy=True for a fresh copy in each call (your own arrays are as they were)",
    ),
    (
        "func adds a key",
        lambda: check(lambda p: (p.update(z=1.0), J(p))[1], g, P()),
        ValueError,
        "func changed its parameters: z is not what it was before the call; copy what is to be changed, or pass copy=True for a fresh copy in each call (your own arrays are as they were)",
    ),
    (
        "func replaces a block",
        lambda: check(lambda p: (p.update(W=p["W"] * 2), J(p))[1], g, P()),
        ValueError,
        "func changed its parameters: W is not what it was before the call; copy what is to be changed, or pass copy=True for a fresh copy in each call (your own arrays are as they were)",
    ),
    (
        "has_aux but J alone",
        lambda: check(q, dq, vec(), has_aux=True),
        TypeError,
        "func returned float, but has_aux=True or grad=True says that it returns a tuple whose first item is J",
    ),
    (
        "has_aux with an empty tuple",
        lambda: check(lambda x: (), dq, vec(), has_aux=True),
        TypeError,
        "func returned tuple, but has_aux=True or grad=True says that it returns a tuple whose first item is J",
    ),
    ("func exits", lambda: check(lambda x: sys.exit(3), dq, vec()), SystemExit, "3"),
]
"""(what is wrong, the call, the error's type, a part of its text)."""


@pytest.mark.parametrize(
    ("call", "error", "text"), [row[1:] for row in INPUTS], ids=[row[0] for row in INPUTS]
)
def test_input(call, error, text):
    state = np.random.get_state()[1].copy()
    with np.errstate(all="ignore"), pytest.raises(error) as caught:
        call()
    assert text in str(caught.value)
    np.testing.assert_array_equal(np.random.get_state()[1], state)


OPTIONS = [
    ({"rtol": -1}, ValueError, "gradcheck: rtol must be a positive finite number, not -1"),
    ({"rtol": math.nan}, ValueError, "gradcheck: rtol must be a positive finite number, not nan"),
    ({"rtol": "x"}, TypeError, "gradcheck: rtol must be a positive finite number, not 'x'"),
    ({"rtol": True}, TypeError, "gradcheck: rtol must be a positive finite number, not True"),
    ({"rtol": math.inf}, ValueError, "gradcheck: rtol must be a positive finite number, not inf"),
    (
        {"rtol": 2.0},
        ValueError,
        "gradcheck: rtol must be below 1, or no gradient would be wrong, not 2.0",
    ),
    (
        {"rtol": vec()},
        TypeError,
        "gradcheck: rtol must be a positive finite number, not array([1., 2., 3.])",
    ),
    ({"atol": -1}, ValueError, "gradcheck: atol must be a finite number, 0 or more, not -1"),
    ({"atol": math.nan}, ValueError, "gradcheck: atol must be a finite number, 0 or more, not nan"),
    ({"atol": [1]}, TypeError, "gradcheck: atol must be a finite number, 0 or more, not [1]"),
    ({"eps": 0}, ValueError, "gradcheck: eps must be a positive finite number, not 0"),
    ({"eps": -1e-6}, ValueError, "gradcheck: eps must be a positive finite number, not -1e-06"),
    ({"eps": math.inf}, ValueError, "gradcheck: eps must be a positive finite number, not inf"),
    ({"eps": "small"}, TypeError, "gradcheck: eps must be a positive finite number, not 'small'"),
    (
        {"eps": 1e-300},
        ValueError,
        "eps=1e-300 is too small for W[0, 0] = 1.0, which does not change by it; pass a larger eps, or none: a step is then chosen for each parameter",
    ),
    ({"eps": 1j}, TypeError, "gradcheck: eps must be a positive finite number, not 1j"),
    ({"threshold": 0}, ValueError, "gradcheck: threshold must be a positive finite number, not 0"),
    (
        {"threshold": -1},
        ValueError,
        "gradcheck: threshold must be a positive finite number, not -1",
    ),
    (
        {"threshold": math.nan},
        ValueError,
        "gradcheck: threshold must be a positive finite number, not nan",
    ),
    (
        {"scheme": "centred"},
        ValueError,
        "gradcheck: scheme must be one of 'central', 'central4', 'central6', 'forward', 'backward', 'forward2', 'backward2', 'complex', not 'centred'",
    ),
    (
        {"scheme": 2},
        ValueError,
        "gradcheck: scheme must be one of 'central', 'central4', 'central6', 'forward', 'backward', 'forward2', 'backward2', 'complex', not 2",
    ),
    ({"max_evals": 0}, ValueError, "gradcheck: max_evals must be a whole number, 8 or more, not 0"),
    (
        {"max_evals": -5},
        ValueError,
        "gradcheck: max_evals must be a whole number, 8 or more, not -5",
    ),
    (
        {"max_evals": 10.5},
        ValueError,
        "gradcheck: max_evals must be a whole number, 8 or more, not 10.5",
    ),
    ({"max_evals": 1}, ValueError, "gradcheck: max_evals must be a whole number, 8 or more, not 1"),
    (
        {"max_evals": True},
        TypeError,
        "gradcheck: max_evals must be a whole number, 8 or more, not True",
    ),
    ({"seed": -1}, ValueError, "gradcheck: seed must be a whole number, 0 or more, not -1"),
    ({"seed": 1.5}, ValueError, "gradcheck: seed must be a whole number, 0 or more, not 1.5"),
    ({"seed": "a"}, TypeError, "gradcheck: seed must be a whole number, 0 or more, not 'a'"),
    (
        {"seed": np.random.default_rng(0)},
        TypeError,
        "gradcheck: seed must be a whole number, 0 or more, not Generator(PCG64)",
    ),
    ({"only": "V*"}, ValueError, "'V*' matches no block of params; they are W, b"),
    ({"skip": "V*"}, ValueError, "'V*' matches no block of params; they are W, b"),
    ({"only": 3}, TypeError, "gradcheck: only must be a glob pattern or a list of them, not 3"),
    (
        {"nondet_tol": -1},
        ValueError,
        "gradcheck: nondet_tol must be a finite number, 0 or more, not -1",
    ),
    (
        {"nondet_tol": math.nan},
        ValueError,
        "gradcheck: nondet_tol must be a finite number, 0 or more, not nan",
    ),
    (
        {"inconclusive": "ignore"},
        ValueError,
        "gradcheck: inconclusive must be one of 'fail', 'warn', 'pass', not 'ignore'",
    ),
    ({"kinks": "warn"}, ValueError, "gradcheck: kinks must be one of 'pass', 'fail', not 'warn'"),
    (
        {"max_report": -1},
        ValueError,
        "gradcheck: max_report must be a whole number, 0 or more, not -1",
    ),
    (
        {"max_report": 2.5},
        ValueError,
        "gradcheck: max_report must be a whole number, 0 or more, not 2.5",
    ),
    (
        {"workers": 0},
        ValueError,
        "gradcheck: workers must be a number of threads (-1: one for each processor), a concurrent.futures executor, or a callable like map, not 0",
    ),
    (
        {"workers": "two"},
        TypeError,
        "gradcheck: workers must be a number of threads (-1: one for each processor), a concurrent.futures executor, or a callable like map, not 'two'",
    ),
    (
        {"workers": 2.5},
        ValueError,
        "gradcheck: workers must be a number of threads (-1: one for each processor), a concurrent.futures executor, or a callable like map, not 2.5",
    ),
    (
        {"workers": -2},
        ValueError,
        "gradcheck: workers must be a number of threads (-1: one for each processor), a concurrent.futures executor, or a callable like map, not -2",
    ),
    (
        {"workers": object()},
        TypeError,
        "gradcheck: workers must be a number of threads (-1: one for each processor), a concurrent.futures executor, or a callable like map, not ",
    ),
    (
        {"vectorized": "yes"},
        TypeError,
        "gradcheck: vectorized must be True, False or \"vmap\", not 'yes'",
    ),
    (
        {"vectorized": "vmap"},
        ValueError,
        'vectorized="vmap": params has no array of torch or JAX, whose vmap it takes; pass vectorized=True and a func that takes a leading axis on every array',
    ),
    (
        {"vectorized": True},
        ValueError,
        "vectorized=True: func returned shape () for a batch of 1; it must return shape (1,): return one J for each entry of the leading axis of its parameters, for instance a sum over all other axes; a func of single points needs no vectorized",
    ),
    (
        {"scheme": "complex", "workers": 2},
        ValueError,
        'scheme="complex" evaluates one parameter after the other; leave out workers and vectorized, or use another scheme',
    ),
    (
        {"scheme": "complex"},
        TypeError,
        'scheme="complex": func returned float64 of shape () for complex parameters; it must return one complex number (something in it drops the imaginary part), or use "central"',
    ),
    (
        {"rtoll": 1},
        TypeError,
        "check_gradients: no option named rtoll; did you mean rtol?",
    ),
    (
        {"colour": 1},
        TypeError,
        "check_gradients: no option named colour; the options are points, args, ",
    ),
]
"""(options, the error's type, a part of its text)."""


@pytest.mark.parametrize(
    ("options", "error", "text"),
    OPTIONS,
    ids=[re.sub(r" at 0x\w+", "", str(row[0])) for row in OPTIONS],
)
def test_option(options, error, text):
    params = P()
    before = {name: value.tobytes() for name, value in params.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", np.exceptions.ComplexWarning)  # J's float() of a complex
        with pytest.raises(error) as caught:
            check(J, g, params, **options)
    assert text in str(caught.value)
    assert {name: value.tobytes() for name, value in params.items()} == before


# What a func does at its third evaluation, the first beside params


def at_third(action):
    calls = []

    def func(x):
        calls.append(1)
        if len(calls) >= 3:
            return action(x)
        return q(x)

    return func


def stop(error):
    def raises(x):
        raise error

    return raises


BEHAVIOURS = [
    ("Ctrl-C", stop(KeyboardInterrupt()), KeyboardInterrupt, ""),
    ("an exit", stop(SystemExit(3)), SystemExit, "3"),
    ("a generator's end", stop(GeneratorExit()), GeneratorExit, ""),
    ("no memory", stop(MemoryError("8 GiB")), MemoryError, "8 GiB"),
    ("endless recursion", stop(RecursionError("too deep")), RecursionError, "too deep"),
    ("an error of the user's", stop(RuntimeError("no data")), RuntimeError, "no data"),
    ("a failed assertion", stop(AssertionError("shape")), AssertionError, "shape"),
    ("a full disk", stop(OSError(28, "No space left on device")), OSError, "No space left"),
    ("a skip", stop(pytest.skip.Exception("no GPU")), pytest.skip.Exception, "no GPU"),
    ("a string", lambda x: "14.0", TypeError, "func returned str ('14.0'); J must be a number"),
    ("nothing", lambda x: None, TypeError, "func returned None"),
    ("a tuple", lambda x: (q(x), 1), TypeError, "func returned a tuple of 2"),
    ("a vector", lambda x: x, ValueError, "func returned an array of shape (3,)"),
    ("a boolean", lambda x: True, TypeError, "func returned bool (True)"),
    ("a date", lambda x: np.datetime64("2026-01-01"), TypeError, "J must be a number"),
]
"""(what it does, how, the error's type, a part of its text)."""


@pytest.mark.parametrize("how", [{}, {"in_place": True}, {"copy": True}, {"workers": 2}])
@pytest.mark.parametrize(
    ("action", "error", "text"), [row[1:] for row in BEHAVIOURS], ids=[r[0] for r in BEHAVIOURS]
)
def test_behaviour(action, error, text, how):
    x = np.array([1.0, -0.0, 3.0])
    before = x.tobytes()
    func = at_third(action)
    called = (lambda: func(x)) if how.get("in_place") else func
    with pytest.raises(error) as caught:
        check(called, dq(x), x, **how)
    assert text in str(caught.value)
    assert x.tobytes() == before


# What is unusual and no fault


def memory_mapped(folder):
    mapped = np.memmap(folder / "theta", dtype=float, mode="w+", shape=(3,))
    mapped[:] = vec()
    mapped.flush()
    return mapped


class Tagged(np.ndarray):
    pass


ARRAYS = {
    "memory-mapped": memory_mapped,
    "read-only": lambda _: np.broadcast_to(np.array([1.0, 2.0, 3.0]), (3,)),
    "broadcast": lambda _: np.broadcast_to(1.5, (3,)),
    "reversed": lambda _: vec()[::-1],
    "strided": lambda _: vec(6)[::2],
    "big-endian": lambda _: vec().astype(">f8"),
    "a subclass": lambda _: vec().view(Tagged),
    "a matrix row": lambda _: np.arange(9.0).reshape(3, 3)[1],
    "unaligned": lambda _: np.frombuffer(b"x" + vec().tobytes(), dtype=np.float64, offset=1),
    "longdouble": lambda _: vec().astype(np.longdouble),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_array(name, tmp_path):
    x = ARRAYS[name](tmp_path)
    before, flags = np.array(x).tobytes(), x.flags.writeable
    kinds = set()

    def func(theta):
        kinds.add(type(theta))
        return (theta * theta).sum()

    assert check(func, dq, x).verdict == "agree"
    wrong = np.array(dq(x))
    wrong[1] *= 1.01
    assert [entry.index for entry in check(func, wrong, x).worst] == [(1,)]
    assert kinds == {type(x)}
    assert (np.array(x).tobytes(), x.flags.writeable) == (before, flags)


def test_what_func_keeps_prints_starts_and_draws_is_its_own(capsys):
    kept, state = [], np.random.get_state()[1].copy()

    def func(x):
        kept.append(x)
        print("called")
        thread = threading.Thread(target=kept.append, args=(os.getpid(),))
        thread.start()
        thread.join()
        return q(x)

    report = check(func, dq, vec())
    assert report.verdict == "agree"
    assert capsys.readouterr().out.count("called") == report.evaluations
    np.testing.assert_array_equal(kept[0], vec())  # as it was given, when all is over
    np.testing.assert_array_equal(np.random.get_state()[1], state)


@pytest.mark.parametrize(
    "name",
    ["a\x1b[31mred", "<script>alert(1)</script>", "tab\tnew\nline", "\ud800", "é" * 1_000_000, ""],
    ids=["ANSI", "markup", "control", "surrogate", "long", "empty"],
)
def test_a_hostile_name_is_shown_harmlessly(name):
    report = check(lambda p: float(p[name] @ p[name]), {name: 3 * vec()}, {name: vec()})
    for text in (report.message(), report.details(), report.summary(), str(report)):
        assert "\x1b" not in text
        assert "\t" not in text
        assert len(text) < 20_000
        text.encode("utf-8")
    assert max(map(len, report.message().splitlines())) < 400


def test_there_are_enough_rows():
    """A table that a slip of an editor empties would pass in silence."""
    assert len(INPUTS) + len(OPTIONS) + 4 * len(BEHAVIOURS) + len(ARRAYS) >= 210
