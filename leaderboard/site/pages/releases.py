"""The frozen releases of the site, and what moved from one to the next."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.site.parts import Part, key_of, whole
from leaderboard.site.releases import Release, moved

SHOWN = 40
"""How many moves of a release the page lists."""


@dataclass(frozen=True, slots=True)
class Row:
    """A release with what moved since the one before: task, entry and words; how many more there are."""

    release: Release
    moves: tuple[tuple[str, str, str], ...]
    more: int


def part(book: Book) -> Part:
    """Return the page, made anew where there is another release."""
    return whole("releases", key_of(book.releases), pages, book)


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    rows = []
    for place, release in enumerate(book.releases):
        older = book.releases[place + 1] if place + 1 < len(book.releases) else None
        found = moved(release, older)
        rows.append(Row(release, tuple(found[:SHOWN]), max(0, len(found) - SHOWN)))
    return book.html(links.RELEASES, "releases.html", rows=rows)
