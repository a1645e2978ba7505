"""The rows of a record, judged: steps, seeds, evaluations, checkpoints, actions."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Iterator, Mapping, Sequence

from suite.errors import BadData
from suite.records.inconsistency import Inconsistency
from suite.records.record import FINISHED, Actions, Episode, EvaluationRow, Run
from suite.records.schedule import by_segment, due_steps, is_complete, stream_name, stretches, trajectory_of
from suite.records.score import by_evaluation, scored
from suite.tasks import GAMES, Evaluation, Task

STEP_REWARD = 100_000
"""What no step of any game gives: with four frames, more than the largest bonus of an Atari game."""

LEAST_DIGITS = 6
"""How many different digits a hash has at least; fewer are there by chance once in 10**28 times."""


def of_steps(run: Run, task: Task) -> Iterator[Inconsistency]:
    """Yield what is wrong with lengths and with where the episodes end."""
    status, cap = run.status, task.environment.cap(GAMES[run.cell.game])
    if status.frames != status.agent_steps * task.units_per_step or status.frames > run.cell.spec.frames:
        yield _steps(f"{status.agent_steps} steps and {status.frames} {task.unit} do not fit")
    for logged in (run.episodes, run.evaluation):
        if any(one.attempt > other.attempt for one, other in itertools.pairwise(logged)):
            yield _steps("an earlier attempt follows a later one")
    rows: tuple[Episode | EvaluationRow, ...] = (*run.episodes, *run.evaluation)
    if bad := next((row for row in rows if not 1 <= row.length <= cap), None):
        text = f"episode {bad.episode} has {bad.length} steps; 1 to {cap} are possible"
        yield Inconsistency("record.length", text)
    if bad := next((row for row in rows if row.frame != row.agent_step * task.units_per_step), None):
        yield _steps(f"episode {bad.episode}: step {bad.agent_step} and {bad.frame} {task.unit} do not fit")
    if task.data is not None:
        if run.episodes:
            yield _steps("an offline run plays no training episodes")
        return
    last = run.episodes[-1].agent_step if run.episodes else 0
    if last > status.agent_steps:
        yield _steps(f"its episodes take {last} steps of {status.agent_steps}")
    if status.agent_steps - last > cap:
        yield _steps(f"its episodes end at step {last}, {status.agent_steps} were taken")
    if status.episodes != len(run.episodes):
        yield _steps(f"it says {status.episodes} episodes and lists {len(run.episodes)}")


def _steps(message: str) -> Inconsistency:
    return Inconsistency("record.steps", message)


def of_seeds(run: Run, task: Task) -> Iterator[Inconsistency]:
    """Yield the first emulator seed that is not the one that the cell assigns."""
    from suite.rng import Streams  # numpy

    streams = Streams(run.cell.spec.task_key, run.cell.game, run.cell.seed)
    for index, segment in enumerate(by_segment(run.episodes, task)):
        expected = streams.emulator_seed(index)
        if wrong := next((row for row in segment if row.emulator_seed != expected), None):
            text = f"episode {wrong.episode} has seed {wrong.emulator_seed}, not {expected}"
            yield Inconsistency("record.seeds", text)
            return
    for row in run.evaluation:
        if row.emulator_seed != streams.emulator_seed(row.episode, stream_name(row.agent_step)):
            text = f"evaluation episode {row.episode} at step {row.agent_step}: another seed"
            yield Inconsistency("record.seeds", text)
            return


def of_evaluation(run: Run, task: Task) -> Iterator[Inconsistency]:
    """Yield evaluations that were not due or are not whole; of all of a finished run."""
    evaluation = task.evaluation
    if evaluation is None:
        if run.evaluation:
            yield Inconsistency("record.evaluation", f"{task.id} has no evaluations")
        return
    last = min(run.status.frames, run.cell.spec.frames) // task.units_per_step
    due = due_steps(evaluation, trajectory_of(run.cell.spec), last)
    held = [step for step, _ in itertools.groupby(run.evaluation, key=lambda row: row.agent_step)]
    wanted = due if run.status.state == "done" else due[: len(held)]
    if held != wanted:
        text = f"{len(held)} evaluations, {len(due)} are due, or out of order"
        yield Inconsistency("record.evaluation", text)
        return
    for step, rows in itertools.groupby(run.evaluation, key=lambda row: row.agent_step):
        if not is_whole(evaluation, list(rows)) and (run.status.state == "done" or step != held[-1]):
            yield Inconsistency("record.evaluation", f"the evaluation at step {step} is not whole")
            return


def is_whole(evaluation: Evaluation, rows: Sequence[EvaluationRow]) -> bool:
    """Return whether these are the episodes of one evaluation, in order: enough of them, and none too many."""
    lengths = {row.episode: row.length for row in rows}
    without_last = {number: lengths[number] for number in list(lengths)[:-1]}
    in_order = [row.episode for row in rows] == list(range(len(rows)))
    return in_order and is_complete(evaluation, lengths) and not is_complete(evaluation, without_last)


def of_returns(run: Run, task: Task) -> Iterator[Inconsistency]:
    """Yield the first return that no game gives, whatever its rules: of more than STEP_REWARD a step, or no number."""
    rows: tuple[Episode | EvaluationRow, ...] = (*run.episodes, *run.evaluation)
    for row in rows:
        if not abs(row.value) <= STEP_REWARD * max(1, row.length):
            text = f"episode {row.episode} returns {row.value:g} in {row.length} steps"
            yield Inconsistency("score.impossible", text)
            return


def of_checkpoints(run: Run) -> Iterator[Inconsistency]:
    """Yield the first thing that is wrong with the hashes at checkpoints.

    They are of the last step too, in order, of another learner after other updates, and of another history after more
    episodes.
    """
    rows, status = run.checkpoints, run.status
    if status.state == "done" and (not rows or rows[-1].agent_step != status.agent_steps):
        yield Inconsistency("record.checkpoints", "there is no checkpoint of its last step")
    elif status.state == "done" and rows[-1].updates != status.updates:
        text = f"{rows[-1].updates} updates at its last step, {status.updates} in all"
        yield Inconsistency("record.checkpoints", text)
    ends = [row.agent_step for row in run.episodes]
    learners: dict[str, int] = {}
    for one, other in itertools.pairwise(rows):
        if one.agent_step >= other.agent_step or one.updates > other.updates:
            text = f"step {one.agent_step} with {one.updates} updates precedes {other.agent_step} with {other.updates}"
            yield Inconsistency("record.checkpoints", text)
            return
        finished = bisect.bisect_left(ends, other.agent_step) - bisect.bisect_right(ends, one.agent_step)
        if finished > 0 and one.history == other.history:
            text = f"one history at step {one.agent_step} and at {other.agent_step}, {finished} episodes later"
            yield Inconsistency("record.checkpoints", text)
            return
    for row in rows:
        if learners.setdefault(row.learner, row.updates) != row.updates:
            text = f"one learner at {learners[row.learner]} and at {row.updates} updates"
            yield Inconsistency("record.checkpoints", text)
            return
    if bad := next((row for row in rows if not (_is_hash(row.learner) and _is_hash(row.history))), None):
        yield Inconsistency("record.checkpoints", f"the hashes at step {bad.agent_step} are none")


def _is_hash(text: str) -> bool:
    """Return whether a text can be a SHA-256: 64 hexadecimal digits, and as many different ones as chance gives."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef") and len(set(text)) >= LEAST_DIGITS


def of_diagnostics(run: Run) -> Iterator[Inconsistency]:
    """Yield whether the diagnostics of a run that is done were cut off: bundles keep only some of them, but the last.

    That a run diverged may be found by an evaluation, between two of them.
    """
    if run.status.state != "done":
        return
    last = run.diagnostics[-1].agent_step if run.diagnostics else 0
    if last != run.status.agent_steps:
        text = f"its diagnostics end at step {last}, {run.status.agent_steps} were taken"
        yield Inconsistency("record.diagnostics", text)


def of_actions(run: Run, task: Task) -> Iterator[Inconsistency]:
    """Yield what is wrong with the actions of scored episodes; a remark if there is nothing, or no end, to replay."""
    if run.status.state not in FINISHED:
        return
    evaluated, diverged = by_evaluation(task), run.status.state == "diverged"
    counted: Sequence[Episode | EvaluationRow] = (
        scored(task, run.status.frames, run.evaluation) if evaluated else scored(task, run.status.frames, run.episodes)
    )
    if not counted or (evaluated and diverged):
        return
    try:
        logs = run.actions()
        if not logs and not any(row.actions for row in run.evaluation):
            yield Inconsistency("record.no_actions", "no episode has its actions")
        elif evaluated:
            _unpack_evaluation(run, task)
        elif diverged and not run.logs_the_end:
            yield Inconsistency("record.no_actions", "records of version 1 have no actions of a run that diverged")
        else:
            _unpack_logs(run, task, logs, counted[0].episode)
            if run.open_steps > 0 and not run.logs_the_end:
                yield Inconsistency("record.no_end", f"the last {run.open_steps} agent steps have no actions")
    except BadData as error:
        yield Inconsistency("record.actions", error.problem)


def _unpack_evaluation(run: Run, task: Task) -> None:
    """Unpack the actions of every evaluation episode that the score counts."""
    environment = task.environment
    width = environment.action_bytes(GAMES[run.cell.game])
    for row in scored(task, run.cell.spec.frames, run.evaluation):
        if row.length > environment.cap(GAMES[run.cell.game]):
            raise BadData(f"evaluation episode {row.episode} is longer than can be")  # nor is as much unpacked
        actions = row.unpack(width)
        if environment.numbered_actions:
            _check_range(actions, run.cell.game, row.episode)


def _unpack_logs(run: Run, task: Task, logs: Mapping[int, Actions], first: int) -> None:
    """Unpack every action log; every step from the segment of the first scored episode on must be in one."""
    end, left = run.open_episode, run.open_steps if run.logs_the_end else 0
    for stretch in stretches(run.episodes, task, first, left):
        for row in stretch.episodes:
            if row.episode not in logs:
                raise BadData(f"episode {row.episode} has no actions")
        if stretch.open_steps and end not in logs:
            raise BadData(f"the last {stretch.open_steps} agent steps have no actions")
    cap = task.environment.cap(GAMES[run.cell.game])
    for number, log in logs.items():
        if number > end or (number == end and not left):
            raise BadData(f"there are actions of episode {number}, which does not exist")
        length = left if number == end else run.episodes[number].length
        if length > cap:
            raise BadData(f"episode {number} is longer than can be")  # nor is as much unpacked
        _check_range(log.unpack(length), run.cell.game, number)


def _check_range(actions: bytes, game: str, episode: int) -> None:
    if actions and max(actions) >= GAMES[game].actions:
        raise BadData(f"episode {episode} has action {max(actions)}, which {game} does not have")
