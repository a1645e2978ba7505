"""A task's board: the standings, and the same as files."""

from __future__ import annotations

from leaderboard.site import charts, exports, figures, links, tables
from leaderboard.site.book import Book
from leaderboard.site.views import TaskPage

FORMATS = ("csv", "json", "tex", "pdf")
"""What the standings can be downloaded as."""

WIDTH, ROW_HEIGHT = 397.0, 13.0
"""The forest plot for papers, in points: the width of a text column."""


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each task, and the files of its standings."""
    files: dict[str, bytes] = {}
    for task in book.report.site.tasks:
        found = _downloads(task)
        ends = [end for end in FORMATS if f"{base(task)}.{end}" in found]
        paired = {entry.config_id for duel in book.duels.get(task.name, ()) for entry in (duel.a, duel.b)}
        files |= book.html(links.board(task.name), "board.html", task=task, base=base(task), ends=ends, paired=paired)
        files |= found
    return files


def base(task: TaskPage) -> str:
    """Return the path of the files, without their ends."""
    return f"{links.slug(task.name)}/standings"


def _downloads(task: TaskPage) -> dict[str, bytes]:
    if not task.full.standings:
        return {}
    table = tables.standings(task, task.full)
    files = {f"{base(task)}.csv": exports.csv_file(table), f"{base(task)}.json": exports.json_file(table)}
    rows = [figures.Row.of(row.entry, row.estimate) for row in task.full.standings if row.estimate is not None]
    if rows:
        spec = figures.interval_spec(rows, "IQM, human-normalized", width=WIDTH, row_height=ROW_HEIGHT)
        files[f"{base(task)}.tex"] = exports.latex(tables.paper(task, task.full)).encode()
        files[f"{base(task)}.pdf"] = charts.pdf(spec)
    return files
