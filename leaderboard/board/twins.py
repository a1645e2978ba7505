"""Dense twins: for an entry with a method, the same agent, network and settings without it.

The twin is the dense entry of the same task, budget, agent, network and settings. Where a submission holds the entry
and a twin that is whole, that submission's runs of it count, else all runs of the twin that is proven most.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.board.standings import counted_games, normalized_scores, seeds_of
from leaderboard.bundles.levels import LEVELS, Grade, grade, word
from leaderboard.statistics.intervals import carries
from leaderboard.statistics.metrics import lay_out
from leaderboard.statistics.pairing import Pairing, matched
from leaderboard.store.rows import StoredConfiguration, StoredRun
from suite.tasks import GAMES, Task

PLAIN = "dense"
"""The method that changes nothing."""


@dataclass(frozen=True, slots=True)
class Twin:
    """The dense twin of an entry: its configuration and the runs that count; without one both are empty.

    `why` says why it cannot be compared with, or nothing. `same_submission`: the slug that holds both, or "".
    """

    config_id: str = ""
    runs: tuple[StoredRun, ...] = ()
    why: str = ""
    same_submission: str = ""

    @property
    def usable(self) -> bool:
        """Whether the entry can be compared with it."""
        return bool(self.config_id) and not self.why


def twins(
    ids: Sequence[str], task: Task, configurations: Mapping[str, StoredConfiguration], runs: Iterable[StoredRun]
) -> dict[str, Twin]:
    """Return the dense twin of every configuration with a method among those of one budget, dense ones left out."""
    specs = {config_id: spec for config_id in ids if (spec := configurations[config_id].spec) is not None}
    held: dict[str, list[StoredRun]] = defaultdict(list)
    for run in runs:
        if run.finished:
            held[run.config_id].append(run)
    plain: dict[str, list[str]] = defaultdict(list)
    for config_id, spec in specs.items():
        if is_plain(spec):
            plain[_without_methods(spec)].append(config_id)
    return {
        config_id: _best(held[config_id], [(other, held[other]) for other in plain[_without_methods(spec)]], task)
        for config_id, spec in specs.items()
        if not is_plain(spec)
    }


def is_plain(spec: Mapping[str, Any]) -> bool:
    """Return whether a configuration has no method."""
    return [method["id"] for method in spec["methods"]] == [PLAIN]


def are_twins(a: StoredConfiguration, b: StoredConfiguration) -> bool:
    """Return whether one of two configurations that were run here is the other without its methods."""
    if a.spec is None or b.spec is None:
        return False
    return is_plain(a.spec) != is_plain(b.spec) and _without_methods(a.spec) == _without_methods(b.spec)


def pairing_of(a: Iterable[StoredRun], b: Iterable[StoredRun]) -> Pairing:
    """Return how an entry is compared with its dense twin: paired where both have the same seeds, and enough of them.

    Runs are those that count, by game and seed.
    """
    return "paired" if matched(seeds_of(a), seeds_of(b)) else "unpaired"


def _best(own: Sequence[StoredRun], candidates: Sequence[tuple[str, Sequence[StoredRun]]], task: Task) -> Twin:
    found = [_twin(config_id, own, runs, task) for config_id, runs in candidates]
    if not found:
        return Twin(why="no dense twin")
    best = sorted(found, key=lambda twin: twin.config_id)
    return max(best, key=lambda twin: (twin.usable, bool(twin.same_submission), _level(twin.runs)))


def _twin(config_id: str, own: Sequence[StoredRun], runs: Sequence[StoredRun], task: Task) -> Twin:
    """Return a candidate: with the runs of a submission that holds the entry too, if they are whole, else with all."""
    for slug in _held_by_all(own):
        kept = tuple(run for run in runs if slug in run.submissions)
        if not _lacks(own, kept, task) and carries(lay_out(normalized_scores(kept))):
            return Twin(config_id, kept, same_submission=slug)
    return Twin(config_id, tuple(runs), why=_lacks(own, runs, task))


def _held_by_all(runs: Sequence[StoredRun]) -> Iterable[str]:
    """Return the submissions that hold every run, the earliest first."""
    return [slug for slug in (runs[0].submissions if runs else ()) if all(slug in run.submissions for run in runs)]


def _lacks(own: Sequence[StoredRun], runs: Sequence[StoredRun], task: Task) -> str:
    """Return why an entry cannot be compared with these runs of its twin; "" if it can."""
    needed = counted_games(task)
    games = normalized_scores(runs).keys()
    if games != needed:
        return f"no dense twin: it has {len(games)} of {len(needed)} games"
    return "" if environments(own) == environments(runs) else "no dense twin: it ran in another environment"


def environments(runs: Iterable[StoredRun]) -> set[tuple[str, str]]:
    """Return the games of some runs with the environments that they ran in, games without a common scale left out."""
    return {(run.game, run.environment_fingerprint) for run in runs if GAMES[run.game].normalizable}


def _level(runs: Iterable[StoredRun]) -> Grade:
    return min((grade(run.level) for run in runs if word(run.level) in LEVELS), default=(-1, 0.0))


def _without_methods(spec: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in spec.items() if name != "methods"}, sort_keys=True)
