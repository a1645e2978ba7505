"""The domain of a task: observations, environments and logged data of one kind of experience."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from suite.contracts.agent import DataPlan
from suite.experience.envs.base import Envs
from suite.experience.observations import Arrays, Frames, Vectors
from suite.experience.replay.base import Replay
from suite.experience.replay.placement import Placement
from suite.tasks import Game


class Domain(Protocol):
    """Where one task's experience comes from.

    `mixes_games`: whether cells of several games can advance together. `plays`: whether training plays episodes; then
    `reseed_steps` are the agent steps after which the next episode gets a new seed, and rewards are learned from within
    `reward_clip`. `seconds_per_step`: environment or data, and the loop on the host, for one step of a run on one core
    of a virtual machine with two; evaluation is left out.
    """

    mixes_games: bool
    plays: bool
    reseed_steps: int
    reward_clip: float
    seconds_per_step: float

    def inputs(self, game: Game) -> Frames | Arrays | Vectors:
        """Return what a game's observations are to the networks."""
        ...

    def check(self, game: Game) -> None:
        """Raise UnfitEnvironment if the game cannot be had here."""
        ...

    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """Return the environment that the task gives a game here, and its fingerprint: 16 hexadecimal digits."""
        ...

    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """Return the bytes that a lane's data take at their fullest in a run of `steps`: (host, device)."""
        ...

    def replay(self, plan: DataPlan, game: Game, seed: int, placement: Placement) -> Replay:
        """Return what a lane learns from, as it is at the beginning."""
        ...

    def environments(self, games: Sequence[Game], threads: int) -> Envs:
        """Return the environments of lanes that are advanced together, one each."""
        ...

    def history_bytes_per_step(self, game: Game) -> int:
        """Return the bytes that a checkpoint holds of each step in the replay, so that it can be rebuilt."""
        ...

    def evaluation_envs(self, game: Game, count: int, threads: int) -> Envs:
        """Return environments of a game, apart from those of training."""
        ...

    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        """Return what a record must say of the data that cells are computed from."""
        ...
