"""The methods and which of them can be combined."""

from __future__ import annotations

from leaderboard.site import links
from leaderboard.site.book import Book


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    return book.html(links.METHODS, "methods.html")
