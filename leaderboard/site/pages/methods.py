"""The methods and which of them can be combined."""

from __future__ import annotations

from collections.abc import Sequence

from leaderboard.board import exports
from leaderboard.board.exports import Column, Table
from leaderboard.board.views import MethodCard
from leaderboard.site import links
from leaderboard.site.book import Book

COMBINATIONS = "methods/combinations"
"""The path of the table of combinations as files, without their ends."""

COLUMNS = (
    Column("method", "Method"),
    Column("other", "Other"),
    Column("allowed", "Allowed"),
    Column("reason", "Reason"),
)


def pages(book: Book) -> dict[str, bytes]:
    """Return the page, and the files of its table."""
    cards = book.report.site.methods
    made = exports.files(combinations(cards), COMBINATIONS, _matrix(cards))
    offered = exports.offered(made)
    return made | book.html(links.METHODS, "methods.html", stem=COMBINATIONS, offered=offered)


def combinations(cards: Sequence[MethodCard]) -> Table:
    """Return a row for every two methods, in both orders: whether they can be combined, and if not, why."""
    rows = tuple(
        (card.id, other.id, not reason, reason or None)
        for card in cards
        for other, reason in zip(cards, card.refusals, strict=True)
        if other.id != card.id
    )
    return Table("combinations", "Which methods can be combined.", COLUMNS, rows)


def _matrix(cards: Sequence[MethodCard]) -> Table:
    """Return the same for LaTeX: numbers stand for the methods in the head."""
    columns = (Column("method", "Method"), *(Column(f"m{i}", f"{i}") for i in range(1, len(cards) + 1)))
    rows = tuple(
        (
            f"{place} {card.id}",
            *(
                None if other is card else "n/a" if no else "yes"
                for other, no in zip(cards, card.refusals, strict=True)
            ),
        )
        for place, card in enumerate(cards, 1)
    )
    return Table("combinations", "Which methods can be combined.", columns, rows)
