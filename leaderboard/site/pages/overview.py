"""The overview: a method beside its plain self, a card for each task, and what came last."""

from __future__ import annotations

from typing import Any

from leaderboard.board.opening import Opening, opening
from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.site.drawing import charts, plots
from leaderboard.site.pages import pair
from leaderboard.site.pages.changelog import days

NEWEST = 3
"""How many days of the changelog the overview shows."""

ROOM = 0.5
"""How far beyond all curves an interval is drawn, in heights of these: few runs have intervals that dwarf any curve."""


def pages(book: Book) -> dict[str, bytes]:
    """Return the page: tasks with results first, the others as a list."""
    tasks = book.report.site.tasks
    cards = [task for task in tasks if task.entries_here or task.entries_published]
    others = [task for task in tasks if task not in cards and task.official]
    newest = days(book.report)[:NEWEST]
    found = opening(book.report)
    first = None if found is None or not found.curves else _first(found)
    return book.html(links.OVERVIEW, "overview.html", first=first, cards=cards, others=others, newest=newest)


def _first(found: Opening) -> dict[str, Any]:
    """Return what the template shows of the pair: its sentence, and its curves with bands that leave room for them."""
    values = pair.values(found.duel, found.curves)
    entries = (found.duel.a, found.duel.b)
    heights = [point.estimate.value for curve in found.curves.values() for point in curve.points]
    room = ROOM * (max(heights) - min(heights) or 1.0)
    low, high = min(heights) - room, max(heights) + room

    def within(end: float | None) -> float | None:
        return None if end is None else min(max(end, low), high)

    traces, cut = [], False
    for entry, look in zip(entries, values["looks"], strict=True):
        points = found.curves[entry.config_id].points if entry.config_id in found.curves else ()
        ends = [(point.frames, point.estimate.value, point.estimate.low, point.estimate.high) for point in points]
        cut = cut or any((within(first), within(last)) != (first, last) for _, _, first, last in ends)
        drawn = tuple(charts.Point(at, value, within(first), within(last)) for at, value, first, last in ends)
        traces.append(plots.Trace.of(drawn, look))
    return values | {"shown": found, "plot": plots.plot(traces), "cut": cut}
