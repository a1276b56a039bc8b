"""The pictures of a check as one figure, or as parts of a page."""

from __future__ import annotations

import io
import re
import warnings
from typing import TYPE_CHECKING, Any

from ._draw import AGREEING, FAINT, INK, UNDEFINED, UNTOLD, WRONGEST, panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEEDED = "matplotlib is not installed: pip install 'pytest-gradcheck[html]'"

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
    heights = [max(panel.size[1] for panel in row) + 0.35 for row in rows]
    with settings({**SETTINGS, "svg.fonttype": "path"}):
        figure = figure_class(figsize=(4.9 * columns, sum(heights)), layout="constrained")
        places = figure.add_gridspec(len(rows), columns, height_ratios=heights)
        for r, row in enumerate(rows):
            for c, panel in enumerate(row):
                axes = figure.add_subplot(places[r, c])
                panel.draw(axes)
                title = panel.title.replace("; ", "\n", 1)
                axes.set_title(title, fontsize="small", loc="left", parse_math=False)
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
    from html import escape

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
