"""Trimmed means of many resamples at once, and the variances of their influences.

The values are sorted once: a resample is how often each of them was drawn, and its cumulated weight, clipped to the
range that is kept, gives the trimmed mean without another sort. Only games that the trim can cut are gone through like
that. Those that are left out whatever is drawn count by their weight alone, and those that are kept whole by their sum.

Sums run over the first axis, one row after the other, so that the results are the same bits on every machine.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaderboard.statistics.influence import contributions
from leaderboard.statistics.metrics import Array

Places = NDArray[np.intp]

SLACK = 1e-9
"""What sums of 1 / R may be off by, as a share of all weight."""

ROUNDING = 1e-12
"""Variances below this share of the squares that they are the difference of are nothing."""


@dataclass(frozen=True)
class Rows:
    """The rows [m, points] that resamples count, how they fall into games, and what a drawn one weighs.

    `supports` are the numbers of rows of the games, `draws` how many of them a resample takes, `per_draw` [m] what one
    weighs, and `keep` the range of cumulated weight that a trimmed mean averages.
    """

    values: Array
    supports: tuple[int, ...]
    draws: tuple[int, ...]
    per_draw: Array
    keep: tuple[float, float]

    @functools.cached_property
    def games(self) -> Places:
        """The game of each row, [m]."""
        return np.repeat(np.arange(len(self.supports)), self.supports)

    @functools.cached_property
    def weights(self) -> Array:
        """What the draws of a game weigh together, [games]."""
        found: Array = np.array(self.draws) * self.per_draw[np.cumsum([0, *self.supports[:-1]])]
        return found

    @functools.cached_property
    def slack(self) -> float:
        """By how much cumulated weights may be off."""
        return SLACK * float(self.weights.sum())

    @property
    def kept(self) -> float:
        """The share of the weight that a trimmed mean averages."""
        return (self.keep[1] - self.keep[0]) / float(self.weights.sum())

    @functools.cached_property
    def points(self) -> tuple[Point, ...]:
        """What to go through at every point."""
        return tuple(_point(self, values) for values in np.ascontiguousarray(self.values.T))


@dataclass(frozen=True, slots=True)
class Games:
    """Some games: their `numbers`, the `rows` [j] of one after the other, and a value [j, 1] of each row.

    `ends` are the places behind each game's last row, `each` is the number of rows of every game where that is the
    same, else 0, `draws` [games, 1] how many are drawn, and `divisors` one less, infinite for a single one.
    """

    numbers: Places
    rows: Places
    values: Array
    ends: tuple[int, ...]
    each: int
    draws: Array
    divisors: Array

    @classmethod
    def of(cls, numbers: Places, rows: Places, values: Array, supports: Sequence[int], draws: Sequence[int]) -> Games:
        """Return games with these numbers of rows and draws."""
        drawn = np.array(draws, dtype=np.float64)[:, None]
        ends = tuple(np.cumsum(supports, dtype=np.intp).tolist())
        each = supports[0] if len(set(supports)) == 1 else 0
        divisors = np.where(drawn > 1, drawn - 1, np.inf)
        return cls(numbers, rows, values[:, None], ends, each, drawn, divisors)

    def sums(self, found: Array) -> Array:
        """Return the sums over the rows of each game, [games, columns], of an array [j, columns]."""
        if self.each:
            sums: Array = found.reshape(len(self.ends), self.each, -1).sum(axis=1)
            return sums
        blocks = zip((0, *self.ends), self.ends, strict=False)
        return np.array([found[start:end].sum(axis=0) for start, end in blocks]).reshape(-1, found.shape[1])

    def spread(self, found: Array) -> Array:
        """Return an array [games, columns] with a game's row for each of its rows, [j, columns]."""
        if self.each:
            return np.repeat(found, self.each, axis=0)
        return np.repeat(found, np.diff((0, *self.ends)), axis=0)


@dataclass(frozen=True, slots=True)
class Point:
    """What has to be gone through at a point.

    `order` [k] are the rows of the games that the trim can `cut`, lowest first, and `steps` [k - 1] from one's value to
    the next; games below them add the weight `base`. Games that are kept `whole` have their place among them as if they
    were a row, `block`, of a `weight`, whose value is the mean of their lowest rows; what they have beyond is in the
    values of `whole`, which has no row for the lowest.
    """

    order: Places
    values: Array
    steps: Array
    base: float
    block: int
    weight: float
    cut: Games
    whole: Games


def sums(rows: Rows, factors: Array | None, counts: Array, *, errors: bool = True) -> tuple[Array, Array, Array]:
    """Return values [sums, resamples], their errors, and the variance of a run's influence [sums, games, resamples].

    There are as many sums as points or, with `factors` [points], one: of `factors` times the points. `counts` [m,
    resamples] say how often each row was drawn. Without `errors` the latter two are zeros.
    """
    games, columns, single = len(rows.supports), counts.shape[1], factors is not None
    weighted = counts if (rows.per_draw == 1).all() else counts * rows.per_draw[:, None]
    means = np.zeros((len(rows.points), columns))
    variances = np.zeros((1 if single else len(rows.points), games, columns))
    total = np.zeros(counts.shape if errors and single else (0, 0))
    scale = 1 / (rows.kept * games)
    for p, point in enumerate(rows.points):
        means[p], low, high = _trimmed(rows, point, weighted, bounds=errors)
        if not errors:
            continue
        winsorized = _winsorized(point, low, high)
        if factors is None:
            variances[p, point.cut.numbers] = _variances(point.cut, winsorized, counts)
            variances[p, point.whole.numbers] = _whole_variances(point.whole, counts)
        else:  # what is the same for all runs of a game changes no variance
            winsorized *= factors[p]
            total[point.cut.rows] += winsorized
            total[point.whole.rows] += factors[p] * point.whole.values
    if factors is not None:
        means = (factors[:, None] * means).sum(axis=0, keepdims=True)
        if errors:
            everyone = Games.of(np.arange(games), np.arange(len(counts)), rows.values[:, 0], rows.supports, rows.draws)
            variances[0] = _variances(everyone, total, counts)
    variances *= scale**2
    shares = np.array(contributions(rows.draws))[:, None]
    return means, np.sqrt((shares * variances).sum(axis=1)), variances


def _point(rows: Rows, values: Array) -> Point:
    """Return what has to be gone through where the rows have these values [m]."""
    order = np.argsort(values, kind="stable")
    games = rows.games[order]
    first, last = _ends(games, len(rows.supports))
    below, whole, cut = _fates(rows, games, first, last)
    chosen, weight = order[cut[games]], float(rows.weights[whole].sum())
    lowest = order[first[whole]]
    block, shown = 0, values[chosen]
    if len(lowest):
        place = first[whole].min()
        block = int(cut[games[:place]].sum())
        chosen = np.insert(chosen, block, order[place])
        shown = np.insert(shown, block, float((rows.weights[whole] * values[lowest]).sum()) / weight)
    beyond = whole[rows.games]
    beyond[lowest] = False
    rest = np.flatnonzero(beyond)
    floor = np.zeros(len(rows.supports))
    floor[whole] = values[lowest]
    supports, draws, inner = np.array(rows.supports), np.array(rows.draws), np.flatnonzero(cut[rows.games])
    return Point(
        order=chosen,
        values=shown,
        steps=np.diff(shown)[:, None],
        base=float(rows.weights[below].sum()),
        block=block,
        weight=weight,
        cut=Games.of(np.flatnonzero(cut), inner, values[inner], supports[cut].tolist(), draws[cut].tolist()),
        whole=Games.of(
            np.flatnonzero(whole),
            rest,
            values[rest] - floor[rows.games[rest]],
            (supports[whole] - 1).tolist(),
            draws[whole].tolist(),
        ),
    )


def _ends(games: Places, count: int) -> tuple[Places, Places]:
    """Return the place of the first and of the last row of every game, [games], where rows are of these `games`."""
    places = np.arange(len(games))
    first, last = np.empty(count, dtype=np.intp), np.empty(count, dtype=np.intp)
    first[games[::-1]] = places[::-1]  # of several values for one place NumPy keeps the last
    last[games] = places
    return first, last


def _fates(rows: Rows, games: Places, first: Places, last: Places) -> tuple[NDArray[np.bool_], ...]:
    """Return which games [games] lie below what is kept whatever is drawn, which are kept whole, which may be cut.

    Rows are in the order of their values, of these `games`, with their `_ends`. Of a row's cumulated weight is known
    that all games which ended before it are in it, and none that begins later.
    """
    weights = rows.weights
    most = np.cumsum(np.bincount(first, weights, len(games)))
    least_before = np.concatenate([[0.0], np.cumsum(np.bincount(last, weights, len(games)))])
    low, high = rows.keep
    below = most[last] <= low + rows.slack
    above = least_before[first] >= high - rows.slack
    whole = (least_before[first] > low + rows.slack) & (most[last] < high - rows.slack)
    return below, whole, ~(below | above | whole)


def _trimmed(rows: Rows, point: Point, weighted: Array, *, bounds: bool) -> tuple[Array, Array, Array]:
    """Return the trimmed mean of every resample, and the lowest and the highest value that it keeps."""
    cumulated = weighted[point.order]
    if point.weight:
        cumulated[point.block] = point.weight
    cumulated[0] += point.base
    before = cumulated[0]
    for row in cumulated[1:]:  # NumPy's own cumulation over the first axis is slower
        before = np.add(before, row, out=row)
    (low, high), values = rows.keep, point.values
    lowest = highest = np.zeros(0)
    if bounds:
        lowest = values[count_true(cumulated <= low + rows.slack)]
        highest = values[np.minimum(count_true(cumulated < high - rows.slack), len(values) - 1)]
    cumulated = cumulated[:-1]
    np.maximum(cumulated, low, out=cumulated)
    np.minimum(cumulated, high, out=cumulated)
    cumulated *= point.steps
    found: Array = high * values[-1] - low * values[0] - cumulated.sum(axis=0)
    if len(point.whole.rows):
        beyond = weighted[point.whole.rows]
        beyond *= point.whole.values
        found += beyond.sum(axis=0)
    return found / (high - low), lowest, highest


def count_true(mask: NDArray[np.bool_]) -> NDArray[np.unsignedinteger]:
    """Return how many of each column are true; small integers sum several times faster."""
    size = np.uint8 if len(mask) < 256 else np.uint32
    found: NDArray[np.unsignedinteger] = np.add.reduce(mask.view(np.uint8), axis=0, dtype=size)
    return found


def _winsorized(point: Point, low: Array, high: Array) -> Array:
    """Return the values of games that are cut, between the lowest and the highest of each resample, [j, resamples]."""
    found = np.empty((len(point.cut.rows), len(low)))
    found[:] = point.cut.values
    np.maximum(found, low, out=found)
    return np.minimum(found, high, out=found)


def _variances(games: Games, values: Array, counts: Array) -> Array:
    """Return the variance (ddof 1) over the draws of some games [games, resamples]; 0 with one draw.

    `values` [j, resamples] are those of the games' rows.
    """
    drawn = counts[games.rows]
    squares = games.spread(games.sums(drawn * values) / games.draws)
    np.subtract(values, squares, out=squares)
    np.square(squares, out=squares)
    squares *= drawn
    found: Array = games.sums(squares) / games.divisors
    return found


def _whole_variances(games: Games, counts: Array) -> Array:
    """Return the same of games without their lowest row, whose value is 0 and which takes the draws that are left."""
    found = counts[games.rows]
    found *= games.values
    means = games.sums(found)
    found *= games.values
    squares = games.sums(found)
    variances = squares - means * means / games.draws
    variances[variances < ROUNDING * squares] = 0.0
    return variances / games.divisors
