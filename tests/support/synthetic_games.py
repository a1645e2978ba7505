"""What all synthetic runs of a game share: its task, lengths of episodes, logs of actions, bounds of returns."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from suite.records.actions import pack
from suite.tasks import Game, Task
from tests.support.synthetic_entries import Plan

CAPS = {
    "Pong": 21,
    "Tennis": 24,
    "DoubleDunk": 24,
    "IceHockey": 30,
    "Boxing": 100,
    "FishingDerby": 90,
    "Freeway": 34,
    "Bowling": 300,
    "Breakout": 860,
}
"""The largest returns of games that have one, or nearly."""
LOGS_PER_EPISODE = 2
"""How many different action logs there are of an episode of a game."""


@dataclass(frozen=True)
class Setting:
    """What all runs of a game share: its task, the lengths of an iteration's episodes, and logs of actions."""

    plan: Plan
    task: Task
    game: Game
    width: float = field(default=0.1)
    """The noise between seeds, relative to the level."""

    def source(self, *names: object) -> np.random.Generator:
        """Return the random numbers of a name: the same, whatever else is written."""
        key = repr((self.plan.seed, self.task.key, self.game.name, *names)).encode()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(key).digest()[:16], "little")))

    @property
    def longest(self) -> int:
        """The agent steps after which an episode is truncated."""
        if self.task.family == "continuous":
            return self.task.mujoco.max_episode_steps
        return self.task.atari.max_episode_frames // self.task.atari.frame_skip

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The agent steps of an iteration's episodes [E], in sum no more than it has, none above the task's cap."""
        steps = self.task.agent_steps(self.task.budget.iteration_length)
        shares = self.source("lengths").uniform(0.7, 1.3, self.plan.episodes_per_iteration)
        return np.minimum((steps * shares / shares.sum()).astype(np.int64), self.longest).clip(min=1)

    @cached_property
    def logs(self) -> dict[int, list[str]]:
        """Packed actions by the length of an episode; every action is repeated for some steps, as players do."""
        source = self.source("actions")
        return {
            length: [self._log(source, length) for _ in range(LOGS_PER_EPISODE)] for length in map(int, self.lengths)
        }

    def _log(self, source: np.random.Generator, length: int) -> str:
        if self.task.family == "continuous":
            return pack(source.normal(size=(length, self.game.actions)).astype("<f4").tobytes())
        chosen = source.integers(0, self.game.actions, length)
        again = np.maximum.accumulate(np.where(source.random(length) < 0.25, np.arange(length), 0))
        return pack(chosen[again].astype(np.uint8).tobytes())

    def raw(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return raw returns: whole numbers within the game's bounds, or of a simulation in thousands."""
        if not self.game.normalizable:
            return np.round(3000 * normalized, 3)
        low, high = float(self.game.random_score or 0), float(self.game.human_score or 1)
        values = np.round(low + normalized * (high - low))
        cap = CAPS.get(self.game.name)
        return values if cap is None else np.clip(values, min(np.floor(low), -cap) if low < 0 else 0, cap)
