"""Bootstrap replicates of trimmed means, each with its own standard error, of one score or of whole curves.

Runs are drawn within each game and the games stay. The rows that are drawn from are the residuals of a game's runs
times sqrt(R / (R - 1)) around their mean, so that R of them spread as the runs of a game do; a game with one run is
lent the pooled spread of the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri  # type: ignore[import-untyped]

from leaderboard.statistics.conventions import Policy
from leaderboard.statistics.influence import contributions
from leaderboard.statistics.metrics import Array, Layout, trimmed_means
from leaderboard.statistics.resampling import chunk_of, key_of, resamples
from leaderboard.statistics.trimming import Rows, sums

LENT = 9
"""Values that stand for the unknown runs of a game with one run: normal quantiles around it."""


@dataclass(frozen=True, slots=True)
class Replicates:
    """What an interval is made from.

    `value` is the estimate and `error` its standard error, 0 where no runs of any game differ; `parts` are the shares
    of the squared error with their degrees of freedom, one for each game with two runs or more. `values` and `errors`
    [repetitions] are those of resamples from rows whose own value is `target`, and `conventional` [repetitions] the
    values of an ordinary bootstrap of the runs themselves.
    """

    value: float
    error: float
    parts: tuple[tuple[float, int], ...]
    target: float
    values: Array
    errors: Array
    conventional: Array

    @property
    def freedom(self) -> float:
        """Welch and Satterthwaite's degrees of freedom of `error`; a game's average number where that is 0."""
        lost = sum(part**2 / count for part, count in self.parts)
        if lost:
            return sum(part for part, _ in self.parts) ** 2 / lost
        return sum(count for _, count in self.parts) / len(self.parts)


def difference(first: Replicates, second: Replicates) -> Replicates:
    """Return the replicates of first - second, which were drawn independently and as often."""
    return Replicates(
        value=first.value - second.value,
        error=float(np.hypot(first.error, second.error)),
        parts=first.parts + second.parts,
        target=first.target - second.target,
        values=first.values - second.values,
        errors=np.sqrt(first.errors**2 + second.errors**2),
        conventional=first.conventional - second.conventional,
    )


def of_points(layout: Layout, policy: Policy, repetitions: int, purpose: str) -> list[Replicates]:
    """Return the replicates of the trimmed mean at every point, all from one resample; some game has two runs."""
    return _replicates(layout, None, policy, repetitions, purpose)


def of_sum(layout: Layout, factors: Array, policy: Policy, repetitions: int, purpose: str) -> Replicates:
    """Return the replicates of the sum over points of `factors` [points] times the trimmed mean at that point."""
    return _replicates(layout, factors, policy, repetitions, purpose)[0]


def game_means(layout: Layout, policy: Policy, repetitions: int, purpose: str) -> tuple[Array, Array]:
    """Return replicates [games, repetitions] of the games' means, and those of an ordinary bootstrap."""
    supports = _supports(layout)
    spread = _pooled_spread(layout, _rows(layout, layout.rows, layout.sizes))
    pair = (_population(layout, spread), _population(layout, None))
    starts = np.cumsum([0, *supports[:-1]])
    draws = np.array(layout.sizes, dtype=np.float64)[:, None]
    key = key_of(policy, purpose, layout.sizes, layout.rows)
    found = [
        np.stack([np.add.reduceat(counts * rows[:, :1], starts, axis=0) / draws for rows in pair])
        for counts in resamples(supports, layout.sizes, repetitions, key)
    ]
    samples = np.concatenate(found, axis=2)
    return samples[0], samples[1]


def _replicates(
    layout: Layout, factors: Array | None, policy: Policy, repetitions: int, purpose: str
) -> list[Replicates]:
    """Return replicates of the trimmed mean at each point or, with `factors` [points], of their weighted sum."""
    plain = _rows(layout, layout.rows, layout.sizes)
    variances = sums(plain, factors, np.ones((len(layout.rows), 1)))[2]
    supports = _supports(layout)
    drawn = _rows(layout, _population(layout, _pooled_spread(layout, plain)), supports)
    usual = _rows(layout, _population(layout, None), supports)
    even = np.repeat([size / support for size, support in zip(layout.sizes, supports, strict=True)], supports)
    targets = sums(drawn, factors, even[:, None])[0]
    key = key_of(policy, purpose, layout.sizes, layout.rows)
    samples = np.empty((3, len(targets), repetitions))
    first = 0
    for counts in resamples(supports, layout.sizes, repetitions, key, chunk_of(sum(supports))):
        last = first + counts.shape[1]
        samples[0, :, first:last], samples[1, :, first:last], _ = sums(drawn, factors, counts)
        samples[2, :, first:last] = sums(usual, factors, counts, errors=False)[0]
        first = last
    points = trimmed_means(layout)
    results = []
    for i, value in enumerate(points.tolist() if factors is None else [float((points * factors).sum())]):
        parts = _parts(layout, variances[i, :, 0])
        error = float(np.sqrt(sum(part for part, _ in parts)))
        results.append(Replicates(value, error, parts, float(targets[i, 0]), *samples[:, i]))
    return results


def _parts(layout: Layout, variances: Array) -> tuple[tuple[float, int], ...]:
    """Return each game's share of the squared error with its degrees of freedom."""
    shares = contributions(layout.sizes)
    triples = zip(shares, variances.tolist(), layout.sizes, strict=True)
    return tuple((share * variance, size - 1) for share, variance, size in triples if size > 1)


def _supports(layout: Layout) -> list[int]:
    return [LENT if size == 1 else size for size in layout.sizes]


def _rows(layout: Layout, values: Array, supports: Sequence[int]) -> Rows:
    per_draw = np.repeat(layout.weights[layout.starts], supports)
    return Rows(values, tuple(supports), layout.sizes, per_draw, layout.keep)


def _population(layout: Layout, pooled: Array | None) -> Array:
    """Return the rows to draw from; without a `pooled` spread [points], the runs themselves."""
    blocks = []
    for start, size in zip(layout.starts, layout.sizes, strict=True):
        block = layout.rows[start : start + size]
        if size == 1:
            shift = np.zeros((LENT, 1)) if pooled is None else _quantiles()[:, None] * pooled
            block = block + shift
        elif pooled is not None:
            center = block.sum(axis=0) / size
            block = center + np.sqrt(size / (size - 1)) * (block - center)
        blocks.append(block)
    return np.concatenate(blocks)


def _quantiles() -> Array:
    """Return normal quantiles with mean 0 and variance 1."""
    found = ndtri((np.arange(LENT) + 0.5) / LENT)
    scaled: Array = found / np.sqrt(np.mean(found**2))
    return scaled


def _pooled_spread(layout: Layout, plain: Rows) -> Array:
    """Return the pooled standard deviation of the winsorized runs of a game at every point."""
    ones = np.ones((len(layout.rows), 1))
    variances = sums(plain, None, ones)[2]
    freedom = np.array(layout.sizes) - 1.0
    pooled: Array = np.sqrt((variances[:, :, 0] * freedom).sum(axis=1) / freedom.sum())
    return pooled * plain.kept * len(layout.sizes)
