"""All checks of a run as one page that needs nothing else: no network, no other file.

Everything that a test can name goes through Jinja's escaping, or, in pictures, matplotlib's; the
page's policy allows no script but its own, and no request at all.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from typing import Any

from .. import __version__
from .._quoting import columns, listing, shown
from .figure import COLOURS_OF_MAPS, NEEDED, picture_of, svgs_of
from .message import BLOCK_COLUMNS, block_rows, maps_of, names_of
from .report import GradientReport

MOST_DETAILS = 50
"""Failing checks with details and pictures."""

NAME_WIDTH = 160
"""Characters of a test's name; the ends of a longer one are shown."""

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
"""Name, how it is sorted, and its look: what is "wide" is left out of a narrow page."""

RANKS = {"failed": 2, "expected": 1, "passed": 0}


@dataclass(frozen=True)
class Checked:
    """A check as it arrived where the session ends: `GradientReport.to_dict` of it, and its test.

    `failed`: the test failed, and this check is not ok. Some failing checks have the failure's
    text, `narrow` the same for a small screen, and what `picture_of` returns.  `found`: the worst
    parameter and the failure's first line, where there is something.
    """

    nodeid: str
    failed: bool
    check: dict[str, Any]
    message: str = ""
    picture: dict[str, Any] | None = None
    found: Sequence[str] = ("", "")
    narrow: str = ""

    @property
    def status(self) -> str:
        """``failed``, ``expected`` (to fail, in a test that passed) or ``passed``."""
        return "failed" if self.failed else "passed" if self.check["ok"] else "expected"


def page(checks: Sequence[Checked], when: str) -> str:
    """Return the page of some checks, in the order in which they were made; `when` is ISO 8601."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

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
    told = [check for check in ordered if check.failed and check.message][:MOST_DETAILS]
    anchors = {id(check): f"check-{place}" for place, check in enumerate(told, start=1)}
    failed = sum(check.failed for check in checks)
    details = [_details(check, anchors[id(check)]) for check in told]
    for found in details:
        found["pictures"] = [(words, Markup(svg)) for words, svg in found["pictures"]]
    spent = sum(check.check["seconds"] for check in checks)
    return environment.get_template("page.html").render(
        title=f"Gradient checks: {failed:,} failed" if failed else "Gradient checks: all passed",
        version=__version__,
        when=when,
        style=Markup((folder / "page.css").read_text(encoding="utf-8")),
        script=Markup(script),
        script_hash="sha256-" + base64.b64encode(digest).decode(),
        columns=[{"name": name, "kind": kind, "look": look} for name, kind, look in COLUMNS],
        rows=[_row(check, anchors.get(id(check), "")) for check in ordered],
        details=details,
        more=failed - len(told),
        failed=failed,
        passed=sum(check.status == "passed" for check in checks),
        expected=sum(check.status == "expected" for check in checks),
        evaluations=sum(check.check["evaluations"] for check in checks),
        seconds=f"{spent:.1f} s" if spent < 100 else f"{spent:,.0f} s",
    )


def _row(check: Checked, anchor: str) -> dict[str, Any]:
    said = check.check
    return {
        "status": check.status,
        "rank": RANKS[check.status],
        "anchor": anchor,
        "nodeid": shown(check.nodeid, NAME_WIDTH),
        # Where in a test a function was defined is of no use here.
        "name": shown(said["name"].rpartition("<locals>.")[2], 40),
        "verdict": said["verdict"],
        "worst": printable(check.found[0]),
        "line": printable(check.found[1]),
        "names": " ".join(
            [printable(said["name"]), listing([block["name"] for block in said["blocks"]], 40)]
        ),
        "share": f"{said['wrong']:,} / {said['checked']:,}",
        **{key: said[key] for key in ("wrong", "difference", "resolution", "evaluations")},
        "seconds": round(said["seconds"], 4),
    }


def _details(check: Checked, anchor: str) -> dict[str, Any]:
    picture = check.picture
    left = ""
    if picture and picture["undrawn"]:
        left = f"{picture['undrawn']:,} more blocks with something wrong have no map."
    return {
        **_row(check, anchor),
        "seed": check.check["seed"],
        "message": printable(check.message),
        "narrow": printable(check.narrow or check.message),
        "pictures": svgs_of(picture, anchor) if picture else [],
        "keyed": bool(picture and picture["maps"]),
        "left": left,
    }


def fragment(check: Checked, prefix: str) -> str:
    """Return a failing check as a part of another page: its text, and pictures where there can be.

    Every id begins with `prefix`.
    """
    parts = [f"<pre>{escape(printable(check.message))}</pre>"]
    try:
        parts += _figures(svgs_of(check.picture, prefix) if check.picture else [])
    except ImportError:
        parts.append(f"<p>no pictures: {escape(NEEDED)}</p>")
    return f'<div class="gradcheck">{"".join(parts)}</div>'


def notebook(report: GradientReport) -> str:
    """Return a check as a notebook shows it: what was found, every block, and pictures.

    Without matplotlib the maps of the error are text.
    """
    rows = block_rows(report.blocks, names_of(report))
    head = "".join(f"<th>{escape(cell)}</th>" for cell in BLOCK_COLUMNS)
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(printable(cell))}</td>' for cell in cells)}</tr>"
        for cells in rows
    )
    picture = picture_of(report)
    parts = [f"<p><b>{escape(printable(picture['title']))}</b></p>"]
    if report.checked and rows:
        parts.append(f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")
    # The same check twice on a page has the same ids, and the same things behind them.
    prefix = f"gradcheck-{hashlib.sha256(repr(picture).encode()).hexdigest()[:12]}"
    try:
        parts += _figures(svgs_of(picture, prefix))
        parts += [f"<p>{_key()}</p>"] if picture["maps"] else []
    except ImportError:
        maps = "\n".join(maps_of(report, columns()))
        parts.append(f"<pre>{escape(printable(maps))}</pre>")
    return f'<div class="gradcheck">{"".join(parts)}</div>'


def _key() -> str:
    """Return what the colours of maps mean."""
    told = []
    for words, colour in COLOURS_OF_MAPS:
        red, green, blue = (round(255 * part) for part in colour[:3])
        alpha = [*colour, 1.0][3]
        style = f"color:rgba({red},{green},{blue},{alpha})"
        told.append(f'<span style="{style}">\u25a0</span> {escape(words)}')
    return " &nbsp; ".join(told)


def _figures(found: Sequence[tuple[str, str]]) -> list[str]:
    return [
        f"<figure><figcaption>{escape(words)}</figcaption>{svg}</figure>" for words, svg in found
    ]


def printable(text: str) -> str:
    """Return a text in which what can't be printed is shown as an escape; lines stay."""
    return "".join(
        c if c == "\n" or c.isprintable() else c.encode("unicode_escape").decode() for c in text
    )


def number(value: Any, digits: int) -> str:
    """Return a number of a report for the table: `to_dict` has NaN and infinity as text."""
    found = float(value)
    if math.isfinite(found):
        return f"{found:.{digits}e}" if found else "0"
    return "" if math.isnan(found) else "∞"
