"""What installing it brings: metadata, entry point, typing; and what that costs unused."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import pytest

import pytest_gradcheck

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def run_python(*arguments: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


# Metadata


def test_requirements_have_a_floor_and_no_cap():
    floors = dict(requirement.split(">=") for requirement in PROJECT["dependencies"])
    assert floors == {"numpy": "1.26", "pytest": "8.4", "pluggy": "1.5"}
    assert PROJECT["requires-python"] == ">=3.11"
    everything = sum(PROJECT["optional-dependencies"].values(), PROJECT["dependencies"])
    assert [item for item in everything if re.search(r"<|==|~=|!=", item)] == []


def test_the_page_of_versions_has_the_floors_and_every_plugin():
    page = (ROOT / "docs" / "versions.md").read_text(encoding="utf-8")
    floors = dict(requirement.split(">=") for requirement in PROJECT["dependencies"])
    floors["Python"] = PROJECT["requires-python"].removeprefix(">=")
    for name, floor in floors.items():
        assert f"{name} from {floor}" in page
    rows = re.findall(r"^\| ([\w-]+) \|", page, re.M)
    plugins = [one.split(">=")[0] for one in PROJECT["optional-dependencies"]["beside"]]
    assert set(plugins) <= set(rows)


def test_every_requirement_allows_a_release_candidate_of_a_later_version():
    from packaging.requirements import Requirement

    for requirement in map(Requirement, metadata.requires("pytest-gradcheck")):
        assert requirement.specifier.contains("9999.0rc1", prereleases=True), requirement


def test_installed_metadata_is_the_project_s():
    installed = metadata.metadata("pytest-gradcheck")
    assert installed["Requires-Python"] == PROJECT["requires-python"]
    assert set(PROJECT["classifiers"]) <= set(installed.get_all("Classifier"))
    assert "Framework :: Pytest" in PROJECT["classifiers"]
    assert installed["License-Expression"] == "MIT"
    assert not (ROOT / "setup.py").exists()


def test_entry_point_is_the_plugin():
    (entry,) = metadata.entry_points(group="pytest11", name="gradcheck")
    assert entry.value == "pytest_gradcheck.plugin"
    assert entry.load().__name__ == "pytest_gradcheck.plugin"


def test_one_version_everywhere():
    newest = re.search(r"^## \[?(\d[^\]\s]*)", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert newest is not None
    assert newest[1] == pytest_gradcheck.__version__ == metadata.version("pytest-gradcheck")


def test_package_says_that_it_is_typed():
    assert (Path(pytest_gradcheck.__file__).parent / "py.typed").is_file()
    assert "Typing :: Typed" in PROJECT["classifiers"]


def test_license_is_mit():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert text.startswith("MIT License")
    assert PROJECT["license"] == "MIT"


# Cost when unused

EAGER = "numpy", "hypothesis", "torch", "jax"


def heavy_modules_after(code: str, cwd: Path) -> str:
    show = f"import sys; print([name for name in {EAGER} if name in sys.modules])"
    return run_python("-c", f"{code}\n{show}", cwd=cwd).strip()


def test_import_loads_no_numpy(tmp_path):
    assert heavy_modules_after("import pytest_gradcheck", tmp_path) == "[]"
    assert heavy_modules_after("import pytest_gradcheck.plugin", tmp_path) == "[]"


def test_first_use_does_load_numpy(tmp_path):
    code = "import pytest_gradcheck; pytest_gradcheck.check_gradients"
    assert heavy_modules_after(code, tmp_path) == "['numpy']"


@pytest.mark.parametrize(
    "flags",
    [(), ("--gradcheck-summary", "all"), ("-v", "--markers"), ("--fixtures",)],
    ids=" ".join,
)
def test_pytest_run_without_checks_loads_no_numpy(tmp_path, flags):
    """Header, collection, a bare marker, the summary: nothing of it needs numpy."""
    (tmp_path / "pytest.ini").write_text("[pytest]\ngradcheck_rtol = 1e-5\n")
    (tmp_path / "test_plain.py").write_text(
        "import pytest\n\n@pytest.mark.gradcheck\ndef test_marked():\n    pass\n"
    )
    # The last plugin to be told that the session is over looks at what was loaded until then.
    (tmp_path / "conftest.py").write_text(
        "import sys\n\n"
        "def pytest_unconfigure(config):\n"
        f"    print('loaded:', [name for name in {EAGER} if name in sys.modules])\n"
    )
    output = run_python(
        "-m", "pytest", "-p", "no:hypothesispytest", "-p", "no:xdist", *flags, cwd=tmp_path
    )
    assert "loaded: []" in output


# The files around the package


ALONE = {"run", "mutants"}
"""Of the commands in .ci, those that are no claim of `.ci/run`; the second takes hours."""

CLAIMS = sorted(
    path.name
    for path in (ROOT / ".ci").iterdir()
    if path.is_file() and not path.suffix and path.name not in ALONE
)


@pytest.mark.parametrize("name", ["run", *CLAIMS])
def test_ci_scripts_are_runnable_bash(name):
    script = ROOT / ".ci" / name
    assert os.access(script, os.X_OK)
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n# ")
    subprocess.run(["bash", "-n", str(script)], check=True, timeout=120)


def test_ci_run_says_and_calls_every_script():
    text = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    said = re.findall(r"^#   \.ci/(\w+)  ", text, re.M)
    called = re.search(r"claims=\((\w.*)\)$", text, re.M)
    assert called is not None
    assert called[1].split() == [name for name in said if name != "run"]
    assert sorted(said) == sorted([*CLAIMS, "run"])


@pytest.mark.parametrize("path", sorted((ROOT / ".github").rglob("*.yml")), ids=lambda p: p.stem)
def test_workflows_may_only_read_and_run_what_is_pinned(path):
    text = path.read_text(encoding="utf-8")
    assert re.search(r"^permissions:\n  contents: read\n\n", text, re.M)
    allowed = re.findall(r"^ +([\w-]+): (?:write|read-all|write-all)\b", text, re.M)
    assert allowed == (["id-token"] if path.stem == "release" else [])
    used = re.findall(r"uses: (\S+)", text)
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", one)] == []


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    """Return every file that git knows or would add, as text."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    there = [name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]
    return {name: (ROOT / name).read_text(encoding="utf-8", errors="replace") for name in there}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(r"/(?:home|Users|root)/\w|[A-Z]:\\Users", id="a folder of somebody's machine"),
        pytest.param(r"(?m)^(?:<{7}|>{7}) ", id="the marks of a merge"),
    ],
)
def test_no_file_has(texts, found):
    assert [name for name, text in texts.items() if re.search(found, text)] == []
