"""Performance profiles as lines for a chart."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from leaderboard.board.report import TaskData
from leaderboard.board.standings import normalized_scores
from leaderboard.board.views import TaskPage
from leaderboard.site.drawing.charts import Line, Point
from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.metrics import Scores, profile
from leaderboard.statistics.proportions import profile_estimates

TAUS = 81
"""How many scores a profile is evaluated at."""

LAST, RARE = 8.0, 0.05
"""The highest score that is drawn, and the share of runs below which a profile needs not be drawn any further."""


def profile_lines(page: TaskPage, data: TaskData, chosen: Collection[str]) -> list[Line]:
    """Return the profiles of complete entries among `chosen` configurations: the share of runs above each score.

    Every game weighs the same. Scores go from 0 to where every entry has fewer than `RARE` of its runs above, and no
    further than `LAST`.
    """
    entries = [row.entry for row in page.full.standings if row.estimate is not None and row.entry.config_id in chosen]
    scores = {entry.config_id: normalized_scores(data.runs_of(entry.config_id)) for entry in entries}
    if not scores:
        return []
    taus = np.linspace(0.0, _end(list(scores.values())), TAUS)
    lines = []
    for entry in entries:
        shares = profile_estimates(scores[entry.config_id], taus, replace(STATISTICS_POLICY, curve_repetitions=1))
        points = (Point(round(float(tau), 4), e.value, e.low, e.high) for tau, e in zip(taus, shares, strict=True))
        lines.append(Line(entry, tuple(points)))
    return lines


def _end(every: Sequence[Scores]) -> float:
    """Return the score that ends the axis, a multiple of 0.5."""
    ends = np.arange(0.5, LAST, 0.5)
    rare = np.all([profile(scores, ends) < RARE for scores in every], axis=0)
    return float(ends[np.argmax(rare)]) if rare.any() else LAST
