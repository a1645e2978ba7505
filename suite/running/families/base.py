"""Cells that are to be started together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.replay.placement import Placement
from suite.learning.learners import Learners
from suite.rng import Streams
from suite.running.resume import LaneState
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
