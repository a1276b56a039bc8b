"""The pictures of a check, and a page of all checks of a run: what the extra `html` is for.

What pictures are drawn from is small, and builtins alone: it is made in the process that ran the
check, because the evidence stays there, and drawn elsewhere, for the page, for pytest-html, and
for `GradientReport.plot`.  Each is drawn on axes that it is given, with matplotlib's objects
alone: no pyplot, no figure that anybody else could see, no settings changed.

The page needs nothing else: no network, no other file.  Everything that a test can name goes
through Jinja's escaping, or, in pictures, matplotlib's; the page's policy allows no script but
its own, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import textwrap
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from importlib.resources import files
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import __version__
from .._params.arrays_and_structure import Array
from .._params.layout import Block, labels, position_of
from .._quoting import columns, listing, one_digit, printable, shown
from .._verdict.tolerance_and_comparison import Evidence
from .error_map import BLANK, MOST_MAPS, NOT_FINITE, OPEN, WRONG, counts_of, drawn, grid_of, maps_of
from .message import finding
from .report import VERDICTS, GradientReport

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CELLS = 64  # rows, and columns, of a map
MOST_POINTS = 500
# Of the points, so many at most are wrong or open; the others show what right ones look like.
MOST_TOLD = 300
MOST_BARS = 30
MANY_STEPS = 6
NAME_IN_LEGEND = 24
TOP = 0.1  # inches above the axes
LETTER = 0.078  # width of a letter of a name, in inches
NEEDED = "matplotlib is not installed: pip install 'pytest-gradcheck[html]'"
# Inches: between pictures, of a line of text, of the colours' key.
GAP, LINE, KEY_WIDTH, KEY_HEIGHT = 0.25, 0.16, 6.5, 0.55
TITLE_LETTER = 0.062  # width of a letter of a panel's title, in inches


def picture_of(report: GradientReport) -> dict[str, Any]:
    """Return what the pictures of a check are drawn from: builtins, no float that is not finite."""
    # "maps": blocks with something wrong or open, the worst first, each with its "kind" (rows of
    # cells, as in `error_map`) and "power" (rows of log10 of the error over what would have passed,
    # None where that is unknown); "undrawn": how many more such blocks there are. "points":
    # "analytic", "numeric" and "verdict", of at most 500 parameters of "size". "ladders": "label",
    # "analytic", "numeric" and "steps", pairs of step and difference. "bars": "name", "wrong" and
    # "size" of blocks, where parameters were checked along directions and so have no map. "title":
    # func's name and what was found.
    evidence = report.evidence
    picture = {"title": title_of(report), "size": int(report.size)}
    if evidence is None:
        bars = [
            {"name": shown(block.name), "wrong": int(block.wrong), "size": int(block.size)}
            for block in sorted(report.blocks, key=lambda block: -block.wrong)[:MOST_BARS]
            if block.wrong
        ]
        points = _points_of_entries(report)
        return {**picture, "maps": [], "undrawn": 0, "points": points, "ladders": [], "bars": bars}
    found = drawn(report)
    return {
        **picture,
        "maps": [_map(evidence, block) for block in found[:MOST_MAPS]],
        "undrawn": max(len(found) - MOST_MAPS, 0),
        "points": _points(evidence),
        "ladders": _ladders(evidence),
        "bars": [],
    }


def title_of(report: GradientReport) -> str:
    """Return func's name, and the failure's first line, or how many parameters agree."""
    said = finding(report)[1] or f"{report.checked:,} of {report.size:,} parameters agree"
    name = shown(report.name.rpartition("<locals>.")[2], 40)
    return f"{name}: {said}" if name else said


def _map(evidence: Evidence, block: Block) -> dict[str, Any]:
    grid = grid_of(evidence, block, MOST_CELLS, MOST_CELLS)
    known = (grid.kind == WRONG) & np.isfinite(grid.ratio)
    powers = np.full(known.shape, None, dtype=object)
    powers[known] = np.round(np.log10(grid.ratio[known]), 2)
    return {
        "name": shown(block.name),
        "shape": str(block.shape),
        "rows": grid.rows,
        "columns": grid.columns,
        "folded": grid.folded,
        "pooled": grid.pooled,
        "counts": counts_of(evidence, block),
        "kind": grid.kind.tolist(),
        "power": powers.tolist(),
    }


def _points(evidence: Evidence) -> dict[str, list[Any]]:
    finite = np.isfinite(evidence.analytic) & np.isfinite(evidence.numeric) & evidence.evaluated
    told = np.flatnonzero(finite & (evidence.verdict > 0))
    fine = np.flatnonzero(finite & (evidence.verdict == 0))
    told = _spread(told, MOST_TOLD)
    chosen = np.concatenate([_spread(fine, MOST_POINTS - told.size), told])
    return {
        "analytic": list(map(float, evidence.analytic[chosen])),
        "numeric": list(map(float, evidence.numeric[chosen])),
        "verdict": [VERDICTS[int(verdict)] for verdict in evidence.verdict[chosen]],
    }


def _points_of_entries(report: GradientReport) -> dict[str, list[Any]]:
    entries = [e for e in report.worst if math.isfinite(e.analytic) and math.isfinite(e.numeric)]
    names = ("analytic", "numeric", "verdict")
    return {name: [getattr(entry, name) for entry in entries[:MOST_POINTS]] for name in names}


def _spread(places: Array, most: int) -> Array:
    """Return at most so many of the places, evenly spread."""
    if places.size <= most:
        return places
    return places[np.arange(most) * places.size // most]


def _ladders(evidence: Evidence) -> list[dict[str, Any]]:
    label = labels(evidence.blocks)
    found: list[dict[str, Any]] = []
    for i, steps in evidence.ladders.items():
        # A name may be shortened, an index never.
        name = evidence.blocks[position_of(evidence.blocks, i)].name
        a, n = float(evidence.analytic[i]), float(evidence.numeric[i])
        if len(steps) > 1 and math.isfinite(a) and math.isfinite(n):
            found.append(
                {
                    "label": shown(name, NAME_IN_LEGEND) + label(i)[len(name) :],
                    "analytic": a,
                    "numeric": n,
                    "steps": [[float(h), float(value)] for h, value in steps],
                }
            )
    return found


# Of lines and text. No other colour has these values, so that a page can exchange them.
INK, FAINT = "#111213", "#787776"
COLOURS = {"agree": "#8a93a0", "disagree": "#d1242f", "inconclusive": "#3c7dd9"}
MARKERS = {"agree": "o", "disagree": "X", "inconclusive": "s"}
# Colours of an error of 1, 1e2, 1e4, 1e6 times what would have passed, and between.
WRONGEST = (
    (0.99, 0.78, 0.36, 1.0), (0.96, 0.48, 0.18, 1.0), (0.85, 0.13, 0.20, 1.0),
    (0.58, 0.04, 0.42, 1.0),
)  # fmt: skip
AGREEING = (0.54, 0.60, 0.66, 0.28)
UNTOLD = (0.24, 0.49, 0.85, 0.85)
UNDEFINED = (0.05, 0.05, 0.06, 1.0)

# What a cell's colour means.
COLOURS_OF_MAPS = (
    ("agrees", AGREEING),
    *((f"{power} x what passes", colour)
      for power, colour in zip(("1", "1e2", "1e4", "1e6"), WRONGEST, strict=True)),
    ("can't be told", UNTOLD),
    ("not finite", UNDEFINED),
)  # fmt: skip

# Of the convergence of one parameter each, told apart on light and on dark ground.
LINES = (
    "#3c7dd9", "#e0772f", "#2a9d6f", "#c4407f", "#8a6fd1", "#b08a1e", "#3fa3b5", "#d1242f",
)  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """One picture: its title, its size and the room beside it in inches, and what draws it."""

    title: str
    width: float
    height: float
    left: float
    right: float
    bottom: float
    draw: Callable[[Axes], None]

    @property
    def size(self) -> tuple[float, float]:
        """Width and height of the whole, in inches."""
        return self.left + self.width + self.right, TOP + self.height + self.bottom

    @property
    def place(self) -> tuple[float, float, float, float]:
        """Where the axes are: left, bottom, width and height in parts of the whole."""
        width, height = self.size
        return self.left / width, self.bottom / height, self.width / width, self.height / height


def panels(picture: dict[str, Any]) -> Iterator[Panel]:
    """Yield the pictures of a check, each to be drawn on axes of its own."""
    for grid in picture["maps"]:
        rows, columns = len(grid["kind"]), len(grid["kind"][0])
        cell = min(3.6 / columns, 2.6 / rows, 0.32)
        # Not too small to be seen.
        width, height = max(cell * columns, 1.0), max(cell * rows, 0.3)
        draw = partial(_draw_map, grid=grid)
        yield Panel(map_title(grid), width, height, 0.45, 0.15, 0.28, draw)
    if picture["bars"]:
        left = 0.2 + LETTER * max(len(bar["name"]) for bar in picture["bars"])
        draw = partial(_draw_bars, bars=picture["bars"])
        height = 0.22 * len(picture["bars"])
        yield Panel("share of each block that is wrong", 3.0, height, left, 0.2, 0.5, draw)
    if picture["points"]["analytic"]:
        count, size = len(picture["points"]["analytic"]), picture["size"]
        told = f"analytic against numeric, {count:,} of {size:,} parameters"
        draw = partial(_draw_points, points=picture["points"])
        yield Panel(told, 2.9, 2.6, 0.75, 0.15, 0.5, draw)
    if picture["ladders"]:
        told = "error of differences by their step size; dotted: of the analytic value"
        below = 0.55 + 0.16 * -(-len(picture["ladders"]) // _columns(picture["ladders"]))
        draw = partial(_draw_ladders, ladders=picture["ladders"])
        yield Panel(told, 3.5, 2.3, 0.75, 0.2, below, draw)


def map_title(grid: dict[str, Any]) -> str:
    """Return a map's title: the block, its shape, how much of it is wrong, what a cell is."""
    cells = f"a cell is {grid['pooled']}" if grid["pooled"] else ""
    notes = [note for note in (grid["folded"], cells) if note]
    return "; ".join([f"{grid['name']} {grid['shape']}: {grid['counts']}", *notes])


def _draw_map(axes: Axes, grid: dict[str, Any]) -> None:
    from matplotlib.ticker import MaxNLocator

    kind = np.array(grid["kind"])
    colours = np.empty((*kind.shape, 4))
    colours[:] = AGREEING
    colours[kind == BLANK] = 0.0
    colours[kind == OPEN] = UNTOLD
    colours[kind == NOT_FINITE] = UNDEFINED
    powers = np.array([[6.0 if p is None else p for p in row] for row in grid["power"]])
    wrong = kind == WRONG
    for channel, ends in enumerate(zip(*WRONGEST, strict=True)):
        colours[wrong, channel] = np.interp(powers, (0, 2, 4, 6), ends)[wrong]
    extent = (-0.5, grid["columns"] - 0.5, grid["rows"] - 0.5, -0.5)
    axes.imshow(colours, interpolation="none", aspect="auto", extent=extent)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    if grid["rows"] == 1:
        axes.set_yticks([])
    axes.tick_params(length=2, labelsize="small")
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(FAINT)


def _draw_bars(axes: Axes, bars: list[dict[str, Any]]) -> None:
    places = range(len(bars))
    shares = [bar["wrong"] / bar["size"] for bar in bars]
    axes.barh(places, shares, color=COLOURS["disagree"], height=0.6)
    axes.set_xscale("log")
    _by_powers(axes.xaxis, 6)
    axes.set_xlim(min(0.5 * min(shares), 0.1), 1.0)
    axes.invert_yaxis()
    axes.set_yticks(places, [bar["name"] for bar in bars], parse_math=False)
    axes.set_xlabel("share that is wrong")


def _draw_points(axes: Axes, points: dict[str, list[Any]]) -> None:
    values = np.array([points["numeric"], points["analytic"]])
    largest = float(np.abs(values).max()) or 1.0
    # Scales of matplotlib overflow near the ends of what floats can be.
    power = math.floor(math.log10(largest))
    unit = 1.0 if abs(power) < 50 else 10.0 ** max(power, -307)
    values, largest = values / unit, largest / unit
    small = np.sort(np.abs(values[values != 0]))
    # Gradients that span many decades are shown by decades, zero among them.
    if small.size and small[small.size // 4] < 1e-3 * largest:
        threshold = max(float(small[small.size // 10]), 1e-9 * largest)
        axes.set_xscale("symlog", linthresh=threshold)
        axes.set_yscale("symlog", linthresh=threshold)
    axes.axline((0.0, 0.0), (largest, largest), color=FAINT, linewidth=0.8, linestyle="--")
    for verdict, colour in COLOURS.items():
        mine = np.array(points["verdict"]) == verdict
        if mine.any():
            look: dict[str, Any] = {"c": colour, "marker": MARKERS[verdict], "s": 16, "alpha": 0.8}
            axes.scatter(*values[:, mine], linewidths=0, label=verdict, **look)
    times = f" / {one_digit(unit)}" if unit != 1 else ""
    axes.set_xlabel(f"numeric{times}")
    axes.set_ylabel(f"analytic{times}")
    _few_ticks(axes)
    axes.legend(frameon=False, fontsize="small", handletextpad=0.2)


def _by_powers(axis: Any, most: int = 0) -> None:
    """Have ticks at powers of ten alone, at `most` so many, or as they are set."""
    from matplotlib.ticker import LogLocator, NullLocator

    if most:
        axis.set_major_locator(LogLocator(numticks=most))
    axis.set_major_formatter(lambda value, _: one_digit(value) if value else "0")
    axis.set_minor_locator(NullLocator())


def _few_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "symlog":
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in axis.get_majorticklocs() if low <= tick <= high]
            axis.set_ticks(ticks[:: max(-(-len(ticks) // 5), 1)])
            _by_powers(axis)
    axes.tick_params(labelsize="small")


def _columns(ladders: list[dict[str, Any]]) -> int:
    """Return how many labels go beside each other below the axes."""
    return 2 if max(len(ladder["label"]) for ladder in ladders) <= 26 else 1


def _errors(ladder: dict[str, Any]) -> list[float]:
    """Return the relative error of each difference, and last that of the analytic value."""
    numeric, analytic = ladder["numeric"], ladder["analytic"]
    size = max(abs(numeric), abs(analytic), 1e-300)
    values = [*(value for _, value in ladder["steps"]), analytic]
    return [abs(value - numeric) / size for value in values]


def _draw_ladders(axes: Axes, ladders: list[dict[str, Any]]) -> None:
    handles: list[Any] = []
    # The numeric value itself has no logarithm: it is drawn where the least is that has one.
    errors = [_errors(ladder) for ladder in ladders]
    least = min((error for ladder in errors for error in ladder if error), default=1e-16)
    for number, (ladder, found) in enumerate(zip(ladders, errors, strict=True)):
        colour = LINES[number % len(LINES)]
        *gaps, wrong_by = found
        steps, gaps = [h for h, _ in ladder["steps"]], [gap or least for gap in gaps]
        # Two or three steps far from each other make no line.
        width = 1.1 if len(steps) >= MANY_STEPS else 0.0
        handles += axes.plot(steps, gaps, color=colour, linewidth=width, marker="o", markersize=3)
        if wrong_by > 0:
            axes.axhline(wrong_by, color=colour, linewidth=0.9, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    _by_powers(axes.xaxis, 7)
    _by_powers(axes.yaxis, 7)
    axes.set_xlabel("step size h")
    axes.set_ylabel("relative error")
    axes.tick_params(labelsize="small")
    # Given as numbers first: a label that begins with _ would be left out.
    legend = axes.legend(
        handles,
        [str(number) for number in range(len(handles))],
        frameon=False,
        fontsize="x-small",
        ncols=_columns(ladders),
        loc="upper center",
        bbox_to_anchor=(0.42, -0.19),
    )
    for text, ladder in zip(legend.get_texts(), ladders, strict=True):
        text.set_parse_math(False)
        text.set_text(ladder["label"])


SETTINGS: dict[str, Any] = {
    "font.size": 9.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.facecolor": "white",
    "text.usetex": False,
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "svg.hashsalt": "gradcheck",
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    **{f"axes.{part}": INK for part in ("edgecolor", "labelcolor", "titlecolor")},
}


def figure_of(picture: dict[str, Any]) -> Figure:
    """Return one figure with all pictures of a check; ValueError when there is nothing to draw."""
    figure_class, settings = _matplotlib()
    found = list(panels(picture))
    if not found:
        raise ValueError(
            "there is nothing to plot: no parameter was differenced, or none is known that is wrong"
        )
    maps = len(picture["maps"])
    # A panel keeps its size: a cell of a map is as large in a small block as in a large one.
    rows = [
        some[k : k + 2] for some in (found[:maps], found[maps:]) for k in range(0, len(some), 2)
    ]
    column = max(panel.size[0] for panel in found) + GAP
    titles = {
        panel.title: textwrap.wrap(panel.title, int((column - GAP - panel.left) / TITLE_LETTER))
        for panel in found
    }
    heights = [
        max(panel.size[1] + LINE * len(titles[panel.title]) for panel in row) + GAP for row in rows
    ]
    width = max(column * max(map(len, rows)) + GAP, KEY_WIDTH if maps else 0.0)
    head = textwrap.wrap(picture["title"], int(width / (1.2 * LETTER)))
    top = len(head) * 1.2 * LINE + GAP
    height = top + sum(heights) + (KEY_HEIGHT if maps else 0.0)
    with settings({**SETTINGS, "svg.fonttype": "path"}):
        figure = figure_class(figsize=(width, height))
        figure.suptitle(
            "\n".join(head), x=GAP / width, y=1 - 0.5 * GAP / height, ha="left", va="top",
            fontsize="large", parse_math=False,
        )  # fmt: skip
        for row, tall in zip(rows, heights, strict=True):
            for place, panel in enumerate(row):
                title, left = titles[panel.title], GAP + place * column + panel.left
                bottom = height - top - len(title) * LINE - TOP - panel.height
                x, w = left / width, panel.width / width
                axes = figure.add_axes((x, bottom / height, w, panel.height / height))
                panel.draw(axes)
                axes.set_title("\n".join(title), fontsize="small", loc="left", parse_math=False)
            top += tall
        if maps:
            _draw_key(figure)
    figure.set_facecolor("white")
    return figure


def _draw_key(figure: Figure) -> None:
    """Say below a figure what the colours of its maps mean."""
    from matplotlib.patches import Patch

    handles: list[Any] = [Patch(facecolor=colour, label=words) for words, colour in COLOURS_OF_MAPS]
    figure.legend(handles=handles, loc="lower left", ncols=4, frameon=False, fontsize="small")


def svgs_of(picture: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    """Return the pictures of a check, from `picture_of`, as (words, SVG), for a page."""
    # Every id begins with `prefix`, so that a page can hold many. Text is text, and escaped; what
    # has the colour of the page says ``currentColor``.
    figure_class, settings = _matplotlib()
    found = []
    for number, panel in enumerate(panels(picture)):
        # Margins are known: to have them computed takes as long as all the rest.
        # Fonts without a name's letters are no matter: the page brings its own.
        with settings(SETTINGS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = figure_class(figsize=panel.size)
            panel.draw(figure.add_axes(panel.place))
            stream = io.StringIO()
            figure.savefig(
                stream,
                format="svg",
                transparent=True,
                metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
            )
        svg = _embedded(stream.getvalue(), f"{prefix}-{number}-", panel.title)
        found.append((panel.title, svg))
    return found


def _embedded(svg: str, prefix: str, title: str) -> str:
    """Make an SVG file part of a page: its ids unique, its colours the page's, its name said."""
    svg = svg[svg.index("<svg") :]
    # A hundredth of a point is finer than any screen.
    svg = re.sub(r' (x|y|d)="[^"]*"', lambda found: re.sub(r"(\.\d\d)\d+", r"\1", found[0]), svg)
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.S)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{prefix}", svg)
    svg = svg.replace(INK, "currentColor").replace(FAINT, "var(--faint, #787776)")
    head, _, rest = svg.partition(">")
    # The size is that of the view box; the page may make it smaller.
    return f'{head} role="img" aria-label="{escape(title)}">{rest.rstrip()}'


def _matplotlib() -> tuple[type[Figure], Any]:
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(NEEDED) from error
    return Figure, rc_context


# The page

MOST_DETAILS = 50  # failing checks with details and pictures
NAME_WIDTH = 160  # characters of a test's name; the ends of a longer one are shown

# Name, how it is sorted, and its look: what is "wide" is left out of a narrow page.
COLUMNS = (
    ("Result", "number", ""),
    ("Test", "text", ""),
    ("Worst", "text", "wide"),
    ("What is wrong", "text", "wide"),
    ("Wrong", "number", "number"),
    ("Difference", "number", "number wide"),
    ("Resolution", "number", "number wide"),
    ("Evaluations", "number", "number wide"),
    ("Seconds", "number", "number wide"),
)

RANKS = {"failed": 2, "expected": 1, "passed": 0}


@dataclass(frozen=True)
class Checked:
    """A check as it arrived where the session ends; `failed`: its test did, and it is not ok.

    `sent` has "check", of `GradientReport.to_dict`, and "found", the worst parameter and the
    failure's first line; of some that failed also the text as "message" and, for a small screen,
    "narrow", and as "picture" what `picture_of` returns.
    """

    nodeid: str
    failed: bool
    sent: Mapping[str, Any]

    @property
    def status(self) -> str:
        """``failed``, ``expected`` (to fail, in a test that passed) or ``passed``."""
        return "failed" if self.failed else "passed" if self.sent["check"]["ok"] else "expected"


def page(checks: Sequence[Checked], when: str) -> str:
    """Return the page of some checks, in the order in which they were made; `when` is ISO 8601."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("pytest_gradcheck._report", "page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["number"] = number
    folder = files("pytest_gradcheck._report") / "page"
    script = (folder / "page.js").read_text(encoding="utf-8")
    digest = hashlib.sha256(script.encode()).digest()
    ordered = sorted(checks, key=lambda check: -RANKS[check.status])
    told = [check for check in ordered if check.failed and check.sent.get("message")][:MOST_DETAILS]
    anchors = {id(check): f"check-{place}" for place, check in enumerate(told, start=1)}
    failed = sum(check.failed for check in checks)
    spent = sum(check.sent["check"]["seconds"] for check in checks)
    return environment.get_template("page.html").render(
        title=f"Gradient checks: {failed:,} failed" if failed else "Gradient checks: all passed",
        version=__version__,
        when=when,
        style=(folder / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_hash="sha256-" + base64.b64encode(digest).decode(),
        columns=COLUMNS,
        rows=[_row(check, anchors.get(id(check), "")) for check in ordered],
        details=[_details(check, anchors[id(check)]) for check in told],
        more=failed - len(told),
        failed=failed,
        passed=sum(check.status == "passed" for check in checks),
        expected=sum(check.status == "expected" for check in checks),
        evaluations=sum(check.sent["check"]["evaluations"] for check in checks),
        seconds=f"{spent:.1f} s" if spent < 100 else f"{spent:,.0f} s",
    )


def _row(check: Checked, anchor: str) -> dict[str, Any]:
    said, (worst, line) = check.sent["check"], check.sent["found"]
    return {
        "status": check.status,
        "rank": RANKS[check.status],
        "anchor": anchor,
        "nodeid": shown(check.nodeid, NAME_WIDTH),
        # Where in a test a function was defined is of no use here.
        "name": shown(said["name"].rpartition("<locals>.")[2], 40),
        "verdict": said["verdict"],
        "worst": printable(worst),
        "line": printable(line),
        "names": " ".join(
            [printable(said["name"]), listing([block["name"] for block in said["blocks"]], 40)]
        ),
        "share": f"{said['wrong']:,} / {said['checked']:,}",
        **{key: said[key] for key in ("wrong", "difference", "resolution", "evaluations")},
        "seconds": round(said["seconds"], 4),
    }


def _details(check: Checked, anchor: str) -> dict[str, Any]:
    sent, picture = check.sent, check.sent["picture"]
    more = picture["undrawn"]
    return {
        **_row(check, anchor),
        "seed": sent["check"]["seed"],
        "message": printable(sent["message"]),
        "narrow": printable(sent["narrow"]),
        "pictures": svgs_of(picture, anchor),
        "keyed": bool(picture["maps"]),
        "left": f"{more:,} more blocks with something wrong have no map." if more else "",
    }


def fragment(message: str, picture: dict[str, Any], prefix: str) -> str:
    """Return a failing check as a part of another page, whose ids begin with `prefix`."""
    parts = [f"<pre>{escape(printable(message))}</pre>"]
    try:
        parts += _figures(svgs_of(picture, prefix))
        parts += [f"<p>{_key()}</p>"] if picture["maps"] else []
    except ImportError:
        parts.append(f"<p>no pictures: {escape(NEEDED)}</p>")
    return f'<div class="gradcheck">{"".join(parts)}</div>'


def notebook(report: GradientReport) -> str:
    """Return a check as a notebook shows it: its text, and pictures, or maps as text."""
    said = report.details() if report.ok else report.message()
    if find_spec("matplotlib") is None:
        said = "\n".join([said, "", *maps_of(report, columns())])
    picture = picture_of(report)
    # The same check twice on a page has the same ids, and the same things behind them.
    digest = hashlib.sha256(repr(picture).encode()).hexdigest()
    return fragment(said, picture, f"gradcheck-{digest[:12]}")


def _key() -> str:
    """Return what the colours of maps mean."""
    told = []
    for words, (*colour, alpha) in COLOURS_OF_MAPS:
        red, green, blue = (round(255 * part) for part in colour)
        style = f"color:rgba({red},{green},{blue},{alpha})"
        told.append(f'<span style="{style}">\u25a0</span> {escape(words)}')
    return " &nbsp; ".join(told)


def _figures(found: Sequence[tuple[str, str]]) -> list[str]:
    return [
        f"<figure><figcaption>{escape(words)}</figcaption>{svg}</figure>" for words, svg in found
    ]


def number(value: Any, digits: int) -> str:
    """Return a number of a report for the table: `to_dict` has NaN and infinity as text."""
    found = float(value)
    if math.isfinite(found):
        return f"{found:.{digits}e}" if found else "0"
    return "" if math.isnan(found) else "∞"
