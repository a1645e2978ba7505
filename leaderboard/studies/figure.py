"""What a study's picture shows, as rows: every point with its interval, and how many of its cells are there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.board import learning
from leaderboard.board.estimates import CURVE, Question, ask
from leaderboard.board.views import scale_of
from leaderboard.statistics.curves import complete_points
from leaderboard.statistics.intervals import Estimate, student_interval
from leaderboard.store.rows import StoredConfiguration
from leaderboard.studies.evidence import Evidence, aggregated, scored_games, scores_of
from leaderboard.studies.expansion import Expanded, Point
from leaderboard.studies.schedule import SCHEDULES, curve
from suite.contracts.card import written
from suite.tasks import GAMES, human_normalized

RETURNS = "returns"
"""The series of a picture of diagnostics that is no diagnostic: the mean return of an iteration."""


@dataclass(frozen=True)
class Row:
    """A point of the picture: where it is, what it is, and how many of its `cells` have a result.

    `x` is None for what has no place on the axis, such as dense beside sparsities: a line across the panel. `value` is
    None where nothing is there. `method` gives the colour; `context`: numbers of others, which belong to no cell.
    """

    panel: str
    series: str
    method: str
    x: float | str | None
    value: float | None
    low: float | None = None
    high: float | None = None
    done: int = 0
    cells: int = 0
    context: bool = False


@dataclass(frozen=True)
class Matrix:
    """A heat map: a square of numbers from -1 to 1, row by row; none where no run has any."""

    panel: str
    series: str
    values: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class Figure:
    """A study's picture as values. `done` of `cells` have a result."""

    expanded: Expanded
    rows: tuple[Row, ...]
    matrices: tuple[Matrix, ...] = ()
    x_title: str = ""
    y_title: str = ""
    done: int = 0
    cells: int = 0


def figure_of(expanded: Expanded, evidence: Evidence) -> Figure:
    """Return a study's picture from whatever results are there."""
    study, unit = expanded.study, expanded.task.unit
    done = len(evidence.cells(expanded))
    kind: str = study.picture.kind
    if kind in ("final", "curves") and not aggregated(expanded):
        kind = f"{kind} by game"
    rows: tuple[Row, ...] = ()
    matrices: tuple[Matrix, ...] = ()
    x_title, y_title = unit, f"IQM, {scale_of(GAMES[expanded.games[0]].reference)}"
    if kind == "schedule":
        rows, y_title = tuple(_schedule()), "share of weights that are zero"
    elif kind == "final":
        rows, x_title = tuple(_final(expanded, evidence)), _axis(study.picture.x)
    elif kind == "curves":
        rows = tuple(_curves(expanded, evidence))
    elif kind == "final by game":
        rows, x_title, y_title = tuple(_final_by_game(expanded, evidence)), _axis(study.picture.x), "mean return"
    elif kind in ("games", "curves by game"):
        rows, y_title = tuple(_games(expanded, evidence)), "mean return"
    elif kind == "diagnostics":
        rows, y_title = tuple(_diagnostics(expanded, evidence)), ""
    else:
        matrices, x_title, y_title = tuple(_matrices(expanded, evidence)), "transition", "transition"
    return Figure(expanded, rows, matrices, x_title, y_title, done, expanded.size)


def _axis(path: str) -> str:
    return path.rpartition(".")[2].replace("_", " ")


def _schedule() -> Iterator[Row]:
    for name, (length, frames) in SCHEDULES.items():
        for at, value in curve(length, frames):
            yield Row("", name, "magnitude_pruning", float(at), value)


def series_name(expanded: Expanded, point: Point, besides: Sequence[str] = ()) -> str:
    """Return what tells a point's line from the others of its panel: its arm, and what varies `besides` the axes."""
    varying = [
        path
        for path in dict.fromkeys(path for one in expanded.points for path in one.coordinates)
        if path not in ("arm", *besides) and len({one.coordinates.get(path) for one in expanded.points}) > 1
    ]
    words = [f"{point.coordinates['arm']}"]
    for path in varying:
        if path in point.coordinates:
            value = written(point.coordinates[path])
            words.append(value if path in ("agent", "network") else f"{_axis(path)} {value}")
    return ", ".join(words)


def _panel(expanded: Expanded, point: Point) -> str:
    path = expanded.study.picture.panels
    if not path:
        return ""
    value = point.coordinates.get(path, "")
    return f"{path} {value}" if path == "width" else f"{value}"


def _counts(expanded: Expanded, evidence: Evidence, point: Point) -> tuple[int, int]:
    return len(evidence.of(expanded, point)), len(expanded.games) * len(expanded.seeds)


def _method(point: Point) -> str:
    return point.resolved.spec.method_label


def _final(expanded: Expanded, evidence: Evidence) -> Iterator[Row]:
    picture = expanded.study.picture
    for point in expanded.points:
        scores = scores_of(evidence, expanded, point)
        found = ask(Question("iqm", scores))[0] if scores else None
        x = point.coordinates.get(picture.x)
        name = series_name(expanded, point, (picture.x, picture.panels))
        yield _row(_panel(expanded, point), name, point, x, found, _counts(expanded, evidence, point))
    for item in evidence.published:
        yield from _published(expanded, evidence, item)


def _final_by_game(expanded: Expanded, evidence: Evidence) -> Iterator[Row]:
    """Yield mean scores of every game, where games have no common scale."""
    picture = expanded.study.picture
    for game in expanded.games:
        for point in expanded.points:
            runs = [run for run in evidence.of(expanded, point) if run.game == game]
            values = [run.score for run in runs if run.score is not None]
            title = ": ".join(filter(None, (game, _panel(expanded, point))))
            name = series_name(expanded, point, (picture.x, picture.panels))
            found = _mean(values) if values else None
            yield _row(title, name, point, point.coordinates.get(picture.x), found, (len(runs), len(expanded.seeds)))


def _row(panel: str, series: str, point: Point, x: object, found: Estimate | None, counts: tuple[int, int]) -> Row:
    at = float(x) if isinstance(x, int | float) and not isinstance(x, bool) else None if x is None else f"{x}"
    if found is None:
        return Row(panel, series, _method(point), at, None, None, None, *counts)
    return Row(panel, series, _method(point), at, found.value, found.low, found.high, *counts)


def _published(expanded: Expanded, evidence: Evidence, item: StoredConfiguration) -> Iterator[Row]:
    """Yield what others published of an agent and network of the study, as a line: its width is often unknown."""
    agents = {f"{point.coordinates['agent']}" for point in expanded.points}
    networks = {f"{point.coordinates['network']}" for point in expanded.points}
    agent = item.agent.lower().replace("-", "_")
    if expanded.study.picture.x != "width" or agent not in agents or item.network not in networks:
        return
    scores: dict[str, list[float]] = {}
    for run in evidence.runs.get(item.config_id, ()):
        value = None if run.score is None else human_normalized(run.game, run.score)
        if value is not None and run.game in expanded.games:
            scores.setdefault(run.game, []).append(value)
    if scores:
        found = ask(Question("iqm", {name: np.array(values) for name, values in scores.items()}))[0]
        panel = agent if expanded.study.picture.panels == "agent" else ""
        name = f"{item.agent}, published by Dopamine"
        yield Row(panel, name, "published", None, found.value, found.low, found.high, context=True)


def _curves(expanded: Expanded, evidence: Evidence) -> Iterator[Row]:
    picture, task, names = expanded.study.picture, expanded.task, scored_games(expanded)
    for point in expanded.points:
        panel, name = _panel(expanded, point), series_name(expanded, point, (picture.panels,))
        frames, counts = point.resolved.spec.frames, _counts(expanded, evidence, point)
        curves = learning.curve_scores(task, evidence.of(expanded, point), frames, names)
        kept = np.flatnonzero(complete_points(curves)) if curves else np.array([], dtype=np.intp)
        if not len(kept):
            yield Row(panel, name, _method(point), None, None, None, None, *counts)
            continue
        ends = learning.positions(task, frames)
        whole = {game: block[:, kept] for game, block in curves.items()}
        for index, found in zip(kept.tolist(), ask(Question(CURVE, whole)), strict=True):
            yield _row(panel, name, point, ends[index], found, counts)


def _games(expanded: Expanded, evidence: Evidence) -> Iterator[Row]:
    for game in expanded.games:
        for point in expanded.points:
            title = ": ".join(filter(None, (game, _panel(expanded, point))))
            yield from _mean_curve(expanded, evidence, point, game, RETURNS, title)


def _diagnostics(expanded: Expanded, evidence: Evidence) -> Iterator[Row]:
    for game in expanded.games:
        for series in expanded.study.picture.series:
            for point in expanded.points:
                title = f"{game}: {series.replace('_', ' ')}"
                yield from _mean_curve(expanded, evidence, point, game, series, title)


def _mean_curve(
    expanded: Expanded, evidence: Evidence, point: Point, game: str, series: str, panel: str
) -> Iterator[Row]:
    """Yield the mean of a quantity over the runs of a game, with Student's interval where there are several."""
    name = series_name(expanded, point, (expanded.study.picture.panels,))
    lines: list[dict[int, float]] = []
    runs = [run for run in evidence.of(expanded, point) if run.game == game]
    for run in runs:
        if series == RETURNS:
            every = expanded.task.budget.iteration_length
            count = learning.iterations(expanded.task, point.resolved.spec.frames)
            lines.append({(i + 1) * every: v for i, v in learning.progress(run, count).items()})
        else:
            kept = evidence.measures.get((run.config_id, run.game, run.seed), {}).get(series)
            lines.append({} if kept is None else dict(zip(kept.frames, kept.values, strict=True)))
    counts = (len(runs), len(expanded.seeds))
    shared = sorted(set.intersection(*(set(line) for line in lines))) if lines else []
    if not shared:
        yield Row(panel, name, _method(point), None, None, None, None, *counts)
    for frame in shared:
        yield _row(panel, name, point, frame, _mean([line[frame] for line in lines]), counts)


def _mean(values: Sequence[float]) -> Estimate:
    mean, count = float(np.mean(values)), len(values)
    if count < 2:
        return Estimate(mean, None, None)
    error = float(np.std(values, ddof=1)) / count**0.5
    return student_interval(mean, (error, count - 1.0))


def _matrices(expanded: Expanded, evidence: Evidence) -> Iterator[Matrix]:
    """Yield the gradients' cosines at the end of the first seed's run of each game and point."""
    for game in expanded.games:
        for point in expanded.points:
            runs = [run for run in evidence.of(expanded, point) if run.game == game]
            keys = [(run.config_id, run.game, run.seed) for run in runs]
            found = next((evidence.cosines[key] for key in keys if key in evidence.cosines), ())
            yield Matrix(game, series_name(expanded, point), found)
