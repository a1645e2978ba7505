"""Results that studies are decided from: the runs of configurations, from run directories or a database."""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from leaderboard.board import learning
from leaderboard.statistics.metrics import Scores
from leaderboard.store.database import ResultStore
from leaderboard.store.details import RunDiagnostics, Series
from leaderboard.store.ingest import ingest
from leaderboard.store.recordings import Recordings
from leaderboard.store.rows import StoredConfiguration, StoredRun
from leaderboard.store.snapshot import Snapshot
from leaderboard.studies.expansion import Expanded, Point
from suite.records import covariance
from suite.tasks import GAMES, Task, human_normalized

Cell = tuple[str, str, int]
"""A configuration's id, a game, a seed."""


class Measures(Mapping[Cell, Mapping[str, Series]]):
    """What runs measured during training by cell, read when asked for."""

    def __init__(self, recordings: Recordings) -> None:
        self._recordings = recordings

    def __getitem__(self, cell: Cell) -> Mapping[str, Series]:
        for row in self._recordings.get(cell[0], ()):
            if (row.game, row.seed) == cell[1:]:
                return row.series
        raise KeyError(cell)

    def __iter__(self) -> Iterator[Cell]:
        return ((row.config_id, row.game, row.seed) for rows in self._recordings.values() for row in rows)

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass(frozen=True)
class Evidence:
    """Runs by configuration, and by cell what they measured during training. `published`: what others published.

    `cosines`: the last gradient covariance of a cell, row by row.
    """

    runs: Mapping[str, Sequence[StoredRun]] = field(default_factory=dict)
    measures: Mapping[Cell, Mapping[str, Series]] = field(default_factory=dict)
    published: Sequence[StoredConfiguration] = ()
    cosines: Mapping[Cell, tuple[tuple[float, ...], ...]] = field(default_factory=dict)

    def of(self, expanded: Expanded, point: Point) -> list[StoredRun]:
        """Return the results of a point on the study's games and seeds, one of each cell."""
        found = {
            (run.game, run.seed): run
            for run in self.runs.get(point.config_id, ())
            if run.finished and run.game in expanded.games and run.seed in expanded.seeds
        }
        return [found[key] for key in sorted(found)]

    def cells(self, expanded: Expanded) -> set[Cell]:
        """Return the cells of a study that have a result."""
        return {
            (run.config_id, run.game, run.seed)
            for point in expanded.configurations.values()
            for run in self.of(expanded, point)
        }


def from_snapshot(snapshot: Snapshot, tasks: Iterable[Task]) -> Evidence:
    """Return what a database holds of some tasks."""
    runs: dict[str, list[StoredRun]] = defaultdict(list)
    measures: dict[Cell, Mapping[str, Series]] = {}
    cosines: dict[Cell, tuple[tuple[float, ...], ...]] = {}
    published: list[StoredConfiguration] = []
    known = set(snapshot.tasks())
    for key in sorted({key for task in tasks for key in (task.key, task.protocol_key)} & known):
        for run in snapshot.runs(key):
            runs[run.config_id].append(run)
        for rows in snapshot.diagnostics(key).values():
            measures |= {(row.config_id, row.game, row.seed): row.series for row in rows}
            cosines |= {(row.config_id, row.game, row.seed): _last_map(row) for row in rows if row.maps}
        published += [item for item in snapshot.configurations(key) if item.published]
    return Evidence(runs, measures, published, cosines)


def _last_map(row: RunDiagnostics) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(line) for line in covariance.unpack(row.maps[-1][1]).tolist())


def read_evidence(path: Path, tasks: Iterable[Task], *, references: bool = False) -> Evidence:
    """Return the results in a database, or in a directory of run directories and bundles; none where that is missing.

    Of a directory, `references` asks for the published curves too, which a database has anyway.
    """
    if path.is_file():
        with ResultStore.open(path) as store, store.snapshot() as snapshot:
            return from_snapshot(snapshot, tasks)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "results.sqlite"
        ingest([path] if path.is_dir() else [], file, references=references)
        with ResultStore.open(file) as store, store.snapshot() as snapshot:
            return from_snapshot(snapshot, tasks)


def scores_of(
    evidence: Evidence, expanded: Expanded, point: Point, *, at: float | None = None, series: str = ""
) -> Scores:
    """Return the scores of a point, [runs] by game: normalized where its task has a common scale, else raw returns.

    `at`: the mean return of the iteration at that share of the budget, instead. `series`: the last value of a measure,
    instead. Games that stay out of the task's aggregate stay out here.
    """
    found: dict[str, list[float]] = defaultdict(list)
    names = scored_games(expanded)
    for run in evidence.of(expanded, point):
        if run.game not in names:
            continue
        value = _value(evidence, expanded, run, at, series)
        if value is not None:
            found[run.game].append(value)
    return {name: np.array(values) for name, values in sorted(found.items())}


def scored_games(expanded: Expanded) -> tuple[str, ...]:
    """Return the games of a study that are compared: those with a common scale, or all where none has one."""
    names = tuple(name for name in expanded.games if GAMES[name].normalizable)
    return names or expanded.games


def aggregated(expanded: Expanded) -> bool:
    """Return whether the games of a study have a common scale."""
    return any(GAMES[name].normalizable for name in expanded.games)


def _value(evidence: Evidence, expanded: Expanded, run: StoredRun, at: float | None, series: str) -> float | None:
    if series:
        kept = evidence.measures.get((run.config_id, run.game, run.seed), {}).get(series)
        return kept.values[-1] if kept is not None and kept.values else None
    raw = run.score if at is None else _return_at(expanded.task, run, at)
    if raw is None or not GAMES[run.game].normalizable:
        return raw
    return human_normalized(run.game, raw)


def _return_at(task: Task, run: StoredRun, at: float) -> float | None:
    count = learning.iterations(task, task.budget.length)
    return learning.progress(run, count).get(max(0, round(at * count) - 1))
