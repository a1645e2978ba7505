"""Cells in lockstep from their common agent step to their ends: builds the group, advances it, has it written down."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import jax
from numpy.typing import NDArray

from suite.checkpoint import Loaded
from suite.configure import programs_for
from suite.device import cpu_threads, is_deterministic
from suite.envs.base import Envs
from suite.errors import ExitCode, SuiteError, UnfitEnvironment
from suite.evaluation import EVALUATION_ENVS, evaluate, is_complete, is_due
from suite.families import Saved, Setup, family_of
from suite.forms import Form
from suite.group import Training
from suite.learners import Learners, LoopLearners, StackedLearners
from suite.placement import Placement
from suite.record import State
from suite.recording import Recording
from suite.resume import (
    LaneState,
    Stopped,
    all_finite,
    learner_arrays,
    learner_hash,
    restored_learner,
)
from suite.rng import Streams
from suite.sources import source_arrays
from suite.spec import Cell
from suite.tasks import GAMES, Game

if TYPE_CHECKING:
    from suite.runner import Progress

STEPS_BETWEEN_LOOKS = 32
LONG_REBUILD = 100_000
"""Agent steps of a replay that are worth a line when they are played again: a minute of one core."""


@dataclass(frozen=True, slots=True)
class Options:
    """How cells are computed: bits may depend on it, the protocol does not. `form`: `auto`, `loop`, or a `Form`.

    `data`: the directory of logged data, for offline tasks.
    """

    checkpoint_frames: int
    placement: Placement
    form: str = "auto"
    data: Path | None = None


@dataclass(slots=True)
class Member:
    """A cell of a session, and the checkpoint that it goes on from."""

    recording: Recording
    loaded: Loaded | None

    @property
    def step(self) -> int:
        """The agent step of the checkpoint, 0 without one."""
        return 0 if self.loaded is None else self.loaded.agent_step


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


def choose_form(wanted: str) -> Form | None:
    """Return the form asked for, None for the loop. `auto` is the loop on a CPU, where it is fastest by far.

    Elsewhere `auto` is `vmap`, on the word of others: `ci/bench/gpu` measures the forms, and has not met a GPU yet.
    """
    if wanted == "auto":
        return None if jax.default_backend() == "cpu" else Form.VMAP
    return None if wanted == "loop" else Form(wanted)


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
        self._family = family_of(self._task, options.data, first.cell.spec.dataset)
        self._skip = self._task.frame_skip
        self._budget = self._task.agent_steps(first.cell.spec.frames)
        self._every = max(1, options.checkpoint_frames // self._skip)
        self._games = [GAMES[member.recording.cell.game] for member in members]
        self._form = choose_form(options.form)
        self._unevaluated: set[int] = set()  # whose evaluation a stop has cut short
        self._evaluation_envs: dict[Game, Envs] = {}
        self._execution = self._how()

    def run(self) -> None:
        """Run every member to the end of its budget, to divergence, to a stop or to a failure."""
        group: Training | None = None
        try:
            self._admit()
            if not self._members:
                return
            group = self._build()
            self._unsaved(True)
            self._train(group)
        except Stopped:
            self._end_all("interrupted")
        except Exception as error:  # noqa: BLE001 - a failure is recorded in every cell that it stopped
            self._fail(list(self._members), error)
        finally:
            if group is not None:
                group.close()
            for envs in self._evaluation_envs.values():
                envs.close()
            self._unsaved(False)

    def _admit(self) -> None:
        """Begin every member's record; one that cannot go on ends here and does not stop the others."""
        for index, member in list(self._members.items()):
            cell = member.recording.cell
            self._progress.begin(cell, cell.spec.frames)
            try:
                member.recording.begin(member.loaded, self._execution)
                if member.loaded is not None:
                    self._check(cell, LaneState.read(member.loaded.state))
            except Exception as error:  # noqa: BLE001 - one cell's failure must not stop the others
                self._fail([index], error)
        self._members = dict(enumerate(self._members.values()))
        self._games = [GAMES[member.recording.cell.game] for member in self._members.values()]

    def _check(self, cell: Cell, state: LaneState) -> None:
        """Refuse a checkpoint of another environment; say what makes bits differ."""
        if state.environment_fingerprint != self._family.environment(GAMES[cell.game])[1]:
            raise UnfitEnvironment(
                "The checkpoint was written with another version or option of the environment.",
                "Go on with the version that provenance.json names, or delete the checkpoints to start the cell anew.",
            )
        if state.execution.get("data") != self._execution.get("data"):
            raise UnfitEnvironment(
                "The checkpoint was written with other logged data.",
                "Go on with the data that provenance.json names, or delete the checkpoints to start the cell anew.",
            )
        for name in ("threads", "deterministic"):
            before, now = state.execution.get(name), self._execution[name]
            if before != now:
                self._progress.say(cell, f"{name} was {before}, is {now}: bits may come out otherwise than before")

    def _build(self) -> Training:
        members = list(self._members.values())
        spec = members[0].recording.cell.spec
        programs = [programs_for(spec, game) for game in self._games]
        self._programs = programs
        streams = [Streams(spec.task_key, member.recording.cell.game, member.recording.cell.seed) for member in members]
        for each in {id(each): each for each in programs}.values():
            self._look(0, 0, 0)
            evaluations = 0 if self._task.evaluation is None else EVALUATION_ENVS
            each.compile(each.plan.updates_by(self._budget), evaluations)
        learners: Learners = (
            LoopLearners(programs, streams, cpu_threads())
            if self._form is None
            else StackedLearners(programs, streams, self._form)
        )
        saved = [self._saved(member) for member in members]
        seeds = [member.recording.cell.seed for member in members]
        plan, placement = programs[0].plan, self._options.placement
        group = self._family.start(
            Setup(plan, self._games, seeds, streams, learners, placement, saved, self._rebuilding(saved))
        )
        for index, (member, own) in enumerate(zip(members, saved, strict=True)):
            each = programs[index]
            if own is not None:
                learners.put(index, restored_learner(each.shapes(), own.arrays))
                group.restore_metrics(index, own.state.metrics)
                member.loaded = None  # its arrays are no longer needed
                member.recording.reach(own.state.agent_step, own.state.updates, own.state.episodes)
            elif each.sources:
                learners.put(index, each.adopt(learners.get(index), self._sources(member, each.sources)))
        return group

    def _saved(self, member: Member) -> Saved | None:
        if member.loaded is None:
            return None
        return Saved(LaneState.read(member.loaded.state), member.loaded.arrays)

    def _rebuilding(self, saved: Sequence[Saved | None]) -> Callable[[int, int, int], None]:
        """Return a `look` that says how far the replay has come where that takes long."""
        steps = [0 if own is None else sum(map(sum, own.state.lengths)) for own in saved]
        cells = [member.recording.cell for member in self._members.values()]
        told = [0] * len(steps)
        for cell, own in zip(cells, steps, strict=True):
            if own >= LONG_REBUILD:
                self._progress.say(cell, f"playing {own:,} agent steps of the replay again")

        def look(lane: int, done: int, total: int) -> None:
            self._look(lane, done, total)
            if done >= told[lane] + LONG_REBUILD:
                told[lane] = done
                self._progress.say(cells[lane], f"{done:,} of {total:,} agent steps of the replay played again")

        return look

    def _sources(self, member: Member, sources: Mapping[str, str]) -> dict[str, dict[str, NDArray[Any]]]:
        """Return the last checkpoint's arrays of the runs that a fresh learner starts from, by method."""
        cell = member.recording.cell
        root = member.recording.path.parents[3]
        return {method: source_arrays(root, cell, source) for method, source in sources.items()}

    def _how(self) -> dict[str, str | int | bool]:
        cells = [f"{member.recording.cell.game}/{member.recording.cell.seed}" for member in self._members.values()]
        return {
            "threads": cpu_threads(),
            "deterministic": jax.default_backend() == "cpu" or is_deterministic(),
            "form": "loop" if self._form is None else str(self._form),
            "lanes": len(cells),
            "group": " ".join(cells),
            "replay": str(self._options.placement),
            **self._family.execution(self._games, [member.recording.cell.seed for member in self._members.values()]),
        }

    def _look(self, lane: int, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Stopped

    def _train(self, group: Training) -> None:
        every_look = max(1, self._task.diagnostics_frames // self._skip)
        if self._evaluation_due(group):
            self._each(group, self._evaluate)  # what a stop had cut short
        while self._members and group.step < self._budget and not self._stop.is_set():
            for index, episode in group.advance(self._until_something(group.step, every_look)).items():
                self._guard(group, index, partial(self._members[index].recording.episode, episode))
            last = group.step == self._budget
            if last or group.step % every_look == 0:
                self._each(group, self._diagnose)
            if last or group.step % self._every == 0:
                self._checkpoint(group, scheduled=True)
            if self._evaluation_due(group):
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
        evaluation = self._task.evaluation
        periods = [STEPS_BETWEEN_LOOKS, every_look, self._every]
        periods += [] if evaluation is None or evaluation.every is None else [evaluation.every // self._skip]
        return min(self._budget - step, *(period - step % period for period in periods))

    def _evaluation_due(self, group: Training) -> bool:
        evaluation = self._task.evaluation
        if evaluation is None or group.step == 0:
            return False
        return is_due(evaluation, group.plan.trajectory, group.step, self._budget)

    def _whole(self, group: Training) -> bool:
        """Return whether nothing is left to do, evaluation included."""
        return group.step == self._budget and not self._unevaluated

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
        if group.step in recording.store.steps():  # before the status: who finds "done" finds one checkpoint
            recording.store.keep_only(group.step)
        recording.status("done", message=message, summary=summary)
        self._leave(group, index, "done", summary.score, message)

    def _evaluate(self, group: Training, index: int) -> None:
        """Play and write down the evaluation episodes that are missing."""
        evaluation, recording = self._task.evaluation, self._members[index].recording
        assert evaluation is not None
        lane, game = group.lanes[index], self._games[index]
        recording.reach(group.step, group.updates, lane.episodes)
        done = recording.evaluated
        if is_complete(evaluation, done):
            return
        if evaluation.every is None:
            self._progress.say(recording.cell, f"plays {evaluation.episodes} evaluation episodes")
        if game not in self._evaluation_envs:
            self._evaluation_envs[game] = self._family.evaluation_envs(game, EVALUATION_ENVS, cpu_threads())
        self._unevaluated.add(index)
        learner = group.learners.get(index)
        try:
            for episode in evaluate(
                self._programs[index],
                learner,
                lane.streams,
                self._evaluation_envs[game],
                evaluation,
                group.step,
                done,
                lambda: self._look(index, 0, 0),
            ):
                recording.evaluation(episode)
        except Stopped:
            return
        self._unevaluated.discard(index)

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
            environment_fingerprint=self._family.environment(GAMES[recording.cell.game])[1],
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
