"""Rendering: a folder of plain pages that needs neither a network nor JavaScript."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from leaderboard.board import exports, report
from leaderboard.board.workers import beside
from leaderboard.site import releases
from leaderboard.site.book import Book
from leaderboard.site.folder import check_target, write
from leaderboard.site.pages import BULK, KINDS, Kind
from leaderboard.site.pages import releases as release_page
from leaderboard.store.database import ResultStore
from suite.errors import UnfitEnvironment

MARKER = ".pruned-rl-suite-site"
"""The file by which a folder is known to be a site of ours, and may be replaced."""

PAGE_BYTES = 300_000
"""What no page may reach: every page opens at once, on a phone too."""

SECONDS_A_RUN = 0.006
"""About what the pages and files of a run take on one processor, if it was run here."""

SECONDS_A_ROW = 0.0006
"""About what a run takes in the tables of all runs, those that others published among them."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was built: the number of pages, their bytes, the database's content hash, and pages that are too large."""

    pages: int
    bytes: int
    database: str
    large: tuple[str, ...] = ()


def build(db: Path, out: Path, *, release: str = "", progress: Progress = lambda _: None) -> BuildReport:
    """Build the site of a database into `out`, which is replaced as a whole if it is a site of ours, or made.

    Its frozen releases stay; under `release`, a name, the site becomes one more of them. Raises UsageError if `out`
    holds anything else or the name is taken, UnfitEnvironment if it cannot be written.
    """
    check_target(out, MARKER, "a site")
    frozen = releases.kept(out)
    if release:
        releases.checked(release, frozen)
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        found = report.read(snapshot)
    for task in found.site.tasks:
        if task.entries_here or task.entries_published:
            progress(f"{task.key}: {task.entries_here} entries run here, {task.entries_published} published by others")
    copy = exports.database(db)
    files = _static() | pages(found, copy, frozen)
    if release:
        book = Book(found, copy, frozen)
        one = releases.made(release, book.date, found, book.answers)
        folder = f"{releases.FOLDER}/{release}"
        files = {f"{folder}/{name}": content for name, content in files.items()} | files
        files[f"{folder}/{releases.FILE}"] = one.file()
        newest = sorted((one, *frozen), key=lambda item: (item.date, item.name), reverse=True)
        files |= release_page.pages(Book(found, copy, tuple(newest)))
    files[MARKER] = f"{found.site.database}\n".encode()
    large = tuple(sorted(name for name in files if name.endswith(".html") and len(files[name]) >= PAGE_BYTES))
    for name in large:
        progress(f"{name}: {len(files[name]):,} bytes, more than the {PAGE_BYTES:,} that a page should have")
    try:
        write(files, out)
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write the site to {out}: {error.strerror or error}.",
            "Choose another place with --out, or free space.",
        ) from error
    count = sum(name.endswith(".html") for name in files)
    return BuildReport(count, sum(len(content) for content in files.values()), found.site.database, large)


def pages(found: report.Report, database: bytes = b"", frozen: tuple[releases.Release, ...] = ()) -> dict[str, bytes]:
    """Return every page and what belongs to it, by its path; no two kinds may claim one path."""
    runs = [data.entries[run.config_id].published for data in found.data.values() for run in data.runs]
    seconds = SECONDS_A_RUN * runs.count(False) + SECONDS_A_ROW * len(runs)
    bulk = beside(seconds, _made, BULK, found, database)
    return _together([_made(KINDS, found, database, frozen), bulk()])


def _made(
    kinds: Sequence[Kind], found: report.Report, database: bytes, frozen: tuple[releases.Release, ...] = ()
) -> dict[str, bytes]:
    book = Book(found, database, frozen)
    return _together([kind(book) for kind in kinds])


def _together(parts: Iterable[Mapping[str, bytes]]) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    for made in parts:
        if twice := files.keys() & made.keys():
            raise ValueError(f"two kinds of pages make {sorted(twice)}")
        files |= made
    return files


def _static() -> dict[str, bytes]:
    folder = resources.files("leaderboard.site") / "static"
    return {f"static/{file.name}": file.read_bytes() for file in folder.iterdir() if file.is_file()}
