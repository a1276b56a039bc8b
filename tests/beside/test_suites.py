"""Suites that knew nothing of us: installing us changes neither outcomes nor output."""

import re

import pytest
from amounts import long

OWN_MARKER = """
    import os
    import pytest

    @pytest.mark.gradcheck
    def test_tagged():
        assert 1 + 1 == 2

    @pytest.mark.gradcheck
    @pytest.mark.parametrize("n", [1, 2])
    def test_tagged_case(n):
        assert n == 1

    def test_untagged(): ...

    @pytest.mark.gradcheck
    class TestTagged:
        def test_method(self): ...

        def test_skips(self):
            pytest.skip("not today")

    @pytest.mark.gradcheck
    @pytest.mark.xfail(strict=True)
    def test_expected():
        raise ValueError("as expected")
"""

INI = """
    [pytest]
    markers =
        gradcheck: slow, compares with finite differences
    addopts = --strict-markers --strict-config
    xfail_strict = true
"""


def written(result):
    """Return what a run wrote, without times and without the list of plugins."""
    text = re.sub(r"\d+\.\d+s", "TIME", result.stdout.str() + result.stderr.str())
    text = re.sub(r"^plugins: .*\n", "", text, flags=re.M)
    return re.sub(r" =+$|^=+ ", "=", text, flags=re.M)  # as wide as the times leave room for


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("-m", "gradcheck"),
        long(("-v", "-ra")),
        long(("-m", "not gradcheck")),
        long(("-m", "not gradcheck", "--collect-only", "-q")),
        long(("-k", "gradcheck")),
        long(("--setup-plan", "-vv")),
        long(("-n1",)),
    ],
    ids=" ".join,
)
def test_a_marker_of_the_suite_s_own(suite, beside, args):
    suite.makeini(INI)
    suite.makepyfile(test_nn=OWN_MARKER)
    plugins = ["xdist"] if args == ("-n1",) else []
    with_us = beside(*args, "-p", "gradcheck", plugins=plugins, ours=False)
    without = beside(*args, "-p", "no:gradcheck", plugins=plugins, ours=False)
    if "-q" not in args:
        with_us.stdout.fnmatch_lines(["plugins: *gradcheck-*"])
    assert with_us.ret == without.ret
    assert with_us.parseoutcomes() == without.parseoutcomes()
    assert written(with_us) == written(without)


def test_a_marker_with_arguments_of_its_own_says_what_is_ours(suite, beside):
    suite.makeini("[pytest]\nmarkers = gradcheck(level): how thorough\n")
    suite.makepyfile(
        test_nn="""
        import pytest

        @pytest.mark.gradcheck("thorough")
        def test_positional(): ...

        @pytest.mark.gradcheck(level=2)
        def test_keyword(): ...
        """
    )
    result = beside()
    result.assert_outcomes(errors=2)
    result.stdout.fnmatch_lines(
        [
            "marker gradcheck: takes options by keyword only, not ('thorough',); the options are *",
            "marker gradcheck: no option named level; the options are *",
        ]
    )
    beside("-p", "no:gradcheck", ours=False).assert_outcomes(passed=2)


OWN_FIXTURES = """
    import pytest

    @pytest.fixture
    def gradcheck(gradcheck_options):
        return lambda function, inputs: (function, inputs, gradcheck_options)

    @pytest.fixture(params=["fast", "slow"])
    def gradcheck_options(request):
        return request.param

    @pytest.fixture
    def numerical_gradient():
        return "theirs"

    def pytest_addoption(parser):
        parser.addoption("--gradcheck", action="store_true", help="run them")
        parser.addini("gradcheck", "run them", type="bool", default=False)

    def pytest_configure(config):
        config.addinivalue_line("markers", "slow: takes long")

    def pytest_collection_modifyitems(config, items):
        if not config.getoption("gradcheck"):
            for item in items:
                if item.get_closest_marker("slow"):
                    item.add_marker(pytest.mark.skip(reason="needs --gradcheck"))
"""


@pytest.mark.parametrize(
    "args",
    [
        ("-v",),
        ("-v", "--gradcheck"),
        long(("-m", "not gradcheck")),
        long(("--fixtures-per-test",)),
    ],
)
def test_fixtures_and_options_of_the_suite_s_own(suite, beside, args):
    suite.makeconftest(OWN_FIXTURES)
    suite.makepyfile(
        test_nn="""
        import pytest

        def test_own(gradcheck, gradcheck_options, numerical_gradient):
            assert gradcheck(abs, 1)[1:] == (1, gradcheck_options)
            assert numerical_gradient == "theirs"

        @pytest.mark.slow
        def test_slow(gradcheck): ...
        """
    )
    with_us = beside(*args, "-p", "gradcheck", ours=False)
    without = beside(*args, "-p", "no:gradcheck", ours=False)
    assert with_us.ret == without.ret == 0
    assert written(with_us) == written(without)
    if "-v" in args:
        slow = {"passed": 2} if "--gradcheck" in args else {"skipped": 2}
        without.assert_outcomes(passed=2 + slow.get("passed", 0), skipped=slow.get("skipped", 0))


def test_an_own_fixture_among_ours(suite, beside):
    # Options of another kind than ours reach a test that uses our fixture: it says whose they are.
    suite.makepyfile(
        test_nn="""
        import pytest
        from quadratic import cost, right, theta

        @pytest.fixture
        def gradcheck_options():
            return {"fast_mode": True}

        def test_ours(gradcheck):
            gradcheck(cost, right, theta)

        def test_theirs(gradcheck_options):
            assert gradcheck_options == {"fast_mode": True}
        """
    )
    result = beside()
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(
        ["fixture gradcheck_options: no option named fast_mode; the options are *"]
    )


def test_an_option_with_the_name_of_one_of_ours_is_refused_by_name(suite, beside):
    suite.makeconftest(
        """
        def pytest_addoption(parser):
            parser.addoption("--gradcheck-rtol", default="strict")
        """
    )
    suite.makepyfile(test_nn="def test_it(): ...")
    result = beside()
    assert result.ret != 0
    assert "--gradcheck-rtol" in result.stderr.str() + result.stdout.str()
    beside("-p", "no:gradcheck", ours=False).assert_outcomes(passed=1)
