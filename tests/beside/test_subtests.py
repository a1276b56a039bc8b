"""Subtests: pytest 9 has them, pytest-subtests brings them to pytest 8.4; and with pytest-xdist."""

import pytest
from small_suite import verdicts

PYTEST_9 = int(pytest.__version__.split(".")[0]) >= 9

TESTS = """
    import unittest
    import pytest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import assert_gradients_close

    @pytest.mark.gradcheck(rtol=1e-5)
    def test_fixture(gradcheck, subtests):
        for name, grad in [("first", right), ("second", wrong), ("third", wrong)]:
            with subtests.test(name):
                gradcheck(cost, grad, theta)
        gradcheck(cost, right, theta)

    @pytest.mark.parametrize("n", [1, 2])
    def test_plain(subtests, n):
        with subtests.test(n=n):
            assert_gradients_close(cost, right, theta)

    class TestUnit(unittest.TestCase):
        def test_it(self):
            for grad in (right, wrong, right):
                with self.subTest(grad.__name__):
                    assert_gradients_close(cost, grad, theta)
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["in process", "-n2"])
def test_every_subtest_s_check_is_its_test_s(suite, beside, workers):
    suite.makepyfile(test_nn=TESTS)
    plugins = [*([] if PYTEST_9 else ["subtests"]), *(["xdist"] if workers else [])]
    result = beside("--gradcheck-repairs=skip", *workers, plugins=plugins)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    expected = [
        *(("test_fixture", verdict) for verdict in ("agree", "disagree", "disagree", "agree")),
        *((f"test_plain[{n}]", "agree") for n in (1, 2)),
        *(("TestUnit::test_it", verdict) for verdict in ("agree", "disagree", "agree")),
    ]
    found = verdicts(suite)
    assert [[one for one in found if one[0] == name] for name in dict.fromkeys(dict(expected))] == [
        [one for one in expected if one[0] == name] for name in dict.fromkeys(dict(expected))
    ]
    result.stdout.fnmatch_lines_random(
        [
            "*_ test_fixture [[]second[]] _*",
            "*_ test_fixture [[]third[]] _*",
            "*= 9 gradient checks, 3 failed =*",
        ]
    )
    # Each section stands with the subtest that it explains.
    assert sum("- gradcheck -" in line for line in result.outlines) == 3
