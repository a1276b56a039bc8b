"""The report: its text line by line, its size at any size, and what leaves the process."""

import copy
import gc
import json
import math
import pickle
import re
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier

import numpy as np
import pytest
from amounts import long

from pytest_gradcheck import (
    BlockReport,
    Diagnosis,
    Entry,
    GradcheckWarning,
    GradientMismatch,
    GradientReport,
    assert_gradients_close,
    check_gradients,
    compare_gradients,
)
from pytest_gradcheck._report.message import finding

MOST_LINES = 20
KINK = "not differentiable here"


def entry(label="W2[1, 3]", analytic=0.2412, numeric=0.1206, **other):
    block = re.sub(r"\[.*", "", label)
    given = {
        "block": block,
        "index": tuple(map(int, re.findall(r"\d+", label.removeprefix(block)))),
        "error_bar": 2e-11,
        "error": abs(analytic - numeric),
        "ratio": 5.1e6,
        "verdict": "disagree",
    }
    return Entry(label=label, analytic=analytic, numeric=numeric, **(given | other))


def block(name, shape, wrong=0, **other):
    size = math.prod(shape)
    given = {
        "size": size,
        "checked": size,
        "open": 0,
        "kinks": 0,
        "difference": 1e-9,
        "resolution": 1e-9,
        "verdict": "disagree" if wrong else "agree",
    }
    return BlockReport(name=name, shape=shape, wrong=wrong, **(given | other))


def report(**other):
    """Return the report of the course's network with its two bugs."""
    given = {
        "name": "cost",
        "ok": False,
        "verdict": "disagree",
        "difference": 0.28509315,
        "size": 47,
        "checked": 47,
        "wrong": 20,
        "open": 0,
        "kinks": 0,
        "evaluations": 95,
        "seconds": 0.0123,
        "rtol": 1e-6,
        "atol": 1e-9,
        "rtol_used": 1e-6,
        "threshold": None,
        "resolution": 3e-9,
        "noise": 1.1e-16,
        "precision": "float64",
        "value": 0.693147,
        "seed": 0,
        "scheme": "central differences",
        "blocks": (
            block("W1", (5, 4)),
            block("b1", (5, 1), 5, difference=0.6, hint="analytic = 4 x numeric, everywhere"),
            block("W2", (3, 5), 15, difference=1 / 3, hint="analytic = 2 x numeric, everywhere"),
            block("b2", (3, 1)),
            block("W3", (1, 3)),
            block("b3", (1, 1)),
        ),
        "worst": (entry(), entry("b1[2, 0]", -4.0, -1.0, ratio=4.9e6)),
    }
    return GradientReport(**(given | other))


def lines(text):
    return text.splitlines()


def test_a_wrong_gradient_line_by_line():
    assert lines(report().message()) == [
        "W2[1, 3]: analytic 0.2412 != numeric 0.1206 (20 of 47 wrong)",
        "",
        "block  shape   wrong    difference  what it looks like",
        "b1     (5, 1)  5 / 5    6.00e-01    analytic = 4 x numeric, everywhere",
        "W2     (3, 5)  15 / 15  3.33e-01    analytic = 2 x numeric, everywhere",
        "W1, b2, W3, b3 agree",
        "",
        "worst     analytic     numeric +- error bar  error    x tolerance",
        "W2[1, 3]  +2.4120e-01  +1.2060e-01 +- 2e-11  1.2e-01  5.1e+06",
        "b1[2, 0]  -4.0000e+00  -1.0000e+00 +- 2e-11  3.0e+00  4.9e+06",
        "",
        "difference 2.85e-01; rtol 1e-06, atol 1e-09; central differences",
        "95 evaluations of func",
    ]


def test_blocks_without_a_hint_have_no_empty_column():
    text = report(blocks=(block("W1", (5, 4), 3),), wrong=3, worst=(entry("W1[0, 1]"),)).message()
    assert lines(text)[2:4] == [
        "block  shape   wrong   difference",
        "W1     (5, 4)  3 / 20  1.00e-09",
    ]


def test_one_block_that_agrees():
    text = report(blocks=(block("W1", (5, 4), 3), block("b", (2,)))).message()
    assert "b agrees" in lines(text)


def test_an_inconclusive_check_line_by_line():
    unsure = entry(
        verdict="inconclusive", reason="func is too noisy here", error_bar=3e-3, ratio=0.4
    )
    value = report(
        verdict="inconclusive",
        wrong=0,
        open=1,
        rtol=None,
        atol=None,
        rtol_used=1e-7,
        blocks=(block("W2", (3, 5), open=1, verdict="inconclusive"), block("b", ())),
        worst=(unsure,),
        reasons=("1 undecided: func is float32, with noise 3e-08 in J = 0.5",),
    )
    assert lines(value.message()) == [
        "W2[1, 3]: inconclusive (1 of 47 can't be told), analytic 0.2412, numeric 0.1206 +- 3e-03",
        "",
        "1 undecided: func is float32, with noise 3e-08 in J = 0.5",
        "",
        "block  shape   wrong   difference  what it looks like",
        "W2     (3, 5)  0 / 15  1.00e-09    1 can't be told",
        "b agrees",
        "",
        "worst     analytic     numeric +- error bar  error    x tolerance",
        "W2[1, 3]  +2.4120e-01  +1.2060e-01 +- 3e-03  1.2e-01  4.0e-01",
        "",
        "difference 2.85e-01; rtol 1e-07 (unset), atol relative to block",
        "central differences; 95 evaluations of func",
    ]


def test_noise_in_several_blocks_is_said_once():
    params = {"a": np.array([0.3, 0.7]), "b": np.array([1.1, 1.9])}
    value = check_gradients(
        lambda p: np.sum(np.sin(p["a"]) * np.exp(p["b"])),
        lambda p: {"a": np.cos(p["a"]) * np.exp(p["b"]), "b": np.sin(p["a"]) * np.exp(p["b"])},
        params,
        rtol=1e-14,
    )
    assert [one.code for one in value.diagnoses] == ["noise"]
    text = value.message()
    assert text.count("func is") == 1
    assert "looks like: " not in text
    assert len(lines(text)) <= MOST_LINES


def test_reasons_that_differ_are_said_of_each_parameter():
    unsure = entry("b", reason="func jumps here", verdict="inconclusive", error_bar=3e-3)
    text = report(
        verdict="inconclusive",
        wrong=0,
        open=2,
        worst=(replace(unsure, reason="func is too noisy here"), unsure),
        reasons=("1 undecided: func is noisy", "1 undecided: func jumps here"),
    ).message()
    ends = [line.rpartition("  ")[2] for line in lines(text) if "+-" in line and "[" not in line]
    assert ends[-2:] == ["func is too noisy here", "func jumps here"]


def test_a_wrong_value_at_a_kink_shows_both_slopes():
    outside = entry("b", 2.0, 0.0, reason=KINK, slopes=(-1.0, 1.0), error_bar=1.0)
    text = report(worst=(outside,), kinks=1, wrong=1).message()
    row = next(line for line in lines(text) if line.startswith("b "))
    assert row.endswith("kink, slopes -1 and 1")


def test_kinks_fail_names_the_kink_and_never_says_that_it_passes():
    def strict(**options):
        return check_gradients(abs, lambda x: 0.5, 0.0, kinks="fail", **options)

    value = strict()
    assert (value.ok, value.kinks) == (False, 1)
    assert lines(value.message())[0] == (
        "params: not differentiable here (slopes -1 and 1), analytic 0.5; 1 of 1 on a kink, and "
        'kinks="fail"'
    )
    assert "passes" not in value.message()


def test_a_func_that_does_not_repeat_itself_is_the_first_line():
    draws = iter(range(1, 100))
    value = check_gradients(lambda x: x * next(draws), lambda x: 1.0, 2.0)
    assert lines(value.message())[0] == (
        "func does not repeat itself: 2.0, then 4.0, at the same parameters (dropout, shuffling or "
        "an unseeded generator?)"
    )
    assert "max_evals" not in value.message()
    assert " of 0 " not in value.message()
    assert lines(value.message())[-1].endswith("2 evaluations of func")
    assert "; ," not in value.message()


def test_a_grad_that_does_not_repeat_itself_is_the_first_line():
    draws = iter(range(1, 100))
    value = check_gradients(lambda x: x * x, lambda x: 2 * x + next(draws), 2.0)
    assert lines(value.message())[0] == (
        "grad does not repeat itself: params is 5.0, then 6.0, at the same parameters"
    )


def test_a_threshold_that_is_exceeded_line_by_line():
    close = entry(verdict="agree", ratio=0.5)
    value = report(
        verdict="agree", wrong=0, threshold=1e-9, difference=2e-9, worst=(close,), blocks=()
    )
    assert lines(value.message()) == [
        "W2[1, 3] differs most: difference 2.000e-09 is not below threshold 1e-09, though each of "
        "47 agrees within its error bar",
        "",
        "difference 2.00e-09; rtol 1e-06, atol 1e-09, threshold 1e-09",
        "central differences; 95 evaluations of func",
    ]


def test_a_vacuous_block_is_the_first_line_and_said_once():
    def func(params):
        return float(params["W"] @ params["W"]) + 0 * params["dead"]

    value = check_gradients(
        func, {"W": np.full(2, 2.0), "dead": 0.0}, {"W": np.ones(2), "dead": 1.0}
    )
    text = value.message()
    assert lines(text)[0] == "dead: nothing was checked, func does not depend on it here"
    assert text.count("nothing was checked") <= 2


def test_the_summary_is_one_line():
    assert report().summary() == (
        "cost: 20 of 47 wrong, difference 2.9e-01, resolution 3e-09, 95 evaluations, 0.01 s"
    )
    right = report(verdict="agree", ok=True, wrong=0, worst=(), kinks=3, resolution=2e-3)
    assert right.summary() == (
        "cost: 47 agree, 3 at a kink, difference 2.9e-01, resolution 2e-03 (coarse), "
        "95 evaluations, 0.01 s"
    )
    assert "(coarse)" not in replace(right, rtol=1e-3).summary()  # as it was asked for
    assert "(coarse)" in replace(right, rtol=1e-4).summary()
    empty = report(verdict="agree", ok=True, wrong=0, worst=(), vacuous=("b1", "b2"))
    assert "nothing checked in b1 and b2" in empty.summary()
    assert "\n" not in replace(empty, name="two\nlines").summary()


def test_repr_is_one_line():
    assert repr(report()) == f"<GradientReport of {report().summary()}>"
    assert repr(GradientMismatch(report())) == (
        "GradientMismatch('W2[1, 3]: analytic 0.2412 != numeric 0.1206 (20 of 47 wrong)')"
    )


def test_str_is_the_message_of_a_failure_and_the_summary_of_a_success():
    assert str(report()) == report().message()
    right = report(ok=True, verdict="agree", wrong=0)
    assert str(right) == right.summary()


def test_what_is_left_out_and_not_differenced_is_said():
    text = report(skipped=("c", "d"), size=1000, checked=47, seed=7).message()
    assert "left out: c, d" in lines(text)
    assert "47 of 1,000 parameters were differenced (max_evals; seed 7)" in lines(text)


def test_hints_of_plugins_have_lines_of_their_own_above_the_tables():
    text = lines(report(hints=("a plugin says so",)).message())
    assert text[1:4] == ["", "hint: a plugin says so", ""]
    assert "hint: a plugin says so" in lines(report(hints=("a plugin says so",)).details())


def test_a_func_that_is_constant_is_said_once():
    text = check_gradients(lambda x: 3.0, lambda x: 0 * x, np.ones(3)).message()
    assert lines(text)[:2] == [
        "nothing was checked: func is constant in every parameter, and the gradient zero: "
        "does it read other arrays (in_place=True)?",
        "",
    ]
    assert text.count("nothing was checked") == 1


def test_a_func_that_answers_to_nothing_is_the_first_line_and_said_once():
    w = np.array([1.0, -2.0])
    text = check_gradients(lambda p: float(w @ w), lambda p: 2 * w, w).message()
    assert lines(text)[:3] == [
        "func answers to no parameter, while the gradient is not zero (2 of 2 wrong)",
        "",
        "does it read other arrays (in_place=True) or remember results by",
    ]
    assert text.count("answers to no parameter") == 1


def two_layers(p):
    return float(np.sum(np.sin(p["W1"])) + np.sum(np.cos(p["W2"])) + p["b1"] @ p["b2"])


def of_two_layers(p):
    return {"W1": np.cos(p["W1"]), "W2": -np.sin(p["W2"]), "b1": p["b2"], "b2": p["b1"]}


def test_what_several_blocks_have_in_common_is_told_in_the_first_line_or_in_the_table():
    draw = np.random.default_rng(5).normal
    theta = {"W1": draw(size=(3, 2)), "W2": draw(size=(2, 4)), "b1": draw(size=3)}
    theta["b2"] = draw(size=3)

    def decayed(p):
        return two_layers(p) + 0.15 * sum(float(np.sum(p[name] ** 2)) for name in ("W1", "W2"))

    text = check_gradients(decayed, of_two_layers, theta).message()
    assert lines(text)[0] == "analytic - numeric = -0.3 x W1 and W2 (14 of 14 wrong)"
    times = {"W1": 2, "W2": 2, "b1": 3, "b2": 3}

    def scaled(p):
        return {name: times[name] * value for name, value in of_two_layers(p).items()}

    text = check_gradients(two_layers, scaled, theta).message()
    assert lines(text)[0] == "W1 and W2 are 2 x numeric (14 of 14 wrong)"
    assert text.count("analytic = 3 x numeric") == 2  # a row each for b1 and b2
    assert "looks like:" not in text


@pytest.mark.parametrize(
    ("wrong", "first"),
    [
        (lambda p, g: 2 * g, "W1 and 2 more are 2 x numeric (150 of 150 wrong)"),
        (
            lambda p, g: g - 0.3 * p if p.ndim > 1 else g,
            "W1 and W2: error = -3/10 x the parameters (140 of 140 wrong)",
        ),
    ],
    ids=["factor", "decay"],
)
def test_the_first_line_of_what_directions_find_in_several_blocks(wrong, first):
    draw = np.random.default_rng(11).normal
    theta = {"W1": draw(size=(8, 10)), "W2": draw(size=(10, 6)), "b": draw(size=10)}

    def cost(p):
        return float(sum(np.sum(np.sin(array)) for array in p.values()))

    def gradient(p):
        return {name: wrong(array, np.cos(array)) for name, array in p.items()}

    value = check_gradients(cost, gradient, theta, max_evals=80)
    assert value.directions
    assert lines(value.message())[0] == first


def test_a_first_line_is_not_cut_within_a_list_of_names():
    wrong = ("W1", "b1", "V")
    sentence = "the error enters between why and b1: W1, b1, V are wrong, why is right"
    value = report(
        wrong=24,
        blocks=(*(block(name, (2, 4), 8, code="backward") for name in wrong), block("why", (4,))),
        diagnoses=(Diagnosis("backward", sentence, wrong),),
    )
    assert lines(value.message())[0] == "the error enters between why and b1 (24 of 24 wrong)"


@pytest.mark.parametrize(
    ("error", "more"), [(1e-6, " (all off by a factor of 1 + 1e-06)"), (0, "")]
)
def test_a_first_line_is_not_cut_within_a_condition(error, more):
    x = np.linspace(0.5, 1.0, 6)

    def grad(x):
        return np.exp(x) * (1 + (error or 1e-6 * np.cos(np.arange(6))))

    text = check_gradients(lambda x: np.sum(np.exp(x)), grad, x).message()
    first = lines(text)[0].removesuffix(" (6 of 6 wrong)")
    assert first == f"agrees to 6 digits everywhere{more}"


def test_names_that_would_look_alike_are_told_apart_in_the_first_line_too():
    names = [f"model.encoder.layers.{k}.attention.query.weight" for k in (3, 4)]
    theta = {name: np.linspace(0.5, 1.0, 4) for name in names}

    def doubled(p):
        return {name: (1 + (name == names[1])) * 2 * p[name] for name in names}

    first = lines(check_gradients(sum_of_squares, doubled, theta).message())[0]
    assert first == "…4.attention.query.weight is 2 x numeric (4 of 4 wrong)"
    one = {name: 2 * theta[name] + (name == names[1]) * np.eye(4)[2] / 10 for name in names}
    first = lines(check_gradients(sum_of_squares, one, theta).message())[0]
    assert first.startswith("…4.attention.query.weight[2]: analytic 1.767 != ")


# -- numbers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("off", [1e-3, 1e-6, 1e-9, 1e-12, 2e-16])
def test_numbers_carry_enough_digits_to_show_that_they_differ(off):
    a, n = 0.123456789, 0.123456789 * (1 + off)
    text = report(worst=(entry(analytic=a, numeric=n),)).message()
    first = re.search(r"analytic (\S+) != numeric (\S+) \(", lines(text)[0])
    assert first.group(1) != first.group(2)
    row = next(line for line in lines(text) if line.startswith("W2[1, 3]  "))
    assert row.split()[2] != row.split()[3]


@pytest.mark.parametrize(
    ("analytic", "shown"), [(math.nan, "nan"), (math.inf, "inf"), (-math.inf, "-inf")]
)
def test_numbers_that_are_not_finite(analytic, shown):
    value = check_gradients(lambda t: float(t @ t), lambda t: np.array([analytic, 2.0]), np.ones(2))
    assert value.wrong == 1
    assert lines(value.message())[0].startswith(f"params[0]: analytic {shown} != numeric 2 (1 of 2")
    assert "not finite" in value.message().lower() or "NaN or infinite" in value.message()


# -- order --------------------------------------------------------------------------------------


def test_worst_first_over_all_blocks_nan_then_infinity_then_the_ratio():
    theta = {"a": np.arange(1.0, 6.0), "b": np.arange(1.0, 4.0)}

    def grad(params):
        a, b = 2 * params["a"], 2 * params["b"]
        a[0] *= 1.001
        a[2] = np.inf
        a[3] *= 3
        b[1] = np.nan
        b[2] *= 1.5
        return {"a": a, "b": b}

    value = check_gradients(
        lambda p: float(p["a"] @ p["a"] + p["b"] @ p["b"]), grad, theta, rtol=1e-5
    )
    assert [item.label for item in value.worst] == ["b[1]", "a[2]", "a[3]", "b[2]", "a[0]"]
    ratios = [item.ratio for item in value.worst]
    assert ratios == sorted(ratios, reverse=True)
    assert value.wrong == 5


def test_wrong_before_open():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=4)

    def func(t):
        return float(np.sum(np.sin(t[:2]))) + float(np.float32(weights @ np.sin(t[2:].repeat(2))))

    def grad(t):
        rest = (weights * np.cos(t[2:].repeat(2))).reshape(2, 2).sum(axis=1)
        return np.concatenate([np.cos(t[:2]) * [1, 2], rest])

    value = check_gradients(func, grad, np.linspace(0.2, 0.9, 4), rtol=1e-9)
    verdicts = [item.verdict for item in value.worst]
    assert verdicts == sorted(verdicts)
    assert value.worst[0].label == "params[1]"


# -- size ---------------------------------------------------------------------------------------


def sum_of_squares(params):
    return float(sum(np.sum(array**2) for array in params.values()))


def squares(blocks, shape, wrong=lambda gradient: 3 * gradient / 2):
    theta = {f"layer_{i}.weight": np.full(shape, 0.5 + i / 100) for i in range(blocks)}
    return theta, {name: wrong(2 * array) for name, array in theta.items()}


@pytest.mark.parametrize(("blocks", "shape"), [(1, (3,)), (3, (2, 2)), (40, (5,)), long(100, ())])
@pytest.mark.parametrize("kind", ["factor", "nan", "random"])
def test_the_message_is_short_at_any_number_of_wrong_blocks(blocks, shape, kind):
    rng = np.random.default_rng(1)
    make = {
        "factor": lambda g: 1.5 * g,
        "nan": lambda g: g * np.nan,
        "random": lambda g: rng.normal(size=np.shape(g)),
    }[kind]
    theta, grads = squares(blocks, shape, make)
    value = check_gradients(sum_of_squares, {k: np.asarray(v) for k, v in grads.items()}, theta)
    assert value.wrong == value.size
    assert len(lines(value.message())) <= MOST_LINES
    assert len(value.message()) < 2500
    assert len(value.details()) < 120 * (blocks + 120)


def test_the_message_is_short_at_a_hundred_thousand_parameters():
    rng = np.random.default_rng(2)
    reference = rng.normal(size=(1000, 100))
    value = compare_gradients(rng.normal(size=(1000, 100)), reference)
    assert value.wrong == 100_000
    assert lines(value.message())[0].startswith("params[")
    assert "100,000 of 100,000 wrong" in lines(value.message())[0]
    assert len(lines(value.message())) <= MOST_LINES
    assert len(value.message()) < 1500
    assert len(lines(value.details())) < 150  # with a map of 16 lines
    assert len(json.dumps(value.to_dict())) < 500_000


def test_what_was_not_differenced_has_no_numbers():
    found = check_gradients(
        lambda x: np.sum(np.sin(x)), np.cos, np.linspace(0.1, 1.0, 100), eps=1e-6, max_evals=50
    )
    text = lines(found.message())
    assert text[0] == (
        "params[0]: inconclusive (81 of 100 can't be told), analytic 0.995, numeric not known"
    )
    assert "params[0]  +9.9500e-01  not known" in text
    assert "nan" not in found.message()
    assert "nan" not in found.details()


def test_blocks_are_not_compared_with_each_other_for_a_message(monkeypatch):
    """Of thousands that would be millions of comparisons."""
    params = {f"p{i}": np.ones(1) for i in range(60)}
    found = check_gradients(
        lambda p: sum(float(np.sum(x**2)) for x in p.values()),
        {name: -2 * np.ones(1) for name in params},
        params,
    )
    asked = []
    monkeypatch.setattr(BlockReport, "__eq__", lambda one, other: asked.append(one) or one is other)
    assert "p0 and 59 more" in found.message()
    assert not asked


def test_everything_undecided_at_many_parameters_is_short():
    theta = np.linspace(0.5, 1.5, 2000)
    value = check_gradients(
        lambda t: float(np.sum(t**3)), lambda t: 3 * t**2, theta, max_evals=50, eps=1e-6
    )
    assert value.open > 1900
    assert len(lines(value.message())) <= MOST_LINES


def one_wrong(params):
    gradient = 2 * np.tanh(params["W"]) * (1 - np.tanh(params["W"]) ** 2)
    gradient[17, 3] *= 1.001
    return {"W": gradient}


def test_one_wrong_entry_of_a_thousand_by_a_thousandth():
    weights = np.random.default_rng(0).normal(size=(50, 20))
    value = check_gradients(
        lambda p: float(np.sum(np.tanh(p["W"]) ** 2)), one_wrong, {"W": weights}
    )
    assert [item.label for item in value.worst] == ["W[17, 3]"]
    assert (value.wrong, value.checked) == (1, 1000)
    message = value.message()
    assert len(message) < 1500
    assert len(lines(message)) <= MOST_LINES
    assert message.startswith("W[17, 3]: analytic ")
    assert lines(message)[0].endswith(" (1 of 1,000 wrong)")


def test_a_first_line_is_not_cut_within_brackets():
    where = np.zeros((3, 3))
    where[[0, 0, 1], [1, 2, 2]] = 1
    for name in ("A", "layers.attention", "layers.attention.output"):
        report = check_gradients(
            lambda p, name=name: np.sum(np.sin(p[name])),
            lambda p, name=name: {name: np.cos(p[name]) + where},
            {name: np.arange(9.0).reshape(3, 3) / 7},
        )
        first = report.message().splitlines()[0]
        assert first.count("[") == first.count("]")
        assert first.startswith(f"{name}: analytic - numeric = 1 ")


def test_the_worst_fits_the_short_summary_of_pytest():
    """`FAILED tests/test_x.py::test_y - GradientMismatch: W[17, 3]: …` at 80 columns."""
    room = 80 - len("FAILED tests/test_net.py::test_backprop - GradientMismatch: ")
    assert report().message()[:room].startswith("W2[1, 3]: analytic")


@pytest.mark.parametrize("most", [1, 3, 5, 17])
def test_max_report(most):
    theta, grads = squares(2, (10,))
    value = check_gradients(sum_of_squares, grads, theta, max_report=most)
    rows = [line for line in lines(value.message()) if re.match(r"layer_\d\.weight\[", line)]
    assert len(rows) == min(most, 20)
    assert len(value.worst) == 20


def test_max_report_0_shows_all():
    theta, grads = squares(9, (3,))
    value = check_gradients(sum_of_squares, grads, theta, max_report=0)
    for item in value.worst:
        assert item.label in value.message()
    assert "more blocks" not in value.message()


# -- names --------------------------------------------------------------------------------------

NASTY = [
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "tab\there",
    "two\nlines",
    "carriage\rreturn",
    "null\0",
    "right-to-left\u202e",
    "line\u2028separator",
    "lone\ud800surrogate",
    "\x9b31m",
    "x" * 1_000_000,
    "{braces} %s %(x)s",
    "FAILED tests/test_x.py",
]


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_names_are_printed_safely(name):
    theta = {name: np.ones(3), "ok": np.ones(2)}
    wrong = {name: np.full(3, 3.0), "ok": np.full(2, 3.0)}
    value = check_gradients(lambda p: float(p[name] @ p[name] + p["ok"] @ p["ok"]), wrong, theta)
    skipped = check_gradients(
        lambda p: float(p[name] @ p[name] + p["ok"] @ p["ok"]), wrong, theta, only="ok"
    )
    for text in (value.message(), value.summary(), value.details(), skipped.message(), str(value)):
        assert len(text) < 6000
        assert all(line.isprintable() for line in text.split("\n"))
        text.encode("utf-8")
    assert len(lines(value.message())) <= MOST_LINES
    json.dumps(value.to_dict()).encode("utf-8")


@pytest.mark.parametrize("name", NASTY, ids=range(len(NASTY)))
def test_names_in_errors_are_printed_safely(name):
    with pytest.raises(ValueError, match="does not match params") as caught:
        check_gradients(lambda p: 1.0, {"ok": 1.0}, {name: 1.0})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
    with pytest.raises(TypeError) as caught:
        check_gradients(lambda p: 1.0, 0, {name: "text"})
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000


def test_the_name_of_func_is_printed_safely():
    def func(x):
        return x * x

    func.__qualname__ = "f\x1b[31m\n" * 1000
    value = check_gradients(func, lambda x: x, 2.0)
    assert value.summary().isprintable()
    assert len(value.summary()) < 200
    assert all(line.isprintable() for line in lines(value.details()))


def test_long_names_keep_their_index():
    label = "encoder.layers.11.attention.output.dense.weight"
    value = report(worst=(entry(label + "[17, 3]"),)).message()
    assert re.match(r"encoder\S*…\S*weight\[17, 3\]: analytic", lines(value)[0])


# -- as a value ---------------------------------------------------------------------------------


def only_builtins(value):
    if isinstance(value, dict):
        return all(type(key) is str and only_builtins(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(only_builtins, value))
    if type(value) is float:
        return math.isfinite(value)
    return value is None or type(value) in (bool, int, str)


def made():
    """Return reports of many kinds."""
    theta, grads = squares(3, (2, 2))
    yield check_gradients(sum_of_squares, grads, theta)
    yield check_gradients(sum_of_squares, {k: v * np.nan for k, v in grads.items()}, theta)
    yield check_gradients(abs, lambda x: 0.5, 0.0)
    yield check_gradients(lambda x: np.float32(x * x), lambda x: 2 * x, np.float32(1.1), rtol=1e-9)
    yield check_gradients(lambda p: 1.0, lambda p: 0 * p, np.zeros(2))
    yield check_gradients(lambda p: 1.0, lambda p: p, np.zeros(0))
    yield check_gradients(lambda z: abs(z) ** 2, lambda z: z, 1 + 2j, nondet_tol=np.float64(1e-9))
    yield compare_gradients(np.array([1.0, np.inf]), np.ones(2), rtol=np.float32(1e-3))
    yield check_gradients(
        lambda p: np.sum(p**3), lambda p: 3 * p**2, np.ones(20, np.longdouble), max_evals=20
    )


@pytest.mark.parametrize("number", range(9))
def test_to_dict_is_builtins_and_survives_json(number):
    value = list(made())[number]
    plain = value.to_dict()
    assert only_builtins(plain)
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert plain["schema"] == "pytest-gradcheck/1"
    assert plain["verdict"] == value.verdict
    assert [item["name"] for item in plain["blocks"]] == [item.name for item in value.blocks]


def test_to_dict_writes_nan_and_infinity_as_strings():
    plain = report(difference=math.nan, resolution=math.inf, noise=-math.inf).to_dict()
    assert (plain["difference"], plain["resolution"], plain["noise"]) == ("nan", "inf", "-inf")


@pytest.mark.parametrize("number", range(9))
def test_a_report_holds_no_numpy_and_pickles(number):
    value = list(made())[number]
    again = pickle.loads(pickle.dumps(value))
    assert repr(again) == repr(value)
    assert again.message() == value.message()
    assert "array(" not in repr(value)
    # A sentence may tell what to write, params.astype(np.float64); no value is one of numpy's.
    assert not re.search(r"\bnp\.\w+\(", repr(value))


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_mismatch_pickles_with_its_report(protocol):
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(lambda x: x**3, lambda x: 2 * x**2, 2.0)
    again = pickle.loads(pickle.dumps(caught.value, protocol))
    assert type(again) is GradientMismatch
    assert str(again) == str(caught.value)
    assert again.report == caught.value.report
    assert isinstance(again, AssertionError)


def test_a_report_is_frozen_and_true_when_ok():
    value = report()
    with pytest.raises(AttributeError):
        value.ok = True
    assert not value
    assert report(ok=True)
    assert report(ok=True).raise_if_failed()


# -- what is made when it is asked for ----------------------------------------------------------


def right():
    theta = {"W": np.array([[0.5, -1.5]]), "b": 2.0}
    value = check_gradients(
        lambda p: np.sum(p["W"] ** 3) * p["b"],
        lambda p: {"W": 3 * p["W"] ** 2 * p["b"], "b": np.sum(p["W"] ** 3)},
        theta,
    )
    theta["W"][:] = np.nan  # no part of it is read later than this
    return value


def stripped(value):
    return {name: item for name, item in value.to_dict().items() if name != "seconds"}


@pytest.mark.parametrize(
    "through",
    [
        lambda value: value,
        copy.copy,
        copy.deepcopy,
        replace,
        lambda value: pickle.loads(pickle.dumps(value)),
        lambda value: value.raise_if_failed(),
    ],
)
def test_a_right_gradient_s_report_is_whole_however_it_is_first_read(through):
    value = through(right())
    assert bool(value)
    assert [(one.name, one.checked, one.verdict) for one in value.blocks] == [
        ("W", 2, "agree"),
        ("b", 1, "agree"),
    ]
    assert 0 < value.resolution < 1e-5
    assert value.worst[0].verdict == "agree"
    assert value.size == value.checked == 3
    assert value.value == pytest.approx(2 * (0.5**3 - 1.5**3))
    assert value == value
    assert stripped(value) == stripped(right())
    assert "3 agree" in value.summary()


def test_its_vectors_are_those_of_the_check():
    evidence = right().evidence
    assert evidence.params.tolist() == [0.5, -1.5, 2.0]
    assert evidence.analytic.tolist() == [1.5, 13.5, 0.5**3 - 1.5**3]


def test_an_attribute_that_a_report_has_not_is_named():
    with pytest.raises(AttributeError, match="'GradientReport' object has no attribute 'bloks'"):
        _ = right().bloks
    with pytest.raises(AttributeError, match="'bloks'"):
        _ = report().bloks


def test_two_threads_may_read_one_report():
    for _ in range(5):
        value, barrier = right(), Barrier(8)

        def read(_, value=value, barrier=barrier):
            barrier.wait()
            return value.resolution, len(value.blocks)

        with ThreadPoolExecutor(8) as pool:
            assert len(set(pool.map(read, range(8)))) == 1


@pytest.mark.parametrize(("count", "along"), [(2, 0), (80, 4)], ids=["each", "along directions"])
def test_a_report_that_is_kept_keeps_neither_func_nor_the_arrays(count, along):
    class Array(np.ndarray):
        """One that can be referred to weakly."""

    def cost(x):
        return float(np.asarray(x) @ np.asarray(x))

    x, right = np.linspace(1.0, 2.0, count).view(Array), np.linspace(2.0, 4.0, count).view(Array)
    gone = [weakref.ref(one) for one in (cost, x, right)]
    gc.disable()  # nothing waits for it, either
    try:
        kept = check_gradients(cost, right, x, max_evals=100)
        del cost, x, right
        assert [one() for one in gone] == [None, None, None]
    finally:
        gc.enable()
    assert (kept.checked, kept.directions) == (count, along)


# -- warnings -----------------------------------------------------------------------------------


def test_warn_passes_with_a_warning_at_the_callers_line():
    def noisy(x):
        return float(np.float32(math.sin(x)))

    said = r"^gradcheck of .*noisy: inconclusive, 1 undecided: func is float32, .* could be"
    with pytest.warns(GradcheckWarning, match=said) as seen:
        value = check_gradients(noisy, math.cos, 0.7, rtol=1e-9, inconclusive="warn")
    assert value.ok
    assert value.verdict == "inconclusive"
    assert seen[0].filename == __file__
    with pytest.warns(GradcheckWarning, match="nothing was checked") as seen:
        assert_gradients_close(lambda x: 1.0, lambda x: 0.0, 2.0, vacuous="warn")
    assert seen[0].filename == __file__
    with pytest.warns(GradcheckWarning, match=r"<lambda>: nothing was checked of b$"):
        check_gradients(
            lambda p: p["a"] ** 2, {"a": 4.0, "b": 0.0}, {"a": 2.0, "b": 1.0}, vacuous="warn"
        )


def test_the_fixture_warns_at_the_callers_line(gradcheck):
    with pytest.warns(GradcheckWarning, match="nothing was checked") as seen:
        gradcheck(lambda x: 1.0, lambda x: 0.0, 2.0, vacuous="warn")
    assert seen[0].filename == __file__


def test_pass_passes_in_silence():
    assert check_gradients(lambda x: 1.0, lambda x: 0.0, 2.0, vacuous="pass").ok
    value = check_gradients(
        lambda x: float(np.float32(math.sin(x))), math.cos, 0.7, rtol=1e-9, inconclusive="pass"
    )
    assert (value.ok, value.verdict, value.warning) == (True, "inconclusive", "")


# -- hints --------------------------------------------------------------------------------------


def looks_like(wrong, shape=(4, 4), seed=3):
    theta = np.random.default_rng(seed).normal(size=shape) + 0.1
    value = check_gradients(
        lambda p: float(np.sum(np.sin(p) * p)), lambda p: wrong(np.sin(p) + p * np.cos(p)), theta
    )
    return value.blocks[0].hint


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda g: 2 * g, "analytic = 2 x numeric, everywhere in the block"),
        (lambda g: g / 3, "analytic = 1/3 x numeric, everywhere in the block"),
        (lambda g: -g, "analytic = -numeric, everywhere in the block: the sign is wrong"),
        (lambda g: 1.2345 * g, "analytic = 1.2345 x numeric, everywhere in the block"),
        (lambda g: 0 * g, "analytic is zero everywhere: never written?"),
        (lambda g: g.T, "analytic = the transpose of numeric"),
        (lambda g: g * np.nan, "analytic is NaN or infinite in every entry"),
        (lambda g: g + 0.1, "analytic - numeric = 0.1, the same in every entry"),
        (lambda g: g[::-1], "analytic = numeric reversed along axis 0"),
        (lambda g: np.sin(9 * g), ""),
    ],
)
def test_what_the_error_of_a_block_looks_like(wrong, said):
    assert looks_like(wrong) == said


def test_no_hint_where_two_entries_prove_nothing():
    assert looks_like(lambda g: 1.2345 * g + [0.0, 0.1], shape=(2,)) == ""
    assert looks_like(lambda g: 1.2345 * g, shape=(1,)) == ""


def test_compare_gradients_has_hints_too():
    reference = np.linspace(0.1, 1.0, 10)
    assert compare_gradients(2 * reference, reference).blocks[0].hint == (
        "analytic = 2 x numeric, everywhere in the block"
    )


# What is told first, and what is not told


def eight_blocks(hinted, wrong="abcdefgh"):
    rng = np.random.default_rng(0)
    params = {k: rng.normal(size=(3, 4)) for k in wrong}
    noise = {k: rng.normal(size=(3, 4)) if k != hinted else 0.1 for k in wrong}
    return check_gradients(
        lambda p: sum(np.sum(np.sin(p[k])) for k in wrong),
        lambda p: {k: np.cos(p[k]) + noise[k] for k in wrong},
        params,
    )


def test_rows_with_a_hint_come_first():
    lines = eight_blocks("h").message().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("block "))
    assert [line[0] for line in lines[start + 1 : start + 7]] == list("habcde")
    assert lines[start + 1].endswith("the same in every entry")
    assert lines[start + 7] == "and 2 more blocks"


def test_what_is_over_the_threshold_is_found_though_all_agrees():
    report = check_gradients(
        lambda x: np.sum(x**3), lambda x: 3 * x**2, np.ones(3), threshold=1e-30
    )
    assert (report.ok, report.verdict) == (False, "agree")
    label, said = finding(report)
    assert label == ""
    assert said == report.message().partition("\n")[0]
    assert "is not below threshold 1e-30" in said


@pytest.mark.parametrize(("count", "listed"), [(7, 7), (8, 6)])
def test_of_many_blocks_told_by_directions_six_are_listed(count, listed):
    seen = {"entry_seen": 0.5, "row_seen": 0.2, "block_seen": 0.1}
    report = check_gradients(lambda x: np.sum(x**3), lambda x: 3 * x**2, np.ones(3))
    blocks = tuple(block(f"w{k}", (3,), **seen) for k in range(count))
    text = replace(report, blocks=blocks).details()
    assert text.count("told by directions through w") == listed
    assert ("and through 2 more blocks" in text) == (count == 8)


def test_no_line_says_that_there_is_one_more():
    text = eight_blocks("c", "abcdefg").message()
    assert "more block" not in text
    assert re.search(r"^g +12 / 12$", text, re.MULTILINE)


def test_nothing_is_told_of_parameters_when_nothing_was_differenced():
    buffer = np.zeros(3)

    def grad(w):
        buffer[:] += 2 * w
        return buffer

    report = check_gradients(lambda w: np.sum(w**2), grad, np.ones(3))
    for text in (report.details(), report.message(), report.summary()):
        assert not re.search(r"\b(nan|inf)\b|difference \d|x tolerance", text)
    assert "params  (3,)   inconclusive" in report.details()


@pytest.mark.parametrize("names", [("a", "b"), ("a",)])
def test_what_func_does_not_move_with_is_said(names):
    params = {"a": np.array([0.3, -1.2]), "b": np.array([0.7, 0.1, 2.2])}
    frozen = {k: v.copy() for k, v in params.items()}

    def cost(p):
        return sum(np.sum((frozen if k in names else p)[k] ** 2) for k in p)

    report = check_gradients(cost, lambda p: {k: 2 * v for k, v in p.items()}, params)
    if len(names) == 2:
        assert report.reasons[0].startswith("func answers to no parameter, while the gradient is")
    else:
        assert report.reasons[0].startswith("func does not move with a, while the gradient there")
    assert report.diagnoses == ()
    assert "looks like" not in report.message()


def test_func_moves_at_a_stationary_point():
    report = check_gradients(
        lambda x: np.sum((x - 1) ** 2), lambda x: 2 * (x - 1) + 1e-3, np.ones(3)
    )
    assert report.verdict == "disagree"
    assert "does not move" not in report.message()


def test_a_func_that_rounds_has_no_value_hint():
    rng = np.random.default_rng(0)
    X, y, W = rng.normal(size=(20, 5)), rng.normal(size=(20, 4)), rng.normal(size=(4, 5))

    def rounded(W):
        return np.round(W * 8) / 8

    report = check_gradients(
        lambda W: np.mean((X @ rounded(W).T - y) ** 2),
        lambda W: (X @ rounded(W).T - y).T @ X / 40,
        W,
    )
    assert report.blocks[0].hint == ""
    assert not report.ok
