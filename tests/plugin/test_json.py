"""The file of --gradcheck-json."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from pytest_gradcheck import (
    BlockReport,
    Diagnosis,
    Entry,
    GradientReport,
    SourceLine,
    __version__,
    check_gradients,
)
from pytest_gradcheck._report import report as report_module
from pytest_gradcheck.plugin import progress_and_results

TESTS = """
    import numpy as np
    from quadratic import cost, right, theta, wrong

    def test_right(gradcheck):
        gradcheck(cost, right, theta)

    def test_wrong(gradcheck):
        gradcheck(cost, wrong, theta)

    def test_nan(gradcheck):
        gradcheck(cost, np.array([2.0, np.nan, 6.0]), theta)
"""


@pytest.fixture
def tests(suite):
    suite.makepyfile(test_nn=TESTS)
    return suite


def strict(path):
    """Read JSON, which has no NaN: Python's own reader would let it pass."""

    def refuse(name):
        raise ValueError(name)

    return json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)


def test_its_schema_is_that_of_a_report():
    report = check_gradients(lambda p: p, 1.0, 2.0)
    assert report.to_dict()["schema"] == report_module.SCHEMA == progress_and_results.SCHEMA


@pytest.mark.parametrize("option", ["--collect-only", "--fixtures", "--help", "absent.py"])
def test_where_no_test_is_run_the_last_run_s_file_stays(tests, option):
    """Editors collect in the background, and an ini key holds for that run too."""
    tests.makeini("[pytest]\ngradcheck_json = checks.json")
    tests.runpytest_inprocess()
    before = Path("checks.json").read_bytes()
    assert b"test_nn.py::test_right" in before
    result = tests.runpytest_inprocess(option)
    assert Path("checks.json").read_bytes() == before
    result.stdout.no_fnmatch_line("*JSON file*")


def test_every_check_is_written(tests):
    result = tests.runpytest_inprocess("--gradcheck-json=out/checks.json")
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(["gradcheck: the JSON file is */out/checks.json"])
    content = strict(tests.path / "out" / "checks.json")
    assert list(content) == ["schema", "version", "checks"]
    assert content["schema"] == "pytest-gradcheck/1"
    assert content["version"] == __version__
    found = [(check["nodeid"], check["verdict"], check["ok"]) for check in content["checks"]]
    assert found == [
        ("test_nn.py::test_right", "agree", True),
        ("test_nn.py::test_wrong", "disagree", False),
        ("test_nn.py::test_nan", "disagree", False),
    ]
    right, wrong, nan = content["checks"]
    assert wrong["worst"][0]["label"] == "params[1]"
    assert wrong["worst"][0]["analytic"] == -6.0
    assert nan["worst"][0]["analytic"] == "nan"
    assert right["blocks"][0]["name"] == "params"
    expected = check_gradients(lambda theta: theta, 1.0, 2.0).to_dict()
    assert set(right) == {"nodeid", *expected}


def test_no_check_makes_an_empty_list(suite):
    suite.makepyfile("def test_it(): ...")
    suite.runpytest_inprocess("--gradcheck-json=checks.json").assert_outcomes(passed=1)
    assert strict(suite.path / "checks.json")["checks"] == []


def test_it_is_written_without_a_terminal(tests):
    tests.runpytest_inprocess("-p", "no:terminal", "--gradcheck-json=checks.json")
    assert len(strict(tests.path / "checks.json")["checks"]) == 3


def test_a_path_in_the_ini_file_is_relative_to_that_file(tests, monkeypatch):
    tests.makeini("[pytest]\ngradcheck_json = out/checks.json\n")
    below = tests.mkdir("below")
    monkeypatch.chdir(below)
    tests.runpytest_inprocess("..")
    assert len(strict(tests.path / "out" / "checks.json")["checks"]) == 3
    tests.runpytest_inprocess("..", "--gradcheck-json=here.json")
    assert len(strict(below / "here.json")["checks"]) == 3


def test_a_path_without_an_ini_file_is_relative_to_where_pytest_was_called(tests, monkeypatch):
    monkeypatch.chdir(below := tests.mkdir("below"))
    tests.runpytest_inprocess("..", "-o", "gradcheck_json=checks.json")
    assert len(strict(below / "checks.json")["checks"]) == 3


def test_nothing_is_written_when_it_is_not_asked_for(tests):
    tests.runpytest_inprocess()
    assert not list(tests.path.rglob("*.json"))


@pytest.mark.parametrize("path", [".", "test_nn.py/checks.json"])
def test_a_path_that_can_not_be_written_loses_nothing_else(tests, path):
    result = tests.runpytest_inprocess(f"--gradcheck-json={path}", "-W", "error")
    result.assert_outcomes(passed=1, failed=2)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(
        [
            "*= 3 gradient checks, 2 failed =*",
            "gradcheck: the JSON file was not written: *",
            "FAILED test_nn.py::test_wrong - *",
        ]
    )


def test_a_path_that_can_not_be_written_is_no_success(tests):
    args = ("--gradcheck-json=.", "test_nn.py::test_right")
    result = tests.runpytest_inprocess(*args)
    result.assert_outcomes(passed=1)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result = tests.runpytest_inprocess("-p", "no:terminal", *args)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["gradcheck: the JSON file was not written: *"])


# docs/json.md

DOCUMENT = Path(__file__).parents[2] / "docs" / "json.md"


def documented(heading):
    """Return the rows of the table under a heading: key to type."""
    text = DOCUMENT.read_text(encoding="utf-8")
    part = re.split(r"^## ", text.partition(f"\n## {heading}\n")[2], flags=re.M)[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", part, re.M))


def test_the_document_has_every_key_and_no_other():
    report = [item.name for item in fields(GradientReport) if item.name != "evidence"]
    assert list(documented("A check")) == ["schema", *report]
    assert list(documented("A block")) == [item.name for item in fields(BlockReport)]
    assert list(documented("A diagnosis")) == [item.name for item in fields(Diagnosis)]
    assert list(documented("A line")) == [item.name for item in fields(SourceLine)]
    assert list(documented("An entry")) == [item.name for item in fields(Entry)]
    assert list(documented("The file")) == ["schema", "version", "checks"]


def fits(value, kind):
    """Return whether a value is of a documented type."""
    kind, _, rest = kind.partition(" or ")
    if rest:
        assert rest == "null"
        if value is None:
            return True
    if kind.startswith("list of"):
        inner = kind.removeprefix("list of ").removeprefix("2 ")
        return isinstance(value, list) and all(fits(item, inner) for item in value)
    if kind == "number" or kind == "numbers":
        return type(value) is float or value in ("nan", "inf", "-inf")
    types = {"string": str, "int": int, "bool": bool}
    parts = ("block", "entry", "diagnosis", "line", "check")
    return isinstance(value, dict) if kind in parts else type(value) is types[kind]


def test_values_have_the_types_that_the_document_says(tests):
    tests.makepyfile(
        test_more="""
        import numpy as np

        def test_kink(gradcheck):
            x = np.array([-1.0, 0.0, 2.0])
            gradcheck(
                lambda x: np.sum(np.maximum(x, 0)), lambda x: 1.0 * (x > 0), x, rtol=1e-5,
                threshold=1,
            )

        def test_complex(gradcheck):
            gradcheck(lambda z: np.sum(np.abs(z) ** 2), lambda z: 2 * z, np.array([1 + 2j]))

        def test_many(gradcheck):
            gradcheck(lambda x: np.sum(x**2), lambda x: 3 * x, np.ones(4000))
        """
    )
    tests.runpytest_inprocess("--gradcheck-json=checks.json")
    checks = strict(tests.path / "checks.json")["checks"]
    assert len(checks) == 6
    for check in checks:
        assert type(check.pop("nodeid")) is str
        for item, kinds in [
            (check, documented("A check")),
            *((block, documented("A block")) for block in check["blocks"]),
            *((entry, documented("An entry")) for entry in check["worst"]),
        ]:
            assert list(item) == list(kinds)
            wrong = {key: item[key] for key, kind in kinds.items() if not fits(item[key], kind)}
            assert wrong == {}


def test_what_is_no_unicode_is_escaped():
    report = check_gradients(lambda p: p["\udc80"] ** 2, {"\udc80": 1.0}, {"\udc80": 1.0})
    text = json.dumps(report.to_dict(), ensure_ascii=False)
    assert "\\udc80" in text
    text.encode()


def test_it_is_there_whole_or_not_at_all(tests, monkeypatch):
    (tests.path / "checks.json").write_text("before")

    def stop(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", stop)
    result = tests.runpytest_inprocess("--gradcheck-json=checks.json")
    result.stdout.fnmatch_lines(["gradcheck: the JSON file was not written: *No space left*"])
    assert (tests.path / "checks.json").read_text() == "before"
    assert not list(tests.path.glob(".gradcheck-*"))
