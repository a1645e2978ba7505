"""Bootstrap replicates of trimmed means, each with its own standard error, of one score or of whole curves.

Runs are drawn within each game and the games stay. The rows that are drawn from are the residuals of a game's runs
times sqrt(R / (R - 1)) around their mean, so that R of them spread as the runs of a game do; a game with one run is
lent the pooled spread of the others. The values are sorted once: a resample is how often each of them was drawn, and
its cumulated weight, clipped to the range that is kept, gives the trimmed mean without another sort.

Sums run over the first axis, one row after the other, so that the results are the same bits on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri  # type: ignore[import-untyped]

from leaderboard.statistics.conventions import Policy
from leaderboard.statistics.influence import contributions
from leaderboard.statistics.metrics import Array, Layout, trimmed_means
from leaderboard.statistics.resampling import key_of, resamples

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


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows [m, points] that resamples count, with each point's order, and how they fall into games."""

    values: Array
    orders: NDArray[np.intp]
    supports: Sequence[int]
    draws: Sequence[int]
    per_draw: Array
    keep: tuple[float, float]
    total: float

    @property
    def kept(self) -> float:
        """The share of the weight that a trimmed mean averages."""
        return (self.keep[1] - self.keep[0]) / self.total


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
    variances = _sums(plain, factors, np.ones((len(layout.rows), 1)))[2]
    supports = _supports(layout)
    drawn = _rows(layout, _population(layout, _pooled_spread(layout, plain)), supports)
    usual = _rows(layout, _population(layout, None), supports)
    even = np.repeat([size / support for size, support in zip(layout.sizes, supports, strict=True)], supports)
    targets = _sums(drawn, factors, even[:, None])[0]
    key = key_of(policy, purpose, layout.sizes, layout.rows)
    samples = np.empty((3, len(targets), repetitions))
    first = 0
    for counts in resamples(supports, layout.sizes, repetitions, key):
        last = first + counts.shape[1]
        samples[0, :, first:last], samples[1, :, first:last], _ = _sums(drawn, factors, counts)
        samples[2, :, first:last] = _sums(usual, factors, counts, errors=False)[0]
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


def _rows(layout: Layout, values: Array, supports: Sequence[int]) -> _Rows:
    per_draw = np.repeat(layout.weights[layout.starts], supports)
    orders = np.argsort(values.T, axis=1, kind="stable")
    total = float(sum(layout.weights[start] * size for start, size in zip(layout.starts, layout.sizes, strict=True)))
    return _Rows(values, orders, supports, layout.sizes, per_draw, layout.keep, total)


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


def _pooled_spread(layout: Layout, plain: _Rows) -> Array:
    """Return the pooled standard deviation of the winsorized runs of a game at every point."""
    ones = np.ones((len(layout.rows), 1))
    variances = _sums(plain, None, ones)[2]
    freedom = np.array(layout.sizes) - 1.0
    pooled: Array = np.sqrt((variances[:, :, 0] * freedom).sum(axis=1) / freedom.sum())
    return pooled * plain.kept * len(layout.sizes)


def _sums(rows: _Rows, factors: Array | None, counts: Array, *, errors: bool = True) -> tuple[Array, Array, Array]:
    """Return values [sums, resamples], their errors, and the variance of a run's influence [sums, games, resamples].

    There are as many sums as points or, with `factors` [points], one.
    """
    points, columns = rows.values.shape[1], counts.shape[1]
    weighted = counts * rows.per_draw[:, None]
    scale = 1 / (rows.kept * len(rows.supports))
    means = np.zeros((points, columns))
    variances = np.zeros((points, len(rows.supports), columns))
    total = np.zeros(counts.shape)
    for p in range(points):
        means[p], low, high = _trimmed(rows, p, weighted, bounds=errors)
        if errors:
            influence = scale * np.clip(rows.values[:, p, None], low, high)
            if factors is None:
                variances[p] = _variances(rows, influence, counts)
            else:
                total += factors[p] * influence
    if factors is not None:
        means = (factors[:, None] * means).sum(axis=0, keepdims=True)
        variances = _variances(rows, total, counts)[None]
    shares = np.array(contributions(rows.draws))[:, None]
    return means, np.sqrt((shares * variances).sum(axis=1)), variances


def _trimmed(rows: _Rows, point: int, weighted: Array, *, bounds: bool) -> tuple[Array, Array, Array]:
    """Return the trimmed mean of every resample, and the lowest and the highest value that it keeps."""
    order = rows.orders[point]
    values = rows.values[order, point]
    cumulated = weighted[order]
    for i in range(1, len(cumulated)):  # NumPy's own cumulation over the first axis is slower
        cumulated[i] += cumulated[i - 1]
    low, high = rows.keep
    slack = 1e-9 * rows.total  # sums of 1 / R are not exact
    lowest = highest = np.zeros(0)
    if bounds:
        lowest = values[_count(cumulated <= low + slack)]
        highest = values[np.minimum(_count(cumulated < high - slack), len(values) - 1)]
    np.clip(cumulated, low, high, out=cumulated)
    cumulated[:-1] *= np.diff(values)[:, None]
    means = (high * values[-1] - low * values[0] - cumulated[:-1].sum(axis=0)) / (high - low)
    return means, lowest, highest


def _count(mask: NDArray[np.bool_]) -> NDArray[np.unsignedinteger]:
    """Return how many of each column are true; small integers sum several times faster."""
    size = np.uint8 if len(mask) < 256 else np.uint32
    found: NDArray[np.unsignedinteger] = np.add.reduce(mask.view(np.uint8), axis=0, dtype=size)
    return found


def _variances(rows: _Rows, values: Array, counts: Array) -> Array:
    """Return the variance (ddof 1) over the draws of each game [games, resamples]; 0 with one draw."""
    draws = np.array(rows.draws, dtype=np.float64)[:, None]
    means = _game_sums(rows, counts * values) / draws
    squares = values - np.repeat(means, rows.supports, axis=0)
    squares *= squares
    squares *= counts
    found: Array = np.where(draws > 1, _game_sums(rows, squares) / np.maximum(draws - 1, 1), 0.0)
    return found


def _game_sums(rows: _Rows, values: Array) -> Array:
    """Return the sums over the rows of each game."""
    if len(set(rows.supports)) == 1:
        sums: Array = values.reshape(len(rows.supports), -1, values.shape[1]).sum(axis=1)
        return sums
    return np.add.reduceat(values, np.cumsum([0, *rows.supports[:-1]]), axis=0)
