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
        "sampled",
        "Some of the runs, drawn by lot, were replayed; the level says how many of how many. It does not rank.",
        "All of it for the other runs.",
    ),
    (
        "replayed",
        "Every step that the score rests on was played again in the emulator and gave the recorded returns: all scored "
        "episodes, runs that diverged, and the episode that the budget cut off. From here on an entry is ranked.",
        "That a network trained under this protocol chose the actions.",
    ),
    ("rerun", "Somebody else trained it again, elsewhere, and came to results that agree.", "Little."),
)
"""Every level: its name, what was done, and what is not proven."""


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    return book.html(links.RULES, "rules.html", levels=MEANINGS)
