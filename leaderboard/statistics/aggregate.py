"""The names that the board's pages use, in one place: aggregates and their intervals under the named policy."""

from __future__ import annotations

from leaderboard.statistics.conventions import STATISTICS_POLICY, Policy
from leaderboard.statistics.curves import iqm_curve
from leaderboard.statistics.intervals import Estimate, iqm_estimate
from leaderboard.statistics.metrics import Array, Scores, balanced, iqm, iqm_rliable, mean, median, optimality_gap

__all__ = [
    "STATISTICS_POLICY",
    "Array",
    "Estimate",
    "Policy",
    "Scores",
    "balanced",
    "iqm",
    "iqm_curve",
    "iqm_estimate",
    "iqm_rliable",
    "mean",
    "median",
    "optimality_gap",
]
