"""The pages' tables as files for machines and for papers: the same numbers, in full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.names import shortened
from leaderboard.board.report import TaskData, each_once
from leaderboard.board.views import Board, Curve, Entry, Span, Standing, TaskPage
from leaderboard.site.text import NONE, span
from leaderboard.statistics.intervals import Estimate
from leaderboard.store.models import PUBLISHED_SCORES

ENTRY = (
    Column("config_id", "Configuration"),
    Column("agent", "Agent"),
    Column("network", "Network"),
    Column("method", "Method"),
    Column("departures", "Departures"),
    Column("published", "Published"),
)

INTERVAL = (
    Column("low", "Low"),
    Column("high", "High"),
    Column("percentile_low", "Percentile, low"),
    Column("percentile_high", "Percentile, high"),
)

STANDINGS = (
    *ENTRY,
    Column("group", "Group"),
    Column("rank", "Rank"),
    Column("rank_low", "Rank, low"),
    Column("rank_high", "Rank, high"),
    Column("iqm", "IQM"),
    *INTERVAL,
    Column("iqm_rliable", "IQM, rliable's"),
    Column("level", "Level"),
    Column("games", "Games"),
    Column("seeds_low", "Seeds, fewest"),
    Column("seeds_high", "Seeds, most"),
    Column("sparsity", "Sparsity"),
    Column("parameters", "Parameters"),
    Column("nonzero_parameters", "Non-zero parameters"),
    Column("flops_dense", "FLOPs, dense"),
    Column("flops_sparse", "FLOPs, sparse"),
    Column("gradient_steps", "Gradient steps"),
    Column("wall_seconds", "Seconds"),
    Column("missing", "Missing"),
)

PAPER = (
    Column("entry", "Entry"),
    Column("group", "Group"),
    Column("iqm", "IQM"),
    Column("low", "Low"),
    Column("high", "High"),
    Column("games", "Games"),
    Column("seeds", "Seeds"),
    Column("sparsity", "Sparsity"),
)
"""The columns of the LaTeX table, which has to fit a page."""

COSTS = (
    Column("entry", "Entry"),
    Column("level", "Level"),
    Column("games", "Games"),
    Column("seeds", "Seeds", right=True),
    Column("sparsity", "Sparsity", right=True),
    Column("parameters", "Parameters", right=True),
    Column("gradient_steps", "Gradient steps", right=True),
    Column("time", "Time", right=True),
)
"""The columns of the LaTeX table of a board without any aggregate."""

RUNS = (
    Column("task", "Task"),
    Column("config_id", "Configuration"),
    Column("entry", "Entry"),
    Column("published", "Published"),
    Column("game", "Game"),
    Column("seed", "Seed"),
    Column("state", "State"),
    Column("level", "Level"),
    Column("submission", "Submission"),
    Column("score", "Score"),
    Column("scored_episodes", "Scored episodes"),
    Column("frames", "Frames"),
    Column("gradient_steps", "Gradient steps"),
    Column("wall_seconds", "Seconds"),
    Column("sparsity", "Sparsity"),
    Column("environment_fingerprint", "Environment"),
    Column("started_at", "Started"),
    Column("ended_at", "Ended"),
    Column("sha256", "SHA-256"),
)


def standings(task: TaskPage, board: Board) -> Table:
    """Return a board for machines, a row for each entry in its order."""
    what = f"interquartile mean of {task.scale} scores, 95 % intervals over seeds, and " if task.aggregated else ""
    caption = f"{task.title}: {what}costs.{budget(task, board)}"
    return Table(f"{task.name}-standings", caption, STANDINGS, tuple(_standing(row) for row in board.standings))


def budget(task: TaskPage, board: Board) -> str:
    """Return a sentence on a shortened budget, with a blank before it; "" for the full one."""
    return f" Shortened to {board.frames:,} {task.unit}: not comparable, not ranked." if board.shortened else ""


def paper(task: TaskPage, board: Board) -> Table:
    """Return a board for LaTeX; bold are all that may be the best, not the best number alone.

    Entries without an aggregate are left out; where none has one, the table shows what they cost.
    """
    rows = [row for row in board.standings if row.estimate is not None]
    if not rows:
        return costs(task, board)
    cells = tuple(
        (
            f"{row.entry.label}{row.mark}",
            row.ranking.group if row.ranking else None,
            *estimate_cells(row.estimate)[:3],
            row.games,
            _low(row.seeds) if _low(row.seeds) == _high(row.seeds) else f"{_low(row.seeds):g}-{_high(row.seeds):g}",
            _high(row.sparsity),
        )
        for row in rows
    )
    bold = frozenset((i, 2) for i, row in enumerate(rows) if row.ranking is not None and row.ranking.best)
    caption = f"{task.title}: interquartile mean of {task.scale} scores with 95 % intervals over seeds."
    return Table(f"{task.name}-standings", f"{caption}{budget(task, board)}", PAPER, cells, bold)


def costs(task: TaskPage, board: Board) -> Table:
    """Return what the entries of a board cover and cost, for LaTeX."""
    rows = tuple(
        (
            *(
                row.entry.label,
                row.level,
                row.games,
                none(span(row.seeds, "whole")),
                none(span(row.sparsity, "percent")),
            ),
            *(none(span(row.parameters)), none(span(row.updates)), none(span(row.seconds, "duration"))),
        )
        for row in board.standings
    )
    caption = f"{task.title}: coverage and costs of one run.{budget(task, board)}"
    return Table(f"{task.name}-standings", caption, COSTS, rows)


def none(text: str) -> str | None:
    """Return text for people as a cell: None where it is the dash that stands for no value."""
    return None if text == NONE else text


def unfinished(task: TaskPage) -> Table:
    """Return the runs that are no results, for machines and for LaTeX."""
    columns = (
        *(Column("entry", "Entry"), Column("game", "Game"), Column("seed", "Seed"), Column("state", "State")),
        *(Column("frames", task.unit.capitalize()), Column("budget_frames", "Budget"), Column("attempt", "Attempt")),
    )
    rows = tuple(
        (run.label, run.game, run.seed, run.state, run.frames, run.budget_frames, run.attempt)
        for run in task.unfinished
    )
    return Table(f"{task.name}-unfinished", f"{task.title}: runs without a result.", columns, rows)


def curves(task: TaskPage, found: Sequence[Curve]) -> Table:
    """Return learning curves as rows of entry and frames; the mean height of the whole curve stands in each of them."""
    columns = (
        *(*ENTRY, Column("frames", task.unit.capitalize()), Column("iqm", "IQM"), *INTERVAL),
        Column("carried_runs", "Runs carried forward"),
        Column("mean_height", "Mean height"),
        Column("mean_height_low", "Mean height, low"),
        Column("mean_height_high", "Mean height, high"),
    )
    rows = (
        (*entry_cells(one.entry), at.frames, *estimate_cells(at.estimate), at.carried, *estimate_cells(one.area)[:3])
        for one in found
        for at in one.points
    )
    caption = f"{task.title}: interquartile mean of {task.scale} returns against {task.unit}."
    return Table(f"{task.name}-curves", caption, columns, tuple(rows))


def aggregates(task: TaskPage, rows: Iterable[tuple[Entry, Sequence[Estimate]]], names: Sequence[str]) -> Table:
    """Return every aggregate of every entry with its interval."""
    parts = tuple(
        Column(f"{name}{end}", f"{name}{end}".replace("_", " ")) for name in names for end in ("", "_low", "_high")
    )
    cells = tuple(
        (*entry_cells(entry), *(v for one in found for v in estimate_cells(one)[:3])) for entry, found in rows
    )
    return Table(f"{task.name}-aggregates", f"{task.title}: aggregates with 95 % intervals.", (*ENTRY, *parts), cells)


def games(task: TaskPage, board: Board) -> Table:
    """Return the mean score of every entry in every game."""
    columns = (
        *ENTRY,
        Column("game", "Game"),
        Column("seeds", "Seeds"),
        Column("score", "Score"),
        Column("normalized", task.scale.capitalize()),
    )
    rows = tuple(
        (*entry_cells(standing.entry), row.game, cell.seeds, cell.score, cell.normalized)
        for row in board.games
        for standing, cell in zip(board.standings, row.cells, strict=True)
        if cell is not None
    )
    caption = f"{task.title}: mean raw score over seeds.{budget(task, board)}"
    return Table(f"{task.name}-games", caption, columns, rows)


def runs(data: Iterable[TaskData]) -> Table:
    """Return every run of every task, unfinished ones included.

    Final scores that others published stand in their task's own tables, a hundred of each game.
    """
    rows = tuple(
        (
            found.configurations[run.config_id].task,
            run.config_id,
            found.entries[run.config_id].label,
            found.entries[run.config_id].published,
            run.game,
            run.seed,
            run.state,
            run.level,
            run.submission,
            run.score,
            run.scored_episodes,
            run.frames,
            run.updates,
            run.wall_seconds,
            run.sparsity,
            run.environment_fingerprint,
            run.started_at or None,
            run.ended_at or None,
            run.digest,
        )
        for found, run in each_once(data)
        if found.configurations[run.config_id].source != PUBLISHED_SCORES
    )
    return Table("runs", "Every run: one of each cell, unfinished ones included.", RUNS, rows)


def _standing(row: Standing) -> tuple[Cell, ...]:
    ranking = row.ranking
    return (
        *entry_cells(row.entry),
        *((ranking.group, ranking.ordinal, ranking.low, ranking.high) if ranking else (None,) * 4),
        *estimate_cells(row.estimate),
        row.rliable,
        row.level,
        row.games,
        _low(row.seeds),
        _high(row.seeds),
        _high(row.sparsity),
        _high(row.parameters),
        _high(row.active_parameters),
        row.flops.dense,
        row.flops.sparse,
        _high(row.updates),
        _high(row.seconds),
        row.why or None,
    )


def entry_cells(entry: Entry) -> tuple[Cell, ...]:
    """Return an entry's cells for the columns `ENTRY`; of many departures the first: its page has all."""
    departures = "; ".join(shortened([f"{one.path} = {one.value}" for one in entry.departures]))
    return entry.config_id, entry.agent, entry.network, entry.method, departures or None, entry.published


def estimate_cells(found: Estimate | None) -> tuple[float | None, ...]:
    """Return a number, its interval and its percentile interval; nothing but None where there is no number."""
    if found is None:
        return (None,) * 5
    return found.value, found.low, found.high, found.percentile_low, found.percentile_high


def _low(span: Span | None) -> float | None:
    return None if span is None else span.low


def _high(span: Span | None) -> float | None:
    return None if span is None else span.high
