"""The marker gradcheck: selection, options, misuse."""

import pytest

KNOWN = "the options are rtol, atol, eps, threshold, scheme, max_evals, seed, only, skip, *"


def test_a_bare_marker_is_legal_anywhere_and_inert(suite):
    suite.makepyfile(
        test_bare="""
        import unittest
        import pytest

        @pytest.mark.gradcheck
        def test_function(): ...

        @pytest.mark.gradcheck()
        @pytest.mark.parametrize("n", [1, pytest.param(2, marks=pytest.mark.gradcheck)])
        def test_cases(n): ...

        @pytest.mark.gradcheck
        class TestPlain:
            @pytest.mark.gradcheck
            def test_method(self): ...

        @pytest.mark.gradcheck
        class TestUnit(unittest.TestCase):
            def test_method(self): ...

        def test_other(): ...
        """,
        test_module="""
        import pytest
        pytestmark = [pytest.mark.gradcheck]

        def test_function(): ...
        """,
    )
    result = suite.runpytest_inprocess("--strict-markers", "-W", "error")
    result.assert_outcomes(passed=7)
    selected = suite.runpytest_inprocess("--strict-markers", "-m", "gradcheck")
    selected.assert_outcomes(passed=6, deselected=1)


def test_not_gradcheck_in_a_suite_that_knows_nothing_of_us(suite):
    # As torch users have it: the tag is declared by the suite, a helper has the fixture's name.
    suite.makeini(
        """
        [pytest]
        markers = gradcheck: slow, compares with finite differences
        addopts = --strict-markers --strict-config
        """
    )
    suite.makepyfile(
        """
        import pytest

        @pytest.fixture
        def gradcheck():
            return lambda func, inputs: True

        @pytest.mark.gradcheck
        def test_tagged():
            raise RuntimeError("deselected")

        def test_own_fixture(gradcheck):
            assert gradcheck(abs, 1.0)

        @pytest.mark.parametrize("numerical_gradient", [1, 2])
        def test_own_parameter(numerical_gradient):
            assert numerical_gradient in (1, 2)

        def test_plain(): ...
        """
    )
    result = suite.runpytest_inprocess("-m", "not gradcheck", "--gradcheck-skip", "-W", "error")
    result.assert_outcomes(passed=4, deselected=1)
    result.stdout.no_fnmatch_line("*gradient check*failed*")


def test_a_test_that_uses_a_fixture_gets_the_marker(suite):
    suite.makeconftest(
        """
        import pytest

        @pytest.fixture
        def through(gradcheck):
            return gradcheck

        @pytest.fixture
        def gradcheck_options(gradcheck_options):
            return gradcheck_options
        """
    )
    suite.makepyfile(
        """
        import pytest

        def test_1(gradcheck): ...
        def test_2(numerical_gradient): ...
        def test_3(gradcheck_rng): ...
        def test_4(gradcheck_options): ...
        def test_5(through): ...

        @pytest.mark.usefixtures("through")
        def test_6(): ...

        class TestOverride:
            @pytest.fixture
            def gradcheck(self, gradcheck):
                return gradcheck

            def test_7(self, gradcheck): ...

        def test_none(): ...
        """
    )
    suite.runpytest_inprocess("-m", "gradcheck").assert_outcomes(passed=7, deselected=1)
    suite.runpytest_inprocess("-m", "not gradcheck").assert_outcomes(passed=1, deselected=7)


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ("1e-5", [f"marker gradcheck: takes options by keyword only, not (1e-05,); {KNOWN}"]),
        ("rtoll=1e-5", ["marker gradcheck: no option named rtoll; did you mean rtol?"]),
        (
            "rtol='tight'",
            ["marker gradcheck: rtol must be a positive finite number, not 'tight'"],
        ),
        (
            "scheme='centered'",
            ["marker gradcheck: scheme must be one of 'central', *, not 'centered'"],
        ),
    ],
)
def test_misuse_is_an_error_at_setup_that_lists_the_options(suite, arguments, lines):
    suite.makepyfile(
        f"""
        import pytest
        from quadratic import cost, right, theta

        @pytest.mark.gradcheck({arguments})
        def test_it(gradcheck):
            raise RuntimeError("is not reached")

        @pytest.mark.gradcheck({arguments})
        def test_without_fixture(): ...

        def test_other(gradcheck):
            gradcheck(cost, right, theta)
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(errors=2, passed=1)
    result.stdout.fnmatch_lines(["*_ ERROR at setup of test_it _*", *lines])
    # No traceback, and no chain of exceptions.
    result.stdout.no_fnmatch_line("*exception*")
    result.stdout.no_fnmatch_line("*config.py*")


def test_options_without_a_check_fail_the_test(suite):
    suite.makepyfile(
        test_unused="""
        import unittest
        import pytest
        from quadratic import cost, right, theta
        from pytest_gradcheck import assert_gradients_close

        @pytest.mark.gradcheck(rtol=1e-5)
        def test_nothing(): ...

        @pytest.mark.gradcheck(rtol=1e-5)
        def test_requested_only(gradcheck): ...

        @pytest.mark.gradcheck(rtol=1e-5, seed=2)
        def test_the_plain_function():
            assert_gradients_close(cost, right, theta)

        @pytest.mark.gradcheck(rtol=1e-5)
        class TestUnit(unittest.TestCase):
            def test_plain(self):
                assert_gradients_close(cost, right, theta)
        """
    )
    result = suite.runpytest_inprocess("-rf")
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [
            "*_ test_the_plain_function _*",
            "marker gradcheck(rtol=1e-05, seed=2): no check used these options",
            "",
            "A marker's options reach the checks that a test makes through the fixtures *",
            "numerical_gradient, and this test made none.  Request a fixture and call it, *",
            "FAILED test_unused.py::test_nothing - Failed: marker gradcheck(rtol=1e-05): n...",
        ]
    )
    result.stdout.no_fnmatch_line("*traceback entries*")
    result.stdout.no_fnmatch_line("*recorder_and_memory*")


def test_options_of_a_module_are_of_no_concern_to_a_test_that_checks_nothing(suite):
    suite.makepyfile(
        """
        import pytest
        from quadratic import cost, right, theta
        from pytest_gradcheck import check_gradients
        pytestmark = pytest.mark.gradcheck(rtol=1e-5)

        def test_nothing(): ...

        class TestClass:
            def test_nothing_either(self): ...

        def test_fixture(gradcheck):
            gradcheck(cost, right, theta)

        def test_plain():
            check_gradients(cost, right, theta)
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["marker gradcheck(rtol=1e-05): no check used these options"])


def test_options_without_a_check_are_no_second_failure(suite):
    suite.makepyfile(
        """
        import unittest
        import pytest
        pytestmark = pytest.mark.gradcheck(rtol=1e-5)

        def test_fails():
            assert 1 == 2

        def test_skips():
            pytest.skip("not today")

        @pytest.mark.skip
        def test_is_skipped(): ...

        @pytest.mark.xfail(strict=True)
        def test_is_expected_to_fail():
            assert 1 == 2

        class TestUnit(unittest.TestCase):
            def test_fails(self):
                self.assertEqual(1, 2)

            def test_skips(self):
                self.skipTest("not today")
        """
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=2, skipped=3, xfailed=1)
    result.stdout.no_fnmatch_line("*no check used*")


def test_a_skipped_test_is_not_accused_of_misuse(suite):
    suite.makepyfile(
        """
        import pytest

        @pytest.mark.skip
        @pytest.mark.gradcheck(1e-5)
        def test_it(): ...
        """
    )
    suite.runpytest_inprocess().assert_outcomes(skipped=1)


def test_markers_merge_and_the_nearest_wins(suite):
    suite.makepyfile(
        """
        import pytest
        pytestmark = pytest.mark.gradcheck(seed=1, rtol=1e-1, atol=1e-1, eps=1e-1, max_report=1)

        def check(gradcheck, **expected):
            assert gradcheck.options == expected
            gradcheck(lambda p: p, 1.0, 2.0)

        def test_module(gradcheck):
            check(gradcheck, seed=1, rtol=1e-1, atol=1e-1, eps=1e-1, max_report=1)

        @pytest.mark.gradcheck(rtol=1e-2, atol=1e-2, eps=1e-2, max_report=2)
        class TestClass:
            @pytest.mark.gradcheck(atol=1e-3, eps=1e-3, max_report=3)
            @pytest.mark.gradcheck(eps=1e-4, max_report=4)
            @pytest.mark.parametrize(
                "last", [4, pytest.param(5, marks=pytest.mark.gradcheck(max_report=5))]
            )
            def test_method(self, gradcheck, last):
                check(gradcheck, seed=1, rtol=1e-2, atol=1e-3, eps=1e-4, max_report=last)

            @pytest.mark.gradcheck
            def test_bare_takes_nothing_away(self, gradcheck):
                check(gradcheck, seed=1, rtol=1e-2, atol=1e-2, eps=1e-2, max_report=2)
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=4)


def test_the_marker_is_listed(suite):
    result = suite.runpytest_inprocess("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.gradcheck(**options): a gradient check. *"])
