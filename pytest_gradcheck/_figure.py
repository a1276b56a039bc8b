"""Pictures of a check, drawn with matplotlib: maps of the error, scatter, convergence, bars.

Only objects are used: no pyplot, no figure that anybody else could see, no settings changed
outside of a context.  A page has its colours from `INK` and `FAINT`, which it replaces.
"""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ._map import BLANK, NOT_FINITE, OPEN, WRONG

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDED = "matplotlib is not installed: pip install 'pytest-gradcheck[html]'"

INK, FAINT = "#111213", "#787776"
"""Of lines and text.  No other colour has these values, so that a page can exchange them."""

COLOURS = {"agree": "#8a93a0", "disagree": "#d1242f", "inconclusive": "#3c7dd9"}
MARKERS = {"agree": "o", "disagree": "X", "inconclusive": "s"}
WRONGEST = ((0.98, 0.75, 0.35), (0.95, 0.43, 0.20), (0.78, 0.12, 0.22), (0.45, 0.05, 0.32))
"""Colours of an error of 1, 1e2, 1e4, 1e6 times what would have passed, and between."""

AGREEING = (0.54, 0.60, 0.66, 0.28)
UNTOLD = (0.24, 0.49, 0.85, 0.85)
UNDEFINED = (0.05, 0.05, 0.06, 1.0)

MOST_MAPS_DRAWN = 6

SETTINGS: dict[str, Any] = {
    "font.size": 9.0,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "text.usetex": False,
    "svg.fonttype": "none",
    "svg.image_inline": True,
    "svg.hashsalt": "gradcheck",
    **{f"{part}.color": INK for part in ("text", "xtick", "ytick")},
    **{f"axes.{part}": INK for part in ("edgecolor", "labelcolor", "titlecolor")},
}

Panel = tuple[str, tuple[float, float], Callable[["Axes"], None]]
"""What a picture shows, in words; width and height in inches; what draws it."""


def panels(picture: dict[str, Any]) -> Iterator[Panel]:
    """Yield the pictures of a check, each to be drawn on axes of its own."""
    for grid in picture["maps"][:MOST_MAPS_DRAWN]:
        yield map_title(grid), _map_size(grid), partial(_draw_map, grid=grid)
    if picture["bars"]:
        height = 0.7 + 0.22 * len(picture["bars"])
        told = "share of each block that is wrong"
        yield told, (4.6, height), partial(_draw_bars, bars=picture["bars"])
    if picture["points"]["analytic"]:
        count, size = len(picture["points"]["analytic"]), picture["size"]
        told = f"analytic against numeric, {count:,} of {size:,} parameters"
        yield told, (3.7, 3.2), partial(_draw_points, points=picture["points"])
    if picture["ladders"]:
        told = "differences at several steps h: how far each is from the numeric value"
        yield told, (4.9, 3.2), partial(_draw_ladders, ladders=picture["ladders"])


def map_title(grid: dict[str, Any]) -> str:
    """Return a map's title: the block, its shape, how much of it is wrong."""
    counts = [(grid["wrong"], "wrong"), (grid["open"], "can't be told")]
    told = ", ".join(f"{n:,} of {grid['size']:,} {words}" for n, words in counts if n)
    return f"{grid['name']} {grid['shape']}: {told}"


def figure_of(picture: dict[str, Any]) -> Figure:
    """Return one figure with all pictures of a check.

    Raises
    ------
    ImportError
        Without matplotlib, with the line that installs it.
    ValueError
        When there is nothing to draw.
    """
    figure_class, settings = _matplotlib()
    found = list(panels(picture))
    if not found:
        raise ValueError(
            "there is nothing to plot: no parameter was differenced, or none is known that is wrong"
        )
    columns = min(len(found), 2)
    rows = [found[i : i + columns] for i in range(0, len(found), columns)]
    heights = [max(size[1] for _, size, _ in row) + 0.35 for row in rows]
    with settings({**SETTINGS, "svg.fonttype": "path"}):
        figure = figure_class(figsize=(4.9 * columns, sum(heights)), layout="constrained")
        places = figure.add_gridspec(len(rows), columns, height_ratios=heights)
        for r, row in enumerate(rows):
            for c, (title, _, draw) in enumerate(row):
                axes = figure.add_subplot(places[r, c])
                draw(axes)
                axes.set_title(title, fontsize="small", loc="left", wrap=True, parse_math=False)
        if picture["maps"]:
            _draw_key(figure)
    figure.set_facecolor("white")
    return figure


def _draw_key(figure: Figure) -> None:
    """Say below a figure what the colours of its maps mean."""
    from matplotlib.patches import Patch

    shades = zip(("1", "1e2", "1e4", "1e6"), WRONGEST, strict=True)
    meaning: list[tuple[str, Any]] = [("agrees", AGREEING)]
    meaning += [(f"{power} x what passes", colour) for power, colour in shades]
    meaning += [("can't be told", UNTOLD), ("not finite", UNDEFINED)]
    handles: list[Any] = [Patch(facecolor=colour, label=words) for words, colour in meaning]
    figure.legend(
        handles=handles,
        loc="outside lower center",
        ncols=4,
        frameon=False,
        fontsize="small",
    )


def svgs_of(picture: dict[str, Any], prefix: str) -> list[tuple[str, str]]:
    """Return the pictures of a check as (words, SVG), for a page.

    Parameters
    ----------
    picture : dict
        As from `picture_of`.
    prefix : str
        Of every id in them, so that a page can hold many.

    Returns
    -------
    list of (str, str)
        Text is text, and escaped; what has the colour of the page says ``currentColor``.

    Raises
    ------
    ImportError
        Without matplotlib, with the line that installs it.
    """
    figure_class, settings = _matplotlib()
    found = []
    for number, (title, size, draw) in enumerate(panels(picture)):
        # Fonts without a name's letters are no matter: the page brings its own.
        with settings(SETTINGS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            figure = figure_class(figsize=size, layout="constrained")
            draw(figure.add_subplot())
            stream = io.StringIO()
            figure.savefig(
                stream,
                format="svg",
                transparent=True,
                metadata=dict.fromkeys(("Creator", "Date", "Format", "Type")),
            )
        found.append((title, _embedded(stream.getvalue(), f"{prefix}-{number}-", title)))
    return found


def _embedded(svg: str, prefix: str, title: str) -> str:
    """Make an SVG file part of a page: its ids unique, its colours the page's, its name said."""
    from html import escape

    svg = svg[svg.index("<svg") :]
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


def _map_size(grid: dict[str, Any]) -> tuple[float, float]:
    rows, columns = len(grid["kind"]), len(grid["kind"][0])
    cell = min(3.6 / columns, 2.6 / rows, 0.32)
    # A long row is stretched to be seen.
    return max(cell * columns, 1.0) + 0.7, max(cell * rows, 0.3) + 0.55


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
    places = range(len(bars))
    shares = [bar["wrong"] / max(bar["size"], 1) for bar in bars]
    axes.barh(places, shares, color=COLOURS["disagree"], height=0.6)
    axes.set_xscale("log")
    axes.set_xlim(min(0.5 * min(shares), 0.1), 1.0)
    axes.invert_yaxis()
    axes.set_yticks(places, [bar["name"] for bar in bars], parse_math=False)
    axes.set_xlabel("share that is wrong")


def _draw_points(axes: Axes, points: dict[str, list[Any]]) -> None:
    values = [abs(v) for name in ("analytic", "numeric") for v in points[name]]
    largest = max(values) or 1.0
    small = sorted(value for value in values if value > 0)
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
    axes.set_xlabel("numeric")
    axes.set_ylabel("analytic")
    _few_ticks(axes)
    axes.legend(frameon=False, fontsize="small", handletextpad=0.2)


def _few_ticks(axes: Axes) -> None:
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "symlog":
            ticks = [tick for tick in axis.get_majorticklocs() if math.isfinite(tick)]
            low, high = sorted(axis.get_view_interval())
            ticks = [tick for tick in ticks if low <= tick <= high]
            axis.set_ticks(ticks[:: max(-(-len(ticks) // 5), 1)])
    axes.tick_params(labelsize="small")


def _draw_ladders(axes: Axes, ladders: list[dict[str, Any]]) -> None:
    from matplotlib import colormaps

    shades = colormaps["viridis"]
    handles = []
    for number, ladder in enumerate(ladders):
        colour = shades(0.1 + 0.75 * number / max(len(ladders) - 1, 1))
        best = ladder["numeric"]
        size = max(abs(best), abs(ladder["analytic"]), 1e-300)
        # A difference equal to the numeric value has no logarithm: it is drawn at rounding.
        gaps = [max(abs(value - best), 1e-16 * size) for _, value in ladder["steps"]]
        steps = [h for h, _ in ladder["steps"]]
        handles += axes.plot(steps, gaps, color=colour, linewidth=1.1, marker="o", markersize=3)
        wrong_by = abs(ladder["analytic"] - best)
        if wrong_by > 0:
            axes.axhline(wrong_by, color=colour, linewidth=0.9, linestyle=":")
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlabel("h")
    axes.set_ylabel("|D(h) - numeric|; dotted: |analytic - numeric|", fontsize="small")
    axes.tick_params(labelsize="small")
    # Given as numbers first: a label that begins with _ would be left out.
    legend = axes.legend(
        handles,
        [str(number) for number in range(len(handles))],
        frameon=False,
        fontsize="x-small",
        loc="center left",
        bbox_to_anchor=(1.0, 0.5),
    )
    for text, ladder in zip(legend.get_texts(), ladders, strict=True):
        text.set_parse_math(False)
        text.set_text(ladder["label"])
