"""What the site takes from elsewhere: files of the project as pages, and the table of options.

mkdocs calls the functions named ``on_…``.  mkdocs itself is imported only where it calls, so that
the tests read the rest without it.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

from pytest_gradcheck import Options
from pytest_gradcheck._options import HELP

ROOT = Path(__file__).parents[2]

PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "benchmarks/README.md": "benchmarks.md",
}
"""Files of the project that are pages too, by their name on the site."""

FOUND_FIRST = 4
"""How much more a how-to counts in a search than what explains or lists the same thing."""

HOME = {"README.md": "index.md"}
"""The home page says what the README says, at more length."""

OPTIONS = "<!-- the table of options -->"
"""What stands in docs/options.md where the table goes."""

LINK = re.compile(r"\]\((?!https?:)([^)#\s]+\.md)(#[^)\s]*)?\)")


def linked(text: str, source: str) -> str:
    """Point the links of a file to pages of the site.

    Parameters
    ----------
    text : str
        Markdown, whose links are right in the project.
    source : str
        Its path in the project, ``docs/json.md``.

    Returns
    -------
    str
        The same with links that are right on the site; one that leads to no page of it is kept,
        and a strict build refuses it.
    """

    def on_the_site(match: re.Match[str]) -> str:
        there = posixpath.normpath(posixpath.join(posixpath.dirname(source), match[1]))
        page = (PAGES | HOME).get(there, there.removeprefix("docs/"))
        return f"]({page}{match[2] or ''})"

    return LINK.sub(on_the_site, text)


def options_table() -> str:
    """Return the options of a check as a Markdown table, from the fields of `Options`."""
    rows = ["| option | default | command line | meaning |", "| --- " * 4 + "|"]
    for item in fields(Options):
        flag = f"`--gradcheck-{item.name.replace('_', '-')}`" if item.metadata["cli"] else ""
        default = {None: "unset", (): "none"}.get(item.default, f"`{item.default!r}`")
        meaning = HELP[item.name].replace("|", "\\|")
        rows.append(f"| `{item.name}` | {default} | {flag} | {meaning} |")
    return "\n".join(rows)


def on_files(files: Any, config: Any) -> Any:
    """Add the project's own files."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        text = linked((ROOT / source).read_text(encoding="utf-8"), source)
        files.append(File.generated(config, page, content=text))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Point links to pages, and put the table of options in its place."""
    if page.file.src_uri in PAGES.values():
        return markdown  # its links are right by now
    return linked(markdown, f"docs/{page.file.src_uri}").replace(OPTIONS, options_table())


def on_page_content(html: str, page: Any, **_: Any) -> str:
    """Have a search name how-tos first."""
    if page.file.src_uri == "why.md" or (page.parent and page.parent.title == "How to"):
        page.meta["search"] = {"boost": FOUND_FIRST}
    return html
