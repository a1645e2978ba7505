"""A page for each entry: what it is, what it costs, its score in each game, and its runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderboard.site import charts, duels, links, plots
from leaderboard.site.book import Book
from leaderboard.site.report import TaskData
from leaderboard.site.views import Curve, Entry
from leaderboard.store.rows import StoredRun
from suite.tasks import human_normalized


@dataclass(frozen=True, slots=True)
class GameRuns:
    """An entry's runs in a game, and the mean of its results, raw and human-normalized; None without any."""

    game: str
    runs: tuple[StoredRun, ...]
    mean: float | None
    normalized: float | None


@dataclass(frozen=True, slots=True)
class Settings:
    """A component of a configuration with every resolved setting."""

    kind: str
    name: str
    version: int
    settings: tuple[tuple[str, Any], ...]


def pages(book: Book) -> dict[str, bytes]:
    """Return the pages of every entry of every task, shortened budgets included."""
    files: dict[str, bytes] = {}
    for task in book.report.site.tasks:
        data, pairs = book.report.data[task.name], book.duels.get(task.name, ())
        runs: Mapping[str, list[StoredRun]] = defaultdict(list)
        for run in data.runs:
            runs[run.config_id].append(run)
        for board in (task.full, *task.shortened):
            curves = {curve.entry.config_id: curve for curve in board.curves}
            for row in board.standings:
                key = row.entry.config_id
                files |= book.html(
                    links.entry(task.name, key),
                    "entry.html",
                    task=task,
                    board=board,
                    row=row,
                    games=games(data, runs[key]),
                    components=components(data.configurations[key].spec),
                    plot=_plot(curves.get(key)),
                    opponents=opponents(row.entry, pairs),
                )
    return files


def games(data: TaskData, runs: list[StoredRun]) -> tuple[GameRuns, ...]:
    """Return a row for each game of the task, those without a run too."""
    found = []
    for name in sorted(data.task.games):
        own = tuple(run for run in runs if run.game == name)
        scores = [run.score for run in own if run.finished and run.score is not None]
        mean = sum(scores) / len(scores) if scores else None
        found.append(GameRuns(name, own, mean, None if mean is None else human_normalized(name, mean)))
    return tuple(found)


def components(spec: Mapping[str, Any] | None) -> tuple[Settings, ...]:
    """Return agent, network and methods of a stored spec with their settings; nothing for published numbers."""
    if spec is None:
        return ()
    parts = [("agent", spec["agent"]), ("network", spec["network"]), *(("method", item) for item in spec["methods"])]
    return tuple(
        Settings(kind, part["id"], part["version"], tuple(sorted(part["settings"].items()))) for kind, part in parts
    )


def opponents(entry: Entry, pairs: tuple[duels.Duel, ...]) -> tuple[tuple[Entry, duels.Duel], ...]:
    """Return whom the entry is compared with on a page of its own."""
    own = [duel for duel in pairs if entry.config_id in (duel.a.config_id, duel.b.config_id)]
    return tuple((duel.b if duel.a.config_id == entry.config_id else duel.a, duel) for duel in own)


def _plot(curve: Curve | None) -> plots.Plot | None:
    if curve is None:
        return None
    points = (charts.Point(p.frames, p.estimate.value, p.estimate.low, p.estimate.high) for p in curve.points)
    return plots.plot([plots.Trace(tuple(points), charts.style(curve.entry).colour)], width=900, height=300)
