"""Sparse Jacobians: groups of columns, how many evaluations they take, and what is named."""

import numpy as np
import pytest

from pytest_gradcheck import assert_jacobian_close, check_jacobian
from pytest_gradcheck._jacobian import coloring_and_combinations
from pytest_gradcheck._jacobian.coloring_and_combinations import column_groups

sparse = pytest.importorskip("scipy.sparse")
pytestmark = pytest.mark.extra("scipy")

N, WIDTH = 150, 2
X = np.random.default_rng(5).normal(size=N)


def band(x, n=N):
    """Each output reads five neighbours, each through a func of its own."""
    y = np.pad(x, WIDTH)
    return sum((k + 1.7) * np.sin(y[k : k + n] * (1 + 0.2 * k)) for k in range(2 * WIDTH + 1))


def d_band(x, n=N):
    y, offsets = np.pad(x, WIDTH), range(-WIDTH, WIDTH + 1)
    each = [
        (k + 1.7) * (1 + 0.2 * k) * np.cos(y[k : k + n] * (1 + 0.2 * k))
        for k in range(2 * WIDTH + 1)
    ]
    diagonals = [v[max(-k, 0) : n - max(k, 0)] for k, v in zip(offsets, each, strict=True)]
    return sparse.diags(diagonals, list(offsets)).tolil()


def without(*places):
    matrix = d_band(X)
    for place in places:
        matrix[place] = 0
    return matrix.tocsr()


def labels(report):
    return {entry.label for entry in report.worst if entry.verdict == "disagree"}


@pytest.mark.parametrize("n", [60, 400])
def test_a_band_takes_two_evaluations_for_each_entry_of_a_row(n):
    x = np.random.default_rng(n).normal(size=n)
    calls = 0

    def func(x):
        nonlocal calls
        calls += 1
        return band(x, n)

    report = assert_jacobian_close(func, lambda x: d_band(x, n).tocsr(), x)
    assert report.evaluations == calls
    assert calls <= 2 * (2 * WIDTH + 1) + 25
    assert f"{5 * n - 6:,} entries in 5 groups of columns that no output shares" in report.patterns


def test_no_two_columns_of_a_group_share_a_row():
    pattern = sparse.random(40, 70, 0.04, random_state=3, format="coo")
    groups = column_groups(pattern.row, pattern.col, 70)
    dense = pattern.toarray() != 0
    for group in range(groups.max() + 1):
        assert dense[:, groups == group].sum(axis=1).max() <= 1
    rows, columns = np.nonzero(np.tri(9, k=2) - np.tri(9, k=-3))
    assert column_groups(rows, columns, 9).tolist() == [0, 1, 2, 3, 4, 0, 1, 2, 3]


@pytest.mark.parametrize(
    "places",
    [
        [(17, 18)],
        [(3, 1), (80, 80), (149, 148)],
        [(k, k + 2) for k in range(N - 2)],  # each in a group with another entry of its row
    ],
)
def test_forgotten_entries_are_named_and_no_others(places):
    report = check_jacobian(band, without(*places), X)
    assert labels(report) == {f"output[{i}] / params[{j}]" for i, j in places}
    assert report.open == 0
    assert report.evaluations <= 200
    right = {(entry.index, entry.numeric) for entry in report.worst}
    exact = d_band(X).toarray()
    assert all(abs(value - exact[index]) <= 1e-5 * abs(value) for index, value in right)


def test_several_forgotten_entries_of_a_row_in_one_group():
    report = check_jacobian(band, sparse.diags(d_band(X).diagonal()).tocsr(), X)
    assert report.verdict == "disagree"
    found = labels(report)
    exact = d_band(X).toarray() - np.diag(d_band(X).diagonal())
    assert len(found) >= 3
    assert found <= {f"output[{i}] / params[{j}]" for i, j in np.argwhere(exact).tolist()}


def test_wrong_entries_are_named_and_a_doubled_matrix_is_all_wrong():
    matrix = d_band(X)
    matrix[70, 71] *= 1 + 1e-4
    assert labels(check_jacobian(band, matrix.tocsr(), X)) == {"output[70] / params[71]"}
    doubled = check_jacobian(band, 2 * d_band(X).tocsr(), X)
    assert doubled.wrong == 5 * N - 6
    assert doubled.evaluations <= 250
    assert doubled.blocks[0].hint == "analytic = 2 x numeric, everywhere in the block"
    mirrored = check_jacobian(band, d_band(X).T.tocsr(), X)
    assert mirrored.blocks[0].hint == "analytic = the transpose of numeric"


def test_of_a_large_matrix_only_what_is_stored_is_in_the_report(monkeypatch):
    monkeypatch.setattr(coloring_and_combinations, "MOST_WHOLE", 10_000)
    n = 120
    x = np.random.default_rng(1).normal(size=n)
    matrix = d_band(x, n)
    matrix[60, 60] = 0
    matrix[20, 21] *= -1
    report = check_jacobian(lambda x: band(x, n), matrix.tocsr(), x)
    assert labels(report) == {"output[60] / params[60]", "output[20] / params[21]"}
    assert report.checked == 5 * n - 6
    assert report.blocks[0].shape == (n, n)
    assert "entry" not in {one.code for one in report.diagnoses}
    # Two entries that are stored twice are one.
    coo = d_band(x, n).tocoo()
    twice = sparse.coo_matrix(
        (np.tile(coo.data / 2, 2), (np.tile(coo.row, 2), np.tile(coo.col, 2))), shape=coo.shape
    )
    assert check_jacobian(lambda x: band(x, n), twice, x).ok


def test_blocks_of_parameters_and_outputs_and_what_is_left_out():
    a, b = X[:60], X[60:120]

    def func(p):
        return {"u": p["a"] ** 2 * p["b"], "v": np.sin(p["b"])}

    def jac(p):
        sizes = [[2 * p["a"] * p["b"], p["a"] ** 2], [0 * p["a"], np.cos(p["b"])]]
        return sparse.bmat([[sparse.diags(one) for one in row] for row in sizes]).tolil()

    params = {"a": a, "b": b}
    report = assert_jacobian_close(func, lambda p: jac(p).tocsr(), params)
    assert report.evaluations <= 30
    assert [block.name for block in report.blocks] == ["u / a", "u / b", "v / a", "v / b"]

    def wrong(p):
        matrix = jac(p)
        matrix[3, 63] *= 1.5
        return matrix.tocsr()

    assert labels(check_jacobian(func, wrong, params)) == {"u[3] / b[3]"}
    assert check_jacobian(func, wrong, params, skip="b").ok


def test_a_value_between_the_slopes_of_a_kink_passes_and_one_outside_does_not():
    x = X[:50].copy()
    x[7] = 0.0

    def func(x):
        return np.maximum(x, 0.0) + 0.5 * np.roll(x, -1)

    def jac(x, at_zero):
        own = np.where(x == 0, at_zero, x > 0)
        return sparse.diags([own, np.full(49, 0.5), [0.5]], [0, 1, -49]).tocsr()

    assert check_jacobian(func, lambda x: jac(x, 0.25), x).kinks == 1
    assert labels(check_jacobian(func, lambda x: jac(x, 3.0), x)) == {"output[7] / params[7]"}


def test_nan_and_a_matrix_that_does_not_repeat_itself():
    matrix = d_band(X)
    matrix[5, 5] = np.nan
    assert labels(check_jacobian(band, matrix.tocsr(), X)) == {"output[5] / params[5]"}
    factors = iter((1.0, 1.001))
    report = check_jacobian(band, lambda x: next(factors) * d_band(x).tocsr(), X)
    assert report.message().startswith("jac does not repeat itself: output[")


def test_workers_give_the_same_bits():
    alone, together = (
        check_jacobian(band, lambda x: d_band(x).tocsr(), X, workers=count) for count in (1, 2)
    )
    assert alone.evaluations == together.evaluations
    assert np.array_equal(alone.evidence.numeric, together.evidence.numeric)


@pytest.mark.parametrize("max_evals", [30, 45, 60])
def test_too_few_evaluations_blame_nothing_that_is_right(max_evals):
    assert check_jacobian(band, d_band(X).tocsr(), X, max_evals=max_evals).verdict != "disagree"
    report = check_jacobian(
        band, without(*((k, k + 2) for k in range(N - 2))), X, max_evals=max_evals
    )
    assert report.verdict != "agree"
    assert report.evaluations <= max_evals
    assert labels(report) <= {f"output[{k}] / params[{k + 2}]" for k in range(N - 2)}


def test_func_gets_its_own_parameters_back_bit_for_bit():
    x = X.copy()
    seen = []

    def func(x):
        seen.append(np.count_nonzero(x != X))
        return band(x)

    check_jacobian(func, without((4, 5)), x)
    assert np.array_equal(x, X)
    assert max(seen) == N
    assert 0 < min(count for count in seen if count) <= N // 5


def test_outputs_of_a_shape_and_an_explicit_zero():
    def func(x):
        return (x**2).reshape(10, 5)

    matrix = sparse.diags(2 * X[:50]).tocsr()
    matrix.data[4] = 0.0
    assert labels(check_jacobian(func, matrix, X[:50])) == {"output[0, 4] / params[4]"}
