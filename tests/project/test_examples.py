"""The examples, the figures of the course that they reproduce, and the failure they show."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from pathlib import Path

import network
import numpy as np
import pytest

from pytest_gradcheck import GradientMismatch, assert_gradients_close, check_gradients

ROOT = Path(__file__).parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("test_*.py"))
COURSE_STEP = 1e-7

# Where CI is set, pytest would shorten no line of its summary.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("CI", "BUILD_NUMBER")}
# That plugin would import all of hypothesis at the end of every run.
ENVIRONMENT["PYTEST_ADDOPTS"] = "-p no:hypothesispytest"


def two_bugs(params, x, y):
    gradient = network.backward(params, x, y)
    gradient["W2"] *= 2
    gradient["b1"] *= 4
    return gradient


def check_network(grad, seed=1, **options):
    params, x, y = network.draw(seed)
    return check_gradients(network.forward, grad, params, args=(x, y), has_aux=True, **options)


def run_pytest(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        env={**ENVIRONMENT, "COLUMNS": "80"},
    )
    return done.returncode, done.stdout + done.stderr


# The course's figures


def test_the_draw_is_the_course_s():
    params, x, y = network.draw()
    assert [params[name].shape for name in params] == [
        (5, 4),
        (5, 1),
        (3, 5),
        (3, 1),
        (1, 3),
        (1, 1),
    ]
    assert sum(array.size for array in params.values()) == 47
    assert x[0, 0] == pytest.approx(1.62434536)  # the first number after np.random.seed(1)
    assert y.tolist() == [[1, 1, 0]]


def test_difference_with_the_two_bugs():
    report = check_network(two_bugs, eps=COURSE_STEP)
    assert report.difference == pytest.approx(0.2850931567761623, rel=1e-8)
    assert not report.ok


def test_difference_without_them_is_rounding_at_the_course_s_step():
    report = check_network(network.backward, eps=COURSE_STEP)
    assert report.difference == pytest.approx(1.189e-07, rel=0.02)


def test_corrected_network_fails_the_course_s_rule_at_the_course_s_step():
    report = check_network(network.backward, eps=COURSE_STEP, threshold=1e-7)
    assert not report.ok
    assert report.wrong == 0  # no parameter is to blame: only the norm ratio is too large
    assert re.match(
        r"W1\[\d, \d\] differs most: difference 1\.\d+e-07 is not below threshold 1e-07, ",
        report.message(),
    )


def test_corrected_network_passes_the_course_s_rule_at_the_automatic_step():
    report = check_network(network.backward, threshold=1e-7)
    assert report.ok
    assert report.difference < 1e-8


def test_fixed_step_costs_two_evaluations_per_parameter_and_at_most_two_more():
    assert 2 * 47 <= check_network(network.backward, eps=COURSE_STEP).evaluations <= 2 * 47 + 2
    # Each of eight wrong entries is asked at other steps, too.
    assert check_network(two_bugs, eps=COURSE_STEP).evaluations <= 2 * 47 + 2 + 8 * 16


def test_one_dimension():
    report = check_gradients(
        lambda theta, x: theta * x, lambda theta, x: x, 4.0, args=(2.0,), eps=COURSE_STEP
    )
    assert report.ok
    assert report.difference == pytest.approx(2.919e-10, rel=5e-4)


# What the two bugs look like


def wrong_entries(seed):
    """Return the labels of the entries that the bugs really change, found without the package."""
    params, x, y = network.draw(seed)
    right, wrong = network.backward(params, x, y), two_bugs(params, x, y)
    return {
        f"{name}[{', '.join(map(str, index))}]"
        for name in params
        for index in np.argwhere(right[name] != wrong[name])
    }


@pytest.mark.parametrize("eps", [None, COURSE_STEP], ids=["automatic", "course"])
@pytest.mark.parametrize(
    ("seed", "in_W2", "in_b1"),
    [
        (1, 4, 4),  # the course's draw: the other 12 belong to units that are off, 2 x 0 is right
        (5, 15, 5),  # every unit is on for some example
    ],
)
def test_every_wrong_parameter_is_counted_and_no_other(seed, in_W2, in_b1, eps):
    report = check_network(two_bugs, seed, eps=eps, max_report=0)
    assert {block.name: block.wrong for block in report.blocks} == {
        "W1": 0, "b1": in_b1, "W2": in_W2, "b2": 0, "W3": 0, "b3": 0,
    }  # fmt: skip
    assert report.wrong == in_W2 + in_b1
    assert {entry.label for entry in report.worst} == wrong_entries(seed)


@pytest.mark.parametrize("seed", [1, 5])
def test_first_row_names_the_truly_worst(seed):
    report = check_network(two_bugs, seed)
    params, x, y = network.draw(seed)
    right = network.backward(params, x, y)
    # An error of 3 of 4 parts is worse than one of 1 of 2, so the worst is in b1; and there the
    # relative error is the same everywhere, so the one least helped by atol: the largest.
    worst = int(np.argmax(np.abs(right["b1"])))
    with pytest.raises(GradientMismatch) as caught:
        assert_gradients_close(network.forward, two_bugs, params, args=(x, y), has_aux=True)
    assert report.worst[0].label == f"b1[{worst}, 0]"
    entries = str(caught.value).split("\nworst ")[1].splitlines()[1:]
    assert entries[0].startswith(f"b1[{worst}, 0]  ")
    # Ratios within a tenth of a decade are equal; among equals the largest error comes first.
    order = [(round(math.log10(entry.ratio), 1), entry.error) for entry in report.worst]
    assert order == sorted(order, reverse=True)


# As the user runs them


@pytest.fixture(scope="module")
def broken() -> tuple[int, str]:
    return run_pytest("examples/broken")


@pytest.mark.parametrize(("seed", "wrong"), [(1, 8), (5, 20)])
def test_broken_example_says_what_is_wrong(broken, seed, wrong):
    code, output = broken
    assert code == 1, output
    failure = output.split(f"test_seed_{seed} ___")[1]
    shown = [line for line in failure.splitlines() if re.match(r"E( |$)", line)]
    shown = shown[: 1 + next(i for i, line in enumerate(shown) if "evaluations of func" in line)]
    text = "\n".join(line[1:].strip() for line in shown)

    assert re.search(
        r"GradientMismatch: W2 is 2 x numeric \(\d+ of 15 wrong\); b1 wrong too$",
        text.splitlines()[0],
    )
    assert f"{wrong} of 47 wrong" in text
    assert "W1, b2, W3, b3 agree" in text
    assert len(shown) <= 22
    hint = re.search(
        r"^b1 .* analytic = 4 x numeric( \(4 is the length of axis 1 of W1\))$", text, re.M
    )
    others = text.replace(hint[1], "")
    for right_block in ("W1", "b2", "W3", "b3"):
        assert len(re.findall(rf"\b{right_block}\b", others)) == 1, text  # they agree, and no more
    for name, factor in (("b1", 4), ("W2", 2)):
        assert re.search(rf'^{name} +gradient\["{name}"\] \*= {factor} +test_bugs\.py:', text, re.M)


def test_broken_example_s_short_summary_names_the_bug(broken):
    summary = broken[1].split("short test summary info")[1]
    lines = [line for line in summary.splitlines() if line.startswith("FAILED ")]
    assert lines == [
        f"FAILED examples/broken/test_bugs.py::{test} - GradientMismatch: W2 is 2 ..."
        for test in ("test_seed_5", "test_seed_1")
    ]
    assert all(len(line) <= 80 for line in lines)


def test_broken_examples_are_not_collected_by_default():
    code, output = run_pytest("--collect-only", "examples")
    assert code == 0, output
    assert "broken" not in output
    for path in EXAMPLES:
        assert f"examples/{path.name}::" in output


@pytest.mark.parametrize(
    "flags",
    [(), ("--import-mode=importlib",), ("--assert=plain",), ("-n", "2")],
    ids=" ".join,
)
def test_examples_pass(flags):
    code, output = run_pytest("examples", "-W", "error", *flags)
    assert code == 0, output
    assert re.search(r"\b1[0-9] passed", output), output


def test_unittest_runs_the_test_case_without_pytest():
    done = subprocess.run(
        [sys.executable, "-m", "unittest", "-v", "test_testcase"],
        cwd=ROOT / "examples",
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Ran 2 tests" in done.stderr
