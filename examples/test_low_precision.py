"""A backward pass in float16, as good as float16 allows: beside the plain formula in float16."""

import numpy as np

from pytest_gradcheck import compare_gradients

rng = np.random.default_rng(0)
QUERY, KEY, VALUE, GRAD_OUTPUT = (rng.normal(size=(12, 8)).astype(np.float16) for _ in range(4))


def softmax(scores):
    weights = np.exp(scores - scores.max(axis=1, keepdims=True))
    return weights / weights.sum(axis=1, keepdims=True)


def plain_backward(dtype):
    """Return the gradient of attention as a textbook has it, in the precision of `dtype`."""
    q, k, v, d_out = (x.astype(dtype) for x in (QUERY, KEY, VALUE, GRAD_OUTPUT))
    scale = dtype(1 / np.sqrt(q.shape[1]))
    p = softmax(q @ k.T * scale)
    d_p = d_out @ v.T
    d_scores = p * (d_p - np.sum(p * d_p, axis=1, keepdims=True)) * scale
    return {"q": d_scores @ k, "k": d_scores.T @ q, "v": p.T @ d_out}


def kernel_backward(*, scaled=True):
    """Return the same by blocks of queries, in float32 between the products, as fast kernels do."""
    q, k, v, d_out = (x.astype(np.float32) for x in (QUERY, KEY, VALUE, GRAD_OUTPUT))
    scale = np.float32(1 / np.sqrt(q.shape[1]))
    grads = {name: np.zeros_like(q) for name in ("q", "k", "v")}
    for rows in (slice(0, 4), slice(4, 8), slice(8, 12)):
        p = softmax(q[rows] @ k.T * scale)
        delta = np.sum(d_out[rows] * (p @ v), axis=1, keepdims=True)
        d_scores = p * (d_out[rows] @ v.T - delta) * (scale if scaled else 1)
        p, d_scores = p.astype(np.float16), d_scores.astype(np.float16)
        grads["q"][rows] = d_scores @ k
        grads["k"] += d_scores.T @ q[rows]
        grads["v"] += p.T @ d_out[rows]
    return {name: gradient.astype(np.float16) for name, gradient in grads.items()}


EXACT, PLAIN = plain_backward(np.float64), plain_backward(np.float16)


def test_the_kernel_is_as_good_as_float16_allows():
    compare_gradients(kernel_backward(), EXACT, baseline=PLAIN).raise_if_failed()


def test_a_kernel_that_leaves_out_the_scale_fails():
    report = compare_gradients(kernel_backward(scaled=False), EXACT, baseline=PLAIN)
    hints = {block.name: block.hint for block in report.blocks if block.verdict == "disagree"}
    assert set(hints) == {"q", "k"}
    assert hints["q"].startswith("analytic = 2.83 x")  # the root of 8
