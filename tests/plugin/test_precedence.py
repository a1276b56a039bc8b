"""Call > nearest marker > gradcheck_options > command line > ini file > default."""

from itertools import pairwise

import pytest

# Each source, weakest first, says a seed of its own; the report tells which one was heard.
SOURCES = ["default", "ini", "command line", "fixture", "far marker", "near marker", "call"]


def seeds(suite, said):
    """Write a suite in which the sources in `said` say their seeds; return the arguments."""
    says = {name: f"seed={SOURCES.index(name)}" for name in said}
    if "ini" in says:
        suite.makeini(f"[pytest]\ngradcheck_{says['ini']}\n")
    fixture = f"return dict({says['fixture']})" if "fixture" in says else "return {}"
    suite.makepyfile(
        f"""
        import pytest
        from quadratic import cost, right, theta

        @pytest.fixture
        def gradcheck_options():
            {fixture}

        @pytest.mark.gradcheck({says.get("far marker", "")})
        class TestSeed:
            @pytest.mark.gradcheck({says.get("near marker", "")})
            def test_it(self, gradcheck):
                report = gradcheck(cost, right, theta, {says.get("call", "")})
                print("seed", report.seed)
        """
    )
    return [f"--gradcheck-{says['command line']}"] if "command line" in says else []


@pytest.mark.parametrize(("weaker", "stronger"), list(pairwise(SOURCES)))
def test_the_stronger_of_two_neighbours_is_heard(suite, weaker, stronger):
    args = seeds(suite, {weaker, stronger} - {"default"})
    result = suite.runpytest_inprocess("-s", *args)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*seed {SOURCES.index(stronger)}"])


@pytest.mark.parametrize("strongest", SOURCES)
def test_the_strongest_of_all_is_heard(suite, strongest):
    said = SOURCES[1 : SOURCES.index(strongest) + 1]
    result = suite.runpytest_inprocess("-s", *seeds(suite, said))
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"*seed {SOURCES.index(strongest)}"])


def test_sources_add_up(suite):
    suite.makeini("[pytest]\ngradcheck_rtol = 1e-3\ngradcheck_max_report = 1\n")
    suite.makepyfile(
        """
        import pytest

        @pytest.fixture
        def gradcheck_options():
            return {"kinks": "fail"}

        @pytest.mark.gradcheck(only="w*")
        def test_it(gradcheck):
            assert gradcheck.options == {
                "rtol": 1e-3, "max_report": 2, "kinks": "fail", "only": ("w*",)
            }
            gradcheck(lambda p: p["w"], {"w": 1.0}, {"w": 2.0})
        """
    )
    suite.runpytest_inprocess("--gradcheck-max-report=2").assert_outcomes(passed=1)


def test_none_unsets_what_a_weaker_source_says(suite):
    suite.makepyfile(
        """
        import pytest
        from quadratic import cost, right, theta

        @pytest.mark.gradcheck(threshold=None)
        def test_marker(gradcheck):
            assert gradcheck(cost, right, theta).ok

        def test_call(gradcheck):
            assert gradcheck(cost, right, theta, threshold=None).ok

        def test_neither(gradcheck):
            gradcheck(cost, right, theta)
        """
    )
    # No difference is this small, so that only the tests without the threshold pass.
    result = suite.runpytest_inprocess("--gradcheck-threshold=1e-300", "--gradcheck-eps=1e-3")
    result.assert_outcomes(passed=2, failed=1)
