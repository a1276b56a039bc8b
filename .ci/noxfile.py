"""The tests with every Python, pytest and numpy that is promised.

::

    nox -f .ci/noxfile.py --list
    nox -f .ci/noxfile.py                                      all that have a Python here
    nox -f .ci/noxfile.py -p 3.12 -- -n 2                      of one Python; pytest's arguments
    nox -f .ci/noxfile.py -s lowest -- tests/project/test_docs.py

What is lowest is read from pyproject.toml; a Python that isn't here is skipped.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import nox

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

PYTHONS = ("3.11", "3.12", "3.13")

FREE_THREADED = ("3.13t", "3.14t")

FIRST_NUMPY = {"3.13": "2.1"}
"""The first version with wheels for a Python that came after the lowest one."""

nox.needs_version = ">=2025.10.16"
nox.options.envdir = str(ROOT / ".nox")
nox.options.error_on_missing_interpreters = False
nox.options.download_python = "never"
nox.options.default_venv_backend = "uv|virtualenv"  # uv, where it is, makes them in seconds


def floors(*extras: str) -> dict[str, str]:
    """Return the lowest version of each direct requirement, by name."""
    required = list(PROJECT["dependencies"])
    for extra in extras:
        required += PROJECT["optional-dependencies"][extra]
    found = (re.fullmatch(r"([\w-]+)>=([\d.]+)", text) for text in required)
    return {one[1]: exact(one[2]) for one in found if one}  # an extra in an extra has no version


def exact(version: str) -> str:
    """Return a version as three numbers, as releases are tagged."""
    return version + ".0" * (2 - version.count("."))


def run_tests(session: nox.Session, constraints: dict[str, str], *more: str) -> None:
    """Install the checkout with these versions, and more packages, and run its tests."""
    session.chdir(ROOT)
    # Not in create_tmp, which moves TMPDIR into the checkout, and the tests' projects with it.
    file = Path(session.virtualenv.location, "constraints.txt")
    file.write_text("".join(f"{name}=={version}\n" for name, version in constraints.items()))
    session.install("--constraint", str(file), "-e", ".[test]", *more)
    session.run("python", "-VV")
    if session.venv_backend == "uv":
        session.run("uv", "pip", "list", external=True)
    else:
        session.run("python", "-m", "pip", "list")
    session.run("python", "-m", "pytest", "-q", *session.posargs)


@nox.session(python=PYTHONS)
@nox.parametrize("numpy", ["lowest", "newest"], ids=["numpy-lowest", "numpy-newest"])
@nox.parametrize("pytest", ["lowest", "newest"], ids=["pytest-lowest", "pytest-newest"])
def tests(session: nox.Session, pytest: str, numpy: str) -> None:
    """Run the tests with one Python, pytest and numpy; all else is the newest."""
    lowest = floors()
    constraints = {}
    if pytest == "lowest":
        constraints["pytest"] = lowest["pytest"]
    if numpy == "lowest":
        constraints["numpy"] = exact(FIRST_NUMPY.get(str(session.python), lowest["numpy"]))
    run_tests(session, constraints)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest version of every direct requirement, those of tests too."""
    # matplotlib 3.8 uses names that later versions of pyparsing warn of.
    run_tests(session, {**floors("html", "test"), "pyparsing": "3.1.0"})


@nox.session(python=PYTHONS[-1])
def prerelease(session: nox.Session) -> None:
    """Run the tests with a release candidate of pytest, if there is one, or the newest."""
    run_tests(session, {}, "--pre", "pytest")


@nox.session(python=FREE_THREADED)
def freethreaded(session: nox.Session) -> None:
    """Run the tests without the global lock, with pytest-run-parallel for those of threads."""
    # A library that isn't made for it would bring the lock back; this keeps it away.
    session.env["PYTHON_GIL"] = "0"
    run_tests(session, {}, "pytest-run-parallel")
