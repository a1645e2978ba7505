"""The page that says how the statistics are made."""

from __future__ import annotations

from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.statistics import pairing, pairs, ranks
from leaderboard.statistics.conventions import STATISTICS, STATISTICS_POLICY


def pages(book: Book) -> dict[str, bytes]:
    """Return the page, with the numbers of the policy that is in force."""
    return book.html(
        links.STATISTICS,
        "statistics.html",
        name=STATISTICS,
        policy=STATISTICS_POLICY,
        draws=ranks.DRAWS,
        inflation=ranks.INFLATION,
        margin=pairs.MARGIN,
        fewest=pairs.FEWEST_SEEDS,
        paired_each=pairing.FEWEST_EACH,
        paired_in_all=pairing.FEWEST_IN_ALL,
    )
