"""Coverage of intervals: simulated entries with the noise of published scores.

`ci/simulate` repeats the tables of docs/statistics.md. Worlds are the means and spreads between runs of Dopamine's ten
published entries, on the 15 games of `atari40m` and on four other draws of 15 games; the noise "atari 100k" is a world
of its own, of which nothing is estimated: its runs are drawn from a hundred published ones of each of four entries on
26 games. Every simulated data set has its own key, so that the numbers depend on neither the number of processes nor on
their order.
"""

from __future__ import annotations

import functools
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped]

from leaderboard.statistics import metrics
from leaderboard.statistics.conventions import STATISTICS_POLICY, Policy
from leaderboard.statistics.intervals import Estimate, estimate, interval
from leaderboard.statistics.metrics import TRIM, Array, Scores, lay_out
from leaderboard.statistics.proportions import poi_estimate, profile_estimates
from leaderboard.statistics.replicates import Replicates, of_points
from leaderboard.statistics.simulations.worlds import DOPAMINE_FILE, ITERATION, TASK, atari_100k, rows
from suite import children
from suite.tasks import GAMES, human_normalized, load_task

NETWORKS = ("nature_cnn", "impala")
OTHER_DRAWS = 4
SIMULATION_POLICY = replace(STATISTICS_POLICY, final_repetitions=1_000, curve_repetitions=1_000)
FAILING = 0.15
"""The share of runs that play no better than at random in the noise "collapse"."""

NOISES = ("normal", "real", "tails", "skew", "collapse", "atari 100k")
METHODS = ("percentile", "inflated", "influence t", "deviation t", "studentized", "shipped")
METRICS = ("iqm", "iqm_rliable", "mean", "median", "optimality_gap", "profile", "poi")
THRESHOLDS = (0.1, 0.3, 0.5, 0.7, 0.95)
"""The quantiles of a world's mean scores at which its profile is looked at."""

GRID = 4_000
"""Quantiles of every game that stand for infinitely many runs."""


@dataclass(frozen=True, slots=True)
class World:
    """An entry's true mean and spread between runs in each game, shape [games].

    `runs` [games, runs] are all that there are of it, by value; None where a noise makes them.
    """

    means: Array
    spreads: Array
    runs: Array | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of the table: the noise, the runs in each game, and the share of (game, run) cells that are missing."""

    noise: str
    runs: int
    missing: float


@functools.cache
def worlds() -> tuple[World, ...]:
    """Return all worlds: ten entries on each of five sets of 15 games."""
    scores = _published()
    entries = sorted({(agent, network) for agent, network, _ in scores})
    games = sorted(name for name in {game for _, _, game in scores} if GAMES[name].normalizable)
    source = np.random.Philox(key=7)
    sets = [sorted(load_task(TASK).games)]
    for _ in range(OTHER_DRAWS):
        order = np.argsort(source.random_raw(len(games)), kind="stable")
        sets.append([games[i] for i in order[:15]])
    found = []
    for names in sets:
        for agent, network in entries:
            block = np.array([scores[agent, network, name] for name in names])
            found.append(World(block.mean(axis=1), block.std(axis=1, ddof=1)))
    return tuple(found)


@functools.cache
def second_worlds() -> tuple[World, ...]:
    """Return the four entries of Atari 100k."""
    return tuple(World(runs.mean(axis=1), runs.std(axis=1), np.sort(runs, axis=1)) for runs in atari_100k())


def worlds_of(noise: str) -> tuple[World, ...]:
    """Return the worlds in which scores with a noise are drawn."""
    return second_worlds() if noise == "atari 100k" else worlds()


def draw(world: World, cell: Cell, key: str) -> dict[str, Array]:
    """Return simulated scores, [runs] for each game; a game keeps its first run where all would be missing."""
    games = len(world.means)
    uniform = _uniform(key, 2 * games * cell.runs).reshape(2, games, cell.runs)
    values = _values(world, cell.noise, uniform[0])
    kept = uniform[1] >= cell.missing
    kept[:, 0] |= ~kept.any(axis=1)
    return {f"game-{g:02}": values[g, kept[g]] for g in range(games)}


@functools.cache
def everything(world: int, noise: str) -> Mapping[str, Array]:
    """Return what infinitely many runs would give: evenly spaced quantiles of every game."""
    even = (np.arange(GRID) + 0.5) / GRID
    found = worlds_of(noise)[world]
    values = _values(found, noise, np.tile(even, (len(found.means), 1)))
    return {f"game-{g:02}": values[g] for g in range(len(values))}


@functools.cache
def true_iqm(world: int, noise: str, trim: float) -> float:
    """Return the trimmed mean of infinitely many runs."""
    return float(metrics.trimmed_means(lay_out(everything(world, noise), trim=trim))[0])


def candidates(found: Replicates, policy: Policy = SIMULATION_POLICY) -> dict[str, tuple[float, float]]:
    """Return the ends of every kind of interval that was considered, by the names in `METHODS`."""
    t = float(stdtrit(found.freedom, (1 + policy.level) / 2))
    tails = np.array([(1 - policy.level) / 2, (1 + policy.level) / 2])
    usual, inflated = (np.quantile(values, tails).tolist() for values in (found.conventional, found.values))
    sound = found.errors > 1e-9 * found.error
    ratios = (found.values[sound] - found.target) / found.errors[sound]
    lower, upper = np.quantile(ratios, tails).tolist()
    spread = t * float(np.std(found.values))
    shipped = interval(found, policy)
    return {
        "percentile": (usual[0], usual[1]),
        "inflated": (inflated[0], inflated[1]),
        "influence t": (found.value - t * found.error, found.value + t * found.error),
        "deviation t": (found.value - spread, found.value + spread),
        "studentized": (found.value - upper * found.error, found.value - lower * found.error),
        "shipped": (_number(shipped.low), _number(shipped.high)),
    }


def coverage_of_methods(cell: Cell, first: int, last: int) -> dict[str, Array]:
    """Return for data sets `first` to `last` of a cell, by method, summed over them: [covered, above, below, width].

    What is covered is the mean of the middle half of infinitely many runs, or else the interval lies above or below it;
    widths are relative to it.
    """
    sums: dict[str, Array] = defaultdict(lambda: np.zeros(4))
    for index in range(first, last):
        world = index % len(worlds_of(cell.noise))
        layout = lay_out(draw(worlds_of(cell.noise)[world], cell, f"{cell!r}/{index}"))
        half = true_iqm(world, cell.noise, TRIM)
        found = of_points(layout, SIMULATION_POLICY, SIMULATION_POLICY.final_repetitions, "simulation")[0]
        for method, (low, high) in candidates(found).items():
            sums[method] += np.array([low <= half <= high, low > half, high < half, (high - low) / half])
    return dict(sums)


def coverage_of_metrics(cell: Cell, first: int, last: int) -> dict[str, Array]:
    """Return for data sets `first` to `last` of a cell, by metric: [covered, conventional covered, width].

    Widths are those of the shipped interval over the conventional one's; of a profile, over that of who knows the share
    of every game, on average over its thresholds.
    """
    sums: dict[str, Array] = defaultdict(lambda: np.zeros(3))
    for index in range(first, last):
        some = worlds_of(cell.noise)
        world, together = index % len(some), min(10, len(some))
        other = (index + 1) % together + together * (world // together)
        scores, rival = (draw(some[w], cell, f"metrics/{cell!r}/{index}/{w}") for w in (world, other))
        whole, whole_rival = everything(world, cell.noise), everything(other, cell.noise)
        total = len(scores) * cell.runs
        trim = TRIM if not metrics.balanced(scores) else (total // 4) / total
        taus = np.quantile(some[world].means, THRESHOLDS)
        profile = metrics.profile(whole, taus).tolist()
        truths: dict[str, float] = {
            "iqm": true_iqm(world, cell.noise, TRIM),
            "iqm_rliable": true_iqm(world, cell.noise, trim),
            "poi": _true_poi(whole, whole_rival),
        }
        functions: dict[str, Callable[[Scores], float]] = {
            "mean": metrics.mean,
            "median": metrics.median,
            "optimality_gap": metrics.optimality_gap,
        }
        truths |= {name: function(whole) for name, function in functions.items()}
        for name, truth in truths.items():
            if name == "poi":
                found = poi_estimate(scores, rival, SIMULATION_POLICY)
            else:
                found = estimate(name, scores, SIMULATION_POLICY)
            usual = _number(found.percentile_high) - _number(found.percentile_low)
            sums[name] += np.array([*_covered(found, truth), (_number(found.high) - _number(found.low)) / usual])
        shares = profile_estimates(scores, taus, SIMULATION_POLICY)
        covered = np.mean([_covered(*pair) for pair in zip(shares, profile, strict=True)], axis=0)
        width = np.mean([_number(share.high) - _number(share.low) for share in shares])
        sums["profile"] += np.array([*covered, width / _known_width(scores, whole, taus)])
    return dict(sums)


def bias_by_runs(runs: int, first: int, last: int) -> dict[str, Array]:
    """Return the relative errors of both interquartile means against infinitely many runs: [sum, data sets]."""
    cell = Cell("real", runs, 0.0)
    sums: dict[str, Array] = defaultdict(lambda: np.zeros(2))
    for index in range(first, last):
        world = index % len(worlds())
        scores = draw(worlds()[world], cell, f"bias/{cell!r}/{index}")
        truth = true_iqm(world, cell.noise, TRIM)
        for name, value in (("rliable", metrics.iqm_rliable(scores)), ("exact", metrics.iqm(scores))):
            sums[name] += np.array([value / truth - 1, 1.0])
    return dict(sums)


def coverage_table(
    cells: Sequence[Cell], sets: int, processes: int = 1, *, kind: str = "methods", block: int = 50
) -> list[dict[str, object]]:
    """Return a row for each cell: its settings, and for each method or metric the mean of its sums, over `sets`."""
    function = {"methods": coverage_of_methods, "metrics": coverage_of_metrics}[kind]
    jobs = [(cell, first, min(first + block, sets)) for cell in cells for first in range(0, sets, block)]
    sums: dict[Cell, dict[str, Array]] = defaultdict(dict)
    for (cell, _, _), found in zip(jobs, _mapped(function, jobs, processes), strict=True):
        for name, values in found.items():
            sums[cell][name] = sums[cell].get(name, np.zeros(len(values))) + values
    return [asdict(cell) | {name: (values / sets).tolist() for name, values in sums[cell].items()} for cell in cells]


def bias_table(runs: Sequence[int], sets: int, processes: int = 1) -> list[dict[str, object]]:
    """Return the mean relative bias of both interquartile means for each number of runs."""
    rows = _mapped(bias_by_runs, [(count, 0, sets) for count in runs], processes)
    return [
        {"runs": count} | {name: float(found[0] / found[1]) for name, found in row.items()}
        for count, row in zip(runs, rows, strict=True)
    ]


def _mapped(
    function: Callable[..., dict[str, Array]], jobs: Sequence[tuple[object, ...]], processes: int
) -> list[dict[str, Array]]:
    if processes == 1:
        return [function(*job) for job in jobs]
    with children.pool(processes) as pool:
        return list(pool.map(function, *zip(*jobs, strict=True)))


@functools.cache
def _published() -> dict[tuple[str, str, str], Array]:
    """Return the published normalized scores: (agent, network, game) to [runs]."""
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for agent, network, game, _, iteration, mean in rows(DOPAMINE_FILE):
        if int(iteration) != ITERATION or network not in NETWORKS:
            continue
        value = human_normalized(game, float(mean))
        if value is not None:
            found[agent, network, game].append(value)
    return {key: np.array(values) for key, values in found.items()}


@functools.cache
def _residuals() -> Array:
    """Return the published residuals over the spread of their own cell, in order, with variance 1."""
    blocks = [values for values in _published().values() if np.std(values) > 0]
    found = np.sort(np.concatenate([(values - values.mean()) / values.std(ddof=1) for values in blocks]))
    result: Array = found / np.sqrt(np.mean(found**2))
    return result


def _values(world: World, noise: str, uniform: Array) -> Array:
    """Return scores [games, n] at these quantiles of each game's distribution."""
    means, spreads = world.means[:, None], world.spreads[:, None]
    if noise == "atari 100k":
        assert world.runs is not None
        places = (uniform * world.runs.shape[1]).astype(np.int64)
        runs: Array = np.take_along_axis(world.runs, places, axis=1)
        return runs
    if noise == "collapse":
        failed = uniform < FAILING
        rest = np.where(failed, 0.5, (uniform - FAILING) / (1 - FAILING))
        poor = 0.02 * ndtri(np.where(failed, uniform / FAILING, 0.5))
        scores: Array = np.where(failed, poor, means + spreads * ndtri(rest))
        return scores
    if noise == "normal":
        errors = ndtri(uniform)
    elif noise == "tails":
        errors = stdtrit(5, uniform) / np.sqrt(5 / 3)
    elif noise == "skew":
        errors = -np.log1p(-uniform) - 1
    elif noise == "real":
        errors = _residuals()[(uniform * len(_residuals())).astype(np.int64)]
    else:
        raise ValueError(f"no noise {noise!r}: use one of {', '.join(NOISES)}")
    result: Array = means + spreads * errors
    return result


def _uniform(key: str, size: int) -> Array:
    """Return numbers between 0 and 1, neither included, that depend on the key alone."""
    source = np.random.Philox(key=int.from_bytes(hashlib.sha256(key.encode()).digest()[:16], "little"))
    raw: NDArray[np.uint64] = source.random_raw(size)
    found: Array = ((raw >> np.uint64(12)).astype(np.float64) + 0.5) / 2**52
    return found


def _true_poi(ours: Mapping[str, Array], theirs: Mapping[str, Array]) -> float:
    """Return the probability of improvement from sorted quantiles."""
    shares = []
    for name, values in ours.items():
        other = np.sort(theirs[name])
        below = np.searchsorted(other, values, side="left") + np.searchsorted(other, values, side="right")
        shares.append(below.mean() / (2 * len(other)))
    return float(np.mean(shares))


def _known_width(scores: Scores, whole: Mapping[str, Array], taus: Array) -> float:
    """Return the mean width of profile bands for who knows the share of every game's runs above each of `taus`."""
    parts = []
    for name, values in whole.items():
        shares = (values[:, None] > taus).mean(axis=0)
        parts.append(shares * (1 - shares) / len(scores[name]))
    return float(2 * ndtri(0.975) * np.sqrt(np.sum(parts, axis=0)).mean() / len(whole))


def _covered(found: Estimate, truth: float) -> tuple[bool, bool]:
    usual = found.percentile_low is not None and _number(found.percentile_low) <= truth <= _number(
        found.percentile_high
    )
    return found.low is not None and found.low <= truth <= _number(found.high), usual


def _number(end: float | None) -> float:
    return float("nan") if end is None else end
