"""Error rates of tests, ranks and plans: simulated boards with the noise of published scores.

`ci/simulate comparisons` repeats the tables of docs/comparisons.md. Every simulated board has its own key, so that the
numbers depend on neither the number of processes nor on their order.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import stdtr  # type: ignore[import-untyped]

from leaderboard.statistics import looks
from leaderboard.statistics.conventions import STATISTICS
from leaderboard.statistics.influence import combined, error_of, iqm_influence
from leaderboard.statistics.intervals import student_interval
from leaderboard.statistics.looks import adjusted_p
from leaderboard.statistics.metrics import Array, Scores, iqm
from leaderboard.statistics.permutation import permutation_p
from leaderboard.statistics.power import seeds_needed, unit_variances
from leaderboard.statistics.ranks import rank
from leaderboard.statistics.simulations.worlds import ALIKE, RIVALS, board, entries, middle, stream
from suite import children
from suite.running.provenance import hardware

ENTRIES = 10
"""Entries of a simulated board."""

RESAMPLES = 500
"""Resamples of the conventional percentile interval."""

DEALINGS = 2_000
"""Relabellings of a simulated pair: enough to tell whether p is below 0.05."""

DRAWS = 2_000
"""Boards of equal entries that the bar of a simulated board is read from; real ones get ten times as many."""

SCENARIOS: dict[str, tuple[float, ...]] = {
    "all equal": (1.0,) * ENTRIES,
    "two groups": (1.0,) * 5 + (1.1,) * 5,
    "spaced": tuple(1 + 0.05 * i for i in range(ENTRIES)),
}
"""What the entries of a board multiply every score with: 10 % between groups, 5 % between neighbours."""

RUNS = (3, 5, 10)
"""Runs of each entry in each game."""

MIXES = ((2, 10), (3, 10))
"""Runs that the entries of a board have in turn."""

PLANNED = 5
"""The seeds a game that are planned where looks are simulated."""

LOOKS = (3, 10)
"""The fewest and the most seeds of who looks after every seed for a while."""

MOST_PLANNED = 40
"""Where a plan asks for more seeds than that, it is carried out with so many."""

EFFECTS = {"atari 100k": 0.2, "rivals 100k": 0.2, "collapse": 0.3}
"""By which share the second entry is better where power is measured; 0.1 in other noises."""

BLOCK = 100
"""Pairs that are looked at, or planned for, at a time."""

_Job = tuple[str, dict[str, Any], int]


def pair_errors(key: str, runs: Sequence[int], noise: str, effect: float) -> dict[str, float]:
    """Return which tests find a difference between two entries; the second is better by the share `effect`."""
    first, second = board(key, runs, noise, (1.0, 1 + effect), base=base_of(key, noise))
    errors = [error_of(iqm_influence(scores)[1]) for scores in (first, second)]
    interval = student_interval(iqm(first) - iqm(second), combined(errors))
    return {
        "permutation, studentised": _p(first, second) < 0.05,
        "permutation, plain": _p(first, second, studentised=False) < 0.05,
        "interval of the difference": not _covers(interval.low, interval.high),
        "percentile interval": not _covers(*_percentiles(key, first, second)),
    }


def rank_errors(key: str, runs: Sequence[int], noise: str, scenario: str) -> dict[str, float]:
    """Return whether all rank intervals of a board hold together, their mean width, and the number of letters."""
    factors = SCENARIOS[scenario]
    scores = board(key, runs, noise, factors, base=base_of(key, noise))
    rankings = list(rank({f"{i:02}": entry for i, entry in enumerate(scores)}, draws=DRAWS).values())
    best = [1 + sum(other > factor for other in factors) for factor in factors]
    worst = [ENTRIES - sum(other < factor for other in factors) for factor in factors]
    sound = all(r.low <= first and r.high >= last for r, first, last in zip(rankings, best, worst, strict=True))
    return {
        "simultaneous coverage": float(sound),
        "mean width": float(np.mean([r.high - r.low + 1 for r in rankings])),
        "letters": float(len({letter for r in rankings for letter in r.letters})),
    }


def look_errors(key: str, noise: str, effect: float) -> dict[str, float]:
    """Return the shares of `BLOCK` pairs in which who adds a seed and looks again until something is found finds it.

    Looks are after every seed from the fewest to the most that are covered, or from 3 to 10, or the planned one alone.
    p is that of Student's t with Welch's degrees of freedom, which the permutation test agrees with to a percent.
    """
    found = p_by_runs(key, noise, effect)
    adjusted = {
        runs: np.array([adjusted_p(p, "planned" if runs == PLANNED else "other") for p in each.tolist()])
        for runs, each in found.items()
    }
    few = range(LOOKS[0], LOOKS[1] + 1)
    return {
        "unadjusted, 3 to 10": _ever(found, few),
        "adjusted, 3 to 10": _ever(adjusted, few),
        "adjusted, 2 to 50": _ever(adjusted, found),
        "unadjusted, planned": _ever(found, [PLANNED]),
        "adjusted, planned": _ever(adjusted, [PLANNED]),
        "unadjusted, 10": _ever(found, [10]),
        "adjusted, 10": _ever(adjusted, [10]),
    }


def p_by_runs(key: str, noise: str, effect: float) -> dict[int, Array]:
    """Return the p of `BLOCK` pairs by their numbers of runs, from the fewest to the most that looks cover."""
    sides = pair_of_blocks(key, noise, effect, looks.MOST, base_of(key, noise))
    return {runs: _t_test(*(side[..., :runs] for side in sides))[0] for runs in range(looks.FEWEST, looks.MOST + 1)}


def plan_errors(key: str, noise: str, runs: int, effect: float) -> dict[str, float]:
    """Return how often the seeds that plans ask for find the difference that they are made for, in new runs.

    Plans are made from `runs` seeds of both entries, for a single look; `plain` leaves out that variances are guessed
    from few runs.
    """
    base = base_of(key, noise)
    pilot = pair_of_blocks(f"{key}/pilot", noise, effect, runs, base)
    new = pair_of_blocks(f"{key}/new", noise, effect, MOST_PLANNED, base)
    powers = {seeds: _t_test(*(side[..., :seeds] for side in new))[0] < 0.05 for seeds in range(2, MOST_PLANNED + 1)}
    found: dict[str, list[float]] = defaultdict(list)
    for number in range(BLOCK):
        sides = [{f"{g:02}": values for g, values in enumerate(side[number])} for side in pilot]
        influences = [iqm_influence(scores)[1] for scores in sides]
        units = [unit_variances(item) or {} for item in influences]
        for name, freedom in (("plain", None), ("shipped", [error_of(item)[1] for item in influences])):
            asked = seeds_needed(effect * abs(iqm(sides[0])), units[0], units[1], freedom=freedom)
            seeds = min(asked or MOST_PLANNED, MOST_PLANNED)
            found[f"{name} power"].append(float(powers[seeds].mean()))
            found[f"{name} seeds"].append(float(seeds))
    return {name: float(np.mean(values)) for name, values in found.items()}


def pair_of_blocks(key: str, noise: str, effect: float, runs: int, base: int) -> list[Array]:
    """Return the scores of `BLOCK` pairs of entries, [pairs, games, runs] each; the second is better by `effect`."""
    wide = board(key, BLOCK * runs, noise, (1.0, 1 + effect), base=base)
    blocks = [np.array([scores[name] for name in sorted(scores)]) for scores in wide]
    return [block.reshape(len(block), BLOCK, runs).transpose(1, 0, 2) for block in blocks]


def _t_test(first: Array, second: Array) -> tuple[Array, Array]:
    """Return the two-sided p of the differences of interquartile means, and their degrees of freedom, [pairs]."""
    (value, squared, freedom), (other, squared_other, freedom_other) = _moments(first), _moments(second)
    total = squared + squared_other
    degrees = total**2 / (squared**2 / freedom + squared_other**2 / freedom_other)
    return 2 * stdtr(degrees, -np.abs(value - other) / np.sqrt(total)), degrees


def _moments(scores: Array) -> tuple[Array, Array, Array]:
    """Return interquartile means, squared errors and degrees of freedom of many entries, [pairs, games, runs], at once.

    They are those of `influence`, for entries with one number of runs.
    """
    _, games, runs = scores.shape
    rows = scores.reshape(len(scores), -1)
    cut = rows.shape[1] / 4
    ordered = np.sort(rows, axis=1)
    low, high = (ordered[:, int(place), None, None] for place in (cut, rows.shape[1] - 1 - int(cut)))
    parts = np.clip(scores, low, high).var(axis=2, ddof=1) / (games / 2) ** 2 / runs
    squared = parts.sum(axis=1)
    return middle(rows), squared, squared**2 * (runs - 1) / (parts**2).sum(axis=1)


def _ever(p: Mapping[int, Array], looked: Iterable[int]) -> float:
    """Return the share of pairs whose p was below 0.05 at some look."""
    return float((np.min([p[runs] for runs in looked], axis=0) < 0.05).mean())


def frequencies(
    measure: Callable[..., Mapping[str, float]], name: str, boards: int, **settings: Any
) -> dict[str, float]:
    """Return the means of what `measure` says of `boards` simulated boards; `name` keys their draws."""
    found = [measure(f"{name}/{number}", **settings) for number in range(boards)]
    return {column: float(np.mean([row[column] for row in found])) for column in found[0]}


MEASURES: dict[str, Callable[..., Mapping[str, float]]] = {
    "ranks": rank_errors,
    "false positives": pair_errors,
    "power": pair_errors,
    "looks": look_errors,
    "plans": plan_errors,
}


def tables(
    boards: int,
    processes: int = 1,
    progress: Callable[[str], object] = lambda line: None,
    *,
    seeds: Sequence[int] = RUNS,
    mixes: Sequence[Sequence[int]] = MIXES,
    wanted: Iterable[str] = (),
) -> dict[str, list[dict[str, Any]]]:
    """Return tables, the `wanted` of `MEASURES` or all, over `boards` simulated boards a row.

    Rows of power are over a quarter of them; those of looks and plans over blocks of pairs, a fifth and a
    tenth as many.
    `seeds` are numbers of runs a game, `mixes` those that entries of one board have in turn.
    """
    chosen = set(wanted) or set(MEASURES)
    jobs = [job for job in _jobs(boards, seeds, mixes) if job[0] in chosen]
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    with children.pool(processes) as pool:
        for job, row in zip(jobs, pool.map(_row, jobs), strict=True):
            found[job[0]].append(row)
            progress(f"{job[0]}: {json.dumps(row)}")
    return dict(found)


def _jobs(boards: int, seeds: Sequence[int], mixes: Sequence[Sequence[int]]) -> list[_Job]:
    """Return the rows to make; every scenario on boards of one number of runs, equal entries on mixed ones."""
    same, mixed = [[count] for count in seeds], [list(mix) for mix in mixes]
    ranks = [("all equal", noise, runs) for noise, runs in itertools.product((*ALIKE, *RIVALS), (*same, *mixed))]
    ranks += itertools.product(("two groups", "spaced"), ("real", "atari 100k"), same)
    jobs: list[_Job] = [
        ("ranks", {"runs": runs, "noise": noise, "scenario": scenario}, boards) for scenario, noise, runs in ranks
    ]
    for noise, runs in itertools.product(("real", "collapse", "rivals", "atari 100k"), (*same, *mixed[:1])):
        jobs.append(("false positives", {"runs": runs, "noise": noise, "effect": 0.0}, boards))
    for noise, runs in itertools.product(("real", "rivals", "atari 100k"), same):
        effect = EFFECTS.get(noise, 0.1)
        jobs.append(("power", {"runs": runs, "noise": noise, "effect": effect}, max(1, boards // 4)))
    for noise, share in itertools.product(("real", "collapse", "rivals", "atari 100k", "rivals 100k"), (0.0, 1.0)):
        effect = share * EFFECTS.get(noise, 0.1)
        jobs.append(("looks", {"noise": noise, "effect": effect}, max(1, boards // 5)))
    for noise, count in itertools.product(("real", "collapse", "atari 100k"), seeds[:2]):
        effect = EFFECTS.get(noise, 0.1)
        jobs.append(("plans", {"runs": count, "noise": noise, "effect": effect}, max(1, boards // 10)))
    return jobs


def _row(job: _Job) -> dict[str, Any]:
    table, settings, boards = job
    start = time.process_time()
    means = frequencies(MEASURES[table], f"{table}/{json.dumps(settings)}", boards, **settings)
    return {**settings, **means, "boards": boards, "cpu_seconds": round(time.process_time() - start, 1)}


def base_of(key: str, noise: str) -> int:
    """Return which published entry a board is drawn from, all of them equally often."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[16:20], "little") % entries(noise)


def _p(first: Scores, second: Scores, *, studentised: bool = True) -> float:
    return permutation_p(first, second, studentised=studentised, permutations=DEALINGS)


def _percentiles(key: str, first: Scores, second: Scores) -> tuple[float, float]:
    """Return the conventional interval of the difference: percentiles of a stratified bootstrap."""
    source, samples = stream(f"{key}/percentiles"), []
    for scores in (first, second):
        matrix = np.array([scores[name] for name in sorted(scores)])
        games, runs = matrix.shape
        drawn = source.integers(runs, size=(RESAMPLES, games, runs))
        samples.append(middle(matrix[np.arange(games)[:, None], drawn].reshape(RESAMPLES, -1)))
    low, high = np.percentile(samples[0] - samples[1], [2.5, 97.5])
    return float(low), float(high)


def _covers(low: float | None, high: float | None) -> bool:
    return low is None or high is None or low <= 0 <= high


def main(arguments: Sequence[str] | None = None) -> None:
    """Write tables as JSON, in the form of the results of heavy proofs (ci/nightly/README.md).

    Tables that the file has under the present policy and that are not wanted now stay.
    """
    parser = argparse.ArgumentParser(prog="ci/simulate comparisons", description="The tables of docs/comparisons.md.")
    parser.add_argument("--out", type=Path, default=Path("ci/nightly/comparisons.json"), help="The file to write.")
    parser.add_argument("--boards", type=int, default=1_000, help="Simulated boards a row.")
    parser.add_argument("--processes", type=int, default=1, help="Processes; the numbers do not depend on it.")
    parser.add_argument("--tables", nargs="+", choices=MEASURES, default=list(MEASURES), help="All, if not given.")
    options = parser.parse_args(arguments)
    start = time.monotonic()
    found = tables(options.boards, options.processes, lambda line: sys.stderr.write(f"{line}\n"), wanted=options.tables)
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    merged = {**(kept.get("tables", {}) if kept.get("policy") == STATISTICS else {}), **found}
    machine = hardware()
    content = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['memory_gib']:.0f} GiB",
        "command": "ci/simulate comparisons, each row over as many boards as it says",
        "policy": STATISTICS,
        "figures": {
            "wall_s": round(time.monotonic() - start),
            "cpu_s": round(sum(row["cpu_seconds"] for row in itertools.chain(*merged.values()))),
        },
        "tables": {name: merged[name] for name in MEASURES if name in merged},
    }
    options.out.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
