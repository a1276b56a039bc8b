"""Check gradients in a unittest.TestCase, under pytest or `python -m unittest`."""

import unittest

import numpy as np

from pytest_gradcheck import GradientMismatch, assert_gradients_close


def energy(x, matrix):
    return 0.5 * x @ matrix @ x


def force(x, matrix):
    return 0.5 * (matrix + matrix.T) @ x


class TestEnergy(unittest.TestCase):
    """A quadratic form whose matrix is not symmetric."""

    def setUp(self):
        self.x = np.array([1.0, -2.0, 0.5])
        self.matrix = np.array([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0], [0.5, 0.0, 4.0]])

    def test_force(self):
        assert_gradients_close(energy, force, self.x, args=(self.matrix,))

    def test_forgotten_transpose(self):
        with self.assertRaises(GradientMismatch) as caught:
            assert_gradients_close(energy, self.matrix @ self.x, self.x, args=(self.matrix,))
        self.assertEqual(caught.exception.report.wrong, 3)
