"""The site: pages that are made from the code, and what must not fall behind it.

The build itself, in which no link may be dead and no page may ask another server, is a step of
.ci/run.
"""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
import unicodedata
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace

import pytest

import pytest_gradcheck
from pytest_gradcheck import Options
from pytest_gradcheck._options import HELP
from pytest_gradcheck._verdict import tolerance_and_comparison

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HOOKS = runpy.run_path(str(DOCS / "site" / "hooks.py"))


def as_built(name: str) -> str:
    """Return a page of docs/ as the site has it, still in Markdown."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri=name))
    text: str = HOOKS["on_page_markdown"]((DOCS / name).read_text(encoding="utf-8"), page=page)
    return text


def cells(text: str) -> list[list[str]]:
    rows = re.findall(r"^\|(.*)\|$", text, re.M)
    return [[cell.strip().replace("**", "") for cell in row.split("|")] for row in rows]


def test_every_option_has_its_row():
    rows = {row[0].strip("`"): row[1:] for row in cells(as_built("options.md")) if len(row) == 4}
    assert list(rows)[2:] == [item.name for item in fields(Options)]  # a heading and a rule before
    for item in fields(Options):
        default, flag, meaning = rows[item.name]
        assert meaning == HELP[item.name]
        assert bool(flag) == item.metadata["cli"]
        if item.default in (None, ()):
            assert default in ("unset", "none")
        else:
            assert default == f"`{item.default!r}`"


def test_options_page_has_the_flags_of_pytest_s_help_and_no_other():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    flags = re.compile(r"--gradcheck-[a-z0-9-]+")
    shown = re.findall(r"^\s+(--gradcheck-[a-z0-9-]+)", done.stdout, re.M)
    assert "--gradcheck-rtol" in shown
    assert set(flags.findall(as_built("options.md"))) == set(shown)


REFERENCE = "".join(path.read_text(encoding="utf-8") for path in sorted(DOCS.glob("reference*.md")))


def test_every_public_name_is_in_the_reference_once():
    listed = re.findall(r"^::: pytest_gradcheck\.(\w+)$", REFERENCE, re.M)
    assert sorted([*listed, "__version__"]) == pytest_gradcheck.__all__
    assert "`pytest_gradcheck.__version__`" in REFERENCE


def test_every_hook_is_in_the_reference():
    hooks = re.findall(
        r"^@hookspec.*\ndef (\w+)",
        (ROOT / "pytest_gradcheck" / "hookspecs.py").read_text(encoding="utf-8"),
        re.M,
    )
    assert "gradcheck_explain" in hooks
    missing = [
        name for name in hooks if f"::: pytest_gradcheck.hookspecs.{name}\n" not in REFERENCE
    ]
    assert missing == []


def test_figures_of_the_readme_are_those_of_the_page_of_peers():
    def table(text: str) -> list[list[str]]:
        rows = cells(text)
        start = next(i for i, row in enumerate(rows) if row[0] == "checker")
        return [row for row in rows[start + 2 :] if len(row) == 6]

    readme = table((ROOT / "README.md").read_text(encoding="utf-8"))
    peers = table(as_built("peers.md"))
    assert len(readme) == 3
    assert len(peers) > 6
    assert [row for row in readme if row not in peers] == []


def anchors(path: Path) -> set[str]:
    """Return the names of a page's headings, as Python-Markdown makes them."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    titles = (
        unicodedata.normalize("NFKD", title) for title in re.findall(r"^#+ (.+)$", text, re.M)
    )
    words = (re.sub(r"[^\w\s-]", "", title.encode("ascii", "ignore").decode()) for title in titles)
    return {re.sub(r"[-\s]+", "-", word.strip().lower()) for word in words}


WRITTEN = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", WRITTEN, ids=lambda page: page.stem)
def test_every_link_leads_to_a_file_and_a_heading(page):
    text = page.read_text(encoding="utf-8")
    links = re.findall(r"""(?:\]\(|src=\"|srcset=\")(?!https?:)([^)"\s#]*)#?([^)"\s]*)""", text)
    there = [(page.parent / name if name else page, heading) for name, heading in links]
    assert [path for path, _ in there if not path.is_file()] == []
    written = [(path, heading) for path, heading in there if heading and path.suffix == ".md"]
    dead = [heading for path, heading in written if heading not in anchors(path)]
    assert dead == []


def test_every_page_is_in_the_navigation_once():
    text = (DOCS / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    listed = re.findall(r"^ +- .*?([\w-]+\.md)$", text, re.M)
    pages = {path.name for path in DOCS.glob("*.md")} | set(HOOKS["PAGES"].values())
    assert sorted(listed) == sorted(pages)


@pytest.mark.parametrize(
    ("source", "written", "built"),
    [
        ("docs/json.md", "[a](../CHANGELOG.md)", "[a](changelog.md)"),
        ("docs/hints.md", "[a](numerics.md#hints)", "[a](numerics.md#hints)"),
        ("README.md", "[a](docs/hints.md) [b](#reports)", "[a](hints.md) [b](#reports)"),
        ("README.md", "[a](https://a.org/b.md)", "[a](https://a.org/b.md)"),
        ("CONTRIBUTING.md", "[a](benchmarks/README.md#x)", "[a](benchmarks.md#x)"),
        ("benchmarks/README.md", "[a](../README.md)", "[a](index.md)"),
        ("docs/json.md", "[a](../examples/none.md)", "[a](examples/none.md)"),
    ],
)
def test_links_lead_to_pages(source, written, built):
    assert HOOKS["linked"](written, source) == built


def test_how_tos_are_found_by_what_people_call_things():
    rows = re.findall(r"^\| (.+?) \| (\[.+\]\(.+?\)) \|$", as_built("howto.md"), re.M)
    said = ", ".join(row[0] for row in rows)
    words = (
        "my gradient check fails, relu, float32, dropout, weight decay, too slow, approximate, "
        "batch norm, CI, can't be told"
    )
    assert [word for word in words.split(", ") if word not in said] == []


@pytest.mark.parametrize(("page", "section", "first"), [
    ("kinks.md", "How to", True), ("why.md", "", True),
    ("json.md", "Reference", False), ("index.md", "", False),
])  # fmt: skip
def test_a_search_names_how_tos_first(page, section, first):
    parent = SimpleNamespace(title=section) if section else None
    found = SimpleNamespace(file=SimpleNamespace(src_uri=page), parent=parent, meta={})
    assert HOOKS["on_page_content"]("<p>", page=found) == "<p>"
    assert (found.meta.get("search", {}).get("boost", 1) > 1) is first


def test_why_it_fails_has_every_reason_for_which_an_entry_is_left_open():
    page = (DOCS / "why.md").read_text(encoding="utf-8")
    reasons = [
        value
        for name, value in vars(tolerance_and_comparison).items()
        if name.isupper() and isinstance(value, str)
    ]
    assert "func jumps here" in reasons
    assert [reason for reason in reasons if reason not in page] == []
