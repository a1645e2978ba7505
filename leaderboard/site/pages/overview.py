"""The overview: a card for each task, and what came last."""

from __future__ import annotations

from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.site.pages.changelog import days

NEWEST = 3
"""How many days of the changelog the overview shows."""


def pages(book: Book) -> dict[str, bytes]:
    """Return the page: tasks with results first, the others as a list."""
    tasks = book.report.site.tasks
    cards = [task for task in tasks if task.entries_here or task.entries_published]
    others = [task for task in tasks if task not in cards and task.official]
    newest = days(book.report)[:NEWEST]
    return book.html(links.OVERVIEW, "overview.html", cards=cards, others=others, newest=newest)
