"""What rules were chosen by: the simulations beside those that prove them, one function for each choice.

`ci/simulate choices` repeats them: how many games need two runs before an interval is given, which degrees of freedom
and which factor ranks need with mixed numbers of seeds, how small p has to be where a pair is looked at again, and what
pairing by seed would gain. Every simulated board has its own key.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from leaderboard.statistics import looks
from leaderboard.statistics.intervals import interval, student_interval
from leaderboard.statistics.metrics import TRIM, iqm, lay_out
from leaderboard.statistics.pairing import exchange_p, pair_error
from leaderboard.statistics.permutation import permutation_p
from leaderboard.statistics.ranks import moments, normal_scale, simulated_maxima
from leaderboard.statistics.replicates import of_points
from leaderboard.statistics.simulations.comparisons import DEALINGS, DRAWS, EFFECTS, ENTRIES, base_of, p_by_runs
from leaderboard.statistics.simulations.coverage import SIMULATION_POLICY, Cell, draw, true_iqm, worlds_of
from leaderboard.statistics.simulations.worlds import board, correlated, stream

SHARES = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Shares of the games with two runs, one game at least."""

MIXES = ((2, 10), (3, 10), (5,))
"""Numbers of seeds that the entries of a board have in turn."""

CORRELATIONS = (0.0, 0.3, 0.6, 0.9)
"""Correlations of the runs of one seed."""

PAIRED_NOISES = ("real", "rivals", "atari 100k", "rivals 100k")
"""Noises in which runs of one seed are paired."""

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


def pairing(pairs: int) -> Iterator[Row]:
    """Yield what is found by the unpaired test and by the one paired by seed, where runs of one seed correlate.

    Without a difference, and, over a quarter of the pairs, where the second entry is better by as much as `EFFECTS`
    says; in both worlds, on three games and on all. The interval is that of the pairs.
    """
    for noise, games in itertools.product(PAIRED_NOISES, (3, 26)):
        for runs, correlation in itertools.product((5, 10), CORRELATIONS):
            cell: Row = {"noise": noise, "games": games, "runs": runs, "correlation": correlation}
            key, count = f"pairing/{json.dumps(cell)}", max(1, pairs // 4)
            effect = EFFECTS.get(noise, 0.1)
            wrong = [_one_pair(f"{key}/{number}", effect=0.0, **cell) for number in range(pairs)]
            found = [_one_pair(f"{key}/{number}", effect=effect, **cell) for number in range(count)]
            shares = {"false": np.mean(wrong, axis=0).tolist(), "power": np.mean(found, axis=0).tolist()}
            yield cell | {"effect": effect, "pairs": pairs} | shares


def _one_pair(key: str, noise: str, games: int, runs: int, correlation: float, effect: float) -> list[bool]:
    """Return whether a pair is told apart: unpaired, paired, and by the interval of the pairs."""
    first, second = correlated(key, noise, games, runs, correlation, effect)
    interval = student_interval(iqm(first) - iqm(second), pair_error(first, second))
    outside = interval.low is not None and interval.high is not None and not interval.low <= 0 <= interval.high
    tests = [test(first, second, permutations=DEALINGS // 2) for test in (permutation_p, exchange_p)]
    return [p < 0.05 for p in tests] + [outside]


CHOICES: dict[str, tuple[Callable[[int], Iterable[Row]], int]] = {
    "seeded": (seeded, 160),
    "degrees": (degrees, 1_000),
    "levels": (levels, 10),
    "pairing": (pairing, 1_000),
}
"""Each choice with its number of data sets a row, boards, blocks of a hundred pairs, or pairs."""
