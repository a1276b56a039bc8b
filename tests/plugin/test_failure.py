"""What a user reads when a gradient is wrong, and in which ways pytest may be run."""

import sys

import pytest

TESTS = """
    import unittest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import assert_gradients_close

    def test_fixture(gradcheck):
        gradcheck(cost, wrong, theta)

    def test_plain():
        assert_gradients_close(cost, wrong, theta)

    class TestUnit(unittest.TestCase):
        def test_method(self):
            assert_gradients_close(cost, wrong, theta)

        def test_right(self):
            assert_gradients_close(cost, right, theta)
"""

FIRST = "params[[]1]: analytic -6 != numeric -4 (1 of 3 wrong)"


@pytest.fixture
def failing(suite):
    suite.makepyfile(test_nn=TESTS)
    return suite


def test_the_failure_points_at_the_line_of_the_user(failing):
    result = failing.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "    def test_fixture(gradcheck):",
            ">       gradcheck(cost, wrong, theta)",
            f"E       GradientMismatch: {FIRST}",
            "test_nn.py:6: GradientMismatch",
            "    def test_plain():",
            ">       assert_gradients_close(cost, wrong, theta)",
            f"E       GradientMismatch: {FIRST}",
            "test_nn.py:9: GradientMismatch",
            "    def test_method(self):",
            ">       assert_gradients_close(cost, wrong, theta)",
            f"E       GradientMismatch: {FIRST}",
            "test_nn.py:13: GradientMismatch",
        ],
    )
    # No frame of the plugin or the engine, and none of unittest.
    result.stdout.no_fnmatch_line("*pytest_gradcheck*.py:*")
    assert sum(line.startswith(">") for line in result.outlines) == 3


def test_the_short_summary_at_80_columns(failing):
    result = failing.runpytest_inprocess("-q", "--no-header")
    lines = [line for line in result.outlines if line.startswith("FAILED ")]
    assert lines == [
        "FAILED test_nn.py::test_fixture - GradientMismatch: params[1]: analytic -6 !=...",
        "FAILED test_nn.py::test_plain - GradientMismatch: params[1]: analytic -6 != n...",
        "FAILED test_nn.py::TestUnit::test_method - GradientMismatch: params[1]: analy...",
    ]
    assert all(len(line) <= 80 for line in lines)


def test_the_gradcheck_section_holds_what_the_message_lacks(failing):
    result = failing.runpytest_inprocess("test_nn.py::test_plain")
    result.stdout.fnmatch_lines(
        [
            "test_nn.py:9: GradientMismatch",
            "*- gradcheck -*",
            "params (3,), x tolerance: · agrees, █ > 10,000",
            "  0    2",
            "  ··██··",
            "*= 1 gradient check, 1 failed =*",
        ]
    )


def test_a_check_in_a_fixture_of_the_user_fails_at_setup(suite):
    suite.makepyfile(
        """
        import pytest
        from quadratic import cost, theta, wrong

        @pytest.fixture
        def checked(gradcheck):
            return gradcheck(cost, wrong, theta)

        def test_it(checked): ...
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at setup of test_it*",
            ">       return gradcheck(cost, wrong, theta)",
            f"E       GradientMismatch: {FIRST}",
            "*- gradcheck -*",
            "*= 1 gradient check, 1 failed =*",
        ]
    )


def test_every_failing_check_of_a_test_has_a_section(suite):
    suite.makepyfile(
        """
        from quadratic import cost, right, theta, wrong
        from pytest_gradcheck import check_gradients

        def test_it():
            first = check_gradients(cost, wrong, theta)
            second = check_gradients(cost, right, theta)
            third = check_gradients(cost, wrong, theta, rtol=1e-3)
            assert first and second and third
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    assert sum("- gradcheck -" in line for line in result.outlines) == 2
    result.stdout.fnmatch_lines(["*= 3 gradient checks, 2 failed =*"])


@pytest.mark.parametrize(
    "args",
    [
        ("--assert=plain",),
        ("--import-mode=importlib",),
        ("-W", "error"),
        ("-p", "no:terminal"),
        ("-p", "no:logging", "-p", "no:capture"),
        ("--tb=native",),
        ("--full-trace",),
        ("--strict-markers", "--strict-config"),
    ],
    ids=" ".join,
)
def test_ways_to_run_pytest(failing, args):
    reports = failing.inline_run(*args).getreports("pytest_runtest_logreport")
    calls = {report.nodeid.split("::")[-1]: report for report in reports if report.when == "call"}
    assert {name: report.outcome for name, report in calls.items()} == {
        "test_fixture": "failed",
        "test_plain": "failed",
        "test_method": "failed",
        "test_right": "passed",
    }
    for name in ("test_fixture", "test_plain", "test_method"):
        assert "params[1]: analytic -6 != numeric -4" in calls[name].longreprtext
        assert {title for title, _ in calls[name].sections} <= {"gradcheck"}  # a map, if it fits


def test_importlib_mode_finds_tests_of_the_same_name(suite):
    text = """
        from pytest_gradcheck import assert_gradients_close

        def test_it(gradcheck):
            gradcheck(lambda p: p, {}, 2.0)
    """
    suite.makepyfile(**{"a/test_same": text.format(1.0), "b/test_same": text.format(3.0)})
    result = suite.runpytest_inprocess("--import-mode=importlib")
    result.assert_outcomes(passed=1, failed=1)


@pytest.mark.parametrize(
    ("python", "args"), [(("-O",), ()), (("-W", "error"), ("-W", "error"))], ids=["-O", "-W error"]
)
def test_ways_to_run_python(failing, python, args):
    result = failing.run(sys.executable, *python, "-m", "pytest", *args)
    result.assert_outcomes(passed=1, failed=3, warnings=1 if python == ("-O",) else 0)
    result.stdout.fnmatch_lines(["FAILED test_nn.py::test_fixture - GradientMismatch: params*"])


def test_an_error_in_a_hook_of_another_shows_no_line_of_ours(suite):
    suite.makeconftest(
        """
        def pytest_pyfunc_call():
            raise RuntimeError("not ours")
        """
    )
    suite.makepyfile("def test_it(): ...")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E       RuntimeError: not ours"])
    result.stdout.no_fnmatch_line("*pytest_gradcheck*_recorder*")


def test_what_a_doctest_or_a_group_prints_is_not_said_again(suite):
    suite.makepyfile(
        test_nn="""
        from quadratic import cost, theta, wrong
        from pytest_gradcheck import assert_gradients_close

        def example():
            '''
            >>> _ = assert_gradients_close(cost, wrong, theta)
            '''

        def test_it():
            errors = []
            try:
                assert_gradients_close(cost, wrong, theta)
            except AssertionError as error:
                errors.append(error)
            raise ExceptionGroup("several", errors)
        """
    )
    result = suite.runpytest_inprocess("--doctest-modules")
    result.assert_outcomes(failed=2)
    assert result.stdout.str().count("central differences;") == 2
    result.stdout.fnmatch_lines([f"UNEXPECTED EXCEPTION: GradientMismatch('{FIRST}')"])


def test_blocking_the_plugin_leaves_the_functions(failing):
    result = failing.runpytest_subprocess(
        "-p", "no:gradcheck", "--deselect=test_nn.py::test_fixture"
    )
    result.assert_outcomes(passed=1, failed=2, deselected=1)
    result.stdout.fnmatch_lines([f"E       GradientMismatch: {FIRST}"])
    result.stdout.no_fnmatch_line("*- gradcheck -*")


def test_a_test_with_many_failing_checks_keeps_ten_sections(suite):
    suite.makepyfile(
        """
        from quadratic import cost, theta, wrong
        from pytest_gradcheck import check_gradients

        def test_it():
            assert all([check_gradients(cost, wrong, theta) for n in range(30)])
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    assert sum("- gradcheck -" in line for line in result.outlines) == 10
    result.stdout.fnmatch_lines(["*= 30 gradient checks, 30 failed =*"])
