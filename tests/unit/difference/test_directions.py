"""Random directions: weights that are made again whenever they are needed, and never kept."""

import ast
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from amounts import first_quick

from pytest_gradcheck import Options, check_gradients
from pytest_gradcheck._difference import stencils_and_steps
from pytest_gradcheck._difference.stencils_and_steps import (
    Stream,
    fill_with_weights,
    generator,
    random_weights,
)
from pytest_gradcheck._evaluate.call import Call
from pytest_gradcheck._evaluate.problem import evaluate_gradient, prepare
from pytest_gradcheck._gradient import directional_residuals as screen
from pytest_gradcheck._params.arrays_and_structure import CHUNK, chunks

N = 3 * CHUNK + 17


def quadratic(params):
    return float(np.dot(params["w"], params["w"]) + np.dot(params["v"], params["v"]))


def screened(size=N):
    rng = np.random.default_rng(0)
    params = {"w": rng.normal(size=size), "v": rng.normal(size=3)}
    options = Options()
    problem = prepare(Call(quadratic), params, options)
    gradient = {name: 2 * value for name, value in params.items()}
    analytic = evaluate_gradient(gradient, problem, options)
    return screen.calibrate(problem, analytic, options)


@pytest.mark.parametrize("size", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, N])
def test_chunks_cover_a_vector_once(size):
    covered = np.zeros(size, dtype=int)
    for part in chunks(size):
        assert 0 < part.stop - part.start <= CHUNK
        covered[part] += 1
    assert (covered == 1).all()


def test_weights_are_neither_small_nor_large_and_of_both_signs():
    weights = random_weights(N, 0, Stream.NOISE)
    assert 0.5 <= np.abs(weights).min() < 0.501
    assert 1.499 < np.abs(weights).max() <= 1.5
    assert abs(np.sign(weights).mean()) < 0.02
    assert np.unique(weights).size == N


def test_each_purpose_has_numbers_of_its_own():
    members = Stream.__members__  # a second name for one number would be in it, too
    assert len(set(members.values())) == len(members)
    drawn = [generator(0, stream).random(8) for stream in Stream]
    # A stream's first direction has the numbers of the stream itself: seeds are padded by zeros.
    np.testing.assert_array_equal(generator(0, Stream.NOISE, 0).random(8), drawn[0])
    assert np.unique(drawn).size == 8 * len(Stream)


def streams_asked_for():
    """Yield (module, what it passes for the stream) of every call that draws random numbers."""
    package = Path(stencils_and_steps.__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            name = getattr(node, "func", None)
            called = getattr(name, "attr", getattr(name, "id", ""))
            place = {"generator": 1, "random_weights": 2}.get(called)
            if isinstance(node, ast.Call) and place is not None:
                yield path.relative_to(package).as_posix(), ast.unparse(node.args[place])


def test_every_draw_says_its_purpose_and_none_shares_it():
    asked = list(streams_asked_for())
    named = [(where, what) for where, what in asked if what != "stream"]
    assert [where for where, what in asked if what == "stream"] == [
        "_difference/stencils_and_steps.py"
    ]
    assert {what for _, what in named} == {f"Stream.{member.name}" for member in Stream}
    # Only a direction of the screen is drawn in two places: whole, and one weight of it.
    twice = {what for pair in named for what in pair[1:] if named.count(pair) > 1}
    assert twice == {"Stream.SCREEN"}
    assert len({what for _, what in named}) == len(set(named))


@pytest.mark.parametrize("skip", [0, 1, 7])
def test_numbers_left_out_are_left_out_by_four(skip):
    whole, rest = np.empty(64), np.empty(64 - 4 * skip)
    fill_with_weights(whole, generator(3, Stream.NOISE))
    fill_with_weights(rest, generator(3, Stream.NOISE, skip=skip))
    np.testing.assert_array_equal(rest, whole[4 * skip :])


def test_one_weight_is_that_of_the_whole_direction():
    screen = screened()
    block = screen.problem.blocks[0]
    weights = screen.shift(2)[block.window]
    for offset in (0, 1, 2, 3, 4, CHUNK - 1, CHUNK, CHUNK + 1, N - 1):
        assert screen.weight(2, block, offset) == weights[offset]


def test_columns_are_the_weights_of_each_direction():
    screen = screened()
    block = screen.problem.blocks[0]
    made = np.zeros((3, block.size))
    for part, columns in screen.columns((0, 4, 1), block):
        made[:, part] = columns
    for row, number in zip(made, (0, 4, 1), strict=True):
        np.testing.assert_array_equal(row, screen.shift(number)[block.window])


@pytest.mark.parametrize("wrong", first_quick([12345, None]))
def test_memory_is_at_most_three_and_a_half_times_the_parameters(wrong):
    size = 1_000_000
    theta = np.random.default_rng(0).normal(size=size)
    params = {"a": theta[: size // 2], "b": theta[size // 2 :]}

    def cost(p):
        return float(np.dot(p["a"], p["a"]) + np.dot(p["b"], p["b"]))

    def gradient(p):
        made = {"a": 2 * p["a"], "b": 2 * p["b"]}
        if wrong is not None:
            made["a"][wrong] *= 1.5
        return made

    check_gradients(cost, gradient, params)  # imports what there is to
    tracemalloc.start()
    try:
        report = check_gradients(cost, gradient, params)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert report.verdict == ("agree" if wrong is None else "disagree")
    assert report.directions
    assert peak <= 3.5 * theta.nbytes
    if wrong is not None:
        assert report.worst[0].label == f"a[{wrong}]"


def test_a_direction_that_is_marginally_wrong_is_looked_at_again():
    """Two equal errors of ten times the resolution, which nearly cancel along some directions."""
    rng = np.random.default_rng(1)
    theta = rng.normal(size=20_000)

    def cost(x):
        return float(np.sum(np.tanh(x)) / 100)

    right = (1 - np.tanh(theta) ** 2) / 100
    resolution = check_gradients(cost, right, theta).resolution
    found = 0
    for seed in range(10):
        wrong = right.copy()
        places = np.random.default_rng(seed).choice(theta.size, 2, replace=False)
        wrong[places] += 30 * resolution * np.linalg.norm(right * theta) / np.abs(theta[places])
        found += check_gradients(cost, wrong, theta, seed=seed).verdict == "disagree"
    assert found == 10


@pytest.mark.parametrize("size", [8, 1000])
def test_which_direction_of_a_purpose_it_is_makes_others_and_the_same_again(size):
    first = random_weights(size, 0, Stream.GROUP, 3, 1)
    again = random_weights(size, 0, Stream.GROUP, 3, 1)
    np.testing.assert_array_equal(first, again)
    again[:] = 0.0  # the caller's own
    np.testing.assert_array_equal(first, random_weights(size, 0, Stream.GROUP, 3, 1))
    for others in ((0, Stream.GROUP, 3, 2), (0, Stream.GROUP, 4, 1), (1, Stream.GROUP, 3, 1)):
        assert not np.array_equal(first, random_weights(size, *others))


def test_a_sample_is_all_of_few_and_so_many_of_more():
    sample = stencils_and_steps.sample
    assert sample(4, 4, 0).tolist() == sample(4, 9, 0).tolist() == [0, 1, 2, 3]
    some = sample(100, 10, 0)
    assert some.size == 10
    assert (np.diff(some) > 0).all()
    assert some.tolist() == sample(100, 10, 0).tolist() != sample(100, 10, 1).tolist()
