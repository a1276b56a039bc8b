"""The report as text: the failure, the details, the summary line.

The first line alone appears in pytest's short summary, so it begins with the worst parameter.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from .._quoting import NAME_WIDTH, listing, shown
from .._source.lines import source_table
from .._verdict.tolerance import TOGETHER
from .error_map import error_maps, plain
from .reasons import STATIONARY
from .report import BlockReport, Entry, GradientReport

MOST_BLOCKS = 6

WIDTH = 76
"""Columns of a terminal of 80 that pytest leaves of them."""


def label(entry: Entry, width: int = NAME_WIDTH) -> str:
    """Return an entry's label, its name shortened and its index never."""
    if not entry.label.startswith(entry.block):  # of a Jacobian: an index in the middle, too
        return shown(entry.label, 2 * width)
    index = entry.label[len(entry.block) :]
    return shown(entry.block, width) + index


def told_apart(a: float, b: float, least: int = 4) -> tuple[str, str]:
    """Return two numbers with as many digits as it takes to see that they differ."""
    for digits in range(least, 18):
        first, second = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if first != second or a == b:
            break
    return first, second


def table(rows: Sequence[Sequence[str]], right: Iterable[int] = ()) -> list[str]:
    """Return lines with columns aligned; those numbered in `right` to the right."""
    right = set(right)
    widths = [max(len(row[j]) for row in rows) for j in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.rjust(width) if j in right else cell.ljust(width)
            for j, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def message(report: GradientReport) -> str:
    """Return the failure: a first line, the blocks, the worst parameters, how it was judged."""
    limit = report.max_report or len(report.worst)
    most = MOST_BLOCKS - len(_together(report)) if report.max_report else len(report.blocks)
    parts = [[headline(report)]]
    if said := [reason for reason in report.reasons if reason != _of_point(report)]:
        parts.append(said)
    if not report.checked:  # nothing is known of any parameter
        return "\n\n".join(
            "\n".join(lines) for lines in [*parts, [*_notes(report), footer(report)]]
        )
    blocks = [block for block in report.blocks if block.wrong or block.open or block.hint]
    if blocks:
        parts.append([*_block_lines(blocks, most), *_agreeing(report)])
    entries = [entry for entry in report.worst if entry.verdict != "agree"][:limit]
    if entries:
        parts.append(_entry_lines(entries))
    if report.lines:
        parts.append(source_table(report.lines, WIDTH))
    parts.append([*_notes(report), footer(report)])
    return "\n\n".join("\n".join(lines) for lines in parts)


def headline(report: GradientReport) -> str:
    """Return the first line; of several points it begins with the one that failed."""
    return f"at {report.at}: {_of_point(report)}" if report.at else _of_point(report)


def _of_point(report: GradientReport) -> str:
    if report.reasons and not report.checked:
        return report.reasons[0]
    failing = [entry for entry in report.worst if entry.verdict != "agree"]
    if failing:
        entry = failing[0]
        a, n = told_apart(entry.analytic, entry.numeric)
        blocks = [block.name for block in report.blocks if block.wrong]
        if entry.verdict == "disagree":
            if not report.wrong:  # of a group no entry is told
                return f"{label(entry)}: analytic {a} != numeric {n} {entry.reason}"
            where = f", in {_names(blocks)}" if report.size > 1 else ""
            return (
                f"{label(entry)}: analytic {a} != numeric {n}, {_times(entry.ratio)} x tolerance; "
                f"{report.wrong:,} of {report.checked:,} wrong{where}"
            )
        if entry.reason == "not differentiable here":
            return (
                f"{label(entry)}: not differentiable here (slopes {_slopes(entry)}), analytic {a}; "
                f'{report.kinks:,} of {report.checked:,} on a kink, and kinks="fail"'
            )
        return (
            f"{label(entry)}: inconclusive, analytic {a}, numeric {n} +- {entry.error_bar:.0e}; "
            f"{report.open:,} of {report.checked:,} can't be told"
        )
    if report.threshold is not None and not report.difference < report.threshold:
        worst = report.worst[0] if report.worst else None
        at = f"{label(worst)} differs most: " if worst else ""
        return (
            f"{at}difference {report.difference:.3e} is not below threshold {report.threshold:g}, "
            f"though each of {report.checked:,} agrees within its error bar"
        )
    if report.vacuous:
        return f"{_names(report.vacuous)}: nothing was checked, func does not depend on it here"
    return report.reasons[0] if report.reasons else f"verdict {report.verdict}"


def _names(names: Sequence[str]) -> str:
    clean = [shown(name) for name in names]
    if len(clean) == 2:
        return f"{clean[0]} and {clean[1]}"
    return listing(clean, 4)


def _times(ratio: float) -> str:
    return "inf" if math.isinf(ratio) else f"{ratio:.1e}" if ratio >= 1000 else f"{ratio:.3g}"


def _slopes(entry: Entry) -> str:
    if entry.slopes is None:
        return ""
    return f"{entry.slopes[0]:.4g} and {entry.slopes[1]:.4g}"


def _shape(shape: tuple[int, ...]) -> str:
    return str(shape).replace(",)", ",)") if shape else "()"


def _block_lines(blocks: Sequence[BlockReport], most: int) -> list[str]:
    """Return the table of the first `most` blocks, those with a hint before the others."""
    if len(blocks) <= most + 1:  # a line that says that there is one more takes as much room
        most = len(blocks)
    more = len(blocks) - most
    if more:
        blocks = sorted(blocks, key=lambda block: not block.hint)[:most]
    rows = [["block", "shape", "wrong", "difference", "what it looks like"]]
    for block in blocks:
        look = block.hint or (f"{block.open} can't be told" if block.open else "")
        rows.append(
            [
                shown(block.name),
                _shape(block.shape),
                f"{block.wrong} / {block.checked or block.size}",
                "" if math.isnan(block.difference) else f"{block.difference:.2e}",
                look,
            ]
        )
    if all(not row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    lines = table(rows)
    return [*lines, f"and {more} more blocks"] if more else lines


def _agreeing(report: GradientReport) -> list[str]:
    names = [
        shown(block.name)
        for block in report.blocks
        if block.verdict == "agree" and not block.vacuous and block.size
    ]
    if not names:
        return []
    return [f"{listing(names)} agree" + ("s" if len(names) == 1 else "")]


def _entry_lines(entries: Sequence[Entry]) -> list[str]:
    rows = [["worst", "analytic", "numeric +- error bar", "error", "x tolerance"]]
    for entry in entries:
        a, n = told_apart_e(entry.analytic, entry.numeric)
        rows.append(
            [
                label(entry),
                a,
                f"{n} +- {entry.error_bar:.0e}",
                f"{entry.error:.1e}",
                f"{entry.ratio:.1e}",
            ]
        )
    lines = table(rows)
    for position, entry in enumerate(entries, start=1):
        if entry.slopes is not None:
            together = f"; {TOGETHER}" if entry.reason == TOGETHER else ""
            lines[position] += f"  kink, slopes {_slopes(entry)}{together}"
        elif entry.reason:
            lines[position] += f"  {entry.reason}"
    return lines


def told_apart_e(a: float, b: float) -> tuple[str, str]:
    """Return two numbers in scientific notation, with digits enough to see that they differ."""
    for digits in range(4, 17):
        first, second = f"{a:+.{digits}e}", f"{b:+.{digits}e}"
        if first != second or a == b:
            break
    return first, second


def _points(report: GradientReport) -> list[str]:
    """Return the line that says at which of several points a check fails."""
    failed = [point.at for point in report.points if not point.ok]
    if not failed:
        return []
    return [f"{len(failed):,} of {len(report.points):,} points fail: {listing(failed)}"]


def _notes(report: GradientReport) -> list[str]:
    lines = [
        *report.patterns,
        *_together(report),
        *_points(report),
        *(f"hint: {hint}" for hint in report.hints),
        *report.remarks,
    ]
    if report.directions:
        lines.append(
            f"{report.size:,} parameters along {report.directions} random directions (seed "
            f"{report.seed}): resolution {report.resolution:.0e}; an error of 10 x that is missed "
            f"with a chance of {report.miss:.0e}"
        )
    lines += _told_by_groups(report)
    passing = sum(entry.slopes is not None and entry.verdict == "agree" for entry in report.worst)
    if passing:
        lines.append(
            f"{passing:,} of {report.checked:,} parameters are on a kink, where any value between "
            "the two slopes passes as a subgradient"
        )
    if report.vacuous and report.worst:
        lines.append(f"nothing was checked in {_names(report.vacuous)}: func ignores it here")
    if report.skipped:
        lines.append(f"left out: {listing([shown(name) for name in report.skipped])}")
    if 0 < report.checked < report.size and not report.repeated:
        lines.append(
            f"{report.checked:,} of {report.size:,} parameters were differenced "
            f"(max_evals; seed {report.seed})"
        )
    return lines


def _told_by_groups(report: GradientReport) -> list[str]:
    """Return what would have been seen in each block that noise left to be told by directions."""
    told = [block for block in report.blocks if block.block_seen is not None]
    lines = [f"told by directions through {shown(b.name)}: {_seen(b)} would be seen" for b in told]
    more = len(lines) - MOST_BLOCKS
    return [*lines[:MOST_BLOCKS], f"and through {more} more blocks"] if more > 1 else lines


def _seen(block: BlockReport) -> str:
    """Return how large errors are seen in a block that was told by directions."""
    parts = [f"{_percent(block.entry_seen)} of its root mean square in one entry"]
    if len(block.shape) > 1:
        parts.append(f"{_percent(block.row_seen)} of one row")
    return f"an error of {', '.join(parts)} or {_percent(block.block_seen)} of all"


def _percent(part: float | None) -> str:
    value = 100 * (part or 0.0)
    return f"{value:.0f} %" if value >= 10 else f"{value:.1g} %"


MOST_TOGETHER = 3


def _together(report: GradientReport) -> list[str]:
    """Return the diagnoses that the table of blocks does not show: those of several blocks."""
    said = [
        diagnosis.sentence
        for diagnosis in report.diagnoses
        if (len(diagnosis.blocks) > 1 or diagnosis.code in ALWAYS_TOLD)
        and diagnosis.sentence not in ("", *report.reasons, *report.patterns)
    ]
    return [f"looks like: {sentence}" for sentence in said[:MOST_TOGETHER]]


ALWAYS_TOLD = ("backward", "stale", "swapped")
"""Codes whose sentence says more than the table of blocks."""


def tolerances(report: GradientReport) -> str:
    """Return what was demanded and what was applied."""
    rtol = f"rtol {report.rtol_used:g}" + ("" if report.rtol is not None else " (unset)")
    atol = f"atol {report.atol:g}" if report.atol is not None else "atol relative to block"
    extra = f", threshold {report.threshold:g}" if report.threshold is not None else ""
    return f"{rtol}, {atol}{extra}"


def footer(report: GradientReport) -> str:
    """Return the last line: difference, tolerances, formula, cost."""
    how = f"{report.scheme}, " if report.scheme else ""
    difference = f"difference {report.difference:.2e} · " if report.checked else ""
    return f"{difference}{tolerances(report)} · {how}{report.evaluations:,} evaluations of func"


def summary(report: GradientReport) -> str:
    """Return one line for the terminal's section."""
    if report.verdict == "agree":
        told = f"{report.checked:,} agree"
    else:
        parts = [(report.wrong, "wrong"), (report.open, "open")]
        told = ", ".join(f"{n:,} of {report.checked:,} {word}" for n, word in parts if n)
        told = told or report.verdict
    if report.directions:
        told += f" along {report.directions} random directions"
    if report.points:
        told += f", at {len(report.points):,} points" if report.ok else f", at {report.at}"
    if report.kinks:
        told += f", {report.kinks:,} at a kink"
    if report.vacuous:
        told += f", nothing checked in {_names(report.vacuous)}"
    if STATIONARY in report.reasons:
        told += ", at a stationary point"
    coarse = " (coarse)" if report.coarse or COARSE < report.resolution < math.inf else ""
    if report.checked:
        told += f", difference {report.difference:.1e}, resolution {report.resolution:.0e}{coarse}"
    if report.coarse and report.verdict == "agree":
        worst = max(report.blocks, key=lambda block: block.block_seen or 0.0)
        told += f", in {shown(worst.name)} {_seen(worst)} would be seen"
    return (
        f"{shown(report.name, 40)}: {told}, {report.evaluations:,} evaluations, "
        f"{report.seconds:.2f} s"
    )


COARSE = 1e-4
"""A resolution above this is marked in the summary: errors below it are not seen."""


def details(report: GradientReport, *, unicode: bool = True) -> str:
    """Return every block, error maps and up to 100 parameters, for the report section."""
    rows = [["block", "shape", "verdict", "wrong", "open", "kinks", "difference", "resolution"]]
    for block in report.blocks:
        rows.append(
            [
                shown(block.name, 40),
                _shape(block.shape),
                "vacuous" if block.vacuous else block.verdict,
                f"{block.wrong:,}",
                f"{block.open:,}",
                f"{block.kinks:,}",
                f"{block.difference:.2e}" if report.checked else "",
                f"{block.resolution:.0e}" if report.checked else "",
            ]
        )
    lines = [f"{shown(report.name, 60)}: {report.verdict}", *report.reasons, "", *table(rows)]
    hints = [
        f"{shown(' and '.join(diagnosis.blocks), 40) or report.name}: {diagnosis.sentence} "
        f"({diagnosis.code}, {diagnosis.bits:.0f} bits)"
        for diagnosis in report.diagnoses
    ]
    told = {name for diagnosis in report.diagnoses for name in diagnosis.blocks}
    hints += [f"{shown(b.name)}: {b.hint}" for b in report.blocks if b.hint and b.name not in told]
    if hints:
        lines += ["", *hints]
    if maps := _maps(report):
        lines += ["", *maps]
    if report.worst and report.checked:  # else nothing is known of any of them
        lines += ["", *_entry_lines(report.worst[:100])]
        more = report.wrong + report.open - 100
        lines += [f"and {more:,} more"] if more > 0 else []
    lines += [
        "",
        *_notes(report),
        footer(report),
        f"J = {report.value!r}, noise of func {report.noise:.1e} ({report.precision}), "
        f"seed {report.seed}, {report.seconds:.3f} s",
    ]
    text = "\n".join(lines)
    return text if unicode else plain(text)


def _maps(report: GradientReport) -> list[str]:
    if report.evidence is None or not report.checked:
        return []
    # The worst first, and each once.
    names = dict.fromkeys(entry.block for entry in report.worst if entry.verdict != "agree")
    return error_maps(report.evidence, list(names))
