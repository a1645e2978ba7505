"""What the record of one run says of itself that cannot be: steps, seeds, evaluations, actions."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from leaderboard.bundles.findings import Finding, finding
from suite.errors import BadData
from suite.records.record import Episode, EvaluationRow, Run
from suite.records.schedule import by_segment, due_steps, is_complete, stream_name
from suite.records.score import by_evaluation, scored
from suite.rng import Streams
from suite.tasks import GAMES, Evaluation, Task


def episode_cap(task: Task) -> int:
    """Return the most agent steps that an episode of a task can have."""
    if task.family == "continuous":
        return task.mujoco.max_episode_steps
    return -(-task.atari.max_episode_frames // task.atari.frame_skip)


def check_steps(run: Run, task: Task, where: str) -> Iterator[Finding]:
    """Yield findings about lengths and about where the episodes end."""
    status, cap = run.status, episode_cap(task)
    if status.frames != status.agent_steps * task.units_per_step or status.frames > run.cell.spec.frames:
        yield finding("record.steps", where, f"{status.agent_steps} steps and {status.frames} {task.unit} do not fit")
    for logged in (run.episodes, run.evaluation):
        if any(one.attempt > other.attempt for one, other in itertools.pairwise(logged)):
            yield finding("record.steps", where, "an earlier attempt follows a later one")
    rows: tuple[Episode | EvaluationRow, ...] = (*run.episodes, *run.evaluation)
    if bad := next((row for row in rows if not 1 <= row.length <= cap), None):
        yield finding("record.length", where, f"episode {bad.episode} has {bad.length} steps; 1 to {cap} are possible")
    if task.family == "offline":
        if run.episodes:
            yield finding("record.steps", where, "an offline run plays no training episodes")
        return
    last = run.episodes[-1].agent_step if run.episodes else 0
    if last > status.agent_steps:
        yield finding("record.steps", where, f"its episodes take {last} steps of {status.agent_steps}")
    if status.agent_steps - last > cap:
        yield finding("record.steps", where, f"its episodes end at step {last}, {status.agent_steps} were taken")
    if status.episodes != len(run.episodes):
        yield finding("record.steps", where, f"it says {status.episodes} episodes and lists {len(run.episodes)}")


def check_seeds(run: Run, task: Task, where: str) -> Iterator[Finding]:
    """Yield a finding if an emulator seed is not the one that the cell assigns."""
    streams = Streams(run.cell.spec.task_key, run.cell.game, run.cell.seed)
    for index, segment in enumerate(by_segment(run.episodes, task)):
        expected = streams.emulator_seed(index)
        if wrong := next((row for row in segment if row.emulator_seed != expected), None):
            yield finding(
                "record.seeds", where, f"episode {wrong.episode} has seed {wrong.emulator_seed}, not {expected}"
            )
            return
    for row in run.evaluation:
        if row.emulator_seed != streams.emulator_seed(row.episode, stream_name(row.agent_step)):
            yield finding(
                "record.seeds", where, f"evaluation episode {row.episode} at step {row.agent_step}: another seed"
            )
            return


def check_evaluation(run: Run, task: Task, where: str) -> Iterator[Finding]:
    """Yield findings about evaluations that were not due or are not whole; of all of a finished run."""
    evaluation = task.evaluation
    if evaluation is None:
        if run.evaluation:
            yield finding("record.evaluation", where, f"{task.id} has no evaluations")
        return
    trajectory = run.cell.spec.agent.settings.get("trajectory_length", 1)
    size = trajectory if type(trajectory) is int and trajectory > 0 else 1
    due = due_steps(evaluation, size, min(run.status.frames, run.cell.spec.frames) // task.units_per_step)
    held = [step for step, _ in itertools.groupby(run.evaluation, key=lambda row: row.agent_step)]
    wanted = due if run.status.state == "done" else due[: len(held)]
    if held != wanted:
        yield finding("record.evaluation", where, f"{len(held)} evaluations, {len(due)} are due, or out of order")
        return
    for step, rows in itertools.groupby(run.evaluation, key=lambda row: row.agent_step):
        if not _whole(evaluation, list(rows)) and (run.status.state == "done" or step != held[-1]):
            yield finding("record.evaluation", where, f"the evaluation at step {step} is not whole")
            return


def _whole(evaluation: Evaluation, rows: Sequence[EvaluationRow]) -> bool:
    """Return whether these are the episodes of one evaluation, in order: enough of them, and none too many."""
    lengths = {row.episode: row.length for row in rows}
    without_last = {number: lengths[number] for number in list(lengths)[:-1]}
    in_order = [row.episode for row in rows] == list(range(len(rows)))
    return in_order and is_complete(evaluation, lengths) and not is_complete(evaluation, without_last)


def check_actions(run: Run, task: Task, where: str) -> Iterator[Finding]:
    """Yield findings about the actions of scored episodes; a note if the run has none at all."""
    if run.status.state != "done":
        return
    evaluated = by_evaluation(task)
    counted = {row.episode for row in scored(task, run.cell.spec.frames, run.episodes)} if not evaluated else set()
    logs = run.actions()
    if not counted and not (evaluated and scored(task, run.cell.spec.frames, run.evaluation)):
        return
    if not logs and not any(row.actions for row in run.evaluation):
        yield finding("record.no_actions", where, "no episode has its actions")
        return
    try:
        if evaluated:
            _unpack_evaluation(run, task)
        else:
            _unpack_logs(run, task, counted)
    except BadData as error:
        yield finding("record.actions", where, error.problem)


def _unpack_evaluation(run: Run, task: Task) -> None:
    """Unpack the actions of every evaluation episode that the score counts."""
    continuous = task.family == "continuous"
    width = 4 * GAMES[run.cell.game].actions if continuous else 1
    for row in scored(task, run.cell.spec.frames, run.evaluation):
        if row.length > episode_cap(task):
            raise BadData(f"evaluation episode {row.episode} is longer than can be")  # nor is as much unpacked
        actions = row.unpack(width)
        if not continuous:
            _check_range(actions, run.cell.game, row.episode)


def _unpack_logs(run: Run, task: Task, counted: set[int]) -> None:
    """Unpack every action log; each scored episode, and those of its segment before it, must have one."""
    logs = run.actions()
    for segment in by_segment(run.episodes, task):
        last = max((index for index, row in enumerate(segment) if row.episode in counted), default=-1)
        if missing := next((row.episode for row in segment[: last + 1] if row.episode not in logs), None):
            raise BadData(f"episode {missing} has no actions")
    for number, log in logs.items():
        if number >= len(run.episodes):
            raise BadData(f"there are actions of episode {number}, which does not exist")
        _check_range(log.unpack(run.episodes[number].length), run.cell.game, number)


def _check_range(actions: bytes, game: str, episode: int) -> None:
    if actions and max(actions) >= GAMES[game].actions:
        raise BadData(f"episode {episode} has action {max(actions)}, which {game} does not have")
