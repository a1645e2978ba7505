"""A task's games: one table of all, and a page for each with every seed."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.site import charts, exports, learning, links, marks, plots, tables
from leaderboard.site.book import Book
from leaderboard.site.report import TaskData
from leaderboard.site.views import Entry, TaskPage
from leaderboard.store.rows import StoredRun
from suite.tasks import GAMES, human_normalized

STRIP = 300
"""Pixels between the lowest and the highest place of a strip of dots."""


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
    files: dict[str, bytes] = {}
    for task in book.report.site.tasks:
        base = f"{links.slug(task.name)}/games/scores"
        files |= book.html(links.games(task.name), "games.html", task=task, base=base)
        if task.full.games:
            table = tables.games(task, task.full)
            files |= {f"{base}.csv": exports.csv_file(table), f"{base}.json": exports.json_file(table)}
        data = book.report.data[task.name]
        for name in sorted({row.game for row in task.full.games}):
            files |= _game(book, task, data, name)
    return files


def _game(book: Book, task: TaskPage, data: TaskData, name: str) -> dict[str, bytes]:
    runs: dict[str, list[StoredRun]] = defaultdict(list)
    for run in data.runs:
        if run.game == name and run.finished and run.score is not None:
            runs[run.config_id].append(run)
    entries = [entry for entry in task.full.entries if entry.config_id in runs]
    scale = _scale(name, [run.score for entry in entries for run in runs[entry.config_id] if run.score is not None])
    rows = sorted((_row(entry, runs[entry.config_id], scale) for entry in entries), key=_place)
    drawn = [entry for entry in task.full.featured if entry.config_id in runs]
    count = learning.iterations(data.task, task.full.frames)
    step, looks = task.full.iteration_frames, charts.styles(drawn)
    traces = [_trace(runs[entry.config_id], step, count, looks[entry.label]) for entry in drawn]
    return book.html(
        links.game(task.name, name),
        "game.html",
        task=task,
        game=GAMES[name],
        rows=rows,
        scale=scale,
        width=STRIP,
        drawn=drawn,
        looks=looks,
        plot=plots.plot(traces, width=900, height=320),
    )


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
    """Return an axis that holds all scores, and the random policy and the human tester where they are known."""
    game = GAMES[name]
    known = [(game.random_score, "random"), (game.human_score, "human")]
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
