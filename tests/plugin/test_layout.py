"""How long and how wide a failure is, in terminals of 80 and of 50 columns."""

import re
from textwrap import dedent

import numpy as np
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck._quoting import tell_columns

NETWORK = """
    import numpy as np

    rng = np.random.default_rng(4)
    X, Y = rng.normal(size=(3, 7)), rng.normal(size=(2, 7))
    params = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}

    def cost(p):
        h = np.tanh(p["hidden.weight"] @ X + p["hidden.bias"])
        return np.sum((p["out.weight"] @ h + p["out.bias"] - Y) ** 2)

    def grad(p):
        h = np.tanh(p["hidden.weight"] @ X + p["hidden.bias"])
        d = 2 * (p["out.weight"] @ h + p["out.bias"] - Y)
        dh = p["out.weight"].T @ d * (1 - h**2)
        found = {
            "hidden.weight": dh @ X.T,
            "hidden.bias": dh.sum(axis=1, keepdims=True),
            "out.weight": d @ h.T,
            "out.bias": d.sum(axis=1, keepdims=True),
        }
        SPOIL
        return found

    def test_network(gradcheck):
        gradcheck(cost, grad, params)
"""
SHAPES = (
    "{'hidden.weight': (4, 3), 'hidden.bias': (4, 1), 'out.weight': (2, 4), 'out.bias': (2, 1)}"
)

SPOILED = {
    "factor": 'found["out.weight"] *= 2',
    "row": 'found["hidden.weight"][1] = 0',
    "column": 'found["hidden.weight"][:, 2] *= -1',
    "two": 'found["out.weight"] *= 2; found["hidden.bias"] /= 7',
    "decay": 'found["hidden.weight"] += 0.3 * p["hidden.weight"]',
    "all": "found = {name: value + np.cos(9 * p[name]) for name, value in found.items()}",
    "nan": 'found["out.bias"][0] = np.nan',
    "some": 'found["hidden.weight"][[0, 1, 3], [2, 0, 1]] += 1.5',
}


def test_file(spoil):
    return NETWORK.replace("SHAPES.items()", f"{SHAPES}.items()").replace("SPOIL", SPOILED[spoil])


test_file.__test__ = False


@pytest.mark.parametrize("columns", [80, 50])
@pytest.mark.parametrize("spoil", SPOILED)
def test_a_file_with_one_failure_is_a_screen(suite, monkeypatch, spoil, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    suite.makepyfile(test_net=test_file(spoil))
    result = suite.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    lines = result.outlines
    if columns == 80:
        assert len(lines) <= 45
    start = next(i for i, line in enumerate(lines) if line.startswith("E  "))
    stop = next(i for i, line in enumerate(lines) if line.startswith("=") and i > start)
    first, *said = [line for line in lines[start:] if line.startswith("E ")]
    seen = first[: len("E       GradientMismatch: ") + 60]
    assert seen == first or re.search(r": analytic (\S+ !=|- numeric =|.* numeric) \S+ ", seen)
    assert all(len(line) <= columns for line in said)
    assert all(len(line) <= columns for line in lines[start + len(said) + 1 :])
    assert stop > start


def test_each_thing_is_said_once(suite):
    suite.makepyfile(test_net=test_file("two"))
    text = suite.runpytest_inprocess().stdout.str()
    assert text.count("analytic = 2 x numeric") == 1
    assert text.count("out.weight[") <= 5
    assert "bits" not in text
    assert "- gradcheck -" not in text


@pytest.mark.parametrize("name", ["CI", "-vv"])
def test_the_summary_has_one_line_for_each_failure(suite, monkeypatch, name):
    if name == "CI":
        monkeypatch.setenv("CI", "true")
    suite.makepyfile(test_net=test_file("factor"), test_other=test_file("decay"))
    result = suite.runpytest_inprocess(*([name] if name != "CI" else []))
    start = next(i for i, line in enumerate(result.outlines) if "short test summary" in line)
    assert result.outlines[start + 1 : -1] == [
        "FAILED test_net.py::test_network - GradientMismatch: "
        "out.weight is 2 x numeric (8 of 8 wrong)",
        "FAILED test_other.py::test_network - GradientMismatch: "
        "hidden.weight: analytic - numeric = 0.3 x hidden.weight",
    ]


def test_a_check_that_is_not_raised_is_told_in_the_section(suite):
    text = test_file("factor").replace("gradcheck(cost, grad", "assert check_gradients(cost, grad")
    suite.makepyfile(test_net="from pytest_gradcheck import check_gradients\n" + dedent(text))
    result = suite.runpytest_inprocess()
    result.stdout.fnmatch_lines(
        [
            "*- gradcheck -*",
            "cost: out.weight is 2 x numeric (8 of 8 wrong)",
            "",
            "block * wrong * what it looks like",
            "out.weight * 8 / 8 * analytic = 2 x numeric*",
        ]
    )


@pytest.fixture
def terminal():
    """Say how wide the terminal is."""
    undo = []
    yield lambda width: undo.append(tell_columns(width))
    for one in undo:
        one()


def report_of(names):
    params = {name: np.linspace(0.5, 1.5, 6).reshape(2, 3) for name in names}
    return check_gradients(
        lambda p: sum(np.sum(v**3) for v in p.values()),
        lambda p: {name: 3 * v**2 + np.cos(7 * v) for name, v in p.items()},
        params,
    )


def test_names_are_cut_in_the_middle_and_only_where_needed(terminal):
    name = "encoder.layers.0.norm.weight"
    terminal(120)
    assert name + "  " in report_of([name]).message()
    terminal(50)
    lines = report_of([name]).message().splitlines()
    assert all(len(line) <= 42 for line in lines[1:])
    assert any(line.startswith(f"{name}  6 / 6") for line in lines)
    assert any(re.match(r"enc.*….*ght\[\d, \d\]  ", line) for line in lines)


def test_a_wide_terminal_has_every_column_and_a_narrow_one_the_first(terminal):
    terminal(100)
    assert "numeric +- error bar  error    x tolerance" in report_of("a").message()
    terminal(50)
    lines = report_of("a").message().splitlines()
    assert "worst    analytic     numeric +- error bar" in lines
