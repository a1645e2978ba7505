"""Figures in the documents are those of the recorded runs that they speak of."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def record(path: str) -> Any:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def text(path: str) -> str:
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def percent(share: float) -> str:
    return f"{round(100 * share, 1):g}"


def test_the_readme_says_how_fast_it_was() -> None:
    rows, readme = record("ci/bench/result.json")["rows"], text("README.md")
    names = ("host-breakout", "host-pong", "host16-breakout", "host16-pong")
    one, other, several, last = (f"{rows[name]['ratio']['dopamine']['median']:.1f}" for name in names)
    assert (
        f"made {one} times Dopamine's agent steps per CPU second on Breakout and {other} on Pong with one lane"
        in readme
    )
    assert f"{several} and {last} times with sixteen" in readme
    ratios = {name: ratio["median"] for name, ratio in rows["replay"]["ratio"].items()}
    assert f"a replay batch came {ratios['dopamine']:.1f} times as fast" in readme
    assert f"{ratios['copy alone']:.2f} of the rate of copying its bytes alone" in readme
    costs = [ratio["median"] for ratio in rows["methods"]["ratio"].values()]
    assert f"none of {len(costs)} methods added more than 5 % to an ordinary update" in readme
    assert max(costs) < 1.05


def test_the_readme_says_how_often_runs_were_killed() -> None:
    figures = record("ci/nightly/kills.json")["figures"]
    killed = f"{figures['kills']:.0f} kills, {figures['inside_a_write']:.0f} of them inside a checkpoint write"
    assert killed in text("README.md")


def test_the_tables_of_comparisons_are_those_of_the_simulation() -> None:
    found = record("ci/nightly/comparisons.json")
    tables = found["tables"]
    ranks: dict[str, list[str]] = {}
    for row in tables["ranks"]:
        cell = f"{percent(row['simultaneous coverage'])} (width {row['mean width']:.1f})"
        ranks.setdefault(f"| {row['noise']} | {row['runs']} |", []).append(cell)
    columns = ("permutation, studentised", "permutation, plain", "interval of the difference", "percentile interval")

    def pairs(rows: Iterable[dict[str, Any]]) -> list[str]:
        return [
            f"| {row['noise']} | {row['runs']} | {' | '.join(percent(row[name]) for name in columns)} |" for row in rows
        ]

    expected = [f"{key} {' | '.join(cells)} |" for key, cells in ranks.items()]
    expected += pairs(tables["false positives"]) + pairs(tables["power"])
    document = (ROOT / "docs/comparisons.md").read_text(encoding="utf-8")
    shown = document.partition("## How often it is right")[2].partition("\n## ")[0]
    assert re.findall(r"^\| .*\d \|.*\|$", shown, re.MULTILINE) == expected
    options = found["command"].partition(" --")[2]  # a record keeps the name that its module had then
    command = f"python -m leaderboard.statistics.simulations.comparisons --{options} --out ci/nightly/comparisons.json"
    assert command in shown
    assert f"{found['figures']['cpu_s']} CPU seconds" in shown
