"""Hints: each code on arrays with a planted bug, and what must not be said."""

import math
from dataclasses import replace
from fractions import Fraction
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pytest_gradcheck
from pytest_gradcheck import (
    Diagnosis,
    check_gradients,
    compare_gradients,
    numerical_gradient,
)
from pytest_gradcheck._diagnosis import causes as causes_module
from pytest_gradcheck._diagnosis.causes import causes, diagnose, said_of
from pytest_gradcheck._diagnosis.evidence_and_places import (
    OFFERED,
    BlockData,
    Fitted,
    locate,
    named,
    named_factor,
)


def block(analytic, numeric, theta=None, name="W", error=None, **other):
    """Return a block whose entries are wrong where they differ by more than their error bars."""
    a, n = np.asarray(analytic, dtype=float), np.asarray(numeric, dtype=float)
    u = (
        1e-10 * (np.abs(n) + 1e-3 * np.abs(n).max())
        if error is None
        else np.broadcast_to(error, n.shape)
    )
    with np.errstate(invalid="ignore"):
        wrong = ~(np.abs(a - n) <= 1e-7 * np.maximum(np.abs(a), np.abs(n)) + 1.5 * u)
    given = {
        "name": name,
        "analytic": a,
        "numeric": n,
        "error": u,
        "theta": np.full(n.shape, np.nan) if theta is None else np.asarray(theta, dtype=float),
        "wrong": wrong,
        "agrees": ~wrong,
        "known": np.ones(n.shape, dtype=bool),
        "allowed": 1e-7 * np.abs(n),
    }
    return BlockData(**(given | other))


def codes(*blocks, upstream=None):
    return [diagnosis.code for diagnosis in diagnose(blocks, upstream).diagnoses]


def told(*blocks):
    return [diagnosis.sentence for diagnosis in diagnose(blocks).diagnoses]


def drawn(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape), rng.normal(size=shape)


def last_column_zero(n):
    a = n.copy()
    a[..., -1] = 0
    return a


def with_random_row(n):
    a = n.copy()
    a[2] = np.random.default_rng(9).normal(size=a[2].shape)
    return a


def with_one_entry(n):
    a = n.copy()
    a[(1,) * a.ndim] *= 1.3
    return a


def without_upper(n):
    return np.tril(n)


def without_border(n):
    a = np.zeros_like(n)
    a[1:-1, 1:-1] = n[1:-1, 1:-1]
    return a


def shifted(n):
    a = np.zeros_like(n)
    a[1:] = n[:-1]
    return a


N, T = drawn((5, 4))
SQUARE, _ = drawn((4, 4), seed=3)
KERNEL, _ = drawn((4, 2, 3, 3), seed=4)
LONG, LONG_T = drawn(8, seed=5)

PLANTED = [
    ("not-finite", N * np.nan, N, "analytic is NaN or infinite in every entry"),
    ("zero", 0 * N, N, "analytic is zero everywhere: never written?"),
    ("factor", 2 * N, N, "analytic = 2 x numeric, everywhere in the block"),
    ("factor", -N, N, "analytic = -numeric, everywhere in the block: the sign is wrong"),
    ("factor", N / 7, N, "analytic = 1/7 x numeric, everywhere in the block"),
    ("factor", N * 1.2345, N, "analytic = 1.2345 x numeric, everywhere in the block"),
    (
        "factor",
        N * np.arange(1, 6)[:, None] ** 0.5 * 1.1,
        N,
        "analytic = a factor x numeric, another one in each row",
    ),
    ("transposed", SQUARE.T, SQUARE, "analytic = the transpose of numeric"),
    (
        "transposed",
        KERNEL.swapaxes(2, 3),
        KERNEL,
        "analytic = numeric with axes 2, 3 swapped",
    ),
    (
        "reshaped",
        N.ravel("F").reshape(N.shape),
        N,
        "analytic has the values of numeric in Fortran memory order (a wrong reshape)",
    ),
    (
        "reshaped",
        N.ravel()[np.random.default_rng(1).permutation(20)].reshape(N.shape),
        N,
        "analytic has the same values as numeric, in another order",
    ),
    ("rolled", np.roll(N, 1, 0), N, "analytic = numeric rolled by 1 along axis 0"),
    ("rolled", np.roll(LONG, -2), LONG, "analytic = numeric rolled by -2 along axis 0"),
    ("rolled", shifted(N), N, "analytic = numeric shifted by 1 along axis 0"),
    ("flipped", N[::-1], N, "analytic = numeric reversed along axis 0"),
    (
        "flipped",
        KERNEL[:, :, ::-1, ::-1],
        KERNEL,
        "analytic = numeric reversed along axes 2 and 3",
    ),
    (
        "slice",
        last_column_zero(N),
        N,
        "only column 3 (the last) is wrong: analytic is zero there",
    ),
    ("slice", with_random_row(N), N, "only row 2 is wrong"),
    (
        "slice",
        without_upper(SQUARE),
        SQUARE,
        "only the part above the diagonal is wrong: analytic is zero there",
    ),
    (
        "slice",
        without_border(drawn((7, 7))[0]),
        drawn((7, 7))[0],
        "only the border is wrong: analytic is zero there",
    ),
    (
        "slice",
        last_column_zero(KERNEL),
        KERNEL,
        "only position 2 (the last) along axis 3 is wrong: analytic is zero there",
    ),
    ("entry", with_one_entry(N), N, "only the entry [1, 1] is wrong"),
    ("entry", with_one_entry(LONG), LONG, "only the entry [1] is wrong"),
    (
        "constant",
        N + 0.25,
        N,
        "analytic - numeric = 0.25, the same in every entry",
    ),
    (
        "reduction",
        np.broadcast_to(N.mean(axis=0), N.shape),
        N,
        "analytic is the mean over axis 0 of numeric, broadcast",
    ),
    (
        "reduction",
        np.broadcast_to(N.sum(), N.shape),
        N,
        "analytic is the sum over axes 0, 1 of numeric, broadcast",
    ),
    (
        "shared",
        SQUARE,
        SQUARE + SQUARE.T,
        "numeric = analytic + its transpose: one of two uses of it is not accumulated",
    ),
    (
        "float32",
        (N * (1 + 3e-7 * np.sign(T))).astype(np.float32),
        N,
        "analytic is right to seven digits everywhere: single precision on the way?",
    ),
]


@pytest.mark.parametrize(("code", "a", "n", "sentence"), PLANTED, ids=[p[3][:50] for p in PLANTED])
def test_each_code_is_named_first(code, a, n, sentence):
    found = diagnose([block(a, n)])
    assert (found.diagnoses[0].code, found.diagnoses[0].sentence) == (code, sentence)
    assert found.hints["W"] == (code, sentence)
    assert found.diagnoses[0].blocks == ("W",)
    assert found.diagnoses[0].bits >= OFFERED


WITH_PARAMETERS = [
    (
        "theta",
        N - 0.1 * T,
        "analytic - numeric = -0.1 x W: weight decay with coefficient 0.1 is missing from the "
        "gradient",
    ),
    (
        "theta",
        N + 0.02 * T,
        "analytic - numeric = 0.02 x W: weight decay with coefficient 0.02 is in the gradient once "
        "too often",
    ),
    (
        "theta",
        N + 0.25 * T * (np.arange(4) > 0),
        "analytic - numeric = 0.25 x W: weight decay with coefficient 0.25 is once too often, "
        "except in column 0",
    ),
    (
        "theta",
        N - 0.2 * T * (np.arange(20).reshape(5, 4) != 7),
        "analytic - numeric = -0.2 x W: weight decay with coefficient 0.2 is missing, except in "
        "[1, 3]",
    ),
    (
        "sign-theta",
        N - 0.05 * np.sign(T) * (np.arange(5) != 2)[:, None],
        "analytic - numeric = -0.05 x sign(W): an L1 penalty with coefficient 0.05 is missing, "
        "except in row 2",
    ),
    ("theta", 2 * N - 0.1 * T, "analytic = 2 x numeric - 0.1 x W"),
    (
        "theta",
        0.7788007 * N + 0.2211993 * 0.3 * T,  # exp(-1/4), which has no name
        "analytic = 0.7788 x numeric + 0.06636 x W: all but weight decay of 0.3 has the factor",
    ),
    (
        "theta",
        N / 8 + 0.0875 * T,
        "analytic = 1/8 x numeric + 0.0875 x W: all but weight decay of 0.1 has the factor",
    ),
    (
        "sign-theta",
        N - 0.05 * np.sign(T),
        "analytic - numeric = -0.05 x sign(W): an L1 penalty with coefficient 0.05 is missing from "
        "the gradient",
    ),
    (
        "chain",
        N / np.exp(T),
        "numeric = analytic x exp(W): that factor of the chain rule is missing",
    ),
    (
        "chain",
        N * np.exp(T),
        "numeric = analytic / exp(W): that factor of the chain rule is once too many",
    ),
    (
        "chain",
        N * (1 + np.exp(-T)),
        "numeric = analytic x sigmoid(W): that factor of the chain rule is missing",
    ),
    (
        "chain",
        N / (2 * T),
        "numeric = analytic x 2 x W: that factor of the chain rule is missing",
    ),
]


@pytest.mark.parametrize(("code", "a", "sentence"), WITH_PARAMETERS)
def test_codes_that_need_the_parameters(code, a, sentence):
    assert (codes(block(a, N, T))[0], told(block(a, N, T))[0]) == (code, sentence)
    assert code not in codes(block(a, N))


def test_softmax_left_out():
    p = np.exp(LONG_T) / np.exp(LONG_T).sum()
    n = p * (LONG - p @ LONG)
    assert codes(block(LONG, n, LONG_T))[0] == "chain"


@pytest.mark.parametrize(
    ("factor", "said"),
    [(2, "2 x numeric, "), (-1, "-numeric, everywhere in the block: the sign is wrong"), (1.7, "")],
)
def test_a_factor_is_told_as_finely_as_it_is_known(factor, said):
    n, _ = drawn((5, 4), 3)
    a = (factor * n).astype(np.float16)
    (sentence,) = told(block(a, n, wrong=np.abs(a - n) > 0.05, eps=2.0**-10))
    assert sentence.startswith(f"analytic = {said or '1.7 x numeric, '}")


# -- what must not be said -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("shape", [(), (1,), (2,), (2, 2), (1, 3), (5, 4), (3, 3, 2), (40,)])
def test_random_errors_have_no_hint(shape, seed):
    n, t = drawn(shape, seed)
    noise = np.random.default_rng(seed + 100).normal(size=shape)
    for a in (n + noise, n * noise, noise):
        assert codes(block(a, n, t)) == []


@pytest.mark.parametrize(
    "a",
    [2 * N, N - 0.1 * T, N + 0.3, N[::-1], np.roll(N, 1, 1), N / np.exp(T), N - 0.1 * np.sign(T)],
)
def test_what_is_nearly_a_formula_is_none(a):
    spoilt = a * (1 + 1e-4 * np.random.default_rng(5).normal(size=N.shape))
    assert codes(block(a, N, T)) != []
    assert codes(block(spoilt, N, T)) == []


@pytest.mark.parametrize("a", [2 * N, N - 0.1 * T, N[::-1], N + 0.3])
def test_error_bars_as_large_as_the_error_prove_nothing(a):
    b = block(a, N, T, error=0.9 * np.abs(a - N))
    assert codes(b) == []


def test_a_right_gradient_has_none():
    assert codes(block(N, N, T), block(SQUARE, SQUARE, name="V")) == []
    assert check_gradients(lambda x: np.sum(x**3), lambda x: 3 * x**2, T).diagnoses == ()


def test_a_fitted_factor_of_one_entry_is_nothing_and_a_named_one_is_something():
    assert codes(block([1.234567], [1.0])) == []
    assert codes(block([2.0], [1.0])) == ["factor"]
    assert codes(block([2.0], [1.0], error=1e-5)) == []


def test_a_factor_per_row_of_an_outer_product_names_nothing():
    n = np.outer(T[:, 0], LONG[:4])
    assert codes(block(n * np.array([[1.1], [0.7], [2.3], [0.2], [1.9]]), n)) == []


def test_zeros_on_both_sides_say_nothing():
    n = np.zeros((6, 5))
    n[2, 3] = 0.7
    assert codes(block(1.2345 * n, n, error=1e-10)) == []
    assert codes(block(2 * n, n, error=1e-10)) == ["factor"]


def test_entries_on_a_kink_or_not_evaluated_are_left_out():
    known = np.ones(N.shape, dtype=bool)
    known[:2] = False
    a = np.where(known, 2 * N, 0.3)
    assert codes(block(a, N, known=known)) == ["factor"]
    assert codes(block(a, np.where(known, N, np.nan), known=known, error=1e-10)) == ["factor"]
    assert codes(block(a, N)) != ["factor"]


def test_no_place_is_named_where_entries_could_not_be_told():
    a = last_column_zero(N)
    agrees = a == N
    agrees[0, 0] = False
    assert locate(block(a, N), said_of) is not None
    assert locate(block(a, N, agrees=agrees), said_of) is None


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.lists(st.integers(1, 5), min_size=1, max_size=3).map(tuple),
    st.sampled_from([-3.0, -1.0, 0.5, 2.0, 1 / 3, 1 / 64]),
)
def test_a_named_factor_is_named_in_any_block(seed, shape, factor):
    n, t = drawn(shape, seed)
    assert codes(block(factor * n, n, t))[0] == "factor"


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(1e-3, 1e3), st.floats(1e-8, 1e8))
def test_the_size_of_a_gradient_does_not_matter(seed, amount, size):
    n, t = drawn((4, 3), seed)
    assert codes(block((n - amount * t) * size, n * size, t))[:1] == ["theta"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.lists(st.integers(1, 4), min_size=0, max_size=3).map(tuple))
def test_hints_change_no_array(seed, shape):
    n, t = drawn(shape, seed)
    b = block(n * 1.5 + 0.1, n, t)
    saved = [np.copy(x) for x in (b.analytic, b.numeric, b.error, b.theta, b.wrong)]
    diagnose([b])
    after = (b.analytic, b.numeric, b.error, b.theta, b.wrong)
    assert all(np.array_equal(x, y) for x, y in zip(saved, after, strict=True))


# -- several blocks --------------------------------------------------------------------------------


def test_one_cause_in_several_blocks_is_one_sentence():
    v, b = drawn((3, 5), 7)[0], drawn((5, 1), 8)[0]
    found = diagnose(
        [block(N / 6, N, name="W1"), block(b / 6, b, name="b1"), block(v, v, name="W2")]
    )
    (one,) = found.diagnoses
    assert one.sentence == "analytic = 1/6 x numeric in all of W1 and b1"
    assert one.blocks == ("W1", "b1")
    alone = diagnose([block(N / 6, N, name="W1")]).diagnoses[0]
    assert one.bits > alone.bits
    assert found.hints["b1"][1] == "analytic = 1/6 x numeric, everywhere in the block"


def test_a_fitted_number_counts_once_for_all_blocks():
    theta = {name: drawn((1,), seed)[1] for seed, name in enumerate(("a", "b"), start=20)}
    blocks = [block(1 - 0.3 * t, np.ones(1), t, name=name) for name, t in theta.items()]
    assert codes(blocks[0]) == []
    assert codes(*blocks) == ["theta"]


def test_two_causes_are_two_sentences():
    found = diagnose([block(2 * N, N, T, name="W"), block(SQUARE.T, SQUARE, name="V")])
    assert {d.code: d.blocks for d in found.diagnoses} == {"factor": ("W",), "transposed": ("V",)}


def test_exchanged_blocks():
    b1, b2 = drawn(5, 1)
    found = diagnose([block(b2, b1, name="b1"), block(b1, b2, name="b2")])
    assert found.diagnoses[0].code == "swapped"
    assert found.diagnoses[0].sentence == "the analytic gradients of b1 and b2 are swapped"
    assert found.hints["b1"][1] == "analytic = the numeric gradient of b2"
    one_way = diagnose([block(b2, b1, name="b1"), block(b2, b2, name="b2")])
    assert one_way.diagnoses[0].sentence == "analytic of b1 = the numeric gradient of b2"


def test_another_blocks_gradient_is_known_in_another_shape():
    b = drawn(4, 2)[0]
    found = diagnose([block(SQUARE[:2, :2].ravel(), b, name="b"), block(*[SQUARE[:2, :2]] * 2)])
    assert found.diagnoses[0].sentence == "analytic of b = the numeric gradient of W"
    row, b = drawn((1, 4), 2)
    found = diagnose([block(row, b, name="b"), block(row.T, row.T)])  # is no transpose to speak of
    assert found.diagnoses[0].sentence == "analytic of b = the numeric gradient of W"


def test_a_contribution_of_a_tied_block():
    v = drawn((4, 5), 3)[0]
    found = diagnose([block(N, N + v.T, name="encode"), block(v, v, name="decode")])
    assert found.diagnoses[0].code == "shared"
    assert "the transpose of the gradient of decode" in found.diagnoses[0].sentence


def layers(wrong, names=("W1", "b1", "W2", "b2", "W3", "b3")):
    made = []
    for seed, name in enumerate(names):
        n, noise = drawn((4, 3) if name[0] == "W" else (4, 1), seed)
        made.append(block(n * noise if name in wrong else n, n, name=name))
    return made


def in_layers(before, behind):
    return True


def test_one_wrong_entry_of_equal_ones_is_no_shift():
    n = np.full(6, 0.75)
    for at in (0, -1):
        a = n.copy()
        a[at] *= -1
        assert codes(block(a, n)) == ["entry"]


def test_a_sign_beside_much_larger_entries_is_not_single_precision():
    n = np.array([5e6, 5e3, 16.0, 0.5])
    a = np.array([5e6, 5e3, 16.0, -0.5])
    assert "float32" not in codes(block(a, n, error=1e-9 * n))


def test_a_row_of_zeros_but_for_one_wrong_entry_is_that_entry():
    n = np.tril(drawn((4, 4))[0])
    a = n.copy()
    a[3, 3] *= 1.2
    assert told(block(a, n, error=1e-10)) == ["only the entry [3, 3] is wrong"]


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e160, 1e300])
def test_a_factor_of_any_size_is_looked_for_without_overflow(size):
    for n, t in ((N, T), (N[:1, :1], T[:1, :1])):
        with np.errstate(all="ignore"):  # as `explain` has it
            diagnose([block(n / size, n)])
            diagnose([block(n, n / size, t)])
    report = check_gradients(lambda x: x / size, 1.0, 2.0)
    assert report.verdict == "disagree"


def test_blocks_wrong_before_a_layer_are_laid_to_the_backward_pass():
    (one,) = diagnose(layers({"W1", "b1", "W2", "b2"}), in_layers).diagnoses
    assert one.code == "backward"
    assert one.sentence == (
        "the error enters between W3 and W2: W1, b1, W2, b2 are wrong, W3 and b3 are right"
    )
    assert set(one.blocks) == {"W1", "b1", "W2", "b2"}


def test_the_order_of_the_layers_is_in_their_names():
    names = ("W3", "b3", "W2", "b2", "W1", "b1")
    assert codes(*layers({"W1", "b1"}, names), upstream=in_layers) == ["backward"]
    assert codes(*layers({"W3", "b3"}, names), upstream=in_layers) == []


@pytest.mark.parametrize("wrong", [{"W1"}, {"W2", "b2"}, {"W3", "b3"}, {"W1", "W2"}, {"W1", "b3"}])
def test_other_blocks_wrong_are_not(wrong):
    assert codes(*layers(wrong), upstream=in_layers) == []


def test_a_layer_that_can_not_all_be_told_is_not_right():
    *others, last = layers({"W1", "b1"})
    first = np.arange(last.agrees.size).reshape(last.shape) == 0
    open_ = replace(last, agrees=~first, numeric=np.where(first, np.nan, last.numeric))
    assert codes(*others, open_, upstream=in_layers) == []


def test_nor_is_it_blamed_without_evidence_that_one_is_behind_the_other():
    assert codes(*layers({"W1", "b1"})) == []


def network(p, weight_decay=0.0):
    first, bias, second = p.values()
    x = np.linspace(-1, 1, 9).reshape(3, 3)
    return np.sum(np.cos(second @ np.tanh(first @ x + bias))) + weight_decay * np.sum(first**2)


def network_with_decay(p):
    return network(p, 0.1)


def network_not_at_zero(p):
    return network(p) if list(p.values())[2].any() else [].pop()


def apart(p):
    return sum(np.sum(np.sin(value)) for value in p.values())


@pytest.mark.parametrize(
    ("cost", "names", "given"),
    [
        (network, ("in", "shift", "out"), ["backward"]),
        (network, ("W1", "b1", "W2"), ["backward"]),
        (apart, ("in", "shift", "out"), []),
        (apart, ("W1", "b1", "W2"), []),
        # There is a way past the last block; then what is known is the order in the names.
        (network_with_decay, ("in", "shift", "out"), []),
        (network_with_decay, ("W1", "b1", "W2"), ["backward"]),
        (network_not_at_zero, ("in", "shift", "out"), []),
        (network_not_at_zero, ("W1", "b1", "W2"), ["backward"]),
    ],
)
def test_func_is_asked_what_is_behind_what(cost, names, given):
    shapes = [(4, 3), (4, 1), (2, 4)]
    params = {
        name: drawn(shape, k)[0] for k, (name, shape) in enumerate(zip(names, shapes, strict=True))
    }
    wrong = numerical_gradient(cost, params)
    for name in names[:2]:
        wrong[name] = wrong[name] * drawn(wrong[name].shape, 9)[0]
    report = check_gradients(cost, wrong, params)
    assert [one.code for one in report.diagnoses] == given
    between = f"the error enters between {names[2]} and {'W1' if 'W1' in names else 'shift'}"
    assert {block.hint for block in report.blocks} == ({"", between} if given else {""})


def network_of_a_list(p):
    return network_with_decay(dict(enumerate(p)))


def test_positions_in_a_list_are_no_layers():
    params = [drawn(shape, k)[0] for k, shape in enumerate([(4, 3), (4, 1), (2, 4)])]
    wrong = numerical_gradient(network_of_a_list, params)
    for k in range(2):
        wrong[k] = wrong[k] * drawn(wrong[k].shape, 9)[0]
    report = check_gradients(network_of_a_list, wrong, params)
    assert (report.wrong, report.diagnoses) == (16, ())


def test_where_evaluations_are_promised_func_is_not_asked_what_is_behind_what():
    params = {"W1": drawn((4, 3), 0)[0], "b1": drawn((4, 1), 1)[0], "W2": drawn((2, 4), 2)[0]}
    right = numerical_gradient(network, params)
    wrong = right | {name: right[name] * drawn(right[name].shape, 9)[0] for name in ("W1", "b1")}
    spent = [check_gradients(network, g, params, scheme="complex") for g in (right, wrong)]
    assert [report.wrong for report in spent] == [0, 16]
    assert spent[0].evaluations == spent[1].evaluations


def test_all_blocks_wrong_are_not_either():
    assert codes(*layers({"W1", "b1", "W2", "b2", "W3", "b3"})) == []


def test_the_same_position_in_a_matrix_and_its_bias_is_one_place():
    w, b = drawn((6, 4), 1)[0], drawn((6, 1), 2)[0]
    wrong_w, wrong_b = w.copy(), b.copy()
    wrong_w[3], wrong_b[3] = drawn(4, 5)[0], 0.3
    with np.errstate(all="ignore"):
        found = causes([block(wrong_w, w, name="W1"), block(wrong_b, b, name="b1")])
    assert (found[0].code, found[0].names) == ("slice", ("W1", "b1"))
    assert found[0].told == "only row 3 of W1 and b1 is wrong"


def test_numbers_are_no_layers():
    blocks = [
        block([1.3], [0.7], name="a"),
        block([2.9], [-0.2], name="b"),
        block([5], [5], name="c"),
    ]
    assert codes(*blocks) == []


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "name"),
    [(2.0, "2"), (-0.5, "-1/2"), (1 / 128, "1/128"), (1.2345678, None), (3 / 4, "3/4")],
)
def test_which_factors_have_a_name(value, name):
    found = named_factor(Fitted(value, 1e-10), {})
    assert (None if found is None else str(found[0])) == name


def test_lengths_are_cheap_names():
    plain = named_factor(Fitted(1 / 784, 1e-12), {})
    known = named_factor(Fitted(1 / 784, 1e-12), {784: "the length of axis 1 of W1"})
    assert plain is not None
    assert known is not None
    assert known[1] < plain[1]
    a, b = (
        block(N / 9, N, name="A", sizes={9: "the length of axis 0 of X"}),
        block(SQUARE / 9, SQUARE, name="B", sizes={9: "the length of axis 0 of X"}),
    )
    assert told(a, b) == [
        "analytic = 1/9 x numeric (9 is the length of axis 0 of X) in all of A and B"
    ]


# -- whole checks ----------------------------------------------------------------------------------

X = np.random.default_rng(1).normal(size=(3, 6))
PARAMS = {
    "W": np.random.default_rng(2).normal(size=(4, 3)),
    "V": np.random.default_rng(3).normal(size=(2, 4)),
}


class Net:
    """Two layers; what the forward pass leaves for the backward pass is `cache`."""

    def __init__(self):
        self.cache = self.forward({name: value + 0.1 for name, value in PARAMS.items()})

    @staticmethod
    def forward(p):
        return np.tanh(p["W"] @ X)

    def cost(self, p):
        return 0.5 * np.sum(np.sin(p["V"] @ self.forward(p)))

    @staticmethod
    def backward(p, h):
        do = 0.5 * np.cos(p["V"] @ h)
        return {"W": ((p["V"].T @ do) * (1 - h * h)) @ X.T, "V": do @ h.T}

    def from_first(self, p):
        return self.backward(p, self.cache)

    def one_late(self, p):
        gradient = self.backward(p, self.cache)
        self.cache = self.forward(p)
        return gradient


def test_a_cache_of_the_first_forward_pass():
    net = Net()
    report = check_gradients(net.cost, net.from_first, PARAMS)
    assert report.diagnoses[0].code == "stale"
    assert "bit for bit, at another W" in report.message()


def test_a_cache_of_the_call_before():
    net = Net()
    report = check_gradients(net.cost, net.one_late, PARAMS)
    assert [d.code for d in report.diagnoses] == ["stale"]
    assert report.verdict == "inconclusive"


class WrongNet(Net):
    """A wrong derivative of tanh, which no hint explains, at what an earlier call left."""

    def cost(self, p):
        self.cache = self.forward(p)
        return super().cost(p)

    def of_func(self, p):
        return self.backward(p, 1.1 * self.cache**2)

    def of_grad(self, p):
        cache, self.mine = getattr(self, "mine", self.forward(PARAMS)), self.forward(p)
        return self.backward(p, 1.1 * cache**2)


@pytest.mark.parametrize("what", ["func", "grad"])
def test_a_cache_beside_another_fault(what):
    net = WrongNet()
    report = check_gradients(net.cost, getattr(net, f"of_{what}"), PARAMS)
    assert report.diagnoses[0].code == "stale"
    assert report.diagnoses[0].sentence == (
        f"grad in W and V changed at the same parameters after {what} was called at others: it "
        "reads what an earlier call left behind (a stale cache)"
    )


def test_a_gradient_that_is_not_reset():
    total = {name: np.zeros_like(value) for name, value in PARAMS.items()}

    def grad(p):
        for name, value in Net.backward(p, Net.forward(p)).items():
            total[name] += value
        return {name: value.copy() for name, value in total.items()}

    report = check_gradients(Net().cost, grad, PARAMS)
    assert report.diagnoses[0].code == "stale"
    assert report.diagnoses[0].sentence.endswith("it adds to what the call before left")


def test_a_random_gradient_is_noise():
    rng = np.random.default_rng(0)
    report = check_gradients(
        Net().cost, lambda p: {k: rng.normal(size=v.shape) for k, v in p.items()}, PARAMS
    )
    assert [d.code for d in report.diagnoses] == ["noise"]
    random = check_gradients(lambda x: x * rng.normal(), lambda x: 1.0, 2.0)
    assert [d.code for d in random.diagnoses] == ["noise"]


def test_a_wrong_linear_gradient_is_not_called_stale():
    wrong = np.random.default_rng(8).normal(size=(4, 3))
    report = check_gradients(
        lambda p: float(np.sum(p["W"] * 2.0)), lambda p: {"W": wrong}, {"W": PARAMS["W"]}
    )
    assert (report.verdict, report.diagnoses) == ("disagree", ())


def test_the_experiment_changes_nothing_and_counts_its_evaluations():
    calls = []
    net = Net()
    params = {name: value.copy() for name, value in PARAMS.items()}

    def cost(p):
        calls.append(1)
        return net.cost(p)

    report = check_gradients(cost, net.from_first, params)
    assert report.evaluations == len(calls)
    assert all(np.array_equal(params[name], PARAMS[name]) for name in PARAMS)


def test_a_grad_that_refuses_to_be_called_elsewhere_is_left_alone():
    def grad(p):
        if not all(np.array_equal(p[name], PARAMS[name]) for name in PARAMS):
            raise RuntimeError("not here")
        return {name: np.cos(7 * value) for name, value in p.items()}

    assert check_gradients(Net().cost, grad, PARAMS).verdict == "disagree"


def test_a_kink_is_named():
    report = check_gradients(
        lambda x: np.sum(np.maximum(x, 0)),
        lambda x: np.where(x == 0, -0.1, x > 0),
        np.array([-1.0, 0.0, 2.0]),
    )
    assert [d.code for d in report.diagnoses] == ["kink"]
    assert report.diagnoses[0].sentence == ("func is not differentiable here in 1 of 3 parameters")


def test_noise_is_named_when_it_leaves_a_check_open():
    report = check_gradients(
        lambda w: np.float32(np.log(np.sum(w))),
        lambda w: np.full(3, 1 / np.sum(w)),
        np.arange(1.0, 4.0),
        rtol=1e-7,
    )
    assert report.verdict == "inconclusive"
    assert [d.code for d in report.diagnoses] == ["noise"]


def test_complex_blocks_have_none():
    z = np.array([1 + 2j, 0.5 - 1j, -0.3 + 0.1j])
    report = check_gradients(lambda q: np.sum(np.abs(q) ** 2), lambda q: 4 * q, z)
    assert (report.verdict, report.diagnoses) == ("disagree", ())


Z, WAVES = np.array([[1 + 2j, 0.5 - 1j], [-0.3 + 0.1j, 2j]]), np.array([1 - 1j, 0.3 + 2j])
"""Parameters and constants; JAX and autograd return the conjugate of the direction of ascent."""


def holomorphic(p):
    return np.sum((WAVES * np.sin(p["a"]) * p["b"]).real)


def ascent(p):
    by_a, by_b = WAVES * np.cos(p["a"]) * p["b"], (WAVES * np.sin(p["a"])).sum(axis=0)
    return {"a": by_a.conj(), "b": by_b.conj()}


@pytest.mark.parametrize("wrong", [["a"], ["b"], ["a", "b"]])
def test_a_conjugate_is_named(wrong):
    def grad(p):
        return {name: g.conj() if name in wrong else g for name, g in ascent(p).items()}

    params = {"a": Z, "b": np.array([0.2 + 1j, -1 + 0.5j])}
    report = check_gradients(holomorphic, grad, params)
    (told,) = report.diagnoses
    assert (told.code, told.blocks) == ("conjugate", tuple(wrong))
    assert [block.name for block in report.blocks if block.code == "conjugate"] == wrong
    verb = "are" if len(wrong) > 1 else "is"
    first = f"{' and '.join(wrong)} {verb} the conjugate of numeric"
    assert report.message().startswith(first)
    assert "pass numpy.conj of it" in report.message()


def test_a_conjugate_with_one_more_error_is_none():
    def grad(p):
        found = {name: g.conj() for name, g in ascent(p).items()}
        found["a"][0, 0] *= 1.001
        found["b"] = -ascent(p)["b"]
        return found

    params = {"a": Z, "b": np.array([0.2 + 1j, -1 + 0.5j])}
    assert check_gradients(holomorphic, grad, params).diagnoses == ()


def test_two_given_gradients_have_no_parameters():
    report = compare_gradients(N - 0.1 * T, N)
    assert report.diagnoses == ()
    assert compare_gradients(-N, N).diagnoses[0].code == "factor"


def cube(p):
    return sum(np.sum(v**3) for v in p.values())


def test_several_blocks_have_a_line_under_the_table():
    params = {"W": N, "b": LONG}
    report = check_gradients(cube, lambda p: {k: v**2 for k, v in p.items()}, params)
    first = "W and b are 1/3 x numeric ("
    assert report.message().splitlines()[0].startswith(first)
    assert report.to_dict()["diagnoses"] == [
        {
            "code": "factor",
            "sentence": "analytic = 1/3 x numeric in all of W and b",
            "blocks": ["W", "b"],
            "bits": report.diagnoses[0].bits,
        }
    ]
    assert "(factor)" in report.details()
    assert len(report.message().splitlines()) <= 20


class Explains:
    """A plugin that says whatever it was made with."""

    def __init__(self, said):
        self.said = said

    @pytest_gradcheck.hookimpl
    def gradcheck_explain(self, report):
        return self.said


@pytest.fixture
def explains():
    plugins = []

    def register(said):
        plugins.append(Explains(said))
        pytest_gradcheck.plugin_manager().register(plugins[-1])

    yield register
    for plugin in plugins:
        pytest_gradcheck.plugin_manager().unregister(plugin)


def wrong_check():
    return check_gradients(cube, lambda p: {"W": p["W"] ** 2}, {"W": N})


def test_hooks_return_sentences_and_diagnoses(explains):
    explains(["one", "two"])
    explains(Diagnosis("mine", "ours is better", ("W",), 1e6))
    explains(None)
    report = wrong_check()
    assert set(report.hints) == {"one", "two", "ours is better"}
    assert [d.code for d in report.diagnoses] == ["mine", "factor"]
    assert "hint: ours is better" in report.message().splitlines()


def test_a_hook_that_returns_something_else_is_told_so(explains):
    explains(3)
    with pytest.raises(TypeError, match="gradcheck_explain returned int; return a sentence"):
        wrong_check()


# Where func does not answer


def zeroed(n, *where):
    numeric = n.copy()
    numeric[where] = 0
    return numeric


MASKED = [
    (N, zeroed(N, [0, 2, 3]), "rows 0, 2 and 3"),
    (N, zeroed(N, slice(None), 1), "column 1"),
    (N, zeroed(N, slice(None), [0, 3]), "columns 0 and 3"),
    (N, zeroed(N, 3, 2), "the entry [3, 2]"),
    (N, zeroed(N, [0, 2, 4], [1, 1, 3]), "the entries [0, 1], [2, 1] and [4, 3]"),
    (N, N * (np.arange(20).reshape(5, 4) % 3 > 0), "7 of 20 entries"),
    (SQUARE, np.tril(SQUARE), "the part above the diagonal"),
    (LONG, zeroed(LONG, [1, 6]), "entries 1 and 6"),
    (LONG, zeroed(LONG, 5), "entry 5"),
    (KERNEL, zeroed(KERNEL, slice(None), 1), "position 1 along axis 1"),
]


@pytest.mark.parametrize(("a", "n", "where"), MASKED, ids=[row[2] for row in MASKED])
def test_numeric_zero_and_analytic_not_is_a_mask(a, n, where):
    found = diagnose([block(a, n)])
    assert [d.code for d in found.diagnoses] == ["mask"]
    assert found.diagnoses[0].sentence == f"{where}: numeric is zero, analytic is not: a mask?"


def test_one_mask_in_two_blocks_is_told_once():
    n = zeroed(N, [1, 4])
    (found,) = diagnose([block(N, n, name="A"), block(T, zeroed(T, [1, 4]), name="B")]).diagnoses
    assert found.sentence == "rows 1 and 4 of A and B: numeric is zero, analytic is not: a mask?"


def test_no_mask_where_another_row_is_wrong_too():
    a = N.copy()
    a[4] += [0.3, -0.2, 0.11, 0.4]
    assert "mask" not in codes(block(a, zeroed(N, [0, 2])))


def test_a_mask_is_no_term_of_the_entries_that_it_leaves_out():
    n = 2 * LONG_T * (LONG_T > 0)
    for a in (2 * LONG_T, np.where(n == 0, -1.0, n)):
        assert codes(block(a, n, LONG_T, error=1e-12)) == ["mask"]


def test_a_zero_that_is_right_is_no_part_of_a_mask():
    a = zeroed(N, 1)
    a[3, 0] += 0.5
    assert codes(block(a, zeroed(N, 1))) == ["entry"]


def test_a_factor_per_row_makes_nothing_of_rows_without_a_gradient():
    factors = np.array([1.3, 0, 1.7, 0, 2.1])[:, None]
    assert codes(block(N, N * factors)) == []
    assert codes(block(N, N * (factors + 0.5))) == ["factor"]


FORMULAS = [3 * T, np.exp(T), np.ones_like(T), N, 0.02 * np.sign(T)]


@pytest.mark.parametrize("a", FORMULAS, ids=["theta", "exp", "constant", "nothing", "sign"])
@pytest.mark.parametrize("bar", [0.0, 1e-12])
def test_no_value_hint_where_func_answers_to_nothing(a, bar):
    n = bar * np.random.default_rng(2).uniform(-1, 1, N.shape)
    found = diagnose([block(a, n, T, error=bar), block(N, N, name="V")])
    assert found.diagnoses == ()
    assert found.unmoved == ("W",)


def test_zero_within_a_wide_bar_beside_values_that_stand_clear_is_not_nothing():
    n = zeroed(N, [0, 1])
    assert diagnose([block(2 * n + 0.3 * T, n, T)]).unmoved == ()


def test_blocks_are_not_swapped_with_one_that_func_does_not_answer_to():
    found = diagnose([block(0 * N, N, name="a"), block(N, 0 * N, name="b")])
    assert [d.code for d in found.diagnoses] == ["zero"]


@pytest.mark.parametrize(
    ("wrong", "where"),
    [
        ([2], "only the entry [2] is wrong: analytic = 3 x numeric there"),
        ([2, 5, 7], "analytic = 3 x numeric in entries 2, 5 and 7, the rest is right"),
        ([0, 1, 2, 4, 5, 6, 7, 8], "analytic = 3 x numeric, except in [3] and [9]"),
    ],
)
def test_where_a_factor_is_in_a_part(wrong, where):
    a, n = LONG_12.copy(), LONG_12.copy()
    a[wrong] *= 3
    n[-2:] = a[-2:] = 0  # what is zero on both sides has no factor
    assert told(block(a, n)) == [where]


LONG_12, _ = drawn(12, seed=6)


def test_a_factor_in_part_of_two_blocks_is_placed_in_each():
    a, b = N.copy(), LONG_12.copy()
    a[1:4] *= 3
    b[2:9] *= 3
    n, m = block(a, N, name="A"), block(b, LONG_12, name="B")
    found = diagnose([n, m])
    assert {name: sentence for name, (_, sentence) in found.hints.items()} == {
        "A": "analytic = 3 x numeric, except in rows 0 and 4",
        "B": "analytic = 3 x numeric, except in entries 0, 1, 9, 10 and 11",
    }
    assert all(diagnosis.sentence for diagnosis in found.diagnoses)


# Terms that some entries rightly lack


@pytest.mark.parametrize(("spared", "where"), [(0, "[0]"), (7, "[7]"), ([0, 4], "[0] and [4]")])
def test_weight_decay_without_an_intercept(spared, where):
    decay = 0.0667 * LONG_T
    decay[spared] = 0
    assert told(block(LONG - decay, LONG, LONG_T)) == [
        "analytic - numeric = -0.0667 x W: weight decay with coefficient 0.0667 is missing, "
        f"except in {where}"
    ]


def test_weight_decay_without_the_bias_columns_of_two_matrices_is_one_story():
    first, second = (np.arange(k) > 0 for k in (4, 4))
    blocks = [
        block(N - 0.3 * T * first, N, T, name="A"),
        block(
            SQUARE - 0.3 * KERNEL[:, 0, 0, :1] * second, SQUARE, KERNEL[:, 0, 0, :1] + 0 * SQUARE
        ),
    ]
    assert told(*blocks)[0].startswith("analytic - numeric = -0.3 x A and W: weight decay")
    assert told(*blocks)[0].endswith("is missing, except in column 0")


def test_weight_decay_that_more_entries_lack_than_have_is_in_a_part():
    decay = 0.1 * LONG_T
    decay[3:] = 0
    assert told(block(LONG - decay, LONG, LONG_T)) == [
        "analytic - numeric = -0.1 x W: weight decay with coefficient 0.1 is missing in entries "
        "0, 1 and 2, the rest is right"
    ]


@pytest.mark.parametrize("amount", [-0.3, 1 / 15, -13 / 190, 2.0])
def test_two_entries_beside_an_intercept_are_enough_for_a_coefficient_that_people_choose(amount):
    n, t = np.array([0.71, -1.3, 0.44]), np.array([0.2, 1.7, -0.9])
    for spared in (0, 2):
        decay = amount * t
        decay[spared] = 0
        (said,) = told(block(n + decay, n, t))
        assert f"except in [{spared}]" in said
        odd = told(block(n + decay * 1.000123, n, t))
        assert "with coefficient" not in "".join(odd)
    assert codes(block(n[:2] + amount * t[:2], n[:2], t[:2])) == ["theta"]


def test_whole_numbers_prove_no_coefficient():
    """x^3 for 3 x^2 at 1, 2, 3 is off by -2 x and nothing."""
    t = np.array([1.0, 2.0, 3.0])
    assert codes(block(t**3, 3 * t**2, t)) == []
    assert codes(block(np.full(3, -0.2 / 3), [0.6, -2.4, 1.6], [0.3, -1.2, 0.8])) == ["reduction"]
    found = codes(block(np.ones(4), np.exp(LONG_T[:4]), LONG_T[:4]))
    assert found == ["chain"]


def test_a_constant_is_no_penalty_where_all_parameters_have_one_sign():
    """Ratings about 1500 whose decay towards 1500 is one towards zero."""
    n, t = (
        np.array([0.71, -1.3, 0.44, 0.2, -0.6]),
        1500 + np.array([90.0, -210.0, 33.0, 7.0, -80.0]),
    )
    assert told(block(n + 0.003, n, t))[0] == (
        "analytic - numeric = 0.003, the same in every entry"
    )
    assert codes(block(n + 0.003 * np.sign(t - 1500), n, t - 1500)) == ["sign-theta"]


def test_a_gradient_of_another_size_by_far_is_no_multiple_of_numeric():
    """What is a millionth of such an entry is more than all of numeric."""
    n = np.random.default_rng(6).normal(size=8)
    other = 1e10 * np.random.default_rng(7).normal(size=8)
    assert codes(block(other, n, error=1e-9)) == []
    assert codes(block(n, other, error=1e-2)) == []
    assert codes(block(1e10 * n, n, error=1e-9)) == ["factor"]


def test_to_a_jacobian_nobody_adds_a_penalty():
    assert told(block(N + 0.02 * T, N, T, parameter="w")) == [
        "analytic - numeric = 0.02 x w: a multiple of w is too much"
    ]
    assert told(block(N - 0.02 * np.sign(T), N, T, parameter="w")) == [
        "analytic - numeric = -0.02 x sign(w): a multiple of sign(w) is missing"
    ]


def test_a_constant_diagonal_is_not_clipped():
    """Of u'' - exp(u) without its exponential: -2 / h² stands in all of the diagonal."""
    second = 100.0 * (np.eye(6, k=1) - 2 * np.eye(6) + np.eye(6, k=-1))
    n = second - np.diag(np.exp(np.linspace(-1.0, 1.0, 6)))
    assert codes(block(second, n, parameter="u")) == ["slice"]
    h = 1 / 13
    assert codes(block(second / (100 * h**2), n + second * (1 / (100 * h**2) - 1))) == ["slice"]
    assert codes(block(np.clip(LONG, -1, 1), LONG, parameter="u")) == ["clipped"]


def test_one_side_of_a_diagonal_is_not_filled():
    n = SQUARE + SQUARE.T
    assert told(block(np.triu(n), n)) == [
        "numeric = analytic + its transpose, the diagonal once: one side of the diagonal is not "
        "filled"
    ]


def test_signs_that_sum_to_zero_are_a_penalty_before_they_are_targets():
    n, t = np.array([0.71, -1.3, 0.44]), np.array([0.2, 1.7, -0.9])
    assert codes(block(n[:2] - 0.05 * np.array([1, -1]), n[:2], np.array([0.2, -0.9])))[0] == (
        "sign-theta"
    )
    assert codes(block(n - 0.05 * np.array([0, 1, -1]), n, t))[0] == "sign-theta"


@pytest.mark.parametrize(
    ("shape", "spared", "where"),
    [
        ((8,), 0, "[0]"),
        ((8,), -1, "[7]"),
        ((5, 4), (slice(None), 0), "column 0"),
        ((5, 4), -1, "row 4"),
        ((3, 2, 4), (slice(None), slice(None), 0), "position 0 along axis 2"),
    ],
)
def test_a_factor_beside_right_decay_that_an_intercept_lacks(shape, spared, where):
    data, t = drawn(shape, seed=21)
    decay = 0.4 * t
    decay[spared] = 0
    (said,) = told(block(data * 30 + decay, data + decay, t))
    assert said == (
        f"analytic = 30 x numeric - 11.6 x W (not in {where}): all but weight decay of 0.4 has "
        "the factor"
    )
    decay.flat[-2] = 1.234
    assert "theta" not in codes(block(data * 30 + decay, data + 0.4 * t, t))


def test_what_a_step_of_gradient_descent_returns():
    (said,) = told(block(LONG_T - 0.05 * LONG, LONG, LONG_T))
    assert said == (
        "analytic = -1/20 x numeric + 1 x W: the parameters after a step of gradient descent?"
    )


OTHER_TERMS = {
    "{} / W": lambda t: 1 / t,
    "{} x W^2": np.square,
    "{} x W^3": lambda t: t**3,
    "{} x exp(W)": np.exp,
    "{} x (exp(W) - 1)": np.expm1,
    "{} x exp(-W)": lambda t: np.exp(-t),
}


@pytest.mark.parametrize("term", OTHER_TERMS)
def test_another_function_of_theta_is_a_term(term):
    function = OTHER_TERMS[term]
    for amount, end in ((-0.5, "missing"), (7, "too much")):
        assert told(block(LONG + amount * function(LONG_T), LONG, LONG_T)) == [
            f"analytic - numeric = {term.format(f'{amount:g}')}: a term that is {end}"
        ]
    # A coefficient that nobody chooses says too little, and no formula is tried where one of
    # numeric alone holds.
    assert codes(block(LONG + 0.354231 * function(LONG_T), LONG, LONG_T)) == []
    n = function(LONG_T)
    assert codes(block(n / 2, n, LONG_T)) == ["factor"]
    names, parts = ("W", "b"), (slice(4), slice(4, None))
    two = [
        block(LONG[s] - 0.5 * function(LONG_T[s]), LONG[s], LONG_T[s], name=name)
        for name, s in zip(names, parts, strict=True)
    ]
    assert told(*two) == [
        f"analytic - numeric = {term.format('-0.5').replace('W', 'p')} for p in W and b: a term "
        "that is missing"
    ]


# Numbers that were rounded


def test_values_in_few_decimals_are_named():
    n = 7 * LONG
    assert told(block(np.trunc(n), n)) == [
        "analytic = numeric cut off to whole numbers: an array of integers?"
    ]
    assert told(block(np.round(n), n)) == [
        "analytic = numeric rounded to whole numbers: an array of integers?"
    ]
    assert told(block(np.round(n, 3), n)) == ["analytic = numeric rounded to 3 decimals"]
    assert told(block(np.round(n, 1), n)) == ["analytic = numeric rounded to 1 decimal"]
    for other in (np.round(n, 3) + 1e-3, np.sign(n), np.round(n, 3) * 1.1):
        assert "rounded" not in codes(block(other, n))


def test_no_weight_decay_where_one_entry_is_wrong_otherwise():
    decay = 0.1 * LONG_T
    decay[0] = 0.031
    assert "theta" not in codes(block(LONG - decay, LONG, LONG_T))


# Single precision


def test_one_entry_that_stands_out_in_single_precision_is_not_wrong_alone():
    a = LONG.astype(np.float32).astype(float)
    a[3] = np.float32(LONG[3] * (1 + 4e-7))
    assert codes(block(a, LONG)) == ["float32"]


@pytest.mark.parametrize("entries", [(3,), (1, 6)])
def test_an_entry_that_is_farther_off_than_single_precision_is_named(entries):
    a = (LONG * (1 + 4e-7 * np.array([1, -1, 1, 1, -1, 1, -1, 1]))).astype(np.float32).astype(float)
    a[list(entries)] *= [1.3, 0.4][: len(entries)]
    where = " and ".join(f"[{k}]" for k in entries)
    noun = "the entry {} is" if len(entries) == 1 else "the entries {} are"
    assert told(block(a, LONG)) == [
        f"only {noun.format(where)} wrong; the rest is right to seven digits: single precision on "
        "the way?"
    ]
    a[list(entries)] = 0
    assert "analytic is zero there" in told(block(a, LONG))[0]
    a[[0, 2, 4, 5, 7]] *= 1.01
    assert "float32" not in codes(block(a, LONG))


def test_one_entry_that_is_wrong_by_as_much_in_double_precision_is():
    a = LONG.copy()
    a[3] *= 1 + 4e-7
    assert codes(block(a, LONG)) == ["entry"]


def test_a_short_number_is_no_single_precision():
    n = np.array([0.5, -1.25, 2.0, 0.75])
    a = n.copy()
    n[2] *= 1 + 4e-7
    assert "float32" not in codes(block(a, n))


# Formulas of a part


def changed(n, where, to):
    a = n.copy()
    a[where] = to(a[where])
    return a


EACH_ROW = (np.arange(5), [2, 0, 3, 1, 2])
IN_PARTS = [
    (
        "theta",
        N + 0.3 * T * (np.arange(4) == 0),
        "analytic - numeric = 0.3 x W: weight decay with coefficient 0.3 is once too often in "
        "column 0, the rest is right",
    ),
    (
        "factor",
        changed(N, [1, 4], lambda x: 2.5 * x),
        "analytic = 5/2 x numeric in rows 1 and 4, the rest is right",
    ),
    (
        "factor",
        changed(N, ([0, 2, 3], [1, 1, 3]), np.negative),
        "analytic = -numeric in [0, 1], [2, 1] and [3, 3], the rest is right",
    ),
    (
        "constant",
        changed(N, (slice(None), 2), lambda x: x - 0.75),
        "analytic - numeric = -0.75 in column 2, the rest is right",
    ),
    (
        "chain",
        changed(N, (slice(3), slice(None)), lambda x: x / np.exp(T[:3])),
        "numeric = analytic x exp(W): that factor of the chain rule is missing, except in rows 3 "
        "and 4",
    ),
    (
        "target",
        changed(N, EACH_ROW, lambda x: x + 0.2),
        "analytic - numeric = 0.2 in one entry of each row, the rest is right: a one-hot target "
        "not subtracted?",
    ),
    (
        "target",
        changed(N, EACH_ROW, lambda x: x - 1),
        "analytic - numeric = -1 in one entry of each row, the rest is right: a one-hot target "
        "subtracted twice?",
    ),
]


@pytest.mark.parametrize(("code", "a", "sentence"), IN_PARTS, ids=[row[2] for row in IN_PARTS])
def test_a_formula_of_some_entries_alone(code, a, sentence):
    found = diagnose([block(a, N, T)])
    assert [(d.code, d.sentence) for d in found.diagnoses[:1]] == [(code, sentence)]
    assert found.hints["W"][1] == sentence


@pytest.mark.parametrize("size", [20, 400, 4000])
def test_a_factor_where_few_of_many_entries_are_wrong(size):
    n = np.random.default_rng(size).normal(size=size)
    assert told(block(changed(n, [3, 8, 9, 17], lambda x: x / 2), n)) == [
        "analytic = 1/2 x numeric in entries 3, 8, 9 and 17, the rest is right"
    ]


@pytest.mark.parametrize(
    "to",
    [lambda x: x * [2, 2, 2.001], lambda x: x + 0.1 * np.array([1, 2, 3]), lambda x: 0.7 - x],
    ids=["factors", "terms", "neither"],
)
def test_no_formula_of_a_part_that_its_entries_do_not_share(to):
    found = codes(block(changed(LONG_12, [2, 5, 8], to), LONG_12, LONG_12[::-1]))
    assert not {"factor", "constant", "theta", "target"} & set(found)


def test_one_part_of_two_blocks_is_one_story():
    bias, _ = drawn(5, seed=8)
    found = diagnose(
        [
            block(changed(N, [1, 3], lambda x: 3 * x), N, name="W"),
            block(changed(bias, [1, 3], lambda x: 3 * x), bias, name="b"),
        ]
    )
    assert [d.sentence for d in found.diagnoses] == [
        "analytic = 3 x numeric in rows 1 and 3 of W and b, the rest is right"
    ]
    assert found.hints["b"][1] == "analytic = 3 x numeric in [1] and [3], the rest is right"


def test_the_target_of_one_sample():
    a = changed(LONG, 5, lambda x: x + 1)
    assert told(block(a, LONG)) == [
        "only the entry [5] is wrong: analytic - numeric = 1 there: a one-hot target not "
        "subtracted?"
    ]
    assert told(block(changed(LONG, 5, lambda x: x + 0.97), LONG)) == [
        "only the entry [5] is wrong"
    ]


# Counts


@pytest.mark.parametrize(
    ("counts", "m", "how"),
    [
        ([3, 1, 0, 4, 2, 0, 1, 1], 12, "whole numbers / 12, 1 in all: targets not subtracted?"),
        ([3, 1, 0, 4, 2, 0, 1, 2], 1, "whole numbers, 13 in all: targets not subtracted?"),
        ([1, -1, 0, 2, -2, 0, 0, 0], 9, "whole numbers / 9, 0 in all: targets other than func's?"),
    ],
)
def test_differences_that_are_counts_are_laid_to_targets(counts, m, how):
    a = LONG + np.array(counts) / m
    assert told(block(a, LONG, name="b"))[0] == f"analytic - numeric = {how}"


def test_differences_that_are_no_counts_are_not():
    assert "target" not in codes(block(LONG + 0.37 * LONG_T, LONG))
    whole = np.array([3.0, -1, 4, 1, -5, 9])
    assert "target" not in codes(block(np.add(whole, [1, 0, 2, 0, 0, 1]), whole))
    assert "target" not in codes(block(LONG + np.array([1, 2, 0, 0, 0, 1, 0, 0]) / 7, LONG))


def test_rows_off_by_whole_multiples_are_repeated_indices():
    times = np.array([1, 3, 2, 1, 4])[:, None]
    assert told(block(N / times, N)) == [
        "numeric is analytic times a whole number in each row: repeated indices counted once?"
    ]
    assert told(block(N * times, N)) == [
        "analytic is numeric times a whole number in each row: a division by counts left out?"
    ]
    assert "whole number" not in told(block(N / (times + 0.5), N))[0]


@pytest.mark.parametrize(("p", "q"), [(20, 21), (20, 19), (99, 100)])
def test_a_size_that_is_one_off_is_named(p, q):
    (found,) = told(block(N * (p / q), N, sizes={p: "len(y)"}))
    assert found == f"analytic = {p}/{q} x numeric ({p} is len(y)), everywhere in the block"
    assert named_factor(Fitted(p / q + 1e-6, 1e-9), {}) is None


def test_a_factor_in_a_single_entry_is_no_count():
    numeric = np.array([0.9, -0.6, 1.7])
    assert told(block(numeric / [1, 1, 2], numeric)) == [
        "only the entry [2] is wrong: analytic = 1/2 x numeric there"
    ]


# Slices that stand elsewhere

GATES, _ = drawn((12, 3), seed=11)
ORDER = {
    "rows 3 to 5 and 6 to 8 exchanged": np.r_[0:3, 6:9, 3:6, 9:12],
    "rows 2 and 7 exchanged": np.r_[0:2, 7, 3:7, 2, 8:12],
    "rows 1, 4 and 10 in another order": np.r_[0, 4, 2, 3, 10, 5:10, 1, 11],
}


@pytest.mark.parametrize("how", ORDER)
def test_exchanged_rows_are_named(how):
    (found,) = diagnose([block(GATES[ORDER[how]], GATES)]).diagnoses
    assert (found.code, found.sentence) == ("swapped", f"analytic = numeric with {how}")


def test_two_exchanged_columns_channels_or_entries_are_named():
    assert told(block(N[:, [0, 3, 2, 1]], N)) == [
        "analytic = numeric with columns 1 and 3 exchanged"
    ]
    kernel, _ = drawn((3, 5, 2), seed=2)
    assert told(block(kernel[:, [4, 1, 2, 3, 0]], kernel)) == [
        "analytic = numeric with positions 0 and 4 along axis 1 exchanged"
    ]
    assert told(block(LONG[[0, 5, 2, 3, 4, 1, 6, 7]], LONG)) == [
        "analytic = numeric with entries 1 and 5 exchanged"
    ]


def test_two_wrong_columns_are_not_exchanged_unless_each_is_the_other():
    a = N[:, [0, 3, 2, 1]].copy()
    a[2, 1] *= 1.01
    assert "swapped" not in codes(block(a, N))
    assert "swapped" not in codes(block(np.where(np.arange(4) % 2, N[:, [1]], N), N))


def test_gates_exchanged_in_two_blocks_are_one_cause():
    b, _ = drawn(12, seed=12)
    order = np.r_[0:3, 6:9, 3:6, 9:12]
    found = diagnose([block(GATES[order], GATES, name="W"), block(b[order], b, name="b")])
    assert [d.blocks for d in found.diagnoses] == [("W", "b")]


def test_no_target_is_missing_in_a_jacobian():
    a = N.copy()
    a[1, 2] -= 1
    for parameter, targets in (("", True), ("w", False)):
        (said,) = told(block(a, N, parameter=parameter))
        assert "only the entry [1, 2] is wrong: analytic - numeric = -1 there" in said
        assert ("target" in said) == targets


def test_one_order_of_entries_is_told_in_one_way():
    for moved in (np.roll(LONG[:3], 1), LONG[:3][::-1]):
        assert len(codes(block(moved, LONG[:3]))) == 1
    assert (
        "8 of 10 rows in another order"
        in told(block(GATES[np.r_[0, 2, 4, 6, 8, 1, 3, 5, 7, 9]], GATES[:10]))[0]
    )


def test_a_derivative_that_is_a_simple_number_is_a_factor():
    assert codes(block([2.4], [1.2], [-1.0], name="log_n")) == ["factor"]


def test_a_packed_vector_in_another_order_is_named_whatever_the_sizes_of_its_parts():
    n = np.random.default_rng(3).normal(size=97)
    assert told(block(np.roll(n, 41), n)) == [
        "analytic = numeric rolled by 41 along axis 0: parts packed in another order?"
    ]
    assert "rolled" not in codes(block(np.roll(n, 41) * np.where(n > 1, 1.1, 1), n))


# Bounds


@pytest.mark.parametrize(
    ("least", "most", "words"),
    [
        (-0.5, 0.5, "clipped to [-0.5, 0.5]"),
        (-0.8137, 0.8137, "clipped to [-0.8137, 0.8137]"),
        (-np.inf, 0.4, "clipped to at most 0.4"),
        (-0.3, np.inf, "clipped to at least -0.3"),
    ],
)
def test_clipped_entries_are_named(least, most, words):
    (found,) = diagnose([block(np.clip(N, least, most), N)]).diagnoses
    assert (found.code, found.sentence) == ("clipped", f"analytic = numeric {words}")


def test_entries_that_are_no_bound_are_not_clipped():
    a = np.clip(N, -0.5, 0.5)
    a[np.abs(a) == 0.5] *= 1 + 1e-3 * np.arange(np.count_nonzero(np.abs(a) == 0.5))
    assert "clipped" not in codes(block(a, N))
    a = np.clip(N, -0.5, 0.5)
    a[np.unravel_index(np.argmin(np.abs(N)), N.shape)] = 0.5  # numeric is well within
    assert "clipped" not in codes(block(a, N))
    assert "clipped" not in codes(block(np.full(8, 0.3), np.abs(LONG) + 0.4))  # all of them
    n = np.array([1.0, -1.0, 1.0, 2.3, -3.1, -1.7])
    assert "clipped" not in codes(block(np.sign(n), n))  # none is right within the bounds
    # One entry that is too small, and still the largest, stands at no bound but its own.
    a, n = np.array([[12.0, 10.0], [-1.0, 0.0]]), np.array([[24.0, 10.0], [-1.0, 0.0]])
    assert told(block(a, n)) == ["only the entry [0, 0] is wrong: analytic = 1/2 x numeric there"]


@pytest.mark.parametrize(("norm", "added"), [(5.0, 0.0), (0.5, 1e-6)])
def test_a_gradient_scaled_to_a_norm_is_said_to_be(norm, added):
    params = {"W": 3 * N, "b": LONG}

    def grad(p):
        g = {"W": np.cos(p["W"]) + 3, "b": np.cos(p["b"]) - 2}
        by = norm / (np.sqrt(sum(np.sum(x**2) for x in g.values())) + added)
        return {name: by * x for name, x in g.items()}

    def cost(p):
        return np.sum(np.sin(p["W"]) + 3 * p["W"]) + np.sum(np.sin(p["b"]) - 2 * p["b"])

    (found,) = check_gradients(cost, grad, params).diagnoses
    assert (found.code, found.blocks) == ("factor", ("W", "b"))
    assert found.sentence.endswith(f"x numeric in all of W and b: scaled to a norm of {norm:g}?")


def test_a_factor_whose_norm_is_any_number_is_not():
    assert told(block(0.31713 * N, N)) == ["analytic = 0.31713 x numeric, everywhere in the block"]


# Other parameters

SCALED = {
    "W": drawn((5, 3), seed=21)[0],
    "gain": np.random.default_rng(22).uniform(0.5, 2, 3),
    "log_scale": np.random.default_rng(23).normal(size=(5, 3)) / 2,
    "temperature": np.array(1.371),
}
DATA, _ = drawn((6, 5), seed=24)


def scaled(p):
    weights = p["W"] * np.exp(p["log_scale"])
    return float(np.sum(np.sin(DATA @ weights * p["gain"] * p["temperature"])))


SCALED_GRAD = numerical_gradient(scaled, SCALED, scheme="central6")
BY_OTHERS = [
    (
        lambda g: g / SCALED["gain"],
        "numeric = analytic x gain (one in each column): that factor of the chain rule is missing",
    ),
    (
        lambda g: g * SCALED["gain"],
        "numeric = analytic / gain (one in each column): that factor of the chain rule is once too "
        "many",
    ),
    (
        lambda g: g / np.exp(SCALED["log_scale"]),
        "numeric = analytic x exp(log_scale): that factor of the chain rule is missing",
    ),
    (
        lambda g: g / 1.371,
        "analytic = 0.72939 x numeric, everywhere in the block, which is numeric / temperature",
    ),
    (
        lambda g: g * 1.371,
        "analytic = 1.371 x numeric, everywhere in the block, which is numeric x temperature",
    ),
]


@pytest.mark.parametrize(("wrong", "sentence"), BY_OTHERS, ids=[row[1][:50] for row in BY_OTHERS])
def test_a_factor_that_is_another_parameter_is_named_after_it(wrong, sentence):
    report = check_gradients(scaled, {**SCALED_GRAD, "W": wrong(SCALED_GRAD["W"])}, SCALED)
    assert [d.sentence for d in report.diagnoses] == [sentence]


@pytest.mark.parametrize(
    "by",
    [1.38, SCALED["gain"] * [1, 1, 1.02], np.exp(SCALED["gain"] + 0.1)],
    ids=["number", "column", "exp"],
)
def test_a_factor_that_is_nearly_another_parameter_is_not(by):
    report = check_gradients(scaled, {**SCALED_GRAD, "W": SCALED_GRAD["W"] / by}, SCALED)
    assert not any(name in d.sentence for d in report.diagnoses for name in ("gain", "temperature"))


@pytest.mark.parametrize("tiny_or_huge", [1e-200, 1e200])
def test_a_parameter_whose_square_no_float_has_is_no_factor(tiny_or_huge):
    report = check_gradients(
        lambda p: np.sum(np.sin(p["a"])) + 0 * p["b"],
        lambda p: {"a": 1.371 * np.cos(p["a"]), "b": 0.0},
        {"a": N, "b": tiny_or_huge},
    )
    assert report.diagnoses[0].sentence == "analytic = 1.371 x numeric, everywhere in the block"


def test_names_with_braces_are_printed_as_they_are():
    params = {"a": N, "{b}": np.array(1.371)}
    report = check_gradients(
        lambda p: np.sum(np.sin(p["a"])) * p["{b}"],
        lambda p: {"a": np.cos(p["a"]), "{b}": np.sum(np.sin(p["a"]))},
        params,
    )
    assert report.diagnoses[0].sentence.endswith("numeric / params['{b}']")


def test_of_two_blocks_one_alone_may_be_in_single_precision():
    near = N * (1 + 3e-7 * np.sign(T))
    found = diagnose([block(near.astype(np.float32), N), block(near, N, name="V")])
    assert [d.blocks for d in found.diagnoses if d.code == "float32"] == [("W",)]


def test_a_row_has_no_diagonal():
    n = np.where(np.arange(20) == 0, 2.0, 0.0).reshape(1, 20)
    assert told(block(np.arange(2.0, 22.0).reshape(1, 20), n, error=1e-12)) == [
        "columns 1 to 19: numeric is zero, analytic is not: a mask?"
    ]


def test_a_ratio_of_two_sizes_has_a_name():
    assert named_factor(Fitted(13 / 784, 1e-12), {13: "", 784: ""}) == (Fraction(13, 784), 4.0)
    assert named_factor(Fitted(13 / 784, 1e-12), {784: ""}) is None


@pytest.mark.parametrize("m", [1500, 60000])
def test_one_over_the_number_of_many_samples_has_a_name(m):
    exact = named_factor(Fitted(1 / m, 1e-9 / m), {})
    assert exact is not None
    assert str(exact[0]) == f"1/{m}"
    assert named_factor(Fitted(1 / (m + 0.4), 1e-9 / m), {}) is None
    assert named_factor(Fitted(1 / m, 1e-2 / m), {}) is None


def test_many_entries_of_a_part_are_shown_by_the_first():
    a = changed(N, (np.arange(5), [0, 2, 0, 2, 0]), lambda x: 2 * x)
    a[1, 0] *= 2
    assert told(block(a, N)) == [
        "analytic = 2 x numeric in 6 of 20 entries ([0, 0], [1, 0], [1, 2], …), the rest is right"
    ]


@pytest.mark.parametrize("size", [16, 60])
def test_entries_that_were_never_written_by_no_place(size):
    n = np.random.default_rng(size).normal(size=size)
    a = np.where(np.abs(n) < 0.5, 0.0, n)
    count = np.count_nonzero(a == 0)
    found = diagnose([block(a, n)]).diagnoses
    assert [(d.code, d.sentence) for d in found] == [
        ("zero", f"analytic is zero in {count} of {size} entries, the rest is right")
    ]
    a[np.argmax(a == 0)] = 1e-3
    assert codes(block(a, n)) == []


def test_a_multiple_of_theta_that_nobody_chooses_is_not_laid_to_weight_decay_alone():
    v, m = np.array([0.7, -1.2, 0.4, 1.9]), np.array([0.3, 1.1, -0.6, 0.8])

    def slope(v):  # of sin(m @ v / |v|), the norm being taken for a constant
        return np.cos(m @ v / np.linalg.norm(v)) * m / np.linalg.norm(v)

    (found,) = check_gradients(lambda v: np.sin(m @ v / np.linalg.norm(v)), slope, v).diagnoses
    assert found.code == "theta"
    assert found.sentence.endswith(
        "a multiple of params is in the gradient once too often (weight decay, or the derivative "
        "of a norm?)"
    )


# What func reads beside its parameters

SAMPLES = np.random.default_rng(31).normal(size=(37, 4))
KEEP = 0.65


def with_args(w, x, keep):
    return np.mean(np.sin(x @ w)) / keep


def with_globals(w):
    return np.mean(np.sin(SAMPLES @ w)) / KEEP


def with_closure():
    inputs, keep = SAMPLES.copy(), KEEP
    return lambda w: np.mean(np.sin(inputs @ w)) / keep


class Fit:
    def __init__(self):
        self.x, self.keep, self.unused = SAMPLES, KEEP, np.zeros(37)

    def cost(self, w):
        return self.forward(w).mean() / self.keep

    def forward(self, w):
        return np.sin(self.x @ w)


WEIGHTS = np.array([0.3, -0.8, 1.1, 0.2])
RIGHT = SAMPLES.T @ np.cos(SAMPLES @ WEIGHTS) / 37 / KEEP
READ = [
    (with_args, (SAMPLES, KEEP), "len(x)", "keep"),
    (partial(with_args, x=SAMPLES, keep=KEEP), (), "len(x)", "keep"),
    (with_globals, (), "len(SAMPLES)", "KEEP"),
    (with_closure(), (), "len(inputs)", "keep"),
    (Fit().cost, (), "", "self.keep"),
]


@pytest.mark.parametrize(("cost", "args", "length", "keep"), READ)
def test_a_factor_that_is_a_length_or_a_number_of_the_data_says_so(cost, args, length, keep):
    for by, said, what in ((37, "37", length), (1 / 37, "1/37", length), (KEEP, "13/20", keep)):
        (found,) = check_gradients(cost, lambda *_, by=by: by * RIGHT, WEIGHTS, args=args).diagnoses
        number = "37" if what == length else "0.65"
        note = f" ({number} is {what})" if what else ""
        shown = "0.65" if said == "13/20" else said
        assert found.sentence == f"analytic = {shown} x numeric{note}, everywhere in the block"


def test_a_factor_that_is_no_number_of_the_data_names_none():
    for by in (36, 0.66):
        report = check_gradients(with_globals, by * RIGHT, WEIGHTS)
        assert " is " not in report.diagnoses[0].sentence


def test_what_func_reads_is_looked_at_and_not_called():
    class Loud:
        def __len__(self):
            raise AssertionError("asked")

        __getattr__ = __len__

    loud, huge = Loud(), 10**400
    never = [].pop if loud is None else None

    def cost(w):
        return float(np.sum(w**2)) if huge and loud is not None and never is None else 0.0

    report = check_gradients(cost, lambda w: 6 * w, WEIGHTS)
    assert report.diagnoses[0].sentence == "analytic = 3 x numeric, everywhere in the block"


def test_to_name_some_of_very_many_entries_costs_as_many_bits_as_there_are_choices():
    inside = np.zeros(20_000, dtype=bool)
    inside[[3, 7_777, 12_000]] = True
    assert named(inside, ~inside).cost == pytest.approx(math.log2(math.comb(20_000, 3)), rel=1e-9)


def numbered(count, analytic_of):
    """Return blocks of random numbers, the analytic one made from its number and all numeric."""
    rng = np.random.default_rng(6)
    numeric = [rng.normal(size=(3, 4)) for _ in range(count)]
    return [
        block(analytic_of(k, numeric), numeric[k], name=f"p{k:02}", eps=2.0**-52)
        for k in range(count)
    ]


def causes_of(blocks):
    with np.errstate(all="ignore"):
        return causes(blocks)


def counted(monkeypatch, name):
    """Return a list that grows by one with every call of a function of the causes."""
    calls, function = [], getattr(causes_module, name)
    monkeypatch.setattr(
        causes_module, name, lambda *args, **named: calls.append(args) or function(*args, **named)
    )
    return calls


def test_only_blocks_that_can_be_exchanged_are_compared(monkeypatch):
    compared = counted(monkeypatch, "_of_another")
    many = numbered(60, lambda k, numeric: numeric[k ^ 1] if k < 40 else numeric[k])
    found = causes_of(many)
    assert {cause.names for cause in found} == {
        (f"p{k:02}", f"p{k + 1:02}") for k in range(0, 40, 2)
    }
    assert len(compared) <= 3 * 40  # of all pairs: 40 x 59, thrice


def test_a_block_that_lacks_the_gradient_of_another_is_found_among_many():
    many = numbered(60, lambda k, numeric: numeric[k] - numeric[9] if k == 4 else numeric[k])
    (found,) = causes_of(many)
    assert (found.code, found.names) == ("shared", ("p04",))
    assert "the gradient of p09" in found.told


def test_a_block_of_which_an_entry_is_unknown_is_compared_with_all():
    many = numbered(60, lambda k, numeric: numeric[7] if k == 4 else numeric[k])
    known = np.ones((3, 4), dtype=bool)
    known[0, 1] = False
    many[4] = replace(many[4], known=known)
    (found,) = causes_of(many)
    assert found.told == "analytic of p04 = the numeric gradient of p07"


def test_formulas_are_tried_once_however_many_causes_there_are(monkeypatch):
    tried = counted(monkeypatch, "gains_of")
    found = causes_of(numbered(20, lambda k, numeric: (1.37 + 0.1 * k) * numeric[k]))
    assert [len(cause.names) for cause in found] == [1] * 20
    assert len(tried) <= 20 * 20 * 4  # again for each cause that is chosen: ten times as many


def sample(analytic, numeric, count=12, known=(), **other):
    """Return a block of which `count` entries were drawn, and others as asked; no more is known."""
    n = np.asarray(numeric, dtype=float)
    chosen = np.zeros(n.shape, dtype=bool)
    chosen.ravel()[np.random.default_rng(7).choice(n.size, count, replace=False)] = True
    chosen.ravel()[list(known)] = True
    whole = block(analytic, n, **other)
    return replace(
        whole,
        numeric=np.where(chosen, n, np.nan),
        error=np.where(chosen, whole.error, np.inf),
        known=chosen,
        wrong=whole.wrong & chosen,
        agrees=whole.agrees & chosen,
    )


NUMERIC, OTHER = drawn((20, 30), seed=5)


@pytest.mark.parametrize(
    ("analytic", "sentence"),
    [
        (np.clip(NUMERIC, -0.5, 0.5), "analytic = numeric clipped to [-0.5, 0.5]"),
        (NUMERIC[:, ::-1], "analytic = numeric reversed along axis 1"),
        (2 * NUMERIC, "analytic = 2 x numeric, everywhere in the block"),
        (np.abs(NUMERIC), "analytic = -numeric in all 5 wrong ones of 12 sampled entries"),
        (
            np.where(np.arange(20)[:, np.newaxis] < 10, 0, NUMERIC),
            "analytic is zero in rows 0 to 9: wrong in all 4 sampled there, in none elsewhere",
        ),
        (
            np.where(NUMERIC > 0, 0, NUMERIC),
            "analytic is zero in 291 of 600 entries: wrong in all 7 sampled there, in none "
            "elsewhere",
        ),
        (np.sign(NUMERIC), ""),
        (NUMERIC + OTHER, ""),
    ],
)
def test_a_sample_says_what_holds_of_all_of_it_or_of_the_wrong_ones(analytic, sentence):
    assert told(sample(analytic, NUMERIC)) == [sentence] * bool(sentence)


def test_a_sample_says_of_zeros_how_many_of_those_it_has_can_be_told():
    analytic = np.where(np.arange(20)[:, np.newaxis] < 10, 0, NUMERIC)
    whole = sample(analytic, NUMERIC)
    i = int(np.flatnonzero(whole.wrong)[0])
    error = whole.error.copy()
    error.ravel()[i] = np.inf
    assert "wrong in 3 of 4 sampled there" in told(replace(whole, error=error))[0]


def test_zeros_that_are_right_elsewhere_are_told_of_as_the_wrong_ones_alone():
    numeric = np.where(np.arange(30) < 3, 0, NUMERIC)  # func does not read these columns
    analytic = np.where(np.arange(20)[:, np.newaxis] < 3, 0, numeric)
    whole = sample(analytic, numeric, known=(0, *range(61, 65), *range(90, 93), *range(5, 9)))
    (sentence,) = told(whole)
    assert sentence.startswith("analytic is zero in all ")
    assert sentence.endswith(" sampled entries")


@pytest.mark.parametrize("whole", [True, False])
def test_a_chain_that_error_bars_do_not_tell_from_a_factor_is_none(whole):
    theta, error = 0.03 * OTHER, 0.05 * np.abs(NUMERIC)
    made = block if whole else sample
    numeric = NUMERIC * (1 + 0.02 * OTHER.T.reshape(20, 30))
    blocks = made(-NUMERIC, numeric, theta=theta, error=error)
    assert {diagnosis.code for diagnosis in diagnose([blocks]).diagnoses} == {"factor"}
    chain = made(NUMERIC * np.exp(theta), NUMERIC, theta=theta)
    assert {diagnosis.code for diagnosis in diagnose([chain]).diagnoses} == {"chain"}
