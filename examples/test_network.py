"""Check the backward pass of a network: every parameter of every layer, in one line."""

from network import backward, draw, forward

from pytest_gradcheck import assert_gradients_close


def test_backward():
    params, x, y = draw()
    assert_gradients_close(forward, backward, params, args=(x, y), has_aux=True)
