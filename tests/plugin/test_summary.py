"""The lines at the end of the session: --gradcheck-summary."""

import re

import pytest

TESTS = """
    import pytest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import GradientMismatch, assert_gradients_close, check_gradients

    def test_right(gradcheck):
        gradcheck(cost, right, theta)

    def test_two():
        assert_gradients_close(cost, right, theta)
        assert_gradients_close(cost, wrong, theta)

    def test_expected():
        with pytest.raises(GradientMismatch):
            assert_gradients_close(cost, wrong, theta)

    def test_none(): ...
"""


def section(result):
    """Return the title and the lines of our section."""
    lines = result.outlines
    start = [i for i, line in enumerate(lines) if "gradient check" in line and line[0] == "="]
    if not start:
        return None, []
    (start,) = start
    stop = next(i for i in range(start + 1, len(lines)) if lines[i].startswith("="))
    return lines[start].strip("= "), lines[start + 1 : stop]


@pytest.fixture
def tests(suite):
    suite.makepyfile(test_nn=TESTS)
    return suite


def test_failed_is_the_default_and_leaves_out_what_was_meant_to_fail(tests):
    for args in ([], ["--gradcheck-summary=failed"]):
        title, lines = section(tests.runpytest_inprocess(*args))
        assert title == "4 gradient checks, 1 failed"
        (line,) = lines
        assert line.startswith("test_nn.py::test_two - cost: 1 of 3 wrong, difference 1.")


def test_all(tests):
    title, lines = section(tests.runpytest_inprocess("--gradcheck-summary=all"))
    assert title == "4 gradient checks, 1 failed"
    assert [line.split(", ")[0] for line in lines] == [
        "test_nn.py::test_right - cost: 3 agree",
        "test_nn.py::test_two - cost: 3 agree",
        "test_nn.py::test_two - cost: 1 of 3 wrong",
        "test_nn.py::test_expected - cost: 1 of 3 wrong",
    ]


def test_none(tests):
    assert section(tests.runpytest_inprocess("--gradcheck-summary=none")) == (None, [])


def test_in_the_ini_file(tests):
    tests.makeini("[pytest]\ngradcheck_summary = all\n")
    assert len(section(tests.runpytest_inprocess())[1]) == 4
    assert section(tests.runpytest_inprocess("--gradcheck-summary=none")) == (None, [])


def test_silent_when_all_is_fine(tests):
    result = tests.runpytest_inprocess("--deselect=test_nn.py::test_two")
    result.assert_outcomes(passed=3, deselected=1)
    assert section(result) == (None, [])


def test_kinks_and_coarse_checks_are_marked(suite):
    suite.makepyfile(
        test_marks="""
        import numpy as np

        def test_kink(gradcheck):
            def cost(p):  # at 1 its slopes are 1 and 3
                return float(np.abs(p - 1).sum() + (p**2).sum())

            gradcheck(cost, np.array([2.5, 5.0]), np.array([1.0, 2.0]))

        def test_coarse(gradcheck):
            def cost(p):
                return np.float32(1e4 + 100 * (p**2).sum())

            gradcheck(cost, lambda p: 200 * p, np.array([1.0, 3.0]))
        """
    )
    result = suite.runpytest_inprocess("--gradcheck-summary=all")
    result.assert_outcomes(passed=2)
    title, lines = section(result)
    assert title == "2 gradient checks, 0 failed"
    assert "at a kink" in lines[0]
    assert "(coarse)" in lines[1]


def test_a_check_during_teardown_belongs_to_the_test(suite):
    suite.makepyfile(
        test_late="""
        import pytest
        from quadratic import cost, theta, wrong

        @pytest.fixture
        def late(gradcheck):
            yield
            gradcheck(cost, wrong, theta)

        def test_it(late): ...
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=1, errors=1)
    title, lines = section(result)
    assert title == "1 gradient check, 1 failed"
    assert lines[0].startswith("test_late.py::test_it - cost: 1 of 3 wrong")


def test_all_says_what_each_check_cost_and_found(tests):
    """Evaluations, seconds and difference of every check, as the design has it."""
    _, lines = section(tests.runpytest_inprocess("--gradcheck-summary=all"))
    number = r"\d(\.\d)?e[+-]\d+"
    for line, told in zip(
        lines, ("3 agree", "3 agree", "1 of 3 wrong", "1 of 3 wrong"), strict=True
    ):
        nodeid, _, said = line.partition(" - ")
        assert nodeid.startswith("test_nn.py::test_")
        pattern = (
            rf"cost: {told}, difference {number}, resolution {number}, "
            r"[\d,]+ evaluations, \d+\.\d\d s"
        )
        assert re.fullmatch(pattern, said), line
