"""A task's games: one table of all, and a page for each with every seed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from leaderboard.board import exports, learning
from leaderboard.board.exports import Column, Table
from leaderboard.board.views import Entry, Site, TaskPage
from leaderboard.site import links, tables
from leaderboard.site.book import Book, html
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import charts, marks, plot_files, plots
from leaderboard.site.parts import Files, Part, all_files, part, whole
from leaderboard.site.text import si
from leaderboard.store.rows import StoredRun
from suite.tasks import GAMES, human_normalized, load_task

STRIP = 300
"""Pixels between the lowest and the highest place of a strip of dots."""


MANY = 20
"""Beyond so many results a row has a line for each, and their span in place of the numbers."""

APART = 48
"""Pixels that the labels of two places need between them."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A run in a strip: where it is drawn, and what it says."""

    seed: int
    state: str
    score: float
    normalized: float | None
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Row:
    """An entry in a game: its results, their mean and standard deviation (None for one run)."""

    entry: Entry
    dots: tuple[Dot, ...]
    mean: float
    normalized: float | None
    deviation: float | None
    mean_x: float

    @property
    def crowded(self) -> bool:
        """Whether there are too many results for a dot and a number each."""
        return len(self.dots) > MANY

    @property
    def span(self) -> tuple[float, float]:
        """The lowest and the highest score."""
        scores = [dot.score for dot in self.dots]
        return min(scores), max(scores)


@dataclass(frozen=True, slots=True)
class Scale:
    """The axis of the strips: scores `low` to `high` over `STRIP` pixels; `marks` are (place, label)."""

    low: float
    high: float
    marks: tuple[tuple[float, str], ...]

    def place(self, score: float) -> float:
        """Return where a score is drawn."""
        return STRIP * (score - self.low) / (self.high - self.low)


def pages(book: Book) -> dict[str, bytes]:
    """Return the table of each task, and a page for each of its games that has results."""
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the table of each task, and the page of each game that has results."""
    for task in book.report.site.tasks:
        yield whole(links.games(task.name), book.key(task.name), _table, book, task)
        runs: Mapping[str, dict[str, list[StoredRun]]] = defaultdict(lambda: defaultdict(list))
        for run in book.report.data[task.name].runs:
            if run.finished and run.score is not None:
                runs[run.game][run.config_id].append(replace(run, recorded="{}"))
        bare, featured = task.bare, task.full.featured
        for name in sorted({row.game for row in task.full.games}):
            own = {entry.config_id: tuple(runs[name][entry.config_id]) for entry in task.full.entries}
            held = tuple((entry, own[entry.config_id]) for entry in task.full.entries if own[entry.config_id])
            paths = {one.config_id: book.runs_page(one.config_id, name) for one, _ in held}
            drawn = tuple(entry for entry in featured if own[entry.config_id])
            path = links.game(task.name, name).removesuffix(".html")
            yield part(path, _game, book.frame, bare, name, held, drawn, paths)


def _table(book: Book, task: TaskPage) -> Files:
    base = f"{links.slug(task.name)}/games/scores"
    made = {}
    if task.full.games:
        made = exports.files(tables.games(task, task.full), base, printed.all_games(task, task.full))
    offered = exports.offered(made)
    return made | book.html(links.games(task.name), "games.html", task=task, base=base, offered=offered)


def _game(
    site: Site,
    task: TaskPage,
    name: str,
    held: Sequence[tuple[Entry, Sequence[StoredRun]]],
    drawn: Sequence[Entry],
    paths: Mapping[str, str],
) -> Files:
    """Return a game's page and its files: entries with their results, those that are drawn, where their runs are."""
    runs = {entry.config_id: own for entry, own in held}
    scale = _scale(name, [run.score for own in runs.values() for run in own if run.score is not None])
    rows = sorted((_row(entry, own, scale) for entry, own in held), key=_place)
    count = learning.iterations(load_task(task.name), task.full.frames)
    step, looks = task.full.iteration_length, charts.styles(drawn)
    traces = [_trace(runs[entry.config_id], step, count, looks[entry.label]) for entry in drawn]
    plot = plots.plot(traces, height=260)
    stem = links.game(task.name, name).removesuffix(".html")
    made = exports.files(*_scores(task, name, rows, runs, f"{stem}-scores"))
    if plot is not None:
        keys = [plot_files.Key.of(entry.label, looks[entry.label]) for entry in drawn]
        made |= exports.files(*_curves(task, name, drawn, traces, f"{stem}-curves"))
        made[f"{stem}-curves.pdf"] = plot_files.pdf(plot_files.Picture.of(plot, task.unit, "mean return", keys))
    return made | html(
        site,
        links.game(task.name, name),
        "game.html",
        task=task,
        game=GAMES[name],
        paths=paths,
        rows=rows,
        scale=scale,
        width=STRIP,
        drawn=drawn,
        looks=looks,
        plot=plot,
        stem=stem,
        offered=exports.offered(made),
    )


def _scores(
    task: TaskPage, name: str, rows: Sequence[Row], runs: Mapping[str, Sequence[StoredRun]], path: str
) -> tuple[Table, str, Table]:
    """Return every run of a game, where that goes, and for LaTeX a row for each entry."""
    columns = (
        *tables.ENTRY,
        *(Column("seed", "Seed"), Column("state", "State"), Column("level", "Level")),
        *(Column("score", "Score"), Column("normalized", task.scale.capitalize())),
    )
    cells = tuple(
        (
            *tables.entry_cells(row.entry),
            *(None if row.entry.published else run.seed, run.state, run.level, run.score),
            None if run.score is None else human_normalized(name, run.score),
        )
        for row in rows
        for run in sorted(runs[row.entry.config_id], key=lambda run: run.seed)
    )
    heads = (
        *(Column("entry", "Entry"), Column("runs", "Runs"), Column("mean", "Mean", 1)),
        *(Column("deviation", "Deviation", 1), Column("normalized", task.scale.capitalize())),
    )
    printed_rows = tuple((row.entry.label, len(row.dots), row.mean, row.deviation, row.normalized) for row in rows)
    caption = f"{task.title}: raw scores in {name}."
    return Table(name, caption, columns, cells), path, Table(name, caption, heads, printed_rows)


def _curves(
    task: TaskPage, name: str, drawn: Sequence[Entry], traces: Sequence[plots.Trace], path: str
) -> tuple[Table, str, Table]:
    """Return the curves that are drawn, where they go, and for LaTeX a column for each entry."""
    columns = (*tables.ENTRY, Column("frames", task.unit.capitalize()), Column("mean_return", "Mean return"))
    rows = tuple(
        (*cells, int(point.x), point.value)
        for cells, trace in zip(map(tables.entry_cells, drawn), traces, strict=True)
        for point in trace.points
    )
    heads = [Column("frames", task.unit.capitalize(), right=True)]
    heads += [Column(f"entry_{place}", entry.label, 1) for place, entry in enumerate(drawn, 1)]
    known = [{int(point.x): point.value for point in trace.points} for trace in traces]
    wide = tuple((si(at), *(points.get(at) for points in known)) for at in sorted(set().union(*known)))
    caption = f"{task.title}: mean return over seeds in {name} against {task.unit}."
    return Table(name, caption, columns, rows), path, Table(name, caption, tuple(heads), wide)


def _place(row: Row) -> tuple[float, str]:
    return -row.mean, row.entry.config_id


def _row(entry: Entry, runs: Sequence[StoredRun], scale: Scale) -> Row:
    known = [(run, run.score) for run in sorted(runs, key=lambda run: run.seed) if run.score is not None]
    scores = [score for _, score in known]
    mean = math.fsum(scores) / len(scores)
    squares = math.fsum((score - mean) ** 2 for score in scores)
    offsets = marks.dots(len(known), 10)
    dots = tuple(
        Dot(run.seed, run.state, score, human_normalized(run.game, score), scale.place(score), 11 + offset)
        for (run, score), offset in zip(known, offsets, strict=True)
    )
    deviation = math.sqrt(squares / (len(scores) - 1)) if len(scores) > 1 else None
    return Row(entry, dots, mean, human_normalized(runs[0].game, mean), deviation, scale.place(mean))


def _scale(name: str, scores: Sequence[float]) -> Scale:
    """Return an axis that holds all scores, and the random policy and the reference above it where they are known."""
    game = GAMES[name]
    known = [(game.random_score, "random"), (game.human_score, game.reference)]
    references = [(score, label) for score, label in known if score is not None]
    low = min([*scores, *(score for score, _ in references)] or [0.0])
    high = max([*scores, *(score for score, _ in references)] or [1.0])
    scale = Scale(low, high if high > low else low + 1, ())
    places = [(scale.place(score), label) for score, label in references]
    crowded = len(places) == 2 and abs(places[0][0] - places[1][0]) < APART
    return Scale(scale.low, scale.high, tuple((x, "" if crowded and name == "random" else name) for x, name in places))


def _trace(runs: Sequence[StoredRun], step: int, count: int, look: charts.Style) -> plots.Trace:
    """Return the mean over an entry's runs for every iteration of `count`, with a gap where some run has no episode.

    A run that diverged counts with its last value from there on.
    """
    means: dict[int, list[float]] = defaultdict(list)
    for run in runs:
        for index, mean in learning.progress(run, count).items():
            means[index].append(mean)
    points = []
    for index in range(min(means, default=0), max(means, default=-1) + 1):
        values = means.get(index, ())
        whole = len(values) == len(runs)
        points.append(charts.Point((index + 1) * step, math.fsum(values) / len(values) if whole else None))
    return plots.Trace.of(tuple(points), look)
