"""`benchmarks/recording.py`: two recordings are equal, and a changed value is named."""

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "recording.py"


def run(*arguments):
    return subprocess.run(
        [sys.executable, "-X", "utf8", SCRIPT, *arguments],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )


def test_a_recording_is_equal_to_itself_and_a_changed_value_is_named(tmp_path):
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    assert run("record", old, "--group", "manifold").returncode == 0
    same = run("compare", old, old)
    assert (same.returncode, same.stdout) == (0, "manifold: 3 equal, 0 changed, 0 only in one\n")

    kept = json.loads(old.read_text(encoding="utf-8"))
    report = kept["manifold: right"]["result"]["report"]
    report["evaluations"] += 1
    report["noise"] = -0.0
    kept["manifold: new"] = kept.pop("manifold: across")
    new.write_text(json.dumps(kept), encoding="utf-8")
    found = run("compare", old, new)
    assert found.returncode == 1
    before = json.loads(old.read_text(encoding="utf-8"))["manifold: right"]["result"]["report"]
    assert found.stdout.splitlines() == [
        "manifold: 1 equal, 1 changed, 2 only in one",
        "  only in the old one: manifold: across",
        "  only in the new one: manifold: new",
        "  manifold: right",
        f"    result.report.evaluations: {before['evaluations']} → {before['evaluations'] + 1}",
        f"    result.report.noise: {before['noise']} → -0.0",
    ]
