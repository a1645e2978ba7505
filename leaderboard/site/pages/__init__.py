"""One module and one template for each kind of page; each module has `pages(book) -> {path: bytes}`.

Those with many pages have `parts(book)` too: what each is made from, so that it is made only where that has changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from leaderboard.site.book import Book
from leaderboard.site.pages import (
    board,
    changelog,
    claims,
    compare,
    coverage,
    curves,
    data,
    entries,
    games,
    method,
    methods,
    overview,
    pair,
    profiles,
    releases,
    rules,
    run,
    statistics,
    submission,
    tradeoffs,
)
from leaderboard.site.parts import Part, whole

Kind = Callable[[Book], dict[str, bytes]]

PARTED = (run, pair, entries, games, board, curves, profiles, tradeoffs, coverage, method)
"""The modules whose pages are made part by part."""

WHOLE: tuple[Kind, ...] = (
    overview.pages,
    methods.pages,
    compare.pages,
    submission.pages,
    claims.pages,
    rules.pages,
    statistics.pages,
    changelog.pages,
    data.pages,
)
"""The kinds of pages that show something of everything."""

KINDS: tuple[Kind, ...] = (*(module.pages for module in PARTED), *WHOLE, releases.pages)


def parts(book: Book) -> Iterator[Part]:
    """Yield every part of the pages of a book."""
    for module in PARTED:
        yield from module.parts(book)
    for kind in WHOLE:
        yield whole(kind.__module__.rpartition(".")[2], book.everything, kind, book)
    yield releases.part(book)
