"""Gradients of float32 modules, right and wrong, and what three checkers say of them.

    python benchmarks/correctness/float32.py              # five seeds: 7 minutes of one core
    python benchmarks/correctness/float32.py --seeds 1
    python benchmarks/correctness/float32.py --kinds lstm gru --each 16 --peer-seeds 0
    python benchmarks/correctness/float32.py --wide --seeds 16 --kinds encoder relu lstm
    python benchmarks/correctness/float32.py --relu 100_000 --seeds 20
    python benchmarks/correctness/float32.py --noise 1e-7 --mean-of 16 --seeds 1

Nine kinds of torch module and five of JAX, in two sizes, with a mean and a sum as the loss.  Each
loss refuses float64, as a kernel does that exists in single precision only, so that every
difference is one of float32 values.

Wrong gradients are a factor in one block, one of its rows, its largest or its median entry: four
factors in four places, of which each module gets the next (`--each`: so many).  A module's own
backward pass is made wrong by an identity whose gradient is multiplied, so that torch's `gradcheck`
and JAX's `check_grads` see the same error; they get the tolerances that are advised for float32,
and are asked for the first seed alone (`--peer-seeds`), as they take longer than all the rest.

What must be caught follows from the noise.  The report of the right gradient says per block how
large an error would have been seen of one entry, a row and the whole block (`entry_seen`,
`row_seen`, `block_seen`; where they are None, by `resolution`).  An error is accused when it is
`GROUP_PROOF` times what passes, so a planted one must be caught from there on; below, it may be.
Columns: caught of those that must be, and of the others.

`--wide` takes torch modules of 5,000 to 7,500 parameters, so many that they are checked along
directions, and of each a row that is twice or 1.1 times what it should be, among the larger half of
its block's, and a block that is 1.01 times so.

`--noise` multiplies J by 1 plus so much times a normal number, another one in each call, as a sum
in changing order does, and func is the mean of `--mean-of` such values.  Of each module a row that
is 1.1 times and a block that is 1.01 times what it should be, and how large errors are seen at all.

`--relu` takes a relu network of so many parameters instead, from seed 1000 on: its right gradient,
one row of a weight twice and ten times what it should be, and one weight a tenth too large.  Each
is named, a row perhaps with some beside it, or its block is, or another, or none.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

os.environ.update({"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"})

import numpy as np

from pytest_gradcheck import BlockReport, GradientReport, check_gradients
from pytest_gradcheck._constants import GROUP_PROOF

Array = np.ndarray[Any, Any]

FACTORS = {"x 2": 2.0, "sign": -1.0, "10 %": 1.1, "1 %": 1.01}
PLACES = ("block", "row", "largest", "median")

ADVISED = {"eps": 1e-3, "atol": 1e-2, "rtol": 1e-2}
"""For torch's gradcheck in single precision; JAX takes atol and rtol."""


@dataclass(frozen=True)
class Case:
    """A float32 loss of arrays by name, its gradient, and how to ask another checker.

    `peer` takes a factor for each entry by which the backward pass is wrong, by name.
    """

    params: Any
    loss: Callable[..., Any]
    gradient: dict[str, Array]
    like: Callable[[dict[str, Array]], Any]
    peer: Callable[[dict[str, Array]], bool]
    nondet_tol: float = 0.0


def torch_case(kind: str, large: int, mean: bool, seed: int) -> Case:
    """Return a torch module's, so much wider than a small one."""
    import torch
    from torch import nn
    from torch.func import functional_call

    from pytest_gradcheck import torch_gradients

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    k = 1 + large
    n = 6 * k
    rows, sequence = torch.randn(16, n), torch.randn(4, 5, n)
    images = torch.randn(4, 2, 8, 8)

    class Last(nn.Module):
        def __init__(self, inner: Any) -> None:
            super().__init__()
            self.inner, self.head = inner, nn.Linear(4 * k, 3)

        def forward(self, x: Any) -> Any:
            return self.head(self.inner(x)[0][:, -1])

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(n, 2, batch_first=True)

        def forward(self, x: Any) -> Any:
            return self.attention(x, x, x)[0]

    def dense(act: Any) -> Any:
        layers = nn.Linear(n, 2 * n), act, nn.Linear(2 * n, n), act, nn.Linear(n, 3)
        return nn.Sequential(*layers)

    def seen(norm: Any) -> Any:
        layers = nn.Conv2d(2, 4 * k, 3), norm, nn.SiLU(), nn.Flatten(), nn.Linear(144 * k, 3)
        return nn.Sequential(*layers)

    normed = nn.Linear(n, 2 * n), nn.LayerNorm(2 * n), nn.SiLU(), nn.Linear(2 * n, 3)
    module, x = {
        "mlp": lambda: (dense(nn.Tanh()), rows),
        "relu": lambda: (dense(nn.ReLU()), rows),
        "conv": lambda: (seen(nn.Identity()), images),
        "groupnorm": lambda: (seen(nn.GroupNorm(2, 4 * k)), images),
        "lstm": lambda: (Last(nn.LSTM(n, 4 * k, batch_first=True)), sequence),
        "gru": lambda: (Last(nn.GRU(n, 4 * k, batch_first=True)), sequence),
        "encoder": lambda: (
            nn.TransformerEncoderLayer(n, 2, 2 * n, dropout=0.0, batch_first=True),
            sequence,
        ),
        "layernorm": lambda: (nn.Sequential(*normed), rows),
        "attention": lambda: (Attention(), sequence),
    }[kind]()
    with torch.no_grad():
        target = torch.randn_like(module(x))

    def of_output(out: Any) -> Any:
        error = (out - target).square()
        return error.mean() if mean else error.sum()

    def loss(module: Any) -> Any:
        if next(module.parameters()).dtype != torch.float32:
            raise TypeError("a kernel for float32 alone")
        return of_output(module(x))

    class Scaled(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, value: Any, factor: Any) -> Any:
            ctx.factor = factor
            return value.clone()

        @staticmethod
        def backward(ctx: Any, gradient: Any) -> Any:
            return gradient * ctx.factor, None

    def peer(factors: dict[str, Array]) -> bool:
        names = list(factors)
        scales = [torch.from_numpy(factors[name].astype(np.float32)) for name in names]
        leaves = [p.detach().clone().requires_grad_() for p in module.parameters()]

        def func(*values: Any) -> Any:
            scaled = map(Scaled.apply, values, scales)
            return of_output(functional_call(module, dict(zip(names, scaled, strict=True)), (x,)))

        return bool(
            torch.autograd.gradcheck(func, leaves, raise_exception=False, **ADVISED)  # type: ignore[arg-type]
        )

    right = {name: value.numpy() for name, value in torch_gradients(loss)(module).items()}
    return Case(
        module,
        loss,
        right,
        lambda found: {name: torch.from_numpy(value) for name, value in found.items()},
        peer,
    )


def jax_case(kind: str, large: bool, mean: bool, seed: int) -> Case:
    """Return that of a network in JAX."""
    import jax
    import jax.numpy as jnp
    from jax.test_util import check_grads

    rng = np.random.default_rng(seed)
    n = 6 * (1 + large)

    def drawn(*shape: int) -> Any:
        return (rng.standard_normal(shape) / np.sqrt(shape[-1])).astype(np.float32)

    x = drawn(16, n) * np.float32(np.sqrt(n))
    images = rng.standard_normal((4, 2, 8, 8)).astype(np.float32)

    def dense(p: Any, act: Any) -> Any:
        return act(x @ p["W"].T + p["b"]) @ p["V"].T

    def conv(p: Any) -> Any:
        made = jax.lax.conv(images, p["W"], (1, 1), "VALID")
        return jnp.tanh(made).reshape(4, -1) @ p["V"].T

    def attention(p: Any) -> Any:
        scores = (x @ p["Q"].T) @ (x @ p["K"].T).T / np.float32(np.sqrt(n))
        return jax.nn.softmax(scores) @ (x @ p["V"].T)

    def recurrent(p: Any) -> Any:
        def step(state: Any, row: Any) -> Any:
            new = jnp.tanh(row @ p["W"].T + state @ p["U"].T + p["b"])
            return new, new @ p["V"].T

        return jax.lax.scan(step, jnp.zeros(n, jnp.float32), x)[1]

    plain = {"W": drawn(2 * n, n), "b": drawn(2 * n), "V": drawn(3, 2 * n)}
    params, model = {
        "jax tanh": (plain, lambda p: dense(p, jnp.tanh)),
        "jax relu": (plain, lambda p: dense(p, jax.nn.relu)),
        "jax conv": ({"W": drawn(3, 2, 3, 3), "V": drawn(3, 108)}, conv),
        "jax attention": ({name: drawn(n, n) for name in "QKV"}, attention),
        "jax scan": (
            {"W": drawn(n, n), "U": drawn(n, n), "b": drawn(n), "V": drawn(3, n)},
            recurrent,
        ),
    }[kind]
    params = {name: jnp.asarray(value) for name, value in params.items()}
    target = rng.standard_normal(model(params).shape).astype(np.float32)

    def loss(p: Any) -> Any:
        if any(value.dtype != jnp.float32 for value in p.values()):
            raise TypeError("a kernel for float32 alone")
        error = (model(p) - target) ** 2
        return error.mean() if mean else error.sum()

    @jax.custom_vjp
    def scaled(value: Any, factor: Any) -> Any:
        return value

    scaled.defvjp(lambda value, factor: (value, factor), lambda factor, g: (g * factor, 0 * factor))

    def peer(factors: dict[str, Array]) -> bool:
        wrong = {name: value.astype(np.float32) for name, value in factors.items()}

        def func(p: Any) -> Any:
            return loss({name: scaled(p[name], wrong[name]) for name in p})

        try:
            tolerances = {"atol": ADVISED["atol"], "rtol": ADVISED["rtol"]}
            check_grads(func, (params,), order=1, modes=["rev"], **tolerances)
        except AssertionError:
            return False
        return True

    gradient = jax.grad(loss)(params)
    right = {name: np.array(gradient[name]) for name in params}
    return Case(params, jax.jit(loss), right, lambda found: found, peer)


def relu_network(parameters: int, seed: int) -> tuple[Any, Any]:
    """Return a relu network of about so many parameters, and its loss in float32 alone."""
    import torch
    from torch import nn

    torch.set_num_threads(1)
    torch.manual_seed(seed)
    n = round((parameters / 2) ** 0.5)
    net = nn.Sequential(nn.Linear(n, n), nn.ReLU(), nn.Linear(n, n), nn.ReLU(), nn.Linear(n, 4))
    x, target = torch.randn(16, n), torch.randn(16, 4)

    def loss(net: Any) -> Any:
        if net[0].weight.dtype != torch.float32:
            raise TypeError("a kernel for float32 alone")
        return (net(x) - target).square().mean()

    return net, loss


def rows_of(index: str) -> range:
    """Return the rows that are meant by ``[3, 5]``, ``[3, :]`` or ``[0:4, :]``."""
    first, _, last = index.strip("[]").partition(",")[0].partition(":")
    return range(int(first), int(last or int(first) + 1)) if first else range(0)


def of_relu(parameters: int, seeds: int) -> int:
    """Check relu networks and print what became of them; status 1 if a right one is accused."""
    from pytest_gradcheck import torch_gradients

    right, evaluations = Counter[str](), 0
    wrong: dict[str, Counter[str]] = defaultdict(Counter)
    for seed in range(1000, 1000 + seeds):
        net, loss = relu_network(parameters, seed)
        gradient = torch_gradients(loss)(net)
        report = check_gradients(loss, gradient, net)
        right[report.verdict] += 1
        evaluations += report.evaluations
        rng = np.random.default_rng(seed)
        name = ("0.weight", "2.weight", "4.weight")[seed % 3]
        sizes = gradient[name].norm(dim=1)
        row = int(rng.choice(np.flatnonzero(sizes >= sizes.median())))
        errors = ("row x 2", row, 2.0), ("row x 10", row, 10.0), ("block 10 %", slice(None), 1.1)
        for what, where, factor in errors:
            planted = {key: value.clone() for key, value in gradient.items()}
            planted[name][where] *= factor
            report = check_gradients(loss, planted, net)
            told = {block.name for block in report.blocks if block.verdict == "disagree"}
            places = [entry.label for entry in report.worst if entry.verdict == "disagree"]
            inside = all(row in rows_of(place.removeprefix(name)) for place in places)
            named = told == {name} and (inside or not what.startswith("row"))
            other = "its block" if told == {name} else "elsewhere" if told else report.verdict
            wrong[what]["named" if named else other] += 1
    print(f"relu, {parameters:,} parameters, {seeds} seeds, {evaluations / seeds:.0f} evaluations")
    for what, count in {"right": right, **wrong}.items():
        print(f"  {what:12}" + ", ".join(f"{told} {n}" for told, n in count.most_common()))
    return int(right["disagree"] > 0)


TORCH = ("mlp", "relu", "conv", "groupnorm", "lstm", "gru", "encoder", "layernorm", "attention")
JAX = ("jax tanh", "jax relu", "jax conv", "jax attention", "jax scan")


def case_of(kind: str, large: int, mean: bool, seed: int) -> Case:
    """Return one of either."""
    make = jax_case if kind in JAX else torch_case
    return make(kind, large, mean, seed)


def noisy(case: Case, size: float, count: int, seed: int) -> Case:
    """Return a case whose J is the mean of so many float32 values, each off by chance."""
    rng = np.random.default_rng(seed)

    def loss(params: Any) -> Any:
        value = float(case.loss(params))
        values = (value * (1 + size * rng.standard_normal(count))).astype(np.float32)
        return np.float32(values.mean(dtype=np.float64))  # in float64 its kinks can't be told

    return replace(case, loss=loss, nondet_tol=10 * size * abs(float(case.loss(case.params))))


def planted(
    right: dict[str, Array], place: str, factor: float, seed: int, wide: bool = False
) -> dict[str, Array]:
    """Return a factor for each entry, all but a few of them 1, in a block chosen by the seed."""
    rng = np.random.default_rng(seed)
    found = {name: np.ones_like(value) for name, value in right.items()}
    names = [name for name, value in right.items() if value.ndim > 1]
    name = names[int(rng.integers(len(names)))]
    order = np.argsort(np.abs(right[name]), axis=None)
    if place == "block":
        found[name][:] = factor
    elif place == "row" and wide:
        sizes = [float(np.linalg.norm(row)) for row in right[name]]
        found[name][int(rng.choice(np.flatnonzero(sizes >= np.median(sizes))))] = factor
    elif place == "row":
        found[name][int(rng.integers(len(found[name])))] = factor
    else:
        which = order[-1] if place == "largest" else order[order.size // 2]
        found[name].flat[which] = factor
    return found


def must_be_caught(
    report: GradientReport, right: dict[str, Array], factors: dict[str, Array], place: str
) -> bool:
    """Return whether an error is above what the report of the right gradient says is seen."""
    name = next(name for name, factor in factors.items() if (factor != 1).any())
    block = next(block for block in report.blocks if block.name == name)
    wrong, value = factors[name] - 1, right[name].astype(np.float64)
    norm, rms = np.linalg.norm(value), np.sqrt(np.mean(value**2))
    error = float(np.linalg.norm(wrong * value))
    seen = _seen(block)
    if place in ("largest", "median"):
        return error > GROUP_PROOF * seen["entry"] * rms
    if place == "row":
        return error > GROUP_PROOF * seen["row"] * norm / np.sqrt(len(value))
    return error > GROUP_PROOF * seen["block"] * norm


def _seen(block: BlockReport) -> dict[str, float]:
    if block.entry_seen is None or block.row_seen is None or block.block_seen is None:
        return dict.fromkeys(("entry", "row", "block"), block.resolution)
    return {"entry": block.entry_seen, "row": block.row_seen, "block": block.block_seen}


WIDE = {
    "mlp": 6,
    "relu": 6,
    "conv": 10,
    "groupnorm": 10,
    "lstm": 6,
    "gru": 7,
    "encoder": 5,
    "layernorm": 8,
    "attention": 6,
}
"""How many times as wide as small ones these modules have 5,000 to 7,500 parameters."""

IN_WIDE = [("row", "x 2"), ("row", "10 %"), ("block", "1 %")]
IN_NOISE = IN_WIDE[1:]


def cases(kinds: list[str], seeds: int, wide: bool) -> Iterator[tuple[str, str, Case, int]]:
    """Yield every case, in two sizes and with two losses: its kind, its name, and its seed.

    Wide ones in one size, with a mean and a sum in turn.
    """
    for seed, kind in itertools.product(range(seeds), kinds):
        sizes = [WIDE[kind] - 1] if wide else [0, 1]
        for large, mean in itertools.product(sizes, [seed % 2 == 0] if wide else [True, False]):
            name = f"{kind}, {'large' if large else 'small'}, {'mean' if mean else 'sum'}, {seed}"
            yield kind, name, case_of(kind, large, mean, seed), seed


def errors() -> Iterator[tuple[str, str]]:
    """Yield places and factors, all sixteen once in an order by chance, and so on."""
    every, rng = list(itertools.product(PLACES, FACTORS)), np.random.default_rng(0)
    while True:
        yield from (every[k] for k in rng.permutation(len(every)))


def main() -> int:
    """Run and print; status 1 if a right gradient is accused, or what must be caught is not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--each", type=int, default=1, help="wrong gradients of each module, of 16")
    parser.add_argument("--kinds", nargs="+", choices=TORCH + JAX, default=list(TORCH + JAX))
    parser.add_argument("--peer-seeds", type=int, default=1)
    parser.add_argument("--wide", action="store_true")
    parser.add_argument("--relu", type=int, metavar="PARAMETERS")
    parser.add_argument("--noise", type=float, default=0.0, metavar="SIZE")
    parser.add_argument("--mean-of", type=int, default=1, metavar="VALUES")
    given = parser.parse_args()
    warnings.simplefilter("ignore")
    if given.relu:
        return of_relu(given.relu, given.seeds)
    started = time.process_time()
    tables, called = Tables(), "the first"
    try:
        errors_to_come, wide = errors(), given.wide
        kinds = [kind for kind in given.kinds if kind in WIDE or not wide]
        for kind, called, case, seed in cases(kinds, given.seeds, wide):
            chosen = IN_WIDE if wide else list(itertools.islice(errors_to_come, given.each))
            peers = seed < given.peer_seeds and not (wide or given.noise)
            if given.noise:
                case, chosen = noisy(case, given.noise, given.mean_of, seed), IN_NOISE
            tables.add(kind, called, case, seed, chosen, peers=peers, wide=wide)
    except KeyboardInterrupt:  # what is known so far is printed
        print(f"interrupted at {called}")
    bad = tables.printed()
    mean = sum(tables.per_parameter) / max(len(tables.per_parameter), 1)
    spent = time.process_time() - started
    for what, seen in tables.seen.items():
        print(f"an error of {np.median(seen):.2g} of its gradient in one {what} would be seen")
    mean *= given.mean_of
    print(f"\n{mean:.2f} evaluations a parameter, {spent:.0f} s of a processor")
    return bad


class Tables:
    """What was found, counted: right gradients by kind, wrong ones by place and factor."""

    def __init__(self) -> None:
        self.right: dict[str, Counter[str]] = defaultdict(Counter)
        self.peers: dict[str, Counter[bool]] = defaultdict(Counter)
        self.caught: dict[tuple[str, str], Counter[tuple[bool, str]]] = defaultdict(Counter)
        self.passed_by: dict[tuple[str, str], Counter[bool]] = defaultdict(Counter)
        self.per_parameter: list[float] = []
        self.seen: dict[str, list[float]] = defaultdict(list)

    def add(
        self,
        kind: str,
        called: str,
        case: Case,
        seed: int,
        chosen: list[tuple[str, str]],
        *,
        peers: bool,
        wide: bool,
    ) -> None:
        """Check a right gradient, and the wrong ones that are chosen."""
        tol = case.nondet_tol
        report = check_gradients(case.loss, case.like(case.gradient), case.params, nondet_tol=tol)
        self.right[kind][report.verdict] += 1
        if report.verdict != "agree":
            print(f"{called}: right, {report.verdict}; {report.reasons}", flush=True)
        self.per_parameter.append(report.evaluations / report.size)
        if report.ok:
            for what in ("entry", "row", "block"):
                self.seen[what].append(max(_seen(block)[what] for block in report.blocks))
        if peers:
            ones = {name: np.ones_like(value) for name, value in case.gradient.items()}
            self.peers[kind][case.peer(ones)] += 1
        for place, name in chosen:
            factors = planted(case.gradient, place, FACTORS[name], seed, wide)
            wrong = {n: (v * factors[n]).astype(v.dtype) for n, v in case.gradient.items()}
            found = check_gradients(case.loss, case.like(wrong), case.params, nondet_tol=tol)
            must = bool(must_be_caught(report, case.gradient, factors, place))
            self.caught[place, name][must, found.verdict] += 1
            if must and found.verdict != "disagree":
                print(f"{called}: {place} {name} must be caught, {found.verdict}", flush=True)
            if peers:
                self.passed_by[place, name][case.peer(factors)] += 1

    def printed(self) -> int:
        """Print both tables; return 1 if anything in them should not be."""
        accused = lost = 0
        print(f"{'right':16}{'agree':>8}{'open':>8}{'accused':>9}{'peer accuses':>14}")
        for kind, count in self.right.items():
            accused += count["disagree"]
            row = f"{count['agree']:8}{count['inconclusive']:8}{count['disagree']:9}"
            print(f"{kind:16}{row}{self.peers[kind][False] if kind in self.peers else '':>14}")
        total = sum((count for count in self.right.values()), Counter[str]())
        print(f"{'all':16}{total['agree']:8}{total['inconclusive']:8}{total['disagree']:9}")
        print(f"\n{'wrong':16}{'must be caught':>18}{'others caught':>18}{'peer catches':>16}")
        for key, count in sorted(self.caught.items()):
            cells = []
            for must in (True, False):
                all_of_it = sum(n for (which, _), n in count.items() if which is must)
                cells.append(f"{count[must, 'disagree']} / {all_of_it}")
            lost += sum(n for (must, told), n in count.items() if must and told == "agree")
            seen = self.passed_by[key]
            peer = f"{seen[False]} / {sum(seen.values())}" if seen else ""
            print(f"{' '.join(key):16}{cells[0]:>18}{cells[1]:>18}{peer:>16}")
        return int(bool(accused or lost))


if __name__ == "__main__":
    sys.exit(main())
