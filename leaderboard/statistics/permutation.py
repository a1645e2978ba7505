"""The test of two entries for a difference: labels swapped within every game, and Holm's correction for many pairs."""

from __future__ import annotations

import functools
import hashlib
import itertools
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from leaderboard.statistics.influence import contributions
from leaderboard.statistics.metrics import Array, Scores, lay_out
from leaderboard.statistics.trimming import count_true

PERMUTATIONS = 20_000
"""Random relabellings of a pair; the smallest possible p is 1 in one more than that."""

ENOUGH = 200
"""Once so many relabellings went as far as what was seen, p is known well enough (Besag and Clifford 1991)."""

_CHUNK = 256
_BLOCK = 8 * _CHUNK
"""Relabellings that are dealt at a time: most pairs are done long before the last of them."""

_WORDS = 4
"""How many words Philox makes at a time."""

_VERSION = "permutation-1"

_Key = TypeVar("_Key", bound=Hashable)


def permutation_p(a: Scores, b: Scores, *, studentised: bool = True, permutations: int = PERMUTATIONS) -> float:
    """Return the two-sided p of the difference of interquartile means, from relabelling the runs of each game.

    In every game the runs of both entries, [runs] each, are dealt anew, each entry getting as many as it has. The
    statistic is the difference over its standard error; without the latter (`studentised` false) the test answers
    another question, whether anything differs in any game, and loses most of its power where games differ in both
    directions. Exact, for any number of runs, where relabelling changes nothing. p depends on neither the order of runs
    nor which entry is called `a`. Raises ValueError for different games.
    """
    if sorted(a) != sorted(b):
        raise ValueError("both entries need the same games")
    if (_numbers(a), _content(a)) > (_numbers(b), _content(b)):
        a, b = b, a
    names = sorted(a)
    pooled = np.concatenate([np.sort(np.concatenate([a[name], b[name]])) for name in names]) + 0.0
    order = np.argsort(pooled, kind="stable")
    sizes = [len(a[name]) + len(b[name]) for name in names]
    game = np.repeat(np.arange(len(names)), sizes)
    studentised = studentised and any(len(scores[name]) > 1 for scores in (a, b) for name in names)
    sides = [Side.of(scores, game, order, pooled, studentised=studentised) for scores in (a, b)]
    seen = _statistic(sides, _seen(a, b)[order, None])[0]
    design = tuple(zip(_numbers(a), _numbers(b), strict=True))

    def statistic(some: slice) -> Array:
        first = some.start // _BLOCK * _BLOCK
        dealt = _dealt(design, permutations, first)[:, some.start - first : some.stop - first]
        return _statistic(sides, dealt[order].astype(np.float64))

    return share_beyond(statistic, seen, permutations)


def share_beyond(statistic: Callable[[slice], Array], seen: float, permutations: int) -> float:
    """Return p: the share of the relabellings, what was seen among them, whose statistic is as far as what was seen.

    `statistic` gives that of some of them, [relabellings]. Once enough went as far, the others are not asked.
    """
    beyond = 0
    for first in range(0, permutations, _CHUNK):
        far = statistic(slice(first, first + _CHUNK)) >= seen * (1 - 1e-9)
        count = int(np.count_nonzero(far))
        if beyond + count >= ENOUGH:
            return ENOUGH / (first + 1 + int(np.flatnonzero(far)[ENOUGH - beyond - 1]))
        beyond += count
    return (1 + beyond) / (1 + permutations)


def holm(p: Mapping[_Key, float]) -> dict[_Key, float]:
    """Return Holm's adjusted p of each of the tests made together: at most 5 % risk that any of them is wrong."""
    adjusted: dict[_Key, float] = {}
    highest = 0.0
    for place, key in enumerate(sorted(p, key=lambda key: p[key])):
        highest = max(highest, min(1.0, (len(p) - place) * p[key]))
        adjusted[key] = highest
    return {key: adjusted[key] for key in p}


@dataclass(frozen=True, slots=True)
class Side:
    """One entry's part of the statistic. `values` and `weights` have shape [pooled runs], by value.

    `games` [games, pooled runs] is 1 where a run is of a game; `counts`, `shares` [games, 1]: how many runs the entry
    has of it, and what its variance counts (0 everywhere: no standard error is wanted).
    """

    values: Array
    weights: Array
    keep: tuple[float, float]
    kept: float
    games: Array
    counts: Array
    shares: Array

    @classmethod
    def of(
        cls,
        scores: Scores,
        game: NDArray[np.intp],
        order: NDArray[np.intp],
        pooled: Array,
        *,
        studentised: bool,
    ) -> Side:
        """Return an entry's part, from the game of each pooled run and the order of the pooled runs by value."""
        layout = lay_out(scores)
        able = studentised and max(layout.sizes) > 1
        shares = contributions(layout.sizes) if able else [0.0] * len(layout.sizes)
        return cls(
            values=pooled[order],
            weights=layout.weights[layout.starts][game][order],
            keep=layout.keep,
            kept=(layout.keep[1] - layout.keep[0]) / float(layout.weights.sum()),
            games=(game[order] == np.arange(len(layout.sizes))[:, None]).astype(np.float64),
            counts=np.array(layout.sizes, dtype=np.float64)[:, None],
            shares=np.array(shares)[:, None],
        )

    def middle(self, mine: Array) -> tuple[Array, Array, Array]:
        """Return the interquartile mean of each dealing and the lowest and highest value it keeps, [deals] each.

        `mine` [pooled runs, deals]. The mean is summed by parts: the sum of (c_i - c_i-1) v_i is high v_n - low v_1 -
        sum of c_i (v_i+1 - v_i), with the cumulated weights c clipped to the range that is kept.
        """
        low, high = self.keep
        cumulated = mine * self.weights[:, None]
        for before, row in itertools.pairwise(cumulated):  # NumPy's own over the first axis is slower
            row += before
        slack = 1e-9 * high
        bottom = self.values[count_true(cumulated <= low + slack)]
        top = self.values[count_true(cumulated < high - slack)]
        np.maximum(cumulated, low, out=cumulated)
        np.minimum(cumulated, high, out=cumulated)
        inner = np.diff(self.values) @ cumulated[:-1]
        return (high * self.values[-1] - low * self.values[0] - inner) / (high - low), bottom, top

    def moments(self, mine: Array) -> tuple[Array, Array]:
        """Return the interquartile mean and its squared standard error of each dealing; `mine` [pooled runs, deals]."""
        means, bottom, top = self.middle(mine)
        if not self.shares.any():
            return means, np.zeros_like(means)
        winsorized = np.maximum(self.values[:, None], bottom)
        np.minimum(winsorized, top, out=winsorized)
        winsorized -= means
        parts = winsorized * mine
        sums = self.games @ parts
        parts *= winsorized
        spread = (self.games @ parts - sums**2 / self.counts) / np.maximum(self.counts - 1, 1)
        squared: Array = (self.shares * spread).sum(axis=0) / (self.kept * len(self.counts)) ** 2
        return means, np.maximum(squared, 0.0)


def _statistic(sides: list[Side], first: Array) -> Array:
    """Return how far the two sides are apart in each dealing, [deals]; `first` says what went to the first side."""
    (mean_a, squared_a), (mean_b, squared_b) = sides[0].moments(first), sides[1].moments(1 - first)
    squared, scale = squared_a + squared_b, float(np.abs(sides[0].values).max()) or 1.0
    far: Array = np.abs(mean_a - mean_b)
    far[far < 1e-12 * scale] = 0.0
    if not any(side.shares.any() for side in sides):
        return far
    return far / np.sqrt(np.maximum(squared, (1e-9 * scale) ** 2))


def _seen(a: Scores, b: Scores) -> Array:
    """Return which pooled runs are those of `a`, [pooled runs], ones and zeros; pooled by game, then by value."""
    blocks = []
    for name in sorted(a):
        labels = np.repeat([1.0, 0.0], [len(a[name]), len(b[name])])
        blocks.append(labels[np.argsort(np.concatenate([a[name], b[name]]), kind="stable")])
    return np.concatenate(blocks)


@functools.lru_cache(maxsize=80)
def _dealt(design: tuple[tuple[int, int], ...], permutations: int, first: int) -> NDArray[np.bool_]:
    """Return which pooled runs go to the first entry, [pooled runs, relabellings], games one after the other.

    They are at most `_BLOCK` of the `permutations`, from `first` on: the same that all of them together would have.
    """
    key = hashlib.sha256(f"{_VERSION}\n{design!r}".encode()).digest()[:16]
    count = min(_BLOCK, permutations - first)
    blocks, start = [], 0
    for mine, others in design:
        each = mine + others
        tickets = _words(int.from_bytes(key, "little"), start + first * each, count * each).reshape(count, each)
        last = np.sort(tickets, axis=1)[:, mine - 1 : mine]
        blocks.append((tickets <= last).T)
        start += permutations * each
    dealt = np.concatenate(blocks)
    dealt.setflags(write=False)
    return dealt


def _words(key: int, first: int, count: int) -> NDArray[np.uint64]:
    """Return `count` words of a stream from the word `first` on."""
    source = np.random.Philox(key=key)
    source.advance(first // _WORDS)
    return source.random_raw(first % _WORDS + count)[first % _WORDS :]


def _numbers(scores: Scores) -> list[int]:
    return [len(scores[name]) for name in sorted(scores)]


def _content(scores: Scores) -> bytes:
    return lay_out(scores).rows.astype("<f8").tobytes()
