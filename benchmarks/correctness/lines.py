"""Whether the line that a failure names is the line that is wrong.

    python benchmarks/correctness/lines.py
    python benchmarks/correctness/lines.py --model 'tanh*' --show

The wrong gradients of `tests/planted` (and of `held_out_bugs.py`), each written out as its author
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

HELD_OUT = ("held_out_bugs", "held_out_steps")


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
    """What a failure names: whether its first line is right, whether any is, and how many."""

    written: Written
    first: bool
    any: bool
    count: int
    foreign: bool
    hits: tuple[bool, ...]
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
            file = folder / f"{module.rpartition('.')[2]}_{zlib.crc32((plan.name + bug).encode())}.py"
            file.write_text(wrong, encoding="utf-8")
            lines = changed_lines(right, wrong)
            given = dict(options[0]) if options else {}
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
            if isinstance(one, ast.Subscript) and ast.unparse(one.value) == table.id:
                if isinstance(one.slice, ast.Constant) and one.slice.value == bug and value:
                    return value
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
    known = ast.literal_eval(test.comparators[0])
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
    """Return the lines of the statements in which a wrong file differs from the right one."""
    old, new = right.splitlines(), wrong.splitlines()
    statements = simple(wrong)
    before = simple(right)
    found: set[int] = set()
    for kind, a, b, c, d in difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind in ("replace", "insert"):
            found |= {s for s, e, _ in statements if s <= d and e > c}
        if kind in ("replace", "delete"):
            names = {name for s, e, own in before if s <= b and e > a for name in own}
            home = enclosing(wrong, c)
            if kind == "delete" or True:
                found |= {s for s, _, own in statements if own & names and home[0] <= s <= home[1]}
        if kind == "delete":
            found |= {max((s for s, _, _ in statements if s <= c), default=0)}
            found |= {min((s for s, _, _ in statements if s > c), default=0)}
    return frozenset(line for s, e, _ in statements if s in found for line in range(s, e + 1))


def enclosing(text: str, line: int) -> tuple[int, int]:
    """Return the lines of the innermost function around one."""
    inside = [
        (node.end_lineno - node.lineno, node.lineno, node.end_lineno)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef) and node.lineno <= line + 1 <= (node.end_lineno or 0) + 1
    ]
    return min(inside)[1:]


def simple(text: str) -> list[tuple[int, int, frozenset[str]]]:
    """Return first and last line of every statement, a loop's without its body, and its names."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.Module)) or not isinstance(node, ast.stmt):
            continue
        end = node.body[0].lineno - 1 if hasattr(node, "body") else node.end_lineno
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        names = {ast.unparse(one) for target in targets if target for one in ast.walk(target)
                 if isinstance(one, (ast.Name, ast.Subscript)) and isinstance(one.ctx, ast.Store)}  # fmt: skip
        found.append((node.lineno, max(end or 0, node.lineno), frozenset(names)))
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
    hits = [line.file == str(written.file) and line.line in written.changed for line in report.lines]
    home = str(Path(pytest_gradcheck.__file__).parent)
    foreign = any(line.file.startswith(home) or "site-packages" in line.file for line in report.lines)
    named = tuple(f"{x.role} {','.join(x.blocks)} :{x.line} {x.source}" for x in report.lines)
    return Row(written, bool(hits) and hits[0], any(hits), len(hits), foreign, tuple(hits), named)


def table(title: str, rows: list[Row], key: Callable[[Row], str]) -> None:
    print(f"\n{title:<26}{'bugs':>6}{'first':>9}{'any':>9}{'lines':>8}{'silent':>8}")
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    for name, own in [*groups.items(), ("all", rows)]:
        n = len(own)
        print(
            f"{name:<26}{n:>6}{100 * sum(r.first for r in own) / n:>7.1f} %"
            f"{100 * sum(r.any for r in own) / n:>7.1f} %{sum(r.count for r in own) / n:>8.1f}"
            f"{sum(not r.count for r in own):>8}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="draws of each model (1)")
    parser.add_argument("--model", metavar="PATTERN", default="*", help="glob on models' names")
    parser.add_argument("--held-out", action="store_true", help="held_out_bugs.py in their place")
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
        if given.show:
            for row in rows:
                if not row.first:
                    lines = row.written.file.read_text(encoding="utf-8").splitlines()
                    print(f"\n{row.written.model}: {row.written.bug} ({'any' if row.any else 'none'})")
                    for number in sorted(row.written.changed):
                        print(f"  changed :{number} {lines[number - 1].strip()}")
                    for line in row.named:
                        print(f"  named   {line}")
    table("family", rows, lambda row: row.written.family.rpartition(".")[2])
    table("right hint", rows, lambda row: row.written.codes[0])
    print(f"\nlines of ours or of a library: {sum(row.foreign for row in rows)}")
    print(f"{time.perf_counter() - started:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
