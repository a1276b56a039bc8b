"""Other people's plugins, one at a time: a suite's outcomes, records and numbers stay the same."""

import json
import re

import pytest
from small_suite import OUTCOMES, SUITE, SUMMARY, VERDICTS, checks, need_plugin, verdicts


@pytest.fixture
def user(suite):
    suite.makepyfile(test_nn=SUITE)
    return suite


def everything_is_there(user, result):
    result.assert_outcomes(**OUTCOMES)
    assert verdicts(user) == VERDICTS
    result.stdout.fnmatch_lines_random(SUMMARY)
    # Maps of what is partly wrong; what is open everywhere has none.
    assert sum("- gradcheck -" in line for line in result.outlines) == 2


# pytest-randomly


def test_a_random_order_with_reseeding_changes_no_number(user, beside):
    beside()
    alone = {check["nodeid"]: check for check in checks(user)}
    orders = set()
    for seed in ("1", "2"):
        result = beside(f"--randomly-seed={seed}", plugins=["randomly"])
        result.assert_outcomes(**OUTCOMES)
        found = checks(user)
        # The draws of gradcheck_rng are among the numbers.
        assert {check["nodeid"]: check for check in found} == alone
        orders.add(tuple(check["nodeid"] for check in found))
    assert len(orders) == 2


def test_reseeding_hides_no_func_that_draws(suite, beside):
    # pytest-randomly reseeds before each phase of a test, not between two calls of func.
    suite.makepyfile(
        test_nn="""
        import random
        import numpy as np
        from quadratic import cost, right, theta

        def test_numpy(gradcheck):
            gradcheck(lambda x: cost(x) + 1e-3 * np.random.rand(), right, theta, rtol=1e-6)

        def test_python(gradcheck):
            gradcheck(lambda x: cost(x) + 1e-3 * random.random(), right, theta, rtol=1e-6)
        """
    )
    for plugins in ([], ["randomly"]):
        result = beside(plugins=plugins)
        result.assert_outcomes(failed=2)
        assert sum("does not repeat itself" in line for line in result.outlines) >= 2


def test_checks_leave_the_draws_of_a_reseeded_suite_as_they_are(suite, beside):
    suite.makepyfile(
        test_nn="""
        import random
        import numpy as np
        from pytest_gradcheck import check_gradients
        from quadratic import cost, theta, wrong

        def test_it(request):
            if request.config.getoption("verbose"):
                check_gradients(cost, wrong, theta)
            print("drew", random.random(), np.random.rand())
        """
    )
    drawn = set()
    for flag in ("-s", "-sv"):
        result = beside(flag, "--randomly-seed=7", plugins=["randomly"])
        result.assert_outcomes(passed=1)
        drawn |= set(re.findall(r"drew \S+ \S+", result.stdout.str()))
    assert len(drawn) == 1


# pytest-timeout


def test_a_check_that_hangs_is_stopped_and_leaves_the_arrays_as_they_were(suite, beside):
    suite.makepyfile(
        test_nn="""
        import threading
        import numpy as np
        import pytest
        from quadratic import cost, right, theta

        weights = np.array([1.0, 2.0, 3.0])

        def loss():
            if weights[1] != 2.0:
                threading.Event().wait()
            return np.sum(weights**2)

        def test_before(gradcheck):
            gradcheck(cost, right, theta)

        @pytest.mark.timeout(1, method="signal")
        def test_hangs(gradcheck):
            gradcheck(loss, lambda: 2 * weights, weights, in_place=True)

        def test_after(gradcheck):
            assert weights.tolist() == [1.0, 2.0, 3.0]
            gradcheck(cost, right, theta)
        """
    )
    result = beside(plugins=["timeout"])
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_nn.py::test_hangs - Failed: Timeout (>1.0s)*"])
    assert verdicts(suite) == [("test_before", "agree"), ("test_after", "agree")]


def test_nothing_changes_where_no_timeout_passes(user, beside):
    everything_is_there(user, beside("--timeout=300", plugins=["timeout"]))


# Terminals: pytest-sugar, pytest-rich


def test_sugar_keeps_sections_and_summary(user, beside):
    result = beside("--force-sugar", plugins=["sugar"])
    assert verdicts(user) == VERDICTS
    plain = pytest.LineMatcher([re.sub(r"\x1b\[[0-9;]*m", "", line) for line in result.outlines])
    plain.fnmatch_lines_random([*SUMMARY, "*5 passed", "*3 failed"])
    assert sum("- gradcheck -" in line for line in plain.lines) == 2


@pytest.fixture
def terminal(suite, in_terminal, monkeypatch):
    """Return a function that runs pytest in a terminal, drawing all the time, with one plugin."""
    from terminals import AT_ONCE

    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS")
    suite.makeconftest(AT_ONCE)
    suite.makepyfile(test_nn=SUITE)

    def run(plugin, *args):
        need_plugin(plugin)
        return in_terminal("-p", "gradcheck", "-p", plugin, "-p", "no:cacheprovider", *args)

    return run


def test_sugar_and_the_live_line_share_a_terminal(terminal):
    from terminals import screen

    written = terminal("sugar")
    assert re.search(r"gradcheck: \d+ of about \d+ evaluations, ", written)
    shown = pytest.LineMatcher(screen(written))
    shown.fnmatch_lines([" test_nn.py ✓*", SUMMARY[0], "*5 passed", "*3 failed"])
    assert not any(line.startswith("gradcheck: ") for line in shown.lines)


def test_rich_shows_failures_and_sections(suite, terminal):
    # It replaces the terminal's reporter, whose summaries of plugins it does not ask for.
    written = terminal("rich", "--rich", "--gradcheck-json=checks.json")
    assert verdicts(suite) == VERDICTS
    for expected in ("GradientMismatch: params[1]: ", "x tolerance: ", "3 undecided: "):
        assert expected in re.sub(r"\x1b\[[\d;]*m", "", written)  # numbers have a colour
    assert "evaluations, " not in written.split("FAILURES")[0]


# pytest-json-report


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["in process", "-n2"])
def test_json_report(user, beside, workers):
    plugins = ["metadata", "pytest_jsonreport", *(["xdist"] if workers else [])]
    options = ("--json-report", "--json-report-file=report.json")
    result = beside(*options, *workers, plugins=plugins)
    result.assert_outcomes(**OUTCOMES)
    assert sorted(verdicts(user)) == sorted(VERDICTS)
    report = json.loads((user.path / "report.json").read_text(encoding="utf-8"))
    assert report["summary"]["passed"] == OUTCOMES["passed"]
    assert report["summary"]["failed"] == OUTCOMES["failed"]
    calls = {test["nodeid"].split("::")[1]: test["call"] for test in report["tests"]}
    assert calls["test_wrong"]["crash"]["message"].startswith(
        "GradientMismatch: params[1]: analytic -6 != numeric -4"
    )
    assert "3 of 3 can't be told" in calls["test_inconclusive"]["longrepr"]


# pytest-cov


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["in process", "-n2"])
def test_cov(user, beside, workers):
    result = beside(
        *("--cov=quadratic", "--cov-branch", "--cov-report=term"),
        *workers,
        plugins=["pytest_cov", *(["xdist"] if workers else [])],
    )
    result.assert_outcomes(**OUTCOMES)
    assert sorted(verdicts(user)) == sorted(VERDICTS)
    result.stdout.fnmatch_lines_random([*SUMMARY, "quadratic.py * 100%"])
    assert "arning" not in result.stdout.str() + result.stderr.str()


def test_cov_sees_what_runs_in_worker_threads(suite, beside):
    suite.makepyfile(
        test_nn="""
        import quadratic

        def test_it(gradcheck):
            gradcheck(quadratic.cost, quadratic.right, quadratic.theta, workers=2)
        """
    )
    result = beside("--cov=quadratic", "--cov-report=term-missing", plugins=["pytest_cov"])
    result.assert_outcomes(passed=1)
    # The body of `wrong` alone.
    result.stdout.fnmatch_lines(["quadratic.py * 70% * 12-14"])


# pytest-mock


def test_mock(suite, beside):
    suite.makepyfile(
        test_nn="""
        import quadratic
        from quadratic import right, theta

        def test_spy(gradcheck, mocker):
            spy = mocker.spy(quadratic, "cost")
            report = gradcheck(quadratic.cost, right, theta)
            assert spy.call_count == report.evaluations

        def test_patched(gradcheck, mocker):
            mocker.patch("quadratic.right", return_value=3 * theta)
            gradcheck(quadratic.cost, quadratic.right, theta)

        def test_restored(gradcheck):
            gradcheck(quadratic.cost, quadratic.right, theta)
        """
    )
    result = beside(plugins=["pytest_mock"])
    result.assert_outcomes(passed=2, failed=1)
    assert [verdict for _, verdict in verdicts(suite)] == ["agree", "disagree", "agree"]


# hypothesis


@pytest.mark.long
def test_given_with_the_fixture(suite, beside):
    suite.makepyfile(
        test_nn="""
        import numpy as np
        from hypothesis import HealthCheck, given, settings
        from pytest_gradcheck.strategies import points

        quick = settings(max_examples=5, derandomize=True, database=None, deadline=None)

        @quick
        @given(points((2,), low=0.5, high=2.0))
        def test_refused(gradcheck, x):
            gradcheck(lambda x: np.sum(x**2), lambda x: 2 * x, x)

        @settings(quick, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(points((2,), low=0.5, high=2.0))
        def test_right(gradcheck, x):
            gradcheck(lambda x: np.sum(x**2), lambda x: 2 * x, x)

        @settings(quick, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(points((2,), low=0.5, high=2.0))
        def test_wrong(gradcheck, x):
            gradcheck(lambda x: np.sum(x**2), lambda x: 3 * x, x)
        """
    )
    result = beside(plugins=["hypothesispytest"])
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines_random(
        [
            "*FailedHealthCheck: *'test_nn.py::test_refused' uses a function-scoped fixture*",
            "*suppress_health_check=[[]HealthCheck.function_scoped_fixture[]]*",
            "FAILED test_nn.py::test_wrong - GradientMismatch: params*",
        ]
    )
    found = verdicts(suite)
    assert found.count(("test_right", "agree")) == 5
    assert {one for one in found if one[0] != "test_right"} == {("test_wrong", "disagree")}


# pytest-rerunfailures, pytest-xdist and pytest-randomly together


def test_reruns_in_a_random_order_on_workers(suite, beside):
    suite.makepyfile(
        test_nn="""
        import pytest
        from quadratic import cost, right, theta, wrong

        grads = [wrong, right]

        @pytest.mark.flaky(reruns=1)
        def test_flaky(gradcheck):
            gradcheck(cost, grads.pop(0), theta)

        @pytest.mark.parametrize("n", range(5))
        def test_right(gradcheck, n):
            gradcheck(cost, right, theta)
        """
    )
    result = beside("-n2", plugins=["xdist", "rerunfailures", "randomly"])
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*= 6 passed, 1 rerun in *"])
    found = verdicts(suite)
    assert sorted(found) == [
        ("test_flaky", "agree"),
        ("test_flaky", "disagree"),
        *((f"test_right[{n}]", "agree") for n in range(5)),
    ]
    assert [verdict for test, verdict in found if test == "test_flaky"] == ["disagree", "agree"]
