"""Make the pictures of the README and the site again, and the failure that they show as text.

::

    python docs/site/pictures.py          # the failure: two SVG files, and the text below them
    python docs/site/pictures.py --page   # the page of --gradcheck-html too: needs a browser

The failure is that of the README's first block that is marked ``<!-- fails -->``.  pytest runs it
at 80 columns, in colour; what it prints is drawn, and stands as text in each of `SHOWN`.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "docs" / "assets"
SHOWN = [ROOT / "README.md", ROOT / "docs" / "index.md"]
TEST = re.compile(r"^```python\n(?P<code># (?P<file>test_\w+\.py)\n.*?)^```$", re.M | re.S)
FAILS = re.compile(
    r"^<!-- fails -->\n```python\n(?P<code>.*?)^```$(?P<between>.*?)^```text\n(?P<text>.*?)^```$",
    re.M | re.S,
)

COLUMNS, WIDTH, HEIGHT, MARGIN, SIZE = 80, 8.4, 19, 20, 14
"""Of the terminal, in characters; of a character, the margin and the font, in pixels."""

ROLES = {
    "31": "red", "32": "green", "33": "yellow", "34": "blue", "35": "magenta", "36": "cyan",
    "90": "grey", "92": "green", "94": "blue", "95": "magenta", "96": "cyan",
}  # fmt: skip
"""Colours by their code in a terminal."""

THEMES = {
    "light": {
        "ground": "#ffffff", "edge": "#d5d9e0", "text": "#24292f", "grey": "#6e7781",
        "red": "#c5221f", "green": "#1a7f37", "yellow": "#8a6100", "blue": "#0550ae",
        "magenta": "#8250df", "cyan": "#1b7c83",
    },
    "dark": {
        "ground": "#12161c", "edge": "#2d333b", "text": "#dde3ea", "grey": "#8b949e",
        "red": "#ff7b72", "green": "#7ee787", "yellow": "#e3b341", "blue": "#79c0ff",
        "magenta": "#d2a8ff", "cyan": "#56d4dd",
    },
}  # fmt: skip


def plain(text: str) -> str:
    """Return text without the codes that colour it."""
    return re.sub(r"\x1b\[[\d;]*m", "", text)


def run(folder: str, *arguments: str) -> str:
    """Write the README's tests to a folder, run them there, and return what pytest prints."""
    for test in TEST.finditer(SHOWN[0].read_text(encoding="utf-8")):
        Path(folder, test["file"]).write_text(test["code"], encoding="utf-8")
    kept = {name: text for name, text in os.environ.items() if name not in ("CI", "BUILD_NUMBER")}
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=yes"]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True, check=False,
        env={**kept, "COLUMNS": str(COLUMNS), "PYTHONPATH": path},
    )  # fmt: skip
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def failure() -> list[str]:
    """Return the lines that pytest prints of the README's failure, with their colours."""
    found = FAILS.search(SHOWN[0].read_text(encoding="utf-8"))
    assert found is not None
    file = found["code"].split()[1]
    with tempfile.TemporaryDirectory() as folder:
        return [f"$ pytest -q {file}", *run(folder, file).splitlines()]


def shortened(lines: list[str]) -> list[str]:
    """Return what belongs in a picture: the failure, and pytest's summary of it."""
    bare = [plain(line) for line in lines]
    last = max(i for i, line in enumerate(bare) if line.startswith("E "))
    summary = next(i for i, line in enumerate(bare) if "short test summary info" in line)
    return [*lines[: last + 1], "...", *lines[summary:]]


def message(lines: list[str]) -> str:
    """Return the failure as the text blocks have it."""
    bare = [plain(line).rstrip() for line in lines]
    return "\n".join(line for line in bare if re.match(r"E( |$)", line)) + "\n"


def runs(line: str) -> Iterator[tuple[int, str, str, bool]]:
    """Yield the pieces of a line, each with its column, colour and weight."""
    column, colour, bold = 0, "text", False
    for piece in re.split(r"(\x1b\[[\d;]*m)", line):
        if not piece.startswith("\x1b"):
            for word in re.finditer(r"\S+(?: \S+)*", piece):
                yield column + word.start(), word[0], colour, bold
            column += len(piece)
            continue
        for code in piece[2:-1].split(";"):
            if code in ("", "0", "00"):
                colour, bold = "text", False
            elif code in ("1", "01"):
                bold = True
            elif code == "39":
                colour = "text"
            else:
                colour = ROLES.get(code, colour)


def wrapped(pieces: Iterator[tuple[int, str, str, bool]]) -> list[list[tuple[int, str, str, bool]]]:
    """Return the rows that a line takes in a terminal, which breaks it anywhere."""
    rows: list[list[tuple[int, str, str, bool]]] = [[]]
    for start, words, colour, bold in pieces:
        column, text = start, words
        while text:
            row, at = divmod(column, COLUMNS)
            rows.extend([] for _ in range(row + 1 - len(rows)))
            part = text[: COLUMNS - at]
            rows[row].append((at, part, colour, bold))
            column, text = column + len(part), text[len(part) :]
    return rows


def drawing(lines: list[str], theme: dict[str, str]) -> str:
    """Return lines of a terminal as an SVG that needs no font of its own."""
    rows = [row for line in lines for row in wrapped(runs(line))]
    width = round(COLUMNS * WIDTH + 2 * MARGIN)
    height = len(rows) * HEIGHT + 2 * MARGIN
    style = "".join(f".{role}{{fill:{colour}}}" for role, colour in theme.items())
    made = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img">',
        f"<title>{escape(plain(lines[0]))}: a failure of pytest-gradcheck</title>",
        f"<style>text{{font:{SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,'DejaVu Sans Mono',"
        f"'Liberation Mono',monospace;white-space:pre}}.bold{{font-weight:600}}{style}</style>",
        f'<rect class="ground" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" '
        f'stroke="{theme["edge"]}"/>',
    ]
    for number, row in enumerate(rows):
        for column, text, colour, bold in row:
            x, y = MARGIN + column * WIDTH, MARGIN + (number + 0.75) * HEIGHT
            role = f"{colour} bold" if bold else colour
            made.append(
                f'<text class="{role}" x="{x:.1f}" y="{y:.1f}" '
                f'textLength="{len(text) * WIDTH:.1f}">{escape(text)}</text>'
            )
    return "\n".join([*made, "</svg>", ""])


def draw_failure() -> None:
    """Write the pictures of the failure, and its text where it stands."""
    lines = failure()
    ASSETS.mkdir(exist_ok=True)
    for name, theme in THEMES.items():
        path = ASSETS / f"failure-{name}.svg"
        path.write_text(drawing(shortened(lines), theme), encoding="utf-8")
    for document in SHOWN:
        text = document.read_text(encoding="utf-8")
        found = FAILS.search(text)
        assert found is not None, document
        start, end = found.span("text")
        document.write_text(text[:start] + message(lines) + text[end:], encoding="utf-8")


def draw_page() -> None:
    """Write pictures of the page that a run of the README's tests makes."""
    from PIL import Image
    from playwright.sync_api import sync_playwright

    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser"))))
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as session:
        page = Path(folder, "page.html")
        run(folder, f"--gradcheck-html={page}")
        opened = session.chromium.launch(executable_path=browser, args=["--no-sandbox"])
        for name in THEMES:
            view = opened.new_page(viewport={"width": 1200, "height": 800}, color_scheme=name)
            view.goto(page.as_uri())
            path = ASSETS / f"page-{name}.png"
            view.screenshot(path=path, full_page=True)
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
        opened.close()


if __name__ == "__main__":
    draw_failure()
    if "--page" in sys.argv[1:]:
        draw_page()
