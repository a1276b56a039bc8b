"""What pictures are drawn from, and `GradientReport.plot`."""

import json
import subprocess
import sys
import time
from html import escape

import numpy as np
import pytest
from pages import Reader

from pytest_gradcheck import check_gradients, compare_gradients
from pytest_gradcheck._constants import MOST_STUBBORN
from pytest_gradcheck._report.assemble import MOST_LADDERS
from pytest_gradcheck._report.pictures_and_page import MOST_CELLS, MOST_POINTS, picture_of

matplotlib = pytest.importorskip("matplotlib")


def cost(params):
    return float(sum(np.sum(np.tanh(value)) for value in params.values()))


def slopes(params):
    return {name: 1 - np.tanh(value) ** 2 for name, value in params.items()}


def wrong(params):
    gradient = slopes(params)
    gradient["W"][1] *= 1.5
    return gradient


PARAMS = {"W": np.linspace(-1, 1, 12).reshape(3, 4), "b": np.linspace(0.1, 1, 3)}


@pytest.fixture
def report():
    return check_gradients(cost, wrong, PARAMS)


# Ladders


def test_ladders_are_what_the_engine_saw_and_every_evaluation_is_counted(report):
    seen = []

    def counted(params):
        seen.append(1)
        return cost(params)

    again = check_gradients(counted, wrong, PARAMS)
    assert again.evaluations == len(seen) == report.evaluations
    evidence = report.evidence
    assert set(evidence.ladders) == set(np.flatnonzero(evidence.verdict == 1).tolist())
    for i, steps in evidence.ladders.items():
        h = [step for step, _ in steps]
        assert h == sorted(h, reverse=True)
        assert len(steps) >= 2
        # Some rung is close to the numeric value, far from the analytic one.
        _, near = min(steps, key=lambda pair: abs(pair[1] - evidence.numeric[i]))
        assert abs(near - evidence.numeric[i]) < 1e-6 < abs(near - evidence.analytic[i])


def errors_of_the_worst(report):
    """Return steps, largest first, and by how much each difference is off."""
    evidence = report.evidence
    (worst,) = (i for i, steps in evidence.ladders.items() if len(steps) > 8)
    steps, values = np.array(evidence.ladders[worst]).T
    return worst, steps, np.abs(values - evidence.numeric[worst])


def test_the_worst_parameter_has_steps_enough_to_show_truncation_and_rounding(report):
    worst, steps, error = errors_of_the_worst(report)
    labels = [f"W[{i}, {j}]" for i in range(3) for j in range(4)]
    assert labels[worst] == report.worst[0].label
    assert steps[0] / steps[-1] > 1e8
    valley = int(np.argmin(error))
    assert 2 <= valley <= len(steps) - 4
    assert error[0] > 1e3 * error[valley]
    assert error[-1] > 1e3 * error[valley]
    # Truncation of central differences is of second order.
    order = np.log(error[0] / error[1]) / np.log(steps[0] / steps[1])
    assert order == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize(
    "options", [{"max_evals": 400}, {"eps": 1e-5}, {"scheme": "central4"}], ids=str
)
def test_where_evaluations_are_promised_none_is_made_for_a_picture(options):
    report = check_gradients(cost, wrong, PARAMS, **options)
    assert report.wrong == 4
    assert all(len(steps) < 8 for steps in report.evidence.ladders.values())


@pytest.mark.usefixtures("real_clock")
def test_a_slow_func_is_not_asked_for_a_picture():
    def slow(params):
        time.sleep(0.05)
        return float(np.sum(np.tanh(params)))

    report = check_gradients(slow, lambda p: 2 * (1 - np.tanh(p) ** 2), np.array([0.7]))
    assert report.wrong == 1
    assert all(len(steps) < 8 for steps in report.evidence.ladders.values())


@pytest.mark.parametrize("in_place", [False, True])
def test_a_func_that_fails_at_large_steps_only_costs_points(in_place):
    theta = np.array([0.7, 0.4])
    before = theta.copy()

    def fragile(params):
        if np.abs(params - before).max() > 1e-3:
            raise RuntimeError("the solver diverged")
        return float(np.sum(np.tanh(params)))

    report = check_gradients(
        (lambda: fragile(theta)) if in_place else fragile,
        (lambda: 2 * (1 - np.tanh(theta) ** 2)) if in_place else lambda p: 2 - 2 * np.tanh(p) ** 2,
        theta,
        in_place=in_place,
    )
    assert report.wrong == 2
    assert theta.tobytes() == before.tobytes()
    steps = max(report.evidence.ladders.values(), key=len)
    assert len(steps) > 8
    assert max(h for h, _ in steps) < 1e-3


def test_a_right_gradient_costs_nothing_more_and_has_no_ladder():
    report = check_gradients(cost, slopes, PARAMS)
    assert not report.evidence.ladders
    assert report.evaluations <= 2 * 15 + 10


def ever_more_wrong(count):
    theta = np.linspace(0.5, 2, count)
    factor = 1 + np.linspace(0, 1e-2, count)
    return check_gradients(lambda t: float(np.sum(t**3)), lambda t: 3 * t**2 * factor, theta)


def test_of_many_wrong_entries_some_have_ladders_and_the_worst_is_among_them():
    report = ever_more_wrong(MOST_STUBBORN + 8)
    assert report.wrong == MOST_STUBBORN + 7
    kept = list(report.evidence.ladders)
    worst = [entry.index[0] for entry in report.worst]
    assert kept[0] == worst[0]
    assert kept == [i for i in worst if i in kept]
    assert len(kept) == MOST_LADDERS


def test_the_worst_ladders_are_kept_and_those_of_what_agrees_are_not():
    report = ever_more_wrong(30)
    worst = [entry.index[0] for entry in report.worst[:MOST_LADDERS]]
    assert list(report.evidence.ladders) == worst
    assert len(worst) == MOST_LADDERS
    assert not check_gradients(cost, slopes, PARAMS).evidence.ladders


def test_one_sided_differences_where_there_are_no_others():
    report = check_gradients(
        lambda t: float(np.sum(np.sqrt(t) * t)), lambda t: 3 * np.sqrt(t) + 1, np.zeros(2)
    )
    assert report.wrong == 2
    assert all(np.isfinite(steps).all() for steps in report.evidence.ladders.values())
    assert report.evidence.ladders


def test_open_coordinates_have_ladders():
    report = check_gradients(
        lambda w: np.float32(np.sum(np.log(w))), lambda w: 1 / w, np.array([1.0, 2.0]), rtol=1e-7
    )
    assert report.open
    assert set(report.evidence.ladders) <= set(
        np.flatnonzero(report.evidence.verdict == 2).tolist()
    )
    assert report.evidence.ladders


# The picture


def test_it_is_small_strict_json_of_builtins(report):
    picture = picture_of(report)
    assert json.loads(json.dumps(picture, allow_nan=False)) == picture
    (grid,) = picture["maps"]
    assert grid["name"] == "W"
    assert grid["kind"] == [[1] * 4, [3] * 4, [1] * 4]
    assert [row[0] is None for row in grid["power"]] == [True, False, True]
    assert grid["power"][1][0] > 5
    assert picture["points"]["verdict"].count("disagree") == report.wrong == 4
    assert len(picture["points"]["analytic"]) == picture["size"] == 15
    assert [ladder["label"][:3] for ladder in picture["ladders"]] == ["W[1"] * 4


def test_it_is_bounded():
    reference = {f"W{i}": np.ones((130, 70)) for i in range(8)}
    picture = picture_of(compare_gradients({k: v * 2 for k, v in reference.items()}, reference))
    assert len(picture["maps"]) == 6
    assert picture["undrawn"] == 2
    for grid in picture["maps"]:
        assert len(grid["kind"]) <= MOST_CELLS
        assert len(grid["kind"][0]) <= MOST_CELLS
        assert grid["pooled"] == "the worst of up to 3 x 2 entries"
    assert len(picture["points"]["analytic"]) <= MOST_POINTS


def test_not_finite_and_long_names():
    name = "\ud800" + "L" * 5000
    report = compare_gradients(
        {name: np.array([np.nan, np.inf, 3.0])}, {name: np.array([1.0, 2.0, 3.0])}
    )
    picture = picture_of(report)
    text = json.dumps(picture, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert len(text) < 2000
    assert picture["points"]["analytic"] == [3.0]
    assert picture["maps"][0]["kind"] == [[4, 4, 1]]


def test_a_check_along_directions_has_what_was_located():
    theta = np.linspace(-1, 1, 4000)

    def off(t):
        gradient = 1 - np.tanh(t) ** 2
        gradient[7] *= 1.1
        return gradient

    report = check_gradients(lambda t: float(np.sum(np.tanh(t))), off, theta)
    assert report.directions
    picture = picture_of(report)
    assert picture["maps"] == picture["ladders"] == []
    assert picture["bars"] == [{"name": "params", "wrong": 1, "size": 4000}]
    assert picture["points"]["verdict"] == ["disagree"]
    assert len(report.plot().axes) == 2


# plot


def test_plot_draws_maps_scatter_and_convergence(report, tmp_path):
    figure = report.plot()
    assert isinstance(figure, matplotlib.figure.Figure)
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles == [
        "W (3, 4): 4 of 12 wrong",
        "analytic against numeric, 15 of 15 parameters",
        "error of differences by their step size; dotted: of the\nanalytic value",
    ]
    (image,) = figure.axes[0].images
    colours = np.asarray(image.get_array())
    assert colours.shape == (3, 4, 4)
    assert (colours[0] == colours[2]).all()
    assert (colours[1] != colours[0]).any(axis=-1).all()
    for suffix in ("png", "svg", "pdf"):
        figure.savefig(tmp_path / f"bug.{suffix}")
        assert (tmp_path / f"bug.{suffix}").stat().st_size > 1000


def test_plot_is_titled_with_the_hint(report):
    assert report.plot().get_suptitle() == f"cost: {report.message().splitlines()[0]}"
    assert report.plot().get_suptitle() == "cost: W is 3/2 x numeric in row 1 (4 of 12 wrong)"
    figure = check_gradients(cost, slopes, PARAMS).plot()
    assert figure.get_suptitle() == "cost: 15 of 15 parameters agree"


@pytest.mark.parametrize("size", [3, 30, 900])
def test_a_vector_is_a_strip_and_not_a_slab(size):
    theta = np.linspace(0.5, 1, size)
    figure = check_gradients(lambda t: float(np.sum(t**3)), lambda t: 3.3 * t**2, theta).plot()
    width, height = figure.get_size_inches() * figure.axes[0].get_position().size
    assert height < 0.4
    assert width >= 0.9
    assert figure.axes[0].get_title(loc="left").startswith(f"params ({size},)")


def test_panels_do_not_lie_on_each_other_nor_reach_out():
    report = check_gradients(
        cost,
        lambda p: {name: 2 * value for name, value in slopes(p).items()},
        {"W": np.ones((5, 60)), "b": np.ones(3), "c": np.ones((2, 2, 7))},
    )
    figure = report.plot()
    figure.canvas.draw()
    boxes = [axes.get_tightbbox() for axes in figure.axes]
    for k, box in enumerate(boxes):
        assert box.x0 >= 0
        assert box.y0 >= 0
        assert box.x1 <= figure.bbox.x1
        assert box.y1 <= figure.bbox.y1
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_plot_takes_names_as_they_are(tmp_path):
    # Not mathematics, not hidden by an underscore, not markup.
    name = "_$x^$<&\\"
    params = {name: np.ones(3), "日本": np.ones(2)}
    report = check_gradients(
        lambda p: float(sum(np.sum(v**2) for v in p.values())),
        lambda p: {key: 3 * value for key, value in p.items()},
        params,
    )
    figure = report.plot()
    assert figure.axes[0].get_title(loc="left").startswith(report.blocks[0].name)
    legend = figure.axes[-1].get_legend()
    found = {text.get_text() for text in legend.get_texts()}
    assert found == {entry.label for entry in report.worst}
    from pytest_gradcheck._report.pictures_and_page import svgs_of

    svgs = svgs_of(picture_of(report), "p1")
    assert len(svgs) == 4
    assert all("<script" not in svg and "currentColor" in svg for _, svg in svgs)
    assert all('id="p1-' in svg and 'aria-label="' in svg for _, svg in svgs)
    assert "<&" not in "".join(svg for _, svg in svgs)


def test_drawing_changes_nothing_of_matplotlib(report):
    before = dict(matplotlib.rcParams)
    report.plot()
    assert dict(matplotlib.rcParams) == before
    code = (
        "import sys, numpy as np\n"
        "from pytest_gradcheck import compare_gradients\n"
        "compare_gradients(np.array([1.0, 2.0]), np.array([1.0, 3.0])).plot()\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "False", done.stderr


def test_plot_of_what_agrees_is_the_scatter():
    figure = check_gradients(cost, slopes, PARAMS).plot()
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "analytic against numeric, 15 of 15 parameters"
    ]


def test_nothing_to_plot_is_said():
    calls = iter(range(100))
    report = check_gradients(lambda p: float(next(calls)), lambda p: p, np.ones(2))
    with pytest.raises(ValueError) as caught:
        report.plot()
    assert str(caught.value) == (
        "there is nothing to plot: no parameter was differenced, or none is known that is wrong"
    )


def test_without_matplotlib_the_line_that_installs_it_is_named(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ImportError) as caught:
        report.plot()
    assert str(caught.value) == (
        "matplotlib is not installed: pip install 'pytest-gradcheck[html]'"
    )


@pytest.mark.parametrize("scale", [1.0, 1e-300, 1e140])
def test_extreme_numbers_can_be_drawn(scale, tmp_path):
    reference = np.array([0.0, 1e-8, 1.0, -3.0, 1e5]) * scale
    compare_gradients(reference * [1, 2, 1, -1, 1], reference).plot().savefig(tmp_path / "a.png")
    compare_gradients(np.zeros(3), np.array([0.0, 0.0, scale])).plot().savefig(tmp_path / "b.png")
    assert (tmp_path / "b.png").exists()


# In a notebook


def test_a_notebook_shows_the_text_of_the_failure_and_the_pictures(report):
    shown = report._repr_html_()
    page = Reader(shown)
    assert f"<pre>{escape(report.message())}</pre>" in shown
    assert page.count("svg") == page.count("figure") == 3
    assert "\u25a0</span> can&#x27;t be told" in shown
    assert len(page.ids) == len(set(page.ids))
    assert "<script" not in shown
    assert shown == report._repr_html_()


def test_two_reports_on_one_page_do_not_share_ids(report):
    other = check_gradients(cost, slopes, PARAMS)
    page = Reader(f"<div>{report._repr_html_()}{other._repr_html_()}</div>")
    assert len(page.ids) == len(set(page.ids))


def test_a_notebook_without_matplotlib_has_the_maps_as_text(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    shown = report._repr_html_()
    page = Reader(shown)
    assert page.count("svg") == 0
    assert "1  \u2588\u2588" in shown
    assert "pip install" in shown


def test_a_notebook_takes_names_as_text_and_what_could_not_be_checked():
    name = "<img src=x onerror=alert(1)>"
    report = compare_gradients({name: np.array([1.0, 2.0])}, {name: np.array([1.0, 3.0])})
    assert "<img" not in report._repr_html_()
    calls = iter(range(100))
    report = check_gradients(lambda p: float(next(calls)), lambda p: p, np.ones(2))
    shown = report._repr_html_()
    assert report.reasons[0][:40] in shown
    assert Reader(shown).count("figure") == 0


def test_a_notebook_shows_every_block_of_a_right_gradient():
    report = check_gradients(cost, slopes, PARAMS)
    shown = report._repr_html_()
    assert f"<pre>{escape(report.details())}</pre>" in shown
    assert Reader(shown).count("figure") == 1
