"""The page that says how the statistics are made."""

from __future__ import annotations

from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.statistics import pairs, ranks
from leaderboard.statistics.conventions import STATISTICS_POLICY


def pages(book: Book) -> dict[str, bytes]:
    """Return the page, with the numbers of the policy that is in force."""
    return book.html(
        links.STATISTICS,
        "statistics.html",
        policy=STATISTICS_POLICY,
        draws=ranks.DRAWS,
        inflation=ranks.INFLATION,
        margin=pairs.MARGIN,
        fewest=pairs.FEWEST_SEEDS,
    )
