"""Other projects' own gradient tests, with this engine in place of their checker.

    python benchmarks/correctness/suites.py  # those of scipy and scikit-learn, as installed
    python benchmarks/correctness/suites.py --autograd PATH  # those of autograd, from its source
    python benchmarks/correctness/suites.py --autograd PATH --part 3/20  # a twentieth of them
    python benchmarks/correctness/suites.py --autograd PATH --theirs  # by autograd's own checker

The tests of autograd are in its repository alone: `git clone https://github.com/HIPS/autograd`, and
PATH is the folder `tests` of that, or a file there.

Each test module is run by pytest as it is; before a test runs, the checker's name is replaced by
the function of `pytest_gradcheck.compat`.  A test counts when it called the checker.  These are
right gradients, so a failure is a false alarm, unless the test means the checker to complain.
"""

from __future__ import annotations

import argparse
import functools
import inspect
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

PYARGS = (
    "scipy.optimize.tests.test_optimize",
    "sklearn.manifold.tests.test_t_sne",
    "sklearn.linear_model.tests.test_huber",
    "sklearn.neighbors.tests.test_nca",
)

OF_THE_CHECKER = ("test_check_grad", "TestCheckGrad")
"""Tests of scipy's check_grad itself, which call it with wrong gradients and bad arguments."""


class Replacement:
    """The pytest plugin that replaces the checker and counts."""

    def __init__(self, theirs: bool, part: str) -> None:
        self.theirs = theirs
        self.part = part
        self.seconds = 0.0
        self.calls = 0
        self.before = 0
        self.count: Counter[str] = Counter()
        self.failed: list[str] = []

    def counted(self, checker):
        """Return the checker, its calls counted."""

        @functools.wraps(checker)
        def call(*args, **kwargs):
            self.calls += 1
            return checker(*args, **kwargs)

        return call

    def pytest_collection_modifyitems(self, config, items):
        """Leave out, of scipy's and scikit-learn's tests, those that name no checker."""
        kept = [
            item
            for item in items
            if item.module.__name__.split(".")[0] not in ("scipy", "sklearn")
            or "check_grad" in inspect.getsource(item.function)
        ]
        k, count = map(int, self.part.split("/"))
        kept = kept[k - 1 :: count]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept

    def pytest_collection_finish(self, session):
        """Put our functions in the place of the others, wherever a test module has them."""
        import scipy.optimize

        from pytest_gradcheck.compat import autograd
        from pytest_gradcheck.compat import scipy as ours

        replaced = {"check_grad": self.counted(ours.check_grad)}
        scipy.optimize.check_grad = replaced["check_grad"]
        if "autograd.test_util" in sys.modules:
            test_util = sys.modules["autograd.test_util"]
            checker = test_util.check_grads if self.theirs else autograd.check_grads
            replaced["check_grads"] = self.counted(checker)
            # combo_check looks it up there.
            test_util.check_grads = replaced["check_grads"]
        for module in {item.module for item in session.items}:
            for name, checker in replaced.items():
                theirs = getattr(module, name, None)
                if isinstance(theirs, functools.partial):  # modes chosen for a whole module
                    setattr(
                        module, name, functools.partial(checker, *theirs.args, **theirs.keywords)
                    )
                elif callable(theirs):
                    setattr(module, name, checker)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item):
        """Note what came of a test."""
        before, started = self.calls, time.process_time()
        try:
            result = yield
        except BaseException as error:
            self.note(item, before, error, time.process_time() - started)
            raise
        self.note(item, before, None, time.process_time() - started)
        return result

    def note(self, item, before, error, seconds):
        """Count a test that called the checker."""
        if self.calls == before or any(name in item.nodeid for name in OF_THE_CHECKER):
            return
        root = item.module.__name__.split(".")[0]
        project = root if root in ("scipy", "sklearn") else "autograd"
        self.seconds += seconds
        self.count[f"{project} checks"] += self.calls - before
        self.count[f"{project} tests"] += 1
        if error is not None and not isinstance(error, pytest.skip.Exception):
            self.count[f"{project} failed"] += 1
            self.failed.append(
                f"{item.nodeid}: {next(iter(str(error).splitlines()), type(error).__name__)}"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--autograd", type=Path, help="folder of autograd's tests")
    parser.add_argument("--theirs", action="store_true", help="time autograd's own checker")
    parser.add_argument("--part", default="1/1", help="of the tests, as in 3/20")
    parser.add_argument("-k", default="", help="as pytest's")
    given = parser.parse_args()
    plugin = Replacement(given.theirs, given.part)
    options = ["-q", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-p", "no:warnings",
               "-c", "/dev/null", "--rootdir", "/", "--gradcheck-summary", "none"]  # fmt: skip
    options += ["-k", given.k] if given.k else []
    where = [str(given.autograd)] if given.autograd else ["--pyargs", *PYARGS]
    pytest.main([*options, *where], plugins=[plugin])
    print(f"\n{plugin.seconds:.1f} s of processor time in these tests")
    print("| project | tests that call a checker | checks | passed | false alarms |")
    print("| --- | --- | --- | --- | --- |")
    for project in ("scipy", "sklearn", "autograd"):
        tests, failed = plugin.count[f"{project} tests"], plugin.count[f"{project} failed"]
        if tests:
            checks = plugin.count[f"{project} checks"]
            print(f"| {project} | {tests} | {checks} | {tests - failed} | {failed} |")
    for line in plugin.failed:
        print("failed:", line[:300])


if __name__ == "__main__":
    main()
