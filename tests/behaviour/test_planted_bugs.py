"""Wrong gradients that people write: all are caught, and what is said of them is right."""

import functools
import warnings

import numpy as np
import planted
import pytest
from amounts import long

from pytest_gradcheck import check_gradients

PLANS = {plan.name: plan for plan in planted.load()}
SEED = 1
"""Of the bugs; `benchmarks/correctness/hints.py` takes many."""

REPEATS_NOT = {"accumulated", "momentum"}
"""The second call of these gradients differs from the first, which is said of them instead."""

each_model = pytest.mark.parametrize("name", PLANS)


each_half = pytest.mark.parametrize("half", [0, long(1)], ids=["even", "odd"])


@functools.cache
def checked(name, half):
    """Return (bug, report) of every other bug of a model."""
    rows = []
    for kind in list(PLANS[name].table)[half::2]:
        bug = PLANS[name].bug(kind, SEED)
        model = bug.model
        rows.append(
            (
                bug,
                check_gradients(
                    model.cost, bug.gradient, model.params, repairs="skip", **bug.options
                ),
            )
        )
    return rows


def every_row(half):
    return [row for name in PLANS for row in checked(name, half)]


def described(rows):
    return "\n".join(
        f"{bug.model.name}: {bug.name}: right {'/'.join(bug.codes)}, "
        f"given {[hint.code for hint in report.diagnoses]}"
        for bug, report in rows
    )


# The table itself


def test_there_are_enough_of_them():
    kinds = {kind for plan in PLANS.values() for kind in plan.table}
    assert len(PLANS) >= 14
    assert len(kinds) >= 200
    assert sum(len(plan.table) for plan in PLANS.values()) >= 330
    assert min(len(plan.table) for plan in PLANS.values()) >= 15


def test_each_row_names_codes_that_exist_and_says_why():
    for plan in PLANS.values():
        for kind, (codes, why, *options) in plan.table.items():
            assert codes.split(), (plan.name, kind)
            assert set(codes.split()) <= planted.CODES | {"none"}, (plan.name, kind)
            assert why, (plan.name, kind)
            assert len(options) <= 1, (plan.name, kind)


def test_each_code_that_an_error_s_pattern_can_have_is_expected_somewhere():
    expected = {row[0].split()[0] for plan in PLANS.values() for row in plan.table.values()}
    # What is said of func, of the point or of how much, not of a pattern, has tests of its own.
    assert expected == planted.CODES - {"kink", "noise", "stale", "approximate", "group"} | {"none"}


@each_model
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_no_bug_is_vacuous(name, seed):
    for kind in PLANS[name].table:
        assert PLANS[name].bug(kind, seed).wrong, kind


@each_model
def test_an_unknown_bug_would_be_vacuous(name):
    # So that a misspelt name in a backward pass can't pass for a bug: it changes nothing.
    params, _, backward = PLANS[name].build(np.random.default_rng(0))
    right, misspelt = backward(params), backward(params, "no such bug")
    assert all(np.array_equal(right[block], misspelt[block]) for block in params)


# Verdicts


@each_model
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_right_gradient_agrees_and_nothing_is_said(name, seed):
    model = PLANS[name].model(seed)
    report = check_gradients(model.cost, model.gradient, model.params)
    assert report.verdict == "agree", report.message()
    assert report.size <= 400
    assert report.diagnoses == ()


@each_half
@each_model
def test_every_bug_is_caught_and_no_right_block_is_accused(name, half):
    for bug, report in checked(name, half):
        if bug.name in REPEATS_NOT:
            assert report.verdict == "inconclusive", bug.name
            assert any("grad does not repeat itself" in text for text in report.reasons), bug.name
            continue
        assert report.verdict == "disagree", (bug.name, report.message())
        assert {block.name for block in report.blocks if block.wrong} == set(bug.wrong), bug.name


@each_model
def test_the_user_s_parameters_are_unchanged(name):
    plan = PLANS[name]
    bug, before = plan.bug(next(iter(plan.table)), SEED), plan.model(SEED).params
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_gradients(bug.model.cost, bug.gradient, bug.model.params)
    for block, value in bug.model.params.items():
        assert np.asarray(value).tobytes() == np.asarray(before[block]).tobytes()


# Hints


@each_half
def test_the_first_hint_is_right_for_nine_of_ten(half):
    rows = [(bug, report) for bug, report in every_row(half) if "none" not in bug.codes]
    missed = [(bug, report) for bug, report in rows if not bug.right(report.diagnoses)]
    share = len(missed) / len(rows)
    assert share <= 0.10, described(missed)


@each_half
def test_one_of_the_first_two_is_right_for_nineteen_of_twenty(half):
    rows = [(bug, report) for bug, report in every_row(half) if "none" not in bug.codes]
    missed = [(bug, report) for bug, report in rows if not bug.right(report.diagnoses, among=2)]
    share = len(missed) / len(rows)
    assert share <= 0.05, described(missed)


@each_half
def test_hardly_any_hint_is_wrong(half):
    rows = every_row(half)
    misled = [(bug, report) for bug, report in rows if bug.misled(report.diagnoses)]
    share = len(misled) / len(rows)
    assert share <= 0.02, described(misled)


@each_half
def test_hints_accuse_only_blocks_that_are_wrong(half):
    related = {"backward", "shared", "swapped"}  # these may name a right block as well
    for bug, report in every_row(half):
        wrong = set(bug.wrong)
        for hint in report.diagnoses:
            where = (bug.model.name, bug.name, hint)
            assert wrong & set(hint.blocks) or not hint.blocks, where  # none: of all of it
            assert hint.code in related or set(hint.blocks) <= wrong, where
