"""Coverage of cells: entries by games, what is missing, and which runs would tell the most next."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from leaderboard.board import exports
from leaderboard.board.report import TaskData
from leaderboard.board.standings import normalized_scores
from leaderboard.board.views import TaskPage
from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.site.downloads import coverage_files
from leaderboard.site.downloads.coverage_files import Count, Row, Summary, Wanted
from leaderboard.site.parts import Files, Part, all_files, whole
from leaderboard.statistics.planning import Candidate, Plan, next_cells
from leaderboard.store.rows import StoredRun
from suite.tasks import GAMES

WANTED = 20
"""How many of the next runs a page lists."""

TASKS = "coverage/tasks"
"""The path of the table of all tasks as files, without their ends."""

DETECT, POWER = 0.1, 0.8
"""The difference that the plan is for, as a share of an entry's score, and with which probability it is to be found."""


def pages(book: Book) -> dict[str, bytes]:
    """Return the page of all tasks and a matrix for each."""
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the page of all tasks and a matrix for each."""
    yield whole("coverage", book.everything, _summary, book)
    for task in book.report.site.tasks:
        yield whole(f"{task.name} coverage", book.key(task.name), _page, book, task)


def _summary(book: Book) -> Files:
    summaries = []
    for task in book.report.site.tasks:
        data = book.report.data[task.name]
        here = [row for row in rows(data, task) if not row.entry.published]
        asked = len(here) * task.games * len(data.task.default_seeds)
        summaries.append(Summary(task, len(here), sum(row.results for row in here), asked))
    made = exports.files(coverage_files.summary(summaries), TASKS)
    offered = exports.offered(made)
    return made | book.html(links.COVERAGE, "coverage.html", summaries=summaries, stem=TASKS, offered=offered)


def _page(book: Book, task: TaskPage) -> Files:
    data = book.report.data[task.name]
    found, next_runs = rows(data, task), wanted(data, task)
    stem = links.coverage(task.name).removesuffix(".html")
    made = coverage_files.files(task, data.task.games, found, next_runs, stem)
    return made | book.html(
        links.coverage(task.name),
        "coverage_task.html",
        task=task,
        games=data.task.games,
        seeds=len(data.task.default_seeds),
        rows=found,
        wanted=next_runs,
        detect=DETECT,
        power=POWER,
        stem=stem,
        offered=exports.offered(made),
    )


def rows(data: TaskData, task: TaskPage) -> list[Row]:
    """Return a row for each entry of the full budget, in the order of the board."""
    grouped: Mapping[tuple[str, str], list[StoredRun]] = defaultdict(list)
    for run in data.runs:
        grouped[run.config_id, run.game].append(run)
    found = []
    for entry in task.full.entries:
        counts = tuple(_count(grouped.get((entry.config_id, name), ())) for name in data.task.games)
        found.append(Row(entry, counts, sum(count.done for count in counts)))
    return found


def _count(runs: Sequence[StoredRun]) -> Count:
    done = [run for run in runs if run.finished]
    diverged = sum(run.state == "diverged" for run in done)
    return Count(len(done), diverged, len(runs) - len(done), tuple(sorted(run.seed for run in done)))


def wanted(data: TaskData, task: TaskPage) -> list[Wanted]:
    """Return the runs that would tell the most next, by gain per hour; none where nothing was run here."""
    own = {entry.config_id: entry for entry in task.full.entries if not entry.published}
    if not own:
        return []
    scaled = [name for name in data.task.games if GAMES[name].normalizable]
    others = {
        entry.config_id: normalized_scores(data.runs_of(entry.config_id))
        for entry in task.full.entries
        if entry.published
    }
    candidates = {key: candidate(data.runs_of(key)) for key in own}
    plan: Plan = next_cells(
        candidates,
        scaled or data.task.games,
        data.task.default_seeds,
        detect=DETECT,
        power=POWER,
        others=others,
        limit=WANTED,
    )
    return [
        Wanted(cell, own[cell.entry], f"{own[cell.entry].command} --games {cell.game} --seeds {cell.seed}")
        for cell in plan.cells
    ]


def candidate(runs: Sequence[StoredRun]) -> Candidate:
    """Return what the planner has to know of an entry: scores, seeds that are done or under way, hours of a run."""
    seeds: Mapping[str, set[int]] = defaultdict(set)
    seconds: Mapping[str, list[float]] = defaultdict(list)
    for run in runs:
        if run.finished or run.state == "running":
            seeds[run.game].add(run.seed)
        if run.state == "done" and run.wall_seconds is not None:
            seconds[run.game].append(run.wall_seconds)
    return Candidate(
        scores=normalized_scores(runs),
        seeds={name: frozenset(found) for name, found in seeds.items()},
        hours={name: sum(found) / len(found) / 3600 for name, found in seconds.items()},
    )
