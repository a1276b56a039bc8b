"""Print the rooms of the package: files, lines, and how long the bodies of their functions are."""

import ast
from pathlib import Path

import numpy as np

PACKAGE = Path(__file__).parents[1] / "pytest_gradcheck"


def bodies(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            documented = ast.get_docstring(node) is not None and len(node.body) > 1
            yield node.end_lineno - node.body[documented].lineno + 1


def row(name, paths):
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in paths)
    lengths = [length for path in paths for length in bodies(path)] or [0]
    return name, len(paths), lines, *np.percentile(lengths, (50, 90, 100)).astype(int)


rooms = {}
for path in sorted(PACKAGE.rglob("*.py")):
    rooms.setdefault(path.relative_to(PACKAGE).parts[0], []).append(path)
rooms["all"] = [path for paths in rooms.values() for path in paths]
print(f"{'room':<16} files  lines  median  90 %  longest")
for room in rooms.items():
    print("{:<16} {:>5} {:>6} {:>7} {:>5} {:>8}".format(*row(*room)))
