"""What a func, an array or a hook does that is no error or an odd one: what is said, what is left.

Bad input, row by row, is in test_faults.py; what the plugin meets in test_faults_plugin.py.
"""

import decimal
import fractions
import json
import math
import os
import random
import signal
import sys
import threading
import warnings

import numpy as np
import pooled
import pytest
from amounts import woven
from hostile import HOSTILE, harmless

from pytest_gradcheck import (
    ArrayKind,
    Diagnosis,
    Node,
    check_gradients,
    compare_gradients,
    hookimpl,
    numerical_gradient,
    plugin_manager,
    relative_difference,
)


def q(x):
    return float(x @ x)


def dq(x):
    return 2 * x


def vec(n=3):
    return np.arange(1.0, n + 1)


class Acting:
    """½·2‖x‖² that does something else from one of its evaluations on, or in that one alone."""

    def __init__(self, first, act, last=None):
        self.first, self.act, self.last, self.calls = first, act, last or first, 0

    def __call__(self, x):
        self.calls += 1
        return self.act(x) if self.first <= self.calls <= self.last else q(x)


RIGHT = 10
"""Evaluations of a right check of three parameters, but for the last, at the parameters again."""

# Another type, from the second call on or once


NO_NUMBERS = [
    ("None", lambda x: None, "func returned None; it must return the number J"),
    ("a string", lambda x: "14", "func returned str ('14'); J must be a number"),
    ("bytes", lambda x: b"14", "func returned bytes (b'14'); J must be a number"),
    ("a boolean", lambda x: False, "func returned bool (False); J must be a number"),
    ("a pair", lambda x: (q(x), x), "func returned a tuple of 2; pass has_aux=True"),
    ("an empty tuple", lambda x: (), "func returned a tuple of 0"),
    ("a vector", lambda x: x, "func returned an array of shape (3,); J must be one number"),
    ("no entry", lambda x: x[:0], "func returned an array of shape (0,); J must be one number"),
    ("a dict", lambda x: {}, "func returned dict ({}); J must be a number"),
    ("a long list", lambda x: [1] * 99, "func returned an array of shape (99,)"),
    (
        "a long dict",
        lambda x: {"W": [1] * 99},
        "func returned dict ({'W': [1, 1, 1, 1, 1, 1, 1, 1…1, 1, 1, 1, 1, 1, 1, 1, 1, 1]}); J must",
    ),
    ("an object array", lambda x: np.array(q(x), object), "J must be a number"),
    ("a structure", lambda x: np.zeros((), [("J", float)]), "J must be a number"),
    ("a decimal", lambda x: decimal.Decimal(14), "func returned Decimal (Decimal('14'))"),
    ("a fraction", lambda x: fractions.Fraction(14), "func returned Fraction (Fraction(14, 1))"),
    ("a date", lambda x: np.datetime64("2026-01-01"), "func returned datetime64"),
    ("a duration", lambda x: np.timedelta64(14, "s"), "func returned timedelta64"),
    ("a masked value", lambda x: np.ma.masked, "func returned a masked value; J must be a number"),
    ("a function", lambda x: q, "func returned function (<function q"),
    ("a coroutine's like", lambda x: (v for v in x), "func returned generator"),
    ("an array of text", lambda x: np.array("14"), "func returned ndarray (array('14'"),
]
"""(what func returns, how, a part of the text)."""


@pytest.mark.parametrize("how", [{}, {"workers": 2}, {"workers": map}], ids=str)
@pytest.mark.parametrize("first", [2, 3, RIGHT])
@pytest.mark.parametrize(
    ("act", "text"), [row[1:] for row in NO_NUMBERS], ids=[row[0] for row in NO_NUMBERS]
)
def test_another_type_in_one_call(act, text, first, how):
    x = vec()
    with pytest.raises((TypeError, ValueError)) as caught:
        check_gradients(Acting(first, act), dq, x, **how)
    assert text in str(caught.value)
    assert len(str(caught.value)) < 300
    assert x.tobytes() == vec().tobytes()
    notes = getattr(caught.value, "__notes__", [])
    assert len(notes) == (first > 2)


NUMBERS = {
    "float32": lambda x: np.float32(q(x)),
    "longdouble": lambda x: np.longdouble(q(x)),
    "0-d": lambda x: np.array(q(x)),
    "one entry": lambda x: np.array([[q(x)]]),
    "masked, with no mask": lambda x: np.ma.masked_array(q(x)),
    "a float of the user's": lambda x: type("Loss", (float,), {})(q(x)),
}


@pytest.mark.parametrize("first", [2, 3, 9, 12])
@pytest.mark.parametrize("name", NUMBERS)
def test_another_type_of_number_from_one_call_on_passes(name, first):
    x = vec()
    assert check_gradients(Acting(first, NUMBERS[name], last=10_000), dq, x).verdict == "agree"
    wrong = dq(x) * [1, 1.5, 1]
    report = check_gradients(Acting(first, NUMBERS[name], last=10_000), wrong, x)
    assert [entry.label for entry in report.worst] == ["params[1]"]
    assert x.tobytes() == vec().tobytes()


def test_an_integer_beyond_all_floats_is_infinite():
    for number, text in ((10**400, "inf"), (-(10**400), "-inf")):
        with pytest.raises(ValueError, match=f"func returned {text} at params; J must be finite"):
            check_gradients(lambda x, number=number: number, dq, vec())
    report = check_gradients(Acting(9, lambda x: 10**400), dq, vec())
    assert report.verdict == "agree"
    with pytest.raises(ValueError, match="params must be finite to be differenced: params is inf"):
        check_gradients(lambda x: 0.0, lambda x: 0.0, 10**400)


# What a func does beside its value


def in_process_of_its_own(x):
    child = os.fork()
    if child == 0:
        os._exit(int(q(x) != q(np.array(x))))
    assert os.waitpid(child, 0)[1] == 0
    return q(x)


def exits_in_a_process_of_its_own(x):
    """As a func that forgets that it is the child: its SystemExit must end that process alone."""
    child = os.fork()
    if child == 0:
        try:
            sys.exit(7)
        except SystemExit as stop:
            os._exit(stop.code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    return q(x)


def draws(x):
    np.random.random()
    random.random()
    return q(x)


def seeds(x):
    np.random.seed(0)
    random.seed(0)
    return q(x)


def warns(x):
    warnings.warn("at every call", UserWarning, stacklevel=1)
    return q(x)


def warns_of_numbers(x):
    np.log(np.zeros(1) * x[0])
    return q(x)


def sets_its_errors(x):
    np.seterr(all="raise")
    return q(x)


def prints(x):
    print("J", file=sys.stderr)
    print("J")
    return q(x)


def shifts_its_arguments_name(x):
    x = x + 1
    return q(x - 1)


KEPT = []


def keeps(x):
    KEPT.append(x)
    return q(x)


def writes_to_what_it_kept(x):
    """Into the array of its first call, which is the one that it is given ever after."""
    KEPT.append(x)
    KEPT[0][0] += 1.0
    KEPT[0][0] -= 1.0
    return q(x)


HABITS = [
    in_process_of_its_own,
    exits_in_a_process_of_its_own,
    draws,
    seeds,
    warns,
    warns_of_numbers,
    sets_its_errors,
    prints,
    shifts_its_arguments_name,
    keeps,
    writes_to_what_it_kept,
]


@pytest.fixture
def tidy():
    """Put back what these habits change for everybody."""
    before, state, errors = random.getstate(), np.random.get_state(), np.geterr()
    yield
    random.setstate(before)
    np.random.set_state(state)
    np.seterr(**errors)
    KEPT.clear()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore")  # the habit of some is to warn
@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
@pytest.mark.parametrize("how", ["plain", "in_place", "workers"])
@pytest.mark.parametrize("habit", HABITS, ids=lambda habit: habit.__name__)
def test_a_habit_changes_neither_verdict_nor_arrays(tidy, habit, how, wrong):
    if how == "workers" and habit in (in_process_of_its_own, exits_in_a_process_of_its_own):
        pytest.skip("a fork among threads is a fault of its own")
    x = vec()
    grads = dq(x) * ([1, 1, 1.01] if wrong else 1)
    if how == "in_place":
        report = check_gradients(lambda: habit(x), grads, x, in_place=True)
    else:
        report = check_gradients(habit, grads, x, workers=2 if how == "workers" else 1)
    labels = [e.label for e in report.worst if e.verdict == "disagree"]
    assert labels == (["params[2]"] if wrong else [])
    assert x.tobytes() == vec().tobytes()


def test_what_a_func_draws_comes_from_the_users_generators_alone(tidy):
    """Ours draw nothing from them: after a check they are as far as func's own calls took them."""
    np.random.seed(3)
    random.seed(3)
    report = check_gradients(draws, dq, vec())
    found = np.random.random(), random.random()
    np.random.seed(3)
    random.seed(3)
    for _ in range(report.evaluations):
        draws(vec())
    assert found == (np.random.random(), random.random())


def test_a_random_func_is_named_before_the_gradient_is_blamed(tidy):
    report = check_gradients(lambda x: q(x) + np.random.normal(), dq, vec())
    assert report.verdict == "inconclusive"
    assert report.message().splitlines()[0].startswith("func does not repeat itself: ")
    assert report.evaluations == 2


def test_warnings_as_errors_are_the_users_at_params_and_no_domain_beside_them():
    x = vec()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning, match="at every call"):
            check_gradients(warns, dq, x)
        # Beside params a warning is contained, so it is no exception there.
        assert check_gradients(Acting(3, warns, last=10_000), dq, x).verdict == "agree"
        with pytest.raises(RuntimeWarning, match="divide by zero"):
            check_gradients(warns_of_numbers, dq, x)
        assert check_gradients(Acting(3, warns_of_numbers, last=10_000), dq, x).verdict == "agree"
    assert x.tobytes() == vec().tobytes()


def test_what_a_func_kept_is_as_it_was_given_when_all_is_over():
    KEPT.clear()
    try:
        check_gradients(keeps, dq, vec())
        assert all(kept.tobytes() == vec().tobytes() for kept in KEPT)
        assert len({id(kept) for kept in KEPT}) == 1  # one work copy, as promised
        KEPT.clear()
        check_gradients(keeps, dq, vec(), copy=True)
        assert len({kept.tobytes() for kept in KEPT}) > 6  # with copy=True each is its own
    finally:
        KEPT.clear()


def test_threads_that_func_started_may_outlive_the_check():
    release, done = threading.Event(), []

    def func(x):
        if not done:
            done.append(threading.Thread(target=release.wait, daemon=True))
            done[0].start()
        return q(x)

    assert check_gradients(func, dq, vec()).ok
    assert done[0].is_alive()
    release.set()
    done[0].join(timeout=10)
    assert not done[0].is_alive()


# Ctrl-C, in every evaluation


def interrupted(func, grad, k, **options):
    """Run a check of three parameters in which the k-th call, of func or grad, is interrupted."""
    calls = [0]

    def counted(function):
        def called(*args):
            calls[0] += 1
            if calls[0] == k:
                for array in args:
                    array[:] = 99.0  # halfway through something
                raise KeyboardInterrupt
            return function(*args)

        return called

    x = vec()
    if options.get("in_place"):
        options["in_place"] = True
        called = counted(lambda: func(x)), counted(lambda: grad(x))
    else:
        called = counted(func), counted(grad)
    try:
        check_gradients(*called, x, **options)
    except KeyboardInterrupt as stop:
        notes = getattr(stop, "__notes__", [])
    else:
        notes = None
    assert x.tobytes() == vec().tobytes()
    return notes, calls[0]


HOWS = {
    "plain": {},
    "in place": {"in_place": True},
    "copies": {"copy": True},
    "map": {"workers": map},
    "directions": {"max_evals": 12},
    "a step": {"eps": 1e-6},
    "complex": {"scheme": "complex"},
}


def square(x):
    return (x**2).sum()


@pytest.mark.parametrize("name", HOWS)
@pytest.mark.parametrize("wrong", [False, True], ids=["right", "wrong"])
def test_ctrl_c_in_every_evaluation(name, wrong):
    def grad(x):
        return dq(x) * ([1, 1, 1.5] if wrong else 1)

    options = {"inconclusive": "pass", "vacuous": "pass", "repairs": "skip", **HOWS[name]}
    notes, total = interrupted(square, grad, 0, **options)
    assert notes is None
    assert total >= 7
    told = 0
    for k in range(1, total + 1):
        notes, calls = interrupted(square, grad, k, **options)
        assert notes is not None, k
        assert calls == k  # nothing is called any more
        told += len(notes)
        assert all(note.startswith("gradcheck: interrupted after ") for note in notes)
    assert told >= total - 4  # before func was evaluated twice there is nothing to tell


@pytest.mark.parametrize("k", range(1, 9))
def test_ctrl_c_in_threads(k):
    x, calls = vec(40), []

    def func(theta):
        calls.append(None)
        if len(calls) == 8 * k:
            raise KeyboardInterrupt
        return q(theta)

    with pytest.raises(KeyboardInterrupt):
        check_gradients(func, dq, x, workers=2)
    assert x.tobytes() == vec(40).tobytes()


@pytest.mark.parametrize("k", [1, 2, 5, 8])
@pytest.mark.parametrize("in_place", [False, True])
def test_ctrl_c_in_the_engine_alone(k, in_place):
    x, calls = vec(), []

    def func(*args):
        calls.append(None)
        if len(calls) == k:
            x[:] = x if not in_place else 7.0
            raise KeyboardInterrupt
        return q(x if in_place else args[0])

    with pytest.raises(KeyboardInterrupt):
        numerical_gradient(func, x, in_place=in_place)
    assert x.tobytes() == vec().tobytes()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer signals here")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("microseconds", [300, 1000, 3000, 10_000])
def test_ctrl_c_between_any_two_instructions(microseconds):
    """A real signal, wherever it falls: in func, or in the engine while a parameter is set.

    Python itself drops an exception that falls into the callback of a weak reference; as somebody
    at a keyboard would, the timer then comes again.
    """
    x = vec(50)
    before = x.tobytes()

    def stop(*_):
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, stop)
    stopped = 0
    try:
        for delay in range(1, 6):
            try:
                signal.setitimer(signal.ITIMER_REAL, delay * microseconds * 1e-6, 0.5)
                for _ in range(10_000):
                    check_gradients(lambda: q(x), lambda: dq(x), x, in_place=True)
            except KeyboardInterrupt:
                stopped += 1
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
            assert x.tobytes() == before
    finally:
        signal.signal(signal.SIGALRM, previous)
    assert stopped == 5


# Hooks that raise or return nonsense


class Box:
    def __init__(self, inside):
        self.inside = inside


def of_box(box):
    return q(box.inside)


def box_gradient(box):
    return Box(2 * box.inside)


class NoTextError(Exception):
    def __str__(self):
        raise RuntimeError("no text")

    __repr__ = __str__


class Contrary:
    """Refuses to be compared, asked for its truth, or shown."""

    def __eq__(self, other):
        raise RuntimeError("not to be compared")

    def __bool__(self):
        raise RuntimeError("neither true nor false")

    def __repr__(self):
        raise RuntimeError("not to be shown")

    __hash__ = object.__hash__


@pytest.fixture
def hooked():
    """Return a function that registers one hook of the engine for this test."""
    registered = []

    def register(**hooks):
        plugin = type("Plugin", (), {})()
        for name, function in hooks.items():
            setattr(plugin, name, hookimpl(function))
        registered.append(plugin)
        plugin_manager().register(plugin)

    yield register
    for plugin in registered:
        plugin_manager().unregister(plugin)


def boxes(answer):
    def gradcheck_flatten(value):
        return answer(value) if isinstance(value, Box) else None

    return gradcheck_flatten


def inside(value):
    return [(".inside", value.inside)]


NODE = "gradcheck_flatten returned {} for a value of type Box; return a Node(children, rebuild), or"
PAIRS = "gradcheck_flatten: children of Box must be pairs of the step to each, a str"
REBUILD = "gradcheck_flatten: rebuild of Box is None; it must be a function of the list of new"
REBUILT = "params can't be rebuilt: the {} that its rebuild made of new children does not hold them"

FLATTENS = [
    ("a number", lambda box: 3, TypeError, NODE.format("int")),
    ("zero", lambda box: 0, TypeError, NODE.format("int")),
    ("text", lambda box: "inside", TypeError, NODE.format("str")),
    ("a list", lambda box: inside(box), TypeError, NODE.format("list")),
    ("a class", lambda box: Node, TypeError, NODE.format("type")),
    ("no children", lambda box: Node(None, Box), TypeError, PAIRS),
    ("children without steps", lambda box: Node([box.inside], Box), TypeError, PAIRS),
    ("steps that are numbers", lambda box: Node([(0, box.inside)], Box), TypeError, PAIRS),
    ("no way back", lambda box: Node(inside(box), None), TypeError, REBUILD),
    (
        "two of one name",
        lambda box: Node(inside(box) * 2, lambda parts: Box(parts[0])),
        ValueError,
        "two parameters have the same name 'inside': rename a key",
    ),
    (
        "nothing rebuilt",
        lambda box: Node(inside(box), lambda parts: None),
        TypeError,
        REBUILT.format("NoneType"),
    ),
    (
        "others rebuilt",
        lambda box: Node(inside(box), lambda parts: Box(parts[0] * 1)),
        TypeError,
        REBUILT.format("Box"),
    ),
    (
        "its own again",
        lambda box: Node(inside(box), lambda parts: box),
        TypeError,
        REBUILT.format("Box"),
    ),
    (
        "a box in a box without end",
        lambda box: Node([(".inside", Box(box.inside))], lambda parts: Box(*parts)),
        ValueError,
        "params is nested too deeply to be taken apart, more than 200 containers",
    ),
    ("an error", lambda box: 1 / 0, ZeroDivisionError, "division by zero"),
    (
        "an error on the way back",
        lambda box: Node(inside(box), lambda parts: {}["way"]),
        KeyError,
        "way",
    ),
]


@pytest.mark.parametrize(
    ("answer", "error", "text"), [row[1:] for row in FLATTENS], ids=[row[0] for row in FLATTENS]
)
def test_gradcheck_flatten(hooked, answer, error, text):
    hooked(gradcheck_flatten=boxes(answer))
    box = Box(vec())
    with pytest.raises(error) as caught:
        check_gradients(of_box, box_gradient, box)
    assert text in str(caught.value)
    assert box.inside.tobytes() == vec().tobytes()


def test_a_sound_flatten_passes_where_those_fail(hooked):
    hooked(gradcheck_flatten=boxes(lambda box: Node(inside(box), lambda parts: Box(*parts))))
    assert check_gradients(of_box, box_gradient, Box(vec())).verdict == "agree"
    report = check_gradients(of_box, lambda box: Box(3 * box.inside), Box(vec()))
    assert report.worst[0].label == "inside[2]"


@pytest.mark.parametrize(
    "answer", [3, "kind", ArrayKind, object(), Contrary()], ids=lambda a: type(a).__name__
)
def test_gradcheck_array(hooked, answer):
    hooked(gradcheck_array=lambda value: answer if isinstance(value, Box) else None)
    for _ in range(2):  # no answer of this kind is remembered
        with pytest.raises(TypeError) as caught:
            check_gradients(of_box, box_gradient, Box(vec()))
        assert str(caught.value).startswith("gradcheck_array returned ")
        assert str(caught.value).endswith(
            " for a value of type Box; return an instance of a subclass of ArrayKind, or None for "
            "what is not yours"
        )


EXPLAINS = [
    (3, "int"),
    (0, "int"),
    (True, "bool"),
    (math.nan, "float"),
    (b"text", "bytes"),
    ({"hint": 1}, "dict"),
    (iter("ab"), type(iter("ab")).__name__),
    (["fine", 3], "int"),
    (("fine", ["nested"]), "list"),
    (np.array(["text"]), "ndarray"),
    (np.zeros(3), "ndarray"),
    (Contrary(), "Contrary"),
    (Diagnosis("code", 3, ()), "Diagnosis(code='code', sentence=3"),
    (Diagnosis(None, "text", ()), "Diagnosis(code=None"),
    (Diagnosis("code", "text", None), "Diagnosis(code='code', sentence='text', blocks=None"),
    (Diagnosis("code", "text", (3,)), "Diagnosis(code='code', sentence='text', blocks=(3,)"),
    (Diagnosis("code", "text", (), math.nan), "Diagnosis(code='code'"),
    (Diagnosis("code", "text", (), "many"), "Diagnosis(code='code'"),
]


@pytest.mark.parametrize(("answer", "kind"), EXPLAINS, ids=[row[1][:40] for row in EXPLAINS])
def test_gradcheck_explain(hooked, answer, kind):
    hooked(gradcheck_explain=lambda report: answer)
    with pytest.raises(TypeError) as caught:
        check_gradients(q, lambda x: 3 * x, vec())
    assert str(caught.value).startswith(f"gradcheck_explain returned {kind}")
    assert check_gradients(q, dq, vec()).ok  # it is not asked about what agrees


@pytest.mark.parametrize("answer", [None, "", [], (), [None, ""]], ids=repr)
def test_gradcheck_explain_has_nothing_to_say(hooked, answer):
    hooked(gradcheck_explain=lambda report: answer)
    report = check_gradients(q, lambda x: 3 * x, vec())
    assert (report.verdict, report.hints) == ("disagree", ())


@pytest.mark.parametrize("error", [KeyError("hint"), KeyboardInterrupt(), NoTextError()], ids=type)
def test_gradcheck_explain_raises(hooked, error):
    def gradcheck_explain(report):
        raise error

    hooked(gradcheck_explain=gradcheck_explain)
    x = vec()
    with pytest.raises(type(error)) as caught:
        check_gradients(lambda: q(x), lambda: 3 * x, x, in_place=True)
    assert caught.value is error
    assert x.tobytes() == vec().tobytes()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_plugins_sentence_is_one_harmless_line(hooked, name):
    text = HOSTILE[name]
    hooked(gradcheck_explain=lambda report: [text, Diagnosis(text, text, (text,), 99.0)])
    report = check_gradients(q, lambda x: 3 * x, vec())
    assert report.diagnoses[0].bits == 99.0
    for shown in (report.message(), report.details(), report.summary(), *report.hints):
        assert harmless(shown)
        assert max(map(len, shown.splitlines())) < 700
    json.loads(json.dumps(report.to_dict(), allow_nan=False, ensure_ascii=False).encode())


# Names

CHECKS = {
    "wrong": lambda f, n: check_gradients(f, {n: 3 * vec()}, {n: vec()}),
    "right": lambda f, n: check_gradients(f, {n: 2 * vec()}, {n: vec()}),
    "NaN": lambda f, n: check_gradients(
        lambda p: f(p) + p["b"] ** 2, {n: np.nan * vec(), "b": 2.0}, {n: vec(), "b": 1.0}
    ),
    "two": lambda f, n: check_gradients(
        lambda p: f(p) + p[n + "b"] ** 3, {n: 3 * vec(), n + "b": 24.0}, {n: vec(), n + "b": 2.0}
    ),
    "vacuous": lambda f, n: check_gradients(
        f, {n: 2 * vec(), n + "b": 0 * vec()}, {n: vec(), n + "b": vec()}
    ),
    "skipped": lambda f, n: check_gradients(
        f, {n: 2 * vec()}, {n: vec(), n + "!?": vec()}, skip="*!?*"
    ),
    "kink": lambda f, n: check_gradients(
        lambda p: np.abs(p[n]).sum(), {n: np.full(3, 5.0)}, {n: np.zeros(3)}, kinks="fail"
    ),
    "along": lambda f, n: check_gradients(f, {n: 2.1 * vec(4000)}, {n: vec(4000)}),
    "one of many": lambda f, n: check_gradients(
        f, {n: 2 * vec(4000) * np.where(np.arange(4000) == 7, 2, 1)}, {n: vec(4000)}
    ),
    "points": lambda f, n: check_gradients(
        f, lambda p: {n: 3 * p[n]}, points=[{n: vec()}, {n: 2 * vec()}]
    ),
    "given": lambda f, n: compare_gradients({n: vec()}, {n: 2 * vec()}),
}


@pytest.mark.parametrize(("name", "check"), woven(HOSTILE, CHECKS))
def test_a_hostile_name_in_a_report(name, check):
    text = HOSTILE[name]

    def func(params):
        return float(params[text] @ params[text])

    func.__qualname__ = text
    report = CHECKS[check](func, text)
    for shown in (report.message(), report.details(), report.summary(), str(report)):
        assert harmless(shown)
        assert max(map(len, shown.splitlines())) < 500
    plain = json.loads(json.dumps(report.to_dict(), allow_nan=False, ensure_ascii=False).encode())
    assert len(plain["blocks"][0]["name"]) >= len(text)  # nothing is lost there


ERRORS = {
    "missing": lambda n: check_gradients(lambda p: 1.0, {}, {n: vec()}),
    "extra": lambda n: check_gradients(lambda p: 1.0, {n: vec(), "a": vec()}, {"a": vec()}),
    "shape": lambda n: check_gradients(lambda p: 1.0, {n: vec(2)}, {n: vec()}),
    "integers": lambda n: check_gradients(lambda p: 1.0, {}, {n: np.array([1])}),
    "integer": lambda n: check_gradients(lambda p: 1.0, {}, {n: 10**4000}),
    "text": lambda n: check_gradients(lambda p: 1.0, {}, {n: n}),
    "NaN": lambda n: check_gradients(lambda p: 1.0, {}, {n: np.array([np.nan])}),
    "complex": lambda n: check_gradients(lambda p: 1.0, {n: 1j * vec()}, {n: vec()}),
    "masked": lambda n: check_gradients(lambda p: 1.0, {}, {n: np.ma.masked_array(vec(), 1)}),
    "only": lambda n: check_gradients(lambda p: 1.0, {}, {"a": vec()}, only=n),
    "skip": lambda n: check_gradients(lambda p: 1.0, {}, {"a": vec()}, skip=[n]),
    "writes": lambda n: check_gradients(lambda p: p[n].fill(0) or 1.0, {}, {n: vec()}),
    "adds": lambda n: check_gradients(lambda p: p.update({n: 1.0}) or 1.0, {}, {"a": vec()}),
    "raises": lambda n: check_gradients(
        stopping_at(n, Acting(RIGHT, stops)), {n: 2 * vec()}, {n: vec()}
    ),
    "holds itself": lambda n: check_gradients(lambda p: 1.0, {}, holding_itself(n)),
    "step": lambda n: check_gradients(lambda p: 1.0, {n: vec()}, {n: vec()}, eps=1e-300),
    "number in place": lambda n: check_gradients(lambda: 1.0, {}, {n: 2.0}, in_place=True),
    "shared in place": lambda n: in_place({n: SHARED, "b": SHARED}),
    "read-only in place": lambda n: in_place({n: np.broadcast_to(vec(), (3,))}),
    "strided in place": lambda n: in_place(
        {n: np.broadcast_to(vec(1), (3,)).copy()[::1], "b": 1.0}
    ),
    "an option": lambda n: check_gradients(q, dq, vec(), scheme=n),
    "a number": lambda n: check_gradients(q, dq, vec(), rtol=n),
    "J": lambda n: check_gradients(lambda x: n, dq, vec()),
}

SHARED = vec()


def stops(x):
    raise LookupError("stopped")


def stopping_at(name, acting):
    return lambda params: acting(params[name])


def holding_itself(name):
    params = {}
    params[name] = params
    return params


def in_place(params):
    return check_gradients(lambda: 1.0, params, params, in_place=True)


@pytest.mark.parametrize(("name", "error"), woven(HOSTILE, ERRORS))
def test_a_hostile_name_in_an_error(name, error):
    with pytest.raises((TypeError, ValueError, LookupError)) as caught:
        ERRORS[error](HOSTILE[name])
    for text in (str(caught.value), *getattr(caught.value, "__notes__", ())):
        assert harmless(text)
        assert len(text) < 1000


# Exceptions and objects that refuse


@pytest.mark.parametrize("how", [{}, {"workers": 2}, {"workers": map}, {"copy": True}], ids=str)
@pytest.mark.parametrize("first", [1, 2, 3, 9, RIGHT])
def test_an_exception_without_text_is_the_one_that_arrives(first, how):
    def act(x):
        raise NoTextError

    x = vec()
    with pytest.raises(NoTextError) as caught:
        check_gradients(Acting(first, act), dq, x, **how)
    assert len(getattr(caught.value, "__notes__", ())) == (first > 2)
    assert x.tobytes() == vec().tobytes()


@pytest.mark.parametrize(
    "call",
    [
        lambda odd: check_gradients(lambda x, o: q(x), lambda x, o: dq(x), vec(), args=(odd,)),
        lambda odd: check_gradients(lambda x: (q(x), odd), dq, vec(), has_aux=True),
        lambda odd: check_gradients(
            lambda p: q(p["a"]), {"a": dq(vec())}, {"a": vec(), "b": odd}, skip="b"
        ),
        lambda odd: check_gradients(
            lambda p: q(p["a"]), {"a": dq(vec()), "b": odd}, {"a": vec(), "b": 1.0}, skip="b"
        ),
        lambda odd: check_gradients(lambda p: q(p[odd]), lambda p: {odd: dq(p[odd])}, {odd: vec()}),
    ],
    ids=["args", "aux", "left out", "left out of the gradient", "a key"],
)
def test_objects_that_refuse_are_passed_on_untouched(call):
    assert call(Contrary()).verdict == "agree"


OPTIONS = [
    "rtol",
    "atol",
    "eps",
    "threshold",
    "scheme",
    "max_evals",
    "seed",
    "only",
    "skip",
    "nondet_tol",
    "inconclusive",
    "kinks",
    "vacuous",
    "max_report",
    "workers",
    "vectorized",
    "has_aux",
    "in_place",
    "copy",
]


@pytest.mark.parametrize("option", OPTIONS)
def test_objects_that_refuse_are_named_as_options(option):
    with pytest.raises((TypeError, ValueError)) as caught:
        check_gradients(q, dq, vec(), **{option: Contrary()})
    assert f"{option} must be " in str(caught.value)
    assert str(caught.value).endswith("not <Contrary, whose repr raises RuntimeError>")


REFUSED = [
    ("params", lambda odd: check_gradients(q, dq, odd), "params is Contrary, but a parameter is"),
    ("grad", lambda odd: check_gradients(q, odd, vec()), "the gradient of params is Contrary"),
    (
        "J",
        lambda odd: check_gradients(lambda x: odd, dq, vec()),
        "func returned Contrary (<Contrary, whose repr raises RuntimeError>); J must be a number",
    ),
    (
        "args",
        lambda odd: check_gradients(q, dq, vec(), args=odd),
        "args must be a tuple of what follows params, not Contrary",
    ),
    ("points", lambda odd: check_gradients(q, dq, points=odd), "points must be a list of params"),
    ("func", lambda odd: check_gradients(odd, dq, vec()), "func must be callable"),
]


@pytest.mark.parametrize(
    ("call", "text"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_objects_that_refuse_are_named_where_they_can_not_be(call, text):
    with pytest.raises(TypeError) as caught:
        call(Contrary())
    assert text in str(caught.value)


HUGE = [
    10**400,
    -(10**400),
    "9" * 5000,
    list(range(100_000)),
    "a" * 10**5,
    b"x" * 10**6,
    {1: "\x1b"},
]


@pytest.mark.parametrize("value", HUGE, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("option", sorted(set(OPTIONS) - {"seed", "max_evals", "max_report"}))
def test_huge_values_of_options_make_short_errors(option, value):
    with pytest.raises((TypeError, ValueError)) as caught:
        check_gradients(q, dq, vec(), **{option: value})
    text = str(caught.value)
    assert option in text
    assert harmless(text, lines=False)
    assert len(text) < 400


def test_patterns_may_come_from_an_iterator():
    params = {"W": vec(), "b": vec()}
    report = check_gradients(
        lambda p: q(p["W"]), {"W": dq(vec())}, params, only=(name for name in ["W"])
    )
    assert report.size == 3
    with pytest.raises(TypeError, match="only must be a glob pattern or a list of them"):
        check_gradients(lambda p: q(p["W"]), {"W": dq(vec())}, params, only=iter([3]))


# Structures without end


def holding():
    found = [vec()]
    found.append(found)
    return found


def nested(depth, inner, around=lambda inner: [inner]):
    for _ in range(depth):
        inner = around(inner)
    return inner


DEEP = "{} is nested too deeply to be taken apart, more than 200 containers; pass its arrays in one"
HOLDS = "{} holds itself: a structure of parameters must be a tree"


def at_list(params):
    return q(params[0])


ENDLESS = [
    ("params", lambda: check_gradients(at_list, [dq(vec())], holding()), HOLDS, "params[1]"),
    (
        "a gradient",
        lambda: check_gradients(at_list, holding(), [vec()]),
        HOLDS,
        "the gradient at params[1]",
    ),
    (
        "what grad returns",
        lambda: check_gradients(at_list, lambda p: holding(), [vec()]),
        HOLDS,
        "the gradient at params[1]",
    ),
    (
        "two gradients",
        lambda: compare_gradients([vec()], holding()),
        HOLDS,
        "reference at params[1]",
    ),
    ("a difference", lambda: relative_difference(holding(), holding()), HOLDS, "b at params[1]"),
    ("a dict", lambda: check_gradients(q, dq, holding_itself("me")), HOLDS, "me"),
    (
        "what func makes",
        lambda: check_gradients(lambda p: p.append(p) or 1.0, [dq(vec())], [vec()]),
        HOLDS,
        "params[1]",
    ),
    ("lists", lambda: check_gradients(q, dq, nested(10_000, vec())), DEEP, "params"),
    (
        "tuples",
        lambda: check_gradients(q, dq, nested(10_000, vec(), lambda x: (x,))),
        DEEP,
        "params",
    ),
    (
        "dicts",
        lambda: check_gradients(q, dq, nested(10_000, vec(), lambda x: {"a": x})),
        DEEP,
        "params",
    ),
    (
        "a deep gradient",
        lambda: check_gradients(q, nested(10_000, vec()), vec()),
        DEEP,
        "the gradient",
    ),
    (
        "what grad nests",
        lambda: check_gradients(q, lambda x: nested(10_000, x), vec()),
        DEEP,
        "the gradient",
    ),
    (
        "what func returns with J",
        lambda: check_gradients(lambda x: (q(x), nested(10_000, x)), True, vec()),
        DEEP,
        "the gradient",
    ),
    (
        "what func nests",
        lambda: check_gradients(
            lambda p: p.update(a=nested(10_000, 1.0)) or 1.0, {"a": 1.0}, {"a": 1.0}
        ),
        DEEP,
        "params",
    ),
    ("a deep analytic", lambda: compare_gradients(nested(10_000, vec()), vec()), DEEP, "analytic"),
    (
        "a deep reference",
        lambda: compare_gradients(vec(), nested(10_000, vec())),
        DEEP,
        "reference",
    ),
    ("a deep difference", lambda: relative_difference(nested(10_000, vec()), vec()), DEEP, "a"),
    ("the engine alone", lambda: numerical_gradient(q, nested(10_000, vec())), DEEP, "params"),
]


@pytest.mark.parametrize(
    ("call", "text", "what"), [row[1:] for row in ENDLESS], ids=[row[0] for row in ENDLESS]
)
def test_structures_without_end(call, text, what):
    with pytest.raises(ValueError) as caught:
        call()
    assert str(caught.value).startswith(text.format(what))
    assert caught.value.__cause__ is caught.value.__context__ is None


def test_a_deep_J_is_shown_without_being_walked():
    with pytest.raises(TypeError, match=r"func returned list \(<list, whose repr raises Recursion"):
        check_gradients(lambda x: nested(10_000, 1.0), dq, vec())


def test_two_hundred_containers_are_no_fault():
    def innermost(params):
        while isinstance(params, list):
            (params,) = params
        return params

    params = nested(200, vec())
    report = check_gradients(
        lambda p: q(innermost(p)), lambda p: nested(200, dq(innermost(p))), params
    )
    assert report.verdict == "agree"
    with pytest.raises(ValueError, match="more than 200 containers"):
        check_gradients(q, dq, [params])


# Blocks that share memory


def pair(params):
    return q(params["a"]) + 3 * q(params["b"])


def pair_gradient(params):
    return {"a": 2 * params["a"], "b": 6 * params["b"]}


MEMORY = vec(5)

ALIASES = {
    "the same array": lambda: {"a": MEMORY, "b": MEMORY},
    "overlapping": lambda: {"a": MEMORY[:3], "b": MEMORY[2:]},
    "one in the other": lambda: {"a": MEMORY, "b": MEMORY[1:3]},
    "reversed": lambda: {"a": MEMORY, "b": MEMORY[::-1]},
    "other bytes of it": lambda: {"a": MEMORY, "b": MEMORY.view(np.float32)[:2].astype(float)},
}


@pytest.mark.parametrize("name", ALIASES)
def test_aliases_are_parameters_of_their_own(name):
    """func gets a copy of each, so each has a partial derivative of its own."""
    params, before = ALIASES[name](), MEMORY.tobytes()
    assert check_gradients(pair, pair_gradient, params).verdict == "agree"
    wrong = pair_gradient(params)
    wrong["b"][1] *= 1.01
    assert [e.label for e in check_gradients(pair, wrong, params).worst] == ["b[1]"]
    assert MEMORY.tobytes() == before


@pytest.mark.parametrize("name", sorted(set(ALIASES) - {"other bytes of it"}))
def test_aliases_in_place_are_refused(name):
    params, before = ALIASES[name](), MEMORY.tobytes()
    with pytest.raises(ValueError) as caught:
        check_gradients(lambda: pair(params), lambda: pair_gradient(params), params, in_place=True)
    assert str(caught.value) == (
        "in_place=True: b and a share memory, so one can't be perturbed without the other; pass "
        "each array once"
    )
    assert MEMORY.tobytes() == before


@pytest.mark.parametrize("shared", [False, True])
def test_parts_of_one_array_are_no_aliases_unless_two_of_them_meet(shared):
    whole = vec(12).reshape(4, 3)
    # Columns, one of them backwards, lie between each other without meeting.
    params = {"a": whole[:, 0], "b": whole[::-1, 1], "c": whole[:, 2], "d": whole[3:, 2]}
    params = params if shared else {name: params[name] for name in "abc"}

    def check():
        grad = {name: 2 * value for name, value in params.items()}
        return check_gradients(lambda: q(whole.ravel()), lambda: grad, params, in_place=True)

    if not shared:
        assert check().verdict == "agree"
        return
    with pytest.raises(ValueError, match="d and c share memory"):
        check()


def windows(shape, strides):
    return np.lib.stride_tricks.as_strided(vec(12), shape, [8 * step for step in strides])


OVERLAPS = [
    ((3, 2), (1, 1), True),
    ((3, 2), (0, 1), True),
    ((2, 3), (2, 1), True),
    ((2, 2, 2), (1, 2, 2), True),
    ((3, 2), (2, 1), False),
    ((2, 3), (1, 2), False),
    ((2, 2), (2, 3), False),  # 0, 2, 3, 5: no axis steps over the other, and yet no two meet
    ((3, 1), (4, 0), False),
    ((1, 1), (0, 0), False),
    ((0, 3), (0, 0), False),
]


@pytest.mark.parametrize(("shape", "strides", "shared"), OVERLAPS)
def test_entries_that_share_memory(shape, strides, shared):
    x = windows(shape, strides)
    arguments = (lambda: float((x**2).sum())), (lambda: 2 * x), x
    options = {"in_place": True, "vacuous": "pass"}
    if shared:
        with pytest.raises(ValueError) as caught:
            check_gradients(*arguments, **options)
        assert str(caught.value) == (
            "in_place=True: entries of params share memory, so one can't be perturbed without the "
            "others; pass a copy"
        )
    else:
        assert check_gradients(*arguments, **options).wrong == 0
    assert check_gradients(lambda p: float((p**2).sum()), lambda p: 2 * p, x).wrong == 0


# Arrays of other kinds


class NoUfuncs(np.ndarray):
    def __array_ufunc__(self, *args, **kwargs):
        raise RuntimeError("no ufuncs")


class NoFunctions(np.ndarray):
    def __array_function__(self, *args, **kwargs):
        raise RuntimeError("no functions")


class Loud(np.ndarray):
    def __array_finalize__(self, other):
        self.source = type(other).__name__


@pytest.mark.parametrize("how", ["plain", "in_place", "workers", "wrong", "gradient", "J"])
@pytest.mark.parametrize("kind", [NoUfuncs, NoFunctions, Loud], ids=lambda kind: kind.__name__)
def test_subclasses_that_refuse_numpy_are_read_as_they_lie_in_memory(kind, how):
    x = vec().view(kind)

    def func(p):
        assert type(p) is kind
        J = q(p.view(np.ndarray))
        return np.array(J).view(kind) if how == "J" else J

    def grad(p):
        found = 2 * p.view(np.ndarray)
        return found.view(kind) if how == "gradient" else found

    options = {"workers": 2} if how == "workers" else {}
    if how == "in_place":
        report = check_gradients(lambda: func(x), lambda: grad(x), x, in_place=True)
    elif how == "wrong":
        report = check_gradients(func, lambda p: grad(p) * [1, 2, 1], x)
    else:
        report = check_gradients(func, grad, x, **options)
    assert report.wrong == (how == "wrong")
    assert x.tobytes() == vec().tobytes()


LEFT_OUT = {
    "objects": np.array([vec(), None, "text"], dtype=object),
    "structured": np.array([(1.0, 2)], dtype=[("a", float), ("b", int)]),
    "structured with objects": np.array([(1.0, vec())], dtype=[("a", float), ("b", object)]),
    "dates": np.array(["NaT", "2026-01-01"], dtype="M8[D]"),
    "durations": np.array([1, 2], dtype="m8[s]"),
    "text": np.array(["a", "b"]),
    "bytes": np.array([b"a", b"b"]),
    "void": np.zeros(2, dtype="V7"),
    "booleans": np.array([True, False]),
    "integers": np.array([2**63 - 1]),
    "masked": np.ma.masked_array(vec(), [0, 1, 0]),
    "a record": np.rec.array([(1.0, 2)], dtype=[("a", float), ("b", int)]),
}
if hasattr(np.dtypes, "StringDType"):
    LEFT_OUT["strings"] = np.array(
        ["a", "text of more than fifteen bytes"], np.dtypes.StringDType()
    )


def copied(value):
    return value.copy()


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", LEFT_OUT)
def test_what_is_left_out_is_only_looked_after(name, in_place):
    other = LEFT_OUT[name]
    params = {"a": vec(), "b": other}
    if in_place:
        report = check_gradients(
            lambda: q(params["a"]), {"a": dq(vec())}, params, skip="b", in_place=True
        )
    else:
        report = check_gradients(lambda p: q(p["a"]), {"a": dq(vec())}, params, skip="b")
    assert (report.verdict, report.skipped) == ("agree", ("b",))

    def scribbles(p):
        p["b"].flat[0] = p["b"].flat[-1] if p["b"].size > 1 else np.zeros(1, other.dtype)[0]
        return q(p["a"])

    if name in ("masked", "void"):
        return  # the first entry is the last one, or its mask is what is written
    with pytest.raises(ValueError, match="func changed its parameters: b is not what it was"):
        check_gradients(scribbles, {"a": dq(vec())}, params, skip="b")


@pytest.mark.parametrize("name", LEFT_OUT)
def test_the_same_as_a_parameter_or_a_gradient(name):
    other = LEFT_OUT[name]
    with pytest.raises(TypeError) as caught:
        check_gradients(lambda p: 1.0, {"b": other}, {"b": other})
    assert str(caught.value).startswith("b is ")
    assert str(caught.value).endswith("or leave the block out with skip='b'")
    if other.dtype.kind in "iu":
        return  # exact gradients are often written so
    with pytest.raises(TypeError) as caught:
        check_gradients(lambda p: 1.0, {"b": other}, {"b": np.ones(other.shape)})
    assert str(caught.value).startswith("the gradient of b ")


FLOATS = {
    "float16": (np.float16, 1e-1),
    "float32": (np.float32, 1e-3),
    "float64": (np.float64, 1e-6),
    "longdouble": (np.longdouble, 1e-6),
    ">f4": (">f4", 1e-3),
    "<f8": ("<f8", 1e-6),
    ">f8": (">f8", 1e-6),
    "complex64": (np.complex64, 1e-3),
    "complex128": (np.complex128, 1e-6),
    "clongdouble": (np.clongdouble, 1e-6),
}


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", FLOATS)
def test_floating_point_of_every_width(name, in_place):
    dtype, visible = FLOATS[name]
    x = vec().astype(dtype)
    before = x.copy()

    def func(p):
        return float((np.abs(p.astype(np.clongdouble)) ** 2).sum())

    wrong = 2 * x.astype(np.clongdouble if x.dtype.kind == "c" else np.longdouble)
    wrong[1] *= 1 + 30 * visible
    for grads, count in ((2 * x, 0), (wrong, 1)):
        if in_place:
            report = check_gradients(lambda: func(x), grads, x, in_place=True)
        else:
            report = check_gradients(func, grads, x)
        assert report.wrong == count, (name, report.message())
    assert x.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(x, before)  # not by bytes: those of a longdouble have gaps


# Parameters that move nothing


def sums(params):
    return params["tiny"] + 3 * params["one"]


@pytest.mark.parametrize("tiny", [1e-30, -1e-38, 1e-100, 5e-324])
@pytest.mark.parametrize("claimed", [1.0, 2.0, -7.0, 1e-3])
def test_a_slope_that_no_step_of_its_scale_can_show_is_told_by_larger_ones(tiny, claimed):
    """Beside 3.0 a step of 1e-32 moves nothing, and one of 1e-10 tells the slope, which is 1."""
    report = check_gradients(sums, {"tiny": claimed, "one": 3.0}, {"tiny": tiny, "one": 1.0})
    assert report.verdict == ("agree" if claimed == 1.0 else "disagree")
    assert report.worst[0].label == "tiny" or claimed == 1.0


@pytest.mark.parametrize("place", [0, 2])
def test_and_so_is_one_beside_a_large_entry_of_its_own_block(place):
    x = np.array([1e-20, 3.0, 1e-20])
    wrong = np.ones(3)
    wrong[place] = 1.5
    for at in (x, x * 1e12):
        report = check_gradients(lambda p: p.sum(), wrong, at)
        assert report.verdict == "disagree"
        assert report.worst[0].label == f"params[{place}]"
        assert report.wrong == 1
    assert check_gradients(lambda p: p.sum(), np.ones(3), x).verdict == "agree"


def test_rounding_in_a_gradient_that_is_zero_still_passes():
    params = {"tiny": 1e-38, "one": 1.0}
    report = check_gradients(lambda p: 3 * p["one"], {"tiny": 1e-19, "one": 3.0}, params)
    assert report.verdict == "agree"


# Processes that end


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL here")
@pytest.mark.parametrize("end", [pooled.ends_process, pooled.kills_process], ids=["exit", "kill"])
def test_a_worker_process_that_ends_is_reported(end, monkeypatch):
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    monkeypatch.setenv(pooled.HOME, str(os.getpid()))
    params = pooled.params()
    with (
        ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("spawn")) as executor,
        pytest.raises(RuntimeError) as caught,
    ):
        check_gradients(end, pooled.gradient, params, eps=1e-6, workers=executor)
    text = str(caught.value)
    assert text.startswith("workers: a worker process died while func was evaluated, with W[")
    assert text.endswith("; leave out workers to see what func does there")
    assert params["W"].tobytes() == pooled.params()["W"].tobytes()


def test_a_worker_process_whose_exception_has_no_text():
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with (
        ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as executor,
        pytest.raises(Exception) as caught,
    ):
        check_gradients(
            pooled.raises_without_text,
            pooled.gradient,
            pooled.params(),
            eps=1e-6,
            workers=executor,
        )
    assert type(caught.value).__name__ == "WithoutTextError"
    assert "W[0, 2] perturbed" in caught.value.__notes__[0]


def test_there_are_enough_rows():
    """A table that a slip of an editor empties would pass in silence."""
    rows = (
        9 * len(NO_NUMBERS)
        + 4 * len(NUMBERS)
        + 6 * len(HABITS)
        + 2 * len(HOWS)
        + len(FLATTENS)
        + len(EXPLAINS)
        + len(HOSTILE) * (1 + len(CHECKS) + len(ERRORS))
        + len(OPTIONS)
        + len(REFUSED)
        + len(ENDLESS)
        + len(ALIASES)
        + len(OVERLAPS)
        + 3 * len(LEFT_OUT)
        + 2 * len(FLOATS)
    )
    assert rows >= 800
