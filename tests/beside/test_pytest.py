"""pytest's own ways to select, stop, repeat and run, over a suite with checks of every verdict."""

import pytest
from amounts import long
from small_suite import OUTCOMES, SUITE, SUMMARY, VERDICTS, checks, verdicts

FAILING = ["test_wrong", "test_inconclusive", "test_plain"]


@pytest.fixture
def user(suite):
    suite.makepyfile(test_nn=SUITE)
    return suite


@pytest.mark.parametrize(
    ("args", "python"),
    [
        ((), ()),
        (("-p", "no:terminal"), ()),
        long(("--assert=plain",), ()),
        long(("--import-mode=importlib",), ()),
        long(("--import-mode=importlib", "--assert=plain"), ("-OO",)),
        long(("-p", "no:cacheprovider", "-p", "no:logging", "-p", "no:unittest"), ("-X", "dev")),
        long(("-s",), ("-O", "-B", "-s")),
        long(("-p", "no:terminal", "-p", "no:capture"), ("-O",)),
    ],
    ids=lambda words: " ".join(words) or "-",
)
def test_every_way_gives_the_same_checks(user, beside, args, python):
    if any(word.startswith("-O") for word in python):
        # pytest warns that Python leaves out asserts.
        args = (*args, "-W", "ignore::pytest.PytestConfigWarning")
    result = beside(*args, python=python)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert verdicts(user) == VERDICTS
    if "no:terminal" in args:
        assert result.outlines == []
        assert result.errlines == []
    else:
        result.assert_outcomes(**OUTCOMES)
        result.stdout.fnmatch_lines_random(SUMMARY)


@pytest.mark.long
def test_lf_and_ff(user, beside):
    beside(cache=True)
    whole = {check["nodeid"]: check for check in checks(user)}
    last = beside("--lf", cache=True)
    last.assert_outcomes(failed=3)
    assert [name for name, _ in verdicts(user)] == FAILING
    found = {check["nodeid"]: check for check in checks(user)}
    # A check that takes no time is made as a whole again, as one that could not be told is.
    assert found == {nodeid: whole[nodeid] for nodeid in found}

    first = beside("--ff", cache=True)
    first.assert_outcomes(**OUTCOMES)
    assert [name for name, _ in verdicts(user)] == [
        *FAILING,
        *(name for name, _ in VERDICTS if name not in FAILING),
    ]


@pytest.mark.long
def test_stepwise_goes_on_where_it_stopped(user, beside):
    beside("--sw", cache=True).assert_outcomes(passed=1, failed=1)
    assert [name for name, _ in verdicts(user)] == ["test_right", "test_wrong"]
    beside("--sw", "--sw-skip", cache=True)
    names = [name for name, _ in verdicts(user)]
    assert names == ["test_wrong", "test_inconclusive"]


@pytest.mark.parametrize(("args", "count"), [(["-x"], 2), long(["--maxfail=2"], 3)])
def test_a_run_that_is_stopped_early_has_what_was_checked(user, beside, args, count):
    result = beside(*args)
    result.assert_outcomes(passed=1, failed=count - 1)
    assert verdicts(user) == VERDICTS[:count]
    checked = f"{count} gradient checks, {count - 1} failed"
    result.stdout.fnmatch_lines([f"*= {checked} =*", "*!! stopping after *"])


@pytest.mark.parametrize(
    ("args", "count"), [((), 8), long(("-m", "gradcheck"), 5), long(("-m", "not gradcheck"), 3)]
)
def test_collecting_alone_checks_nothing(user, beside, args, count):
    result = beside("--co", "-q", *args)
    assert result.ret == pytest.ExitCode.OK
    assert len([line for line in result.outlines if line.startswith("test_nn.py::")]) == count
    assert not (user.path / "checks.json").exists()  # it is left to the last run that checked


def test_strict_mode(user, beside):
    # pytest 9 knows `strict`, for every strict setting at once; 8.4 has them one by one.
    nine = int(pytest.__version__.split(".")[0]) >= 9
    user.makeini(
        "[pytest]\nstrict = true\n"
        if nine
        else "[pytest]\naddopts = --strict-markers --strict-config\nxfail_strict = true\n"
    )
    result = beside("-W", "error")
    result.assert_outcomes(**OUTCOMES)
    assert verdicts(user) == VERDICTS


def test_our_keys_in_the_native_table_of_pytest_9_in_strict_mode(user, beside):
    if int(pytest.__version__.split(".")[0]) < 9:
        pytest.skip("pytest 9 reads [tool.pytest]")
    (user.path / "pyproject.toml").write_text(
        "[tool.pytest]\nstrict = true\n"
        "gradcheck_rtol = 1e-4\ngradcheck_summary = 'all'\ngradcheck_max_report = 2\n"
    )
    result = beside()
    result.assert_outcomes(**OUTCOMES)
    assert verdicts(user) == VERDICTS
    assert {check["max_report"] for check in checks(user)} >= {2}
    result.stdout.fnmatch_lines(
        ["gradcheck, for its fixtures only: *rtol=0.0001*", "test_right cost *3 agree*"]
    )


def test_doctests(suite, beside):
    suite.makepyfile(
        documented='''
        """
        >>> from quadratic import cost, right, theta, wrong
        >>> from pytest_gradcheck import assert_gradients_close, check_gradients
        >>> assert_gradients_close(cost, right, theta).ok
        True
        """

        def fixture():
            """
            >>> from quadratic import cost, right, theta
            >>> getfixture("gradcheck")(cost, right, theta).verdict
            'agree'
            """

        def fails():
            """
            >>> from quadratic import cost, theta, wrong
            >>> from pytest_gradcheck import assert_gradients_close
            >>> assert_gradients_close(cost, wrong, theta)
            """
        '''
    )
    suite.maketxtfile(
        text="""
        >>> from quadratic import cost, right, theta
        >>> from pytest_gradcheck import check_gradients
        >>> check_gradients(cost, right, theta).verdict
        'agree'
        """
    )
    result = beside("--doctest-modules", "--doctest-glob=*.txt", "--ignore=quadratic.py")
    result.assert_outcomes(passed=3, failed=1)
    assert sorted(verdicts(suite)) == [
        ("documented", "agree"),
        ("documented.fails", "disagree"),
        ("documented.fixture", "agree"),
        ("text.txt", "agree"),
    ]
    result.stdout.fnmatch_lines_random(
        ["*GradientMismatch: params[[]1]: *", "*4 gradient checks, 1 failed*"]
    )
