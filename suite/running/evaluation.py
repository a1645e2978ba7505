"""Evaluation episodes: played with fixed parameters, recorded with their actions, and each a function of its number.

Episode i of the evaluation at a step has an emulator seed, exploration and an agent's key of its own, and is always
played in environment i modulo EVALUATION_ENVS. So it comes out the same whichever others were played before: an
evaluation that was interrupted goes on with the episodes that are missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Learner
from suite.experience.envs.base import Envs
from suite.experience.observations import Observation
from suite.learning.programs import Programs
from suite.monitor import SILENT, Monitor
from suite.records.schedule import is_complete, stream_name
from suite.rng import Exploration, Streams
from suite.tasks import Evaluation

EVALUATION_ENVS = 10
"""How many episodes are played at a time. Another number may give other bits: rows of one batch share a program."""


@dataclass(frozen=True, slots=True)
class EvaluationEpisode:
    """A finished evaluation episode of `length` agent steps; `raw_return` is unclipped; for `actions` see `Inputs`."""

    number: int
    length: int
    actions: bytes
    raw_return: float
    truncated: bool
    emulator_seed: int


@dataclass(slots=True)
class _Playing:
    """An episode in progress."""

    number: int
    observation: Observation
    exploration: Exploration
    key_data: NDArray[np.uint32]
    actions: bytearray
    length: int = 0
    raw_return: float = 0.0


def evaluate(
    programs: Programs,
    learner: Learner,
    streams: Streams,
    envs: Envs,
    evaluation: Evaluation,
    step: int,
    done: Mapping[int, int],
    monitor: Monitor = SILENT,
) -> Iterator[EvaluationEpisode]:
    """Yield the episodes of the evaluation at `step`, in the order of their numbers, but for those in `done`.

    `done` maps numbers from 0 on to lengths. `envs` are EVALUATION_ENVS environments. The monitor
    hears of every step, and may have it stopped.
    """
    lengths = dict(done)
    player = _Player(programs, learner, streams, envs, evaluation, step, len(lengths))
    while not is_complete(evaluation, lengths):
        monitor.tick(len(lengths), evaluation.episodes or 0)
        number = len(lengths)
        if number not in player.finished:
            player.advance()
            continue
        episode = player.finished.pop(number)
        lengths[number] = episode.length
        yield episode


class _Player:
    """Plays episodes from number `first` on; `finished` holds those that nobody has taken yet."""

    def __init__(
        self,
        programs: Programs,
        learner: Learner,
        streams: Streams,
        envs: Envs,
        evaluation: Evaluation,
        step: int,
        first: int,
    ) -> None:
        self.finished: dict[int, EvaluationEpisode] = {}
        self._programs = programs
        self._learner = learner
        self._streams = streams
        self._envs = envs
        self._evaluation = evaluation
        self._name = stream_name(step)
        self._next = [first + (slot - first) % EVALUATION_ENVS for slot in range(EVALUATION_ENVS)]
        self._playing: list[_Playing | None] = [None] * EVALUATION_ENVS
        self._over, self._started = set(range(EVALUATION_ENVS)), False

    def advance(self) -> None:
        """Take one agent step in every environment."""
        if self._over:
            self._begin()
        inputs = self._programs.inputs
        answer = self._envs.step(self._actions())
        for slot, episode in enumerate(self._playing):
            truncated = bool(answer.truncated[slot])
            over = truncated or bool(answer.discount[slot] == 0)
            if over:
                self._over.add(slot)
            if episode is None:
                continue
            episode.raw_return += float(answer.reward[slot])
            if over:
                self._end(slot, episode, truncated)
            else:
                lost = answer.life_lost is not None and bool(answer.life_lost[slot])
                episode.observation = inputs.next(episode.observation, answer.observation[slot], life_lost=lost)

    def _begin(self) -> None:
        """Start episodes where some ended; an environment without one is played on, and not looked at."""
        slots = sorted(self._over)
        seeds: list[int | None] = []
        for slot in slots:
            number = self._next[slot]
            wanted = self._evaluation.episodes is None or number < self._evaluation.episodes
            seeds.append(self._seed(number) if wanted else None if self._started else 0)
            if wanted:
                self._next[slot] += EVALUATION_ENVS
                name = f"{self._name}/{number}"
                key = self._streams.key_data(name)
                blank = self._programs.inputs.blank()
                self._playing[slot] = _Playing(number, blank, Exploration(self._streams, name), key, bytearray())
        mask = np.isin(np.arange(EVALUATION_ENVS), slots)
        first = self._envs.reset(seeds, None if mask.all() else mask)
        for slot in slots:
            episode = self._playing[slot]
            if episode is not None:
                episode.observation = self._programs.inputs.first(first[slot])
        self._over, self._started = set(), True

    def _end(self, slot: int, episode: _Playing, truncated: bool) -> None:
        self._playing[slot] = None
        self.finished[episode.number] = EvaluationEpisode(
            episode.number,
            episode.length,
            bytes(episode.actions),
            episode.raw_return,
            truncated,
            self._seed(episode.number),
        )

    def _seed(self, number: int) -> int:
        return self._streams.emulator_seed(number, self._name)

    def _actions(self) -> NDArray[Any]:
        """Choose an action for every episode in progress, and note it."""
        inputs, blank = self._programs.inputs, self._programs.inputs.blank()
        observations = np.stack([blank if episode is None else episode.observation for episode in self._playing])
        keys = [np.zeros(2, np.uint32) if episode is None else episode.key_data for episode in self._playing]
        steps = np.asarray([0 if episode is None else episode.length for episode in self._playing], np.uint32)
        chosen = self._programs.evaluate(self._learner, observations, np.stack(keys), steps).copy()
        for slot, episode in enumerate(self._playing):
            if episode is None:
                continue
            if self._evaluation.epsilon > 0:
                epsilon, actions = self._evaluation.epsilon, self._programs.actions
                explored = episode.exploration.action(episode.length, epsilon, actions)
                chosen[slot] = chosen[slot] if explored is None else explored
            episode.actions += inputs.recorded(chosen[slot])
            episode.length += 1
        return chosen
