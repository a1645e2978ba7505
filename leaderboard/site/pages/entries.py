"""A page for each entry: what it is, what it costs, its score in each game, and its runs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderboard.board import answers, duels, exports
from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.report import TaskData
from leaderboard.board.twins import plain_selves
from leaderboard.board.views import Curve, Entry, TaskPage
from leaderboard.site import inside, links, tables
from leaderboard.site.book import Book
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import charts, panels, plot_files, plots
from leaderboard.site.inside import dashboard
from leaderboard.site.text import decimals, fixed
from leaderboard.statistics.intervals import Estimate
from leaderboard.store.rows import StoredRun
from suite.tasks import human_normalized

CONFLICTS_SHOWN = 20
"""How many cells with several results a page lists."""


@dataclass(frozen=True, slots=True)
class GameRuns:
    """An entry's runs in a game, and the mean of its results, raw and normalized; None without any."""

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


@dataclass(frozen=True, slots=True)
class Opponent:
    """Whom an entry has a page of comparison with: the entry's difference to it, and the verdict on the entry."""

    entry: Entry
    duel: duels.Duel
    difference: Estimate
    verdict: str


def pages(book: Book) -> dict[str, bytes]:
    """Return the pages of every entry of every task, shortened budgets included."""
    files: dict[str, bytes] = {}
    for task in book.report.site.tasks:
        data, pairs = book.report.data[task.name], book.duels.get(task.name, ())
        runs: Mapping[str, list[StoredRun]] = defaultdict(list)
        for run in data.runs:
            runs[run.config_id].append(run)
        lines, twins = panels.recorded(task, data), _twins(task, data)
        for board in (task.full, *task.shortened):
            curves = {curve.entry.config_id: curve for curve in board.curves}
            for row in board.standings:
                key = row.entry.config_id
                path, curve = links.entry(task.name, key), curves.get(key)
                found, plot = games(data, runs[key]), _plot(curve, board.iteration_length)
                stem = path.removesuffix(".html")
                made = _downloads(task, row.entry, found, stem)
                both = [key, *([twins[key]] if key in twins else [])] if key in lines else []
                seen = dashboard(task, data, lines, both)
                if seen is not None:
                    made |= inside.files(seen, row.entry.label, f"{stem}-diagnostics")
                if curve is not None and plot is not None:
                    made |= _curve_files(task, curve, plot, f"{stem}-curve")
                files |= made | book.html(
                    path,
                    "entry.html",
                    task=task,
                    board=board,
                    row=row,
                    games=found,
                    components=components(data.configurations[key].spec),
                    plot=plot,
                    stem=stem,
                    seen=seen,
                    offered=exports.offered(made),
                    opponents=opponents(row.entry, pairs),
                    credits=book.credits.get(key, ()),
                    citation="" if row.entry.published else book.cite(key, f"{row.entry.label}. {task.title}", key),
                    conflicts=(several := [one for one in data.conflicts if one.config_id == key])[:CONFLICTS_SHOWN],
                    conflicts_in_all=len(several),
                )
    return files


def _twins(task: TaskPage, data: TaskData) -> dict[str, str]:
    """Return, for each entry of the full budget, the dense one that is like it but for its method."""
    ids = [row.entry.config_id for row in task.full.standings if not row.entry.published]
    return plain_selves(ids, data.configurations)


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


def opponents(entry: Entry, pairs: tuple[duels.Duel, ...]) -> tuple[Opponent, ...]:
    """Return whom the entry is compared with on a page of its own."""
    own = [duel for duel in pairs if entry.config_id in (duel.a.config_id, duel.b.config_id)]
    others = ((duel.b if duel.a.config_id == entry.config_id else duel.a, duel) for duel in own)
    return tuple(Opponent(other, duel, *answers.oriented(duel, entry)) for other, duel in others)


def _downloads(task: TaskPage, entry: Entry, found: tuple[GameRuns, ...], stem: str) -> dict[str, bytes]:
    """Return the files of the scores: for machines every run, for LaTeX a row for each game."""
    columns = (
        *(Column("game", "Game"), Column("mean", "Mean"), Column("mean_normalized", task.scale.capitalize())),
        *(Column("seed", "Seed"), Column("state", "State"), Column("level", "Level"), Column("score", "Score")),
    )
    rows: list[tuple[Cell, ...]] = []
    for item in found:
        for run in item.runs:
            seed = None if entry.published else run.seed
            rows.append((item.game, item.mean, item.normalized, seed, run.state, run.level, run.score))
        if not item.runs:
            rows.append((item.game, None, None, None, "missing", None, None))
    heads = (
        *(Column("game", task.games_word.capitalize().removesuffix("s")), Column("runs", "Runs")),
        *(Column("mean", "Mean", 1), Column("normalized", task.scale.capitalize())),
    )
    short = tuple(
        (item.game, sum(run.finished and run.score is not None for run in item.runs), item.mean, item.normalized)
        for item in found
    )
    caption = f"{entry.label}: raw scores. {task.title}."
    return exports.files(
        Table(entry.config_id, caption, columns, tuple(rows)),
        f"{stem}-games",
        Table(entry.config_id, caption, heads, short),
    )


def _curve_files(task: TaskPage, curve: Curve, plot: plots.Plot, stem: str) -> dict[str, bytes]:
    columns = (
        *(Column("frames", task.unit.capitalize()), Column("iqm", "IQM"), *tables.INTERVAL),
        Column("carried_runs", "Runs carried forward"),
    )
    rows = tuple((point.frames, *tables.estimate_cells(point.estimate), point.carried) for point in curve.points)
    heads = (
        *(Column("frames", task.unit.capitalize()), Column("iqm", "IQM", right=True)),
        Column("interval", "95% interval", right=True),
    )
    shown = tuple(
        (point.frames, fixed(point.estimate.value, decimals(point.estimate)), printed.interval(point.estimate))
        for point in curve.points
    )
    name, caption = curve.entry.config_id, f"{curve.entry.label}: IQM against {task.unit}. {task.title}."
    made = exports.files(Table(name, caption, columns, rows), stem, Table(name, caption, heads, shown))
    picture = plot_files.Picture.of(plot, task.unit, f"IQM, {task.scale}")
    return made | {f"{stem}.pdf": plot_files.pdf(picture)}


def _plot(curve: Curve | None, step: int) -> plots.Plot | None:
    if curve is None:
        return None
    trace = plots.Trace(charts.curve_points(curve, step), charts.style(curve.entry).colour)
    return plots.plot([trace], width=900, height=300)
