"""The overview: does pruning help, a card for each task, and what came last.

Tasks come in the order of the report, but those with entries run here before the others, and before all of them those
of the runs that nobody submitted: what was just run on this machine, the newest first.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from leaderboard.board.opening import Opening, opening
from leaderboard.board.report import TaskData
from leaderboard.board.views import TaskPage
from leaderboard.site import forest, links
from leaderboard.site.book import Book
from leaderboard.site.drawing import charts, plots
from leaderboard.site.pages import pair
from leaderboard.site.pages.changelog import days

NEWEST = 3
"""How many days of the changelog the overview shows."""


ROOM = 0.5
"""How far beyond all curves an interval is drawn, in heights of these: few runs have intervals that dwarf any curve."""

ROWS = 14
"""How many entries the forest of a task shows here, about."""


def pages(book: Book) -> dict[str, bytes]:
    """Return the page: what methods change, tasks with results, the others as a list."""
    report = book.report
    found = [task for task in report.site.tasks if task.entries_here or task.entries_published]
    cards = sorted(found, key=lambda task: _place(task, report.data[task.name]), reverse=True)
    others = [task for task in report.site.tasks if task not in cards and task.official]
    answered = [(task, book.answers[task.name], forest.of_task(book.answers[task.name], ROWS)) for task in cards]
    answered = [one for one in answered if one[2] is not None]
    found_first = opening(report)
    if found_first is not None and not found_first.curves:
        found_first = None
    return book.html(
        links.OVERVIEW,
        "overview.html",
        first=None if found_first is None else _first(found_first),
        cards=cards,
        others=others,
        answered=answered,
        newest=days(report)[:NEWEST],
    )


def _place(task: TaskPage, data: TaskData) -> tuple[str, bool]:
    """Return what cards are sorted by, the highest first: when the last run that nobody submitted ended, any at all."""
    here = [run for run in data.runs if not data.entries[run.config_id].published]
    own = [run.ended_at for run in here if run.finished and run.submission is None]
    return max(own, default=""), bool(here)


def _first(found: Opening) -> dict[str, Any]:
    """Return what the template shows of the pair: its sentence, and its curves with bands that leave room for them."""
    step = found.task.full.iteration_length
    values = pair.values(found.duel, found.curves, step)
    entries = (found.duel.a, found.duel.b)
    heights = [point.estimate.value for curve in found.curves.values() for point in curve.points]
    room = ROOM * (max(heights) - min(heights) or 1.0)
    low, high = min(heights) - room, max(heights) + room

    def within(end: float | None) -> float | None:
        return None if end is None else min(max(end, low), high)

    traces, cut = [], False
    for entry, look in zip(entries, values["looks"], strict=True):
        points = charts.curve_points(found.curves[entry.config_id], step) if entry.config_id in found.curves else ()
        cut = cut or any((within(point.low), within(point.high)) != (point.low, point.high) for point in points)
        drawn = tuple(replace(point, low=within(point.low), high=within(point.high)) for point in points)
        traces.append(plots.Trace.of(drawn, look))
    if found.unjudged:
        values["sentence"] = f"No verdict: {found.unjudged}."
    return values | {"shown": found, "plot": plots.plot(traces), "cut": cut}
