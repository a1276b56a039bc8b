"""Blocks on the flat vector, and gradients matched with them: what is said of each slip."""

import math
import pickle
import re

import numpy as np
import pytest

from pytest_gradcheck._params.arrays_and_structure import CHUNK, flatten
from pytest_gradcheck._params.layout import (
    LEAST_SCALE,
    MANY,
    MOST_SCALE,
    Block,
    beside,
    blocks_of,
    coordinate_of,
    counts_of,
    ends_of,
    gradient_vector,
    labels,
    leaves_of,
    middle,
    middles,
    names_of,
    position_of,
    rounded,
    runs,
    scale_of,
    selected,
    shapes_of,
    to_structure,
    vector_of,
)
from pytest_gradcheck._params.work_copy import WorkCopy

PARAMS = {"W": np.arange(6.0).reshape(2, 3), "z": np.array([1 + 2j, 3j]), "b": 0.5}


def laid_out(params, only=(), skip=(), entries=()):
    structure = flatten(params)
    return structure, blocks_of(structure, only, skip, entries)


def said(error, call, *args):
    with pytest.raises(error) as raised:
        call(*args)
    return str(raised.value)


def test_blocks_are_windows_one_behind_the_other_and_complex_entries_two_coordinates():
    structure, blocks = laid_out(PARAMS)
    told = [(b.name, b.shape, b.start, b.stop, b.leaf, b.is_complex) for b in blocks]
    assert told == [
        ("W", (2, 3), 0, 6, 0, False),
        ("z", (2,), 6, 10, 1, True),
        ("b", (), 10, 11, 2, False),
    ]
    vector = vector_of(structure, blocks)
    assert vector.tolist() == [0, 1, 2, 3, 4, 5, 1, 2, 0, 3, 0.5]
    names = ["W[0, 0]", "W[1, 2]", "z[0].real", "z[1].imag", "b"]
    assert [labels(blocks)(i) for i in (0, 5, 6, 9, 10)] == names
    assert [position_of(blocks, i) for i in (0, 5, 6, 9, 10)] == [0, 0, 1, 1, 2]
    for i in range(11):
        assert coordinate_of(blocks, labels(blocks)(i)) == i
    for gone in ("W", "W[0]", "W[2, 0]", "W[0, 3]", "z[0]", "W[0, 0].real", "c", "b[0]"):
        assert coordinate_of(blocks, gone) is None
    made = to_structure(structure, blocks, vector)
    np.testing.assert_array_equal(made["W"], PARAMS["W"])
    np.testing.assert_array_equal(made["z"], PARAMS["z"])
    assert made["b"] == 0.5


def test_entries_of_a_block_alone():
    mask = np.array([[True, False, False], [False, False, True]])
    structure, blocks = laid_out(PARAMS, entries=(("W", mask), ("z", 1)))
    W, z, b = blocks
    assert (W.shape, W.whole, W.start, W.stop) == ((2,), (2, 3), 0, 2)
    assert (z.shape, z.start, z.stop, b.start) == ((1,), 2, 4, 4)
    assert vector_of(structure, blocks).tolist() == [0, 5, 0, 3, 0.5]
    assert [labels(blocks)(i) for i in range(5)] == [
        "W[0, 0]", "W[1, 2]", "z[1].real", "z[1].imag", "b"
    ]  # fmt: skip
    for i in range(5):
        assert coordinate_of(blocks, labels(blocks)(i)) == i
    assert coordinate_of(blocks, "W[0, 1]") is None
    made = to_structure(structure, blocks, np.arange(1.0, 6.0))
    assert made["W"].tolist() == [[1, 0, 0], [0, 0, 2]]
    assert made["z"].tolist() == [0, 3 + 4j]
    vector, _ = gradient_vector(PARAMS, structure, blocks)
    assert vector.tolist() == [0, 5, 0, 3, 0.5]
    for index, error in (
        (mask[:1], "the mask of W has shape (1, 3), but the block has (2, 3)"),
        (7, "W of shape (2, 3) can't be indexed by 7"),
        ([], "nothing of W is chosen"),
        (np.zeros((2, 3), bool), "nothing of W is chosen; leave the block out with skip='W'"),
    ):
        assert error in said(ValueError, laid_out, PARAMS, (), (), (("W", index),))


def test_blocks_are_chosen_by_name_and_by_pattern():
    for name, only, skip, chosen in (
        ("W", (), (), True),
        ("W", ("b",), (), False),
        ("W", (), ("W",), False),
        ("layers[3].bias", ("layers[3].bias",), (), True),  # the name itself, before a glob
        ("layers[3].bias", ("*.bias",), ("layers*",), False),
    ):
        assert selected(name, only, skip) is chosen
    assert [b.name for b in laid_out(PARAMS, only=("[Wb]",))[1]] == ["W", "b"]
    for option in ("only", "skip"):
        text = said(ValueError, lambda option=option: laid_out(PARAMS, **{option: ("w",)}))
        assert text == f"{option}: 'w' matches no block of params; they are W, z, b"


def test_a_tangent_is_of_the_types_of_the_values_and_zero_elsewhere():
    params = {"a": np.ones(2, np.float32), "z": np.ones(1, complex), "n": 3.0, "s": "name"}
    structure, blocks = laid_out(params, skip=("n", "s"))
    vector = np.array([1 + 1e-9, 2.0, 3.0, 4.0])
    made = beside(structure, blocks, vector)
    assert made["a"].dtype == np.float32
    assert (made["a"].tolist(), made["z"].tolist()) == ([1, 2], [3 + 4j])
    assert (made["n"], made["s"]) == (0.0, "name")
    assert rounded(structure, blocks, vector).tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(
    ("params", "gradient", "error", "text"),
    [
        ({"W": 1.0}, None, TypeError, "the gradient is None; it must have params' structure"),
        ({"W": 1.0}, (0.5, {"W": 1.0}), TypeError, "pass it as func, with grad=True"),
        ({"W": 1.0, "b": 2.0}, {"W": 1.0}, ValueError, "it has no b; return one for each"),
        ({"W": 1.0}, {"W": 1.0, "c": 2.0}, ValueError, "params has no c; return the structure"),
        ({"W": 1.0}, {"dW": 1.0}, ValueError, "{name: grads['d' + name] for name in params}"),
        ({"W": 1.0}, {"g_W": 1.0}, ValueError, "{name: grads['g_' + name] for name in params}"),
        ({"W": 1.0}, {"d_W": 1.0}, ValueError, "{name: grads['d_' + name] for name in params}"),
        ({"W": np.ones(2)}, {"W": [1.0, 2.0]}, ValueError, "where W is an array or a number"),
        ({"W": [1.0, 2.0]}, {"W": np.ones(2)}, ValueError, "a number where W is a list"),
        ({"W": 1.0, "b": 2.0}, np.ones(2), ValueError, "one array or number where params has"),
        (np.ones(2), {"W": np.ones(2)}, ValueError, "where params is one array or number"),
        ({"W": 1.0, "b": 2.0}, [1.0, 2.0], ValueError, "where params has names: return dict(zip("),
        ({"a b": 1.0, "c": 2.0}, [1.0, 2.0], ValueError, "each by name (params['a b'], c)"),
        ([1.0, 2.0], {"W": 1.0, "b": 2.0}, ValueError, "return a list in that order"),
        ({"W": np.ones(2)}, {"W": "x"}, TypeError, "it must be an array of shape (2,)"),
        ({"W": 1.0}, {"W": True}, TypeError, "it must be a number"),
        ({"W": np.ones(1)}, {"W": np.array([True])}, TypeError, "dtype bool; it must be numeric"),
        ({"W": np.ones((2, 3))}, {"W": np.ones((3, 2))}, ValueError, "return its transpose, .T"),
        ({"W": np.ones((2, 1))}, {"W": np.ones(2)}, ValueError, "return it with .reshape((2, 1))"),
        ({"W": np.ones(2)}, {"W": np.ones((9, 2))}, ValueError, "for each sample? sum them"),
        ({"W": np.ones(2)}, {"W": 1.0}, ValueError, "a gradient has an entry for each"),
        ({"W": np.ones(2)}, {"W": np.ones(3)}, ValueError, "nothing is broadcast or transposed"),
        ({"W": np.ones(2)}, {"W": 1j * np.ones(2)}, TypeError, "the parameter is real; pass its"),
    ],
)
def test_a_gradient_that_does_not_match_is_an_error_that_says_what_to_do(
    params, gradient, error, text
):
    structure, blocks = laid_out(params)
    with pytest.raises(error, match=re.escape(text)):
        gradient_vector(gradient, structure, blocks)


def test_a_gradient_that_matches_is_one_vector_with_the_precision_of_each_block():
    structure, blocks = laid_out(PARAMS)
    gradient = {"W": np.ones((2, 3), np.float32), "z": np.array([1.0, 2.0]), "b": 4}
    vector, precision = gradient_vector(gradient, structure, blocks)
    assert vector.tolist() == [1] * 6 + [1, 0, 2, 0, 4]
    assert precision == (2.0**-23, 2.0**-52, 2.0**-52)
    assert gradient_vector(gradient, structure, blocks, known=vector)[0] is vector
    assert gradient_vector(gradient, structure, blocks, known=vector + 1)[0] is not vector
    wide, _ = gradient_vector({**gradient, "b": np.longdouble(4)}, structure, blocks)
    assert wide.dtype == np.longdouble
    _, some = laid_out(PARAMS, skip=("z",))
    assert gradient_vector({**gradient, "z": None}, structure, some)[0].size == 7


def test_scales_are_the_sizes_of_parameters_above_a_floor():
    assert (middle(np.array([3.0, 1.0, 2.0])), middle(np.array([4.0, 1.0, 2.0, 3.0]))) == (2.0, 2.5)
    assert middle(np.arange(5001.0)[::-1].copy()) == 2500.0
    assert middle(np.arange(5000.0)[::-1].copy()) == 2499.5
    theta = np.array([0.0, 4.0, -8.0, 1e-6])
    assert scale_of(theta).of(theta).tolist() == [4.0, 4.0, 8.0, 1e-3]
    tiny = np.array([0.5, 0.0, 1e-9])
    assert scale_of(tiny).of(tiny).tolist() == [0.5, pytest.approx(0.25), pytest.approx(2.5e-4)]
    assert scale_of(np.zeros(2)).of(np.zeros(2)).tolist() == [1.0, 1.0]
    edges = np.array([1e-310, math.inf])
    assert scale_of(np.array([1e-310])).of(edges).tolist() == [LEAST_SCALE, MOST_SCALE]


def test_a_label_is_not_that_of_a_block_whose_name_it_begins_with():
    _, blocks = laid_out({"W": np.ones(2), "W2": np.ones(2), "W[0]": 1.0})
    assert [coordinate_of(blocks, name) for name in ("W[1]", "W2[1]", "W3[1]")] == [1, 3, None]


def test_what_is_no_parameter_says_why():
    for params, error, text in (
        (np.array([1, 2]), TypeError, "no small steps to take; pass floating-point values"),
        ({"W": 3}, TypeError, "(3.0)"),
        ({"W": True}, TypeError, "W is bool, but a parameter is an array or a number"),
        ({"W": "x", "s": "y"}, TypeError, "skip=['W', 's']"),
        ({"W": np.ma.masked_array([1.0])}, TypeError, "W is a masked array"),
        ({"W": iter([1.0])}, TypeError, "pass list(params)"),
    ):
        assert text in said(error, laid_out, params)


def test_what_is_not_finite_is_named():
    for place, label in ((0, "z[0].real"), (1, "z[1].real")):
        params = {"z": np.array([1j, 2j])}
        params["z"][place] = complex(math.nan, 1.0)
        structure, (block,) = laid_out(params)
        assert label in said(ValueError, WorkCopy(structure, (block,)).require_finite)
    structure, (block,) = laid_out({"z": np.array([math.nan, 1.0])}, entries=(("z", [1]),))
    WorkCopy(structure, (block,)).require_finite()


SIZES = [0, 3, 0, 0, *range(1, 68), 0, 2, 0]
"""More blocks than are looked at one by one, empty ones first, last and between others."""


def test_many_blocks_are_those_that_few_are():
    params = {f"p{i}": np.full(size, i + 1.0) for i, size in enumerate(SIZES)}
    structure, blocks = laid_out(params)
    ends = np.cumsum(SIZES).tolist()
    made = [
        Block(f"p{i}", (size,), np.dtype(float), False, end - size, end, i)
        for i, (size, end) in enumerate(zip(SIZES, ends, strict=True))
    ]
    assert len(blocks) == len(SIZES) > MANY
    assert [blocks[k] for k in range(-3, 5)] == [made[k] for k in range(-3, 5)]
    assert [position_of(blocks, i) for i in range(ends[-1] + 1)] == [
        position_of(made, i) for i in range(ends[-1] + 1)
    ]
    assert (list(blocks), list(blocks[2:9])) == (made, made[2:9])
    assert [blocks[k] for k in (0, -1)] == [made[0], made[-1]]
    with pytest.raises(IndexError):
        blocks[len(SIZES)]
    for column in (names_of, shapes_of, counts_of, ends_of, leaves_of):
        assert list(column(blocks)) == column(made), column
    again = pickle.loads(pickle.dumps(blocks))
    assert list(again) == made
    some = laid_out(params, skip=["p1", "p70"])[1]
    assert [(b.name, b.leaf) for b in some] == [
        (f"p{i}", i) for i in range(len(SIZES)) if i not in (1, 70)
    ]
    reordered = {name: 2 * params[name] for name in reversed(params)}
    for gradient in ({name: 2 * x for name, x in params.items()}, reordered):
        vector, precision = gradient_vector(gradient, structure, blocks)
        few, known = gradient_vector(gradient, structure, made)
        assert (vector.tobytes(), precision) == (few.tobytes(), known)
    assert gradient_vector(reordered, structure, blocks, known=vector)[0] is vector
    with pytest.raises(ValueError, match=r"p40 has shape \(38,\), but params has \(37,\)"):
        gradient_vector({**params, "p40": np.zeros(38)}, structure, blocks)


def test_runs_of_blocks_are_as_long_as_a_part_of_a_vector_or_one_block():
    half, whole = CHUNK // 2, CHUNK
    sizes = [half, half, 0, 1, whole + 5, 0, 0, half, half - 1, 1, 1, whole]
    ends = np.cumsum(sizes).tolist()
    blocks = [
        Block(f"p{i}", (size,), np.dtype(float), False, end - size, end, i)
        for i, (size, end) in enumerate(zip(sizes, ends, strict=True))
    ]
    assert list(runs(blocks)) == [
        range(3),
        range(3, 4),
        range(4, 5),
        range(5, 10),
        range(10, 11),
        range(11, 12),
    ]
    assert (list(runs([])), list(runs(blocks[:1]))) == ([], [range(1)])


def test_medians_of_many_blocks_are_those_of_each():
    rng = np.random.default_rng(0)
    sizes = [5, 5, 1, 0, 7, 5, 4_100, 4_100, 8, 8]
    parts = [rng.normal(size=size) for size in sizes]
    parts[1][:3] = 0.0
    parts[5][:] = 0.0
    vector = np.concatenate(parts)
    expected = [np.median(np.abs(part[part != 0])) if np.any(part != 0) else 1.0 for part in parts]
    found = middles([(range(10), vector)], sizes)
    np.testing.assert_allclose(found, expected, rtol=1e-15)
    alike = [(range(2), vector[:10]), (range(2, 3), vector[10:11]), (range(3, 10), vector[11:])]
    assert middles(alike, sizes).tolist() == found.tolist()
    assert middles([(range(3), np.empty(0))], [0, 0, 0]).tolist() == [1.0, 1.0, 1.0]
