"""Right and wrong gradients before our checker and its peers, in one run.

    python benchmarks/correctness/accuracy.py --ours-only  # about three minutes on two cores
    python benchmarks/correctness/accuracy.py  # with every peer that is installed
    python benchmarks/correctness/accuracy.py --case 'mlp*' --ours-only
    python benchmarks/correctness/accuracy.py --self-test  # is every "right" gradient right?
    python benchmarks/correctness/accuracy.py --field 40  # kinds that reports found, 40 draws each
    python benchmarks/correctness/accuracy.py --ablate DUST FINE  # which verdicts these decide
    python benchmarks/correctness/accuracy.py --ablate all  # about an hour on one core

`cases/` holds the functions, each with its gradient and what a checker should say of it;
`suite/mutants.py` makes the wrong gradients; `suite/oracle.py` decides, knowing the truth, which
of them float64 can resolve; `suite/checkers.py` holds the checkers and the rules they are used
with.  Nothing is random from run to run.  The peers need `pip install -e ".[bench]"`, and cases
from scipy, scikit-learn, torch and autograd those packages; what is missing is skipped and said
so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatch
from pathlib import Path

# One thread each: two workers on two cores, and BLAS sums in the same order every time.  Read
# when numpy and jax are imported, which is why `main` imports them.
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "JAX_PLATFORMS": "cpu",
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ours-only", action="store_true", help="leave the peers out")
    parser.add_argument("--case", metavar="PATTERN", help="glob on 'category: name' or the name")
    parser.add_argument("--json", metavar="PATH", type=Path, help="write every answer here")
    parser.add_argument("--self-test", action="store_true", help="confirm the right gradients")
    parser.add_argument(
        "--field", metavar="DRAWS", type=int, help="rates of the kinds in the field"
    )
    parser.add_argument("--ablate", metavar="NAME", nargs="+", help="change constants, one by one")
    parser.add_argument("--sample", type=float, help="part of the cases that are ablated on")
    parser.add_argument("--by", type=float, default=2.0, help="factor by which constants change")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    return parser.parse_args()


def main() -> int:
    given = arguments()
    os.environ.update(ENVIRONMENT)
    if given.field:
        from suite import in_the_field

        for line in in_the_field.rates(given.field):
            print(line, flush=True)
        return 0
    if given.ablate:
        from suite import ablation

        sample = ablation.SAMPLE if given.sample is None else given.sample
        everything = "all" not in given.ablate
        for line in ablation.report(given.ablate, sample, given.by, given.json, everything):
            print(line, flush=True)
        return 0
    from cases import load
    from suite import selftest, tables, trial
    from suite.checkers import OURS

    pattern = given.case or "*"
    chosen = [
        case for case in load().values()
        if fnmatch(case.name, pattern) or fnmatch(f"{case.category}: {case.name}", pattern)
    ]  # fmt: skip
    if not chosen:
        print(f"no case matches {pattern!r}")
        return 2
    if given.self_test:
        return min(1, selftest.run(chosen))
    peers, missing = ([], []) if given.ours_only else trial.available()
    for line in missing:
        print(f"left out, {line}")
    names = [*OURS, *peers]
    start = time.perf_counter()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(given.jobs, mp_context=context) as pool:
        waiting = [pool.submit(trial.examine_by_name, case.name, names) for case in chosen]
        records = [future.result() for future in waiting]
    for line in tables.report(records, names, list(OURS)):
        print(line)
    print(f"\n{len(records)} cases, {time.perf_counter() - start:.0f} s")
    if given.json:
        given.json.write_text(json.dumps(records, indent=1, default=str) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
