"""Evaluations, function by function: counted, bounded, and what func raises.

Every value here follows from what the docstrings and docs/numerics.md say, on numbers chosen so
that floats are exact.
"""

import math
import sys
import warnings
from contextlib import contextmanager

import numpy as np
import pytest

from pytest_gradcheck._evaluate.call import Call, ShapeError
from pytest_gradcheck._evaluate.evaluator import (
    BudgetExhausted,
    Evaluator,
    Part,
    Progress,
    contained,
)
from pytest_gradcheck._params.arrays_and_structure import flatten
from pytest_gradcheck._params.layout import blocks_of
from pytest_gradcheck._params.work_copy import WorkCopy

NAN, INF, EPS = math.nan, math.inf, sys.float_info.epsilon


# -- _differences ----------------------------------------------------------------------------------

PARAMS = {"W": np.array([[1.0, 2.0], [3.0, 4.0]]), "b": np.array([5.0, 6.0])}


def evaluator(func, max_evals=None, pool=None, params=PARAMS):
    structure = flatten(params)
    work = WorkCopy(structure, blocks_of(structure, (), ()))
    return Evaluator(Call(func), work, Progress(max_evals), pool)


def weighed(params):
    return float(params["W"].ravel() @ [1, 10, 100, 1000] + params["b"] @ [1e4, 1e5])


AT = 654321.0


def test_a_new_evaluator_knows_nothing():
    made = evaluator(weighed)
    assert (made.evaluations, made.progress.max_evals, made.pool) == (0, None, None)
    assert (made.seconds, made.asks, made.kind) == (INF, True, np.float64)
    assert (made.narrow, made.domain_error, made.shape, made.keeps) == (None, None, (), False)
    assert made.progress.worst() == ""
    assert made.progress.so_far() is None


@pytest.mark.usefixtures("real_clock")
def test_func_at_theta():
    made = evaluator(weighed)
    assert made.at_theta() == AT
    assert made.evaluations == 1
    assert 0 < made.seconds < INF
    best = made.seconds
    made.at_theta()
    assert made.seconds <= best
    made = evaluator(lambda p: np.float32(weighed(p)))
    made.at_theta()
    assert made.narrow == 24
    assert made.kind is np.float64
    made = evaluator(lambda p: np.longdouble(weighed(p)))
    made.at_theta()
    assert made.kind is np.longdouble
    for bad in (NAN, INF):
        with pytest.raises(ValueError, match=f"^func returned {bad} at params; J must be finite"):
            evaluator(lambda p, bad=bad: bad).at_theta()


def test_warnings_are_kept_in_once_for_several_moves_and_no_longer():
    entered = []

    @contextmanager
    def counted():
        entered.append(1)
        with contained():
            yield

    def warning(params):
        warnings.warn("at a probe", stacklevel=1)
        return float(np.sqrt(-params["b"][0]))

    made = evaluator(warning)
    made.quiet = counted
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with made.quietly():
            for _ in range(3):
                made.sweep(1, [0], np.array([[5.5]]))
                made.along(np.zeros(6), (1.0,))
        assert (entered, seen) == ([], [])
        made.sweep(1, [0], np.array([[5.5]]))
        assert (len(entered), seen) == (1, [])
        with pytest.raises(ZeroDivisionError), made.quietly():
            raise ZeroDivisionError
        assert made.quiet is counted
        warning(PARAMS)
    assert str(seen[0].message) == "at a probe"


def test_between_moves_that_are_kept_quiet_together_funcs_context_is_left():
    inside = []

    @contextmanager
    def context():
        inside.append(True)
        yield
        inside.append(False)

    made = evaluator(lambda params: float(params["b"] @ params["b"])).inside(context)
    with made.quietly():
        assert inside == []
        made.along(np.zeros(6), (1.0, 2.0))
        assert inside == [True, False]


def test_a_func_that_writes_to_its_parameters():
    def scribble(params):
        params["b"][0] = 99
        return 1.0

    made = evaluator(scribble)
    with pytest.raises(ValueError) as caught:
        made.at_theta()
    assert str(caught.value) == (
        "func changed its parameters: b is not what it was before the call; copy what is to be "
        "changed, or pass copy=True for a fresh copy in each call (your own arrays are as they "
        "were)"
    )
    assert PARAMS["b"].tolist() == [5.0, 6.0]


def test_no_evaluation_beyond_max_evals():
    assert evaluator(weighed, max_evals=1).at_theta() == AT
    made = evaluator(weighed, max_evals=4)
    made.at_theta()
    made.at_theta()
    assert made.evaluations == 2
    with pytest.raises(BudgetExhausted):
        made.sweep(0, [0, 1], np.zeros((2, 2)))
    with pytest.raises(BudgetExhausted):
        made.along(np.ones(6), (0.1, 0.2, 0.3))
    assert made.evaluations == 2
    made.sweep(0, [0], np.zeros((1, 1)))
    made.sweep(0, [0], np.zeros((1, 1)))
    assert made.evaluations == 4
    with pytest.raises(BudgetExhausted):
        made.at_theta()
    assert made.evaluations == 4


def test_a_sweep_sets_one_coordinate_at_a_time():
    made = evaluator(weighed)
    found = made.sweep(0, [3, 0], np.array([[5.0, 3.0], [2.0, 0.0]]))
    assert found.tolist() == [[AT + 1000, AT - 1000], [AT + 1, AT - 1]]
    assert found.dtype == np.float64
    assert made.evaluations == 4
    assert made.sweep(1, [1], np.array([[7.0]])).tolist() == [[AT + 1e5]]
    assert made.at_theta() == AT
    made.kind = np.longdouble
    assert made.sweep(1, [1], np.array([[7.0]])).dtype == np.longdouble
    # Whatever number func returns.
    other = evaluator(lambda p: np.array([weighed(p)]))
    assert other.sweep(1, [1], np.array([[7.0]])).tolist() == [[AT + 1e5]]
    with pytest.raises(ShapeError):
        evaluator(lambda p: p["b"]).sweep(1, [1], np.array([[7.0, 5.0]]))
    with pytest.raises(ValueError, match="longer"):
        made.sweep(0, [1], np.zeros((2, 2)))


def test_a_direction_moves_all():
    made = evaluator(weighed)
    shift = np.array([1.0, 0, 0, 0, 0, 2.0])
    found = made.along(shift, (1.0, -0.5))
    assert found.tolist() == [AT + 1 + 2e5, AT - 0.5 - 1e5]
    assert (made.evaluations, found.dtype) == (2, np.float64)
    assert made.at_theta() == AT


class Below:
    """weighed where W[0, 0] ≤ 1; an exception elsewhere, of this type."""

    def __init__(self, error, limit=1.0):
        self.error = error
        self.limit = limit
        self.calls = 0

    def __call__(self, params):
        self.calls += 1
        if params["W"][0, 0] > self.limit:
            raise self.error(f"call {self.calls}")
        return weighed(params)


def test_an_exception_that_repeats_itself_is_the_edge_of_the_domain():
    func = Below(ZeroDivisionError)
    made = evaluator(func)
    found = made.sweep(0, [1, 0, 2], np.array([[3.0, 1.0], [2.0, 0.0], [4.0, 2.0]]))
    np.testing.assert_array_equal(found, [[AT + 10, AT - 10], [NAN, AT - 1], [AT + 100, AT - 100]])
    # The first of two raised, and again when asked again; the second is inside.
    assert made.evaluations == func.calls == 7
    assert str(made.domain_error) == "call 3"
    found = made.sweep(0, [0], np.array([[0.0, 2.0]]))
    np.testing.assert_array_equal(found, [[AT - 1, NAN]])
    assert made.evaluations == func.calls == 10
    assert str(made.domain_error) == "call 3"
    found = made.along(np.array([1.0, 0, 0, 0, 0, 0]), (1.0, -1.0))
    np.testing.assert_array_equal(found, [NAN, AT - 1])
    assert made.evaluations == func.calls == 13
    made.sweep(0, [0, 0], np.array([[2.0, 0.0, 1.0], [3.0, 0.0, 1.0]]))
    assert made.evaluations == func.calls == 21
    assert made.at_theta() == AT


def test_near_max_evals_an_exception_is_taken_at_its_word():
    func = Below(ValueError)
    made = evaluator(func, max_evals=3)
    assert math.isnan(made.along(np.array([1.0, 0, 0, 0, 0, 0]), (1.0,))[0])
    assert (made.asks, made.evaluations, func.calls) == (True, 2, 2)
    made = evaluator(func, max_evals=3)
    np.testing.assert_array_equal(
        made.sweep(0, [0, 1], np.array([[2.0], [3.0]])), [[NAN], [AT + 10]]
    )
    assert (made.asks, made.evaluations) == (False, 2)
    assert str(made.domain_error) == "call 3"
    made = evaluator(func, max_evals=4)
    made.sweep(0, [0, 1], np.array([[2.0], [3.0]]))
    assert (made.asks, made.evaluations) == (True, 3)


def test_any_other_exception_is_raised_with_where_it_came_from():
    made = evaluator(Below(KeyError))
    with pytest.raises(KeyError) as caught:
        made.sweep(0, [1, 0], np.array([[3.0, 1.0], [2.0, 0.0]]))
    assert caught.value.__notes__ == [
        "gradcheck: raised by func with W[0, 0] perturbed, in evaluation 3; the parameters are as "
        "they were"
    ]
    assert made.evaluations == 2
    assert made.at_theta() == AT
    made = evaluator(Below(KeyError))
    with pytest.raises(KeyError) as caught:
        made.along(np.array([1.0, 0, 0, 0, 0, 0]), (-1.0, 0.5))
    assert caught.value.__notes__ == [
        "gradcheck: raised by func with all parameters perturbed by 5.0e-01 of their size, in "
        "evaluation 2; the parameters are as they were"
    ]
    assert made.at_theta() == AT


def test_evaluations_are_numbered_by_what_was_evaluated():
    calls = []

    def func(params):
        calls.append(1)
        if params["W"][0, 0] > 1:
            raise ValueError
        if params["W"][0, 1] > 2:
            raise KeyError
        return weighed(params)

    made = evaluator(func)
    with pytest.raises(KeyError) as caught:
        made.sweep(0, [0, 1], np.array([[2.0, 0.0, 1.0], [3.0, 1.0, 1.0]]))
    assert len(calls) == 5  # one that left the domain, the question again, two more, and this one
    assert "with W[0, 1] perturbed, in evaluation 5;" in caught.value.__notes__[0]


def test_an_exception_that_does_not_repeat_itself_is_an_error_of_funcs():
    calls = []

    def flaky(params):
        calls.append(1)
        if len(calls) == 2:
            raise ValueError("once")
        return weighed(params)

    made = evaluator(flaky)
    with pytest.raises(ValueError, match="once") as caught:
        made.sweep(0, [1], np.array([[3.0, 1.0]]))
    # Three evaluations: one, the one that raised, the question whether it would again.
    assert made.evaluations == 2
    assert "in evaluation 3;" in caught.value.__notes__[0]
    assert made.domain_error is None

    def fickle(params):
        calls.append(1)
        raise ValueError("first") if len(calls) % 2 else KeyError("then")

    del calls[:]
    with pytest.raises(ValueError, match="first"):
        evaluator(fickle).along(np.ones(6), (1.0,))


def test_an_exception_before_the_first_evaluation_names_no_parameter():
    made = evaluator(weighed)
    made.quiet = lambda: 1 / 0
    with pytest.raises(ZeroDivisionError) as caught:
        made.sweep(0, [1], np.array([[3.0, 1.0]]))
    assert (
        "raised by func with a parameter perturbed, in evaluation 1;" in caught.value.__notes__[0]
    )
    assert made.evaluations == 0


class Parts:
    """A pool that returns these parts."""

    def __init__(self, *parts):
        self.parts = parts
        self.closed = 0
        self.asked = []

    def evaluate(self, made, move):
        if move.shift is None:
            self.asked.append((move.position, list(move.coordinates), move.values.tolist()))
        else:
            self.asked.append((move.shift.tolist(), move.values.tolist()))
        try:
            yield from self.parts
        finally:
            self.closed += 1

    def close(self):
        self.closed += 100


def test_what_a_pool_evaluated_is_counted_and_put_together():
    first, second = ValueError("first"), ValueError("second")
    pool = Parts(Part(np.array([[1.0, 2.0]]), 3, first), Part(np.array([[3.0, 4.0]]), 4, second))
    made = evaluator(weighed, pool=pool)
    asked = np.array([[3.0, 1.0], [2.0, 0.0]])
    assert made.sweep(0, [1, 0], asked).tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert made.evaluations == 7
    assert made.domain_error is first
    assert pool.asked == [(0, [1, 0], asked.tolist())]
    assert pool.closed == 1
    assert made.along(np.ones(6), (0.5, 0.25, 0.5, 0.25)).tolist() == [1.0, 2.0, 3.0, 4.0]
    assert pool.asked[1] == ([1.0] * 6, [0.5, 0.25, 0.5, 0.25])
    # One point is evaluated here.
    assert made.sweep(1, [1], np.array([[7.0]])).tolist() == [[AT + 1e5]]
    assert made.along(np.ones(6), (0.0,)).tolist() == [AT]
    assert len(pool.asked) == 2
    made.close()
    assert pool.closed == 102


def test_an_error_in_a_pool_is_raised_and_closes_it():
    raised = KeyError("there")
    pool = Parts(Part(np.array([1.0]), 2, None, raised), Part(np.array([1.0]), 2))
    made = evaluator(weighed, pool=pool)
    with pytest.raises(KeyError) as caught:
        made.along(np.ones(6), (0.5, 0.25))
    assert caught.value is raised
    assert made.evaluations == 2
    assert pool.closed == 1


def test_several_outputs_are_columns():
    made = evaluator(lambda p: p["b"] * p["W"][0, 0])
    made = Evaluator(Call(made.call, read=np.asarray, bits=lambda out: None), made.work)
    assert made.at_theta().tolist() == [5.0, 6.0]
    assert made.shape == (2,)
    asked = np.array([[2.0, 3.0], [0.0, 1.0]])
    found = made.sweep(1, [1, 0], asked)
    assert found.tolist() == [[[5.0, 2.0], [5.0, 3.0]], [[0.0, 6.0], [1.0, 6.0]]]
    assert made.along(np.array([1.0, 0, 0, 0, 0, 1.0]), (1.0,)).tolist() == [[10.0, 14.0]]
    assert made.evaluations == 6


def test_outside_the_domain_no_output_is_a_number():
    func = Below(ValueError)
    work = evaluator(func).work
    made = Evaluator(Call(lambda p: [func(p), 1.0], read=np.array, bits=lambda out: None), work)
    made.at_theta()
    found = made.sweep(0, [0], np.array([[2.0, 0.0]]))
    np.testing.assert_array_equal(found, [[[NAN, NAN], [AT - 1, 1.0]]])
    np.testing.assert_array_equal(made.along(np.ones(6), (1.0,)), [[NAN, NAN]])


def test_evaluators_of_one_check_share_what_they_may_spend():
    progress = Progress(3)
    work = evaluator(weighed).work
    one, other = (Evaluator(Call(weighed), work, progress) for _ in range(2))
    one.at_theta()
    other.along(np.ones(6), (0.5, 0.25))
    assert one.evaluations == other.evaluations == 3
    with pytest.raises(BudgetExhausted):
        one.at_theta()


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, [1, 3, 7, 15, 20]),  # twice as many each time
        (0.09, list(range(1, 21))),
        (0.02, [1, 3, 5, 7, 9, 11, 13, 15, 17, 19, 20]),
    ],
)
def test_progress_is_told_at_even_times_however_fast_func_is(monkeypatch, seconds, told):
    """Between half of 0.05 s and all of it; the clock moves by so many seconds with each row."""
    clock, seen, found = [0.0], [], []
    monkeypatch.setattr("pytest_gradcheck._evaluate.evaluator.perf_counter", lambda: clock[0])
    progress = Progress(tell=lambda done, planned, worst: seen.append(done))
    for row in progress.rows(range(20), found, 20):
        found.append(row)
        clock[0] += seconds
    assert seen == told


def test_progress_knows_what_the_whole_sweep_has_found():
    progress = Progress()
    progress.whole = 4
    progress.plan(4, lambda found: (np.arange(len(found)), np.array(found, float) * 2, "noise"))
    assert progress.so_far()[0].size == 0
    found = []
    list(progress.rows(range(2), found, 2))  # part of it
    found += [1.0, 2.0]
    assert progress.so_far()[0].size == 0
    found = []
    list(progress.rows(range(4), found, 4))
    found += [1.0, 2.0, 3.0]
    place, numeric, noise = progress.so_far()
    assert (place.tolist(), numeric.tolist(), noise) == ([0, 1, 2], [2.0, 4.0, 6.0], "noise")
    progress.conclude(np.array([9.0, 8.0, 7.0, 6.0]), dict)
    assert progress.so_far()[1].tolist() == [9.0, 8.0, 7.0]


def test_progress_is_told_of_half_as_many_rows_where_func_has_become_slow(monkeypatch):
    clock, seen, found = [0.0], [], []
    monkeypatch.setattr("pytest_gradcheck._evaluate.evaluator.perf_counter", lambda: clock[0])
    progress = Progress(tell=lambda done, planned, worst: seen.append(done))
    for row in progress.rows(range(24), found, 24):
        found.append(row)
        clock[0] += 0.0 if row < 7 else 0.06
    assert seen == [1, 3, 7, 15, 19, 21, 22, 23, 24]


def test_nobody_is_told_of_rows_that_nobody_asked_for():
    rows = range(3)
    assert Progress().rows(rows, [], 3) is rows


def test_what_was_evaluated_side_by_side_is_told_as_it_is():
    seen = []
    progress = Progress(tell=lambda done, planned, worst: seen.append((done, planned)))
    progress.plan(6, lambda found: (np.arange(len(found)), np.array(found, float), None))
    progress.evaluations = 2
    progress.gathered([1.0, 2.0])  # of no whole sweep
    assert seen == [(2, 6)]
    assert progress.so_far()[0].size == 0
    progress.whole = 6
    progress.gathered([1.0, 2.0])
    assert progress.so_far()[1].tolist() == [1.0, 2.0]
