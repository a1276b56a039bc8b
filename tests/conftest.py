"""What the tests of the plugin share: a little suite of a user's, in a directory of its own."""

import pytest

import pytest_gradcheck

pytest_plugins = ["pytester"]

# A session of pytest inside this process drops the modules that it was the first to import, and
# numpy can't be imported twice: so everything is imported before.
for _name in pytest_gradcheck.__all__:
    getattr(pytest_gradcheck, _name)

QUADRATIC = """
    import numpy as np

    theta = np.array([1.0, -2.0, 3.0])

    def cost(theta):
        return float(np.sum(theta**2))

    def right(theta):
        return 2 * theta

    def wrong(theta):
        gradient = 2 * theta
        gradient[1] *= 1.5
        return gradient
"""


@pytest.fixture
def suite(pytester, monkeypatch):
    """Pytester with a module `quadratic` to check, and a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    # hypothesis' plugin would import all of hypothesis again at the end of every session.
    monkeypatch.setenv("PYTEST_ADDOPTS", "-p no:hypothesispytest -p no:cacheprovider")
    for name in ("CI", "BUILD_NUMBER", "PYTEST_PLUGINS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(quadratic=QUADRATIC)
    pytester.syspathinsert()
    return pytester
