"""Use the fixture: the marker, the command line and the ini file then set the options."""

import numpy as np
import pytest


def loss(weights, features, labels):
    """Mean of log(1 + exp(-label * score)), the loss of logistic regression."""
    return np.mean(np.logaddexp(0.0, -labels * (features @ weights)))


def gradient(weights, features, labels):
    pull = -labels / (1.0 + np.exp(labels * (features @ weights)))
    return features.T @ pull / labels.size


@pytest.fixture
def data(gradcheck_rng):
    """Draw features and labels that depend only on the test's name and the seed."""
    return gradcheck_rng.normal(size=(20, 4)), gradcheck_rng.choice([-1.0, 1.0], size=20)


def test_gradient(gradcheck, data):
    gradcheck(loss, gradient, np.ones(4), args=data)


@pytest.mark.gradcheck(rtol=1e-5)
def test_gradient_to_five_digits(gradcheck, data):
    report = gradcheck(loss, gradient, np.ones(4), args=data)
    assert report.rtol == 1e-5


@pytest.mark.gradcheck(scheme="central4")
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_gradient_at_any_scale(gradcheck, data, scale):
    features, labels = data
    gradcheck(loss, gradient, np.ones(4) / scale, args=(features * scale, labels))
