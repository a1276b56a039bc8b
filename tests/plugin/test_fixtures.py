"""The fixtures gradcheck, numerical_gradient, gradcheck_options and gradcheck_rng."""

import json
import sys

import numpy as np
import pytest


def test_gradcheck_returns_the_report_of_a_right_gradient(suite):
    suite.makepyfile(
        """
        from quadratic import cost, right, theta
        from pytest_gradcheck import GradientReport

        def test_it(gradcheck):
            report = gradcheck(cost, right, theta)
            assert isinstance(report, GradientReport)
            assert report.ok and report.size == 3
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_gradcheck_raises_for_a_wrong_gradient(suite):
    suite.makepyfile(
        """
        import pytest
        from quadratic import cost, theta, wrong
        from pytest_gradcheck import GradientMismatch

        def test_it(gradcheck):
            with pytest.raises(GradientMismatch) as caught:
                gradcheck(cost, wrong, theta)
            assert caught.value.report.wrong == 1
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_every_keyword_of_the_function_is_passed_on(suite):
    suite.makepyfile(
        """
        import numpy as np

        def test_args_and_has_aux(gradcheck, numerical_gradient):
            def forward(params, x):
                return float(params["w"] @ x), "cache"

            params, x = {"w": np.array([1.0, 2.0])}, np.array([3.0, 4.0])
            report = gradcheck(forward, {"w": x}, params, args=(x,), has_aux=True)
            assert report.ok
            numeric = numerical_gradient(forward, params, args=(x,), has_aux=True)
            np.testing.assert_allclose(numeric["w"], x, rtol=1e-6)

        def test_in_place(gradcheck, numerical_gradient):
            params = {"w": np.array([1.0, 2.0])}

            def loss():
                return float(np.sum(params["w"] ** 2))

            assert gradcheck(loss, {"w": 2 * params["w"]}, params, in_place=True).ok
            numeric = numerical_gradient(loss, params, in_place=True)
            np.testing.assert_allclose(numeric["w"], [2.0, 4.0], rtol=1e-6)

        def test_copy(gradcheck, numerical_gradient):
            def scribbles(w):
                value = float(np.sum(w**2))
                w[:] = 0.0
                return value

            w = np.array([1.0, 2.0])
            assert gradcheck(scribbles, 2 * w, w, copy=True).ok
            numeric = numerical_gradient(scribbles, w, copy=True)
            np.testing.assert_allclose(numeric, [2.0, 4.0], rtol=1e-6)
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=3)


def test_an_unknown_keyword_is_a_type_error_of_the_function(suite):
    suite.makepyfile(
        """
        import pytest
        from quadratic import cost, right, theta

        def test_it(gradcheck, numerical_gradient):
            with pytest.raises(TypeError, match="rtoll"):
                gradcheck(cost, right, theta, rtoll=1e-5)
            with pytest.raises(TypeError, match="rtol"):
                numerical_gradient(cost, theta, rtol=1e-5)
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_numerical_gradient_takes_the_options_that_concern_it(suite):
    suite.makepyfile(
        """
        import numpy as np
        import pytest
        from quadratic import cost, theta

        @pytest.mark.gradcheck(eps=0.125, scheme="forward", rtol=1e-3, max_report=2)
        def test_it(numerical_gradient):
            assert set(numerical_gradient.options) >= {"eps", "scheme"}
            assert "rtol" not in numerical_gradient.options
            # (t + h)^2 - t^2 = 2 t h + h^2: the forward difference is off by h exactly.
            np.testing.assert_array_equal(numerical_gradient(cost, theta), 2 * theta + 0.125)
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_fixture_can_be_built_on_gradcheck(suite):
    suite.makepyfile(
        """
        import pytest
        from quadratic import cost, theta, right, wrong

        @pytest.fixture
        def check(gradcheck):
            return lambda grad: gradcheck(cost, grad, theta)

        def test_right(check):
            check(right)

        def test_wrong(check):
            check(wrong)
        """
    )
    suite.runpytest_inprocess().assert_outcomes(passed=1, failed=1)


def test_the_fixture_works_from_a_thread_of_the_test(suite):
    suite.makepyfile(
        """
        from concurrent.futures import ThreadPoolExecutor
        import pytest
        from quadratic import cost, right, theta

        @pytest.mark.gradcheck(rtol=1e-5)
        def test_it(gradcheck):
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(gradcheck, cost, right, theta).result().rtol == 1e-5
        """
    )
    result = suite.runpytest_inprocess("--gradcheck-summary=all")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*= 1 gradient check, 0 failed =*"])


def test_checks_in_threads_of_a_test_are_its_own(suite):
    suite.makepyfile(
        test_nn="""
        from threading import Barrier, Thread
        from quadratic import cost, right, theta, wrong
        from pytest_gradcheck import check_gradients

        def at_once(check, grads):
            barrier = Barrier(len(grads))

            def run(grad):
                barrier.wait()
                check(cost, grad, theta)

            threads = [Thread(target=run, args=(grad,)) for grad in grads]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        def test_plain():
            at_once(check_gradients, [right, wrong, wrong, right])

        def test_fixture(gradcheck):
            at_once(gradcheck, [right] * 4)
        """
    )
    result = suite.runpytest_inprocess("--gradcheck-json=checks.json")
    result.assert_outcomes(passed=2)
    checks = json.loads((suite.path / "checks.json").read_text())["checks"]
    found = [(check["nodeid"].split("::")[1], check["verdict"]) for check in checks]
    assert sorted(found[:4]) == [("test_plain", "agree")] * 2 + [("test_plain", "disagree")] * 2
    assert found[4:] == [("test_fixture", "agree")] * 4


def test_what_gradcheck_options_returns_is_checked(suite):
    suite.makepyfile(
        test_names="""
        import pytest

        @pytest.fixture
        def gradcheck_options():
            return {"rtoll": 1}

        def test_it(gradcheck): ...
        """,
        test_value="""
        import pytest

        @pytest.fixture
        def gradcheck_options():
            return {"rtol": -1}

        def test_it(numerical_gradient): ...
        """,
        test_type="""
        import pytest

        @pytest.fixture
        def gradcheck_options():
            return [("rtol", 1)]

        def test_it(gradcheck_rng): ...
        """,
    )
    result = suite.runpytest_inprocess()
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines_random(
        [
            "fixture gradcheck_options: no option named rtoll; did you mean rtol?",
            "fixture gradcheck_options: rtol must be a positive finite number, not -1",
            "fixture gradcheck_options: must return a mapping of options, not [[]('rtol', 1)]",
        ]
    )


def test_gradcheck_options_nest_by_directory_and_scope(suite):
    suite.makeconftest(
        """
        import pytest

        @pytest.fixture(scope="session")
        def gradcheck_options(gradcheck_options):
            return {**gradcheck_options, "seed": 1, "max_report": 7}
        """
    )
    suite.mkpydir("sub").joinpath("conftest.py").write_text(
        "import pytest\n"
        "@pytest.fixture\n"
        "def gradcheck_options(gradcheck_options):\n"
        "    return {**gradcheck_options, 'seed': 2}\n"
    )
    suite.makepyfile(
        **{
            "test_outer": """
            def test_it(gradcheck):
                assert gradcheck.options == {"seed": 1, "max_report": 7}
            """,
            "sub/test_inner": """
            def test_it(gradcheck):
                assert gradcheck.options == {"seed": 2, "max_report": 7}
            """,
        }
    )
    suite.runpytest_inprocess().assert_outcomes(passed=2)


DRAWS = """
    import os
    from pathlib import Path
    import pytest

    def draw(name, rng):
        text = " ".join(str(n) for n in rng.integers(0, 2**62, 4))
        Path(os.environ["DRAWS"], name).write_text(text)

    @pytest.mark.parametrize("case", ["x", "y"])
    def test_a(gradcheck_rng, case):
        draw("a" + case, gradcheck_rng)

    @pytest.mark.xdist_group("together")
    def test_b(gradcheck_rng):
        draw("b", gradcheck_rng)
"""


@pytest.fixture
def drawn(suite, monkeypatch):
    """Run DRAWS with the given arguments; return what each of its tests drew, by name."""
    suite.makepyfile(test_draws=DRAWS)

    def run(*args, python=()):
        folder = suite.mkdir(f"draws{len(list(suite.path.iterdir()))}")
        monkeypatch.setenv("DRAWS", str(folder))
        if python:
            result = suite.run(sys.executable, *python, "-m", "pytest", *args)
        else:
            result = suite.runpytest_inprocess(*args)
        assert result.ret == 0
        return {path.name: path.read_text() for path in folder.iterdir()}

    return run


def test_gradcheck_rng_depends_on_seed_and_node_id_alone(drawn, monkeypatch):
    first = drawn()
    assert len(first) == len(set(first.values())) == 3
    assert drawn("test_draws.py::test_b") == {"b": first["b"]}
    seeded = drawn("--gradcheck-seed=1")
    assert not set(seeded.values()) & set(first.values())


def test_gradcheck_rng_is_the_same_in_every_process(drawn, monkeypatch):
    first = drawn()
    monkeypatch.setenv("PYTHONHASHSEED", "7")
    assert drawn(python=["-B"]) == first
    # A group changes the node ids on the workers.
    assert drawn("-n2", "--dist=loadgroup", python=["-B"]) == first


def test_gradcheck_rng_is_a_generator_and_leaves_the_global_one_alone(gradcheck_rng):
    before = np.random.get_state()
    assert isinstance(gradcheck_rng, np.random.Generator)
    gradcheck_rng.standard_normal(8)
    after = np.random.get_state()
    assert before[2:] == after[2:]
    np.testing.assert_array_equal(before[1], after[1])


def test_a_seed_in_the_marker_seeds_gradcheck_rng(suite):
    text = """
        import pytest

        @pytest.mark.gradcheck({})
        def test_it(gradcheck, gradcheck_rng):
            gradcheck(lambda p: p, 1.0, 2.0)
            print("drew", gradcheck_rng.integers(2**62))
        """

    def drew(marker, *args):
        suite.makepyfile(test_seed=text.format(marker))
        result = suite.runpytest_inprocess("-s", "-p", "no:cacheprovider", *args)
        result.assert_outcomes(passed=1)
        (line,) = [line for line in result.outlines if "drew" in line]
        return line

    assert drew("seed=3") == drew("", "--gradcheck-seed=3") != drew("")


def test_a_fixture_that_outlives_its_test_still_checks(suite):
    suite.makeconftest(
        """
        import pytest

        kept = []

        @pytest.fixture
        def keep(gradcheck):
            kept.append(gradcheck)

        @pytest.hookimpl(tryfirst=True)
        def pytest_sessionfinish():
            assert kept[0](lambda p: p, 1.0, 2.0).ok
            print("checked after the end")

        def pytest_gradcheck_result(item, report):
            print("heard of", item)
        """
    )
    suite.makepyfile("def test_it(keep): ...")
    result = suite.runpytest_inprocess("-s", "--gradcheck-summary=all")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*checked after the end"])
    # There is no test left that it could belong to.
    result.stdout.no_fnmatch_line("*heard of*")
    result.stdout.no_fnmatch_line("*gradient check*")


@pytest.mark.parametrize("name", ["gradcheck", "numerical_gradient"])
def test_a_fixture_is_printed_without_what_it_keeps_for_itself(name, request):
    """hypothesis prints the fields of a dataclass, addresses and all, in its failing examples."""
    pretty = pytest.importorskip("hypothesis.vendor.pretty").pretty
    fixture = request.getfixturevalue(name)
    assert pretty(fixture) == repr(fixture) == f"{type(fixture).__name__}(options={{}})"
