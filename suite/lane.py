"""A lane: one cell's environment, replay, learner and clocks, advanced one agent step at a time.

The published single-environment protocol: one environment, one agent step, and every `update_period` agent steps one
set of updates. What a lane does depends on its cell alone, never on what runs beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import jax
import numpy as np
from numpy.typing import NDArray

from suite.agent import Feedback, Learner
from suite.envs.base import Envs
from suite.programs import Programs
from suite.replay.frames import FrameReplay
from suite.rng import Exploration, Streams


@dataclass(frozen=True, slots=True)
class FinishedEpisode:
    """An episode that ended at `agent_step`; `actions` has one byte an agent step, `raw_return` is unclipped."""

    number: int
    agent_step: int
    actions: bytes
    raw_return: float
    truncated: bool
    emulator_seed: int


class Lane:
    """One cell in progress: its programs, its environment (one), its random streams."""

    def __init__(self, programs: Programs, envs: Envs, streams: Streams, reward_clip: float) -> None:
        self.step = 0
        self.updates = 0
        self.episodes = 0
        self._programs = programs
        self._plan = programs.plan
        self._envs = envs
        self._streams = streams
        self._reward_clip = reward_clip
        self._exploration = Exploration(streams)
        self._replay = FrameReplay.empty(self._plan.capacity, (programs.screen, programs.screen), programs.stack)
        self._stack = np.zeros((programs.stack, programs.screen, programs.screen), np.uint8)
        self.learner: Learner = programs.init(self._streams)
        self._feedback: Feedback | None = None
        self._begin_episode()

    def advance(self) -> FinishedEpisode | None:
        """Take one agent step, with the updates due after it; return the episode that it ended, if it did."""
        self.step += 1
        action = self._choose_action()
        time_step = self._envs.step(np.asarray([action]))
        reward, terminal = float(time_step.reward[0]), time_step.discount[0] == 0
        truncated = bool(time_step.truncated[0])
        clipped = min(self._reward_clip, max(-self._reward_clip, reward))
        self._replay.add(self._stack[-1], action, clipped, terminal=bool(terminal), truncated=truncated)
        self._return += reward
        self._actions.append(action)
        self._learn()
        if terminal or truncated:
            return self._end_episode(truncated)
        self._push(time_step.observation[0])
        return None

    @property
    def epsilon(self) -> float:
        """The exploration rate of the last agent step."""
        return self._plan.epsilon(self.step)

    def metrics(self) -> dict[str, float]:
        """Return the last update's metrics and the learner's measures; waits for the device."""
        values = {} if self._feedback is None else jax.device_get(self._feedback.metrics)
        return {name: float(value) for name, value in values.items()} | self._programs.measure(self.learner)

    def diverged(self, metrics: dict[str, float]) -> bool:
        """Return whether training has left the numbers."""
        return not all(math.isfinite(value) for value in metrics.values())

    def close(self) -> None:
        """Stop the emulator."""
        self._envs.close()

    def _choose_action(self) -> int:
        coin, choice = self._exploration.draw(self.step)
        if coin <= self._plan.epsilon(self.step):
            return int(choice * self._envs.actions)
        return self._programs.act(self.learner, self._stack)

    def _learn(self) -> None:
        plan = self._plan
        if self.step <= plan.warm_up:
            return
        while self.updates < plan.updates_by(self.step):
            self._update()
        if self.step % plan.target_update_period == 0:
            self.learner = self._programs.sync(self.learner)

    def _update(self) -> None:
        plan, count = self._plan, self.updates

        def uniform(redraw: int) -> NDArray[np.float64]:
            return self._streams.uniform("sample", count, plan.batch_size, redraw=redraw)

        indices = self._replay.sample_indices(plan.batch_size, plan.n_step, uniform)
        windows = self._replay.gather(indices, plan.n_step, plan.gamma)
        for metric in jax.tree.leaves(self._feedback):
            metric.block_until_ready()  # at most one update queued: a stop must not wait for dozens
        self.learner, self._feedback = self._programs.update(self.learner, self._streams, count, windows)
        self.updates += 1

    def _begin_episode(self) -> None:
        self._emulator_seed = self._streams.emulator_seed(self.episodes)
        self._return, self._actions = 0.0, bytearray()
        self._stack = np.zeros_like(self._stack)
        self._stack[-1] = self._envs.reset([self._emulator_seed])[0]

    def _end_episode(self, truncated: bool) -> FinishedEpisode:
        ended = FinishedEpisode(
            self.episodes, self.step, bytes(self._actions), self._return, truncated, self._emulator_seed
        )
        self.episodes += 1
        self._begin_episode()
        return ended

    def _push(self, frame: NDArray[np.uint8]) -> None:
        stack = np.empty_like(self._stack)  # a new array: the device may still be reading the old one
        stack[:-1] = self._stack[1:]
        stack[-1] = frame
        self._stack = stack
