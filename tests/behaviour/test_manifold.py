"""Parameters under a constraint, perturbed along a retraction."""

import numpy as np
import pytest

from pytest_gradcheck import check_gradients, pulled_back

RNG = np.random.default_rng(11)
Q = np.array([0.5, -0.1, 0.7, 0.5]) / np.linalg.norm([0.5, -0.1, 0.7, 0.5])
TARGET = RNG.normal(size=(3, 3))
POINTS = RNG.normal(size=(5, 3))


def product(p, q):
    w, v = p[0] * q[0] - p[1:] @ q[1:], p[0] * q[1:] + q[0] * p[1:] + np.cross(p[1:], q[1:])
    return np.append(w, v)


def turn(q, t):
    """A quaternion times the exponential of t/2."""
    angle = np.linalg.norm(t) / 2
    return product(q, np.append(np.cos(angle), 0.5 * np.sinc(angle / np.pi) * t))


def skew(t):
    return np.array([[0, -t[2], t[1]], [t[2], 0, -t[0]], [-t[1], t[0], 0.0]])


def cayley(r, t):
    a = skew(t) / 2
    return r @ np.linalg.solve(np.eye(3) - a, np.eye(3) + a)


def quaternion_cost(q):
    assert abs(q @ q - 1) < 1e-12  # off the sphere it means nothing
    return q[0] ** 2 * q[1] + np.sin(q[2]) * q[3]


def quaternion_grad(q):
    return np.array([2 * q[0] * q[1], q[0] ** 2, np.cos(q[2]) * q[3], np.sin(q[2])])


ROTATION = cayley(np.eye(3), np.array([0.3, -0.8, 0.5]))


def rotation_cost(r):
    np.testing.assert_allclose(r.T @ r, np.eye(3), atol=1e-12)
    return np.sum((r - TARGET) ** 2)


def softmax_step(p, t):
    """Probabilities times exp(t), over their sum; t has one entry less, the last is 0."""
    e = p * np.exp(np.append(t, 0.0))
    return e / e.sum()


def entropy(p):
    assert abs(p.sum() - 1) < 1e-12
    return -np.sum(p * np.log(p))


P = np.array([0.2, 0.5, 0.3])

AMBIENT = {
    "quaternion": (quaternion_cost, quaternion_grad, Q, turn, np.zeros(3)),
    "rotation": (rotation_cost, lambda r: 2 * (r - TARGET), ROTATION, cayley, np.zeros(3)),
    "simplex": (entropy, lambda p: -np.log(p) - 1, P, softmax_step, np.zeros(2)),
}


@pytest.mark.parametrize("name", AMBIENT)
def test_an_ambient_gradient_is_pulled_back(name):
    func, grad, params, retract, tangent = AMBIENT[name]
    made = pulled_back(func, grad, params, retract=retract, tangent=tangent)
    report = check_gradients(*made)
    assert report.verdict == "agree"
    assert report.size == tangent.size

    def wrong(x):
        found = grad(x).copy()
        found.flat[1] *= 1.01
        return found

    made = pulled_back(func, wrong, params, retract=retract, tangent=tangent)
    assert check_gradients(*made).verdict == "disagree"


def test_a_tangent_gradient_is_taken_as_it_is():
    def grad(r):
        m = r.T @ (2 * (r - TARGET))
        return np.array([m[2, 1] - m[1, 2], m[0, 2] - m[2, 0], m[1, 0] - m[0, 1]])

    made = pulled_back(rotation_cost, grad, ROTATION, retract=cayley, tangent=np.zeros(3))
    assert check_gradients(*made).verdict == "agree"
    given = pulled_back(
        rotation_cost, grad(ROTATION) * [1, 1, 2], ROTATION, retract=cayley, tangent=np.zeros(3)
    )
    assert [entry.label for entry in check_gradients(*given).worst] == ["params[2]"]


def test_what_is_across_the_constraint_does_not_count():
    made = pulled_back(
        quaternion_cost, lambda q: quaternion_grad(q) + 5 * q, Q, retract=turn, tangent=np.zeros(3)
    )
    assert check_gradients(*made).verdict == "agree"


def test_bad_retractions():
    with pytest.raises(TypeError, match=r"retract must be callable, retract\(params, t\)"):
        pulled_back(entropy, np.log, P, retract=P, tangent=np.zeros(2))
    with pytest.raises(ValueError, match="tangent must be zeros"):
        pulled_back(entropy, np.log, P, retract=softmax_step, tangent=np.ones(2))
    with pytest.raises(ValueError, match=r"retract\(params, tangent\) is not params"):
        pulled_back(entropy, np.log, 2 * P, retract=softmax_step, tangent=np.zeros(2))
    with pytest.raises(ValueError, match=r"retract\(params, tangent\) is not params"):
        pulled_back(entropy, np.log, P, retract=lambda p, t: p[:2], tangent=np.zeros(2))
    made = pulled_back(entropy, np.ones(7), P, retract=softmax_step, tangent=np.zeros(2))
    with pytest.raises(ValueError, match="the gradient has shapes"):
        check_gradients(*made)


@pytest.mark.parametrize("factor", [1 + 1e-4, 1 - 1e-3, -1.0])
def test_an_ambient_gradient_that_is_wrong_by_a_little(factor):
    """Near t = 0 it is pulled back by steps of a whole tangent, and so not a noisy one."""
    for seed in range(12):
        rng = np.random.default_rng(seed)
        a, x = rng.normal(size=(5, 5)), rng.normal(size=5)
        a, x = a + a.T, x / np.linalg.norm(x)
        basis = np.linalg.svd(x[None])[2][1:].T

        def stepped(x, t, basis=basis):
            y = x + basis @ t
            return y / np.linalg.norm(y)

        def check(factor, a=a, x=x, stepped=stepped):
            made = pulled_back(
                lambda x: x @ a @ x,
                lambda x: factor * 2 * a @ x,
                x,
                retract=stepped,
                tangent=np.zeros(4),
            )
            return check_gradients(*made).verdict

        assert check(1.0) == "agree"
        assert check(factor) == "disagree"
