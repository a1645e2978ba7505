"""Cells in lockstep from their common agent step to their ends: has them started, advances them, writes them down."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Protocol

from suite.errors import ExitCode, SuiteError
from suite.experience.domains import domain_of
from suite.learning.build import unreached
from suite.learning.programs import Programs
from suite.records.learner_arrays import all_finite, learner_hash
from suite.records.outcome import Progress
from suite.records.record import State
from suite.running.evaluations import Evaluations
from suite.running.group import Training
from suite.running.resume import LaneState, Stopped, learner_arrays
from suite.running.start import Member, Options, check_checkpoint, execution_of, start_group

STEPS_BETWEEN_LOOKS = 32


class End(Protocol):
    """Is told how a cell ended; unlocks it."""

    def __call__(
        self,
        member: Member,
        state: State,
        score: float | None = None,
        message: str = "",
        error: ExitCode | None = None,
    ) -> None:
        """A cell has ended."""
        ...


class Session:
    """Members of one configuration, at one agent step."""

    def __init__(
        self,
        members: Sequence[Member],
        options: Options,
        progress: Progress,
        stop: threading.Event,
        end: End,
        unsaved: Callable[[bool], None],
    ) -> None:
        first = members[0].recording
        self._members = dict(enumerate(members))
        self._options = options
        self._progress = progress
        self._stop = stop
        self._end = end
        self._unsaved = unsaved
        self._task = first.task
        self._domain = domain_of(self._task, options.data, first.cell.spec.dataset)
        self._skip = self._task.frame_skip
        self._budget = self._task.agent_steps(first.cell.spec.frames)
        self._every = max(1, options.checkpoint_frames // self._skip)
        self._evaluations = Evaluations(self._task, self._domain, self._budget, self._check_stop)
        self._execution = execution_of(members, options, self._domain)
        self._programs: Sequence[Programs] = ()

    def run(self) -> None:
        """Run every member to the end of its budget, to divergence, to a stop or to a failure."""
        group: Training | None = None
        try:
            self._admit()
            if not self._members:
                return
            members = list(self._members.values())
            group, self._programs = start_group(members, self._options, self._domain, self._progress, self._check_stop)
            self._unsaved(True)
            self._train(group)
        except Stopped:
            self._end_all("interrupted")
        except Exception as error:  # noqa: BLE001 - a failure is recorded in every cell that it stopped
            self._fail(list(self._members), error)
        finally:
            if group is not None:
                group.close()
            self._evaluations.close()
            self._unsaved(False)

    def _admit(self) -> None:
        """Begin every member's record; one that cannot go on ends here and does not stop the others."""
        for index, member in list(self._members.items()):
            cell = member.recording.cell
            self._progress.begin(cell, cell.spec.frames)
            try:
                member.recording.begin(member.loaded, self._execution)
                if member.loaded is not None:
                    state, fingerprint = LaneState.read(member.loaded.state), self._fingerprint(member)
                    check_checkpoint(state, fingerprint, self._execution, partial(self._progress.say, cell))
            except Exception as error:  # noqa: BLE001 - one cell's failure must not stop the others
                self._fail([index], error)
        self._members = dict(enumerate(self._members.values()))

    def _fingerprint(self, member: Member) -> str:
        return self._domain.environment(member.game)[1]

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped

    def _train(self, group: Training) -> None:
        every_look = max(1, self._task.diagnostics_frames // self._skip)
        if self._evaluations.are_due(group):
            self._each(group, self._evaluate)  # what a stop had cut short
        while self._members and group.step < self._budget and not self._stop.is_set():
            for index, episode in group.advance(self._until_something(group.step, every_look)).items():
                self._guard(group, index, partial(self._members[index].recording.episode, episode))
            last = group.step == self._budget
            if last or group.step % every_look == 0:
                self._each(group, self._diagnose)
            if last or group.step % self._every == 0:
                self._checkpoint(group, scheduled=True)
            if self._evaluations.are_due(group):
                self._each(group, self._evaluate)
            if group.step % STEPS_BETWEEN_LOOKS == 0:
                self._each(group, self._report)
        if self._stop.is_set() and not self._whole(group):
            self._checkpoint(group, scheduled=False)
            self._end_all("interrupted")
            return
        self._each(group, self._finish)

    def _until_something(self, step: int, every_look: int) -> int:
        """Return the steps until this session next does something between two of them."""
        periods = [STEPS_BETWEEN_LOOKS, every_look, self._every]
        periods += [] if self._evaluations.period is None else [self._evaluations.period]
        return min(self._budget - step, *(period - step % period for period in periods))

    def _whole(self, group: Training) -> bool:
        """Return whether nothing is left to do, evaluation included."""
        return group.step == self._budget and self._evaluations.all_played

    def _report(self, group: Training, index: int) -> None:
        recording = self._members[index].recording
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        self._progress.advance(recording.cell, group.step * self._skip, recording.rate or 0.0, recording.last_return)

    def _diagnose(self, group: Training, index: int) -> None:
        recording = self._members[index].recording
        values = group.metrics(index) | group.learners.measure(index)
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        recording.diagnostics(group.step, group.updates, values | group.state_values())
        if not all(math.isfinite(value) for value in values.values()):
            message = f"Training left the numbers by agent step {group.step}."
            summary = recording.summary(values)
            recording.status("diverged", message=message, summary=summary)
            self._leave(group, index, "diverged", summary.score, message)

    def _finish(self, group: Training, index: int) -> None:
        recording = self._members[index].recording
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        summary = recording.summary(group.learners.measure(index))
        message = ""
        if recording.differs_at is not None:
            message = f"From agent step {recording.differs_at} on, it differs from what an earlier attempt recorded."
        message = " ".join(filter(None, (message, *unreached(recording.cell.spec, self._members[index].game))))
        if group.step in recording.store.steps():  # before the status: who finds "done" finds one checkpoint
            recording.store.keep_only(group.step)
        recording.status("done", message=message, summary=summary)
        self._leave(group, index, "done", summary.score, message)

    def _evaluate(self, group: Training, index: int) -> None:
        member = self._members[index]
        say = partial(self._progress.say, member.recording.cell)
        self._evaluations.play(group, index, member.game, self._programs[index], member.recording, say)

    def _checkpoint(self, group: Training, *, scheduled: bool) -> None:
        """Write every member's checkpoint, several at a time: the disk and the hashes take longest."""
        group.settle()
        with ThreadPoolExecutor(min(4, max(1, len(self._members))), thread_name_prefix="checkpoint") as pool:
            indices = list(self._members)
            save = [pool.submit(self._save, group, index, scheduled) for index in indices]
            for index, future in zip(indices, save, strict=True):
                self._guard(group, index, future.result)

    def _save(self, group: Training, index: int, scheduled: bool) -> None:
        recording, lane = self._members[index].recording, group.lanes[index]
        arrays = learner_arrays(group.learners.get(index))
        learner = learner_hash(arrays)
        recording.reach(group.step, group.updates, lane.episodes)
        if not scheduled and group.step in recording.store.steps():
            return
        if scheduled:
            recording.checkpoint_row(group.step, group.updates, learner, lane.chain.hex())
        if not all_finite(arrays):
            return  # the next diagnosis finds it diverged; what is kept is the last that is finite
        of_lane, lengths = lane.saved()
        state = LaneState(
            agent_step=group.step,
            updates=group.updates,
            episodes=lane.episodes,
            segments=lane.segments,
            lengths=lengths,
            chain=lane.chain.hex(),
            metrics=group.metrics(index),
            learner=learner,
            environment_fingerprint=self._fingerprint(self._members[index]),
            execution=self._execution,
        )
        recording.save(group.step, arrays | of_lane, state.model_dump_json().encode())

    def _each(self, group: Training, act: Callable[[Training, int], None]) -> None:
        for index in list(self._members):
            self._guard(group, index, partial(act, group, index))

    def _guard(self, group: Training, index: int, act: Callable[[], object]) -> None:
        """Do something for one member; if it fails, that member alone ends."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - one cell's failure must not stop the others
            group.drop(index)
            self._fail([index], error)

    def _fail(self, indices: Sequence[int], error: Exception) -> None:
        message = str(error) if isinstance(error, SuiteError) else f"{type(error).__name__}: {error}"
        trace = "".join(traceback.format_exception(error))
        for index in indices:
            member = self._members.pop(index)
            member.recording.failure(message, trace)
            code = error.exit_code if isinstance(error, SuiteError) else None
            self._end(member, "failed", message=message, error=code)

    def _leave(self, group: Training, index: int, state: State, score: float | None, message: str = "") -> None:
        group.drop(index)
        self._end(self._members.pop(index), state, score, message)

    def _end_all(self, state: State) -> None:
        for index in list(self._members):
            member = self._members.pop(index)
            try:
                member.recording.status(state)
            except SuiteError as error:
                self._end(member, "failed", message=str(error), error=error.exit_code)
            else:
                self._end(member, state)
