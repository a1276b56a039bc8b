"""Tests of a user's that fail in many ways, for pages about them; and a way to read a page."""

from __future__ import annotations

from functools import cache
from html.parser import HTMLParser

import numpy as np

SUITE = """
    import numpy as np
    import pytest
    from quadratic import cost, right, theta, wrong
    from pytest_gradcheck import GradientMismatch, assert_gradients_close

    def total(params):
        return float(sum(np.sum(value**2) for value in params.values()))

    def slopes(params):
        return {name: 2 * value for name, value in params.items()}

    def row(params):
        gradient = slopes(params)
        gradient["W"][1] *= 1.5
        return gradient

    LAYERS = {"W": np.arange(1.0, 13.0).reshape(3, 4), "b": np.ones(2)}
    HOSTILE = "</script><script>window.hacked=1</script><img src=x onerror='window.hacked=1'>"

    @pytest.mark.parametrize("n", range(3))
    def test_right(gradcheck, n):
        gradcheck(cost, right, theta)

    def test_row(gradcheck):
        gradcheck(total, row, LAYERS)

    def test_nan(gradcheck):
        gradcheck(cost, np.array([2.0, np.nan, 6.0]), theta)

    def test_noisy(gradcheck):
        gradcheck(
            lambda w: np.float32(np.sum(np.log(w))), lambda w: 1 / w, np.array([1.0, 2.0, 3.0]),
            rtol=1e-7,
        )

    @pytest.mark.parametrize("name", [HOSTILE, "a\\"'`${1}\\x1b[31m{{ 7*7 }}", "L" * 500])
    def test_hostile(gradcheck, name):
        params = {name: np.arange(1.0, 4.0), "_$x_": np.ones((3, 3)), "u\\udc80": np.ones(2)}
        gradcheck(total, lambda p: {key: 3 * value for key, value in p.items()}, params)

    def test_expected():
        with pytest.raises(GradientMismatch):
            assert_gradients_close(cost, wrong, theta)
"""

FAILED = 6
CHECKS = 10

VOID = {"meta", "link", "input", "img", "br"}


class Reader(HTMLParser):
    """Reads a page strictly: every element that opens closes, in order.

    Attributes
    ----------
    tags : list of (str, dict)
        Elements in order.
    rows : list of list of str
        The cells of the table's body.
    ids : list of str
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: list[list[str]] = []
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]
        if tag not in VOID:
            self._open.append(tag)
        if "tbody" in self._open:
            if tag == "tr":
                self.rows.append([])
            elif tag in ("td", "th"):
                self.rows[-1].append("")

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.ids += [value for name, value in attrs if name == "id"]

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if "tbody" in self._open and {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data.strip()

    def count(self, tag):
        return sum(found == tag for found, _ in self.tags)


@cache
def warm():
    """Import all that drawing needs: a session inside this process would do it, and undo it."""
    from pytest_gradcheck import compare_gradients
    from pytest_gradcheck._report.pictures_and_page import Checked, page, picture_of

    report = compare_gradients(np.array([1.0, 2.0, 1e9]), np.array([1.0, 3.0, 1e9]))
    texts = dict.fromkeys(("message", "narrow"), report.message())
    sent = {"check": report.to_dict(), "found": ("", ""), "picture": picture_of(report), **texts}
    page([Checked("a", True, sent)], "2026")
