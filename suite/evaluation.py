"""Evaluation episodes: played with fixed parameters, recorded with their actions, and each a function of its number.

Episode i has an emulator seed, exploration and an agent's key of its own, and is always played in environment
i modulo EVALUATION_ENVS. So it comes out the same whichever others were played before: an evaluation that was
interrupted goes on with the episodes that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from suite.agent import Learner
from suite.envs.base import Envs
from suite.programs import Programs
from suite.rng import Exploration, Streams

EVALUATION_ENVS = 10
"""How many episodes are played at a time. Another number may give other bits: rows of one batch share a program."""


@dataclass(frozen=True, slots=True)
class EvaluationEpisode:
    """A finished evaluation episode; `actions` has one byte an agent step, `raw_return` is unclipped."""

    number: int
    actions: bytes
    raw_return: float
    truncated: bool
    emulator_seed: int


@dataclass(slots=True)
class _Playing:
    """An episode in progress."""

    number: int
    stack: NDArray[np.uint8]
    exploration: Exploration
    key_data: NDArray[np.uint32]
    actions: bytearray
    raw_return: float = 0.0


def evaluate(
    programs: Programs,
    learner: Learner,
    streams: Streams,
    envs: Envs,
    episodes: int,
    epsilon: float,
    done: Collection[int],
    look: Callable[[], None],
) -> Iterator[EvaluationEpisode]:
    """Yield the evaluation episodes 0 to `episodes` - 1 that are not in `done`, as they end.

    `envs` are EVALUATION_ENVS environments. `look` is called at every step, and may raise.
    """
    queues = [
        [number for number in range(episodes) if number % EVALUATION_ENVS == slot and number not in done]
        for slot in range(EVALUATION_ENVS)
    ]
    blank = np.zeros((programs.stack, programs.screen, programs.screen), np.uint8)
    playing: list[_Playing | None] = [None] * EVALUATION_ENVS
    over, started = set(range(EVALUATION_ENVS)), set[int]()
    while any(queues) or any(playing):
        begin: dict[int, int | None] = {}
        for slot in sorted(over):
            playing[slot] = None
            if queues[slot]:
                number = queues[slot].pop(0)
                name = f"evaluation/{number}"
                playing[slot] = _Playing(number, blank, Exploration(streams, name), streams.key_data(name), bytearray())
                begin[slot] = streams.emulator_seed(number, "evaluation")
            else:  # idle: played on, not looked at
                begin[slot] = None if slot in started else 0
            started.add(slot)
        if over:
            mask = np.isin(np.arange(EVALUATION_ENVS), sorted(over))
            first = envs.reset([begin[slot] for slot in sorted(over)], None if mask.all() else mask)
            for slot in over:
                episode = playing[slot]
                if episode is not None:
                    episode.stack = _pushed(blank, first[slot])
        look()
        envs.send(_actions(programs, learner, playing, epsilon))
        answer = envs.receive()
        over = set()
        for slot in range(EVALUATION_ENVS):
            truncated = bool(answer.truncated[slot])
            if answer.discount[slot] == 0 or truncated:
                over.add(slot)
            episode = playing[slot]
            if episode is None:
                continue
            episode.raw_return += float(answer.reward[slot])
            if slot in over:
                seed = streams.emulator_seed(episode.number, "evaluation")
                yield EvaluationEpisode(episode.number, bytes(episode.actions), episode.raw_return, truncated, seed)
                if not queues[slot]:
                    playing[slot] = None
            else:
                lost = answer.life_lost is not None and bool(answer.life_lost[slot])
                episode.stack = _pushed(blank if lost else episode.stack, answer.observation[slot])


def _actions(programs: Programs, learner: Learner, playing: list[_Playing | None], epsilon: float) -> NDArray[np.int64]:
    """Choose an action for every episode in progress, and note it."""
    blank = np.zeros((programs.stack, programs.screen, programs.screen), np.uint8)
    stacks = np.stack([blank if episode is None else episode.stack for episode in playing])
    keys = [np.zeros(2, np.uint32) if episode is None else episode.key_data for episode in playing]
    steps = np.asarray([0 if episode is None else len(episode.actions) for episode in playing], np.uint32)
    chosen = programs.evaluate(learner, stacks, np.stack(keys), steps).astype(np.int64)
    for slot, episode in enumerate(playing):
        if episode is None:
            continue
        coin, choice = episode.exploration.draw(len(episode.actions))
        if coin <= epsilon:
            chosen[slot] = int(choice * programs.actions)
        episode.actions.append(int(chosen[slot]))
    return chosen


def _pushed(stack: NDArray[np.uint8], frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.concatenate([stack[1:], frame[None]])
