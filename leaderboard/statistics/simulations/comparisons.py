"""How often tests and ranks are right: simulated boards with the noise of published scores.

`python -m leaderboard.statistics.simulations.comparisons --out FILE` repeats the tables of docs/comparisons.md. Every
simulated board has its own key, so that the numbers depend on neither the number of processes nor on their order.
"""

from __future__ import annotations

import argparse
import csv
import functools
import gzip
import hashlib
import itertools
import json
import multiprocessing
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.statistics.influence import error_of, iqm_influence
from leaderboard.statistics.metrics import Array, Scores, iqm
from leaderboard.statistics.pairs import welch_interval
from leaderboard.statistics.permutation import permutation_p
from leaderboard.statistics.ranks import rank
from suite.running.provenance import hardware
from suite.tasks import human_normalized, load_task

TASK, ITERATION = "atari40m", 39
"""The games, and the iteration of 1M frames whose mean returns are the scores: the last of 40M frames."""

ENTRIES = 10
"""Entries of a simulated board."""

RESAMPLES = 1_000
"""Resamples of the conventional percentile interval."""

SCENARIOS: dict[str, tuple[float, ...]] = {
    "all equal": (1.0,) * ENTRIES,
    "two groups": (1.0,) * 5 + (1.1,) * 5,
    "spaced": tuple(1 + 0.05 * i for i in range(ENTRIES)),
}
"""What the entries of a board multiply every score with: 10 % between groups, 5 % between neighbours."""

NOISES = ("real", "long tails", "collapse")

RUNS = (3, 5, 10)
"""Runs of each entry in each game."""

_Job = tuple[str, dict[str, Any], int]


@dataclass(frozen=True, slots=True)
class Population:
    """What boards are drawn from: means and spreads between runs [entries, games], and standardized residuals.

    `real` residuals are those of each cell over its own spread; `long` over that of its game, common to all entries in
    proportion to the means: cells whose five runs happened to agree do not shorten the tails there.
    """

    names: tuple[str, ...]
    games: tuple[str, ...]
    means: Array
    spreads: Array
    real: Array
    long: Array


@functools.cache
def population() -> Population:
    """Return the published scores of ten entries on the task's games: five runs of each cell."""
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    games = tuple(sorted(load_task(TASK).games))
    file = resources.files("leaderboard") / "data" / "dopamine_atari_train_returns.csv.gz"
    with file.open("rb") as raw, gzip.open(raw, "rt", newline="") as text:
        for row in csv.DictReader(text):
            if int(row["iteration"]) != ITERATION or row["game"] not in games or row["network"].endswith("legacy"):
                continue
            score = human_normalized(row["game"], float(row["mean_train_return"]))
            assert score is not None
            cells[f"{row['agent']} {row['network']}", row["game"]].append(score)
    names = tuple(sorted({name for name, _ in cells}))
    scores = np.array([[cells[name, game] for game in games] for name in names])
    runs = scores.shape[2]
    means, spreads = scores.mean(axis=2), scores.std(axis=2, ddof=1)
    residuals = (scores - means[:, :, None]) * (runs / (runs - 1)) ** 0.5
    common = np.abs(means) * np.sqrt(((spreads / np.abs(means)) ** 2).mean(axis=0))
    real, long = (residuals / spread[:, :, None] for spread in (spreads, common))
    return Population(names, games, means, spreads, real.ravel() / real.std(), long.ravel() / long.std())


def board(key: str, runs: int, noise: str, factors: Sequence[float], *, base: int = 0) -> list[Scores]:
    """Return entries that differ by a factor on every score and nothing else, drawn from published entry `base`.

    `noise` is one of `NOISES`; with `collapse` 15 of 100 runs end with the score of a random policy.
    """
    source = _source(key)
    found = population()
    residuals = source.choice(
        found.long if noise == "long tails" else found.real, (len(factors), len(found.games), runs)
    )
    scores = found.means[base][:, None] + found.spreads[base][:, None] * residuals
    scores *= np.array(factors)[:, None, None]
    if noise == "collapse":
        scores[source.random(scores.shape) < 0.15] = 0.0
    return [dict(zip(found.games, entry, strict=True)) for entry in scores]


def rival(key: str, runs: int, *, base: int, other: int) -> list[Scores]:
    """Return an entry like published entry `base`, and one like `other`, scaled to the same expected aggregate.

    They differ in every game, in both directions, and not in the mean of their interquartile means.
    """
    source = _source(key)
    found = population()
    scores = [_drawn(source, index, (runs,)) for index in (base, other)]
    factor = expected(base, runs) / expected(other, runs)
    return [dict(zip(found.games, entry, strict=True)) for entry in (scores[0], factor * scores[1])]


@functools.cache
def expected(entry: int, runs: int, repetitions: int = 4_000) -> float:
    """Return the mean of the interquartile mean of a published entry at some number of runs a game."""
    scores = _drawn(_source(f"expected/{entry}/{runs}"), entry, (repetitions, runs)).transpose(1, 0, 2)
    return float(_middle(scores.reshape(repetitions, -1)).mean())


def pair_errors(key: str, runs: int, noise: str, effect: float) -> dict[str, bool]:
    """Return which tests find a difference between two entries; the second is better by the share `effect`.

    `noise` is one of `NOISES`, or `rivals` for entries that differ in every game (see `rival`).
    """
    index = int.from_bytes(hashlib.sha256(key.encode()).digest()[16:20], "little")
    base, other = index % ENTRIES, (index + 1 + index // ENTRIES % (ENTRIES - 1)) % ENTRIES
    if noise == "rivals":
        first, second = rival(key, runs, base=base, other=other)
        second = {name: (1 + effect) * values for name, values in second.items()}
    else:
        first, second = board(key, runs, noise, (1.0, 1 + effect), base=base)
    errors = [error_of(iqm_influence(scores)[1]) for scores in (first, second)]
    interval = welch_interval(iqm(first) - iqm(second), *errors)
    return {
        "permutation, studentised": permutation_p(first, second) < 0.05,
        "permutation, plain": permutation_p(first, second, studentised=False) < 0.05,
        "interval of the difference": not _covers(interval.low, interval.high),
        "percentile interval": not _covers(*_percentiles(key, first, second)),
    }


def rank_errors(key: str, runs: int, noise: str, scenario: str) -> dict[str, float]:
    """Return whether all rank intervals of a board hold together, their mean width, and the number of letters."""
    factors = SCENARIOS[scenario]
    index = int.from_bytes(hashlib.sha256(key.encode()).digest()[16:20], "little")
    entries = board(key, runs, noise, factors, base=index % ENTRIES)
    rankings = list(rank({f"{i:02}": scores for i, scores in enumerate(entries)}).values())
    best = [1 + sum(other > factor for other in factors) for factor in factors]
    worst = [ENTRIES - sum(other < factor for other in factors) for factor in factors]
    sound = all(r.low <= first and r.high >= last for r, first, last in zip(rankings, best, worst, strict=True))
    return {
        "simultaneous coverage": float(sound),
        "mean width": float(np.mean([r.high - r.low + 1 for r in rankings])),
        "letters": float(len({letter for r in rankings for letter in r.letters})),
    }


def frequencies(
    measure: Callable[..., Mapping[str, float]], name: str, boards: int, **settings: Any
) -> dict[str, float]:
    """Return the means of what `measure` says of `boards` simulated boards; `name` keys their draws."""
    rows = [measure(f"{name}/{number}", **settings) for number in range(boards)]
    return {column: float(np.mean([row[column] for row in rows])) for column in rows[0]}


def tables(
    boards: int,
    processes: int = 1,
    progress: Callable[[str], object] = lambda line: None,
    *,
    seeds: Sequence[int] = RUNS,
) -> dict[str, list[dict[str, Any]]]:
    """Return all tables: rank coverage, false positives and power, each row over `boards` simulated boards.

    Rows of the table of power, which take longest, are over a quarter of them. `seeds` are numbers of runs a game.
    """
    jobs: list[_Job] = [
        ("ranks", {"runs": runs, "noise": noise, "scenario": scenario}, boards)
        for scenario, noise, runs in itertools.product(SCENARIOS, NOISES, seeds)
    ]
    jobs += [
        ("false positives", {"runs": runs, "noise": noise, "effect": 0.0}, boards)
        for noise, runs in itertools.product((*NOISES, "rivals"), seeds)
    ]
    jobs += [
        ("power", {"runs": runs, "noise": noise, "effect": 0.1}, max(1, boards // 4))
        for noise, runs in itertools.product(("real", "rivals"), seeds)
    ]
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for job, row in zip(jobs, pool.map(_row, jobs), strict=True):
            found[job[0]].append(row)
            progress(f"{job[0]}: {json.dumps(row)}")
    return dict(found)


def _row(job: _Job) -> dict[str, Any]:
    table, settings, boards = job
    measure = rank_errors if table == "ranks" else pair_errors
    start = time.process_time()
    means = frequencies(measure, f"{table}/{json.dumps(settings)}", boards, **settings)
    return {**settings, **means, "boards": boards, "cpu_seconds": round(time.process_time() - start, 1)}


def _source(key: str) -> np.random.Generator:
    digest = hashlib.sha256(f"comparisons-1/{key}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def _drawn(source: np.random.Generator, entry: int, shape: tuple[int, ...]) -> Array:
    """Return scores like those of a published entry, [games, *shape]."""
    found = population()
    extra = (slice(None), *[None] * len(shape))
    residuals = source.choice(found.real, (len(found.games), *shape))
    drawn: Array = found.means[entry][extra] + found.spreads[entry][extra] * residuals
    return drawn


def _middle(rows: Array) -> Array:
    """Return the interquartile mean of each row."""
    size = rows.shape[1]
    weights = np.diff(np.clip(np.arange(size + 1), size / 4, 3 * size / 4))
    means: Array = np.sort(rows, axis=1) @ weights / (size / 2)
    return means


def _percentiles(key: str, first: Scores, second: Scores) -> tuple[float, float]:
    """Return the conventional interval of the difference: percentiles of a stratified bootstrap."""
    source, samples = _source(f"{key}/percentiles"), []
    for scores in (first, second):
        matrix = np.array([scores[name] for name in sorted(scores)])
        games, runs = matrix.shape
        drawn = source.integers(runs, size=(RESAMPLES, games, runs))
        samples.append(_middle(matrix[np.arange(games)[:, None], drawn].reshape(RESAMPLES, -1)))
    low, high = np.percentile(samples[0] - samples[1], [2.5, 97.5])
    return float(low), float(high)


def _covers(low: float | None, high: float | None) -> bool:
    return low is None or high is None or low <= 0 <= high


def main() -> None:
    """Write all tables as JSON, in the form of the results of heavy proofs (ci/nightly/README.md)."""
    parser = argparse.ArgumentParser(description="Repeat the simulations of docs/comparisons.md.")
    parser.add_argument("--out", type=Path, required=True, help="The file to write.")
    parser.add_argument("--boards", type=int, default=1_000, help="Simulated boards a row.")
    parser.add_argument("--processes", type=int, default=1, help="Processes; the numbers do not depend on it.")
    options = parser.parse_args()
    start = time.monotonic()
    found = tables(options.boards, options.processes, lambda line: sys.stderr.write(f"{line}\n"))
    machine = hardware()
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB",
        "command": f"python -m leaderboard.statistics.simulations.comparisons --boards {options.boards}",
        "figures": {
            "wall_s": round(time.monotonic() - start),
            "cpu_s": round(sum(row["cpu_seconds"] for row in itertools.chain(*found.values()))),
        },
        "tables": found,
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
