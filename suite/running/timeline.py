"""The timeline of a session: what is due after which of its steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from enum import Enum, auto

from suite.contracts.agent import DataPlan
from suite.records.schedule import due_steps, inspection_steps
from suite.tasks import Task

STEPS_BETWEEN_REPORTS = 32


class Event(Enum):
    """What a session does between two steps."""

    DIAGNOSE = auto()
    INSPECT = auto()
    CHECKPOINT = auto()
    EVALUATE = auto()
    REPORT = auto()


class Timeline:
    """Events after steps 1 to `last`, at every so many each; diagnosis and checkpoint after the last one too.

    `evaluations`, `inspections`: the steps after which these are due, in order.
    """

    def __init__(
        self, last: int, diagnose: int, checkpoint: int, evaluations: Sequence[int], inspections: Sequence[int] = ()
    ) -> None:
        self.last = last
        self._periods = {Event.DIAGNOSE: diagnose, Event.CHECKPOINT: checkpoint, Event.REPORT: STEPS_BETWEEN_REPORTS}
        self._at_last = {Event.DIAGNOSE, Event.CHECKPOINT}
        self._listed = {Event.EVALUATE: evaluations, Event.INSPECT: inspections}

    @classmethod
    def of(
        cls, task: Task, plan: DataPlan, length: int, checkpoint_every: int, inspect_every: int | None = 0
    ) -> Timeline:
        """Return the timeline of a run of so many of the task's unit, with so many between checkpoints.

        `inspect_every`: between inspections, in the task's unit; 0 for none, None for what the task says.
        """
        last = task.agent_steps(length)
        inspections = inspection_steps(task, plan.trajectory, last, inspect_every)
        evaluations = [] if task.evaluation is None else due_steps(task.evaluation, plan.trajectory, last)
        diagnose, checkpoint = (max(1, task.agent_steps(each)) for each in (task.diagnostics_every, checkpoint_every))
        return cls(last, diagnose, checkpoint, evaluations, inspections)

    def due(self, step: int) -> set[Event]:
        """Return what is due after a step; nothing is before the first."""
        if step == 0:
            return set()
        found = {event for event, period in self._periods.items() if step % period == 0}
        if step == self.last:
            found |= self._at_last
        for event, steps in self._listed.items():
            before = bisect_right(steps, step)
            if before and steps[before - 1] == step:
                found.add(event)
        return found

    def steps_until_next(self, step: int) -> int:
        """Return the steps from one before the last to the next after which something is due."""
        following = (steps[bisect_right(steps, step) :][:1] for steps in self._listed.values())
        return min(
            self.last - step,
            *(period - step % period for period in self._periods.values()),
            *(one - step for steps in following for one in steps),
        )
