"""The hook on pytest's manager, and the engine's hooks in conftest files and plugins."""

import pytest

from pytest_gradcheck import check_gradients, hookspecs

FLATTENS_BOXES = """
    from pytest_gradcheck import Node, hookimpl

    class Box:
        def __init__(self, inside):
            self.inside = inside

    @hookimpl
    def gradcheck_flatten(value):
        if isinstance(value, Box):
            return Node(((".inside", value.inside),), lambda parts: Box(*parts))

    @hookimpl
    def gradcheck_explain(report):
        return "boxes are heavy"
"""

CHECKS_BOXES = """
    import numpy as np
    from boxes import Box

    def cost(box):
        return float(np.sum(box.inside**2))

    def test_right(gradcheck):
        gradcheck(cost, lambda box: Box(2 * box.inside), Box(np.array([1.0, 2.0])))

    def test_wrong(gradcheck):
        gradcheck(cost, lambda box: Box(3 * box.inside), Box(np.array([1.0, 2.0])))
"""


@pytest.fixture
def registered():
    """Return a function that lists who is registered with the engine."""
    return lambda: set(hookspecs.plugin_manager().get_plugins())


def test_result_is_called_after_each_check(suite):
    suite.makeconftest(
        """
        def pytest_gradcheck_result(item, report):
            with open("seen.txt", "a") as file:
                print(item.name, report.verdict, file=file)
        """
    )
    suite.makepyfile(
        """
        import unittest
        import pytest
        from quadratic import cost, right, theta, wrong
        from pytest_gradcheck import assert_gradients_close, check_gradients, compare_gradients

        @pytest.fixture
        def around(gradcheck):
            gradcheck(cost, right, theta)
            yield
            gradcheck(cost, right, theta)

        def test_around(around):
            check_gradients(cost, wrong, theta)

        def test_raises():
            assert_gradients_close(cost, wrong, theta)

        def test_compare():
            compare_gradients(theta, theta)

        class TestUnit(unittest.TestCase):
            def test_unit(self):
                assert_gradients_close(cost, right, theta)
        """
    )
    result = suite.runpytest_inprocess("-W", "error")
    result.assert_outcomes(passed=3, failed=1)
    assert (suite.path / "seen.txt").read_text().splitlines() == [
        "test_around agree",
        "test_around disagree",
        "test_around agree",
        "test_raises disagree",
        "test_compare agree",
        "test_unit agree",
    ]


def test_result_of_a_conftest_is_for_the_tests_beside_it(suite):
    suite.mkpydir("one").joinpath("conftest.py").write_text(
        "def pytest_gradcheck_result(item, report):\n    print('in one:', item.nodeid)\n"
    )
    suite.mkpydir("two")
    text = """
        def test_it(gradcheck):
            gradcheck(lambda p: p, 1.0, 2.0)
    """
    suite.makepyfile(**{"one/test_1": text, "two/test_2": text})
    result = suite.runpytest_inprocess("-s")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*in one: one/test_1.py::test_it*"])
    result.stdout.no_fnmatch_line("*in one: two/*")


def test_an_error_in_a_hook_is_not_swallowed(suite):
    suite.makeconftest("def pytest_gradcheck_result(item, report):\n    1 / 0\n")
    suite.makepyfile("def test_it(gradcheck):\n    gradcheck(lambda p: p, 1.0, 2.0)\n")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E *ZeroDivisionError: division by zero", "conftest.py:2: ZeroDivisionError"]
    )


def test_engine_hooks_in_a_conftest(suite, registered):
    before = registered()
    suite.makepyfile(boxes=FLATTENS_BOXES, test_boxes=CHECKS_BOXES)
    suite.makeconftest("from boxes import gradcheck_explain, gradcheck_flatten")
    result = suite.runpytest_inprocess()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E * GradientMismatch: inside is 3/2 x numeric (2 of 2 wrong)", "*boxes are heavy*"]
    )
    assert registered() == before


def test_a_function_with_a_hook_s_name_and_no_mark_is_named(suite, registered):
    before = registered()
    suite.makeconftest("def gradcheck_explain(report):\n    return 'never heard'")
    suite.makepyfile("def test_it(gradcheck): gradcheck(lambda x: x**2, lambda x: x, 2.0)")
    result = suite.runpytest_subprocess()
    result.assert_outcomes(failed=1, warnings=1)
    result.stdout.fnmatch_lines(
        ["*conftest.py:1: gradcheck_explain lacks the decorator pytest_gradcheck.hookimpl, so it *"]
    )
    result.stdout.no_fnmatch_line("*never heard*")
    strict = suite.runpytest_subprocess("-W", "error")
    assert strict.ret == pytest.ExitCode.USAGE_ERROR
    strict.stderr.fnmatch_lines(["ERROR: *conftest.py:1: gradcheck_explain lacks the decorator*"])
    assert registered() == before


def test_a_plugin_that_answers_to_no_other_name_is_left_alone(suite):
    suite.makeconftest(
        """
        class Proxy:
            def __getattr__(self, name):
                raise LookupError(name)

        def pytest_configure(config):
            config.pluginmanager.register(Proxy(), "proxy")
        """
    )
    suite.makepyfile("def test_it(): ...")
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_engine_hooks_in_a_conftest_that_is_found_late(suite, registered):
    before = registered()
    suite.makepyfile(boxes=FLATTENS_BOXES, **{"deep/down/test_boxes": CHECKS_BOXES})
    conftest = suite.path / "deep" / "down" / "conftest.py"
    conftest.write_text("from boxes import gradcheck_explain, gradcheck_flatten")
    suite.runpytest_inprocess().assert_outcomes(passed=1, failed=1)
    assert registered() == before


@pytest.mark.parametrize("first", ["boxes", "pytest_gradcheck.plugin"])
def test_engine_hooks_in_a_plugin_before_or_behind_ours(suite, registered, monkeypatch, first):
    before = registered()
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    suite.makepyfile(boxes=FLATTENS_BOXES, test_boxes=CHECKS_BOXES)
    second = ({"boxes", "pytest_gradcheck.plugin"} - {first}).pop()
    suite.runpytest_inprocess("-p", first, "-p", second).assert_outcomes(passed=1, failed=1)
    assert registered() == before


def test_engine_hooks_are_gone_after_a_session_that_was_interrupted(suite, registered):
    before = registered()
    suite.makepyfile(boxes=FLATTENS_BOXES)
    suite.makeconftest("from boxes import gradcheck_explain, gradcheck_flatten")
    suite.makepyfile("raise KeyboardInterrupt")
    result = suite.runpytest_inprocess(no_reraise_ctrlc=True)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert registered() == before


def test_a_plugin_of_the_outer_session_stays_registered(suite):
    # A session in a session in a session: the innermost must not unregister what is not its own.
    suite.makepyfile(
        boxes=FLATTENS_BOXES,
        test_nested="""
        import boxes
        import pytest
        from pytest_gradcheck import plugin_manager

        pytest_plugins = ["pytester"]

        def test_it(pytester):
            assert plugin_manager().is_registered(boxes)
            pytester.makepyfile("def test_inner(gradcheck): gradcheck(lambda p: p, 1.0, 2.0)")
            result = pytester.inline_run("-p", "boxes")
            result.assertoutcome(passed=1)
            assert plugin_manager().is_registered(boxes)
        """,
    )
    suite.runpytest_subprocess("-p", "boxes", "-p", "pytester").assert_outcomes(passed=1)


def test_sessions_do_not_hear_each_other(suite, request):
    heard = []

    class Listener:
        def pytest_gradcheck_result(self, item, report):
            heard.append(item.nodeid)

    suite.makepyfile(test_inner="def test_it(gradcheck): gradcheck(lambda p: p, 1.0, 2.0)")
    request.config.pluginmanager.register(listener := Listener())
    try:
        inner = Listener()
        suite.inline_run(plugins=[inner]).assertoutcome(passed=1)
        assert heard == ["test_inner.py::test_it"]
        check_gradients(lambda p: p, 1.0, 2.0)
    finally:
        request.config.pluginmanager.unregister(listener)
    assert heard == ["test_inner.py::test_it", request.node.nodeid]
