"""Rendering: a folder of plain pages that needs neither a network nor JavaScript."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

from leaderboard.board import exports, remembered, report
from leaderboard.site import making, pages, releases
from leaderboard.site.book import Book
from leaderboard.site.folder import RELEASE, check_target, writing
from leaderboard.site.making import Maker
from leaderboard.site.pages import data as data_page
from leaderboard.site.pages import releases as release_page
from leaderboard.site.pages import submission as submission_page
from leaderboard.site.parts import Files, Part, whole
from leaderboard.store.database import ResultStore
from suite.errors import UnfitEnvironment

MARKER = ".pruned-rl-suite-site"
"""The file by which a folder is known to be a site of ours, and may be replaced."""

ANSWERS = ".pruned-rl-suite-answers.json"
"""The file in which estimates and comparisons are kept for the next build."""

PAGE_BYTES = 300_000
"""What no page may reach: every page opens at once, on a phone too."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was built: the number of pages, how many of them were made and not kept, the bytes of all files.

    `database` is the content's hash, and `large` are pages that are too large.
    """

    pages: int
    made: int
    bytes: int
    database: str
    large: tuple[str, ...] = ()


def build(
    db: Path, out: Path, *, release: str = "", bundles: str = "", progress: Progress = lambda _: None
) -> BuildReport:
    """Build the site of a database into `out`, which is brought up to date if it is a site of ours, or made.

    What does not change is not made again, and the bytes are those of a site that is made whole. Its frozen releases
    stay; under `release`, a name, the site becomes one more of them. `bundles`: see `Book`. Raises UsageError if `out`
    holds anything else, the name is taken or `bundles` is no address, UnfitEnvironment if it cannot be written.
    """
    submission_page.checked_bundles(bundles)
    check_target(out, MARKER, "a site")
    frozen = releases.kept(out)
    if release:
        releases.checked(release, frozen)
    try:
        with (
            ResultStore.open(db) as store,
            writing(out) as staging,
            tempfile.TemporaryDirectory(dir=staging.path) as folder,
            ThreadPoolExecutor(1) as beside,
        ):
            whole = exports.copied(db, Path(folder))  # what is offered and what is shown are of one moment
            with store.snapshot_in(whole) as snapshot:
                copy = beside.submit(exports.thinned, whole, staging.place(data_page.DATABASE))
                code = making.code()
                remembered.recall(out / ANSWERS, code)
                found = report.read(snapshot)
                for task in found.site.tasks:
                    if task.entries_here or task.entries_published:
                        told = f"{task.entries_here} entries run here, {task.entries_published} published by others"
                        progress(f"{task.key}: {told}")
                maker = Maker.of(out, staging, code, found.site.database)
                return _built(Book(found, copy.result(), frozen, bundles), maker, release, progress)
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write the site to {out}: {error.strerror or error}.",
            "Choose another place with --out, or free space.",
        ) from error


def all_parts(book: Book) -> Iterator[Part]:
    """Yield every part of the site."""
    yield whole("static", "", _static)
    yield from pages.parts(book)


def _built(book: Book, maker: Maker, release: str, progress: Progress) -> BuildReport:
    digest, staging = book.report.site.database, maker.staging
    answers = remembered.content(maker.new.code, book.duels)
    made = maker.make(all_parts(book))
    if release:
        made += _freeze(book, maker, release)
    staging.add(MARKER, f"{digest}\n".encode())
    staging.add(making.MANIFEST, maker.new.content())
    staging.add(ANSWERS, answers)
    sizes = {name: file.size for _, own in maker.new.parts.values() for name, file in own.items()}
    shown = [name for name in sizes if name.endswith(".html")]
    large = tuple(sorted(name for name in shown if sizes[name] >= PAGE_BYTES))
    for name in large:
        progress(f"{name}: {sizes[name]:,} bytes, more than the {PAGE_BYTES:,} that a page should have")
    size = sum(sizes.values()) + (book.database.size if book.database is not None else 0)
    return BuildReport(len(shown), made, size, digest, large)


def _freeze(book: Book, maker: Maker, release: str) -> int:
    """Copy the whole site as a release, and make the page of releases with it; return how many pages were made."""
    folder, staging = f"{releases.FOLDER}/{release}", maker.staging
    for name in sorted(staging.names):
        source = staging.path / name
        shutil.copyfile(source if source.is_file() else maker.out / name, staging.place(f"{folder}/{name}"))
    one = releases.made(release, book.date, book.report, book.answers)
    staging.add(f"{folder}/{RELEASE}", one.file())
    newest = sorted((one, *book.releases), key=lambda item: (item.date, item.name), reverse=True)
    return maker.again(release_page.part(replace(book, releases=tuple(newest))))


def _static() -> Files:
    folder = resources.files("leaderboard.site") / "static"
    return {f"static/{file.name}": file.read_bytes() for file in folder.iterdir() if file.is_file()}
