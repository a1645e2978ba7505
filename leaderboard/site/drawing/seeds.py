"""How the seeds of one entry are drawn beside each other."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.board.looks import DASHES, SERIES
from leaderboard.site.drawing.charts import Point, Style
from leaderboard.site.drawing.plots import Trace


@dataclass(frozen=True, slots=True)
class Look:
    """The style of a seed: the next colour and, when all are used, the next dash."""

    style: Style

    def trace(self, points: tuple[Point, ...]) -> Trace:
        """Return a line in this style, without markers."""
        return Trace.of(points, self.style)


def looks(count: int) -> tuple[Look, ...]:
    """Return the looks of so many seeds."""
    return tuple(
        Look(Style(SERIES[place % len(SERIES)], DASHES[place // len(SERIES) % len(DASHES)], "stroke", 2.2))
        for place in range(count)
    )
