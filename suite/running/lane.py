"""A lane: the host's side of one cell in progress. Its replay, its random streams, its episode at hand, its history.

What a lane does depends on its cell alone, never on what runs beside it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.playback import History, Played
from suite.experience.replay.frames import FrameReplay
from suite.experience.samples import Windows
from suite.rng import Exploration, Sampling, Streams
from suite.tasks import Environment

ACTIONS = "actions"
PRIORITIES = "priorities/"


@dataclass(frozen=True, slots=True)
class FinishedEpisode:
    """An episode of `length` agent steps that ended at `agent_step`; `raw_return` is unclipped.

    `actions`: as `Inputs.recorded` writes them, one byte each in Atari. `before` are the actions of the earlier
    episodes of its segment, which started from `emulator_seed`.
    """

    number: int
    agent_step: int
    length: int
    actions: bytes
    raw_return: float
    truncated: bool
    emulator_seed: int
    before: tuple[bytes, ...]


class Lane:
    """One cell's host side. `step` counts agent steps, `episodes` finished episodes, `segments` finished segments."""

    def __init__(
        self, plan: DataPlan, streams: Streams, replay: FrameReplay, environment: Environment, actions: int
    ) -> None:
        screen = environment.screen_size
        self.step = 0
        self.episodes = 0
        self.segments = 0
        self.streams = streams
        self.replay = replay
        self.actions = actions
        self.observation = np.zeros((replay.stack, screen, screen), np.uint8)
        self.chain = hashlib.sha256(b"").digest()
        self._plan = plan
        self._reward_clip = environment.reward_clip
        self._reseed_steps = environment.reseed_steps
        self._exploration = Exploration(streams)
        self._sampling = Sampling(streams, plan.batch_size)
        self._played: deque[list[bytes]] = deque()  # finished segments that the replay still reaches into
        self._segment: list[bytes] = []  # finished episodes of the segment at hand
        self._return, self._current = 0.0, bytearray()

    @property
    def emulator_seed(self) -> int:
        """The emulator seed of the segment at hand."""
        return self.streams.emulator_seed(self.segments)

    @property
    def next_seed(self) -> int | None:
        """What the episode at hand starts from: a seed if it is the first of its segment, else None."""
        return None if self._segment else self.emulator_seed

    def explore(self, step: int, epsilon: float) -> int | None:
        """Return the random action of an agent step, or None where the greedy one is to be taken."""
        coin, choice = self._exploration.draw(step)
        return int(choice * self.actions) if coin <= epsilon else None

    def observe(
        self,
        action: int,
        frame: NDArray[np.uint8],
        reward: float,
        *,
        terminal: bool,
        truncated: bool,
        life_lost: bool = False,
    ) -> FinishedEpisode | None:
        """Take in what an action led to; return the episode that it ended, if it did. `begin` must follow then.

        A lost life is a terminal for learning, and what follows starts with an empty stack; the episode goes on.
        """
        self.step += 1
        over = terminal or life_lost
        self.replay.add(self.observation[-1], action, self._clipped(reward), terminal=over, truncated=truncated)
        self._return += reward
        self._current.append(action)
        if terminal or truncated:
            return self._end_episode(truncated)
        self.push(frame, life_lost=life_lost)
        return None

    def begin(self, first_frame: NDArray[np.uint8]) -> None:
        """Start the next episode from its first frame."""
        self._return, self._current = 0.0, bytearray()
        self.observation = np.zeros_like(self.observation)
        self.observation[-1] = first_frame

    def push(self, frame: NDArray[np.uint8], *, life_lost: bool = False) -> None:
        """Move the stack on by a frame, emptied before if a life was lost."""
        stack = np.empty_like(self.observation)  # a new array: the device may still be reading the old one
        stack[:-1] = 0 if life_lost else self.observation[1:]
        stack[-1] = frame
        self.observation = stack

    def sample(self, updates: int) -> Windows:
        """Return the batch for the update that `updates` others went before."""
        return self.replay.sample(self._plan, partial(self._sampling.draw, updates))

    def sample_states(self, updates: int, count: int) -> Any:
        """Return states uint8 [count, stack, height, width] for that update, from a random stream of their own."""

        def uniform(redraw: int) -> NDArray[np.float64]:
            return self.streams.uniform("states", updates, count, redraw=redraw)

        return self.replay.sample_states(count, uniform)

    def reprioritize(self, priorities: NDArray[np.float64]) -> None:
        """Set the priorities of the transitions that were sampled last."""
        self.replay.reprioritize(priorities)

    def history(self) -> list[list[bytes]]:
        """Return the actions of the segments that the replay reaches into, by episode; the last one is at hand."""
        return [*self._played, [*self._segment, bytes(self._current)]]

    def saved(self) -> tuple[dict[str, NDArray[Any]], tuple[tuple[int, ...], ...]]:
        """Return history and priorities as a checkpoint's arrays, and the lengths of the episodes, by segment."""
        history = self.history()
        arrays: dict[str, NDArray[Any]] = {
            ACTIONS: np.frombuffer(b"".join(b"".join(segment) for segment in history), np.uint8)
        }
        if self.replay.priorities is not None:
            self.replay.priorities.add_until(self.replay.added)
            arrays |= {PRIORITIES + name: array for name, array in self.replay.priorities.arrays().items()}
        return arrays, tuple(tuple(map(len, segment)) for segment in history)

    def resume(self, step: int, episodes: int, segments: int, history: list[list[bytes]], chain: bytes) -> None:
        """Set the counters and the history to those of a checkpoint; replay and stack are rebuilt by others."""
        self.step, self.episodes, self.segments, self.chain = step, episodes, segments, chain
        self._played = deque(history[:-1])
        self._segment = history[-1][:-1]
        self._current = bytearray(history[-1][-1])

    def histories(self) -> list[History]:
        """Return the segments that the replay reaches into, to be played again; the last one is at hand."""
        history = self.history()
        first = self.segments - len(history) + 1
        return [
            History(
                self.streams.emulator_seed(first + index),
                [np.frombuffer(actions, np.uint8) for actions in segment],
                open=index == len(history) - 1,
            )
            for index, segment in enumerate(history)
        ]

    def refill(self, index: int, played: Played, depth: int) -> None:
        """Put a transition that was played again back into the replay, unless it has been overwritten since.

        `depth`: the steps of its episode, or life, before it.
        """
        if index >= self.step - self.replay.capacity:
            self.replay.write(
                index,
                played.shown,
                int(played.action),
                self._clipped(played.reward),
                depth=min(depth, self.replay.stack - 1),
                terminal=played.terminal or played.life_lost,
                truncated=played.truncated,
            )

    def begin_again(self, first_frame: NDArray[np.uint8]) -> None:
        """Start to play the episode at hand again; its actions stay."""
        actions = self._current
        self.begin(first_frame)
        self._current = actions

    def replayed(self, frame: NDArray[np.uint8], reward: float, *, life_lost: bool) -> None:
        """Take in a step of the episode at hand that was played again."""
        self._return += reward
        self.push(frame, life_lost=life_lost)

    def _clipped(self, reward: float) -> float:
        return min(self._reward_clip, max(-self._reward_clip, reward))

    def _end_episode(self, truncated: bool) -> FinishedEpisode:
        seed, actions = self.emulator_seed, bytes(self._current)
        before = tuple(self._segment)
        ended = FinishedEpisode(self.episodes, self.step, len(actions), actions, self._return, truncated, seed, before)
        self.chain = hashlib.sha256(self.chain + seed.to_bytes(4, "little") + actions).digest()
        self.episodes += 1
        self._segment.append(actions)
        if sum(map(len, self._segment)) >= self._reseed_steps:
            self._played.append(self._segment)
            self._segment = []
            self.segments += 1
            self._forget()
        return ended

    def _forget(self) -> None:
        """Drop the segments that the replay no longer reaches into."""
        kept = 0
        for index, segment in reversed(list(enumerate(self._played))):
            if kept >= self.replay.capacity:
                for _ in range(index + 1):
                    self._played.popleft()
                return
            kept += sum(map(len, segment))
