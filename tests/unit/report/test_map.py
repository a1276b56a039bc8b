"""The map of the error in the failure's section, line by line."""

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, compare_gradients
from pytest_gradcheck._report.error_map import MOST_COLUMNS, MOST_ROWS, NOT_FINITE, WRONG, grid_of


def map_of(analytic, reference, **options):
    """Return the lines of the section from the map's legend to the empty line before "worst"."""
    report = compare_gradients(analytic, reference, **options)
    assert report.details() == report.details(unicode=True)
    lines = report.details().splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("error over what"))
    stop = next(i for i, line in enumerate(lines) if line.startswith("worst"))
    assert all(len(line) <= 80 for line in lines[start:stop])
    return lines[start : stop - 1]


def test_a_wrong_row_stands_out():
    reference = np.arange(1.0, 21.0).reshape(4, 5)
    analytic = reference.copy()
    analytic[2] *= 1.5
    assert map_of({"W": analytic, "b": np.ones(3)}, {"W": reference, "b": np.ones(3)}) == [
        "error over what would have passed: · agrees, █ > 10,000",
        "",
        "W (4, 5), 5 of 20 wrong",
        "   0        4",
        "0  ··········",
        "1  ··········",
        "2  ██████████",
        "3  ··········",
    ]


def test_levels_nan_and_a_vector():
    reference = np.ones(6)
    analytic = np.array([1.0, 1 + 5e-7, 1 + 5e-6, 1 + 5e-4, 2.0, np.nan])
    assert map_of(analytic, reference) == [
        "error over what would have passed:",
        "· agrees, ░ > 1, ▒ > 10, ▓ > 100, █ > 10,000, N not finite",
        "",
        "params (6,), 5 of 6 wrong",
        "  0          5",
        "  ··░░▒▒▓▓██NN",
    ]


def test_ascii_alone():
    analytic = np.array([[1.0, 1.5], [1 + 5e-7, np.inf]])
    text = compare_gradients({"Wé": analytic}, {"Wé": np.ones((2, 2))}).details(unicode=False)
    assert text.isascii()
    lines = text.splitlines()
    start = lines.index("W\\xe9 (2, 2), 3 of 4 wrong")
    assert lines[start - 2 : start + 4] == [
        "error over what would have passed: . agrees, - > 1, # > 10,000, N not finite",
        "",
        "W\\xe9 (2, 2), 3 of 4 wrong",
        "   0  1",
        "0  ..##",
        "1  --NN",
    ]


def test_a_large_block_is_pooled_and_nothing_wrong_is_lost():
    reference = np.ones((100, 300))
    analytic = reference.copy()
    analytic[57, 299] = 0
    lines = map_of(analytic, reference)
    assert lines[2:5] == [
        "params (100, 300), 1 of 30,000 wrong",
        "each mark the worst of up to 7 x 5 entries",
        "    0                                                        299",
    ]
    grid = lines[5:]
    assert len(grid) == 15 <= MOST_ROWS
    assert all(len(line) == 4 + 60 <= 4 + MOST_COLUMNS for line in grid)
    assert [i for i, line in enumerate(grid) if "█" in line] == [57 // 7]
    assert grid[57 // 7].endswith("·█")
    assert grid[0].startswith(" 0  ·")
    assert grid[-1].startswith("99  ·")


def test_more_axes_are_flattened_and_it_is_said_how():
    reference = np.ones((2, 2, 3))
    analytic = reference.copy()
    analytic[1, :, 0] = 2
    assert map_of(analytic, reference)[2:] == [
        "params (2, 2, 3), 2 of 12 wrong",
        "rows: axes 0 to 1 flattened (2 x 2 = 4)",
        "   0    2",
        "0  ······",
        "1  ······",
        "2  ██····",
        "3  ██····",
    ]


def test_the_worse_part_of_a_complex_entry_counts():
    reference = np.array([1 + 1j, 2 - 1j, 3 + 2j])
    assert map_of(reference.conj() * [1, 0, 1] + reference * [0, 1, 0], reference)[2:] == [
        "params (3,), 2 of 6 wrong",
        "  0    2",
        "  ██··██",
    ]


def test_one_number_needs_no_map_and_what_agrees_has_none():
    assert "error over" not in compare_gradients(2.0, 3.0).details()
    assert "error over" not in compare_gradients([1.0, 2.0], [1.0, 2.0]).details()


def test_at_most_six_blocks_the_worst_first():
    reference = {f"W{i}": np.ones(2) for i in range(9)}
    analytic = {f"W{i}": np.ones(2) + 10.0 ** (i - 9) * (i > 0) for i in range(9)}
    lines = map_of(analytic, reference, rtol=1e-12)
    assert [line[:2] for line in lines if line.startswith("W")] == [
        f"W{i}" for i in range(8, 2, -1)
    ]
    assert lines[-1] == "and 2 more blocks without a map"


def test_what_was_not_differenced_is_blank():
    theta = np.arange(1.0, 401.0)

    def wrong(t):
        gradient = 3 * t**2
        gradient[:200] *= 2
        return gradient

    report = check_gradients(
        lambda t: float(np.sum(t**3)), wrong, theta, max_evals=200, scheme="central4"
    )
    assert 0 < report.checked < report.size
    evidence = report.evidence
    assert evidence.evaluated.sum() == report.checked
    grid = grid_of(evidence, evidence.blocks[0], 1, 400)
    assert not grid.kind[0, ~evidence.evaluated].any()
    assert (grid.kind[0, evidence.verdict == 1] == WRONG).all()
    assert "blank not differenced" in report.details()


@pytest.mark.parametrize("shape", [(1, 1), (3, 0), (0,), (1,), (65,), (17, 1), (1, 65)])
def test_odd_shapes(shape):
    reference = {"a": np.ones(shape), "b": np.array([1.0, 2.0])}
    analytic = {"a": np.ones(shape) + 1, "b": np.array([1.0, 1.0])}
    lines = compare_gradients(analytic, reference).details().splitlines()
    size = np.prod(shape)
    # A block of one entry needs no map, and one of none has nothing wrong.
    assert (f"a {shape}, {size} of {size} wrong" in lines) == (size > 1)
    assert "b (2,), 1 of 2 wrong" in lines


def test_the_grid_holds_infinity_where_analytic_is_not_finite():
    report = compare_gradients(np.array([np.nan, np.inf, 1.0]), np.ones(3))
    grid = grid_of(report.evidence, report.evidence.blocks[0], 4, 4)
    assert grid.kind.tolist() == [[NOT_FINITE, NOT_FINITE, 1]]
    assert grid.ratio.tolist() == [[np.inf, np.inf, 0.0]]
