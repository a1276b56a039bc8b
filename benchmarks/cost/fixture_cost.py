"""Time whole pytest runs: a thousand checks against a thousand comparisons, and an empty run.

    python benchmarks/cost/fixture_cost.py [--rounds 7]

Each run is a process of its own, without other plugins.  The ratios are taken within a round, in
which the runs follow one another, from processor time; the table shows their median and, in
brackets, the least and the largest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

try:
    from resource import RUSAGE_CHILDREN, getrusage
except ImportError:  # not on Windows
    getrusage = None

TESTS = 1_000

COMPARE = f"""
import numpy as np
import pytest

@pytest.mark.parametrize("number", range({TESTS}))
def test_comparison(number):
    x = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(2 * x, x + x)
"""

CHECK = f"""
import numpy as np
import pytest

def cost(x):
    return x @ x

def gradient(x):
    return 2 * x

@pytest.mark.parametrize("number", range({TESTS}))
def test_gradient(number, gradcheck):
    gradcheck(cost, gradient, np.array([1.0, 2.0, 3.0]))
"""

CALL = (
    CHECK.replace("number, gradcheck", "number")
    .replace("    gradcheck(", "    assert_gradients_close(")
    .replace(
        "import pytest\n", "import pytest\nfrom pytest_gradcheck import assert_gradients_close\n"
    )
)

EMPTY = """
def test_nothing():
    pass
"""


def now() -> float:
    """Return the processor time of all ended processes, or the clock where that is not known."""
    if getrusage is None:
        return perf_counter()
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def seconds(folder: Path, file: str, *flags: str) -> float:
    """Run one test file and return how long that took."""
    start = now()
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *flags, file],
        cwd=folder,
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONDONTWRITEBYTECODE": "",
            "PYTHONPYCACHEPREFIX": str(folder / "cache"),
        },
    )
    taken = now() - start
    if done.returncode:
        sys.exit((done.stdout + done.stderr)[-3_000:])
    return taken


def row(name: str, times: list[float], base: list[float]) -> None:
    ratios = [time / other for time, other in zip(times, base, strict=True)]
    print(
        f"{name:44}  {statistics.median(times):7.3f} s"
        f"   x {statistics.median(ratios):5.2f}  ({min(ratios):.2f}-{max(ratios):.2f})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    plugin = ("-p", "gradcheck")
    runs = {
        f"{TESTS:,} np.testing.assert_allclose": ("test_compare.py", ()),
        f"{TESTS:,} checks through the fixture": ("test_check.py", plugin),
        f"{TESTS:,} calls of assert_gradients_close": ("test_call.py", plugin),
        "one empty test, plugin absent": ("test_empty.py", ()),
        "one empty test, plugin present": ("test_empty.py", plugin),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"compare": COMPARE, "check": CHECK, "call": CALL, "empty": EMPTY}
        for file, source in sources.items():
            (folder / f"test_{file}.py").write_text(source, encoding="utf-8")
        for _ in range(rounds + 1):
            for run, (file, flags) in runs.items():
                times[run].append(seconds(folder, file, *flags))
    times = {run: taken[1:] for run, taken in times.items()}  # the first round fills the caches
    compare, fixture, call, absent, present = times
    row(compare, times[compare], times[compare])
    row(f"{fixture} (aim: x 1.5)", times[fixture], times[compare])
    row(call, times[call], times[compare])
    row(absent, times[absent], times[absent])
    row(present, times[present], times[absent])


if __name__ == "__main__":
    main()
