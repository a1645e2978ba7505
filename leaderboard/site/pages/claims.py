"""The paper's claims: each with its verdict on every rung, the evidence, and how much of the protocol was run."""

from __future__ import annotations

from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.studies.coverage import PAPER, RUNGS

TITLES = {PAPER: "as in the paper", "minatar": "MinAtar", "classic": "classic control"}


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    found = book.claims
    studies = list({asked.study.id: asked.study for asked in found.asked}.values())
    return book.html(
        links.CLAIMS,
        "claims.html",
        studies=studies,
        asked=found.asked,
        coverage=found.coverage,
        rungs=[(rung, TITLES[rung]) for rung in RUNGS],
    )
