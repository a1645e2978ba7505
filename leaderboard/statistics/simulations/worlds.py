"""Where simulated scores come from: two worlds with the noise of published runs.

Dopamine's: ten entries at 40M frames on the 15 games of `atari40m`, five runs of each. Constants of the statistics were
chosen there. Atari 100k: DER, DrQ, DrQ(eps) and SPR on 26 games, a hundred runs of each, which are drawn as they are:
no spread is estimated from five runs, no shape assumed. What was chosen in the first is checked in the second.
"""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources

import numpy as np
from scipy.special import ndtr  # type: ignore[import-untyped]

from leaderboard.statistics.metrics import Array, Scores
from suite.tasks import human_normalized, load_task

TASK, ITERATION = "atari40m", 39
"""The games, and the iteration of 1M frames whose mean returns are the scores: the last of 40M frames."""

DOPAMINE_FILE = "dopamine_atari_train_returns.csv.gz"
ATARI_100K_FILE = "atari_100k_published_runs.csv.gz"

FAILING = 0.15
"""The share of runs that end with the score of a random policy in the noise `collapse`."""

ALIKE = ("real", "long tails", "collapse", "atari 100k")
"""Noises of entries that are alike in everything but a factor; the last is the second world's."""

RIVALS = ("rivals", "rivals 100k")
"""Boards of different entries, in either world, each scaled to the same expected aggregate."""


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
    for agent, network, game, _, iteration, mean in rows(DOPAMINE_FILE):
        if int(iteration) == ITERATION and game in games and not network.endswith("legacy"):
            cells[f"{agent} {network}", game].append(_normalized(game, mean))
    names = tuple(sorted({name for name, _ in cells}))
    scores = np.array([[cells[name, game] for game in games] for name in names])
    runs = scores.shape[2]
    means, spreads = scores.mean(axis=2), scores.std(axis=2, ddof=1)
    residuals = (scores - means[:, :, None]) * (runs / (runs - 1)) ** 0.5
    common = np.abs(means) * np.sqrt(((spreads / np.abs(means)) ** 2).mean(axis=0))
    real, long = (residuals / spread[:, :, None] for spread in (spreads, common))
    return Population(names, games, means, spreads, real.ravel() / real.std(), long.ravel() / long.std())


@functools.cache
def atari_100k() -> Array:
    """Return the published scores of DER, DrQ, DrQ(eps) and SPR, [entries, games, runs], by name."""
    cells: dict[tuple[str, str], list[float]] = defaultdict(list)
    for agent, game, _, value in rows(ATARI_100K_FILE):
        cells[agent, game].append(_normalized(game, value))
    names, games = (sorted({key[i] for key in cells}) for i in (0, 1))
    found = np.array([[cells[name, game] for game in games] for name in names])
    found.setflags(write=False)
    return found


def board(key: str, runs: int | Sequence[int], noise: str, factors: Sequence[float], *, base: int = 0) -> list[Scores]:
    """Return entries that differ by a factor on every score, drawn from published entry `base` or those that follow it.

    `runs` are those of every game: a number, or several that the entries have in turn. `noise` is one of `ALIKE`, for
    entries alike in everything else, or of `RIVALS`, for entries that differ in every game and not in the
    interquartile mean of infinitely many runs.
    """
    source = stream(key)
    counts = itertools.cycle([runs] if isinstance(runs, int) else runs)
    found: list[Scores] = []
    for place, (count, factor) in enumerate(zip(counts, factors, strict=False)):
        index = base + place if noise in RIVALS else base
        scores = factor * _drawn(source, noise, index, (count,))
        if noise in RIVALS:
            scores /= true_iqm(noise, index % entries(noise))
        found.append({f"game-{game:02}": values for game, values in enumerate(scores)})
    return found


def correlated(key: str, noise: str, games: int, runs: int, correlation: float, effect: float) -> list[Scores]:
    """Return two entries whose runs of one seed correlate, on some of the games; the second is better by `effect`.

    Normal numbers with this correlation choose the runs by their quantiles. Of `RIVALS` the second entry is the one
    that follows the first in its world, both scaled to the same interquartile mean of infinitely many runs.
    """
    source = stream(key)
    base = int(source.integers(entries(noise)))
    chosen = np.sort(source.permutation(len(_quantiles(noise, base)))[:games])
    normal = source.normal(size=(2, len(chosen), runs))
    normal[1] = correlation * normal[0] + np.sqrt(1 - correlation**2) * normal[1]
    found: list[Scores] = []
    for place, factor in enumerate((1.0, 1 + effect)):
        values = _quantiles(noise, (base + place * (noise in RIVALS)) % entries(noise))[chosen]
        if noise in RIVALS:
            values = values / middle(values.reshape(1, -1))[0]
        columns = (ndtr(normal[place]) * values.shape[1]).astype(np.int64)
        scores = factor * np.take_along_axis(values, columns, axis=1)
        found.append({f"game-{game:02}": scores[row] for row, game in enumerate(chosen)})
    return found


@functools.cache
def _quantiles(noise: str, entry: int) -> Array:
    """Return equally likely scores of a published entry, [games, scores], rising."""
    if noise.endswith("100k"):
        runs: Array = np.sort(atari_100k()[entry], axis=1)
        return runs
    found = population()
    residuals = np.sort(found.long if noise == "long tails" else found.real)
    values: Array = found.means[entry][:, None] + found.spreads[entry][:, None] * residuals
    if noise == "collapse":
        failed = round(FAILING / (1 - FAILING) * values.shape[1])
        values = np.concatenate([np.zeros((len(values), failed)), values], axis=1)
    return values


def entries(noise: str) -> int:
    """Return how many published entries the noise's world has."""
    return len(atari_100k()) if noise.endswith("100k") else len(population().names)


@functools.cache
def true_iqm(noise: str, entry: int) -> float:
    """Return the interquartile mean of infinitely many runs of a published entry: of all values that are drawn from."""
    if noise.endswith("100k"):
        values = atari_100k()[entry]
    else:
        found = population()
        values = found.means[entry][:, None] + found.spreads[entry][:, None] * found.real
    return float(middle(values.reshape(1, -1))[0])


def middle(rows: Array) -> Array:
    """Return the interquartile mean of each row."""
    size = rows.shape[1]
    weights = np.diff(np.clip(np.arange(size + 1), size / 4, 3 * size / 4))
    means: Array = np.sort(rows, axis=1) @ weights / (size / 2)
    return means


def stream(key: str) -> np.random.Generator:
    """Return random numbers that depend on the key alone."""
    digest = hashlib.sha256(f"comparisons-2/{key}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))


def rows(file: str) -> Iterator[list[str]]:
    """Read a compressed table of this package, without its head."""
    with (resources.files("leaderboard") / "data" / file).open("rb") as raw, gzip.open(raw, "rt", newline="") as text:
        found = csv.reader(text)
        next(found)
        yield from found


def _drawn(source: np.random.Generator, noise: str, entry: int, shape: tuple[int, ...]) -> Array:
    """Return scores like those of a published entry, [games, *shape]."""
    extra = (slice(None), *[None] * len(shape))
    if noise.endswith("100k"):
        published = atari_100k()[entry % entries(noise)]
        chosen = source.integers(published.shape[1], size=(len(published), *shape))
        runs: Array = published[np.arange(len(published))[extra], chosen]
        return runs
    found = population()
    residuals = source.choice(found.long if noise == "long tails" else found.real, (len(found.games), *shape))
    scores: Array = (
        found.means[entry % entries(noise)][extra] + found.spreads[entry % entries(noise)][extra] * residuals
    )
    if noise == "collapse":
        scores[source.random(scores.shape) < FAILING] = 0.0
    return scores


def _normalized(game: str, value: str) -> float:
    score = human_normalized(game, float(value))
    assert score is not None
    return score
