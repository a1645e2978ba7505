"""A lane: the host's side of one cell in progress: what it learns from and, where it plays, who acts.

What a lane does depends on its cell alone, never on what runs beside it.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.observations import Inputs, Observation, clipped
from suite.experience.playback import History, Played
from suite.experience.replay.base import Replay
from suite.rng import Sampling, Streams

NO_EPISODES = hashlib.sha256(b"").digest()
"""The hash of a history without an episode, such as that of whoever learns from logged data."""


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


@dataclass(frozen=True, slots=True)
class Rules:
    """How a lane plays: observations and actions, agent steps between two seeds, and where rewards are cut.

    `kept_steps`: of how many agent steps the actions are kept at least, whatever the replay reaches into.
    """

    inputs: Inputs
    actions: int
    reseed_steps: int
    reward_clip: float
    kept_steps: int = 0


class Actor:
    """Who acts in a lane: the episode at hand, and the actions of the segments that the replay still reaches into.

    `episodes` and `segments` count finished ones; `chain` is the hash of all finished episodes' seeds and actions.
    """

    def __init__(self, rules: Rules, plan: DataPlan, streams: Streams, reach: int) -> None:
        self.rules = rules
        self.episodes = 0
        self.segments = 0
        self.chain = NO_EPISODES
        self.observation: Observation = rules.inputs.blank()
        self.explore = rules.inputs.explorer(plan, streams, rules.actions)
        self._streams = streams
        self._reach = max(reach, rules.kept_steps)  # `reach`: transitions that the replay holds
        self._played: deque[list[bytes]] = deque()  # finished segments that the replay still reaches into
        self._kept = 0  # the agent steps of all of these
        self._segment: list[bytes] = []  # finished episodes of the segment at hand
        self._return, self._current = 0.0, bytearray()

    @property
    def emulator_seed(self) -> int:
        """The emulator seed of the segment at hand."""
        return self._streams.emulator_seed(self.segments)

    @property
    def next_seed(self) -> int | None:
        """What the episode at hand starts from: a seed if it is the first of its segment, else None."""
        return None if self._segment else self.emulator_seed

    def begin(self, seen: NDArray[Any]) -> None:
        """Start the next episode from what the environment shows."""
        self._return, self._current = 0.0, bytearray()
        self.observation = self.rules.inputs.first(seen)

    def observe(
        self, action: Any, seen: NDArray[Any], reward: float, step: int, *, over: bool, truncated: bool, life_lost: bool
    ) -> FinishedEpisode | None:
        """Take in what an action led to at a step; return the episode that it ended, if it did."""
        self._return += reward
        self._current += self.rules.inputs.recorded(action)
        if over:
            return self._end_episode(step, truncated)
        self.observation = self.rules.inputs.next(self.observation, seen, life_lost=life_lost)
        return None

    @property
    def history(self) -> list[list[bytes]]:
        """The actions of the segments that the replay reaches into, by episode; the last one is at hand."""
        return [*self._played, [*self._segment, bytes(self._current)]]

    def histories(self) -> list[History]:
        """Return the same segments to be played again."""
        history, parsed = self.history, self.rules.inputs.parsed
        first = self.segments - len(history) + 1
        return [
            History(self._streams.emulator_seed(first + index), list(map(parsed, segment)), index == len(history) - 1)
            for index, segment in enumerate(history)
        ]

    def resume(self, episodes: int, segments: int, chain: bytes, history: Sequence[list[bytes]]) -> None:
        """Set counters and history to those of a checkpoint; the episode at hand is still to be played again."""
        self.episodes, self.segments, self.chain = episodes, segments, chain
        self._played = deque(history[:-1])
        self._kept = sum(map(self._steps, self._played))
        self._segment = history[-1][:-1]
        self._current = bytearray(history[-1][-1])

    def begin_again(self, seen: NDArray[Any]) -> None:
        """Start to play the episode at hand again; its actions stay."""
        actions = self._current
        self.begin(seen)
        self._current = actions

    def play_again(self, played: Played) -> None:
        """Take in a step of the episode at hand that was played again."""
        self._return += played.reward
        self.observation = self.rules.inputs.next(self.observation, played.seen, life_lost=played.life_lost)

    def _end_episode(self, step: int, truncated: bool) -> FinishedEpisode:
        seed, actions, before = self.emulator_seed, bytes(self._current), tuple(self._segment)
        length = self._steps([actions])
        ended = FinishedEpisode(self.episodes, step, length, actions, self._return, truncated, seed, before)
        self.chain = hashlib.sha256(self.chain + seed.to_bytes(4, "little") + actions).digest()
        self.episodes += 1
        self._segment.append(actions)
        if (steps := self._steps(self._segment)) >= self.rules.reseed_steps:
            self._played.append(self._segment)
            self._kept += steps
            self._segment = []
            self.segments += 1
            self._forget()
        return ended

    def _forget(self) -> None:
        """Drop the segments that the replay no longer reaches into."""
        while self._played and self._kept - self._steps(self._played[0]) >= self._reach:
            self._kept -= self._steps(self._played.popleft())

    def _steps(self, episodes: Sequence[bytes]) -> int:
        return sum(map(len, episodes)) // self.rules.inputs.action_bytes


class Lane:
    """One cell's host side. `step` counts agent steps, or updates where there is no `actor`."""

    def __init__(self, plan: DataPlan, streams: Streams, replay: Replay, rules: Rules | None = None) -> None:
        self.step = 0
        self.streams = streams
        self.replay = replay
        self.actor = None if rules is None else Actor(rules, plan, streams, replay.capacity)
        self._plan = plan
        self._sampling = Sampling(streams, plan.batch_size)

    @property
    def episodes(self) -> int:
        """Finished episodes."""
        return 0 if self.actor is None else self.actor.episodes

    def observe(
        self,
        action: Any,
        seen: NDArray[Any],
        reward: float,
        *,
        terminal: bool,
        truncated: bool,
        life_lost: bool = False,
    ) -> FinishedEpisode | None:
        """Take in what an action led to; return the episode that it ended, if it did. `Actor.begin` must follow then.

        A lost life is a terminal for learning, and what follows starts with an empty stack; the episode goes on.
        """
        assert self.actor is not None
        rules = self.actor.rules
        self.step += 1
        self.replay.add(
            rules.inputs.newest(self.actor.observation),
            action,
            clipped(reward, rules.reward_clip),
            seen,
            terminal=terminal or life_lost,
            truncated=truncated,
        )
        return self.actor.observe(
            action, seen, reward, self.step, over=terminal or truncated, truncated=truncated, life_lost=life_lost
        )

    def sample(self, updates: int) -> Any:
        """Return the data for the update that `updates` others went before."""
        return self.replay.sample(self._plan, self._sampling.of(updates))

    def sample_states(self, updates: int, count: int) -> Any:
        """Return further observations [count, ...] for that update, from a random stream of their own."""

        def uniform(redraw: int) -> NDArray[np.float64]:
            return self.streams.uniform("states", updates, count, redraw=redraw)

        return self.replay.sample_states(count, uniform)

    def inspected(self, updates: int, name: str, count: int) -> Any:
        """Return transitions from the random stream `name` at its place for so many updates; nothing changes by it."""

        def uniform(redraw: int) -> NDArray[np.float64]:
            return self.streams.uniform(name, updates, count, redraw=redraw)

        return self.replay.inspected(self._plan, count, uniform)

    def refill(self, index: int, played: Played, depth: int) -> None:
        """Put a transition that was played again back into the replay, unless it has been overwritten since.

        `depth`: the steps of its episode, or life, before it.
        """
        assert self.actor is not None
        if index >= self.step - self.replay.capacity:
            self.replay.write(
                index,
                played.shown,
                played.action,
                clipped(played.reward, self.actor.rules.reward_clip),
                played.seen,
                depth=depth,
                terminal=played.terminal or played.life_lost,
                truncated=played.truncated,
            )
