"""One module and one template for each kind of page; each module has `pages(book) -> {path: bytes}`."""

from __future__ import annotations

from collections.abc import Callable

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

Kind = Callable[[Book], dict[str, bytes]]

BULK: tuple[Kind, ...] = (run.pages, data.pages)
"""The kinds with the most to write and nothing to compute: made beside the others."""

KINDS: tuple[Kind, ...] = (
    overview.pages,
    board.pages,
    curves.pages,
    profiles.pages,
    tradeoffs.pages,
    games.pages,
    entries.pages,
    coverage.pages,
    methods.pages,
    method.pages,
    compare.pages,
    pair.pages,
    submission.pages,
    claims.pages,
    rules.pages,
    statistics.pages,
    changelog.pages,
    releases.pages,
)
