"""Tests that are reported more than once: reruns, subtests, unittest's subTest; async tests."""

import json

import pytest

PYTEST_9 = int(pytest.__version__.split(".")[0]) >= 9

RERUNS = """
    import pytest
    from _pytest.runner import runtestprotocol

    # What pytest-rerunfailures does with a test that failed.
    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        for attempt in (1, 2):
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
            failed = any(report.failed for report in reports)
            for report in reports:
                if report.failed and attempt == 1:
                    report.outcome = "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
            if not failed:
                break
            item._initrequest()
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
"""


def checks(suite):
    """Return node id and verdict of every check in the JSON file."""
    content = json.loads((suite.path / "checks.json").read_text())
    return [(check["nodeid"].split("::")[1], check["verdict"]) for check in content["checks"]]


def test_every_attempt_is_recorded(suite):
    suite.makeconftest(RERUNS)
    suite.makepyfile(
        test_nn="""
        import pytest
        from quadratic import cost, right, theta, wrong

        grads = [wrong, right]

        @pytest.mark.gradcheck(rtol=1e-5)
        def test_flaky(gradcheck):
            gradcheck(cost, grads.pop(0), theta)

        performed = [True, False]

        @pytest.mark.gradcheck(rtol=1e-5)
        def test_each_attempt_has_to_check(gradcheck):
            if performed.pop(0):
                gradcheck(cost, wrong, theta)
        """
    )
    result = suite.runpytest_inprocess("--gradcheck-json=checks.json")
    result.assert_outcomes(passed=1, failed=1)
    assert checks(suite) == [
        ("test_flaky", "disagree"),
        ("test_flaky", "agree"),
        ("test_each_attempt_has_to_check", "disagree"),
    ]
    result.stdout.fnmatch_lines(["*: no check used these options"])


@pytest.mark.extra("pytest_rerunfailures")
def test_with_pytest_rerunfailures_and_xdist(suite):
    pytest.importorskip("xdist")
    suite.makepyfile(
        test_nn="""
        from quadratic import cost, right, theta, wrong

        grads = [wrong, right]

        def test_flaky(gradcheck):
            gradcheck(cost, grads.pop(0), theta)
        """
    )
    result = suite.runpytest_subprocess("--reruns=1", "-n1", "--gradcheck-json=checks.json")
    result.assert_outcomes(passed=1)
    assert checks(suite) == [("test_flaky", "disagree"), ("test_flaky", "agree")]


SUBTESTS = """
    from quadratic import cost, right, theta, wrong

    def test_it(gradcheck, subtests):
        for name, grad in [("right", right), ("wrong", wrong)]:
            with subtests.test(name):
                gradcheck(cost, grad, theta)
        gradcheck(cost, right, theta)
"""


@pytest.mark.skipif(not PYTEST_9, reason="pytest 9 brought subtests")
@pytest.mark.parametrize("workers", [(), ("-n1",)], ids=["in process", "-n1"])
def test_subtests(suite, workers):
    suite.makepyfile(test_nn=SUBTESTS)
    run = suite.runpytest_subprocess if workers else suite.runpytest_inprocess
    result = run(*workers, "--gradcheck-json=checks.json")
    assert checks(suite) == [("test_it", verdict) for verdict in ("agree", "disagree", "agree")]
    result.stdout.fnmatch_lines(
        [
            "*_ test_it [[]wrong[]] _*",
            "E * GradientMismatch: params[[]1]: *",
            "*- gradcheck -*",
            "*= 3 gradient checks, 1 failed =*",
        ]
    )
    assert sum("- gradcheck -" in line for line in result.outlines) == 1


def test_subtest_of_unittest(suite):
    suite.makepyfile(
        test_nn="""
        import unittest
        from quadratic import cost, right, theta, wrong
        from pytest_gradcheck import assert_gradients_close

        class TestUnit(unittest.TestCase):
            def test_it(self):
                for grad in (right, wrong):
                    with self.subTest(grad.__name__):
                        assert_gradients_close(cost, grad, theta)
        """
    )
    result = suite.runpytest_inprocess("--gradcheck-json=checks.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert checks(suite) == [("TestUnit", "agree"), ("TestUnit", "disagree")]


def test_an_async_test_in_a_loop_that_outlives_it(suite):
    # The loop keeps the context of the test that opened it, as session-wide loops do.
    suite.makeconftest(
        """
        import asyncio
        import inspect
        import pytest

        @pytest.fixture(scope="session")
        def runner():
            with asyncio.Runner() as runner:
                runner.get_loop()
                yield runner

        @pytest.hookimpl(tryfirst=True)
        def pytest_pyfunc_call(pyfuncitem):
            if inspect.iscoroutinefunction(pyfuncitem.obj):
                runner = pyfuncitem.funcargs["runner"]
                names = inspect.signature(pyfuncitem.obj).parameters
                runner.run(pyfuncitem.obj(**{n: pyfuncitem.funcargs[n] for n in names}))
                return True
        """
    )
    suite.makepyfile(
        test_nn="""
        import pytest
        from quadratic import cost, right, theta
        from pytest_gradcheck import assert_gradients_close

        async def test_first(runner):
            assert_gradients_close(cost, right, theta)

        async def test_second(runner):
            assert_gradients_close(cost, right, theta)

        @pytest.mark.gradcheck(rtol=1e-5)
        async def test_third(runner, gradcheck):
            gradcheck(cost, right, theta)
        """
    )
    suite.runpytest_inprocess("--gradcheck-json=checks.json").assert_outcomes(passed=3)
    assert checks(suite) == [
        (name, "agree") for name in ("test_first", "test_second", "test_third")
    ]
