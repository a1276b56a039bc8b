"""The page of the mutants says what the settings ask for, and its figures add up."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "mutants.md"
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mutmut"]
MODULES = [
    path.removeprefix("pytest_gradcheck/").removesuffix(".py") for path in SETTINGS["only_mutate"]
]
COLUMNS = ["killed", "by mypy", "timed out", "survived", "asked", "of", "killed in all", "on"]


def section(title):
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.DOTALL | re.M)
    assert found, f"docs/mutants.md has no section {title}"
    return found[1]


def rows(text):
    """Return the cells of a page's tables, without their heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    return [row for row in cells[1:] if not set("".join(row)) <= set("-: ")]


FIGURES = {row[0].strip("`"): row[1:] for row in rows(section("Figures"))}
ASKED = [name for name, cells in FIGURES.items() if set(cells) != {"–"}]
SURVIVORS = rows(section("Survivors"))


def test_each_module_of_the_settings_has_its_figures():
    assert sorted(FIGURES) == sorted([*MODULES, "all"])
    assert len(MODULES) == len(set(MODULES)) >= 9
    for path in [*SETTINGS["only_mutate"], *SETTINGS["pytest_add_cli_args_test_selection"]]:
        assert (ROOT / path).exists(), f"pyproject.toml: [tool.mutmut] names {path}"


@pytest.mark.parametrize("module", ASKED)
def test_the_figures_add_up(module):
    numbers = dict(zip(COLUMNS, FIGURES[module], strict=True))
    counts = {name: int(numbers[name]) for name in COLUMNS[:6]}
    killed = counts["killed"] + counts["by mypy"] + counts["timed out"]
    assert killed + counts["survived"] == counts["asked"] <= counts["of"]
    assert numbers["killed in all"] == f"{100 * killed / counts['asked']:.1f} %"
    if module == "all":
        for name, number in counts.items():
            column = COLUMNS.index(name)
            assert number == sum(int(FIGURES[one][column]) for one in ASKED if one != "all")
        assert killed >= 0.9 * counts["asked"]


def functions(module):
    tree = ast.parse((ROOT / "pytest_gradcheck" / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            yield node.name
        if isinstance(node, ast.ClassDef):
            yield from (f"{node.name}.{item.name}" for item in node.body if hasattr(item, "name"))


@pytest.mark.parametrize("module", MODULES)
def test_each_survivor_is_listed_with_a_reason(module):
    named = [row for row in SURVIVORS if row[0].strip("`").startswith(f"{module}.")]
    survived = FIGURES[module][COLUMNS.index("survived")] if module in ASKED else 0
    told = [re.match(r"(\d+) × ", change) for _, change, _ in named]
    assert sum(int(many[1]) if many else 1 for many in told) == int(survived)
    known = set(functions(module))
    reasons = {row[0] for row in rows(section("Reasons"))}
    for where, change, reason in named:
        name = where.strip("`").removeprefix(f"{module}.")
        assert name in known, f"{module} has no {name}"
        assert change
        assert reason in reasons


def test_the_page_is_on_the_site_and_the_command_is_there():
    assert "mutants.md" in (ROOT / "docs" / "site" / "mkdocs.yml").read_text(encoding="utf-8")
    assert "mutants.md" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    assert "docs/mutants.md" in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    command = ROOT / ".ci" / "mutants"
    version = re.search(r'^MUTMUT = "mutmut==([\d.]+)"$', command.read_text(encoding="utf-8"), re.M)
    text = PAGE.read_text(encoding="utf-8")
    assert f"mutmut {version[1]}" in text
    assert re.search(r"\b20\d\d-\d\d-\d\d\b", text)
    assert ".ci/mutants" in text
