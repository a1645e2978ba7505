"""Pairs of runs: two entries whose runs of one seed share their random streams.

A run of a method is its dense twin's of the same seed until the method acts, so that both tend to be lucky together.
What they have in common cancels in the difference of a pair. The influence of pair r of game g on the difference of
interquartile means is that of A's run less that of B's (see `influence`), and with R_g pairs of game g

    SE^2 = sum over games of var_r(influence of pair gr, ddof=1) / R_g .

The test lets the two runs of a pair change sides, which changes nothing where the method does nothing. Simulated with
and without correlation in docs/comparisons.md.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from leaderboard.statistics.influence import Error, error_of, iqm_influence
from leaderboard.statistics.intervals import carries
from leaderboard.statistics.metrics import Array, Scores, lay_out
from leaderboard.statistics.permutation import PERMUTATIONS, Side, share_beyond

FEWEST_EACH = 5
"""With fewer pairs in some game nothing is paired: halving the degrees of freedom costs more than it gives."""

FEWEST_IN_ALL = 15
"""With fewer pairs in all games together nothing is paired: there are too few ways to change sides for a small p."""

Pairing = Literal["unpaired", "paired", "unpaired as asked", "paired as asked"]
"""Whether runs of one seed were compared with each other: by the rule, or against it because someone asked for it."""

_VERSION = "pairs-1"


def matched(a: Mapping[str, Sequence[int]], b: Mapping[str, Sequence[int]]) -> bool:
    """Return whether two entries can be paired, given the seeds of their runs by game, in the order of the scores.

    They can where both have the same seeds in the same order in every game that both have, each once, and enough.
    """
    common = a.keys() & b.keys()
    alike = all(list(a[name]) == list(b[name]) and len(set(a[name])) == len(a[name]) for name in common)
    counts = [len(a[name]) for name in common]
    return alike and sum(counts) >= FEWEST_IN_ALL and min(counts) >= FEWEST_EACH


def pair_influence(a: Scores, b: Scores) -> dict[str, Array]:
    """Return the influence of every pair of runs on the difference of interquartile means, [pairs] by game.

    Run i of a game is of one seed in both. Raises ValueError for different games or numbers of runs.
    """
    _check(a, b)
    first, second = (iqm_influence(scores)[1] for scores in (a, b))
    return {name: first[name] - second[name] for name in first}


def pair_error(a: Scores, b: Scores) -> Error:
    """Return the standard error of the difference of interquartile means and its degrees of freedom, from the pairs.

    Both are None without enough runs, and where the pairs differ in too few games to say how they vary.
    """
    _check(a, b)
    apart = {name: a[name] - b[name] for name in a}
    if not all(carries(lay_out(scores)) for scores in (a, b, apart)):
        return None, None
    return error_of(pair_influence(a, b))


def exchange_p(a: Scores, b: Scores, *, permutations: int = PERMUTATIONS) -> float:
    """Return the two-sided p of the difference of interquartile means, from letting the runs of pairs change sides.

    In every game run i of `a` and run i of `b` are a pair. The statistic is the difference over its standard error,
    which is that of the pairs. Exact, for any number of pairs, where changing sides changes nothing. p depends on
    neither the order of the pairs nor which entry is called `a`. Raises ValueError for different games or numbers.
    """
    _check(a, b)
    pairs = _Pairs.of(a, b)
    changes = _changes(len(pairs.lower), permutations)
    return share_beyond(lambda some: pairs.statistic(changes[:, some]), pairs.seen(a, b), permutations)


@dataclass(frozen=True, slots=True)
class _Pairs:
    """What is tested: the `lower` and the `higher` run of every pair, [pairs], game by game, in an order of their own.

    `order` [2 pairs] sorts both, one after the other; `side` is what either entry's statistic is made from, `games`
    [games, pairs] is 1 where a pair is of a game, and `counts` [games, 1] how many it has.
    """

    lower: Array
    higher: Array
    order: NDArray[np.intp]
    side: Side
    games: Array
    counts: Array

    @classmethod
    def of(cls, a: Scores, b: Scores) -> _Pairs:
        names = sorted(a)
        blocks = [np.sort(np.stack([a[name], b[name]]), axis=0) + 0.0 for name in names]
        lower, higher = np.concatenate([block[:, _order(block)] for block in blocks], axis=1)
        game = np.repeat(np.arange(len(names)), [len(a[name]) for name in names])
        pooled = np.concatenate([lower, higher])
        order = np.argsort(pooled, kind="stable")
        side = Side.of(a, np.tile(game, 2), order, pooled, studentised=True)
        return cls(lower, higher, order, side, (game == np.arange(len(names))[:, None]).astype(np.float64), side.counts)

    def seen(self, a: Scores, b: Scores) -> float:
        """Return the statistic of the entries as they are."""
        blocks = []
        for name in sorted(a):
            block = np.sort(np.stack([a[name], b[name]]), axis=0)
            blocks.append((np.asarray(a[name]) == block[0])[_order(block)])
        return float(self.statistic(np.concatenate(blocks)[:, None])[0])

    def statistic(self, lower_first: NDArray[np.bool_]) -> Array:
        """Return how far the two sides are apart, [deals], where the first side has these lower runs, [pairs, deals].

        Sides of equal runs are 0 apart.
        """
        mine = np.concatenate([lower_first, ~lower_first])[self.order].astype(np.float64)
        mean_a, *ends_a = self.side.middle(mine)
        mean_b, *ends_b = self.side.middle(1 - mine)
        lower, higher = self.lower[:, None], self.higher[:, None]
        apart = np.clip(np.where(lower_first, lower, higher), *ends_a)
        apart -= np.clip(np.where(lower_first, higher, lower), *ends_b)
        apart -= mean_a - mean_b
        sums = self.games @ apart
        spread = (self.games @ apart**2 - sums**2 / self.counts) / np.maximum(self.counts - 1, 1)
        squared = (self.side.shares * spread).sum(axis=0) / (self.side.kept * len(self.counts)) ** 2
        scale = float(np.abs(self.side.values).max()) or 1.0
        far = np.abs(mean_a - mean_b)
        far[far < 1e-12 * scale] = 0.0
        found: Array = far / np.sqrt(np.maximum(squared, (1e-9 * scale) ** 2))
        return found


def _order(block: Array) -> NDArray[np.intp]:
    """Return the places of pairs, [2, pairs], by their lower and then their higher run."""
    return np.lexsort(block[::-1])


@functools.lru_cache(maxsize=8)
def _changes(pairs: int, permutations: int) -> NDArray[np.bool_]:
    """Return in which pairs the lower run is the first entry's, [pairs, permutations]: fair coins."""
    key = hashlib.sha256(f"{_VERSION}\n{pairs}".encode()).digest()[:16]
    words = np.random.Philox(key=int.from_bytes(key, "little")).random_raw(-(-pairs * permutations // 64))
    bits = np.unpackbits(words.astype("<u8").view(np.uint8))[: pairs * permutations]
    found = np.ascontiguousarray(bits.reshape(permutations, pairs).T).astype(np.bool_)
    found.setflags(write=False)
    return found


def _check(a: Scores, b: Scores) -> None:
    if {name: len(values) for name, values in a.items()} != {name: len(values) for name, values in b.items()}:
        raise ValueError("paired entries need the same games, and as many runs of each")
