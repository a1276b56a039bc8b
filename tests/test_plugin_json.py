"""The file of --gradcheck-json."""

import json

import pytest

from pytest_gradcheck import __version__, _report, _results, check_gradients

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
    assert report.to_dict()["schema"] == _report.SCHEMA == _results.SCHEMA


def test_every_check_is_written(tests):
    result = tests.runpytest_inprocess("--gradcheck-json=out/checks.json")
    result.assert_outcomes(passed=1, failed=2)
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
