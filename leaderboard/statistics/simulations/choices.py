"""What rules were chosen by: the simulations beside those that prove them, one function for each choice.

`ci/simulate choices` repeats them: how many games need two runs before an interval is given, which degrees of freedom
and which factor ranks need with mixed numbers of seeds, how small p has to be where a pair is looked at again, and what
pairing by seed would gain. Every simulated board has its own key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.special import ndtr, stdtr  # type: ignore[import-untyped]

from leaderboard.statistics import looks
from leaderboard.statistics.influence import error_of, iqm_influence
from leaderboard.statistics.intervals import interval
from leaderboard.statistics.metrics import TRIM, Array, Scores, lay_out
from leaderboard.statistics.ranks import moments, normal_scale, simulated_maxima
from leaderboard.statistics.replicates import of_points
from leaderboard.statistics.simulations.comparisons import DRAWS, ENTRIES, base_of, p_by_runs
from leaderboard.statistics.simulations.coverage import SIMULATION_POLICY, Cell, draw, true_iqm, worlds_of
from leaderboard.statistics.simulations.worlds import board, middle, population, stream

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the games with two runs, one game at least."""

MIXES = ((2, 10), (3, 10), (5,))
"""Numbers of seeds that the entries of a board have in turn."""

CORRELATIONS = (0.0, 0.2, 0.4, 0.6)
"""Correlations of the runs of one seed."""

NOISES = ("real", "long tails", "collapse", "rivals", "atari 100k", "rivals 100k")

Row = dict[str, Any]


def seeded(sets: int) -> list[Row]:
    """Return how often intervals cover where some games have two runs and the others one."""
    rows = []
    for noise in ("real", "collapse", "atari 100k"):
        for share in SHARES:
            covered = [_one_seeded(noise, share, number) for number in range(sets)]
            rows.append({"noise": noise, "share": share, "covered": float(np.mean(covered)), "sets": sets})
    return rows


def _one_seeded(noise: str, share: float, number: int) -> bool:
    worlds = worlds_of(noise)
    world = number % len(worlds)
    scores = draw(worlds[world], Cell(noise, 2, 0.0), f"seeded/{noise}/{share}/{number}")
    names = sorted(scores)
    order = stream(f"seeded/{noise}/{share}/{number}").permutation(len(names))
    twice = {names[i] for i in order[: max(1, round(share * len(names)))]}
    layout = lay_out({name: values if name in twice else values[:1] for name, values in scores.items()})
    if not any(np.ptp(scores[name]) > 0 for name in twice):
        return False
    found = interval(of_points(layout, SIMULATION_POLICY, SIMULATION_POLICY.final_repetitions, "simulation")[0])
    truth = true_iqm(world, noise, TRIM)
    return found.low is not None and found.high is not None and found.low <= truth <= found.high


def degrees(boards: int) -> list[Row]:
    """Return by what factor the bar of ranks is to be raised so that 95 % of boards of equal entries hold together.

    With the degrees of freedom of Welch and Satterthwaite and with the smaller of both sides'.
    """
    rows = []
    for noise in NOISES:
        for runs in MIXES:
            ratios = np.array([_one_board(noise, runs, number) for number in range(boards)])
            factors = np.quantile(ratios, 0.95, axis=0).tolist()
            rows.append({"noise": noise, "runs": list(runs), "welch": factors[0], "smaller": factors[1]})
            rows[-1] |= {"welch holds at 1.12": float((ratios[:, 0] <= 1.12).mean()), "boards": boards}
    return rows


def _one_board(noise: str, runs: Sequence[int], number: int) -> tuple[float, float]:
    """Return how far the largest difference of a board of equal entries lies beyond the bar, by both rules."""
    key = f"degrees/{noise}/{list(runs)}/{number}"
    values, errors, freedom = moments(board(key, runs, noise, (1.0,) * ENTRIES, base=base_of(key, noise)))
    i, j = np.triu_indices(len(values), 1)
    squares = errors[i] ** 2 + errors[j] ** 2
    t = np.abs(values[i] - values[j]) / np.sqrt(squares)
    welch = squares**2 / (errors[i] ** 4 / freedom[i] + errors[j] ** 4 / freedom[j])
    bar = float(np.quantile(simulated_maxima(errors, DRAWS), 0.95))
    found = [float(normal_scale(t, rule).max()) / bar for rule in (welch, np.minimum(freedom[i], freedom[j]))]
    return found[0], found[1]


def levels(blocks: int) -> list[Row]:
    """Return how small p has to be so that looking again is wrong in 5 %: `one` level for all looks from 2 to 50 seeds.

    `others`: that of all looks but the planned one where the planned look has p / 0.8.
    """
    rows = []
    for noise in ("real", "collapse", "rivals", "atari 100k", "rivals 100k"):
        found = [p_by_runs(f"levels/{noise}/{number}", noise, 0.0) for number in range(blocks)]
        p = {runs: np.concatenate([block[runs] for block in found]) for runs in found[0]}
        every = np.min(list(p.values()), axis=0)
        planned = p[5] < 0.05 * looks.PLANNED_SHARE
        rest = np.sort(np.min([values for runs, values in p.items() if runs != 5], axis=0)[~planned])
        left = int(0.05 * len(every)) - int(planned.sum())
        rows.append(
            {
                "noise": noise,
                "one": float(np.quantile(every, 0.05)),
                "others": float(rest[left]) if left > 0 else 0.0,
                "pairs": len(every),
            }
        )
    return rows


def pairing(pairs: int) -> list[Row]:
    """Return what an unpaired test and one paired by seed find at five seeds, where runs of one seed correlate.

    Without a difference, and where the second entry is 10 % better, on Dopamine's scores with their own residuals.
    """
    rows = []
    for correlation in CORRELATIONS:
        found: Row = {"correlation": correlation, "pairs": pairs}
        for name, effect in (("false", 0.0), ("power", 0.1)):
            tests = [_one_pair(f"pairing/{correlation}/{number}", correlation, effect) for number in range(pairs)]
            shares = np.mean(np.array(tests) < 0.05, axis=0).tolist()
            found |= {f"{name}, unpaired": shares[0], f"{name}, paired": shares[1]}
        rows.append(found)
    return rows


def _one_pair(key: str, correlation: float, effect: float, runs: int = 5) -> tuple[float, float]:
    """Return p of both tests for a pair whose equally numbered runs correlate."""
    found, base = population(), base_of(key, "real")
    normal = stream(key).normal(size=(2, len(found.games), runs))
    normal[1] = correlation * normal[0] + np.sqrt(1 - correlation**2) * normal[1]
    residuals = np.sort(found.real)[(ndtr(normal) * len(found.real)).astype(np.int64)]
    scores = found.means[base][:, None] + found.spreads[base][:, None] * residuals
    sides = [_named(scores[0]), _named((1 + effect) * scores[1])]
    difference = middle(scores[:1].reshape(1, -1))[0] - (1 + effect) * middle(scores[1:].reshape(1, -1))[0]
    influences = [iqm_influence(side)[1] for side in sides]
    errors = [error_of(item) for item in influences]
    squared = sum((error or 0.0) ** 2 for error, _ in errors)
    freedom = squared**2 / sum((error or 0.0) ** 4 / (degrees or 1.0) for error, degrees in errors)
    apart, fewer = error_of({name: influences[0][name] - influences[1][name] for name in influences[0]})
    return _tail(difference, squared**0.5, freedom), _tail(difference, apart or np.inf, fewer or 1.0)


def _named(scores: Array) -> Scores:
    return {f"game-{g:02}": values for g, values in enumerate(scores)}


def _tail(difference: float, error: float, freedom: float) -> float:
    return float(2 * stdtr(freedom, -abs(difference) / error))


CHOICES: dict[str, tuple[Callable[[int], list[Row]], int]] = {
    "seeded": (seeded, 160),
    "degrees": (degrees, 1_000),
    "levels": (levels, 10),
    "pairing": (pairing, 2_000),
}
"""Each choice with its number of data sets a row, boards, blocks of a hundred pairs, or pairs."""
