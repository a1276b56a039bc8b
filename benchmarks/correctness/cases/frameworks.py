"""Functions of torch and autograd, with the gradients that they derive themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from cases._case import Case, named

TRUTH = {"truth_rtol": 1e-7}


def from_torch() -> list[Case]:
    import torch
    import torch.nn.functional as tf

    torch.set_num_threads(1)

    def pair(build: Callable[[Any], Any], dtype: Any = torch.float64) -> tuple[Any, Any]:
        def func(x: Any) -> Any:
            with torch.no_grad():
                return build(torch.tensor(np.asarray(x), dtype=dtype)).numpy()[()]

        def grad(x: Any) -> Any:
            leaf = torch.tensor(np.asarray(x), dtype=torch.float64, requires_grad=True)
            (found,) = torch.autograd.grad(build(leaf), leaf)
            return found.numpy()

        return func, grad

    random = np.random.default_rng(1)

    def draw(*shape: int) -> Any:
        return random.standard_normal(shape)

    def fixed(*shape: int) -> Callable[[Any], Any]:
        """Return data of the dtype of whatever it meets."""
        data = draw(*shape)
        return lambda like: torch.tensor(data, dtype=like.dtype)

    image, target, other, series = fixed(2, 2, 5, 5), fixed(4, 6), fixed(4, 6), fixed(6, 2)
    labels = torch.tensor([0, 2, 5, 1])
    sizes = [(9, 2), (9, 3), (9,)]

    def recur(x: Any) -> Any:
        """Run a gated unit of width 3 over six inputs, its weights in one vector."""
        pieces = torch.split(x, [18, 27, 9])
        w, u, b = (piece.reshape(size) for piece, size in zip(pieces, sizes, strict=True))
        h = torch.zeros(1, 3, dtype=x.dtype)
        for row in series(x):
            h = torch.gru_cell(row[None], h, w, u, b, torch.zeros(9, dtype=x.dtype))
        return h.pow(2).sum()

    def spd(x: Any) -> Any:
        return x @ x.mT + torch.eye(4, dtype=x.dtype)

    heads = fixed(1, 2, 5, 3), fixed(1, 2, 5, 3)
    rows: list[Any] = [
        ("cross_entropy", lambda x: tf.cross_entropy(x, labels), draw(4, 6)),
        ("kl_div", lambda x: tf.kl_div(tf.log_softmax(x, 1), tf.softmax(target(x), 1),
                                     reduction="sum"), draw(4, 6)),
        ("gelu", lambda x: tf.gelu(x).sum(), draw(5)),
        ("mish", lambda x: tf.mish(x).sum(), draw(5)),
        ("celu", lambda x: tf.celu(x).sum(), draw(5)),
        ("layer_norm", lambda x: (tf.layer_norm(x, (6,)) * target(x)).sum(), draw(4, 6)),
        ("conv2d", lambda x: tf.conv2d(image(x), x).tanh().sum(), draw(3, 2, 3, 3)),
        ("gru_cell over time", recur, draw(54) / 2),
        ("cosine_similarity", lambda x: tf.cosine_similarity(x, target(x)).sum(), draw(4, 6)),
        ("smooth_l1_loss", lambda x: tf.smooth_l1_loss(x, target(x)), draw(4, 6)),
        ("triplet_margin_loss", lambda x: tf.triplet_margin_loss(x, target(x), other(x)),
         draw(4, 6)),
        ("attention", lambda x: tf.scaled_dot_product_attention(
            x, heads[0](x), heads[1](x)).pow(2).sum(), draw(1, 2, 5, 3)),
        ("logdet", lambda x: torch.logdet(spd(x)), draw(4, 4)),
        ("cholesky", lambda x: torch.linalg.cholesky(spd(x)).sum(), draw(4, 4)),
        ("matrix_exp", lambda x: torch.matrix_exp(x).sum(), draw(3, 3)),
        ("svdvals", lambda x: torch.linalg.svdvals(x).pow(0.5).sum(), draw(4, 3)),
        ("fft", lambda x: torch.fft.rfft(x).abs().pow(1.5).sum(), draw(8)),
        ("lgamma", lambda x: torch.lgamma(x.exp()).sum(), draw(5)),
        ("ctc_loss", lambda x: tf.ctc_loss(
            tf.log_softmax(x, 2), torch.tensor([[1, 2]]), [6], [2]), draw(6, 1, 4)),
    ]  # fmt: skip
    made = [(f"torch {name}", *pair(build), x, TRUTH) for name, build, x in rows]
    coarse = []
    for name, build, x in (rows[0], rows[5], rows[11]):
        func, grad = pair(build, torch.float32)
        more = {"expect": "inconclusive-ok", "reference": pair(build)[0], **TRUTH}
        coarse.append((f"float32 function: torch {name}", func, grad, x, more))
    return named("imported", made) + named("coarse dtype", coarse)


def from_autograd() -> list[Case]:
    import autograd.numpy as anp
    from autograd import grad
    from autograd.scipy import special, stats

    random = np.random.default_rng(2)
    x, square = random.standard_normal(6), random.standard_normal((4, 4))
    y = random.standard_normal((15, 3))

    def solve(a: Any) -> Any:
        return anp.sum(anp.linalg.solve(anp.dot(a, a.T) + anp.eye(4), anp.ones(4)) ** 2)

    def whitened(a: Any) -> Any:
        cov = anp.dot(a, a.T) + anp.eye(3)
        return -anp.sum(stats.multivariate_normal.logpdf(y, anp.zeros(3), cov))

    def lorenz(p: Any) -> Any:
        state = anp.array([1.0, 1.0, 1.0])
        for _ in range(80):
            a, b, c = state
            state = state + 0.02 * anp.array([p[0] * (b - a), a * (p[1] - c) - b, a * b - p[2] * c])
        return anp.sum(state**2)

    rows = [
        ("logsumexp", lambda x: special.logsumexp(3 * x), x),
        ("solve", solve, square),
        ("multivariate_normal", whitened, random.standard_normal((3, 3))),
        ("lorenz system, 80 steps", lorenz, np.array([10.0, 28, 8 / 3])),
        ("cumulative sums", lambda x: anp.sum(anp.tanh(anp.cumsum(x)) ** 2), x),
        ("tensordot", lambda a: anp.sum(anp.tensordot(a, anp.sin(a), 1) ** 2), square),
        ("eigh", lambda a: anp.sum(anp.linalg.eigh(a + a.T)[0] ** 3), square),
        ("logaddexp", lambda x: anp.sum(anp.logaddexp(x[:3], 2 * x[3:])), x),
    ]
    return named(
        "imported", [(f"autograd {name}", func, grad(func), p, TRUTH) for name, func, p in rows]
    )


def cases() -> list[Case]:
    made = []
    for source in (from_torch, from_autograd):
        try:
            made += source()
        except ImportError as error:
            print(f"skipped, {source.__name__.replace('_', ' ')}: {error}")
    return made
