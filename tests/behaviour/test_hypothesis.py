"""Checks inside hypothesis' tests: they run, shrink and replay; and points to draw."""

import numpy as np
import pytest
from amounts import long

hypothesis = pytest.importorskip("hypothesis")

from hypothesis import HealthCheck, find, given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from pytest_gradcheck import GradientMismatch, assert_gradients_close  # noqa: E402
from pytest_gradcheck.strategies import points  # noqa: E402


@given(points((3,), low=0.5, high=4.0))
@settings(max_examples=20, deadline=None)
def test_a_right_gradient_passes_at_every_point(x):
    assert ((x >= 0.5) & (x <= 4)).all()
    assert_gradients_close(lambda x: np.sum(np.log(x)), lambda x: 1 / x, x)


@given(points({"W": np.zeros((2, 2), np.float32), "b": 0.0}))
@settings(max_examples=10)
def test_points_have_the_structure_they_are_like(params):
    assert list(params) == ["W", "b"]
    assert params["W"].dtype == np.float32
    assert params["W"].shape == (2, 2)
    assert type(params["b"]) is float


def test_a_wrong_gradient_shrinks_to_the_edge_of_where_it_is_wrong():
    def fails(x):
        try:
            assert_gradients_close(
                lambda x: np.sum(x**2), lambda x: np.where(x > 1, 3 * x, 2 * x), x
            )
        except GradientMismatch:
            return True
        return False

    smallest = find(points((2,), low=0.5, high=4.0), fails, settings=settings(deadline=None))
    assert sorted(smallest.tolist()) == [1.0, 2.0]


@given(seed=st.integers(0, 5))
@settings(
    max_examples=6,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_our_fixture_works_inside_given(gradcheck, seed):
    x = np.random.default_rng(seed).uniform(1, 2, 3)
    assert gradcheck(lambda x: np.sum(x**3), lambda x: 3 * x**2, x).ok


# Explaining, it traces each line of a failing check, some hundred times.
@pytest.mark.parametrize("phases", ["set(Phase) - {Phase.explain}", long("set(Phase)")])
def test_a_run_of_hypothesis_with_our_fixture_and_records(pytester, phases):
    pytester.makepyfile(
        """
        import numpy as np
        from hypothesis import HealthCheck, Phase, given, settings
        from pytest_gradcheck import assert_gradients_close
        from pytest_gradcheck.strategies import points

        @given(points((2,), low=0.5, high=2.0))
        @settings(max_examples=5, derandomize=True, database=None, deadline=None)
        def test_right(x):
            assert_gradients_close(lambda x: np.sum(x**2), lambda x: 2 * x, x)

        @given(points((2,), low=0.5, high=2.0))
        @settings(max_examples=5, derandomize=True, database=None, deadline=None,
                  phases=PHASES)
        def test_wrong(x):
            assert_gradients_close(lambda x: np.sum(x**2), lambda x: 3 * x, x)

        @given(points((2,), low=0.5, high=2.0))
        @settings(max_examples=5, derandomize=True, database=None, deadline=None,
                  suppress_health_check=[HealthCheck.function_scoped_fixture])
        def test_fixture(gradcheck, x):
            gradcheck(lambda x: np.sum(x**2), lambda x: 2 * x, x)
        """.replace("PHASES", phases)
    )
    result = pytester.runpytest("-p", "no:cacheprovider", "--gradcheck-summary", "all")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*GradientMismatch: params* numeric *"])
    result.stdout.fnmatch_lines(["*test_wrong(*", "*x=array([[]1., 1.[]])*", "*gradient checks*"])


def test_bad_points():
    with pytest.raises(ValueError, match="low must be less than high"):
        points((2,), low=1, high=1)
    with pytest.raises(TypeError, match="which has no small steps to take"):
        points({"n": np.array([1, 2])})
