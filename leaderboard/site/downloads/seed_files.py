"""Files that the pages of runs offer to take away: one set for all seeds of an entry in a game."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leaderboard.board import exports
from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.report import TaskData
from leaderboard.board.views import TaskPage
from leaderboard.site.drawing import charts, plots
from leaderboard.site.drawing.plot_files import Key, Picture
from leaderboard.site.text import si
from leaderboard.store.details import RunDiagnostics
from leaderboard.store.rows import StoredRun

WIDEST = 8
"""How many seeds stand beside each other in LaTeX."""

COLOURS = tuple(dict.fromkeys(colour for colour, _ in charts.METHODS.values()))
DASHES = ((), (6, 3), (2, 2), (8, 3, 2, 3))
"""How the seeds are drawn, each in the next colour and, when all are used, the next dash."""

CHECKPOINTS = (
    Column("seed", "Seed"),
    Column("agent_step", "Agent step"),
    Column("frame", "Frame"),
    Column("updates", "Updates"),
    Column("learner_sha256", "Learner, SHA-256"),
    Column("actions_sha256", "Actions, SHA-256"),
)


def files(task: TaskPage, data: TaskData, seeds: Sequence[StoredRun]) -> dict[str, bytes]:
    """Return `curves`, `checkpoints` and `diagnostics` of an entry's runs in a game as files, where there are any."""
    made: dict[str, bytes] = {}
    entry, game = data.entries[seeds[0].config_id], seeds[0].game
    name = f"{entry.label}, {game}"
    rows = curve_rows(data, seeds)
    if rows:
        columns = (Column("seed", "Seed"), Column("frames", task.unit.capitalize()), Column("mean_return", "Return", 1))
        caption = f"{name}: mean raw return of the episodes that ended in each iteration, by seed."
        table = Table(f"{entry.config_id} {game}", caption, columns, rows)
        made |= exports.files(table, "curves", _wide(task, table))
    marks = tuple((run.seed, *mark) for run in seeds for mark in checkpoints(data, run))
    if marks:
        caption = f"{name}: hashes of the learner and of all actions so far at every checkpoint, by seed."
        table = Table(f"{entry.config_id} {game}", caption, CHECKPOINTS, marks)
        made |= {"checkpoints.csv": exports.csv_file(table), "checkpoints.json": exports.json_file(table)}
    values = diagnostics(data, seeds)
    if values:
        columns = (Column("seed", "Seed"), Column("quantity", "Quantity"), Column("frame", task.unit.capitalize()))
        caption = f"{name}: all diagnostics, by seed, as far as the database keeps them."
        table = Table(f"{entry.config_id} {game}", caption, (*columns, Column("value", "Value", 4)), values)
        made |= {"diagnostics.csv": exports.csv_file(table), "diagnostics.json": exports.json_file(table)}
    return made


def of_run(data: TaskData, run: StoredRun) -> RunDiagnostics | None:
    """Return what a run's inspections and diagnoses recorded, as the database keeps it."""
    found = (
        one
        for one in data.diagnostics.get(run.config_id, ())
        if (one.game, one.seed, one.environment_fingerprint) == (run.game, run.seed, run.environment_fingerprint)
    )
    return next(found, None)


def diagnostics(data: TaskData, seeds: Sequence[StoredRun]) -> tuple[tuple[Cell, ...], ...]:
    """Return seed, quantity, budget spent and value of everything that was recorded while training."""
    recorded = [(run.seed, one) for run in seeds if (one := of_run(data, run)) is not None]
    return tuple(
        (seed, quantity, frame, value)
        for seed, one in recorded
        for quantity, series in sorted(one.series.items())
        for frame, value in zip(series.frames, series.values, strict=True)
    )


def curve_rows(data: TaskData, seeds: Sequence[StoredRun]) -> tuple[tuple[Cell, ...], ...]:
    """Return seed, budget spent and mean return of every iteration in which an episode ended."""
    step = data.task.budget.iteration_length
    return tuple((run.seed, (index + 1) * step, mean) for run in seeds for index, mean in run.iterations.items())


def checkpoints(data: TaskData, run: StoredRun) -> Sequence[Sequence[Any]]:
    """Return what a run recorded at its checkpoints: agent step, frame, updates, and two hashes."""
    return data.checkpoints.get((run.config_id, run.game, run.seed, run.environment_fingerprint), ())


def picture(task: TaskPage, data: TaskData, seeds: Sequence[StoredRun]) -> Picture | None:
    """Return the curves of all seeds for papers, each in its own colour; None where there is no point."""
    step = data.task.budget.iteration_length
    traces, keys = [], []
    for place, run in enumerate(run for run in seeds if run.iterations):
        colour, dash = COLOURS[place % len(COLOURS)], DASHES[place // len(COLOURS) % len(DASHES)]
        points = (charts.Point((i + 1) * step, run.iterations.get(i)) for i in range(max(run.iterations) + 1))
        traces.append(plots.Trace(tuple(points), colour, dash))
        keys.append(Key(f"seed {run.seed}", colour, dash))
    drawn = plots.plot(traces)
    return None if drawn is None else Picture.of(drawn, task.unit, "mean return", keys)


def _wide(task: TaskPage, table: Table) -> Table:
    """Return the curves for LaTeX: a column for each seed, if they fit a page."""
    known: dict[Any, dict[Any, Cell]] = {}
    for seed, frames, mean in table.rows:
        known.setdefault(seed, {})[frames] = mean
    if len(known) > WIDEST:
        return table
    heads = [Column("frames", task.unit.capitalize(), right=True)]
    heads += [Column(f"seed_{seed}", f"Seed {seed}", 1) for seed in known]
    places = sorted(set().union(*known.values()))
    rows = tuple((si(at), *(own.get(at) for own in known.values())) for at in places)
    return Table(table.name, table.caption, tuple(heads), rows)
