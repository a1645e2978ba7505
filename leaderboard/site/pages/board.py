"""A task's board: the standings of every budget and the unfinished runs, and the same as files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from leaderboard.board import exports
from leaderboard.board.duels import Duel
from leaderboard.board.report import TaskData
from leaderboard.board.standings import normalized_scores
from leaderboard.board.views import Board, TaskPage
from leaderboard.site import forest, links, sides, tables
from leaderboard.site.book import Book
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import figures, pdf_bytes
from leaderboard.site.parts import Files, Part, all_files, whole
from leaderboard.statistics.influence import error_of, iqm_influence

ROWS = 24
"""How many entries the forest of what methods change shows, about."""

WIDTH, ROW_HEIGHT = 397.0, 13.0
"""The forest plot for papers, in points: the width of a text column."""


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each task, and the files of its standings."""
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the board of each task with its files."""
    for task in book.report.site.tasks:
        yield whole(f"{task.name} board", book.key(task.name), _page, book, task)


def _page(book: Book, task: TaskPage) -> Files:
    found, answered = _downloads(task), book.answers[task.name]
    drawn, data = forest.of_task(answered, ROWS), book.report.data[task.name]
    offered = exports.offered(found)
    if drawn is not None:
        found |= exports.files(forest.table(task, answered), forest.stem(task.name), forest.printed(task, answered))
    if task.full.standings:
        found |= sides.file(task, data)
    here = [run for run in data.runs if not data.entries[run.config_id].published]
    return found | book.html(
        links.board(task.name),
        "board.html",
        task=task,
        base=base(task),
        sides=sides.path(task),
        offered=offered,
        paired=_opponents(book.duels.get(task.name, ())),
        errors=errors(task, data),
        credits=book.credits,
        citation=book.cite(task.key, f"{task.title}: standings", here),
        found=answered,
        forest=drawn,
    )


def base(task: TaskPage) -> str:
    """Return the path of the files, without their ends."""
    return f"{links.slug(task.name)}/standings"


def _opponents(pairs: Sequence[Duel]) -> dict[str, str]:
    """Return whom each configuration has a page of comparison with: their ids as parts of paths, parted by blanks."""
    found: dict[str, list[str]] = defaultdict(list)
    for duel in pairs:
        found[duel.a.config_id].append(links.slug(duel.b.config_id))
        found[duel.b.config_id].append(links.slug(duel.a.config_id))
    return {config_id: " ".join(sorted(others)) for config_id, others in found.items()}


def errors(task: TaskPage, data: TaskData) -> dict[str, tuple[str, str]]:
    """Return the standard error and degrees of freedom of each IQM with an interval, for pairs without a page."""
    found = {}
    for row in task.full.standings:
        if row.estimate is not None and row.estimate.low is not None:
            scores = normalized_scores(data.runs_of(row.entry.config_id))
            error, freedom = error_of(iqm_influence(scores)[1])
            if error is not None and freedom is not None:
                found[row.entry.config_id] = f"{error:.6g}", f"{freedom:.4g}"
    return found


def _downloads(task: TaskPage) -> dict[str, bytes]:
    files = _standings(task, task.full, base(task)) if task.full.standings else {}
    for board in task.shortened:
        files |= _standings(task, board, f"{base(task)}-{board.frames}")
        if board.games:
            stem = f"{links.slug(task.name)}/games-{board.frames}"
            files |= exports.files(tables.games(task, board), stem, printed.all_games(task, board))
    if task.unfinished:
        files |= exports.files(tables.unfinished(task), f"{links.slug(task.name)}/unfinished")
    return files


def _standings(task: TaskPage, board: Board, stem: str) -> dict[str, bytes]:
    files = exports.files(tables.standings(task, board), stem, tables.paper(task, board))
    rows = [figures.Row.of(row.entry, row.estimate) for row in board.standings if row.estimate is not None]
    if rows:
        drawn = figures.intervals(rows, f"IQM, {task.scale}", width=WIDTH, row_height=ROW_HEIGHT)
        files[f"{stem}.pdf"] = pdf_bytes.from_svg(drawn)
    return files
