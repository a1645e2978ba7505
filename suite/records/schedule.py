"""The schedule of a run, without a learner: episodes that belong together, evaluations that are due."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from suite.records.record import Episode, EvaluationRow
from suite.tasks import Evaluation, Task
from suite.tasks.configuration import Spec


def stream_name(step: int) -> str:
    """Return the name of the random stream that gives the emulator seeds of the evaluation at a step."""
    return f"evaluation/{step}"


def trajectory_of(spec: Spec) -> int:
    """Return the agent steps between the ends of an agent's trajectories: an on-policy agent's setting, else 1."""
    length = spec.agent.settings.get("trajectory_length", 1)
    return length if type(length) is int and length > 0 else 1


def due_steps(evaluation: Evaluation, trajectory: int, last: int) -> list[int]:
    """Return the agent steps of a run of `last` steps after which an evaluation is due, in order.

    An agent that learns from trajectories of several steps is evaluated at the first end of one at or after each
    `every`.
    """
    every = evaluation.every
    return [last] if every is None else _at_ends(every, trajectory, last)


def inspection_steps(task: Task, trajectory: int, last: int, every: int | None = None) -> list[int]:
    """Return the agent steps of a run of `last` steps after which an inspection is due, in order, the last among them.

    `every`: in the task's unit; 0 for none, None for what the task says. Learners from trajectories of several steps
    are inspected where one ends, as they are evaluated; their last trajectory may end before the run does.
    """
    if every is None:
        every = 0 if task.inspection is None else task.inspection.every
    if not every:
        return []
    final = last // trajectory * trajectory
    return sorted({*_at_ends(max(1, task.agent_steps(every)), trajectory, last), *([final] if final else [])})


def _at_ends(every: int, trajectory: int, last: int) -> list[int]:
    steps = {-(-multiple // trajectory) * trajectory for multiple in range(every, last + 1, every)}
    return sorted(step for step in steps if step <= last)


def is_complete(evaluation: Evaluation, lengths: Mapping[int, int]) -> bool:
    """Return whether the episodes from number 0 on, of these lengths, are all that an evaluation wants."""
    if evaluation.episodes is not None:
        return len(lengths) >= evaluation.episodes
    return sum(lengths.values()) >= (evaluation.agent_steps or 0)


def by_segment(episodes: Sequence[Episode], task: Task) -> list[list[Episode]]:
    """Return a run's episodes in sets that share an emulator seed; a body is given a seed for every episode."""
    segments: list[list[Episode]] = []
    left = 0
    for episode in episodes:
        if left <= 0:
            segments.append([])
            left = task.environment.reseed_steps
        segments[-1].append(episode)
        left -= episode.length
    return segments


class Stretch(NamedTuple):
    """A segment as it has to be played again: its number in the run, its finished episodes, and what was cut off.

    `open_steps`: the agent steps of the episode after them that did not finish before the run ended.
    """

    segment: int
    episodes: Sequence[Episode | EvaluationRow]
    open_steps: int


def stretches(episodes: Sequence[Episode], task: Task, first: int, open_steps: int) -> list[Stretch]:
    """Return the segments from that of episode `first` on to the end of the run, whose last episode may be open.

    Played again one after another they take every agent step from there on, so that nothing can be left out.
    """
    segments = by_segment(episodes, task)
    if open_steps and (not segments or sum(row.length for row in segments[-1]) >= task.environment.reseed_steps):
        segments.append([])
    last = len(segments) - 1
    return [
        Stretch(index, segment, open_steps if index == last else 0)
        for index, segment in enumerate(segments)
        if index == last or segment[-1].episode >= first
    ]
