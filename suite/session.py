"""Cells in lockstep from their common agent step to their ends: builds the group, advances it, has it written down."""

from __future__ import annotations

import math
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import jax
from numpy.typing import NDArray

from suite.checkpoint import Loaded
from suite.configure import programs_for
from suite.device import cpu_threads, is_deterministic
from suite.envs.atari import AtariEnvs
from suite.envs.several import SeveralEnvs
from suite.errors import ExitCode, SuiteError, UnfitEnvironment
from suite.evaluation import EVALUATION_ENVS, evaluate
from suite.forms import Form
from suite.group import Group
from suite.lane import Lane
from suite.learners import Learners, LoopLearners, StackedLearners
from suite.placement import Placement, make_replay
from suite.provenance import environment_of
from suite.record import State
from suite.recording import Recording
from suite.resume import (
    LaneState,
    Stopped,
    all_finite,
    lane_arrays,
    learner_arrays,
    learner_hash,
    play_to,
    restore_lane,
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
    """How cells are computed: bits may depend on it, the protocol does not. `form`: `auto`, `loop`, or a `Form`."""

    checkpoint_frames: int
    placement: Placement
    form: str = "auto"


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
        self._skip = self._task.environment.frame_skip
        self._budget = self._task.agent_steps(first.cell.spec.frames)
        self._every = max(1, options.checkpoint_frames // self._skip)
        self._games = [GAMES[member.recording.cell.game] for member in members]
        self._form = choose_form(options.form)
        self._execution = self._how()

    def run(self) -> None:
        """Run every member to the end of its budget, to divergence, to a stop or to a failure."""
        group: Group | None = None
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
        if state.environment_fingerprint != environment_of(self._task, GAMES[cell.game])[1]:
            raise UnfitEnvironment(
                "The checkpoint was written with another ale-py, ROM or emulator option.",
                "Go on with the version that provenance.json names, or delete the checkpoints to start the cell anew.",
            )
        for name in ("threads", "deterministic"):
            before, now = state.execution.get(name), self._execution[name]
            if before != now:
                self._progress.say(cell, f"{name} was {before}, is {now}: bits may come out otherwise than before")

    def _build(self) -> Group:
        members = list(self._members.values())
        spec = members[0].recording.cell.spec
        programs = [programs_for(spec, game.actions) for game in self._games]
        self._programs = programs
        streams = [Streams(spec.task_key, member.recording.cell.game, member.recording.cell.seed) for member in members]
        for each in {id(each): each for each in programs}.values():
            self._look(0, 0)
            evaluations = 0 if self._task.evaluation is None else EVALUATION_ENVS
            each.compile(each.plan.updates_by(self._budget), evaluations)
        environment, plan = self._task.environment, programs[0].plan
        lanes = [
            Lane(
                plan,
                stream,
                make_replay(plan, environment, self._options.placement),
                environment,
                game.actions,
            )
            for stream, game in zip(streams, self._games, strict=True)
        ]
        learners: Learners = (
            LoopLearners(programs, streams, cpu_threads())
            if self._form is None
            else StackedLearners(programs, streams, self._form)
        )
        states = [self._restore(member, lane) for member, lane in zip(members, lanes, strict=True)]
        envs = self._envs(self._games)
        group = Group(plan, lanes, learners, envs)
        if any(state is not None for state in states):
            for index, state in enumerate(states):
                loaded = members[index].loaded
                assert state is not None
                assert loaded is not None
                learners.put(index, restored_learner(programs[index].shapes(), loaded.arrays))
                group.restore_metrics(index, state.metrics)
                members[index].loaded = None  # its arrays are no longer needed
                members[index].recording.reach(state.agent_step, state.updates, state.episodes)
            play_to(envs, [lane.emulator_seed for lane in lanes], [lane.history()[-1] for lane in lanes], self._look)
        else:
            for index, each in enumerate(programs):
                if each.sources:
                    learners.put(index, each.adopt(learners.get(index), self._sources(members[index], each.sources)))
            group.begin()
        return group

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
        }

    def _envs(self, games: Sequence[Game]) -> SeveralEnvs:
        kinds = len(set(games))

        def make(game: Game, count: int) -> AtariEnvs:
            return AtariEnvs(game, self._task.environment, count, max(1, min(count, cpu_threads() // kinds)))

        return SeveralEnvs(games, make)

    def _restore(self, member: Member, lane: Lane) -> LaneState | None:
        if member.loaded is None:
            return None
        state = LaneState.read(member.loaded.state)
        game, cell = GAMES[member.recording.cell.game], member.recording.cell
        steps = sum(map(sum, state.lengths))
        told = 0

        def look(done: int, total: int) -> None:
            nonlocal told
            self._look(done, total)
            if done >= told + LONG_REBUILD:
                told = done
                self._progress.say(cell, f"{done:,} of {total:,} agent steps of the replay played again")

        if steps >= LONG_REBUILD:
            self._progress.say(cell, f"playing {steps:,} agent steps of the replay again")
        restore_lane(lane, state, member.loaded.arrays, lambda count: self._envs([game] * count), cpu_threads(), look)
        return state

    def _look(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise Stopped

    def _train(self, group: Group) -> None:
        every_look = self._task.diagnostics_frames // self._skip
        while self._members and group.step < self._budget:
            for index, episode in group.advance().items():
                self._guard(group, index, partial(self._members[index].recording.episode, episode))
            last = group.step == self._budget
            if last or group.step % every_look == 0:
                self._each(group, self._diagnose)
            if last or group.step % self._every == 0:
                self._checkpoint(group, scheduled=True)
            if self._stop.is_set() and not last:
                self._checkpoint(group, scheduled=False)
                self._end_all("interrupted")
                return
            if group.step % STEPS_BETWEEN_LOOKS == 0:
                self._each(group, self._report)
        self._each(group, self._finish)

    def _report(self, group: Group, index: int) -> None:
        recording = self._members[index].recording
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        self._progress.advance(recording.cell, group.step * self._skip, recording.rate or 0.0, recording.last_return)

    def _diagnose(self, group: Group, index: int) -> None:
        recording = self._members[index].recording
        values = group.metrics(index) | group.learners.measure(index)
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        recording.diagnostics(group.step, group.updates, values | {"epsilon": group.epsilon})
        if not all(math.isfinite(value) for value in values.values()):
            message = f"Training left the numbers by agent step {group.step}."
            summary = recording.summary(values)
            recording.status("diverged", message=message, summary=summary)
            self._leave(group, index, "diverged", summary.score, message)

    def _finish(self, group: Group, index: int) -> None:
        recording = self._members[index].recording
        recording.reach(group.step, group.updates, group.lanes[index].episodes)
        try:
            self._evaluate(group, index)
        except Stopped:
            recording.status("interrupted")
            self._leave(group, index, "interrupted", None)
            return
        summary = recording.summary(group.learners.measure(index))
        message = ""
        if recording.differs_at is not None:
            message = f"From agent step {recording.differs_at} on, it differs from what an earlier attempt recorded."
        if group.step in recording.store.steps():  # before the status: who finds "done" finds one checkpoint
            recording.store.keep_only(group.step)
        recording.status("done", message=message, summary=summary)
        self._leave(group, index, "done", summary.score, message)

    def _evaluate(self, group: Group, index: int) -> None:
        """Play and write down the evaluation episodes that are missing, if the task has any."""
        evaluation, recording = self._task.evaluation, self._members[index].recording
        if evaluation is None:
            return
        lane = group.lanes[index]
        self._progress.say(recording.cell, f"plays {evaluation.episodes} evaluation episodes")
        envs = AtariEnvs(
            self._games[index], self._task.environment, EVALUATION_ENVS, min(EVALUATION_ENVS, cpu_threads())
        )
        try:
            for episode in evaluate(
                self._programs[index],
                group.learners.get(index),
                lane.streams,
                envs,
                evaluation.episodes,
                evaluation.epsilon,
                recording.evaluated,
                lambda: self._look(0, 0),
            ):
                recording.evaluation(episode)
        finally:
            envs.close()

    def _checkpoint(self, group: Group, *, scheduled: bool) -> None:
        """Write every member's checkpoint, several at a time: the disk and the hashes take longest."""
        group.settle()
        with ThreadPoolExecutor(min(4, max(1, len(self._members))), thread_name_prefix="checkpoint") as pool:
            indices = list(self._members)
            save = [pool.submit(self._save, group, index, scheduled) for index in indices]
            for index, future in zip(indices, save, strict=True):
                self._guard(group, index, future.result)

    def _save(self, group: Group, index: int, scheduled: bool) -> None:
        recording, lane = self._members[index].recording, group.lanes[index]
        arrays = learner_arrays(group.learners.get(index))
        learner = learner_hash(arrays)
        recording.reach(group.step, group.updates, lane.episodes)
        if scheduled:
            recording.checkpoint_row(group.step, group.updates, learner, lane.chain.hex())
        if not all_finite(arrays):
            return  # the next diagnosis finds it diverged; what is kept is the last that is finite
        of_lane, lengths = lane_arrays(lane)
        state = LaneState(
            agent_step=group.step,
            updates=group.updates,
            episodes=lane.episodes,
            segments=lane.segments,
            lengths=lengths,
            chain=lane.chain.hex(),
            metrics=group.metrics(index),
            learner=learner,
            environment_fingerprint=environment_of(self._task, GAMES[recording.cell.game])[1],
            execution=self._execution,
        )
        recording.save(group.step, arrays | of_lane, state.model_dump_json().encode())

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
        trace = "".join(traceback.format_exception(error))
        for index in indices:
            member = self._members.pop(index)
            member.recording.failure(message, trace)
            code = error.exit_code if isinstance(error, SuiteError) else None
            self._end(member, "failed", message=message, error=code)

    def _leave(self, group: Group, index: int, state: State, score: float | None, message: str = "") -> None:
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
