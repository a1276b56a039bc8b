"""Whether the line that a failure names is the line that is wrong.

    python benchmarks/correctness/lines.py
    python benchmarks/correctness/lines.py --model 'tanh*' --show

The wrong gradients of `tests/planted` (or of `held_out_*.py`), each written out as its author
would have: a file of its own in which the branches of all other bugs are gone, and of this one
nothing says that it is one.  Lines that differ from the file with the right gradient are those that
were changed; where one was only left out, it is those that assign the same names, and its
neighbours.  Printed is, by family and by the hint that is right, how often the first line that the
failure names is one of them, or of the same statement; how often any line is that it names; and how
many those are.
"""

from __future__ import annotations

import argparse
import ast
import difflib
import sys
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

import numpy as np
import planted

import pytest_gradcheck
from pytest_gradcheck import check_gradients

HELD_OUT = ("held_out_bugs", "held_out_steps", "held_out_lines")


@dataclass(frozen=True)
class Written:
    """A planted bug in a file of its own; `changed` are the lines of its statements."""

    family: str
    model: str
    bug: str
    codes: tuple[str, ...]
    options: dict[str, Any]
    file: Path
    changed: frozenset[int]


@dataclass(frozen=True)
class Row:
    """What a failure names: for each line, the likeliest first, whether it was changed."""

    written: Written
    hits: tuple[bool, ...]
    foreign: bool
    named: tuple[str, ...]


def written_out(folder: Path, module: str, pattern: str) -> Iterable[Written]:
    """Write every bug of a family of models."""
    home = import_module(module)
    text = Path(str(home.__file__)).read_text(encoding="utf-8")
    functions = {n.name: n for n in ast.parse(text).body if isinstance(n, ast.FunctionDef)}
    for plan in home.PLANS:
        if not fnmatch(plan.name, pattern) or plan.build.__module__ != module:
            continue
        node = functions[plan.build.__name__]
        right = with_function(text, node, folded(source(text, node), ""))
        for bug, (codes, _, *options) in plan.table.items():
            wrong = with_function(text, node, folded(source(text, node), bug))
            file = (
                folder / f"{module.rpartition('.')[2]}_{zlib.crc32((plan.name + bug).encode())}.py"
            )
            file.write_text(wrong, encoding="utf-8")
            lines = changed_lines(right, wrong)
            given = dict(options[0]) if options else {}
            if lines:  # else no statement says how it differs
                yield Written(module, plan.name, bug, tuple(codes.split()), given, file, lines)


def source(text: str, node: ast.FunctionDef) -> str:
    return "".join(text.splitlines(keepends=True)[node.lineno - 1 : node.end_lineno])


def with_function(text: str, node: ast.FunctionDef, body: str) -> str:
    lines = text.splitlines(keepends=True)
    return "".join(lines[: node.lineno - 1]) + body + "".join(lines[node.end_lineno :])


def folded(text: str, bug: str) -> str:
    """Return a function's source with one bug in it and no trace of the others."""
    while True:
        tree = ast.parse(text)
        edit = next((e for node in ast.walk(tree) if (e := edit_of(node, text, bug))), None)
        if edit is None:
            return text
        start, end, new = edit
        text = text[:start] + new + text[end:]


def edit_of(node: ast.AST, text: str, bug: str) -> tuple[int, int, str] | None:
    """Return what of the text a node's answer replaces, if it asks for the bug."""
    if isinstance(node, ast.If) and (holds := answer(node.test, bug)) is not None:
        return branch(node, text, node.body if holds else node.orelse)
    if isinstance(node, ast.IfExp) and (holds := answer(node.test, bug)) is not None:
        return whole(node, text, segment(text, node.body if holds else node.orelse))
    if isinstance(node, ast.Call) and asks(node):
        return whole(node, text, segment(text, looked_up(node, text, bug)))
    if isinstance(node, ast.BoolOp):
        return simplified(node, text)
    if isinstance(node, ast.Compare) and (holds := answer(node, bug)) is not None:
        return whole(node, text, str(holds))
    return None


def looked_up(call: ast.Call, text: str, bug: str) -> ast.expr:
    """Return what ``{...}.get(bug, right)`` comes to, also where the dict has a name."""
    table = call.func.value  # type: ignore[attr-defined]
    tables = [table] if isinstance(table, ast.Dict) else []
    for node in ast.walk(ast.parse(text)) if isinstance(table, ast.Name) else ():
        for one in getattr(node, "targets", [getattr(node, "target", None)]):
            value = getattr(node, "value", None)
            if isinstance(one, ast.Name) and one.id == table.id and isinstance(value, ast.Dict):
                tables.append(value)
            named = isinstance(one, ast.Subscript) and ast.unparse(one.value) == table.id
            if named and ast.unparse(one.slice) == repr(bug) and value is not None:
                return value  # slope["..."] = ...
    for one in tables:
        for key, value in zip(one.keys, one.values, strict=True):
            if isinstance(key, ast.Constant) and key.value == bug:
                return value
    return call.args[1]


def simplified(node: ast.BoolOp, text: str) -> tuple[int, int, str] | None:
    """Return an ``and`` or ``or`` without the answers that decide nothing, or what it comes to."""
    decides = isinstance(node.op, ast.Or)
    plain = [isinstance(one, ast.Constant) and isinstance(one.value, bool) for one in node.values]
    if not any(plain):
        return None
    if any(known and one.value == decides for known, one in zip(plain, node.values, strict=True)):  # type: ignore[attr-defined]
        return whole(node, text, str(decides))
    left = [segment(text, one) for known, one in zip(plain, node.values, strict=True) if not known]
    return whole(node, text, (" or " if decides else " and ").join(left) or str(not decides))


def answer(test: ast.expr, bug: str) -> bool | None:
    """Return what a question for the bug comes to, None for any other."""
    if isinstance(test, ast.Constant) and isinstance(test.value, bool):
        return test.value
    if not (isinstance(test, ast.Compare) and isinstance(test.left, ast.Name)):
        return None
    if test.left.id != "bug":
        return None
    try:
        known = ast.literal_eval(test.comparators[0])
    except ValueError:  # it depends on more
        return None
    if isinstance(test.ops[0], (ast.In, ast.NotIn)):
        return (bug in known) == isinstance(test.ops[0], ast.In)
    return (bug == known) == isinstance(test.ops[0], ast.Eq)


def asks(call: ast.Call) -> bool:
    """Return whether a call looks the bug up: ``{...}.get(bug, right)``."""
    named = isinstance(call.func, ast.Attribute) and call.func.attr == "get"
    return named and isinstance(call.args[0], ast.Name) and call.args[0].id == "bug"


def offset(text: str, line: int, column: int) -> int:
    lines = text.splitlines(keepends=True)
    inside = len(lines[line - 1].encode()[:column].decode())
    return sum(map(len, lines[: line - 1])) + inside


def span(node: Any, text: str) -> tuple[int, int]:
    start = offset(text, node.lineno, node.col_offset)
    return start, offset(text, node.end_lineno, node.end_col_offset)


def segment(text: str, node: ast.AST) -> str:
    start, end = span(node, text)
    found = text[start:end]
    return f"({found})" if isinstance(node, (ast.BinOp, ast.UnaryOp, ast.IfExp)) else found


def whole(node: ast.AST, text: str, new: str) -> tuple[int, int, str]:
    return (*span(node, text), new)


def branch(node: ast.If, text: str, kept: list[ast.stmt]) -> tuple[int, int, str]:
    """Return the statements of one branch, in the place of the ``if``."""
    lines = text.splitlines(keepends=True)
    start, end = offset(text, node.lineno, 0), offset(text, node.end_lineno or 0, 0)
    end += len(lines[(node.end_lineno or 0) - 1])
    if not kept:
        return start, end, ""
    body = lines[kept[0].lineno - 1 : kept[-1].end_lineno]
    body[0] = body[0].replace("elif ", "if ", 1)
    less = kept[0].col_offset - node.col_offset
    return start, end, "".join(line[less:] if line.strip() else line for line in body)


def changed_lines(right: str, wrong: str) -> frozenset[int]:
    """Return the lines of the statements in which a wrong file differs from the right one.

    Where lines are only missing: of those in the function that assign the same names, and of the
    statements before and behind.
    """
    old, new = right.splitlines(), wrong.splitlines()
    own, before = statements(wrong), statements(right)
    found: set[int] = set()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind in ("replace", "insert"):
            found |= {one.first for one in own if one.first <= d and one.last > c}
        if kind == "delete":
            names = {n for one in before if one.first <= b and one.last > a for n in one.names}
            first, last = function_around(wrong, c)
            inside = [one for one in own if first <= one.first <= last]
            found |= {one.first for one in inside if one.names & names}
            found |= {max((one.first for one in inside if one.first <= c), default=0)}
            found |= {min((one.first for one in inside if one.first > c), default=0)}
    return frozenset(n for one in own if one.first in found for n in range(one.first, one.last + 1))


def function_around(text: str, line: int) -> tuple[int, int]:
    """Return the first and the last line of the innermost function around one."""
    functions = [n for n in ast.walk(ast.parse(text)) if isinstance(n, ast.FunctionDef)]
    spans = [(n.lineno, n.end_lineno or 0) for n in functions]
    around = [(first, last) for first, last in spans if first <= line + 1 <= last + 1]
    return min(around, key=lambda span: span[1] - span[0])


@dataclass(frozen=True)
class Statement:
    """A statement of a file, a loop without its body, and the names that it assigns."""

    first: int
    last: int
    names: frozenset[str]


def statements(text: str) -> list[Statement]:
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef) or not isinstance(node, ast.stmt):
            continue
        body = getattr(node, "body", None)
        last = body[0].lineno - 1 if body else node.end_lineno or 0
        targets = [*getattr(node, "targets", []), getattr(node, "target", None)]
        inside = [one for target in targets if target for one in ast.walk(target)]
        names = {ast.unparse(one) for one in inside if isinstance(one, (ast.Name, ast.Subscript))}
        found.append(Statement(node.lineno, max(last, node.lineno), frozenset(names)))
    return found


def load(written: Written) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": written.file.stem, "__file__": str(written.file)}
    text = written.file.read_text(encoding="utf-8")
    exec(compile(text, str(written.file), "exec"), namespace)
    return namespace


def examined(written: Written, seed: int) -> Row:
    plan = next(p for p in load(written)["PLANS"] if p.name == written.model)
    rng = [seed, zlib.crc32(plan.name.encode())]
    params, cost, _ = plan.build(np.random.default_rng(rng))
    backward = plan.build(np.random.default_rng(rng))[2]
    grad = partial(backward, bug=written.bug)
    report = check_gradients(cost, grad, params, **written.options)
    file, home = str(written.file), str(Path(pytest_gradcheck.__file__).parent)
    lines = dict.fromkeys((line.file, line.line, line.source) for line in report.lines)
    hits = tuple(name == file and number in written.changed for name, number, _ in lines)
    foreign = any(name.startswith(home) or "site-packages" in name for name, *_ in lines)
    named = tuple(f"{x.role} {','.join(x.blocks)} :{x.line} {x.source}" for x in report.lines)
    return Row(written, hits, foreign, named)


FIRST = (1, 2, 3, 4)


def table(title: str, rows: list[Row], key: Callable[[Row], str]) -> None:
    """Print how often one of the first lines is right, by groups of bugs."""
    heads = "".join(f"{f'of {n}' if n > 1 else 'first':>9}" for n in FIRST)
    print(f"\n{title:<20}{'bugs':>6}{heads}{'of all':>9}{'lines':>8}{'silent':>8}")
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    for name, own in [*groups.items(), ("all", rows)]:
        rates = [100 * sum(any(row.hits[:n]) for row in own) / len(own) for n in (*FIRST, None)]
        mean = sum(len(row.hits) for row in own) / len(own)
        silent = sum(not row.hits for row in own)
        cells = "".join(f"{rate:>7.1f} %" for rate in rates)
        print(f"{name:<20}{len(own):>6}{cells}{mean:>8.1f}{silent:>8}")


def show(row: Row) -> None:
    """Print a bug of which the first line that is named is not the one that was changed."""
    lines = row.written.file.read_text(encoding="utf-8").splitlines()
    said = "named behind it" if any(row.hits) else "not named"
    print(f"\n{row.written.model}: {row.written.bug} ({said})")
    for number in sorted(row.written.changed):
        print(f"  changed :{number} {lines[number - 1].strip()}")
    for line in row.named:
        print(f"  named   {line}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="draws of each model (1)")
    parser.add_argument("--model", metavar="PATTERN", default="*", help="glob on models' names")
    parser.add_argument("--held-out", action="store_true", help="held_out_*.py in their place")
    parser.add_argument("--show", action="store_true", help="list what is not right")
    given = parser.parse_args()
    started = time.perf_counter()
    modules = HELD_OUT if given.held_out else [f"planted.{name}" for name in planted.FAMILIES]
    with tempfile.TemporaryDirectory() as folder:
        rows = [
            examined(written, seed)
            for module in modules
            for written in written_out(Path(folder), module, given.model)
            for seed in range(given.seeds)
        ]
        for row in rows:
            if given.show and not (row.hits and row.hits[0]):
                show(row)
    table("family", rows, lambda row: row.written.family.rpartition(".")[2])
    table("right hint", rows, lambda row: row.written.codes[0])
    print(f"\nlines of ours or of a library: {sum(row.foreign for row in rows)}")
    print(f"{time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
