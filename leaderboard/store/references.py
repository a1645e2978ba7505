"""Results that others published, as configurations to compare with.

Dopamine's training curves on Atari and MuJoCo, and the final scores of Atari 100k that Agarwal et al. (2021) published.
"""

from __future__ import annotations

import csv
import functools
import gzip
import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from importlib import resources

from leaderboard.store.database import ResultStore
from leaderboard.store.models import PUBLISHED, PUBLISHED_SCORES, Configuration, Run
from leaderboard.store.rows import NewRun
from suite.records.claims import IterationMean
from suite.tasks import Task, load_task

FILE = "dopamine_atari_train_returns.csv.gz"
SOURCE = "google/dopamine baselines/atari/data, Apache-2.0"
FINGERPRINT = "published"
TASKS = ("atari40m", "atari60")
"""The tasks whose protocol (sticky actions, 108,000-frame cap, training returns) these curves follow."""

AGENTS = ("DQN", "C51", "QR-DQN", "Rainbow", "IQN")
NETWORKS = ("nature_cnn", "impala")
ITERATION_FRAMES = 1_000_000

CAVEATS = (
    "Mean training returns per iteration of 1M frames, not episodes: nothing that needs episodes can be computed, and "
    "the score is the value of the last iteration within the budget.",
    "The source does not say that run k of one iteration is run k of the next; the numbers do: what is left of "
    "neighbouring iterations without their game's mean correlates 0.5.",
)
IMPALA_CAVEAT = "The configuration of this Impala network, its width among it, is unpublished."
RAINBOW_CAVEAT = "Whether these Rainbow runs (published in 2024) sampled by priority is unpublished."

MUJOCO_FILE = "dopamine_mujoco_train_returns.csv.gz"
MUJOCO_SOURCE = "google/dopamine baselines/mujoco/data, Apache-2.0"
MUJOCO_TASK = "mujoco"
MUJOCO_FILE_STEPS = 1_000
"""Environment steps of one of the file's iterations, of which it has every tenth."""
MUJOCO_CAVEATS = (
    "Published for the v2 environments, which no longer run: set beside v4 for orientation, not as a comparison.",
    "Mean training returns with sampled actions, every 10,000 steps; the score is the mean of those in the last 10 % "
    "of a million steps, not of 30 greedy episodes. The settings are not all those of the sac of this suite: 10,000 "
    "steps of warm-up, the mean action in targets.",
)

ATARI_100K_FILE = "atari_100k_published_runs.csv.gz"
ATARI_100K_SOURCE = "Agarwal et al. 2021, by way of evgenii-nikishin/rl_with_resets at 502ec52, MIT"
ATARI_100K_TASK = "atari100k"
ATARI_100K_CAVEATS = (
    "Final scores of a hundred runs a game (Agarwal et al. 2021, arXiv 2108.13264, as kept in "
    "evgenii-nikishin/rl_with_resets at 502ec52, MIT): no curves and no episodes.",
    "Networks, code and the number of episodes behind a score are not part of this source; run numbers are those of "
    "its order.",
)

_Curves = dict[tuple[str, str, str], dict[int, list[tuple[int, float]]]]


def add_references(store: ResultStore) -> int:
    """Load the published curves that a database lacks; return how many configurations were added."""
    tasks = [load_task(name) for name in TASKS]
    wanted = {_config_id(task, agent, network) for task in tasks for agent in AGENTS for network in NETWORKS}
    wanted.add(_config_id(load_task(MUJOCO_TASK), "SAC", "mlp"))
    wanted.update(_final_id(load_task(ATARI_100K_TASK), agent) for agent in final_scores())
    with store.snapshot() as snapshot:
        if wanted <= snapshot.config_ids():
            return 0
    return store.add_published(_configurations(tasks, _curves()))


def _configurations(tasks: list[Task], curves: _Curves) -> Iterator[tuple[Configuration, list[NewRun]]]:
    for task in tasks:
        for agent in AGENTS:
            for network in NETWORKS:
                yield _configuration(task, agent, network), _runs(task, agent, network, curves)
    yield _mujoco()
    yield from _final()


def _mujoco() -> tuple[Configuration, list[NewRun]]:
    task = load_task(MUJOCO_TASK)
    config_id = _config_id(task, "SAC", "mlp")
    window, whole = task.score_window(task.budget.length)
    runs = []
    for (game, number), curve in sorted(mujoco_curves().items()):
        points = [(frame, mean) for frame, mean in sorted(curve) if frame <= whole]
        means = [((frame - 1) // task.budget.iteration_length, mean) for frame, mean in points]
        last = [mean for frame, mean in points if frame > window]
        row = _run_row(config_id, game, number, whole, means, math.fsum(last) / len(last), MUJOCO_SOURCE)
        runs.append(NewRun(row, tuple(IterationMean(index, mean, None) for index, mean in means)))
    return _published(task, config_id, "SAC", "mlp", MUJOCO_CAVEATS), runs


def _final() -> Iterator[tuple[Configuration, list[NewRun]]]:
    task = load_task(ATARI_100K_TASK)
    for agent, games in final_scores().items():
        config_id = _final_id(task, agent)
        runs = [
            NewRun(_run_row(config_id, game, number, task.budget.length, [], score, ATARI_100K_SOURCE), ())
            for game in sorted(games)
            for number, score in enumerate(games[game])
        ]
        yield _published(task, config_id, agent, "", ATARI_100K_CAVEATS, PUBLISHED_SCORES), runs


@functools.cache
def final_scores() -> dict[str, dict[str, list[float]]]:
    """Read the file: agent to game to final raw returns, in the order of its runs."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for agent, game, _, score in _rows(ATARI_100K_FILE):
        found[agent][game].append(float(score))
    return {agent: dict(games) for agent, games in found.items()}


def _final_id(task: Task, agent: str) -> str:
    return f"agarwal.{agent.replace('(', '_').strip(')')}.{task.key}".lower()


def mujoco_curves() -> dict[tuple[str, int], list[tuple[int, float]]]:
    """Read the file: environment and run to (environment steps, mean raw training return) pairs."""
    curves: dict[tuple[str, int], list[tuple[int, float]]] = defaultdict(list)
    for _, environment, run, iteration, mean in _rows(MUJOCO_FILE):
        steps = (int(float(iteration)) + 1) * MUJOCO_FILE_STEPS
        curves[environment.removesuffix("-v2"), int(run)].append((steps, float(mean)))
    return dict(curves)


def _config_id(task: Task, agent: str, network: str) -> str:
    return f"dopamine.{agent}.{network}.{task.key}".lower()


def _configuration(task: Task, agent: str, network: str) -> Configuration:
    caveats = list(CAVEATS)
    caveats += [IMPALA_CAVEAT] * (network == "impala")
    caveats += [RAINBOW_CAVEAT] * (agent == "Rainbow")
    return _published(task, _config_id(task, agent, network), agent, network, caveats)


def _published(
    task: Task, config_id: str, agent: str, network: str, caveats: Sequence[str], source: str = PUBLISHED
) -> Configuration:
    return Configuration(
        config_id=config_id,
        source=source,
        task=task.key,
        frames=task.budget.length,
        shortened=False,
        agent=agent,
        network=network,
        width=None,
        method="dense",
        spec=None,
        caveats=json.dumps(list(caveats)),
    )


def _runs(task: Task, agent: str, network: str, curves: _Curves) -> list[NewRun]:
    last = task.budget.length // ITERATION_FRAMES - 1
    runs = []
    for game in sorted(task.games):
        for number, curve in sorted(curves[agent, network, game].items()):
            means = [(i, mean) for i, mean in sorted(curve) if i <= last]
            row = _run_row(
                _config_id(task, agent, network), game, number, task.budget.length, means, dict(means).get(last)
            )
            runs.append(NewRun(row, tuple(IterationMean(i, mean, None) for i, mean in means)))
    return runs


def _run_row(
    config_id: str,
    game: str,
    number: int,
    frames: int,
    means: list[tuple[int, float]],
    score: float | None,
    source: str = SOURCE,
) -> Run:
    content = json.dumps([config_id, game, number, means] if means else [config_id, game, number, score])
    return Run(
        config_id=config_id,
        game=game,
        seed=number,
        environment_fingerprint=FINGERPRINT,
        attempt=1,
        current=True,
        state="done",
        frames=frames,
        score=score,
        departures="{}",
        provenance=json.dumps({"source": source}),
        started_at="",
        ended_at="",
        digest=hashlib.sha256(content.encode()).hexdigest(),
    )


def _curves() -> _Curves:
    """Read the file: (agent, network, game) and run to (iteration, mean raw training return) pairs."""
    curves: _Curves = defaultdict(lambda: defaultdict(list))
    for agent, network, game, run, iteration, mean in _rows(FILE):
        curves[agent, network, game][int(run)].append((int(iteration), float(mean)))
    return dict(curves)


def _rows(file: str) -> Iterator[list[str]]:
    """Read a compressed table of this package, without its head."""
    with (resources.files("leaderboard") / "data" / file).open("rb") as raw, gzip.open(raw, "rt", newline="") as text:
        rows = csv.reader(text)
        next(rows)
        yield from rows
