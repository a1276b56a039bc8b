"""What the pictures of a check show: maps of the error, scatter, convergence, bars.

Each is drawn on axes that it is given, with matplotlib's objects alone: no pyplot, no figure that
anybody else could see, no settings changed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ._map import BLANK, NOT_FINITE, OPEN, WRONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INK, FAINT = "#111213", "#787776"
"""Of lines and text.  No other colour has these values, so that a page can exchange them."""

COLOURS = {"agree": "#8a93a0", "disagree": "#d1242f", "inconclusive": "#3c7dd9"}
MARKERS = {"agree": "o", "disagree": "X", "inconclusive": "s"}
WRONGEST = ((0.99, 0.78, 0.36), (0.96, 0.48, 0.18), (0.85, 0.13, 0.20), (0.58, 0.04, 0.42))
"""Colours of an error of 1, 1e2, 1e4, 1e6 times what would have passed, and between."""

AGREEING = (0.54, 0.60, 0.66, 0.28)
UNTOLD = (0.24, 0.49, 0.85, 0.85)
UNDEFINED = (0.05, 0.05, 0.06, 1.0)

LINES = (
    "#3c7dd9", "#e0772f", "#2a9d6f", "#c4407f", "#8a6fd1", "#b08a1e", "#3fa3b5", "#d1242f",
)  # fmt: skip
"""Of the convergence of one parameter each, told apart on light and on dark ground."""

MOST_MAPS_DRAWN = 6


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes
    ----------
    title : str
        What it shows, in words.
    width, height : float
        Of its axes, in inches.
    left, right, bottom : float
        Inches beside and below them.
    draw : callable
        Draws on axes.
    """

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


TOP = 0.1
"""Inches above the axes."""

LETTER = 0.078
"""Width of a letter of a name, in inches."""


def panels(picture: dict[str, Any]) -> Iterator[Panel]:
    """Yield the pictures of a check, each to be drawn on axes of its own."""
    for grid in picture["maps"][:MOST_MAPS_DRAWN]:
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
        told = "differences D at several steps h: how far each is from the numeric value"
        below = 0.55 + 0.16 * -(-len(picture["ladders"]) // _columns(picture["ladders"]))
        draw = partial(_draw_ladders, ladders=picture["ladders"])
        yield Panel(told, 3.5, 2.3, 0.75, 0.2, below, draw)


def map_title(grid: dict[str, Any]) -> str:
    """Return a map's title: the block, its shape, how much of it is wrong, what a cell is."""
    counts = [(grid["wrong"], "wrong"), (grid["open"], "can't be told")]
    told = ", ".join(f"{n:,} of {grid['size']:,} {words}" for n, words in counts if n)
    cells = f"a cell is {grid['pooled']}" if grid["pooled"] else ""
    notes = [note for note in (grid["folded"], cells) if note]
    return "; ".join([f"{grid['name']} {grid['shape']}: {told}", *notes])


def _draw_map(axes: Axes, grid: dict[str, Any]) -> None:
    import numpy as np
    from matplotlib.ticker import MaxNLocator

    kind = np.array(grid["kind"])
    colours = np.empty((*kind.shape, 4))
    colours[:] = AGREEING
    colours[kind == BLANK] = 0.0
    colours[kind == OPEN] = UNTOLD
    colours[kind == NOT_FINITE] = UNDEFINED
    powers = np.array([[6.0 if p is None else p for p in row] for row in grid["power"]])
    wrong = kind == WRONG
    for channel in range(3):
        shades = np.interp(powers, (0, 2, 4, 6), [colour[channel] for colour in WRONGEST])
        colours[wrong, channel] = shades[wrong]
    colours[wrong, 3] = 1.0
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
    from matplotlib.ticker import LogLocator, NullLocator

    places = range(len(bars))
    shares = [bar["wrong"] / max(bar["size"], 1) for bar in bars]
    axes.barh(places, shares, color=COLOURS["disagree"], height=0.6)
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(numticks=6))
    axes.xaxis.set_major_formatter(_power)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(min(0.5 * min(shares), 0.1), 1.0)
    axes.invert_yaxis()
    axes.set_yticks(places, [bar["name"] for bar in bars], parse_math=False)
    axes.set_xlabel("share that is wrong")


def _draw_points(axes: Axes, points: dict[str, list[Any]]) -> None:
    largest = max(abs(v) for name in ("analytic", "numeric") for v in points[name]) or 1.0
    # Scales of matplotlib overflow near the ends of what floats can be.
    power = math.floor(math.log10(largest))
    unit = 1.0 if abs(power) < 50 else 10.0 ** max(power, -307)
    points = {
        **points,
        **{name: [v / unit for v in points[name]] for name in ("analytic", "numeric")},
    }
    largest /= unit
    small = sorted(abs(v) for name in ("analytic", "numeric") for v in points[name] if v)
    # Gradients that span many decades are shown by decades, zero among them.
    if small and small[len(small) // 4] < 1e-3 * largest:
        threshold = max(small[len(small) // 10], 1e-9 * largest)
        for name in ("x", "y"):
            getattr(axes, f"set_{name}scale")("symlog", linthresh=threshold)
    axes.axline((0.0, 0.0), (largest, largest), color=FAINT, linewidth=0.8, linestyle="--")
    for verdict, colour in COLOURS.items():
        mine = [i for i, said in enumerate(points["verdict"]) if said == verdict]
        if mine:
            axes.scatter(
                [points["numeric"][i] for i in mine],
                [points["analytic"][i] for i in mine],
                s=16,
                c=colour,
                marker=MARKERS[verdict],
                alpha=0.8,
                linewidths=0,
                label=verdict,
            )
    times = f" / {_power(unit)}" if unit != 1 else ""
    axes.set_xlabel(f"numeric{times}")
    axes.set_ylabel(f"analytic{times}")
    _few_ticks(axes)
    axes.legend(frameon=False, fontsize="small", handletextpad=0.2)


def _few_ticks(axes: Axes) -> None:
    from matplotlib.ticker import NullLocator

    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "symlog":
            ticks = [tick for tick in axis.get_majorticklocs() if math.isfinite(tick)]
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in ticks if low <= tick <= high]
            axis.set_ticks(ticks[:: max(-(-len(ticks) // 5), 1)])
            axis.set_major_formatter(_power)
            axis.set_minor_locator(NullLocator())
    axes.tick_params(labelsize="small")


def _power(value: float, _: object = None) -> str:
    """Return a power of ten as the reports write it: 1e-5."""
    return (
        f"{value:.0e}".replace("e-0", "e-").replace("e+0", "e").replace("e+", "e") if value else "0"
    )


def _columns(ladders: list[dict[str, Any]]) -> int:
    """Return how many labels go beside each other below the axes."""
    return 2 if max(len(ladder["label"]) for ladder in ladders) <= 26 else 1


def _draw_ladders(axes: Axes, ladders: list[dict[str, Any]]) -> None:
    from matplotlib.ticker import LogLocator, NullLocator

    handles: list[Any] = []
    for number, ladder in enumerate(ladders):
        colour = LINES[number % len(LINES)]
        best = ladder["numeric"]
        size = max(abs(best), abs(ladder["analytic"]), 1e-300)
        # A difference equal to the numeric value has no logarithm: it is drawn at rounding.
        gaps = [max(abs(value - best) / size, 1e-16) for _, value in ladder["steps"]]
        steps = [h for h, _ in ladder["steps"]]
        handles += axes.plot(steps, gaps, color=colour, linewidth=1.1, marker="o", markersize=3)
        wrong_by = abs(ladder["analytic"] - best) / size
        if wrong_by > 0:
            axes.axhline(wrong_by, color=colour, linewidth=0.9, linestyle=":")
    for axis, name in ((axes.xaxis, "x"), (axes.yaxis, "y")):
        getattr(axes, f"set_{name}scale")("log")
        axis.set_major_locator(LogLocator(numticks=6))
        axis.set_major_formatter(_power)
        axis.set_minor_locator(NullLocator())
    axes.set_xlabel("h")
    axes.set_ylabel("|D(h) - numeric|, relative; dotted: |analytic - numeric|", fontsize="x-small")
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
