"""Looking again: what a p is worth where the same pair is looked at with several numbers of seeds.

Whoever adds a seed and compares again until p is small finds something where nothing is. So the 5 % that a verdict may
be wrong are spent over all looks. The look that the task plans, with its own number of seeds in every game, gets p /
0.8 and so four of the five percent. Any other look gets twice the chance that a difference of nothing, looked at
without end while 2 seeds a game become 50, ever gets so far (Siegmund 1985, of a Brownian motion B):

    P(max |B(t)| / sqrt(t) >= c, 2 <= t <= 50) = phi(c) ((c - 1 / c) ln(50 / 2) + 4 / c),   c the normal quantile of p.

The factors were chosen by simulation (docs/comparisons.md): together all looks are wrong in about 5 % of the cases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from scipy.special import ndtri  # type: ignore[import-untyped]

from leaderboard.statistics.metrics import Scores

Look = Literal["only", "planned", "other"]
"""How often a pair is looked at: once, as runs of others that will not grow; with the seeds planned; or otherwise."""

PLANNED_SHARE = 0.8
"""The share of the risk that the planned look gets."""

OTHERS = 2.0
"""What the chance of ever getting so far is multiplied by at any other look."""

FEWEST, MOST = 2, 50
"""The numbers of seeds a game between which looks are covered."""


def look_at(growing: Iterable[Scores], planned: int | None) -> Look:
    """Return what kind of look a comparison is; `growing` are the entries of it that may get more runs.

    `planned` is how many seeds a game were decided on before any was run; None where there is no such number.
    """
    sides = list(growing)
    if not sides or planned is None:
        return "only"
    whole = all(len(values) == planned for scores in sides for values in scores.values())
    return "planned" if whole else "other"


def adjusted_p(p: float, look: Look) -> float:
    """Return the p that may be compared with 5 % at every look."""
    if look == "only":
        return p
    return min(1.0, p / PLANNED_SHARE if look == "planned" else OTHERS * crossing(p))


def crossing(p: float) -> float:
    """Return the chance that a two-sided p as small as this ever turns up between the fewest and the most seeds."""
    c = float(-ndtri(p / 2))
    if c <= 1:
        return 1.0
    density = math.exp(-c * c / 2) / math.sqrt(2 * math.pi)
    return min(1.0, density * ((c - 1 / c) * math.log(MOST / FEWEST) + 4 / c))


def level_at(look: Look, level: float) -> float:
    """Return how small p must be for `adjusted_p` to be `level`: by halving."""
    low, high = 0.0, level
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if adjusted_p(middle, look) < level else (low, middle)
    return high
