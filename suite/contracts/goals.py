"""What a run falls short of: times at which a method would act, and numbers that training is to reach."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TOLERANCE = 5e-5
"""How far from a goal still counts as there, relative to it: what four digits show."""


@dataclass(frozen=True, slots=True)
class Goal:
    """A number that training is to reach.

    `after(updates)`: what it is after so many gradient steps. `asked`: what it is to be in the end; None: what a run of
    the task's full budget gives.
    """

    name: str
    after: Callable[[int], float]
    asked: float | None = None


def shortfall(name: str, due: range, goals: Sequence[Goal], updates: int, full: int) -> str:
    """Return a sentence on what a run of `updates` gradient steps does not reach of a component; "" if nothing.

    `due`: the gradient steps at which it acts, by the number of steps before them. `full`: the gradient steps of a run
    of the task's full budget. What not even that one comes to is no shortfall, unless nothing is left.
    """
    parts = [*_times(due, updates, full), *(_missed(goal, updates, full) for goal in goals)]
    missed = "; ".join(filter(None, parts))
    return f"{name}: {missed}." if missed else ""


def _times(due: range, updates: int, full: int) -> list[str]:
    acts, planned = (bisect.bisect_left(due, end) for end in (updates, full))
    if due and not acts:
        return [f"never acts: it would first after {due[0]:,} gradient steps, and the run has {updates:,}"]
    if acts < planned:
        return [
            f"acts {acts:,} of {planned:,} times: the last is due after {due[planned - 1]:,} gradient steps, and the "
            f"run has {updates:,}"
        ]
    return []


def _missed(goal: Goal, updates: int, full: int) -> str:
    reached, asked = goal.after(updates), goal.after(full) if goal.asked is None else goal.asked
    if abs(reached - asked) <= TOLERANCE * abs(asked):
        return ""
    return f"{goal.name} {reached:.4g} is reached, not {asked:.4g}"
