"""A method's cost: the time of its updates beside those without any method."""

from __future__ import annotations

import dataclasses
import itertools
import statistics
import time
from collections.abc import Callable

import jax

from suite.checks.method.trial import Trial
from suite.learning.programs import wait_for

LEAST_ROUNDS = 6


def overhead_of(trial: Trial, seconds: float) -> str:
    """Return what an update costs beside one without any method: medians of rounds, as many as fit in `seconds`."""
    dense = dataclasses.replace(trial, methods="")
    examples = trial.examples()
    cases = [(dense, 0), (trial, examples[0])]
    if trial.programs.signals(examples[-1]) and examples[-1] != examples[0]:
        cases.append((trial, examples[-1]))
    base, ordinary, *due = _times([_updates(own, count) for own, count in cases], seconds)
    milliseconds = [1e3 * statistics.median(times) for times in (ordinary, base)]
    text = f"an update takes {milliseconds[0]:.2f} ms, dense {milliseconds[1]:.2f} ms: x {_ratio(ordinary, base):.2f}"
    if due:
        share = len(trial.built[0].due) / trial.total_updates
        text += f"; a due one (1 in {round(1 / share):,}) x {_ratio(due[0], base):.2f}"
    return text


def _updates(trial: Trial, count: int) -> Callable[[], None]:
    """Return what takes the update that `count` others went before, again and again, and waits for it."""
    learner, data = trial.learner(), trial.data(count)

    def update() -> None:
        nonlocal learner
        learner, _ = trial.programs.update(learner, trial.streams, count, data)
        wait_for(learner)

    return update


def _times(cases: list[Callable[[], None]], seconds: float) -> list[list[float]]:
    """Return the seconds of each case, round by round; on a CPU those of the process, whatever else runs there."""
    clock = time.process_time if jax.default_backend() == "cpu" else time.perf_counter
    for case in cases:
        case()  # compiles
    times: list[list[float]] = [[] for _ in cases]
    end = time.perf_counter() + seconds
    for order in itertools.cycle(itertools.permutations(range(len(cases)))):  # who comes after whom makes a difference
        if time.perf_counter() >= end and len(times[0]) >= LEAST_ROUNDS:
            break
        for index in order:
            start = clock()
            cases[index]()
            times[index].append(clock() - start)
    return times


def _ratio(times: list[float], base: list[float]) -> float:
    """Return the median of the ratios within a round."""
    return statistics.median(one / other for one, other in zip(times, base, strict=True))
