"""The tables and the list of misclassified cases, as text."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median
from typing import Any

from suite.mutants import DELTAS

Record = dict[str, Any]
SETS = {
    "smooth float64": ("agree",),
    "float32, noisy, near a kink": ("inconclusive-ok",),
    "on a kink": ("kink",),
    "jumps, random, vacuous": ("inconclusive", "nonrepeatable", "vacuous"),
}


def _chosen(records: list[Record], name: str, expects: tuple[str, ...]) -> list[Any]:
    return [r["checkers"][name] | {"size": r["size"]} for r in records
            if r["expect"] in expects and r["checkers"][name] is not None]  # fmt: skip


def right_gradients(records: list[Record], names: list[str], title: str) -> Iterator[str]:
    """Yield the table of what each checker said of right gradients in one set."""
    expects = SETS[title]
    total = sum(r["expect"] in expects for r in records)
    yield f"\nright gradients: {title}, {total} cases"
    yield (f"{'checker':18}{'seen':>6}{'accused':>9}{'inconcl.':>9}{'as meant':>9}"
           f"{'evals / 2N':>11}{'<=2N+20':>9}{'seconds':>9}")  # fmt: skip
    for name in names:
        rows = _chosen(records, name, expects)
        if not rows:
            yield f"{name:18}{0:6d}"
            continue
        accused = sum(r["right"] == "disagree" or r["right"].startswith("raised") for r in rows)
        unsure = sum(r["right"] == "inconclusive" for r in rows)
        meant = sum(r["welcome"] or (not name.startswith("ours") and r["right"] == "agree")
                    for r in rows)  # fmt: skip
        ratio = median(r["evaluations"] / (2 * r["size"]) for r in rows)
        cheap = sum(r["evaluations"] <= 2 * r["size"] + 20 for r in rows) / len(rows)
        seconds = sum(r["seconds"] for r in rows)
        yield (f"{name:18}{len(rows):6d}{accused:9d}{unsure:9d}{meant:9d}{ratio:11.2f}"
               f"{cheap:9.0%}{seconds:9.1f}")  # fmt: skip


def _share(said: list[Any]) -> str:
    """Return percent caught of all, and of the resolvable."""
    clear = [m for m in said if m["clear"]]
    parts = []
    for group in (said, clear):
        if not group:
            parts.append("   -")
            continue
        caught = sum(m["verdict"] == "disagree" for m in group) / len(group)
        # Never round up to a claim of all.
        parts.append(f"{int(1000 * caught) / 10:.4g}")
    return "/".join(parts)


def caught(records: list[Record], names: list[str], title: str) -> Iterator[str]:
    """Yield the table of wrong gradients caught in one set, by the size of the error."""
    expects = SETS[title]
    yield f"\nwrong gradients caught, % of all / % of those that float64 resolves: {title}"
    heads = [f"{d:.0e}" for d in DELTAS]
    columns = [f"one {h}" for h in heads] + [f"all {h}" for h in heads] + ["gross", "given"]
    used = [c for c in columns if any(
        m["column"] == c for name in names for r in _chosen(records, name, expects)
        for m in r["mutants"])]  # fmt: skip
    yield f"{'error':12}{'mutants':>8}{'clear':>7}" + "".join(f"{n[:15]:>17}" for n in names)
    for column in used:
        cells = []
        counts = (0, 0)
        for name in names:
            said = [m for r in _chosen(records, name, expects) for m in r["mutants"]
                    if m["column"] == column]  # fmt: skip
            counts = max(counts, (len(said), sum(m["clear"] for m in said)))
            cells.append(f"{_share(said):>17}")
        yield f"{column:12}{counts[0]:8d}{counts[1]:7d}" + "".join(cells)


def misclassified(records: list[Record], names: list[str]) -> Iterator[str]:
    """Yield each wrong answer of our checker: the case, the numbers, the verdict."""
    for name in names:
        yield f"\n{name}: right gradients not classified as meant"
        for r in records:
            row = r["checkers"][name]
            if row is not None and not row["welcome"]:
                near = ", ".join(f"[{i}] {f:.0e} of {g:.1e}" for i, (f, g) in r["floors"].items())
                yield (f"  [{r['category']}] {r['case']}: expected {r['expect']}, "
                       f"said {row['right']}; {row['detail']}; oracle's floors {near}")  # fmt: skip
            if row is not None and row["leaked"]:
                yield f"  [{r['category']}] {r['case']}: warned {sorted(set(row['leaked']))[:2]}"
        # What the tolerance itself allows is not missed.
        least = 1e-4 if "rtol 1e-5" in name else 1e-5
        yield f"\n{name}: resolvable errors of {least:.0e} and more not called wrong"
        for r in records:
            row = r["checkers"][name]
            missed = [] if row is None else [m for m in row["mutants"] if _missed(m, least)]
            if missed:
                yield f"  [{r['category']}] {r['case']}: {len(missed)} of {len(row['mutants'])}"
            for m in missed[:3]:
                yield (f"      {m['label']}, error {m['error']:.1e}, floor {m['floor']:.1e}: said "
                       f"{m['verdict']}; {m.get('detail', '')}")  # fmt: skip


def _missed(mutant: Any, least: float) -> bool:
    size = mutant["column"][4:]
    small = size[:2] == "1e" or size[1:3] == "e-"
    return (mutant["clear"] and mutant["verdict"] != "disagree"
            and not (small and float(size) < 0.9 * least))  # fmt: skip


def report(records: list[Record], names: list[str], ours: list[str]) -> Iterator[str]:
    for title in SETS:
        yield from right_gradients(records, names, title)
    for title in SETS:
        yield from caught(records, names, title)
    yield from misclassified(records, ours)
