"""Downloads: the database itself, every run, and the tables of every task."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from leaderboard.board import exports
from leaderboard.site import links, tables
from leaderboard.site.book import Book
from leaderboard.site.downloads.tables_of_task import iterations

DATABASE = "data/results.sqlite.gz"

ABOUT = {
    "data/runs.csv": "Every run, one row each, but for final scores that others published, which stand in their task",
    "data/runs.parquet": "The same as Parquet",
    "data/iterations.csv.gz": "Every iteration of every run: the mean raw return of its episodes; CSV in gzip",
    "data/iterations.parquet": "The same as Parquet",
    DATABASE: "The results database with all that runs recorded, but for lists of single episodes and hashes of early "
    "checkpoints; SQLite in gzip",
}

QUERIES = (
    (
        "Scores of an entry by game",
        "SELECT game, count(*), avg(score) FROM run WHERE current AND config_id = ? GROUP BY game",
    ),
    ("Runs that diverged", "SELECT config_id, game, seed FROM run WHERE current AND state = 'diverged'"),
    (
        "Learning curve of a game",
        "SELECT iteration, avg(mean_return) FROM iteration JOIN run ON run.id = run_id "
        "WHERE current AND config_id = ? AND game = ? GROUP BY iteration",
    ),
)
"""What can be asked of the database, with SQL."""


@dataclass(frozen=True, slots=True)
class File:
    """A file to download."""

    path: str
    about: str
    size: int
    sha256: str


def pages(book: Book) -> dict[str, bytes]:
    """Return the page and the tables of runs; the copy of the database lies there already."""
    table, steps = tables.runs(book.report.data.values()), iterations(book.report.data.values())
    files = {
        "data/runs.csv": exports.csv_file(table),
        "data/runs.parquet": exports.parquet(table),
        "data/iterations.csv.gz": exports.csv_packed(steps),
        "data/iterations.parquet": exports.parquet(steps),
    }
    listed = [_file(path, ABOUT[path], content) for path, content in files.items()]
    if book.database is not None:
        listed.insert(0, File(DATABASE, ABOUT[DATABASE], book.database.size, book.database.sha256))
    return files | book.html(links.DATA, "data.html", files=listed, columns=tables.RUNS, queries=QUERIES)


def _file(path: str, about: str, content: bytes) -> File:
    return File(path, about, len(content), hashlib.sha256(content).hexdigest())
