"""The timeline of a session: what is due after which of its steps."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from enum import Enum, auto

from suite.contracts.agent import DataPlan
from suite.records.schedule import due_steps
from suite.tasks import Task

STEPS_BETWEEN_REPORTS = 32


class Event(Enum):
    """What a session does between two steps."""

    DIAGNOSE = auto()
    CHECKPOINT = auto()
    EVALUATE = auto()
    REPORT = auto()


class Timeline:
    """Events after steps 1 to `last`, at every so many each; diagnosis and checkpoint after the last one too."""

    def __init__(self, last: int, diagnose: int, checkpoint: int, evaluations: Sequence[int]) -> None:
        self.last = last
        self._periods = {Event.DIAGNOSE: diagnose, Event.CHECKPOINT: checkpoint, Event.REPORT: STEPS_BETWEEN_REPORTS}
        self._at_last = {Event.DIAGNOSE, Event.CHECKPOINT}
        self._evaluations = evaluations

    @classmethod
    def of(cls, task: Task, plan: DataPlan, length: int, checkpoint_every: int) -> Timeline:
        """Return the timeline of a run of so many of the task's unit, with so many between checkpoints."""
        last = task.agent_steps(length)
        evaluations = [] if task.evaluation is None else due_steps(task.evaluation, plan.trajectory, last)
        diagnose, checkpoint = (max(1, task.agent_steps(each)) for each in (task.diagnostics_every, checkpoint_every))
        return cls(last, diagnose, checkpoint, evaluations)

    def due(self, step: int) -> set[Event]:
        """Return what is due after a step; nothing is before the first."""
        if step == 0:
            return set()
        found = {event for event, period in self._periods.items() if step % period == 0}
        if step == self.last:
            found |= self._at_last
        before = bisect_right(self._evaluations, step)
        if before and self._evaluations[before - 1] == step:
            found.add(Event.EVALUATE)
        return found

    def steps_until_next(self, step: int) -> int:
        """Return the steps from one before the last to the next after which something is due."""
        following = self._evaluations[bisect_right(self._evaluations, step) :][:1]
        return min(
            self.last - step,
            *(period - step % period for period in self._periods.values()),
            *(one - step for one in following),
        )
