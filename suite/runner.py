"""Runs cells: the only stateful module. Each lane advances in its own thread and writes its own run directory."""

from __future__ import annotations

import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from suite import provenance
from suite.card import Value
from suite.configure import programs_for
from suite.envs.atari import AtariEnvs
from suite.errors import Locked, SuiteError
from suite.lane import FinishedEpisode, Lane
from suite.record import FINISHED, Actions, Diagnostics, Episode, State, StatusFile, Summary
from suite.rng import Streams
from suite.score import score, scored
from suite.spec import Cell
from suite.tasks import GAMES, Task, load_task
from suite.writer import RunWriter

STATUS_SECONDS = 5.0
RATE_MARKS = 6
"""The rate shown is that since the oldest of so many marks, one at each status: about the last half minute."""
STEPS_BETWEEN_LOOKS = 32


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to run, with its settings that depart from the published ones."""

    cell: Cell
    departures: dict[str, Value]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a cell ended here. `state` is `locked` if another process has it."""

    cell: Cell
    state: State | str
    path: Path
    score: float | None = None
    message: str = ""


class Progress(Protocol):
    """Who is told how far the lanes are; called from their threads."""

    def begin(self, cell: Cell, budget_frames: int) -> None:
        """A lane starts."""
        ...

    def advance(self, cell: Cell, frames: int, frames_per_second: float, last_return: float | None) -> None:
        """A lane has reached a frame."""
        ...

    def end(self, outcome: Outcome) -> None:
        """A lane has ended."""
        ...


def run_cells(
    jobs: Sequence[Job],
    root: Path,
    *,
    lanes: int,
    progress: Progress,
    stop: threading.Event,
    finished: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run cells, `lanes` at a time, until all have ended or `stop` is set; cells not begun by then are left out."""

    def run_one(job: Job) -> Outcome | None:
        if stop.is_set():
            return None
        outcome = _run_cell(job, root, progress, stop)
        progress.end(outcome)
        finished(outcome)
        return outcome

    with ThreadPoolExecutor(max_workers=lanes, thread_name_prefix="lane") as pool:
        futures = [pool.submit(run_one, job) for job in jobs]
        try:
            outcomes = [future.result() for future in futures]
        except BaseException:
            stop.set()
            raise
    return [outcome for outcome in outcomes if outcome is not None]


def _run_cell(job: Job, root: Path, progress: Progress, stop: threading.Event) -> Outcome:
    path = root / job.cell.path
    try:
        writer = RunWriter.open(root, job.cell, job.departures)
    except SuiteError as error:
        state = "locked" if isinstance(error, Locked) else "failed"
        return Outcome(job.cell, state, path, message=str(error))
    try:
        previous = writer.previous
        if previous is not None and previous.state in FINISHED:  # another process was here since we planned
            return Outcome(job.cell, previous.state, path, previous.summary.score if previous.summary else None)
        return _Recording(job.cell, writer, progress, stop).run()
    finally:
        writer.close()


class _Recording:
    """One attempt at a cell: advances its lane and writes down what happens."""

    def __init__(self, cell: Cell, writer: RunWriter, progress: Progress, stop: threading.Event) -> None:
        self._cell = cell
        self._task: Task = load_task(cell.spec.task)
        self._writer = writer
        self._progress = progress
        self._stop = stop
        self._budget_steps = self._task.agent_steps(cell.spec.frames)
        self._skip = self._task.environment.frame_skip
        self._started_at = provenance.utc_now()
        self._clock = time.monotonic()
        self._marks: deque[tuple[float, int]] = deque(maxlen=RATE_MARKS)
        self._last_return: float | None = None
        self._scored: list[Episode] = []

    def run(self) -> Outcome:
        """Run to the end of the budget, to divergence, to a stop or to a failure; the status says which."""
        lane: Lane | None = None
        try:
            self._writer.provenance(provenance.attempt(self._cell, self._writer.attempt))
            self._write_status("running", None)
            self._progress.begin(self._cell, self._cell.spec.frames)
            programs = programs_for(self._cell.spec, GAMES[self._cell.game].actions)
            streams = Streams(self._cell.spec.task_key, self._cell.game, self._cell.seed)
            envs = AtariEnvs(GAMES[self._cell.game], self._task.environment)
            lane = Lane(programs, envs, streams, self._task.environment.reward_clip)
            state = self._train(lane)
            message = "" if state != "diverged" else f"Training left the numbers by agent step {lane.step}."
            summary = self._summary(lane) if state == "done" else None
            self._write_status(state, lane, message=message, summary=summary)
        except Exception as error:  # noqa: BLE001 - one cell's failure must not stop the others
            message = f"{type(error).__name__}: {error}"
            self._write_failure(lane, message, traceback.format_exc())
            return Outcome(self._cell, "failed", self._writer.path, message=message)
        finally:
            if lane is not None:
                lane.close()
        score = None if summary is None else summary.score
        return Outcome(self._cell, state, self._writer.path, score, message)

    def _train(self, lane: Lane) -> State:
        diagnostics_steps = self._task.diagnostics_frames // self._skip
        while lane.step < self._budget_steps:
            episode = lane.advance()
            if episode is not None:
                self._record_episode(episode)
            if lane.step % diagnostics_steps == 0 or lane.step == self._budget_steps:
                metrics = lane.metrics()
                self._record_diagnostics(lane, metrics)
                if lane.diverged(metrics):
                    return "diverged"
            if lane.step % STEPS_BETWEEN_LOOKS == 0:
                if self._stop.is_set() and lane.step < self._budget_steps:
                    return "interrupted"
                self._look(lane)
        return "done"

    def _look(self, lane: Lane) -> None:
        now = time.monotonic()
        if not self._marks:
            self._marks.append((now, lane.step))
        self._progress.advance(self._cell, lane.step * self._skip, self._rate(lane) or 0.0, self._last_return)
        if now - self._marks[-1][0] >= STATUS_SECONDS:
            self._write_status("running", lane)
            self._marks.append((now, lane.step))

    def _rate(self, lane: Lane) -> float | None:
        """Return frames per second lately, compilation left out; None before anything is known."""
        if not self._marks or lane.step == self._marks[0][1]:
            return None
        since, step = self._marks[0]
        return round((lane.step - step) * self._skip / max(1e-9, time.monotonic() - since), 1)

    def _record_episode(self, episode: FinishedEpisode) -> None:
        row = Episode.model_validate(
            {
                "attempt": self._writer.attempt,
                "episode": episode.number,
                "agent_step": episode.agent_step,
                "frame": episode.agent_step * self._skip,
                "length": len(episode.actions),
                "return": episode.raw_return,
                "end": "truncated" if episode.truncated else "terminated",
                "emulator_seed": episode.emulator_seed,
            }
        )
        if scored(self._task, self._cell.spec.frames, [row]):
            self._scored.append(row)
            self._writer.actions(Actions.pack(row.attempt, row.episode, episode.actions))
        self._last_return = row.value
        self._writer.episode(row)

    def _record_diagnostics(self, lane: Lane, metrics: dict[str, float]) -> None:
        finite = {name: value for name, value in metrics.items() if abs(value) < float("inf")}
        row = Diagnostics(
            attempt=self._writer.attempt,
            agent_step=lane.step,
            frame=lane.step * self._skip,
            updates=lane.updates,
            values=finite | {"epsilon": lane.epsilon},
        )
        self._writer.diagnostics(row)

    def _summary(self, lane: Lane) -> Summary:
        metrics = lane.metrics()
        value, count = score(self._task, self._cell.spec.frames, self._scored)
        return Summary(
            score=value,
            scored_episodes=count,
            parameters=int(metrics["parameters"]),
            active_parameters=int(metrics["active_parameters"]),
            sparsity=metrics["sparsity"],
            updates=lane.updates,
            wall_seconds=round(time.monotonic() - self._clock, 3),
        )

    def _write_failure(self, lane: Lane | None, message: str, trace: str) -> None:
        try:
            self._write_status("failed", lane, message=message)
            (self._writer.path / f"failure-{self._writer.attempt}.txt").write_text(trace, encoding="utf-8")
        except OSError:
            return  # the disk is what failed; the attempt stays `running` and is found killed

    def _write_status(
        self, state: State, lane: Lane | None, *, message: str = "", summary: Summary | None = None
    ) -> None:
        step = 0 if lane is None else lane.step
        self._writer.status(
            StatusFile(
                state=state,
                attempt=self._writer.attempt,
                agent_steps=step,
                frames=step * self._skip,
                budget_frames=self._cell.spec.frames,
                updates=0 if lane is None else lane.updates,
                episodes=0 if lane is None else lane.episodes,
                last_return=self._last_return,
                frames_per_second=None if lane is None else self._rate(lane),
                started_at=self._started_at,
                updated_at=provenance.utc_now(),
                message=message,
                summary=summary,
                closed=self._writer.closed_attempts(),
            )
        )
