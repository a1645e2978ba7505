"""What the runner asks of a family of tasks; it knows no other difference between them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from numpy.typing import NDArray

from suite.agent import DataPlan
from suite.envs.base import Envs
from suite.group import Training
from suite.inputs import Frames, Vectors
from suite.learners import Learners
from suite.placement import Placement
from suite.resume import LaneState
from suite.rng import Streams
from suite.tasks import Game


@dataclass(frozen=True, slots=True)
class Saved:
    """What a checkpoint holds of a cell."""

    state: LaneState
    arrays: Mapping[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Setup:
    """Cells that are to be advanced together: their games, seeds, random streams and learners, and how.

    `saved`: their checkpoints, all or none of them, at one step. `look(lane, done, of)` is told how far a lane's replay
    has been rebuilt, and may raise `Stopped`.
    """

    plan: DataPlan
    games: Sequence[Game]
    seeds: Sequence[int]
    streams: Sequence[Streams]
    learners: Learners
    placement: Placement
    saved: Sequence[Saved | None]
    look: Callable[[int, int, int], None]


class Family(Protocol):
    """One family, for one task. `mixes_games`: whether cells of several games can be advanced together."""

    mixes_games: bool

    def inputs(self, game: Game) -> Frames | Vectors:
        """Return what a game's observations are to the networks."""
        ...

    def check(self, game: Game) -> None:
        """Raise UnfitEnvironment if the game cannot be had here."""
        ...

    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """Return the environment that the task gives a game here, and its fingerprint."""
        ...

    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """Return the bytes that a lane's data take at their fullest in a run of `steps`: (host, device)."""
        ...

    def start(self, setup: Setup) -> Training:
        """Return the lanes, begun or brought to their checkpoints."""
        ...

    def evaluation_envs(self, game: Game, count: int, threads: int) -> Envs:
        """Return environments of a game, apart from those of training."""
        ...

    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        """Return what a record must say of the data that cells are computed from."""
        ...
