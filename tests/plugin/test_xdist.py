"""pytest-xdist: what the workers find out is known where the session ends."""

import json

import pytest

pytest.importorskip("xdist")

TESTS = """
    import pytest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import assert_gradients_close

    @pytest.mark.gradcheck(rtol=1e-5)
    @pytest.mark.parametrize("n", range(4))
    def test_right(gradcheck, n):
        assert gradcheck(cost, right, theta).max_report == 3

    def test_wrong(gradcheck):
        gradcheck(cost, wrong, theta)

    def test_plain():
        assert_gradients_close(cost, wrong, theta)

    @pytest.mark.gradcheck(rtoll=1)
    def test_misuse(gradcheck): ...

    def test_skipped(request):
        pytest.skip("not today")
"""


def test_summary_json_and_failures_reach_the_controller(suite):
    suite.makepyfile(test_nn=TESTS)
    args = ("--gradcheck-summary=all", "--gradcheck-max-report=3", "--gradcheck-json=checks.json")
    result = suite.runpytest_subprocess("-n2", *args)
    result.assert_outcomes(passed=4, failed=2, errors=1, skipped=1)
    result.stdout.fnmatch_lines_random(
        [
            "gradcheck, for its fixtures only: max_report=3",
            "*- gradcheck -*",
            "E       GradientMismatch: params[[]1]: analytic -6 != numeric -4 (*",
            "*= 6 gradient checks, 2 failed =*",
            "test_right[[]0] cost *3 agree *",
            "test_wrong cost *1 of 3 wrong *",
            "test_plain cost *1 of 3 wrong *",
            "marker gradcheck: no option named rtoll; did you mean rtol[?]",
        ]
    )
    # Once, and not once per process.
    assert sum("gradient checks," in line for line in result.outlines) == 1
    content = json.loads((suite.path / "checks.json").read_text())
    assert sorted((check["nodeid"], check["ok"]) for check in content["checks"]) == [
        ("test_nn.py::test_plain", False),
        *((f"test_nn.py::test_right[{n}]", True) for n in range(4)),
        ("test_nn.py::test_wrong", False),
    ]


def test_the_workers_write_nothing(suite):
    suite.makeconftest(
        """
        from pathlib import Path
        import pytest

        @pytest.hookimpl(trylast=True)
        def pytest_sessionfinish(session):
            if hasattr(session.config, "workerinput"):
                Path("worker.txt").write_text(str(Path("checks.json").exists()))
        """
    )
    suite.makepyfile("def test_it(gradcheck):\n    gradcheck(lambda p: p, 1.0, 2.0)")
    result = suite.runpytest_subprocess("-n1", "--gradcheck-json=checks.json")
    result.assert_outcomes(passed=1)
    assert (suite.path / "worker.txt").read_text() == "False"
    assert (suite.path / "checks.json").exists()


def test_a_crashed_worker_loses_nothing_else(suite):
    suite.makepyfile(
        test_crash="""
        import os
        import pytest
        from quadratic import cost, right, theta

        @pytest.mark.parametrize("n", range(6))
        def test_it(gradcheck, n):
            gradcheck(cost, right, theta)
            if n == 2:
                os._exit(1)
        """
    )
    result = suite.runpytest_subprocess("-n1", "--gradcheck-json=checks.json")
    result.assert_outcomes(passed=5, failed=1)
    content = json.loads((suite.path / "checks.json").read_text())
    assert sorted(check["nodeid"][-3:] for check in content["checks"]) == [
        f"[{n}]" for n in (0, 1, 3, 4, 5)
    ]


def test_skip_is_heard_on_the_workers(suite):
    suite.makepyfile(test_nn=TESTS)
    result = suite.runpytest_subprocess("-n1", "--gradcheck-skip", "-rs")
    result.assert_outcomes(skipped=7, failed=1)
