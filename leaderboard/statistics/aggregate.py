"""Aggregates over games and seeds, and their intervals, under a named policy.

Definitions are rliable's (Agarwal et al. 2021), kept equal to it by tests; the resampling is our own because rliable's
ignores its seed and cannot have games with different numbers of runs.

Scores are a mapping from game to the values of its runs, shape [runs] or, for curves, [runs, points].
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Scores = Mapping[str, Array]


@dataclass(frozen=True, slots=True)
class Policy:
    """How numbers are made; changing anything here changes the name."""

    name: str
    trim: float
    level: float
    final_repetitions: int
    curve_repetitions: int
    minimum_seeds: int


STATISTICS_POLICY = Policy("stats-v1", 0.25, 0.95, 20_000, 2_000, 2)


@dataclass(frozen=True, slots=True)
class Estimate:
    """A point estimate with its interval's ends; both ends are None where the data cannot carry an interval."""

    value: float
    low: float | None
    high: float | None


def iqm(scores: Scores) -> float:
    """Return the interquartile mean over all runs of all games: the mean without the floor(n / 4) lowest and highest.

    With unequal numbers of runs every game weighs the same, and exactly a quarter of the weight goes on each side.
    """
    rows, weights, keep = _layout(scores)
    ones = np.ones((1, len(rows)), dtype=np.int64)
    return float(_trimmed_means(rows[:, 0], weights, keep, ones)[0])


def mean(scores: Scores) -> float:
    """Return the mean over games of the mean over runs."""
    return float(np.mean([np.mean(scores[name]) for name in sorted(scores)]))


def median(scores: Scores) -> float:
    """Return the median over games of the mean over runs."""
    return float(np.median([np.mean(scores[name]) for name in sorted(scores)]))


def optimality_gap(scores: Scores, gamma: float = 1.0) -> float:
    """Return how far the runs fall short of `gamma` (1: the human) on average, anything above counting as `gamma`."""
    return gamma - mean({name: np.minimum(values, gamma) for name, values in scores.items()})


def balanced(scores: Scores) -> bool:
    """Return whether every game has the same number of runs."""
    return len({len(values) for values in scores.values()}) == 1


def iqm_estimate(scores: Scores, policy: Policy = STATISTICS_POLICY) -> Estimate:
    """Return the IQM of final scores, [runs] for each game, with its interval."""
    curve = {name: np.asarray(values)[:, None] for name, values in scores.items()}
    return _estimates(curve, policy, policy.final_repetitions)[0]


def iqm_curve(scores: Scores, policy: Policy = STATISTICS_POLICY) -> list[Estimate]:
    """Return the IQM at every point of [runs, points] for each game, with pointwise intervals; no value is missing."""
    return _estimates(scores, policy, policy.curve_repetitions)


def _estimates(scores: Scores, policy: Policy, repetitions: int) -> list[Estimate]:
    """Percentile intervals of the stratified bootstrap: runs are drawn within each game, the games stay."""
    rows, weights, keep = _layout(scores, policy.trim)
    points = rows.shape[1]
    values = [
        float(_trimmed_means(rows[:, p], weights, keep, np.ones((1, len(rows)), np.int64))[0]) for p in range(points)
    ]
    if min(len(runs) for runs in scores.values()) < policy.minimum_seeds:
        return [Estimate(value, None, None) for value in values]
    sizes = [len(scores[name]) for name in sorted(scores)]
    samples = np.concatenate(
        [
            np.stack([_trimmed_means(rows[:, p], weights, keep, counts) for p in range(points)])
            for counts in _resamples(sizes, repetitions, _key(rows, sizes, policy))
        ],
        axis=1,
    )
    tail = 50 * (1 - policy.level)
    ends = np.percentile(samples, [tail, 100 - tail], axis=1)
    return [_with_interval(value, low, high) for value, low, high in zip(values, *ends.tolist(), strict=True)]


def _with_interval(value: float, low: float, high: float) -> Estimate:
    """Leave out an interval without width: equal scores are no evidence of certainty."""
    if not high - low > 1e-9 * max(1.0, abs(value)):
        return Estimate(value, None, None)
    return Estimate(value, low, high)


def _layout(scores: Scores, trim: float = STATISTICS_POLICY.trim) -> tuple[Array, Array, tuple[float, float]]:
    """Return all runs as rows [n, points] in canonical order, their weights, and the range of weight that is kept."""
    if not scores or not all(len(values) for values in scores.values()):
        raise ValueError("every game needs a run")
    blocks = []
    for name in sorted(scores):
        block = np.asarray(scores[name], dtype=np.float64).reshape(len(scores[name]), -1) + 0.0  # no negative zeros
        blocks.append(block[np.lexsort(block.T[::-1])])
    rows = np.concatenate(blocks)
    if not np.isfinite(rows).all():
        raise ValueError("scores must be finite")
    n = len(rows)
    if balanced(scores):
        cut = int(trim * n)
        return rows, np.ones(n), (cut, n - cut)
    weights = np.concatenate([np.full(len(block), 1.0 / len(block)) for block in blocks])
    return rows, weights, (trim * len(blocks), (1 - trim) * len(blocks))


def _trimmed_means(values: Array, weights: Array, keep: tuple[float, float], counts: NDArray[np.int64]) -> Array:
    """Return the trimmed mean of every resample. `counts` [repetitions, n] says how often each value was drawn.

    The values are sorted once; a resample's cumulated weight, clipped to the range that is kept, gives its weights.
    """
    order = np.argsort(values, kind="stable")
    cumulated = np.cumsum(counts[:, order] * weights[order], axis=1)
    np.clip(cumulated, *keep, out=cumulated)
    kept = np.diff(cumulated, axis=1, prepend=keep[0])
    means: Array = (kept * values[order]).sum(axis=1) / (keep[1] - keep[0])
    return means


def _resamples(sizes: list[int], repetitions: int, key: int, chunk: int = 250) -> Iterator[NDArray[np.int64]]:
    """Yield counts [at most `chunk`, n]: in every game, as many draws with replacement as it has runs.

    Philox's raw output and our own mapping to indices: NumPy promises the former for all versions, and no more.
    """
    source = np.random.Philox(key=key)
    runs = np.repeat(np.array(sizes, dtype=np.uint64), sizes)
    starts = np.repeat(np.cumsum([0, *sizes[:-1]]), sizes)
    n = len(runs)
    for first in range(0, repetitions, chunk):
        size = min(chunk, repetitions - first)
        high = source.random_raw(size * n).reshape(size, n) >> np.uint64(32)
        chosen = ((high * runs) >> np.uint64(32)).astype(np.int64) + starts
        flat = (chosen + n * np.arange(size)[:, None]).ravel()
        yield np.bincount(flat, minlength=size * n).reshape(size, n)


def _key(rows: Array, sizes: list[int], policy: Policy) -> int:
    """Return 128 bits that depend on the policy and the data alone."""
    content = f"{policy!r}\n{sizes!r}\n".encode() + rows.astype("<f8").tobytes()
    return int.from_bytes(hashlib.sha256(content).digest()[:16], "little")
