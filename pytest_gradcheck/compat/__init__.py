"""The gradient checkers of other libraries, by their own signatures, on this engine.

Change the import and keep the tests::

    from pytest_gradcheck.compat.scipy import check_grad
    from pytest_gradcheck.compat.torch import gradcheck, gradgradcheck
    from pytest_gradcheck.compat.jax import check_grads
    from pytest_gradcheck.compat.autograd import check_grads

A module imports its library when one of its functions is called.  Steps and tolerances that were
given for the other checker's formula are taken and not used; what can't be told passes, as it
would there, and the summary says so; ``docs/moving.md`` lists the differences.
"""
