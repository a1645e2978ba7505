"""The rules: what is comparable, how far results are proven, how to submit, and the protocol of every task."""

from __future__ import annotations

from leaderboard.site import links
from leaderboard.site.book import Book

MEANINGS = (
    ("claimed", "The bundle is whole and well-formed, but a check of it failed or is open.", "Everything."),
    (
        "recomputed",
        "Every score was computed again from the recorded episodes, and the runs follow the protocol as far as their "
        "records show.",
        "That these episodes were played, and by whom.",
    ),
    (
        "replayed",
        "The actions of every scored episode were played again in the emulator and gave the recorded returns.",
        "That a network trained under this protocol chose the actions.",
    ),
    ("rerun", "Somebody else trained it again, elsewhere, and came to results that agree.", "Little."),
)
"""Every level: its name, what was done, and what is not proven."""


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    return book.html(links.RULES, "rules.html", levels=MEANINGS)
