"""The lines at the end of the session: --gradcheck-summary."""

import re

import pytest
from amounts import long

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
        assert [re.split("  +", line)[:2] for line in lines] == [
            ["check", "result"],
            ["test_nn.py::test_two cost", "1 of 3 wrong"],
        ]


def test_all(tests):
    title, lines = section(tests.runpytest_inprocess("--gradcheck-summary=all"))
    assert title == "4 gradient checks, 1 failed"
    names = ["two cost", "right cost", "two cost", "expected cost"]
    *lines, remark = lines
    assert remark == "  its test does not fail"  # of the last, which is meant to be wrong
    assert [line.split("  ")[0][-8:] for line in lines[1:]] == [name[-8:] for name in names]
    told = ["1 of 3 wrong", "3 agree", "3 agree", "1 of 3 wrong"]
    assert [re.split("  +", line)[1] for line in lines[1:]] == told
    assert len({line.index(word) for line, word in zip(lines[1:], told, strict=True)}) == 1
    assert all(len(line) <= 80 for line in lines)


def test_none(tests):
    assert section(tests.runpytest_inprocess("--gradcheck-summary=none")) == (None, [])


def test_in_the_ini_file(tests):
    tests.makeini("[pytest]\ngradcheck_summary = all\n")
    assert len(section(tests.runpytest_inprocess())[1]) == 6  # a head, four checks, a remark
    assert section(tests.runpytest_inprocess("--gradcheck-summary=none")) == (None, [])


def test_of_one_test_with_many_failing_checks_ten_are_listed_and_the_rest_counted(suite):
    suite.makepyfile(
        test_many="""
        from quadratic import cost, right, theta
        from pytest_gradcheck import check_gradients

        def test_many():
            reports = [check_gradients(cost, k * right(theta), theta) for k in range(2, 30)]
            assert all(report.ok for report in reports)

        def test_other(gradcheck):
            gradcheck(cost, 2 * right(theta), theta)
        """
    )
    title, lines = section(suite.runpytest_inprocess())
    assert title == "29 gradient checks, 29 failed"
    assert [line.split("  ")[0] for line in lines[1:11]] == ["test_many cost"] * 10
    assert lines[11] == "  and 18 more of this test"
    assert lines[12].startswith("test_other cost  ")
    assert len(lines) == 13
    title, lines = section(suite.runpytest_inprocess("--gradcheck-summary=all"))
    assert title == "29 gradient checks, 29 failed"
    assert len(lines) == 30


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
    assert [line for line in lines if line.startswith("  ")] == [
        "  1 at a kink, coarse",
        "  coarse",
    ]


def test_a_check_of_nothing_says_why_and_counts_nothing(suite):
    suite.makepyfile(
        test_nn="""
        import numpy as np

        def test_noise(gradcheck):
            noise = np.random.default_rng(3)
            gradcheck(lambda x: np.sum(x**2) + noise.normal(), lambda x: 2 * x, np.ones(3))
        """
    )
    _, lines = section(suite.runpytest_inprocess())
    assert re.split("  +", lines[1])[1] == "inconclusive"
    assert lines[2] == "  func does not repeat itself"


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
    assert re.match(r"test_late.py::test_it cost +1 of 3 wrong ", lines[1])


def test_all_says_what_each_check_cost_and_found(tests):
    """Evaluations, seconds and difference of every check, as the design has it."""
    _, (*lines, _) = section(tests.runpytest_inprocess("--gradcheck-summary=all"))
    header = ["check", "result", "difference", "resolution", "evals", "time"]
    assert re.split("  +", lines[0]) == header
    number = r"\d(\.\d)?e[+-]\d+"
    for line in lines[1:]:
        nodeid, told, *figures = re.split("  +", line)
        assert nodeid in ("test_right cost", "test_two cost", "test_expected cost")
        assert told in ("3 agree", "1 of 3 wrong")
        assert re.fullmatch(rf"{number} {number} [\d,]+ \d+\.\d\d s", " ".join(figures)), line


@pytest.mark.parametrize(
    ("workers", "columns"), [((), 50), ((), 80), (("-n1",), 50), long(("-n1",), 80)]
)
def test_a_table_for_the_terminal_with_failures_first(suite, monkeypatch, columns, workers):
    if workers:
        pytest.importorskip("xdist")
    monkeypatch.setenv("COLUMNS", str(columns))
    suite.makepyfile(
        test_names="""
        import pytest
        from quadratic import cost, right, theta, wrong

        @pytest.mark.parametrize("case", ["in_the_middle_of_a_long_name", "short"])
        def test_a_name_that_is_too_long_for_the_terminal(gradcheck, case):
            gradcheck(cost, right, theta)

        def test_last(gradcheck):
            gradcheck(cost, wrong, theta)
        """
    )
    run = suite.runpytest_subprocess if workers else suite.runpytest_inprocess
    _, (header, *lines) = section(run(*workers, "--gradcheck-summary=all"))
    assert all(len(line) <= columns for line in [header, *lines])
    assert header.split()[:2] == ["check", "result"]
    assert lines[0].split("  ")[0].endswith("last cost")
    assert ["ort] cost" in line for line in lines].count(True) == 1
    assert {line.index("  ") > 0 and line[header.index("result")] for line in lines} == {"1", "3"}


def test_a_fixture_that_is_never_called_is_said(suite):
    suite.makepyfile(
        test_quiet="""
        import pytest
        from quadratic import cost, right, theta

        @pytest.fixture(autouse=True)
        def helper(gradcheck):
            return gradcheck

        def test_forgotten(gradcheck): ...

        @pytest.mark.parametrize("n", range(3))
        def test_of_many(gradcheck, n): ...

        def test_numeric(numerical_gradient): ...

        def test_called(gradcheck):
            gradcheck(cost, right, theta)

        def test_through_another_fixture(helper): ...

        def test_skips(gradcheck):
            pytest.skip("not here")
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=7, skipped=1)
    assert [line for line in result.outlines if line.startswith("gradcheck: ")] == [
        "gradcheck: test_quiet.py::test_forgotten asks for gradcheck and never calls it",
        "gradcheck: test_quiet.py::test_of_many asks for gradcheck and never calls it, in 3 tests",
        "gradcheck: test_quiet.py::test_numeric asks for numerical_gradient and never calls it",
    ]
    silent = suite.runpytest_inprocess("--gradcheck-summary=none")
    silent.stdout.no_fnmatch_line("gradcheck: *")
