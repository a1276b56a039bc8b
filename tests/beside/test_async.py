"""Coroutines as tests: pytest-asyncio, anyio, and unittest's IsolatedAsyncioTestCase."""

import pytest
from small_suite import verdicts

TESTS = """
    import asyncio
    import pytest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import assert_gradients_close

    {mark}

    async def test_right(gradcheck):
        await asyncio.sleep(0)
        assert gradcheck(cost, right, theta).ok

    async def test_wrong(gradcheck):
        gradcheck(cost, wrong, theta)

    @pytest.mark.gradcheck(rtol=1e-5)
    @pytest.mark.parametrize("n", [1, 2])
    async def test_options(gradcheck, n):
        await asyncio.sleep(0)
        assert gradcheck(cost, right, theta).rtol == 1e-5

    async def test_plain():
        await asyncio.sleep(0)
        assert_gradients_close(cost, wrong, theta)

    async def test_in_threads(gradcheck):
        loop = asyncio.get_running_loop()
        await asyncio.gather(
            asyncio.to_thread(gradcheck, cost, right, theta),
            loop.run_in_executor(None, assert_gradients_close, cost, right, theta),
        )

    @pytest.mark.gradcheck(rtol=1e-5)
    async def test_none_checks(gradcheck):
        await asyncio.sleep(0)
"""

VERDICTS = [
    ("test_right", "agree"),
    ("test_wrong", "disagree"),
    ("test_options[1]", "agree"),
    ("test_options[2]", "agree"),
    ("test_plain", "disagree"),
    ("test_in_threads", "agree"),
    ("test_in_threads", "agree"),
]


def everything_is_there(suite, result):
    result.assert_outcomes(passed=4, failed=3)
    # anyio puts the name of the event loop's library in those of tests.
    found = [
        (name.replace("[asyncio]", "").replace("asyncio-", ""), v) for name, v in verdicts(suite)
    ]
    assert found == VERDICTS
    result.stdout.fnmatch_lines_random(
        [
            "E  * GradientMismatch: params[[]1]: analytic -6 != numeric -4 (*",
            "*- gradcheck -*",
            "marker gradcheck(rtol=1e-05): no check used these options",
            "*= 7 gradient checks, 2 failed =*",
        ]
    )


@pytest.mark.parametrize("scope", ["function", "session"])
@pytest.mark.parametrize("mode", ["strict", "auto"])
def test_asyncio(suite, beside, mode, scope):
    mark = f"pytestmark = pytest.mark.asyncio(loop_scope={scope!r})" if mode == "strict" else ""
    suite.makepyfile(test_nn=TESTS.format(mark=mark))
    scopes = [f"asyncio_default_{what}_loop_scope={scope}" for what in ("fixture", "test")]
    ini = [word for key in scopes for word in ("-o", key)]
    result = beside(f"--asyncio-mode={mode}", *ini, plugins=["asyncio"])
    everything_is_there(suite, result)


def test_a_fixture_that_is_a_coroutine_and_builds_on_ours(suite, beside):
    suite.makepyfile(
        test_nn="""
        import pytest_asyncio
        from quadratic import cost, right, theta, wrong

        @pytest_asyncio.fixture
        async def checked(gradcheck):
            gradcheck(cost, right, theta)
            yield gradcheck
            gradcheck(cost, wrong, theta)

        async def test_it(checked):
            checked(cost, right, theta)
        """
    )
    ini = ("-o", "asyncio_default_fixture_loop_scope=function")
    result = beside("--asyncio-mode=auto", *ini, plugins=["asyncio"])
    result.assert_outcomes(passed=1, errors=1)
    assert verdicts(suite) == [("test_it", verdict) for verdict in ("agree", "agree", "disagree")]


def test_anyio(suite, beside):
    mark = "pytestmark = pytest.mark.anyio"
    suite.makepyfile(test_nn=TESTS.format(mark=mark))
    suite.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def anyio_backend():
            return "asyncio"
        """
    )
    everything_is_there(suite, beside(plugins=["anyio"]))


def test_anyio_in_auto_mode(suite, beside):
    suite.makepyfile(test_nn=TESTS.format(mark=""))
    suite.makeconftest(
        """
        import pytest

        @pytest.fixture
        def anyio_backend():
            return "asyncio"
        """
    )
    everything_is_there(suite, beside("-o", "anyio_mode=auto", plugins=["anyio"]))


def test_unittest(suite, beside):
    suite.makepyfile(
        test_nn="""
        import asyncio
        import unittest
        import pytest
        from quadratic import cost, right, theta, wrong
        from pytest_gradcheck import assert_gradients_close

        class TestAsync(unittest.IsolatedAsyncioTestCase):
            async def asyncSetUp(self):
                assert_gradients_close(cost, right, theta)

            @pytest.fixture(autouse=True)
            def configured(self, gradcheck):
                self.gradcheck = gradcheck

            async def test_right(self):
                await asyncio.sleep(0)
                self.gradcheck(cost, right, theta)

            async def test_wrong(self):
                await asyncio.sleep(0)
                self.gradcheck(cost, wrong, theta)

            @pytest.mark.gradcheck(rtol=1e-5)
            async def test_options(self):
                self.assertEqual(self.gradcheck(cost, right, theta).rtol, 1e-5)

            async def test_in_a_thread(self):
                await asyncio.get_running_loop().run_in_executor(
                    None, assert_gradients_close, cost, right, theta
                )

        class TestPlain(unittest.TestCase):
            @classmethod
            def setUpClass(cls):
                assert_gradients_close(cost, right, theta)

            def setUp(self):
                assert_gradients_close(cost, right, theta)

            @unittest.expectedFailure
            def test_expected(self):
                assert_gradients_close(cost, wrong, theta)

            @pytest.mark.gradcheck(rtol=1e-5)
            def test_skips_itself(self):
                self.skipTest("not today")
        """
    )
    result = beside()
    result.assert_outcomes(passed=3, failed=1, xfailed=1, skipped=1)
    # setUpClass is part of the first test's setup.
    names = ("right", "wrong", "options", "in_a_thread")
    assert sorted(verdicts(suite)) == sorted(
        [
            *((f"TestAsync::test_{name}", "agree") for name in names),
            *((f"TestAsync::test_{name}", "agree") for name in names if name != "wrong"),
            ("TestAsync::test_wrong", "disagree"),
            ("TestPlain::test_expected", "agree"),
            ("TestPlain::test_expected", "agree"),
            ("TestPlain::test_expected", "disagree"),
            ("TestPlain::test_skips_itself", "agree"),
        ]
    )
