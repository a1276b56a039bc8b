"""List what a wheel and an sdist hold, and hold it against what git knows.

::

    python .ci/contents.py dist/*

Every file of the package must be in the wheel, every file of the folders that pyproject.toml names
in the sdist, and nothing else: a cache, a note or a secret that lay about is an error.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

INFO = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
"""Files of a wheel's dist-info."""

ADDED = {"PKG-INFO", "pyproject.toml", ".gitignore"}
"""Files that hatchling puts into every sdist."""

METADATA = {"License-Expression: MIT", "License-File: LICENSE", "Requires-Python: >=3.11"}
"""Lines of both."""

RELATIVE = re.compile(r"(?:\]\(|src=\")(?!https?:)[^\s)]+")
"""A link to a file of the project, in the README that is part of the metadata."""


def known() -> set[str]:
    """Return the paths of the files that git knows."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return set(filter(None, listed.stdout.decode().split("\0")))


def read(path: Path) -> tuple[set[str], str]:
    """Return the names of an archive's files, its top folder cut off, and its metadata."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            names = set(wheel.namelist())
            (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
            return names, wheel.read(metadata).decode()
    with tarfile.open(path) as sdist:
        names = {member.name.split("/", 1)[1] for member in sdist.getmembers() if member.isfile()}
        if any(member.issym() or member.islnk() for member in sdist.getmembers()):
            raise SystemExit(f"{path.name}: a link")
        file = sdist.extractfile(f"{path.name.removesuffix('.tar.gz')}/PKG-INFO")
        assert file is not None
        return names, file.read().decode()


def expected(path: Path) -> set[str]:
    """Return the names that should be in it."""
    if path.suffix == ".whl":
        info = "-".join(path.name.split("-")[:2]) + ".dist-info/"
        return {name for name in known() if name.startswith("pytest_gradcheck/")} | {
            info + name for name in INFO
        }
    include = SETTINGS["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    tops = {name.removeprefix("/") for name in include}
    return {name for name in known() if name.split("/", 1)[0] in tops} | ADDED


def main(paths: list[Path]) -> None:
    """Print every file; exit with what is missing, and with what should not be there."""
    if sorted(re.sub(r".*(\.whl|\.tar\.gz)$", r"\1", path.name) for path in paths) != [
        ".tar.gz",
        ".whl",
    ]:
        raise SystemExit(f"not one wheel and one sdist: {[path.name for path in paths]}")
    for path in paths:
        names, metadata = read(path)
        wanted = expected(path)
        print(path.name, *sorted(names), sep="\n  ")
        problems = [f"missing: {name}" for name in sorted(wanted - names)]
        problems += [f"not expected: {name}" for name in sorted(names - wanted)]
        problems += [f"no line {line!r}" for line in METADATA.difference(metadata.splitlines())]
        problems += [f"leads nowhere on PyPI: {one}" for one in RELATIVE.findall(metadata)]
        if problems:
            raise SystemExit("\n".join([path.name, *problems]))


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
