"""A session without gradient checks costs next to nothing: no numpy, no engine."""

import sys

import pytest

TESTS = """
    import sys
    import pytest

    @pytest.mark.gradcheck
    def test_it():
        assert "numpy" not in sys.modules
        light = {"plugin", "hookspecs", "_options", "_quoting", ""}
        loaded = [name for name in sys.modules if name.startswith("pytest_gradcheck")]
        assert {(name + "..").split(".")[1] for name in loaded} <= light
"""

AT_EXIT = """
    import atexit
    import sys

    atexit.register(lambda: print("numpy at exit:", "numpy" in sys.modules))
"""


@pytest.mark.parametrize(
    "args",
    [
        ("--gradcheck-summary=all", "--gradcheck-seed=3", "--gradcheck-json=checks.json", "-rA"),
        ("--help",),
    ],
    ids=["run", "help"],
)
def test_a_session_without_checks_loads_no_numpy(suite, args):
    suite.makepyfile(test_light=TESTS, conftest=AT_EXIT)
    result = suite.runpytest_subprocess(*args)
    assert result.ret == 0
    result.stdout.fnmatch_lines(["numpy at exit: False"])
    if "-rA" in args:
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(
            ["gradcheck, for its fixtures only: seed=3", "plugins:*gradcheck*"]
        )
        assert (suite.path / "checks.json").exists()


def test_the_engines_manager_is_made_by_the_first_that_needs_it(suite):
    suite.makepyfile(
        test_manager="""
        from pytest_gradcheck import hookspecs

        def test_it():
            assert hookspecs.plugin_manager.cache_info().currsize == 0
        """
    )
    suite.runpytest_subprocess().assert_outcomes(passed=1)


def test_importing_the_package_loads_no_numpy(suite):
    code = "import sys, pytest_gradcheck; print('numpy' in sys.modules, 'pytest' in sys.modules)"
    result = suite.run(sys.executable, "-c", code)
    result.stdout.fnmatch_lines(["False False"])


@pytest.mark.parametrize("body", ["pass", "gradcheck(lambda p: p, 1.0, 2.0)"], ids=["none", "one"])
def test_a_session_that_is_over_listens_to_no_check(suite, body):
    suite.makepyfile(test_it=f"def test_it(gradcheck):\n    {body}\n")
    code = (
        "import pytest\n"
        "from pytest_gradcheck import plugin_manager\n"
        "pytest.main(['-q'])\n"
        "told = plugin_manager().hook.gradcheck_checked.get_hookimpls()\n"
        "asked = plugin_manager().hook.gradcheck_suspects.get_hookimpls()\n"
        "print('listening:', told + asked)\n"
    )
    result = suite.run(sys.executable, "-c", code)
    result.stdout.fnmatch_lines(["*1 passed*", "listening: [[][]]"])
