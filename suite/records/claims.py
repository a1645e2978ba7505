"""The judge of a record: what it claims is computed again, and nothing is believed that can be checked.

`suite verify`, `suite submit check`, `suite submit pack` and the results database all ask here.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from suite.errors import BadData, SuiteError
from suite.records import judged_cell, judged_rows
from suite.records.inconsistency import Inconsistency
from suite.records.judged_cell import NO_CARDS, Cards
from suite.records.record import FINISHED, Attempt, Episode, EvaluationRow, Run, State
from suite.records.score import score_of
from suite.tasks import Task, games_of_cells, load_task

ALIKE = 8
"""Runs with fewer different episodes are not called alike: where a game gives nothing, all that fail are the same."""


@dataclass(frozen=True, slots=True)
class IterationMean:
    """The mean raw return of the `episodes` that ended in an iteration."""

    iteration: int
    mean_return: float
    episodes: int | None


@dataclass(frozen=True, slots=True)
class Checked:
    """A run whose claims hold. Unfinished runs have no score and no iterations: they are listed, never counted."""

    run: Run
    state: State
    attempt: Attempt
    score: float | None
    scored_episodes: int
    iterations: tuple[IterationMean, ...]
    digest: str

    @property
    def finished(self) -> bool:
        """Whether the run is a result."""
        return self.state in FINISHED


def iterations(task: Task, rows: Iterable[Episode | EvaluationRow]) -> tuple[IterationMean, ...]:
    """Return the mean raw return per iteration (`iteration_length` each); one without an episode is absent."""
    returns: dict[int, list[float]] = defaultdict(list)
    for row in rows:
        returns[(row.frame - 1) // task.budget.iteration_length].append(row.value)
    return tuple(IterationMean(index, _mean(values), len(values)) for index, values in sorted(returns.items()))


def curve_rows(task: Task, run: Run) -> Sequence[Episode | EvaluationRow]:
    """Return what learning curves are made of: training episodes, or evaluations where training is evaluated."""
    return run.episodes if task.evaluation is None or task.evaluation.every is None else run.evaluation


class Contradicted(BadData):
    """A record that is no run's of any configuration, or claims another result than its rows give."""

    def __init__(self, run: Run, inconsistency: Inconsistency, remedy: str) -> None:
        self.inconsistency = inconsistency
        super().__init__(f"{run.path}: {inconsistency.message}.", remedy)


def inconsistencies(run: Run, task: Task, cards: Cards = NO_CARDS) -> Iterator[Inconsistency]:
    """Yield everything that a run's record says and that cannot be; what makes the rest meaningless stands alone.

    `cards` came with the record, beside those that are installed.
    """
    try:
        check(run, run.status.state)
    except Contradicted as error:
        yield error.inconsistency
        if error.inconsistency.code != "runs.claims":
            return
    yield from further(run, task, cards)


def further(run: Run, task: Task, cards: Cards = NO_CARDS) -> Iterator[Inconsistency]:
    """Yield what cannot be in the record of a run that `check` has found to be one."""
    yield from judged_rows.of_steps(run, task)
    yield from judged_rows.of_returns(run, task)
    yield from judged_rows.of_seeds(run, task)
    yield from judged_rows.of_evaluation(run, task)
    yield from judged_rows.of_checkpoints(run)
    yield from judged_rows.of_actions(run, task)
    yield from judged_cell.of_specification(run, task, cards)
    for attempt in run.provenance.attempts:
        yield from judged_cell.of_environment(attempt, task, run.cell.game)


def judged(run: Run, state: State) -> Checked:
    """Return the run as `check` does; Contradicted also if a finished one has settings or returns that cannot be.

    Its rows and hashes are for `inconsistencies`, which whoever replays it asks as well.
    """
    checked = check(run, state)
    if checked.finished:
        task = _task(run)
        found = (*judged_cell.of_specification(run, task, NO_CARDS), *judged_rows.of_returns(run, task))
        _hold(run, (one for one in found if one.grave))
    return checked


def check(run: Run, state: State) -> Checked:
    """Return the run with everything recomputed; Contradicted names the directory and the claim that does not hold."""
    task = _task(run)
    _hold(run, _cell(run, task))
    attempt = run.attempt
    if state not in FINISHED:
        return Checked(run, state, attempt, None, 0, (), digest(run, state, attempt))
    _hold(run, _progress(run, task, state))
    value, count = score_of(run, task, state)
    _hold(run, _summary(run, state, value, count))
    return Checked(
        run, state, attempt, value, count, iterations(task, curve_rows(task, run)), digest(run, state, attempt)
    )


def _hold(run: Run, found: Iterator[Inconsistency]) -> None:
    for inconsistency in found:
        raise Contradicted(run, inconsistency, "Move this run directory away; the run will then start anew.")


def digest(run: Run, state: State, attempt: Attempt) -> str:
    """Return the SHA-256 of everything about a run that counts: canonical JSON, its keys sorted at every level.

    A return of -0.0 is one of 0.0, as in bundles.
    """
    head = {
        "attempt": attempt.model_dump(mode="json"),
        "cell": run.cell.model_dump(mode="json"),
        "status": run.status.model_dump(mode="json") | {"state": state},
    }
    parts: dict[str, Iterable[str]] = {
        name: (json.dumps(value, sort_keys=True, separators=(",", ":")),) for name, value in head.items()
    }
    parts["episodes"] = _listed(map(_episode, run.episodes))
    parts["evaluation"] = _listed(map(_evaluation, run.evaluation))
    found = hashlib.sha256(b"{")
    for number, name in enumerate(sorted(parts)):
        found.update(f'{"," if number else ""}"{name}":'.encode())
        for text in parts[name]:
            found.update(text.encode())
    found.update(b"}")
    return found.hexdigest()


def trace(run: Run) -> str:
    """Return a hash of a run's lengths and returns, "" if too few differ to tell runs apart.

    Of its training episodes, or its evaluations if it has none; who ran it, when and where does not enter.
    """
    return trace_of((row.length, row.value) for row in run.episodes or run.evaluation)


def trace_of(rows: Iterable[tuple[int, float]]) -> str:
    """Return the hash of lengths and returns, "" if fewer than ALIKE differ."""
    pairs = [(length, value + 0.0) for length, value in rows]
    return hashlib.sha256(repr(pairs).encode()).hexdigest() if len(set(pairs)) >= ALIKE else ""


def _listed(rows: Iterable[str]) -> Iterator[str]:
    """Yield the pieces of a JSON list, some hundred rows at a time: there are tens of thousands."""
    yield "["
    between, left = "", iter(rows)
    while some := ",".join(itertools.islice(left, 500)):
        yield between + some
        between = ","
    yield "]"


def _episode(row: Episode) -> str:
    """Return the canonical JSON of an episode, ten times faster than by way of a dictionary."""
    return (
        f'{{"agent_step":{row.agent_step},"attempt":{row.attempt},"emulator_seed":{row.emulator_seed},'
        f'"end":"{row.end}","episode":{row.episode},"frame":{row.frame},"length":{row.length},'
        f'"value":{row.value + 0.0!r}}}'
    )


def _evaluation(row: EvaluationRow) -> str:
    return (
        f'{{"actions":{json.dumps(row.actions)},"agent_step":{row.agent_step},"attempt":{row.attempt},'
        f'"emulator_seed":{row.emulator_seed},"end":"{row.end}","episode":{row.episode},"frame":{row.frame},'
        f'"length":{row.length},"value":{row.value + 0.0!r}}}'
    )


def _printable(value: Any) -> bool:
    """Return whether all text in a JSON value is printable: no control characters, no reversed writing."""
    if isinstance(value, dict):
        return all(_printable(part) for item in value.items() for part in item)
    if isinstance(value, list | tuple):
        return all(_printable(part) for part in value)
    return not isinstance(value, str) or value.isprintable()


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _task(run: Run) -> Task:
    spec = run.cell.spec
    try:
        task = load_task(spec.task)
    except SuiteError as error:
        unknown = Inconsistency("task.unknown", f"its task {spec.task!r} is unknown here")
        raise Contradicted(run, unknown, "Ingest it with a suite that has this task.") from error
    if task.cells_of is not None:
        moved = Inconsistency(
            "task.version", f"it was run as {spec.task_key}, whose cells are {task.protocol_key}'s now"
        )
        raise Contradicted(run, moved, f"Run it again: `suite run --task {task.id}` makes and finds those.")
    if task.version != spec.task_version:
        other = Inconsistency("task.version", f"it was run under {spec.task_key}, this is {task.key}")
        raise Contradicted(run, other, "Ingest it with the suite that ran it.")
    return task


def _cell(run: Run, task: Task) -> Iterator[Inconsistency]:
    cell, spec = run.cell, run.cell.spec
    if cell.config_id != spec.config_id:
        text = f"its config_id {cell.config_id} does not follow from its spec ({spec.config_id})"
        yield Inconsistency("runs.identity", text)
    if not _printable(cell.model_dump(mode="json")):
        yield Inconsistency("runs.identity", "its spec.json has names or values that cannot be printed")
    if cell.game not in games_of_cells(task.id):
        yield Inconsistency("runs.identity", f"{cell.game!r} is not a game of {task.key}")
    if spec.frames > task.budget.length or spec.shortened != (spec.frames != task.budget.length):
        yield _claim(f"its budget of {spec.frames} {task.unit} is not what it says about {task.key}")
    if run.status.budget_frames != spec.frames:
        yield _claim(f"status.json counts to {run.status.budget_frames} {task.unit}, spec.json to {spec.frames}")


def _progress(run: Run, task: Task, state: State) -> Iterator[Inconsistency]:
    if state == "done" and run.status.frames != run.cell.spec.frames:
        yield _claim(f"it is called done after {run.status.frames} of {run.cell.spec.frames} {task.unit}")
    before = step = 0
    for number, row in enumerate(run.episodes):
        if not before < row.frame <= run.cell.spec.frames:
            where = f"ends after {row.frame} {task.unit}, out of order or beyond the budget"
            yield _claim(f"episode {row.episode} {where}")
        before, step = row.frame, step + row.length
        if (row.episode, row.agent_step) != (number, step):
            text = f"episode {number} should end at agent step {step}: one was left out or changed"
            yield Inconsistency("record.steps", text)


def _summary(run: Run, state: State, value: float | None, count: int) -> Iterator[Inconsistency]:
    claim = run.status.summary
    if claim is None:
        if state == "done":
            yield _claim("it is called done and has no summary")
    elif (claim.score, claim.scored_episodes) != (value, count):
        text = f"a score of {claim.score} over {claim.scored_episodes} episodes, its episodes give {value} over {count}"
        yield _claim(f"status.json claims {text}")


def _claim(message: str) -> Inconsistency:
    return Inconsistency("runs.claims", message)
