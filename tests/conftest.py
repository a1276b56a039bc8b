"""What the tests of the plugin share: a little suite of a user's, in a directory of its own."""

import gc
import os
import signal
import sys
import time
from contextlib import suppress
from functools import partial
from importlib import import_module
from pkgutil import walk_packages

import pytest
from small_suite import need_plugin

import pytest_gradcheck

pytest_plugins = ["pytester"]

# Hundreds of runs of pytest, each in a process of its own, would else compile the package anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# What a shell's script starts in the background ignores SIGINT, and so would what tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A session of pytest inside this process drops the modules that it was the first to import, and
# numpy can't be imported twice: so everything is imported before.
for _name in pytest_gradcheck.__all__:
    getattr(pytest_gradcheck, _name)
for _module in walk_packages(pytest_gradcheck.__path__, "pytest_gradcheck."):
    if _module.name.startswith("pytest_gradcheck._"):
        import_module(_module.name)
import_module("numpy.ma")

# Failures that are meant look for the line that was wrong but a little: it has tests of its own.
import_module("pytest_gradcheck._source.repairs").MOST_TRIED = 60

with suppress(ImportError):
    from hypothesis import HealthCheck, settings

    # No test may fail because the machine is busy.
    settings.register_profile(
        "unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow]
    )
    settings.load_profile("unhurried")


def pytest_collection_finish():
    """Leave what is here before the first test out of all later collections of garbage.

    Every session of pytest ends with one (with five up to pytest 8.4), those inside a test too.
    """
    gc.freeze()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    """Skip a test whose marker `extra` names a package that isn't here."""
    for mark in item.iter_markers("extra"):
        for name in mark.args:
            pytest.importorskip(name)


QUADRATIC = """
    import numpy as np

    theta = np.array([1.0, -2.0, 3.0])

    def cost(theta):
        return float(np.sum(theta**2))

    def right(theta):
        return 2 * theta

    def wrong(theta):
        gradient = 2 * theta
        gradient[1] *= 1.5
        return gradient
"""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let func seem to take no time: on a loaded machine other evaluations would be asked for.

    A test of what is done where func is slow sets a clock of its own, or takes the real one.
    """
    monkeypatch.setattr("pytest_gradcheck._evaluate.evaluator.perf_counter", lambda: 0.0)


@pytest.fixture
def real_clock(monkeypatch):
    """Let func take the time that it takes."""
    monkeypatch.setattr("pytest_gradcheck._evaluate.evaluator.perf_counter", time.perf_counter)


@pytest.fixture
def suite(pytester, monkeypatch):
    """Pytester with a module `quadratic` to check, and a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    # hypothesis' plugin would import all of hypothesis again at the end of every session.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:cacheprovider")
    for name in ("CI", "BUILD_NUMBER", "PYTEST_PLUGINS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(quadratic=QUADRATIC)
    pytester.syspathinsert()
    return pytester


@pytest.fixture
def beside(suite, monkeypatch):
    """Return a function that runs pytest, in a process of its own, with few plugins beside ours.

    Those are named as their entry points are; a test that needs an absent one is skipped.  Every
    warning is an error, and all checks go to ``checks.json``.
    """
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.delenv("PYTEST_ADDOPTS")

    def run(*args, plugins=(), ours=True, cache=False, python=()):
        for name in plugins:
            need_plugin(name)
        named = [word for name in plugins for word in ("-p", name)]
        if not cache:
            named += ["-p", "no:cacheprovider"]
        if ours:
            named += ["-p", "gradcheck", "--gradcheck-json=checks.json"]
        return suite.run(sys.executable, *python, "-m", "pytest", "-Werror", *named, *args)

    return run


@pytest.fixture
def in_terminal(suite, monkeypatch):
    """Return a function that runs pytest in a terminal and returns all that it wrote."""
    terminals = pytest.importorskip("terminals", exc_type=ImportError)  # there is none on Windows
    monkeypatch.setenv("TERM", "xterm")
    for name in ("NO_COLOR", "PY_COLORS"):  # pytester sets the second
        monkeypatch.delenv(name, raising=False)
    return partial(terminals.written_by_pytest, suite.path)
