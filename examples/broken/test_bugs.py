"""The network of network.py with two bugs planted: these tests fail, on purpose.

Run them to see what a failure looks like:

    python -m pytest examples/broken
"""

from network import backward, draw, forward

from pytest_gradcheck import assert_gradients_close


def backward_with_two_bugs(params, x, y):
    gradient = backward(params, x, y)
    gradient["W2"] *= 2  # bug: doubled
    gradient["b1"] *= 4  # bug: 4 / m instead of 1 / m
    return gradient


def test_seed_5():
    params, x, y = draw(seed=5)
    assert_gradients_close(forward, backward_with_two_bugs, params, args=(x, y), has_aux=True)


# The course's own draw, where 12 of the 20 entries of W2 and b1 touch units that are off for all
# three examples: their gradient is 0, and 2 or 4 times 0 is right.
def test_seed_1():
    params, x, y = draw(seed=1)
    assert_gradients_close(forward, backward_with_two_bugs, params, args=(x, y), has_aux=True)
