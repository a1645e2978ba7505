"""Runs cells: groups of one configuration in lockstep, each cell with its own run directory, owner and end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from suite.contracts.card import Value
from suite.errors import Locked, Stopped, SuiteError
from suite.experience.domains import domain_of
from suite.records.attempts import has_started
from suite.records.cause import cause_of_error
from suite.records.checkpoints import Loaded
from suite.records.outcome import Ending, Outcome, Progress
from suite.records.ownership import held_by
from suite.records.record import FINISHED, StatusFile, read_status
from suite.records.writer import RunWriter
from suite.running.member import Member
from suite.running.recorder import Recording
from suite.running.session import Session
from suite.running.start import Options
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
    """One group from locks to ends."""

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
        self._session: Session | None = None

    @property
    def unsaved(self) -> bool:
        """Whether it has progress that a checkpoint must still keep."""
        return self._session is not None and self._session.unsaved

    def run(self) -> None:
        """Run all cells of the group; those that are at different checkpoints one set after the other."""
        if self._stop.is_set():
            return
        with ThreadPoolExecutor(len(self._jobs), thread_name_prefix="open") as pool:  # who listens, listens to all
            members = [member for member in pool.map(self._open, self._jobs) if member is not None]
        try:
            for together in by_step(members):
                self._session = Session(together, self._options)
                self._session.run()
        finally:
            for member in members:
                member.recording.close()

    def _open(self, job: Job) -> Member | None:
        """Take a cell and load its checkpoint; tell how it ended if it cannot be run."""
        path = self._root / job.cell.path
        writer: RunWriter | None = None
        try:
            if has_started(path) and self._finished(job, read_status(path)):  # since we planned
                return None
            writer = RunWriter.open(self._root, job.cell, job.departures, self._listening(job))
            if writer.previous is not None and self._finished(job, writer.previous):  # just now
                writer.close()
                return None
            recording = Recording(job.cell, writer, self._options.keep)
            member = Member(recording, recording.store.newest(), self._progress, self._stop, self._tell)
        except SuiteError as error:
            if writer is not None:
                writer.close()
            ending: Ending = "locked" if isinstance(error, Locked) else "failed"
            cause = cause_of_error(error)
            self._tell(Outcome(job.cell, ending, path, message=str(error), error=error.exit_code, cause=cause))
            return None
        except Stopped:
            return None
        for reason in () if member.loaded is None else member.loaded.rejected:
            member.say(f"{reason} Going on from the checkpoint before it.")
        return member

    def _finished(self, job: Job, status: StatusFile) -> bool:
        """Return whether a cell is finished, and tell so if it is."""
        if status.state not in FINISHED:
            return False
        score = status.summary.score if status.summary else None
        self._tell(Outcome(job.cell, status.state, self._root / job.cell.path, score))
        return True

    def _listening(self, job: Job) -> Callable[[float], None]:
        """Return how to wait while a cell's owner is listened to; it says so, and raises Stopped on a stop."""
        said = False

        def pause(seconds: float) -> None:
            nonlocal said
            if not said:
                said = True
                owner = held_by(self._root / job.cell.path)
                self._progress.say(job.cell, f"{owner.problem} Listening whether it still lives.")
            if self._stop.wait(seconds):
                raise Stopped

        return pause


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
                    member.recording.store.keep_only({least})
                    member.loaded = earlier
    sets: dict[int, list[Member]] = {}
    for member in members:
        sets.setdefault(member.step, []).append(member)
    return [sets[step] for step in sorted(sets)]
