"""Synthetic results of a study: every cell finished, with curves, measures and gradient cosines, none ever measured."""

import math

import numpy as np

from leaderboard.board import learning
from leaderboard.store.details import Series
from leaderboard.studies.evidence import Evidence
from leaderboard.studies.expansion import Expanded
from leaderboard.studies.simulation import run_of
from suite.tasks import GAMES


def made_up(expanded: Expanded, *, share: float = 1.0, points: int = 12) -> Evidence:
    """Return results of a share of the cells of every configuration, the same for the same arguments."""
    source = np.random.default_rng(7)
    runs: dict[str, list[object]] = {}
    measures, cosines = {}, {}
    for place, (config_id, point) in enumerate(expanded.configurations.items()):
        cells = [(game, seed) for seed in expanded.seeds for game in expanded.games]
        frames = point.resolved.spec.frames
        count = learning.iterations(expanded.task, frames)
        for game, seed in cells[: math.ceil(share * len(cells))]:
            level = (1 + 0.15 * place) * math.exp(0.2 * source.normal())
            low, high = (GAMES[game].random_score or 0.0), (GAMES[game].human_score or 100.0)
            curve = {i: low + level * (high - low) * (i + 1) / count for i in range(count)}
            runs.setdefault(config_id, []).append(run_of(config_id, game, seed, curve[count - 1], curve))
            at = tuple(range(frames // points, frames + 1, max(1, frames // points)))
            measures[config_id, game, seed] = {
                name: Series(at, tuple(level * (1 + i) for i in range(len(at))))
                for name in ("q_target_variance", "parameter_norm", "q_norm", "srank", "dormant_0.1", "gradient_cosine")
            }
            square = np.clip(source.normal(0, 0.3, (8, 8)), -1, 1)
            cosines[config_id, game, seed] = tuple(map(tuple, ((square + square.T) / 2).round(3).tolist()))
    return Evidence(runs, measures, (), cosines)  # type: ignore[arg-type]
