"""pytest-run-parallel: one test, run by several threads at once."""

from collections import Counter

import pytest
from small_suite import SUITE, VERDICTS, checks, verdicts

THREADS = 4

SLOW = """
from pytest_gradcheck._gradient import check as gradient_check

gradient_check.WHOLE_AGAIN = -1.0  # as of a check that takes its time
"""


def test_every_thread_s_checks_are_recorded_and_none_is_another_s(suite, beside):
    suite.makepyfile(test_nn=SUITE)
    beside()
    alone = {check["nodeid"]: check for check in checks(suite)}
    result = beside(f"--parallel-threads={THREADS}", plugins=["run-parallel"])
    assert Counter(verdicts(suite)) == dict.fromkeys(VERDICTS, THREADS)
    # Each is the check that the test makes alone, to the last digit; gradcheck_rng alone is shared.
    # What a line should be is tried in the main thread alone.
    for line in (line for check in alone.values() for line in check["lines"]):
        line.update(role="", mended="")
    for check in checks(suite):
        for line in check["lines"]:
            assert line["role"] != "wrong"
            line.update(role="", mended="")
        assert check == alone[check["nodeid"]] or "test_drawn" in check["nodeid"]
    # It calls a failure an error.
    result.stdout.fnmatch_lines(
        ["*= 28 gradient checks, 12 failed =*", "*= 5 passed, 3 errors in *"]
    )
    result.stdout.fnmatch_lines(["All tests were run in parallel!*"])


def test_checks_that_differ_between_threads_are_not_mixed(suite, beside):
    suite.makepyfile(
        test_nn="""
        import numpy as np
        from pytest_gradcheck import check_gradients

        def check(check, thread_index, n):
            theta = np.full(3, 1.0 + thread_index)
            factor = 1 + 10 * n + thread_index
            def cost(theta):
                return factor * np.sum(theta**2)
            report = check(cost, 2 * factor * theta, theta)
            assert report.value == 3 * factor * (1 + thread_index) ** 2

        def test_plain(thread_index):
            for n in range(3):
                check(check_gradients, thread_index, n)

        def test_fixture(gradcheck, thread_index):
            for n in range(3):
                check(gradcheck, thread_index, n)

        def test_numeric(numerical_gradient, thread_index):
            theta = np.full(3, 1.0 + thread_index)
            numeric = numerical_gradient(lambda theta: np.sum(theta**2), theta)
            assert np.allclose(numeric, 2 * theta)
        """
    )
    result = beside(f"--parallel-threads={THREADS}", plugins=["run-parallel"])
    result.assert_outcomes(passed=3)
    values = sorted(
        3.0 * (1 + 10 * n + thread) * (1 + thread) ** 2
        for n in range(3)
        for thread in range(THREADS)
    )
    for name in ("test_plain", "test_fixture"):
        found = [check for check in checks(suite) if check["nodeid"].endswith(name)]
        assert sorted(check["value"] for check in found) == values
    assert len(checks(suite)) == 2 * len(values)


def test_a_failure_in_one_thread_fails_the_test(suite, beside):
    suite.makepyfile(
        test_nn="""
        import pytest
        from quadratic import cost, right, theta, wrong

        @pytest.mark.gradcheck(rtol=1e-5)
        def test_it(gradcheck, thread_index):
            gradcheck(cost, wrong if thread_index == 2 else right, theta)

        @pytest.mark.gradcheck(rtol=1e-5)
        def test_one_checks(gradcheck, thread_index):
            if thread_index == 2:
                gradcheck(cost, right, theta)

        @pytest.mark.gradcheck(rtol=1e-5)
        def test_none_checks(gradcheck): ...
        """
    )
    result = beside(f"--parallel-threads={THREADS}", plugins=["run-parallel"])
    result.stdout.fnmatch_lines_random(
        [
            "*_ ERROR at call of test_it _*",
            "E * GradientMismatch: params[[]1]: analytic -6 != numeric -4 (*",
            "*- gradcheck -*",
            "marker gradcheck(rtol=1e-05): no check used these options",
            "*= 5 gradient checks, 1 failed =*",
            "*= 1 passed, 2 errors in *",
        ]
    )
    assert Counter(verdicts(suite)) == {
        ("test_it", "agree"): 3,
        ("test_it", "disagree"): 1,
        ("test_one_checks", "agree"): 1,
    }


@pytest.mark.parametrize("how", ["--gradcheck-save=kept", "--gradcheck-html=page.html"])
def test_what_is_kept_of_failures_is_whole(suite, beside, how):
    if "html" in how:
        pytest.importorskip("jinja2")
        pytest.importorskip("matplotlib")
    suite.makepyfile(test_nn=SUITE)
    beside(how, f"--parallel-threads={THREADS}", plugins=["run-parallel"])
    if "save" in how:
        # Of each failing test, the check of every thread.
        assert len(list((suite.path / "kept").glob("*.npz"))) == 3 * THREADS
    else:
        page = (suite.path / "page.html").read_text(encoding="utf-8")
        assert page.count("test_wrong") >= THREADS
        assert page.count("<svg") >= 3 * THREADS


def test_what_was_wrong_is_remembered(suite, beside):
    suite.makeconftest(SLOW)
    suite.makepyfile(test_nn=SUITE)
    options = (f"--parallel-threads={THREADS}", "--lf")
    for _ in range(2):
        beside(*options, plugins=["run-parallel"], cache=True)
    # One thread's: which of them pytest shows is up to the threads.
    again = {check["nodeid"].split("::")[1] for check in checks(suite) if check["repeated"]}
    assert again == {"test_wrong", "test_plain"}
    failed = {
        "test_wrong": "disagree",
        "test_inconclusive": "inconclusive",
        "test_plain": "disagree",
    }
    assert dict(verdicts(suite)) == failed
