"""A page for each entry: what it is, what it costs, its score in each game, and its runs."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from leaderboard.board import answers, duels, exports
from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.report import TaskData
from leaderboard.board.views import Board, Curve, Entry, Site, Standing, TaskPage
from leaderboard.site import inside, links, tables
from leaderboard.site.book import Book, html
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import charts, plot_files, plots
from leaderboard.site.inside import Dashboard
from leaderboard.site.pages.games import MANY
from leaderboard.site.parts import Files, Part, all_files, key_of
from leaderboard.site.text import decimals, fixed
from leaderboard.statistics.intervals import Estimate
from leaderboard.store.rows import StoredRun
from suite.tasks import human_normalized

CONFLICTS_SHOWN = 20
"""How many cells with several results a page lists."""


@dataclass(frozen=True, slots=True)
class GameRuns:
    """An entry's runs in a game, and the mean of its results, raw and normalized; None without any.

    `path` is that of the page of these runs, "" without any and for numbers that others published.
    """

    game: str
    runs: tuple[StoredRun, ...]
    mean: float | None
    normalized: float | None
    path: str = ""


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
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the page of every entry and, apart, its files, which do not change where only its rank does."""
    for task in book.report.site.tasks:
        for board in (task.full, *task.shortened):
            curves = {curve.entry.config_id: curve for curve in board.curves}
            for row in board.standings:
                yield from _parts(book, task, board, row, curves.get(row.entry.config_id))


def _parts(book: Book, task: TaskPage, board: Board, row: Standing, curve: Curve | None) -> Iterator[Part]:
    key, data, bare = row.entry.config_id, book.report.data[task.name], task.bare
    runs = tuple(replace(run, recorded="{}") for run in data.runs_of(key))
    stem, shown = links.entry(task.name, key).removesuffix(".html"), games(book, data, runs)
    drawn = _drawn(book, task, key) if board is task.full else ()
    spec, step = data.configurations[key].spec, board.iteration_length
    several = [one for one in data.conflicts if one.config_id == key]
    told = {
        "ranked": board.ranked,
        "opponents": opponents(row.entry, book.duels.get(task.name, ())),
        "credits": book.credits.get(key, ()),
        "citation": "" if row.entry.published else book.cite(key, f"{row.entry.label}. {task.title}", runs, key),
        "conflicts": several[:CONFLICTS_SHOWN],
        "conflicts_in_all": len(several),
    }
    seen = functools.cache(lambda: book.dashboard(task.name, drawn))
    seen_by = [(data.entries[one], data.diagnostics.digests(one)) for one in drawn]
    files = bare, row.entry, step, shown, curve
    yield Part(
        f"{stem} files",
        key_of((files, seen_by)),
        made_files,
        lambda: (*files, seen()),
        apart=True,
    )
    page = bare, board.bare, row, shown, curve, components(spec), told
    yield Part(stem, key_of((page, seen_by)), made, lambda: (book.frame, *page, seen()), apart=True)


def _drawn(book: Book, task: TaskPage, key: str) -> tuple[str, ...]:
    """Return whose diagnostics the page of an entry shows: its own and its dense twin's, on the task they belong to."""
    data = book.report.data[task.name]
    if key not in data.diagnostics or data.entries[key].published:
        return ()
    if all(home != task.name for home, _ in book.homes[key].values()):
        return ()
    twin = data.twins.get(key)
    return (key, twin.config_id) if twin is not None and twin.config_id else (key,)


def made(
    site: Site,
    task: TaskPage,
    board: Board,
    row: Standing,
    shown: tuple[GameRuns, ...],
    curve: Curve | None,
    settings: tuple[Settings, ...],
    told: Mapping[str, Any],
    seen: Dashboard | None,
) -> Files:
    """Return the page of an entry; `told` is what depends on the other entries."""
    path = links.entry(task.name, row.entry.config_id)
    return html(
        site,
        path,
        "entry.html",
        many=MANY,
        task=task,
        board=board,
        row=row,
        games=shown,
        components=settings,
        curve=curve,
        plot=_plot(curve, board.iteration_length),
        stem=path.removesuffix(".html"),
        seen=seen,
        offered=offered(path.removesuffix(".html"), curve, seen),
        **told,
    )


def made_files(
    task: TaskPage, entry: Entry, step: int, shown: tuple[GameRuns, ...], curve: Curve | None, seen: Dashboard | None
) -> Files:
    """Return what the page of an entry offers to take away."""
    stem = links.entry(task.name, entry.config_id).removesuffix(".html")
    found = _downloads(task, entry, shown, stem)
    if seen is not None:
        found |= inside.files(seen, entry.label, f"{stem}-diagnostics")
    plot = _plot(curve, step)
    return found | (_curve_files(task, curve, plot, f"{stem}-curve") if curve is not None and plot is not None else {})


def offered(stem: str, curve: Curve | None, seen: Dashboard | None) -> dict[str, tuple[str, ...]]:
    """Return which files `made_files` makes: ends by path without its end."""
    found: dict[str, tuple[str, ...]] = {f"{stem}-games": exports.FORMATS[:3]}
    if seen is not None:
        found[f"{stem}-diagnostics"] = exports.FORMATS
        if seen.maps:
            found[f"{stem}-diagnostics-covariance"] = ("pdf",)
    return found | ({f"{stem}-curve": exports.FORMATS} if curve is not None else {})


def games(book: Book, data: TaskData, runs: Sequence[StoredRun]) -> tuple[GameRuns, ...]:
    """Return a row for each game of the task, those without a run too."""
    found = []
    for name in sorted(data.task.games):
        own = tuple(run for run in runs if run.game == name)
        scores = [run.score for run in own if run.finished and run.score is not None]
        mean = sum(scores) / len(scores) if scores else None
        home = own and not data.entries[own[0].config_id].published
        path = book.runs_page(own[0].config_id, name) if home else ""
        found.append(GameRuns(name, own, mean, None if mean is None else human_normalized(name, mean), path))
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


def _downloads(task: TaskPage, entry: Entry, found: Sequence[GameRuns], stem: str) -> dict[str, bytes]:
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
    return plots.plot([trace], height=260)
