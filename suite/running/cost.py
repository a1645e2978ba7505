"""Rough costs of cells: seconds from operation counts and a matrix product timed just now, memory, and disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from suite.experience.domains import Domain
from suite.experience.replay.placement import Placement
from suite.learning.build import programs_for
from suite.learning.measures import GRADIENT_BYTES
from suite.learning.program_cost import cost_of
from suite.learning.programs import Programs
from suite.running.machine import is_accelerator, matrix_rate
from suite.tasks import GAMES, Game, Task
from suite.tasks.configuration import Cell, Spec

EFFICIENCY = 0.4
"""Share of a large matrix product's rate that training reaches. Measured on two CPU cores: one lane 0.30 with the
Nature CNN and 0.23 with Impala, two lanes with the Nature CNN 0.4."""
PROCESS_BYTES = 270_000_000
PROGRAMS_BYTES = 160_000_000
"""The process without any lane, and what a configuration's programs for one number of actions add to it: libraries,
code, what compiling leaves behind. Fitted to seven runs on a CPU, whose peaks they give to 10 %."""


class Seconds(NamedTuple):
    """Projected seconds: `host` for emulator and loop, which lanes share out, and `device`, which all wait for."""

    host: float
    device: float


@dataclass(frozen=True)
class Costs:
    """What a task's cells take, with the networks of the game whose networks are the largest among `games`."""

    task: Task
    domain: Domain
    games: tuple[str, ...]

    @cached_property
    def widest(self) -> Game:
        """The game whose networks are the largest."""
        return max((GAMES[name] for name in self.games), key=self._size)

    def programs(self, spec: Spec) -> Programs:
        """Return the largest programs of a configuration."""
        return programs_for(spec, self.widest)

    def seconds(self, spec: Spec) -> Seconds:
        """Return the projected seconds of one cell."""
        programs, steps = self.programs(spec), self.task.agent_steps(spec.frames)
        cost = cost_of(programs)
        operations = programs.plan.updates_by(steps) * cost.update_operations + steps * cost.action_operations
        return Seconds(steps * self.domain.seconds_per_step, operations / (matrix_rate() * EFFICIENCY))

    def lane_bytes(self, cell: Cell, placement: Placement) -> tuple[int, int]:
        """Return what a lane holds at its peak on (host, device): replay, learner, and what an update takes beside."""
        programs, steps = self.programs(cell.spec), self.task.agent_steps(cell.spec.frames)
        host, device = self.domain.replay_bytes(programs.plan, steps, GAMES[cell.game], placement)
        training = cost_of(programs).training_bytes
        return (host, device + training) if is_accelerator() else (host + device + training, 0)

    def memory(self, cells: Sequence[Cell], lanes: int, placement: Placement) -> tuple[int, int]:
        """Return the bytes that the process holds at its peak on (host, device), so many cells at a time."""
        kinds = {(cell.spec, self._size(GAMES[cell.game])) for cell in cells}
        largest = sorted((self.lane_bytes(cell, placement) for cell in cells), reverse=True)[:lanes]
        host = PROCESS_BYTES + len(kinds) * PROGRAMS_BYTES + sum(lane[0] for lane in largest)
        host += 0 if self.task.inspection is None else GRADIENT_BYTES
        return host, sum(lane[1] for lane in largest)

    def checkpoint_bytes(self, spec: Spec) -> int:
        """Return what a checkpoint holds at most: the learner, and the actions from which its replay is rebuilt."""
        programs = self.programs(spec)
        steps = min(programs.plan.capacity, self.task.agent_steps(spec.frames))
        return cost_of(programs).learner_bytes + steps * self.domain.history_bytes_per_step(self.widest)

    def _size(self, game: Game) -> tuple[int, int]:
        return int(self.domain.inputs(game).blank().size), game.actions
