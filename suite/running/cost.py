"""Costs of cells on a machine: seconds from what was measured there, else from operation counts; memory, and disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, NamedTuple

from suite.experience.domains import Domain
from suite.experience.replay.placement import Placement
from suite.learning.build import programs_for
from suite.learning.measures import GRADIENT_BYTES
from suite.learning.program_cost import cost_of
from suite.learning.programs import Programs
from suite.running.machine import Machine, matrix_rate, this_machine
from suite.running.profiles.profile import Rate, Seconds
from suite.tasks import GAMES, Game, Task, load_task
from suite.tasks.configuration import Cell, Spec

EFFICIENCY = 0.4
"""Share of a large matrix product's rate that training reaches. Measured on two CPU cores: one lane 0.30 with the
Nature CNN and 0.23 with Impala, two lanes with the Nature CNN 0.4."""
PROCESS_BYTES = 270_000_000
PROGRAMS_BYTES = 160_000_000
"""The process without any lane, and what a configuration's programs for one number of actions add to it: libraries,
code, what compiling leaves behind. Fitted to seven runs on a CPU, whose peaks they give to 10 %."""


Basis = Literal["measured", "scaled", "rough", "unknown"]


class Projection(NamedTuple):
    """The seconds that a cell has of a machine, None if unknown, and what that rests on; `rate`: the one gone by.

    `measured`: the configuration was run there. `scaled`: another with its network was, whose operations were counted.
    `rough`: operations alone. `unknown`: the profile has no rate to go by.
    """

    seconds: float | None
    basis: Basis
    rate: Rate | None = None


@dataclass(frozen=True)
class Costs:
    """What a task's cells take, with the networks of the game whose networks are the largest among `games`.

    `machine`: where they are to run.
    """

    task: Task
    domain: Domain
    games: tuple[str, ...]
    machine: Machine = field(default_factory=this_machine)

    @cached_property
    def widest(self) -> Game:
        """The game whose networks are the largest."""
        return max((GAMES[name] for name in self.games), key=self._size)

    def programs(self, spec: Spec) -> Programs:
        """Return the largest programs of a configuration."""
        return programs_for(spec, self.widest)

    def projection(self, spec: Spec, together: int = 1) -> Projection:
        """Return what a cell has of the machine's time where so many are run at a time."""
        profile = self.machine.profile
        steps, updates = self._counts(spec)
        beside = max(1, min(together, self.machine.processors))
        rate = None if profile is None else profile.nearest(spec, together)
        if profile is not None and rate is not None:
            exact = profile.fixed or rate.is_of(spec)
            factor = 1.0 if exact else self._factor(spec, rate)
            if factor is not None:
                found = rate.seconds(steps, updates, factor)
                return Projection(self._shared(found, beside, rate.lanes), "measured" if exact else "scaled", rate)
        rough = self._rough(spec)
        return Projection(None, "unknown") if rough is None else Projection(self._shared(rough, beside), "rough")

    def _rough(self, spec: Spec) -> Seconds | None:
        """Return the seconds of a lane from operations: those a second of the nearest rate, or of a product here."""
        steps, updates = self._counts(spec)
        operations = self._operations(spec)
        if self.machine.here:
            rate = matrix_rate() * EFFICIENCY
        else:
            profile = self.machine.profile
            near = None if profile is None else profile.nearest_in_operations(operations / max(1, updates))
            if near is None:
                return None
            rate = near.operations / near.seconds_per_update
        return Seconds(steps * self.domain.seconds_per_step, operations / rate)

    def _shared(self, seconds: Seconds, beside: int, measured_beside: int = 1) -> float:
        """Return the part of the machine's time: lanes share the host, and one thread's programs run beside another's.

        `measured_beside`: how many lanes there were when the device's seconds were measured.
        """
        side_by_side = self.task.program_threads is not None
        together = beside / min(measured_beside, self.machine.processors) if side_by_side else 1.0
        return seconds.host / beside + seconds.device / together

    def _factor(self, spec: Spec, rate: Rate) -> float | None:
        """Return a gradient step's operations over those of the one that a rate was measured with; None if unknown."""
        example = self.machine.examples.get(rate)
        measured = rate.operations or (0.0 if example is None else operations_per_update(example.spec, example.game))
        updates = self._counts(spec)[1]
        return self._operations(spec) / updates / measured if updates and measured else None

    def _counts(self, spec: Spec) -> tuple[int, int]:
        steps = self.task.agent_steps(spec.frames)
        return steps, self.programs(spec).plan.updates_by(steps)

    def _operations(self, spec: Spec) -> float:
        return _operations(self.programs(spec), *self._counts(spec))

    def lane_bytes(self, cell: Cell, placement: Placement, lanes: int = 1) -> tuple[int, int]:
        """Return what a lane holds at its peak on (host, device): replay, learner, and what an update takes beside.

        `lanes`: how many share the programs.
        """
        programs, steps = self.programs(cell.spec), self.task.agent_steps(cell.spec.frames)
        host, device = self.domain.replay_bytes(programs.plan, steps, GAMES[cell.game], placement)
        training = self._program_bytes(cell.spec, lanes)
        return (host, device + training) if self.machine.accelerator else (host + device + training, 0)

    def memory(self, cells: Sequence[Cell], lanes: int, placement: Placement) -> tuple[int, int]:
        """Return the bytes that the process holds at its peak on (host, device), so many cells at a time."""
        kinds = {(cell.spec, self._size(GAMES[cell.game])) for cell in cells}
        largest = sorted((self.lane_bytes(cell, placement, lanes) for cell in cells), reverse=True)[:lanes]
        host = PROCESS_BYTES + len(kinds) * PROGRAMS_BYTES + sum(lane[0] for lane in largest)
        host += 0 if self.task.inspection is None else GRADIENT_BYTES
        return host, sum(lane[1] for lane in largest)

    def _program_bytes(self, spec: Spec, lanes: int) -> int:
        """Return what a lane's learner and an update of it hold: as compiled for the profile's device, else as here."""
        profile = self.machine.profile
        found = None if profile is None else profile.program_bytes(spec, lanes)
        return cost_of(self.programs(spec)).training_bytes if found is None else -(-found // lanes)

    def checkpoint_bytes(self, spec: Spec) -> int:
        """Return what a checkpoint holds at most: the learner, and the actions from which its replay is rebuilt."""
        programs = self.programs(spec)
        steps = min(programs.plan.capacity, self.task.agent_steps(spec.frames))
        return cost_of(programs).learner_bytes + steps * self.domain.history_bytes_per_step(self.widest)

    def policy_bytes(self, spec: Spec) -> int:
        """Return what the policy holds that `--keep policy` leaves."""
        return cost_of(self.programs(spec)).policy_bytes

    def _size(self, game: Game) -> tuple[int, int]:
        return int(self.domain.inputs(game).blank().size), game.actions


def operations_per_update(spec: Spec, game: str) -> float:
    """Return the floating-point operations behind a gradient step of a configuration in a game; 0 without any."""
    programs = programs_for(spec, GAMES[game])
    steps = load_task(spec.task).agent_steps(spec.frames)
    updates = programs.plan.updates_by(steps)
    return _operations(programs, steps, updates) / updates if updates else 0.0


def _operations(programs: Programs, steps: int, updates: int) -> float:
    """Return the floating-point operations of a run, by the compiler's count."""
    cost = cost_of(programs)
    return updates * cost.update_operations + steps * cost.action_operations
