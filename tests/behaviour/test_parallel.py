"""`workers`: results are those of a serial check, bit for bit, and what goes wrong is named."""

import gc
import itertools
import multiprocessing
import os
import pickle
import sys
import threading
import time
import types
import warnings
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pooled
import pytest

from pytest_gradcheck import (
    GradientMismatch,
    Options,
    assert_gradients_close,
    check_gradients,
    check_hessian,
    check_jacobian,
    check_vjp,
    numerical_gradient,
    numerical_gradient_with_error,
)
from pytest_gradcheck._evaluate import evaluator
from pytest_gradcheck._options import validated


@pytest.fixture(scope="module")
def processes():
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context) as executor:
        yield executor


def known(report):
    return {k: v for k, v in report.to_dict().items() if k != "seconds"}


def bits(structure):
    return pickle.dumps([structure["W"].tobytes(), structure["b"][0].tobytes(), structure["b"][1]])


class Counting:
    """A map-like callable that remembers how many parts it was given."""

    def __init__(self):
        self.parts = []

    def __call__(self, function, parts):
        self.parts.append(len(parts))
        return [function(part) for part in parts]


# The same results


class Pool:
    """Everything that `workers` takes, by name."""

    def __init__(self, processes):
        self.threads = ThreadPoolExecutor(3)
        self.named = {"threads": self.threads, "processes": processes, "map": map, "two": 2}

    def __iter__(self):
        return iter(self.named.values())


@pytest.fixture(scope="module")
def everybody(processes):
    pool = Pool(processes)
    yield pool
    pool.threads.shutdown()


@pytest.mark.parametrize("jac", [pooled.layer_jacobian, pooled.wrong_layer_jacobian])
@pytest.mark.parametrize("func", [pooled.layer, pooled.outside])
def test_jacobians_are_the_same_wherever_they_are_evaluated(everybody, func, jac):
    serial = check_jacobian(func, jac, pooled.params())
    for workers in everybody:
        report = check_jacobian(func, jac, pooled.params(), workers=workers)
        assert known(report) == known(serial)


def test_combinations_of_outputs_are_the_same_wherever_they_are_evaluated(everybody):
    x = np.linspace(-1, 1, 60)
    serial = check_vjp(pooled.many, pooled.many_vjp, x, max_evals=130)
    assert "60 outputs in 1 random combinations (seed 0)" in serial.patterns
    assert serial.worst[0].label == "params[7]"
    for workers in everybody:
        report = check_vjp(pooled.many, pooled.many_vjp, x, max_evals=130, workers=workers)
        assert known(report) == known(serial)


@pytest.mark.parametrize("grad", [None, pooled.logarithm_gradient])
def test_hessians_are_the_same_wherever_they_are_evaluated(everybody, grad):
    x = np.array([1.0, 2.0, -0.5])
    serial = check_hessian(pooled.logarithm, np.eye(3), x, grad=grad)
    assert serial.verdict == "disagree"
    for workers in everybody:
        report = check_hessian(pooled.logarithm, np.eye(3), x, grad=grad, workers=workers)
        assert known(report) == known(serial)


@pytest.mark.usefixtures("real_clock")
def test_a_jacobian_is_evaluated_side_by_side():
    threads = set()

    def func(x):
        threads.add(threading.get_ident())
        time.sleep(0.001)
        return np.sin(x)

    x = np.linspace(0, 1, 20)
    assert check_jacobian(func, np.diag(np.cos(x)), x, workers=3).ok
    assert len(threads) > 2


@pytest.mark.parametrize("grad", [pooled.gradient, pooled.wrong_gradient])
def test_reports_are_the_same_for_any_number_of_threads(grad):
    serial = check_gradients(pooled.slow_cost, grad, pooled.params())
    for workers in (2, 3, -1):
        report = check_gradients(pooled.slow_cost, grad, pooled.params(), workers=workers)
        assert known(report) == known(serial)


def test_gradients_are_the_same_bit_for_bit_wherever_they_are_evaluated(processes):
    serial = numerical_gradient(pooled.slow_cost, pooled.params())
    threads = ThreadPoolExecutor(3)
    for workers in (1, 2, 3, map, Counting(), threads, processes):
        found = numerical_gradient(pooled.slow_cost, pooled.params(), workers=workers)
        assert bits(found) == bits(serial)
    threads.shutdown()


def test_processes_check_as_the_calling_thread_does(processes):
    for grad in (pooled.gradient, pooled.wrong_gradient):
        serial = check_gradients(pooled.cost, grad, pooled.params())
        assert known(check_gradients(pooled.cost, grad, pooled.params(), workers=processes)) == (
            known(serial)
        )


def test_calls_of_all_kinds_reach_other_processes(processes):
    params = pooled.params()
    assert check_gradients(pooled.both, True, params, has_aux=True, copy=True, workers=processes).ok
    cube = numerical_gradient(pooled.cost, params, args=(3,))
    assert bits(numerical_gradient(pooled.cost, params, args=(3,), workers=processes)) == bits(cube)
    narrow = {"W": params["W"].astype(np.float32), "b": params["b"]}
    report = check_gradients(pooled.cost, pooled.gradient, narrow, workers=processes)
    assert known(report) == known(check_gradients(pooled.cost, pooled.gradient, narrow))


def test_error_bars_are_the_same():
    serial = numerical_gradient_with_error(pooled.cost, pooled.params())
    threads = numerical_gradient_with_error(pooled.cost, pooled.params(), workers=2)
    assert [bits(part) for part in threads] == [bits(part) for part in serial]


def test_a_check_along_directions_is_the_same():
    theta = np.linspace(0.5, 1.5, 3000)
    wrong = 2 * theta
    wrong[1234] *= 1.1

    def cost(x):
        return float(np.sum(x**2))

    serial = check_gradients(cost, wrong, theta)
    assert serial.worst[0].label == "params[1234]"
    assert known(check_gradients(cost, wrong, theta, workers=3)) == known(serial)


def clock(seconds):
    """Return a clock that shows so many seconds more at every look."""
    return itertools.count(step=seconds).__next__


@pytest.mark.parametrize(
    ("seconds", "parts"),
    [
        (1e-6, 1),  # 1,000 coordinates, of two calls each, in the 2 ms that a part is to last
        (1e-5, 5),
        (1e-3, 63),  # of eight coordinates: each of 16 workers has four parts
        (0.2, 500),  # two coordinates would last longer than half a second
    ],
)
def test_work_goes_out_in_parts_by_what_a_call_of_func_costs(monkeypatch, seconds, parts):
    monkeypatch.setattr(evaluator, "perf_counter", clock(seconds))
    counted = Counting()
    theta = np.linspace(1, 2, 500)
    check_gradients(lambda x: x @ x, 2 * theta, theta, workers=counted)
    assert max(counted.parts) == parts


def test_every_thread_has_a_copy_of_its_own():
    theta = np.linspace(1, 2, 40)
    seen = set()

    def cost(x):
        before = x.copy()
        seen.add(threading.get_ident())
        time.sleep(0.0005)
        assert np.array_equal(x, before), "another thread wrote to these parameters"
        assert np.count_nonzero(x != theta) in (0, 1, 40)
        return float(x @ x)

    assert check_gradients(cost, 2 * theta, theta, workers=4).ok
    assert len(seen) > 1
    assert np.array_equal(theta, np.linspace(1, 2, 40))


def wait_for_threads():
    """Wait until every thread of ours has ended; one that doesn't is an error."""
    for thread in threading.enumerate():
        if thread.name.startswith("gradcheck"):
            thread.join(timeout=60)
            assert not thread.is_alive()


def test_threads_end_with_the_check():
    check_gradients(pooled.slow_cost, pooled.gradient, pooled.params(), workers=2)
    gc.collect()
    wait_for_threads()


def test_the_users_executor_stays_open():
    with ThreadPoolExecutor(2) as executor:
        check_gradients(pooled.cost, pooled.gradient, pooled.params(), workers=executor)
        assert executor.submit(int, "7").result() == 7


# Budget and domain


@pytest.mark.parametrize("most", [8, 30, 60, 200])
def test_max_evals_holds(most):
    kwargs = {"max_evals": most, "inconclusive": "pass"}
    serial = check_gradients(pooled.cost, pooled.wrong_gradient, pooled.params(), **kwargs)
    report = check_gradients(
        pooled.cost, pooled.wrong_gradient, pooled.params(), workers=2, **kwargs
    )
    assert report.evaluations <= most
    assert known(report) == known(serial)


@pytest.mark.parametrize("most", [None, 12, 16, 20, 24, 28, 40])
def test_points_outside_the_domain_are_the_same(most):
    theta = np.array([1e-6, 1.0, 2.0, 3.0, 0.0])

    def cost(x):
        if (x < 0).any():
            raise ValueError("negative")
        return float(np.sum(x * np.sqrt(x)))

    grad = 1.5 * np.sqrt(theta)
    kwargs = {"inconclusive": "pass", "vacuous": "pass", "max_evals": most}
    serial = check_gradients(cost, grad, theta, **kwargs)
    calls = Counting()
    assert known(check_gradients(cost, grad, theta, workers=calls, **kwargs)) == (known(serial))
    assert calls.parts


# What goes wrong


def failing(x):
    if x[7] != 1.0:
        raise KeyError("seven")
    return float(x @ x)


def test_exceptions_carry_the_notes_of_a_serial_check():
    notes = []
    for workers in (1, 2, map):
        with pytest.raises(KeyError, match="seven") as caught:
            check_gradients(failing, np.ones(9), np.ones(9), eps=1e-6, workers=workers)
        notes.append(caught.value.__notes__)
    assert notes[0] == notes[1] == notes[2]
    assert "params[7] perturbed, in evaluation 17" in notes[0][0]


def test_exceptions_from_another_process_carry_their_traceback(processes):
    with pytest.raises(KeyError, match="absent") as caught:
        check_gradients(
            pooled.raises_key_error, pooled.gradient, pooled.params(), eps=1e-6, workers=processes
        )
    label, trace = caught.value.__notes__
    assert "W[1, 2] perturbed, in evaluation 17" in label
    assert "raised in a worker process" in trace
    assert "in raises_key_error" in trace


def test_an_exception_that_cannot_be_pickled_arrives_under_its_name(processes):
    with pytest.raises(RuntimeError, match=r"pooled\.OfTwoError: no way") as caught:
        check_gradients(
            pooled.raises_of_two, pooled.gradient, pooled.params(), eps=1e-6, workers=processes
        )
    assert "W[0, 2] perturbed" in caught.value.__notes__[0]


def test_a_func_that_writes_to_its_parameters_is_told_so():
    def cost(x):
        if x[3] != 1.0:
            x[0] = 5.0
        return float(x @ x)

    with pytest.raises(ValueError, match="func changed its parameters"):
        check_gradients(cost, np.full(9, 2.0), np.ones(9), eps=1e-6, workers=2)


def test_a_process_that_dies_is_reported(monkeypatch):
    monkeypatch.setenv(pooled.HOME, str(os.getpid()))
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(1, mp_context=context) as executor,
        pytest.raises(RuntimeError, match="a worker process died") as caught,
    ):
        check_gradients(
            pooled.ends_process, pooled.gradient, pooled.params(), eps=1e-6, workers=executor
        )
    assert "W[0, 0] to W[" in str(caught.value)
    assert "leave out workers" in str(caught.value)


def test_what_cannot_be_pickled_is_named(processes):
    def local(p):
        return pooled.cost(p)

    for func, words in (
        (lambda p: pooled.cost(p), "is a lambda"),
        (local, "local is defined inside another function"),
    ):
        with pytest.raises(TypeError, match=r"func can't be sent to another process") as caught:
            check_gradients(func, pooled.gradient, pooled.params(), workers=processes)
        assert words in str(caught.value)
        assert "workers=2" in str(caught.value)
    with pytest.raises(TypeError, match=r"args can't be sent to another process"):
        numerical_gradient(pooled.cost_beside, pooled.params(), args=(LOCK,), workers=processes)


LOCK = threading.Lock()


def test_a_func_that_the_worker_cannot_import_is_no_silent_death(processes, monkeypatch):
    module = types.ModuleType("only_here")
    exec("def cost(p):\n    return p @ p", vars(module))
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(ModuleNotFoundError, match="only_here") as caught:
        check_gradients(module.cost, np.full(3, 2.0), np.ones(3), workers=processes)
    assert "its module must be importable there" in caught.value.__notes__[0]
    assert check_gradients(pooled.cost, pooled.gradient, pooled.params(), workers=processes).ok


def test_a_multiprocessing_pool():
    serial = numerical_gradient(pooled.cost, pooled.params())
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = numerical_gradient(pooled.cost, pooled.params(), workers=pool.map)
        assert bits(found) == bits(serial)
        with pytest.raises(TypeError, match="is a lambda; define it with def"):
            numerical_gradient(lambda p: pooled.cost(p), pooled.params(), workers=pool.map)


def test_a_checks_warnings_stay_inside():
    def cost(x):
        if x[0] != 1.0:
            warnings.warn("away from the parameters", stacklevel=2)
            np.log(np.zeros(1))
        return float(x @ x)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        before = list(warnings.filters)
        assert check_gradients(cost, np.full(9, 2.0), np.ones(9), workers=3).ok
        assert warnings.filters == before
    assert [str(warning.message) for warning in caught] == []


def test_ctrl_c_ends_the_check():
    calls = []

    def cost(x):
        calls.append(0)
        time.sleep(0.003)  # all 800 of them would take a second, of two threads
        if x[20] != 1.0:
            raise KeyboardInterrupt
        return float(x @ x)

    with pytest.raises(KeyboardInterrupt):
        check_gradients(cost, np.full(400, 2.0), np.ones(400), eps=1e-6, workers=2)
    wait_for_threads()
    assert len(calls) < 400


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        (0, "number of threads"),
        (-2, "number of threads"),
        (2.5, "number of threads"),
        (True, "number of threads"),
        ("2", "number of threads"),
        (ThreadPoolExecutor, "not <class"),
        (object(), "number of threads"),
    ],
)
def test_bad_workers(workers, words):
    with pytest.raises((TypeError, ValueError), match=words):
        validated({"workers": workers}, "here")


def test_a_dask_client_is_told_what_to_pass():
    class Client:
        def get_executor(self):
            raise AssertionError

    with pytest.raises(TypeError, match=r"client\.get_executor\(\)"):
        validated({"workers": Client()}, "here")


def test_unset_is_one():
    assert validated({"workers": None}, "here") == {"workers": 1}
    assert Options().workers == 1


@pytest.mark.parametrize("broken", [lambda f, jobs: [], lambda f, jobs: [1 for _ in jobs]])
def test_a_callable_that_is_not_like_map_is_named(broken):
    with pytest.raises(TypeError, match="map-like"):
        check_gradients(pooled.cost, pooled.gradient, pooled.params(), workers=broken)


def test_combinations_that_cannot_be():
    theta = np.ones(3)
    with pytest.raises(ValueError, match="in_place=True: workers"):
        check_gradients(lambda: theta @ theta, 2 * theta, theta, in_place=True, workers=2)
    with pytest.raises(ValueError, match='scheme="complex"'):
        check_gradients(lambda x: x @ x, 2 * theta, theta, scheme="complex", workers=2)


def test_a_mismatch_is_raised_from_workers_too():
    with pytest.raises(GradientMismatch, match=r"W\[2, 3\]"):
        assert_gradients_close(pooled.cost, pooled.wrong_gradient, pooled.params(), workers=2)


def test_the_marker_takes_workers_and_vectorized(suite):
    suite.makepyfile(
        """
        import numpy as np, pytest
        from quadratic import cost, right, theta

        @pytest.mark.gradcheck(workers=2)
        def test_workers(gradcheck):
            gradcheck(cost, right, theta)

        @pytest.mark.gradcheck(vectorized=True, workers=map)
        def test_vectorized(gradcheck, numerical_gradient):
            gradcheck(lambda x: np.sum(x**2, axis=1), right, theta)

        def test_the_engine(numerical_gradient):
            found = numerical_gradient(cost, theta, workers=2)
            assert np.allclose(found, right(theta))
        """
    )
    suite.runpytest("-W", "error").assert_outcomes(passed=3)


# A real cluster


@pytest.fixture(scope="module")
def dask_executor(tmp_path_factory):
    """Two processes of Dask's, which sends a part out once more when one of them dies."""
    import dask
    import distributed

    with (
        pytest.MonkeyPatch.context() as patch,
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
    ):
        patch.setenv(pooled.HOME, str(os.getpid()))
        patch.setenv(pooled.ONCE, str(tmp_path_factory.mktemp("dask") / "died"))
        with (
            distributed.LocalCluster(
                n_workers=2, threads_per_worker=1, dashboard_address="127.0.0.1:0", host="127.0.0.1"
            ) as cluster,
            distributed.Client(cluster) as client,
        ):
            yield client.get_executor()
            # Dask starts workers anew that were killed, and can't close them until it has.
            client.wait_for_workers(2, timeout=60)


@pytest.mark.extra("distributed")
@pytest.mark.filterwarnings("default")  # Dask's own
class TestDask:
    def test_results_are_the_same(self, dask_executor):
        serial = check_gradients(pooled.slow_cost, pooled.wrong_gradient, pooled.params())
        report = check_gradients(
            pooled.slow_cost, pooled.wrong_gradient, pooled.params(), workers=dask_executor
        )
        assert known(report) == known(serial)

    def test_it_pickles_lambdas(self, dask_executor):
        report = check_gradients(
            lambda p: pooled.cost(p), pooled.gradient, pooled.params(), workers=dask_executor
        )
        assert report.ok

    def test_exceptions_arrive(self, dask_executor):
        with pytest.raises(KeyError, match="absent") as caught:
            check_gradients(
                pooled.raises_key_error,
                pooled.gradient,
                pooled.params(),
                eps=1e-6,
                workers=dask_executor,
            )
        assert "W[1, 2] perturbed, in evaluation 17" in caught.value.__notes__[0]

    def test_a_killed_workers_part_is_sent_again(self, dask_executor):
        serial = check_gradients(pooled.cost, pooled.gradient, pooled.params(), eps=1e-6)
        report = check_gradients(
            pooled.ends_process_once,
            pooled.gradient,
            pooled.params(),
            eps=1e-6,
            workers=dask_executor,
        )
        assert Path(os.environ[pooled.ONCE]).exists()
        assert known(report) | {"name": ""} == known(serial) | {"name": ""}

    def test_a_worker_that_is_killed_again_is_reported(self, dask_executor):
        with pytest.raises(RuntimeError, match="a worker process died") as caught:
            check_gradients(
                pooled.ends_process,
                pooled.gradient,
                pooled.params(),
                eps=1e-6,
                workers=dask_executor,
            )
        assert "KilledWorker" in str(caught.value)
