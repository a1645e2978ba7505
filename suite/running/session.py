"""Cells in lockstep from their common agent step to their ends: has them started, advances them, writes them down."""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from suite.errors import Overtaken, Stopped, SuiteError
from suite.experience.domains import domain_of
from suite.learning.build import unreached
from suite.learning.inspection import NOTHING, Found, inspect
from suite.learning.programs import Programs
from suite.records.cause import cause_of_error
from suite.records.learner_arrays import all_finite, learner_arrays_of
from suite.records.outcome import Ending
from suite.records.record import State
from suite.running.checkpointing import Checkpoint, save
from suite.running.evaluations import Evaluations
from suite.running.group import Group
from suite.running.member import Member
from suite.running.start import Options, execution_of, start_group
from suite.running.timeline import Event, Timeline
from suite.tasks import Inspection


class Session:
    """Members of one configuration, at one agent step.

    `unsaved`: whether there is progress that a checkpoint must still keep.
    """

    def __init__(self, members: Sequence[Member], options: Options) -> None:
        first = members[0].recording
        self._members = dict(enumerate(members))
        self._options = options
        self._monitor = members[0]  # all members stop together
        self.unsaved = False
        self._task = first.task
        self._domain = domain_of(self._task, options.data, first.cell.spec.dataset)
        self._frames = first.cell.spec.frames
        self._budget = self._task.agent_steps(self._frames)
        self._inspection = self._task.inspection or Inspection(every=self._task.diagnostics_every)
        self._last = self._budget if options.until is None else min(options.until, self._budget)
        self._evaluations = Evaluations(self._task, self._domain)
        self._execution = execution_of(members, options, self._domain)
        self._programs: Sequence[Programs] = ()

    def run(self) -> None:
        """Run every member to the end of its budget, to divergence, to a stop or to a failure."""
        group: Group | None = None
        try:
            self._admit()
            if not self._members:
                return
            members = list(self._members.values())
            group, self._programs = start_group(members, self._options, self._domain)
            self.unsaved = True
            self._train(group)
        except Stopped:
            self._end_all("interrupted")
        except Exception as error:  # noqa: BLE001 - a failure is recorded in every cell that it stopped
            self._fail(list(self._members), error)
        finally:
            if group is not None:
                group.close()
            self._evaluations.close()
            self.unsaved = False

    def _admit(self) -> None:
        """Begin every member's record; one that cannot go on ends here and does not stop the others."""
        for index, member in list(self._members.items()):
            member.begin()
            try:
                member.recording.begin(member.loaded, self._execution)
                if member.loaded is not None:
                    checkpoint, fingerprint = Checkpoint.read(member.loaded), self._fingerprint(member)
                    checkpoint.check(fingerprint, self._execution, member)
            except Exception as error:  # noqa: BLE001 - one cell's failure must not stop the others
                self._fail([index], error)
        self._members = dict(enumerate(self._members.values()))

    def _fingerprint(self, member: Member) -> str:
        return self._domain.environment(member.game)[1]

    def _train(self, group: Group) -> None:
        timeline = Timeline.of(
            self._task, group.plan, self._frames, self._options.checkpoint_every, self._options.inspect_every
        )
        if Event.EVALUATE in timeline.due(group.step):
            self._each(group, self._evaluate)  # what a stop had cut short
        while self._members and group.step < self._last and not self._monitor.stopped:
            until = min(self._last, group.step + timeline.steps_until_next(group.step))
            while group.step < until:
                for index, episode in group.advance(until - group.step):
                    self._guard(group, index, partial(self._members[index].recording.episode, episode))
                if not self._members or self._monitor.stopped:
                    break
            due = timeline.due(group.step)
            if Event.INSPECT in due:
                self._each(group, self._inspect)
            elif Event.DIAGNOSE in due:
                self._each(group, self._diagnose)
            if Event.CHECKPOINT in due:
                self._checkpoint(group, scheduled=True)
            if Event.EVALUATE in due:
                self._each(group, self._evaluate)
            if Event.REPORT in due:
                self._each(group, self._report)
        if self._monitor.stopped and not self._whole(group):
            self._checkpoint(group, scheduled=False)
            self._end_all("interrupted")
        elif group.step < self._budget:
            self._end_all("interrupted")  # it was to go no further
        else:
            self._each(group, self._finish)

    def _whole(self, group: Group) -> bool:
        """Return whether nothing is left to do, evaluation included."""
        return group.step == self._budget and self._evaluations.all_played

    def _report(self, group: Group, index: int) -> None:
        self._members[index].report(group.step, group.updates, group.lanes[index].episodes)

    def _diagnose(self, group: Group, index: int, found: Found = NOTHING) -> None:
        recording = self._members[index].recording
        values = group.metrics(index) | group.measure(index)
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        everything = values | group.state_values() | found.values
        recording.diagnostics(group.step, group.updates, everything, found.covariance)
        self._end_if_diverged(group, index, values)

    def _inspect(self, group: Group, index: int) -> None:
        found = NOTHING
        if index not in group.broken and group.updates:
            try:
                found = inspect(group.subject(index, self._programs[index]), self._inspection)
            except Exception as error:  # noqa: BLE001 - an agent or a network that cannot be inspected can be trained
                text = f"the inspection at agent step {group.step:,} is left out: {type(error).__name__}: {error}"
                self._members[index].say(text)
        self._diagnose(group, index, found)

    def _end_if_diverged(self, group: Group, index: int, values: Mapping[str, float]) -> bool:
        """End a member with figures that are no numbers; return whether it was one."""
        if index not in group.broken and all(math.isfinite(value) for value in values.values()):
            return False
        recording = self._members[index].recording
        self._write_ending(group, index)
        message = f"Training left the numbers by agent step {group.step}."
        summary = recording.summary(values, "diverged")
        recording.diverged(summary, message)
        self._leave(group, index, "diverged", summary.score, message)
        return True

    def _write_ending(self, group: Group, index: int) -> None:
        if (actor := group.lanes[index].actor) is not None:
            self._members[index].recording.ending(actor.history, actor.episodes)

    def _finish(self, group: Group, index: int) -> None:
        recording = self._members[index].recording
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        self._write_ending(group, index)
        summary = recording.summary(group.measure(index), "done")
        message = ""
        if recording.differs_at is not None:
            message = f"From agent step {recording.differs_at} on, it differs from what an earlier attempt recorded."
        message = " ".join(filter(None, (message, *unreached(recording.cell.spec, self._members[index].game))))
        recording.done(summary, message)
        self._leave(group, index, "done", summary.score, message)

    def _evaluate(self, group: Group, index: int) -> None:
        measures = group.measure(index)
        self._members[index].recording.reach(group.step, group.updates, group.lanes[index].episodes)
        if self._end_if_diverged(group, index, measures):
            return  # there is no policy to evaluate
        self._evaluations.play(group, index, self._members[index], self._programs[index])

    def _checkpoint(self, group: Group, *, scheduled: bool) -> None:
        """Write every member's checkpoint, several at a time: the disk and the hashes take longest."""
        group.settle()
        with ThreadPoolExecutor(min(4, max(1, len(self._members))), thread_name_prefix="checkpoint") as pool:
            indices = list(self._members)
            save = [pool.submit(self._save, group, index, scheduled) for index in indices]
            for index, future in zip(indices, save, strict=True):
                self._guard(group, index, future.result)

    def _save(self, group: Group, index: int, scheduled: bool) -> None:
        recording, fingerprint = self._members[index].recording, self._fingerprint(self._members[index])
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        if not scheduled and group.step in recording.store.steps():
            return
        checkpoint = save(group, index, fingerprint, self._execution)
        state = checkpoint.state
        if scheduled:
            recording.checkpoint_row(state.agent_step, state.updates, state.learner, state.chain)
        if index not in group.broken and all_finite(learner_arrays_of(checkpoint.arrays)):  # else it diverged
            recording.save(state.agent_step, checkpoint.arrays, state.model_dump_json().encode())

    def _each(self, group: Group, act: Callable[[Group, int], None]) -> None:
        for index in list(self._members):
            self._guard(group, index, partial(act, group, index))

    def _guard(self, group: Group, index: int, act: Callable[[], object]) -> None:
        """Do something for one member; if it fails, that member alone ends."""
        try:
            act()
        except Exception as error:  # noqa: BLE001 - one cell's failure must not stop the others
            group.drop(index)
            self._fail([index], error)

    def _fail(self, indices: Sequence[int], error: Exception) -> None:
        message = str(error) if isinstance(error, SuiteError) else f"{type(error).__name__}: {error}"
        trace, cause = "".join(traceback.format_exception(error)), cause_of_error(error)
        for index in indices:
            member = self._members.pop(index)
            if (overtaken := member.recording.overtaken) is not None:
                member.end("overtaken", message=str(overtaken), error=overtaken.exit_code)
                continue
            member.recording.failure(message, trace, cause)
            code = error.exit_code if isinstance(error, SuiteError) else None
            member.end("failed", message=message, error=code, cause=cause)

    def _leave(self, group: Group, index: int, state: State, score: float | None, message: str = "") -> None:
        group.drop(index)
        self._members.pop(index).end(state, score, message)

    def _end_all(self, state: State) -> None:
        for index in list(self._members):
            member = self._members.pop(index)
            try:
                member.recording.status(state)
            except SuiteError as error:
                ending: Ending = "overtaken" if isinstance(error, Overtaken) else "failed"
                member.end(ending, message=str(error), error=error.exit_code, cause=cause_of_error(error))
            else:
                member.end(state)
