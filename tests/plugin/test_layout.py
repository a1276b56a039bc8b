"""How long and how wide a failure is, in terminals of 80 and of 50 columns."""

import re
from textwrap import dedent

import numpy as np
import pytest

from pytest_gradcheck import check_gradients
from pytest_gradcheck._quoting import tell_terminal

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
    yield lambda width: undo.append(tell_terminal(width))
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
    # A label without room beside it stands whole, its values with their error bar below.
    labels = [i for i, line in enumerate(lines) if re.fullmatch(name + r"\[\d, \d\]", line)]
    assert len(labels) == 5
    assert all(re.fullmatch(r" +[-.\d]+ +[-.\d]+ \+- \de-\d+", lines[i + 1]) for i in labels)


def test_at_50_columns_an_error_bar_is_there_whatever_the_label(terminal):
    terminal(50)
    for name in ("W", "hidden", "hidden.layer.weight"):
        text = report_of([name]).message()
        assert len(re.findall(r" \+- \de-\d+", text)) == 5
        assert max(map(len, text.splitlines()[1:])) <= 42


def test_two_long_names_are_told_apart(terminal):
    names = [f"model.encoder.layers.{k}.self_attention.projection.weight" for k in (3, 4)]
    for width in (50, 80):
        terminal(width)
        lines = report_of(names).message().splitlines()
        start = next(i for i, line in enumerate(lines) if line.startswith("block"))
        first, second = (line.split()[0] for line in lines[start + 1 : start + 3])
        assert (first[:3], second[:3]) == ("…3.", "…4.")


def test_a_wrong_block_does_not_look_like_one_that_agrees(terminal):
    terminal(80)
    wrong, right = (f"model.encoder.layers.{k}.self_attention.projection.weight" for k in (3, 4))
    report = check_gradients(
        lambda p: sum(np.sum(np.sin(v)) for v in p.values()),
        lambda p: {wrong: p[wrong], right: np.cos(p[right])},
        {name: np.linspace(0.1, 1.0, 6) for name in (wrong, right)},
    )
    lines = report.message().splitlines()
    # The first line, the block, and its worst.
    assert sum(line.startswith("…3.") for line in lines) == 1 + 1 + 5
    assert [line[:3] for line in lines if line.endswith(" agrees")] == ["…4."]


def test_names_without_dots_are_told_apart_by_their_words(terminal):
    terminal(80)
    names = [f"transformer_block_{k}_attention_query_kernel" for k in ("03", "04")]
    lines = report_of(names).message().splitlines()
    assert {line.split("_")[0] for line in lines if line.startswith("…")} == {"…03", "…04"}
    alike = [f"{'x' * 20}{k}{'y' * 20}" for k in (3, 4)]  # nothing to cut them at
    assert not any(line.startswith("…") for line in report_of(alike).message().splitlines())


def test_a_sentence_is_not_cut_inside_an_index(terminal):
    terminal(80)
    name = "model.encoder.layers.self_attention.projection.weight"

    def grad(p):
        found = {name: np.cos(p[name])}
        found[name][1, :3] *= 0.9
        return found

    params = {name: np.linspace(0.1, 1.0, 30).reshape(5, 6)}
    first = (
        check_gradients(lambda p: np.sum(np.sin(p[name])), grad, params).message().split("\n")[0]
    )
    assert first.count("[") == first.count("]") >= 1


def test_where_an_error_enters_is_said_once(suite):
    text = """
        import numpy as np

        x = np.linspace(-1, 1, 6).reshape(2, 3)
        W1, W2 = np.cos(np.arange(8.0)).reshape(4, 2), np.sin(np.arange(12.0)).reshape(3, 4)
        params = {"W1": W1, "b1": np.full((4, 1), 0.1), "W2": W2, "b2": np.full((3, 1), 0.2)}

        def cost(p):
            return np.sum(np.tanh(p["W2"] @ np.tanh(p["W1"] @ x + p["b1"]) + p["b2"]))

        def grad(p):
            a = np.tanh(p["W1"] @ x + p["b1"])
            dz2 = 1 - np.tanh(p["W2"] @ a + p["b2"]) ** 2
            da = p["W2"].T @ dz2
            dz1 = da * (1 - a)
            db1, db2 = dz1.sum(axis=1, keepdims=True), dz2.sum(axis=1, keepdims=True)
            return {"W1": dz1 @ x.T, "b1": db1, "W2": dz2 @ a.T, "b2": db2}

        def test_network(gradcheck):
            gradcheck(cost, grad, params)
    """
    suite.makepyfile(test_net=text)
    result = suite.runpytest_inprocess("-q")
    told = [line for line in result.outlines if line.startswith("E ")]
    assert "the error enters between W2 and W1" in told[0]
    assert sum("enters" in line for line in told) == 1
    # The lines stand apart from what comes behind them.
    start = next(i for i, line in enumerate(told) if "is made by" in line)
    assert "" in [line[1:].strip() for line in told[start:]]


def test_a_wide_terminal_has_every_column_and_a_narrow_one_the_first(terminal):
    terminal(100)
    assert "numeric +- error bar  error    x tolerance" in report_of("a").message()
    terminal(50)
    lines = report_of("a").message().splitlines()
    assert "worst    analytic     numeric +- error bar" in lines
