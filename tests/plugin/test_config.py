"""The command line and the ini keys: names, formats, types, bad values."""

import pytest

from pytest_gradcheck._options import CLI_FIELDS

PYTEST_9 = int(pytest.__version__.split(".")[0]) >= 9

# A value of each option that is not its default, as it is written and as it is read.
VALUES = {
    "rtol": ("1e-3", 1e-3),
    "atol": ("0", 0.0),
    "eps": ("1e-4", 1e-4),
    "threshold": ("1e-2", 1e-2),
    "scheme": ("forward", "forward"),
    "max_evals": ("500", 500),
    "seed": ("9007199254740993", 9007199254740993),  # 2**53 + 1: not a float
    "nondet_tol": ("1e-9", 1e-9),
    "inconclusive": ("warn", "warn"),
    "kinks": ("fail", "fail"),
    "vacuous": ("pass", "pass"),
    "repairs": ("skip", "skip"),
    "max_report": ("0", 0),
}

SHOW = """
    import json
    from pathlib import Path

    def test_it(gradcheck):
        Path("options.json").write_text(json.dumps(gradcheck.options))
"""


@pytest.fixture
def options_of(suite):
    """Run a test with the given arguments; return the options that its fixture got."""
    import json

    suite.makepyfile(test_show=SHOW)

    def run(*args):
        suite.runpytest_inprocess(*args, "--strict-config").assert_outcomes(passed=1)
        return json.loads((suite.path / "options.json").read_text())

    return run


def test_every_option_of_the_command_line_is_tried_here():
    assert {item.name for item in CLI_FIELDS} == set(VALUES)


@pytest.mark.parametrize("name", VALUES)
def test_an_option_on_the_command_line(options_of, name):
    written, read = VALUES[name]
    found = options_of(f"--gradcheck-{name.replace('_', '-')}", written)
    assert found == {name: read}
    assert type(found[name]) is type(read)


INI = "[pytest]\n" + "".join(f"gradcheck_{name} = {text}\n" for name, (text, _) in VALUES.items())


def toml(section):
    lines = [
        f"gradcheck_{name} = {text if not isinstance(read, str) else repr(text)}"
        for name, (text, read) in VALUES.items()
    ]
    return "\n".join([f"[{section}]", *lines, ""])


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("pytest.ini", INI, id="pytest.ini"),
        pytest.param("tox.ini", INI, id="tox.ini"),
        pytest.param("setup.cfg", INI.replace("pytest", "tool:pytest", 1), id="setup.cfg"),
        pytest.param("pyproject.toml", toml("tool.pytest.ini_options"), id="pyproject"),
        pytest.param(
            "pyproject.toml",
            toml("tool.pytest"),
            id="pyproject-native",
            marks=pytest.mark.skipif(not PYTEST_9, reason="pytest 9 brought this table"),
        ),
    ],
)
def test_every_option_in_every_kind_of_file(suite, options_of, name, text):
    suite.path.joinpath(name).write_text(text)
    found = options_of()
    assert found == {key: read for key, (_, read) in VALUES.items()}
    assert {key: type(value) for key, value in found.items()} == {
        key: type(read) for key, (_, read) in VALUES.items()
    }


def test_an_ini_key_can_be_overridden_on_the_command_line(suite, options_of):
    suite.makeini("[pytest]\ngradcheck_rtol = 1e-3\n")
    assert options_of("-o", "gradcheck_rtol=1e-4") == {"rtol": 1e-4}


def test_nothing_is_set_by_default(options_of):
    assert options_of() == {}


@pytest.mark.parametrize(
    ("option", "value", "why"),
    [
        ("rtol", "tight", "must be a positive finite number, not 'tight'"),
        ("rtol", "0", "must be a positive finite number, not '0'"),
        ("rtol", "nan", "must be a positive finite number, not 'nan'"),
        ("atol", "-1", "must be a finite number, 0 or more, not '-1'"),
        ("max-evals", "7", "must be a whole number, 8 or more, not '7'"),
        ("max-report", "2.5", "must be a whole number, 0 or more, not '2.5'"),
        ("scheme", "centered", "must be one of 'central', *, not 'centered'"),
        ("kinks", "warn", "must be one of 'pass', 'fail', not 'warn'"),
    ],
)
def test_a_bad_value_on_the_command_line_is_a_usage_error(suite, option, value, why):
    result = suite.runpytest_inprocess(f"--gradcheck-{option}={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    name = option.replace("-", "_")
    result.stderr.fnmatch_lines([f"ERROR: --gradcheck-{option}: {name} {why}"])


def test_a_summary_of_another_name_on_the_command_line_is_a_usage_error(suite):
    result = suite.runpytest_inprocess("--gradcheck-summary=some")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        ["*error: argument --gradcheck-summary: *choose from *failed*all*none*"]
    )


@pytest.mark.parametrize(
    ("key", "value", "why"),
    [
        ("rtol", "tight", "must be a number, not 'tight'"),
        ("rtol", "0", "rtol must be a positive finite number, not 0.0"),
        ("max_evals", "7", "max_evals must be a whole number, 8 or more, not 7"),
        ("seed", "one", "must be a whole number, not 'one'"),
        ("scheme", "centered", "scheme must be one of 'central', *, not 'centered'"),
        ("skip", "maybe", "invalid truth value 'maybe'"),
        ("summary", "some", "must be one of 'failed', 'all', 'none', not 'some'"),
    ],
)
def test_a_bad_value_in_a_file_is_a_usage_error(suite, key, value, why):
    path = suite.makeini(f"[pytest]\ngradcheck_{key} = {value}\n")
    result = suite.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {path}: gradcheck_{key}: {why}"])


@pytest.mark.skipif(not PYTEST_9, reason="pytest 9 brought this table")
def test_a_bad_type_in_a_native_table_is_a_usage_error(suite):
    suite.makepyprojecttoml("[tool.pytest]\ngradcheck_rtol = 'tight'\n")
    result = suite.runpytest_inprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    (said,) = (line for line in result.errlines if "expects a float" in line)
    assert (said.count("gradcheck_rtol"), said.count("pyproject.toml")) == (1, 1)


def test_help_shows_the_group_and_the_keys(suite):
    result = suite.runpytest_inprocess("--help")
    result.stdout.fnmatch_lines(
        [
            "gradient checks (every option is an ini key as well):",
            "  --gradcheck-rtol*RTOL*",
            "  --gradcheck-max-evals*MAX-EVALS*",
            "  --gradcheck-inconclusive*{fail,warn,pass}*",
            "  --gradcheck-skip *",
            "  --gradcheck-summary*{failed,all,none}*",
            "  --gradcheck-json*PATH*",
            "*gradcheck_rtol (float):*",
            "*gradcheck_max_evals (int):*",
            "*gradcheck_kinks (string):*",
            "*gradcheck_skip (bool):*",
        ]
    )


def test_the_header_shows_what_is_set_and_is_silent_otherwise(suite):
    suite.makeini("[pytest]\ngradcheck_rtol = 1e-3\n")
    result = suite.runpytest_inprocess("--gradcheck-seed=3")
    result.stdout.fnmatch_lines(["gradcheck, for its fixtures only: rtol=0.001, seed=3"])
    result = suite.runpytest_inprocess("-c", "/dev/null", f"--rootdir={suite.path}")
    result.stdout.no_fnmatch_line("gradcheck*: *")


def test_the_environment_is_not_read(suite, options_of, monkeypatch):
    for name in ("GRADCHECK_RTOL", "PYTEST_GRADCHECK_RTOL", "gradcheck_rtol"):
        monkeypatch.setenv(name, "1e-3")
    assert options_of() == {}


SKIPPABLE = """
    import pytest
    from quadratic import cost, theta, wrong

    @pytest.fixture
    def through(numerical_gradient): ...

    def test_direct(gradcheck):
        gradcheck(cost, wrong, theta)

    def test_through(through):
        raise RuntimeError("not reached")

    def test_late(request):
        request.getfixturevalue("gradcheck")
        raise RuntimeError("not reached")

    @pytest.mark.gradcheck
    def test_bare(): ...

    def test_generator_only(gradcheck_rng): ...

    def test_other(): ...
"""


def test_skip_on_the_command_line(suite):
    suite.makepyfile(test_skippable=SKIPPABLE)
    result = suite.runpytest_inprocess("--gradcheck-skip", "-rs")
    result.assert_outcomes(skipped=3, passed=3)
    result.stdout.fnmatch_lines(
        ["SKIPPED [[]2] test_skippable.py: gradient checks are skipped: --gradcheck-skip"]
    )
    result.stdout.fnmatch_lines(["gradcheck: gradient checks are skipped: --gradcheck-skip"])


def test_skip_in_the_ini_file(suite):
    suite.makeini("[pytest]\ngradcheck_skip = true\n")
    suite.makepyfile(test_skippable=SKIPPABLE)
    result = suite.runpytest_inprocess("-rs")
    result.assert_outcomes(skipped=3, passed=3)
    result.stdout.fnmatch_lines(["SKIPPED *skipped: gradcheck_skip in the ini file"])
    # -o is the way back for one run.
    result = suite.runpytest_inprocess("-o", "gradcheck_skip=false")
    result.assert_outcomes(failed=3, passed=3)
