"""The report as text: the failure, the details, the summary line.

The first line alone appears in pytest's short summary, so it holds what a person needs: what the
error looks like, or else the worst parameter.  Every text fits the terminal.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace

from .._diagnosis.causes import OF_THETA
from .._diagnosis.evidence_and_places import Diagnosis
from .._quoting import NAME_WIDTH, columns, distinct, listing, shown, together
from .._source.lines import source_table
from .._verdict.tolerance_and_comparison import TOGETHER
from .assemble import STATIONARY, UNANSWERED
from .error_map import maps_of, plain, small_map
from .report import BlockReport, Entry, GradientReport

MOST_BLOCKS = 6
MARGIN = 8  # columns that pytest puts before each line of an error
HEADLINE = 60  # characters of the first line that pytest's short summary shows, about
LEAST_NAME = 10  # characters that are left of a name in a table without room
# Codes whose sentence says less than the worst parameter does.
NOT_LEADING = ("entry", "not-finite", "kink", "noise")
MOST_TOGETHER = 3
# Codes whose sentence says more than the table of blocks.
ALWAYS_TOLD = ("approximate", "backward", "stale", "swapped")
# The columns of the table at the end of a session.
ROW = ("check", "result", "difference", "resolution", "evals", "time", "")
LEAST_CHECK = 26  # characters of a check's name in the table at the end of a session
COARSE = 1e-4  # a resolution above this is marked in the summary: errors below it are not seen


def label(entry: Entry, names: Mapping[str, str]) -> str:
    """Return an entry's label: what its block is called, and its index, which is never cut."""
    index = entry.label.removeprefix(entry.block)
    if index == entry.label or not index:  # of a Jacobian: an index in the middle, too
        return shown(entry.label, 2 * NAME_WIDTH)
    return names.get(entry.block, shown(entry.block)) + index


def told_apart(a: float, b: float, form: str = ".{}g") -> tuple[str, str]:
    """Return two numbers with as many digits as it takes to see that they differ."""
    for digits in range(4, 18):
        first, second = format(a, form.format(digits)), format(b, form.format(digits))
        if first != second or a == b:
            break
    return first, second


def table(
    rows: Sequence[Sequence[str]],
    width: int,
    *,
    drop: Sequence[str] = (),
    right: Sequence[str] = (),
) -> list[str]:
    """Return lines with columns aligned, in so many columns of the terminal where that can be."""
    # The first row names the columns. The first column holds names, shortened where there is no
    # room; the last one text, which is shortened, or goes below its row. Columns without an entry
    # are left out, and those in `drop` one by one where there is no room. Those in `right` are
    # aligned to the right.
    header, *body = rows
    wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
    there = [j for j in range(len(header) - 1) if not j or any(row[j] for row in body)]
    texts = [row[-1] for row in rows] if any(row[-1] for row in body) else [""] * len(rows)

    def left(columns: Sequence[int]) -> int:
        """Return what is left of the width beside these columns."""
        return width - wide[0] - sum(wide[j] + 2 for j in columns if j)

    fewer = [[j for j in there if header[j] not in drop[:k]] for k in range(len(drop) + 1)]
    if left(fewer[-1]) < 0:
        wide[0] = max(min(wide[0], LEAST_NAME), wide[0] + left(fewer[-1]))
    fewer = [columns for columns in fewer if left(columns) >= 0] or fewer[-1:]
    brief = [_OBVIOUS.sub("", text) for text in texts]
    ways = [(columns, texts) for columns in fewer[:2]] + [(columns, brief) for columns in fewer]
    fits = (way for way in ways if max(map(len, way[1])) <= max(left(way[0]) - 2, 0))
    kept, texts = next(fits, (fewer[0], brief))
    lines = []
    for row, text in zip(rows, texts, strict=True):
        name = shown(row[0], wide[0])
        cells = [
            cell.rjust(wide[j]) if header[j] in right else cell.ljust(wide[j])
            for j, cell in ((j, row[j] if j else name) for j in kept)
        ]
        line = "  ".join(cells)
        if len(line) + 2 + len(text) <= width:
            lines.append(f"{line}  {text}".rstrip())
        else:
            below = wrapped(f"  {text}", width) if text and row is not header else []
            lines += [line.rstrip(), *below]
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Return a sentence in lines of at most so many columns, cut between its parts if it can be."""
    lines = [""]
    for part in re.split(r"(?<=[,:;]) ", text):
        longer = f"{lines[-1]} {part}" if lines[-1] else part
        if len(longer) > width and lines[-1]:
            longer = f"  {part}"
            lines.append("")
        lines[-1:] = textwrap.wrap(
            longer, width, subsequent_indent="  ", break_on_hyphens=False
        ) or [""]
    return lines


def message(report: GradientReport, width: int | None = None) -> str:
    """Return the failure: a first line, the blocks, the worst parameters, how it was judged."""
    # `width`: of the terminal or what stands for one, in columns.
    return "\n".join(_message(report, (columns() if width is None else width) - MARGIN))


def _message(report: GradientReport, width: int) -> list[str]:
    limit = report.max_report or len(report.worst)
    also = _paragraph(_together(report), width)
    most = max(MOST_BLOCKS - len(also), 3) if report.max_report else len(report.blocks)
    first = headline(report)
    said = [left for reason in report.reasons if (left := _beyond(_of_point(report), reason))]
    hints = [f"hint: {hint}" for hint in report.hints]
    parts = [[first], _paragraph([*said, *hints], width)]
    if report.checked:  # else nothing is known of any parameter
        names = names_of(report)
        blocks = [block for block in report.blocks if block.wrong or block.open or block.hint]
        if blocks:
            listed = _block_lines(blocks, most, width, names, first)
            parts.append([*listed, *_agreeing(report, width, names)])
        if entries := [entry for entry in report.worst if entry.verdict != "agree"][:limit]:
            # What is said of all that is open is not said again of each.
            if any(reason.startswith(f"{report.open:,} undecided: ") for reason in report.reasons):
                entries = [replace(entry, reason="") for entry in entries]
            parts.append(_entry_lines(entries, width, names))
        parts.append(source_table(report.lines, width) if report.lines else [])
    several = sum(block.wrong > 0 for block in report.blocks) > 1
    total = f"{report.wrong:,} of {report.checked:,} wrong" if several else ""
    ends = footer(report, width, "" if total in first else total)
    parts.append([*_paragraph(_notes(report), width), *ends])
    filled = [part for part in parts if part]
    return [*filled[0], *(line for part in filled[1:] for line in ["", *part])]


def _beyond(first: str, reason: str) -> str:
    """Return what a reason says beyond the first line."""
    begin, _, rest = reason.partition(": ")
    return "" if reason == first else rest if first.startswith(f"{begin} (") else reason


def _paragraph(sentences: Sequence[str], width: int) -> list[str]:
    return [line for sentence in sentences for line in wrapped(sentence, width)]


def names_of(report: GradientReport) -> dict[str, str]:
    """Return what each block is called: what is wrong must not look like another that agrees."""
    names = [block.name for block in report.blocks]
    return dict(zip(names, distinct(names), strict=True))


def headline(report: GradientReport) -> str:
    """Return the first line; of several points it begins with the one that failed."""
    return f"at {report.at}: {_of_point(report)}" if report.at else _of_point(report)


def finding(report: GradientReport) -> list[str]:
    """Return the worst parameter, and the first line, of what isn't right; else a warning."""
    if report.ok and report.verdict == "agree":
        return ["", report.warning]
    failing = [entry for entry in report.worst if entry.verdict != "agree"]
    return [label(failing[0], names_of(report)) if failing else "", headline(report)]


def _of_point(report: GradientReport) -> str:
    if report.reasons and not report.checked:
        return report.reasons[0]
    if report.wrong and any(reason.startswith(UNANSWERED) for reason in report.reasons):
        return f"{UNANSWERED} ({report.wrong:,} of {report.checked:,} wrong)"
    if report.wrong and (leading := _leading(report)):
        return _looks(report, leading)
    failing = [entry for entry in report.worst if entry.verdict != "agree"]
    if failing:
        entry = failing[0]
        called = label(entry, names_of(report))
        a, n = told_apart(entry.analytic, entry.numeric)
        if entry.verdict == "disagree":  # of a group no entry is told
            wrong = f"({report.wrong:,} of {report.checked:,} wrong)" if report.wrong else ""
            return f"{called}: analytic {a} != numeric {n} {wrong or entry.reason}"
        if entry.reason == "not differentiable here":
            return (
                f"{called}: not differentiable here (slopes {_slopes(entry)}), analytic {a}; "
                f'{report.kinks:,} of {report.checked:,} on a kink, and kinks="fail"'
            )
        # What ``max_evals`` left no evaluation for is open, and was not checked.
        left = report.size - report.checked
        of = report.size if 0 < left <= report.open else report.checked
        return (
            f"{called}: inconclusive ({report.open:,} of {of:,} can't be told), "
            f"analytic {a}, numeric {_beside(n, entry)}"
        )
    if report.threshold is not None and not report.difference < report.threshold:
        worst = report.worst[0] if report.worst else None
        at = f"{label(worst, names_of(report))} differs most: " if worst else ""
        return (
            f"{at}difference {report.difference:.3e} is not below threshold {report.threshold:g}, "
            f"though each of {report.checked:,} agrees within its error bar"
        )
    if report.reasons:
        return report.reasons[0]
    if report.vacuous:
        return f"{together(report.vacuous)}: nothing was checked, func does not depend on it here"
    return f"verdict {report.verdict}"


def _leading(report: GradientReport) -> Diagnosis | None:
    """Return the diagnosis that the first line tells: the best that is about several entries."""
    wrong = {block.name: block.wrong for block in report.blocks}
    for diagnosis in report.diagnoses:
        entries = sum(wrong.get(name, 0) for name in diagnosis.blocks)
        if diagnosis.code not in NOT_LEADING and entries > 1:
            return diagnosis
    return None


def _looks(report: GradientReport, diagnosis: Diagnosis) -> str:
    """Return what the error looks like, where, and of how many parameters, in one short line."""
    mine = set(diagnosis.blocks)
    about = [block for block in report.blocks if block.name in mine]
    said = _OBVIOUS.sub("", diagnosis.sentence)
    one, name, names = about[0], "", names_of(report)
    # Along directions there is one sentence for all, and their names behind it.
    hint = one.hint or diagnosis.sentence.rpartition(", in ")[0] or said
    listed = one.hint and diagnosis.code in OF_THETA
    alone = len(about) == 1 or not (listed or _COUNTED.search(hint))
    if alone and one.code == diagnosis.code not in ALWAYS_TOLD:
        name = together([names[block.name] for block in about], 1 if len(about) > 2 else 2)
        told = hint.removeprefix("analytic = ")
        verb = " are " if len(about) > 1 else " is "
        said = f"{name}: {told}" if told == hint else f"{name}{verb}{told}"
        said = _OBVIOUS.sub("", said)
    wrong, checked = sum(b.wrong for b in about), sum(b.checked for b in about)
    count = "" if _COUNTED.search(said) else f" ({wrong:,} of {checked:,} wrong)"
    least = len(name) + 2
    texts = [said + count, said, _short(said, HEADLINE - len(count), least) + count]
    texts.append(_short(said, HEADLINE, least))
    text = next((text for text in texts if len(text) <= HEADLINE), texts[-1])
    others = [names[b.name] for b in report.blocks if b.wrong and b.name not in mine]
    more = f"{len(others)} more blocks" if len(others) > 1 else "".join(others)
    tail = f"; {more} wrong too" if more else ""
    return text + tail if len(text + tail) <= HEADLINE else text


_OBVIOUS = re.compile(r", (everywhere in the block|everywhere|the rest is right)")
# Where a sentence can end: not inside an index or brackets, ``in [1, 0] and [1, 1]``.
_PARTS = re.compile(r"[,:;] (?![^\[(]*[\])])|(?<!except) in (?=\[)")
_COUNTED = re.compile(r"\d of \d")
_SENTENCE = re.compile(r"(^| )(is|are|=|agrees|enters) ")


def _short(said: str, width: int, least: int) -> str:
    """Return a sentence without its last parts, as many as it takes to fit; its first one stays."""
    cuts, begin = [], 0
    for part in _PARTS.finditer(said, least):
        if _SENTENCE.search(said, begin, part.start()):  # not in a list of names
            cuts.append(part.start())
        begin = part.end() if part[0] in (": ", "; ") else begin
    cuts.append(len(said))
    return said[: max((cut for cut in cuts if cut <= width), default=cuts[0])]


def _slopes(entry: Entry) -> str:
    return " and ".join(f"{slope:.4g}" for slope in entry.slopes or ())


def _block_lines(
    blocks: Sequence[BlockReport], most: int, width: int, names: Mapping[str, str], first: str
) -> list[str]:
    """Return the table of the first `most` blocks, those with a hint before the others."""
    if len(blocks) <= most + 1:  # a line that says that there is one more takes as much room
        most = len(blocks)
    rows = [["block", "shape", "wrong", "difference", "what it looks like"]]
    for block in sorted(blocks, key=lambda block: not block.hint)[:most]:
        # Between which layers an error enters is not said again where the `first` line has it.
        said = "" if block.code == "backward" and block.hint in first else block.hint
        if not block.hint and block.open:
            said = f"{block.open} can't be told"
        wrong = f"{block.wrong} / {block.checked or block.size}"
        difference = "" if math.isnan(block.difference) else f"{block.difference:.2e}"
        rows.append([names[block.name], str(block.shape), wrong, difference, said])
    lines = table(rows, width, drop=("difference", "shape"))
    more = len(blocks) - most
    return [*lines, f"and {more} more blocks"] if more else lines


def _agreeing(report: GradientReport, width: int, names: Mapping[str, str]) -> list[str]:
    agree = [
        names[block.name]
        for block in report.blocks
        if block.verdict == "agree" and not block.vacuous and block.size
    ]
    if not agree:
        return []
    return wrapped(f"{listing(agree)} agree" + ("s" if len(agree) == 1 else ""), width)


def _entry_lines(entries: Sequence[Entry], width: int, names: Mapping[str, str]) -> list[str]:
    called = [label(entry, names) for entry in entries]
    # A value has 11 characters, and 9 more with its error bar: fewer where there is no room.
    form = "+.{}e" if max(map(len, called)) + 2 * 13 + 9 <= width else ".{}g"
    rows = [["worst", "analytic", "numeric +- error bar", "error", "x tolerance", ""]]
    for name, entry in zip(called, entries, strict=True):
        a, n = told_apart(entry.analytic, entry.numeric, form)
        tie = f"; {TOGETHER}" if entry.reason == TOGETHER else ""
        said = f"kink, slopes {_slopes(entry)}{tie}" if entry.slopes is not None else entry.reason
        sizes = [f"{entry.error:.1e}", f"{entry.ratio:.1e}"]
        if math.isnan(entry.numeric) and entry.ratio == 0:  # there is nothing to be off by
            sizes = ["", ""]
        rows.append([name, a, _beside(n, entry), *sizes, said])
    if sum(max(map(len, column)) + 2 for column in list(zip(*rows, strict=True))[:3]) > width + 2:
        return _stacked(rows, width)
    return table(rows, width, drop=("error", "x tolerance"))


def _beside(numeric: str, entry: Entry) -> str:
    """Return a numeric value with its error bar, or that there is none."""
    known = not math.isnan(entry.numeric)
    return f"{numeric} +- {entry.error_bar:.0e}" if known else "not known"


def _stacked(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return entries whose labels leave no room beside them: the numbers stand below."""
    first, *rest = rows
    header, *lines = table([[*first[:3], ""], *(["", *row[1:3], ""] for row in rest)], width)
    said = [wrapped(": ".join(filter(None, (row[0], row[-1]))), width) for row in rest]
    return [header, *(x for above, line in zip(said, lines, strict=True) for x in (*above, line))]


def _notes(report: GradientReport) -> list[str]:
    lines = [*report.patterns, *_together(report)]
    if failed := [point.at for point in report.points if not point.ok]:
        lines.append(f"{len(failed):,} of {len(report.points):,} points fail: {listing(failed)}")
    lines += report.remarks
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
    ignored = together(report.vacuous)
    if report.worst and 0 < len(report.vacuous) < len(report.blocks):
        told = _of_point(report).startswith(f"{ignored}: ")
        lines += [] if told else [f"nothing was checked in {ignored}: func ignores it here"]
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


def _together(report: GradientReport) -> list[str]:
    """Return the diagnoses of several blocks that neither first line nor table of blocks shows."""
    first, leading = headline(report), _leading(report)
    rows = {block.name: block for block in report.blocks if block.code}
    codes = {name: block.code for name, block in rows.items()} if len(rows) <= MOST_BLOCKS else {}

    def shown_above(one: Diagnosis) -> bool:
        listed = all(codes.get(name) == one.code for name in one.blocks)
        if one.code in ALWAYS_TOLD:
            told = one.code == "backward" and one.sentence.partition(":")[0] in first
            return told or (listed and one.sentence in {rows[name].hint for name in one.blocks})
        # How many can't be told is in the first line.
        return one is leading or one.code == "noise" or len(one.blocks) < 2 or listed

    said = [
        one.sentence
        for one in report.diagnoses
        if one.sentence not in ("", *report.reasons, *report.patterns)
        and one.sentence not in first
        and not shown_above(one)
    ]
    return [f"looks like: {sentence}" for sentence in said[:MOST_TOGETHER]]


def tolerances(report: GradientReport) -> str:
    """Return what was demanded and what was applied."""
    used = f"rtol {report.rtol_used:.2g} (unset)" if report.rtol_used else "rtol unset"
    rtol = used if report.rtol is None else f"rtol {report.rtol:g}"
    atol = f"atol {report.atol:g}" if report.atol is not None else "atol relative to block"
    extra = f", threshold {report.threshold:g}" if report.threshold is not None else ""
    return f"{rtol}, {atol}{extra}"


def footer(report: GradientReport, width: int, wrong: str = "") -> list[str]:
    """Return the last lines: how many are wrong, difference, tolerances, formula, cost."""
    difference = f"difference {report.difference:.2e}" if report.checked else ""
    parts = [difference, tolerances(report), wrong, report.scheme]
    parts = [*filter(None, parts), f"{report.evaluations:,} evaluations of func"]
    lines = parts[:1]
    for part in parts[1:]:
        if len(longer := f"{lines[-1]}; {part}") <= width:
            lines[-1] = longer
        else:
            lines.append(part)
    return _paragraph(lines, width)


def told(report: GradientReport) -> list[str]:
    """Return what came of a check, in words that are joined with commas."""
    if report.verdict == "agree":
        said = f"{report.checked:,} agree"
    elif not report.checked:
        said = report.verdict
    else:
        parts = [(report.wrong, "wrong"), (report.open, "open")]
        said = ", ".join(f"{n:,} of {report.checked:,} {word}" for n, word in parts if n)
        said = said or report.verdict
    found = [said]
    if not report.checked:  # why, without its figures
        found += [reason.partition(":")[0] for reason in report.reasons[:1]]
    if report.directions:
        found.append(f"along {report.directions} random directions")
    if report.points:
        found.append(f"at {len(report.points):,} points" if report.ok else f"at {report.at}")
    if report.kinks:
        found.append(f"{report.kinks:,} at a kink")
    if report.vacuous:
        found.append(f"nothing checked in {together(report.vacuous)}")
    if STATIONARY in report.reasons:
        found.append("at a stationary point")
    return found


def summary(report: GradientReport) -> str:
    """Return one line for the terminal's section."""
    said = told(report)
    coarse = " (coarse)" if is_coarse(report) else ""
    if report.checked:
        said.append(f"difference {report.difference:.1e}")
        said.append(f"resolution {report.resolution:.0e}{coarse}")
    said += seen_at_most(report)
    said += [f"{report.evaluations:,} evaluations", f"{report.seconds:.2f} s"]
    return f"{shown(report.name, 40)}: {', '.join(said)}"


def row(report: GradientReport) -> list[str]:
    """Return a check as a row of the table at the end of a session; its test is not known here."""
    result, *remarks = told(report)
    remarks += ["coarse"] if is_coarse(report) else []
    name = report.name.rpartition(".")[2].replace("<lambda>", "")
    sizes = [f"{report.difference:.1e}", f"{report.resolution:.0e}"] if report.checked else ["", ""]
    cost = f"{report.evaluations:,}", f"{report.seconds:.2f} s"
    return [shown(name, 40), result, *sizes, *cost, ", ".join([*remarks, *seen_at_most(report)])]


def table_of_rows(rows: Sequence[Sequence[str]], width: int) -> list[str]:
    """Return the lines of that table; what is remarkable of a check stands below it, indented."""
    # Names are shortened before a column is left out: all by their files, then each in its middle.
    beside = zip(*(cells[1:-1] for cells in [ROW, *rows]), strict=True)
    room = max(width - sum(max(map(len, column)) + 2 for column in beside), LEAST_CHECK)
    names = [name for name, *_ in rows]
    if max(map(len, names)) > room:
        names = [name.partition("::")[2] or name for name in names]
    named = [[shown(name, room), *cells[1:-1], ""] for name, cells in zip(names, rows, strict=True)]
    right = ("difference", "resolution", "evals", "time")
    header, *lines = table([ROW, *named], width, drop=("difference", "evals", "time"), right=right)
    remarks = [wrapped(f"  {cells[-1]}", width) if cells[-1] else [] for cells in rows]
    return [header, *(x for line, more in zip(lines, remarks, strict=True) for x in [line, *more])]


def is_coarse(report: GradientReport) -> bool:
    """Return whether errors of some size are not seen, beyond what an rtol that is given allows."""
    return report.coarse or max(COARSE, 2 * (report.rtol or 0.0)) < report.resolution < math.inf


def seen_at_most(report: GradientReport) -> list[str]:
    """Return what would have been seen of a coarse check that agrees, in words."""
    if not (report.coarse and report.verdict == "agree"):
        return []
    worst = max(report.blocks, key=lambda block: block.block_seen or 0.0)
    return [f"in {shown(worst.name)} {_seen(worst)} would be seen"]


def details(report: GradientReport, *, unicode: bool = True) -> str:
    """Return every block, error maps and up to 100 parameters."""
    width = columns()
    rows = [["block", "shape", "verdict", "wrong", "open", "kinks", "difference", "resolution"]]
    for block in report.blocks:
        verdict = "vacuous" if block.vacuous else block.verdict
        found = [f"{count:,}" for count in (block.wrong, block.open, block.kinks)]
        sizes = [f"{block.difference:.2e}", f"{block.resolution:.0e}"]
        sizes = sizes if report.checked else ["", ""]
        rows.append([shown(block.name, 40), str(block.shape), verdict, *found, *sizes])
    listed = table(rows, width, drop=("kinks", "open", "shape", "resolution"))
    lines = [f"{shown(report.name, 60)}: {report.verdict}", *report.reasons, "", *listed]
    hints = [
        f"{shown(' and '.join(diagnosis.blocks), 40) or report.name}: {diagnosis.sentence} "
        f"({diagnosis.code})"
        for diagnosis in report.diagnoses
    ]
    named = {name for diagnosis in report.diagnoses for name in diagnosis.blocks}
    hints += [f"{shown(b.name)}: {b.hint}" for b in report.blocks if b.hint and b.name not in named]
    hints += [f"hint: {hint}" for hint in report.hints]
    if hints:
        lines += ["", *_paragraph(hints, width)]
    if maps := maps_of(report, width):
        lines += ["", *maps]
    if report.worst and report.checked:  # else nothing is known of any of them
        lines += ["", *_entry_lines(report.worst[:100], width, names_of(report))]
        more = report.wrong + report.open - 100
        lines += [f"and {more:,} more"] if more > 0 else []
    lines += ["", *_paragraph(_notes(report), width)]
    figures = (
        f"J = {report.value!r}, noise of func {report.noise:.1e} ({report.precision}), "
        f"seed {report.seed}, {report.seconds:.3f} s"
    )
    text = "\n".join([*lines, *footer(report, width), *wrapped(figures, width)])
    return text if unicode else plain(text)


def section(report: GradientReport, *, whole: bool, printed: bool, room: int) -> str:
    """Return what pytest shows below a failure: what the message lacks; empty where it lacks none.

    `whole`: the details, which repeat it.  `printed`: the message was raised, and stands above.  A
    map is there if it fits in `room` lines.
    """
    if whole:
        return details(report)
    said = _message(report, columns() - MARGIN)
    lines = [] if printed else [f"{shown(report.name, 40)}: {said[0]}", *said[1:]]
    return "\n".join([*lines, *small_map(report, columns(), room - len(lines))])
