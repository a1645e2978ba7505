"""A lane of continuous control: the host's side of one cell. Its replay or trajectory, its episode, its history.

An episode is a pure function of its seed and its actions, so that a checkpoint holds actions, and replay, trajectory
and environment are rebuilt by playing them again.
"""

from __future__ import annotations

import hashlib
import itertools
from collections import deque
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Batch, DataPlan, Trajectory
from suite.errors import UnfitEnvironment
from suite.experience.envs.base import Envs
from suite.experience.observations import Vectors
from suite.experience.playback import Begun, History, Look, PlayedOtherwise, play
from suite.experience.replay.vectors import VectorReplay
from suite.experience.samples import Rows
from suite.rng import Sampling, Streams
from suite.running.lane import ACTIONS, FinishedEpisode


class VectorLane:
    """One cell's host side. `step` counts environment steps, `episodes` finished episodes."""

    def __init__(self, plan: DataPlan, streams: Streams, inputs: Vectors) -> None:
        self.step = 0
        self.episodes = 0
        self.streams = streams
        self.inputs = inputs
        self.observation: NDArray[Any] = inputs.blank()
        self.chain = hashlib.sha256(b"").digest()
        on_policy = plan.replay == "rollout"
        self.replay = VectorReplay(plan.update_period if on_policy else plan.capacity, inputs.size, inputs.actions)
        self._plan = plan
        self._on_policy = on_policy
        self._sampling = Sampling(streams, plan.batch_size)
        self._prepared: Batch | None = None
        self._order: NDArray[np.int64] = np.empty(0, np.int64)
        self._played: deque[bytes] = deque()  # actions of the finished episodes that the replay still reaches into
        self._current = bytearray()
        self._return = 0.0
        self._legal: Any = np.ones(inputs.actions, np.bool_)
        self._width = len(inputs.recorded(np.zeros(inputs.actions)))  # bytes of an action

    @property
    def segments(self) -> int:
        """Finished segments: here an episode each."""
        return self.episodes

    @property
    def emulator_seed(self) -> int:
        """The environment's seed for the episode at hand."""
        return self.streams.emulator_seed(self.episodes)

    @property
    def next_seed(self) -> int | None:
        """What the episode at hand starts from."""
        return self.emulator_seed

    def explore(self, step: int, epsilon: float) -> NDArray[np.float32] | None:
        """Return the random action of a step of the warm-up, None after it."""
        if step > self._plan.warm_up:
            return None
        return (2 * self.streams.uniform("explore", step, self.inputs.actions) - 1).astype(np.float32)

    def observe(
        self,
        action: NDArray[np.float32],
        seen: NDArray[np.float32],
        reward: float,
        *,
        terminal: bool,
        truncated: bool,
        life_lost: bool = False,
    ) -> FinishedEpisode | None:
        """Take in what an action led to; return the episode that it ended, if it did. `begin` must follow then."""
        self.step += 1
        self.replay.add(self.observation, action, reward, seen, terminal=terminal, truncated=truncated)
        self._return += reward
        self._current += self.inputs.recorded(action)
        if terminal or truncated:
            return self._end_episode(truncated)
        self.observation = seen
        return None

    def begin(self, first: NDArray[np.float32]) -> None:
        """Start the next episode from its first observation."""
        self._return, self._current = 0.0, bytearray()
        self.observation = first

    def trajectory(self) -> Trajectory:
        """Return the newest `update_period` transitions."""
        indices = np.arange(self.step - self._plan.update_period, self.step)
        batch = self.replay.gather(indices, self._plan.gamma)
        ended: Any = self.replay.ended(indices)
        return Trajectory(batch.s_tm1, batch.a_tm1, batch.r_t, batch.discount_t, batch.s_t, ended)

    def prepare(self, rows: Batch) -> None:
        """Set the rows of the next updates, as the agent computed them from the trajectory."""
        self._prepared = rows._replace(legal=())  # type: ignore[arg-type]

    def sample(self, updates: int) -> Rows:
        """Return the batch for the update that `updates` others went before.

        On-policy, each pass over the prepared rows has a random order of its own, cut into batches.
        """
        if not self._on_policy:
            return self.replay.sample(self._plan, lambda redraw: self._sampling.draw(updates, redraw))
        assert self._prepared is not None
        size, total = self._plan.batch_size, self._plan.update_period
        batches = total // size
        one_pass, position = divmod(updates, batches)
        if position == 0 or len(self._order) == 0:
            self._order = np.argsort(self.streams.uniform("order", one_pass, total), kind="stable")
        rows = self._order[position * size : (position + 1) * size]
        taken: Batch = jax.tree.map(lambda leaf: leaf[rows], self._prepared)
        return Rows(taken._replace(legal=self._legal))

    def sample_states(self, updates: int, count: int) -> NDArray[np.float32]:
        """Return observations float32 [count, D] for that update, from a random stream of their own.

        On-policy they are of the trajectory, as the agent prepared them for its network.
        """
        draws = self.streams.uniform("states", updates, count)
        if self._prepared is None:
            return self.replay.sample_states(count, lambda redraw: draws)
        prepared: NDArray[np.float32] = np.asarray(self._prepared.s_tm1)
        return prepared[(draws * len(prepared)).astype(np.int64)]

    def saved(self) -> tuple[dict[str, NDArray[Any]], tuple[tuple[int, ...], ...]]:
        """Return the actions of the episodes that the replay reaches into, and their lengths; the last is at hand."""
        history = [*self._played, bytes(self._current)]
        joined = np.frombuffer(b"".join(history), "<f4").reshape(-1, self.inputs.actions)
        return {ACTIONS: joined}, tuple((len(actions) // self._width,) for actions in history)

    def histories(self) -> list[History]:
        """Return the episodes that the replay reaches into, to be played again; the last one is at hand."""
        history = [*self._played, bytes(self._current)]
        first = self.episodes - len(history) + 1
        return [
            History(
                self.streams.emulator_seed(first + index),
                [np.frombuffer(actions, "<f4").reshape(-1, self.inputs.actions)],
                open=index == len(history) - 1,
            )
            for index, actions in enumerate(history)
        ]

    def restore(
        self, step: int, episodes: int, lengths: Sequence[int], actions: bytes, chain: bytes, envs: Envs, look: Look
    ) -> None:
        """Bring a fresh lane to a checkpoint: counters and replay."""
        ends = np.cumsum([0, *lengths]) * self._width
        *played, current = [actions[begin:end] for begin, end in itertools.pairwise(ends.tolist())]
        self.episodes, self._played, self._current = episodes, deque(played), bytearray(current)
        histories = self.histories()
        self.step = self.replay.added = step - sum(lengths)
        self.episodes -= len(played)
        self._played.clear()
        try:
            for event in play(envs, histories, look):
                if isinstance(event, Begun):
                    self.begin(event.seen)
                else:
                    ends_with = {"terminal": event.terminal, "truncated": event.truncated}
                    self.observe(event.action, event.seen, event.reward, **ends_with)
        except PlayedOtherwise as otherwise:
            raise UnfitEnvironment(
                f"Episode {self.episodes} plays otherwise here than when it was recorded.",
                "Go on with the mujoco and gymnasium that provenance.json names, on the same type of machine.",
            ) from otherwise
        self.chain = chain

    def _end_episode(self, truncated: bool) -> FinishedEpisode:
        seed, actions = self.emulator_seed, bytes(self._current)
        length = len(actions) // self._width
        ended = FinishedEpisode(self.episodes, self.step, length, actions, self._return, truncated, seed, ())
        self.chain = hashlib.sha256(self.chain + seed.to_bytes(4, "little") + actions).digest()
        self.episodes += 1
        self._played.append(actions)
        self._forget()
        return ended

    def _forget(self) -> None:
        """Drop the episodes that the replay no longer reaches into."""
        kept = sum(map(len, self._played))
        while self._played and kept - len(self._played[0]) >= self.replay.capacity * self._width:
            kept -= len(self._played.popleft())
