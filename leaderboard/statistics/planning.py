"""Plans of runs: where one more tells the most per hour, until differences of a given size are found."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from typing import Literal

import numpy as np

from leaderboard.statistics.influence import iqm_influence, variance_of
from leaderboard.statistics.metrics import Scores, iqm
from leaderboard.statistics.power import MOST_SEEDS, POWER, caution, quantiles, seeds_needed

OWN_RUNS = 3
"""With fewer runs in a game an entry's own variance there says less than what entries have in common."""

ASSUMED_ERROR = 0.02
"""The relative standard error at five runs a game that is assumed where no entry has two runs; published entries have
0.01 to 0.025."""

Basis = Literal["own", "pooled", "assumed"]
"""Where a variance comes from: the entry's own runs, all entries' runs of the game, or nowhere."""

Reason = Literal["game", "seed", "precision"]
"""Why a cell is planned: the entry lacks the game; it lacks one of the task's own seeds; its error is too large."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An entry that runs can be planned for.

    `scores` [runs] by game, empty where games have no common scale; `seeds` by game are those that have a result or are
    under way; `hours` by game are what a run took, where that is known.
    """

    scores: Scores
    seeds: Mapping[str, frozenset[int]]
    hours: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A run to make. `gain` is the share of the variance allowed to the entry that it takes away, 0 where unknown.

    `hours` is what it will take, None where no run of the task has recorded it; `basis` is that of its variance.
    """

    entry: str
    game: str
    seed: int
    reason: Reason
    gain: float
    hours: float | None
    basis: Basis

    @property
    def rate(self) -> float:
        """The gain per hour, or per run where hours are unknown."""
        return self.gain / (self.hours or 1.0)


@dataclass(frozen=True, slots=True)
class Need:
    """What an entry needs. `target` is the standard error with which differences are found, `error` the present one.

    `error` is None until every game has a run. `seeds` are the runs of each game, the same for all, that reach the
    target; None: more than 1,000. `basis` is the weakest of its variances'.
    """

    target: float
    error: float | None
    seeds: int | None
    basis: Basis


@dataclass(frozen=True, slots=True)
class Plan:
    """Cells in the order in which to run them, and each entry's need; `complete` says whether no further cell helps."""

    cells: tuple[PlannedCell, ...]
    needs: Mapping[str, Need]
    complete: bool


def next_cells(
    candidates: Mapping[str, Candidate],
    games: Sequence[str],
    default_seeds: Sequence[int],
    *,
    detect: float = 0.1,
    power: float = POWER,
    others: Mapping[str, Scores] | None = None,
    limit: int = 20,
) -> Plan:
    """Return the first `limit` cells that bring every entry to where differences by the share `detect` are found.

    First come games that an entry lacks, entries with the fewest of them first; then the task's own seeds, `others` are
    entries whose runs count for variances alone. Both, and all further seeds, go by gain per hour. The share is of the
    entry's interquartile mean, or of the median of all entries' where that is larger; two entries that both reach their
    targets tell such a difference apart with probability `power`, at a look with as many seeds as `default_seeds` or,
    which takes more, at another (see `looks`). Variances are raised by what few runs make them too small by. The result
    depends on no order of its arguments.
    """
    spreads = _spreads({**(others or {}), **{key: item.scores for key, item in candidates.items()}}, games)
    states = {
        key: _State.of(key, candidates[key], games, spreads, detect=detect, power=power, planned=len(default_seeds))
        for key in sorted(candidates)
    }
    hours = _hours(candidates, games)
    first = {key: _first(key, state, default_seeds, hours[key]) for key, state in states.items()}
    cells: list[PlannedCell] = []
    while True:
        offers = [offer for offer in first.values() if offer is not None]
        if not offers or len(cells) == limit:
            return Plan(tuple(cells), {key: state.need for key, state in states.items()}, not offers)
        cell = min(offers, key=lambda offer: offer[0])[1]
        cells.append(cell)
        states[cell.entry].take(cell)
        first[cell.entry] = _first(cell.entry, states[cell.entry], default_seeds, hours[cell.entry])


Priority = tuple[int, int, float, float, str, str]
"""What offers are sorted by, the first to be run first."""


@dataclass(slots=True)
class _State:
    """An entry while cells are planned: what it will have, `runs` by game, once the cells so far are done."""

    variances: dict[str, float]
    bases: dict[str, Basis]
    runs: dict[str, int]
    seeds: dict[str, set[int]]
    need: Need

    @classmethod
    def of(
        cls,
        key: str,
        candidate: Candidate,
        games: Sequence[str],
        spreads: _Spreads,
        *,
        detect: float,
        power: float,
        planned: int,
    ) -> _State:
        scale = max(spreads.scales.get(key, 0.0), spreads.typical)
        found = {name: spreads.of(key, name, scale) for name in sorted(games)}
        variances = {name: variance for name, (variance, _) in found.items()}
        counted: Mapping[str, Sized] = candidate.scores or candidate.seeds
        runs = {name: len(counted.get(name, ())) for name in sorted(games)}
        wide = caution([(variance, spreads.freedom(key, name)) for name, variance in variances.items()]) ** 0.5
        asked = seeds_needed(detect * scale / wide, variances, variances, power=power, planned=planned)
        seeds = None if asked is None else max(asked, planned)
        known = all(runs.values())
        squared = sum(variances[name] / runs[name] for name in runs) if known else None
        parts = [*variances.values()] * 2
        needed = wide * 2**0.5 * float(quantiles(seeds or MOST_SEEDS, parts, power=power, planned=planned))
        bases: dict[str, Basis] = {name: basis for name, (_, basis) in found.items()}
        worst = max(bases.values(), key=("own", "pooled", "assumed").index)
        need = Need(detect * scale / needed, None if squared is None else squared**0.5, seeds, worst)
        return cls(variances, bases, runs, {name: set(candidate.seeds.get(name, ())) for name in runs}, need)

    def offers(self, key: str, default_seeds: Sequence[int], hours: Mapping[str, float | None]) -> list[PlannedCell]:
        """Return the next cell of each game that is worth a run."""
        cells = []
        precise = self._precise()
        for name, runs in self.runs.items():
            seed = _smallest_missing(self.seeds[name])
            reason: Reason = "game" if not runs else "seed" if seed in default_seeds else "precision"
            gain = (
                self.variances[name] / (runs * (runs + 1)) / self.need.target**2 if runs and self.need.target else 0.0
            )
            if reason == "precision" and (precise or not gain > 0 or runs >= MOST_SEEDS):
                continue
            cells.append(PlannedCell(key, name, seed, reason, gain, hours[name], self.bases[name]))
        return cells

    def take(self, cell: PlannedCell) -> None:
        """Count a cell as done."""
        self.runs[cell.game] += 1
        self.seeds[cell.game].add(cell.seed)

    def missing(self) -> int:
        """Return how many games have no run."""
        return sum(not runs for runs in self.runs.values())

    def _precise(self) -> bool:
        if not all(self.runs.values()):
            return True  # of games that lack comes first what completes them
        return sum(self.variances[name] / runs for name, runs in self.runs.items()) <= self.need.target**2


@dataclass(frozen=True, slots=True)
class _Spreads:
    """Variances: `own` by entry and game, with the number of runs, in each entry's unit; `pooled` relative ones.

    `everyone`: the degrees of freedom of all entries together, by game.
    """

    own: Mapping[tuple[str, str], tuple[float, int]]
    pooled: Mapping[str, float]
    everyone: Mapping[str, int]
    scales: Mapping[str, float]
    typical: float
    games: int

    def freedom(self, key: str, game: str) -> float | None:
        """Return the degrees of freedom of an entry's variance in a game; None where it is nobody's measurement."""
        runs = self.own.get((key, game), (0.0, 0))[1]
        if runs >= OWN_RUNS:
            return runs - 1
        return self.everyone.get(game) or None

    def of(self, key: str, game: str, scale: float) -> tuple[float, Basis]:
        """Return what one run of a game adds to an entry's squared error, and where that comes from."""
        variance, runs = self.own.get((key, game), (0.0, 0))
        if runs >= OWN_RUNS:
            return variance, "own"
        if self.pooled:
            common = self.pooled.get(game, sum(self.pooled.values()) / len(self.pooled))
            return common * scale**2, "pooled"
        return 5 * (ASSUMED_ERROR * scale) ** 2 / self.games, "assumed"


def _spreads(entries: Mapping[str, Scores], games: Sequence[str]) -> _Spreads:
    """Gather variances; those of a game are pooled over entries relative to their interquartile means.

    Equal runs of a game say nothing about its spread. Runs that differ and are all trimmed away do: they add no error.
    """
    own: dict[tuple[str, str], tuple[float, int]] = {}
    scales: dict[str, float] = {}
    for key in sorted(entries):
        scores = {name: entries[key][name] for name in sorted(games) if len(entries[key].get(name, ()))}
        if not scores:
            continue
        scales[key] = abs(iqm(scores))
        for name, values in iqm_influence(scores)[1].items():
            if len(values) > 1 and np.ptp(scores[name]) > 0:  # runs that all agree do so by chance
                own[key, name] = variance_of(values) * (len(scores) / len(games)) ** 2, len(values)
    typical = statistics.median(scales.values()) if scales else 0.0
    pooled: dict[str, float] = {}
    everyone: dict[str, int] = {}
    for name in sorted(games):
        parts = [(max(scales[key], typical), *own[key, game]) for key, game in sorted(own) if game == name]
        everyone[name] = freedom = sum(runs - 1 for _, _, runs in parts)
        if freedom and typical > 0:
            pooled[name] = sum((runs - 1) * variance / scale**2 for scale, variance, runs in parts) / freedom
    return _Spreads(own, pooled, everyone, scales, typical, len(games))


def _hours(candidates: Mapping[str, Candidate], games: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Return what a run takes, by entry and game: as recorded, else the entry's mean, else the mean of all."""
    means = {key: _mean([item.hours[name] for name in sorted(item.hours)]) for key, item in candidates.items()}
    everywhere = _mean([means[key] for key in sorted(means)])
    found = {}
    for key, item in candidates.items():
        other = everywhere if means[key] is None else means[key]
        found[key] = {name: item.hours.get(name, other) for name in games}
    return found


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _first(
    key: str, state: _State, default_seeds: Sequence[int], hours: Mapping[str, float | None]
) -> tuple[Priority, PlannedCell] | None:
    """Return the cell of an entry that is to be run first, with its place among those of others; None without any."""
    offers = [(_priority(cell, state), cell) for cell in state.offers(key, default_seeds, hours)]
    return min(offers, key=lambda offer: offer[0], default=None)


def _priority(cell: PlannedCell, state: _State) -> Priority:
    """Return what offers are sorted by, the first to be run first."""
    place = ("game", "seed", "precision").index(cell.reason)
    missing = state.missing() if cell.reason == "game" else 0
    rate = float(f"{cell.rate:.9g}")  # equal gains may differ in the last bits
    return place, missing, -rate, cell.hours or 0.0, cell.entry, cell.game


def _smallest_missing(seeds: set[int]) -> int:
    seed = 0
    while seed in seeds:
        seed += 1
    return seed
