"""Runs cells: groups of one configuration in lockstep, each cell with its own run directory, lock and end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from suite.contracts.card import Value
from suite.errors import ExitCode, Locked, SuiteError
from suite.experience.domains import domain_of
from suite.records.cause import Cause, cause_of, cause_of_error
from suite.records.checkpoints import Loaded
from suite.records.outcome import Outcome, Progress
from suite.records.record import FINISHED, State
from suite.records.writer import RunWriter
from suite.running.recorder import Recording
from suite.running.session import Session
from suite.running.start import CellMonitor, Member, Options
from suite.tasks import load_task
from suite.tasks.configuration import Cell

PATIENCE_SECONDS = 5.0
"""How long a stop waits for a group that has nothing to save yet, because it still compiles."""


@dataclass(frozen=True, slots=True)
class Job:
    """A cell to run, with its settings that depart from the published ones."""

    cell: Cell
    departures: dict[str, Value]


def run_cells(
    jobs: Sequence[Job],
    root: Path,
    *,
    lanes: int,
    options: Options,
    progress: Progress,
    stop: threading.Event,
    finished: Callable[[Outcome], None],
) -> list[Outcome]:
    """Run cells, `lanes` at a time, until all have ended or `stop` is set; cells not begun by then are left out.

    Cells of one configuration make groups in lockstep. Narrow groups run beside each other.
    """
    groups = make_groups(jobs, lanes)
    outcomes: list[Outcome] = []
    telling = threading.Lock()

    def tell(outcome: Outcome) -> None:
        with telling:
            outcomes.append(outcome)
            progress.end(outcome)
            finished(outcome)

    runs = [_GroupRun(group, root, options, progress, stop, tell) for group in groups]
    beside = max(1, lanes // max((len(group) for group in groups), default=1))
    pool = ThreadPoolExecutor(beside, thread_name_prefix="group")
    pending: set[Future[None]] = {pool.submit(run.run) for run in runs}
    try:
        stopped_at: float | None = None
        while pending:
            done, pending = wait(pending, timeout=0.2, return_when=FIRST_COMPLETED)
            for future in done:
                future.result()
            if stop.is_set():
                stopped_at = stopped_at or time.monotonic()
                if time.monotonic() - stopped_at > PATIENCE_SECONDS and not any(run.unsaved for run in runs):
                    break  # all that is left compiles, and leaves nothing behind
    except BaseException:
        stop.set()
        raise
    finally:
        pool.shutdown(wait=not pending, cancel_futures=True)
    return outcomes


def make_groups(jobs: Sequence[Job], lanes: int) -> list[list[Job]]:
    """Return the jobs in groups of one configuration, at most `lanes` wide, configurations taking turns.

    Where a domain cannot mix games, a group has one.
    """
    by_configuration: dict[tuple[str, str], list[Job]] = {}
    for job in jobs:
        mixed = domain_of(load_task(job.cell.spec.task)).mixes_games
        by_configuration.setdefault((job.cell.spec.config_id, "" if mixed else job.cell.game), []).append(job)
    groups = [
        (start, order, own[start : start + lanes])
        for order, own in enumerate(by_configuration.values())
        for start in range(0, len(own), lanes)
    ]
    return [group for _, _, group in sorted(groups, key=lambda item: item[:2])]


class _GroupRun:
    """One group from locks to ends. `unsaved` is set while it has progress that a checkpoint must still keep."""

    def __init__(
        self,
        jobs: Sequence[Job],
        root: Path,
        options: Options,
        progress: Progress,
        stop: threading.Event,
        tell: Callable[[Outcome], None],
    ) -> None:
        self._jobs = jobs
        self._root = root
        self._options = options
        self._progress = progress
        self._stop = stop
        self._tell = tell
        self.unsaved = False

    def run(self) -> None:
        """Run all cells of the group; those that are at different checkpoints one set after the other."""
        if self._stop.is_set():
            return
        members = [member for job in self._jobs if (member := self._open(job)) is not None]
        try:
            for together in by_step(members):
                session = Session(together, self._options, self._end, self._mark)
                session.run()
        finally:
            for member in members:
                member.recording.close()

    def _mark(self, unsaved: bool) -> None:
        self.unsaved = unsaved

    def _end(
        self,
        member: Member,
        state: State,
        score: float | None = None,
        message: str = "",
        error: ExitCode | None = None,
        cause: Cause | None = None,
    ) -> None:
        member.recording.close()
        why = cause_of(state, cause)
        self._tell(Outcome(member.recording.cell, state, member.recording.path, score, message, error, why))

    def _open(self, job: Job) -> Member | None:
        """Lock a cell and load its checkpoint; tell how it ended if it cannot be run."""
        path = self._root / job.cell.path
        writer: RunWriter | None = None
        try:
            writer = RunWriter.open(self._root, job.cell, job.departures)
            previous = writer.previous
            if previous is not None and previous.state in FINISHED:  # another process was here since we planned
                writer.close()
                score = previous.summary.score if previous.summary else None
                self._tell(Outcome(job.cell, previous.state, path, score))
                return None
            recording = Recording(job.cell, writer, self._options.keep)
            monitor = CellMonitor(job.cell, self._progress, self._stop)
            member = Member(recording, recording.store.newest(), monitor)
        except SuiteError as error:
            if writer is not None:
                writer.close()
            state = "locked" if isinstance(error, Locked) else "failed"
            cause = cause_of_error(error)
            self._tell(Outcome(job.cell, state, path, message=str(error), error=error.exit_code, cause=cause))
            return None
        for reason in () if member.loaded is None else member.loaded.rejected:
            member.monitor.say(f"{reason} Going on from the checkpoint before it.")
        return member


def by_step(members: Iterable[Member]) -> list[list[Member]]:
    """Return the members in sets that stand at one agent step, so that they can go on in lockstep.

    A kill between two cells' checkpoints leaves one of them a checkpoint ahead; that one takes a step back.
    """
    members = list(members)
    if members:
        least = min(member.step for member in members)
        for member in members:
            if member.step > least > 0 and least in member.recording.store.steps():
                earlier: Loaded | None = member.recording.store.newest(at_most=least)
                if earlier is not None and earlier.agent_step == least:
                    member.recording.store.keep_only(least)
                    member.loaded = earlier
    sets: dict[int, list[Member]] = {}
    for member in members:
        sets.setdefault(member.step, []).append(member)
    return [sets[step] for step in sorted(sets)]
