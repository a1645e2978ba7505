"""Who an entry is by: the submissions that hold its runs, and the names of their authors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leaderboard.board.report import Report

NAMES = 3
"""How many authors of a submission are named."""


@dataclass(frozen=True, slots=True)
class Credit:
    """A submission that holds runs of an entry: its slug, and its first authors' names."""

    slug: str
    names: tuple[str, ...]
    more: int = 0

    @property
    def text(self) -> str:
        """The names as a line."""
        return ", ".join(self.names) + (f" and {self.more} more" if self.more else "")


def credits_of(report: Report) -> dict[str, tuple[Credit, ...]]:
    """Return the submissions whose runs stand on the boards, by configuration; the one with the most runs first."""
    counts: dict[str, dict[str, int]] = {}
    for data in report.data.values():
        for run in data.runs:
            if run.submission is not None and run.finished:
                own = counts.setdefault(run.config_id, {})
                own[run.submission] = own.get(run.submission, 0) + 1
    known = {item.slug: item for item in report.submissions if item.current}
    return {
        config_id: tuple(
            _credit(slug, known[slug].authors if slug in known else ())
            for slug in sorted(own, key=lambda slug: (-own[slug], slug))
        )
        for config_id, own in counts.items()
    }


def _credit(slug: str, authors: tuple[Mapping[str, object], ...]) -> Credit:
    names = [str(author.get("name", ""))[:60] for author in authors if isinstance(author, Mapping)]
    shown = tuple(name for name in names if name)
    return Credit(slug, shown[:NAMES] or (slug,), max(0, len(shown) - NAMES))
