"""How cells start in lockstep: their programs compiled, learners and lanes begun or brought to their checkpoints."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from numpy.typing import NDArray

from suite.errors import UnfitEnvironment
from suite.experience.domains import Domain
from suite.experience.replay.placement import Placement
from suite.learning.batching import Form
from suite.learning.build import programs_for
from suite.learning.device import cpu_threads, is_deterministic, switches
from suite.learning.learners import Learners, LoopLearners, StackedLearners
from suite.learning.programs import Programs
from suite.records.checkpoints import Loaded
from suite.records.outcome import Progress
from suite.records.predecessors import source_arrays
from suite.rng import Streams
from suite.running.evaluation import EVALUATION_ENVS
from suite.running.families import Saved, Setup, start_lanes
from suite.running.group import Training
from suite.running.recorder import Recording
from suite.running.resume import LaneState, restored_learner
from suite.tasks import GAMES, Game

LONG_REBUILD = 100_000
"""Agent steps of a replay that are worth a line when they are played again: a minute of one core."""
Execution = dict[str, str | int | bool]
"""How bits are computed: see `Attempt`."""


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

    @property
    def game(self) -> Game:
        """The cell's game."""
        return GAMES[self.recording.cell.game]

    @property
    def seed(self) -> int:
        """The cell's seed."""
        return self.recording.cell.seed

    @property
    def streams(self) -> Streams:
        """The cell's random streams."""
        cell = self.recording.cell
        return Streams(cell.spec.task_key, cell.game, cell.seed)


def choose_form(wanted: str) -> Form | None:
    """Return the form asked for, None for the loop. `auto` is the loop on a CPU, where it is fastest by far.

    Elsewhere `auto` is `vmap`, on the word of others: `ci/bench/gpu` measures the forms, and has not met a GPU yet.
    """
    if wanted == "auto":
        return None if jax.default_backend() == "cpu" else Form.VMAP
    return None if wanted == "loop" else Form(wanted)


def execution_of(members: Sequence[Member], options: Options, domain: Domain) -> Execution:
    """Return how the bits of these members are computed."""
    form = choose_form(options.form)
    return {
        "threads": cpu_threads(),
        "deterministic": jax.default_backend() == "cpu" or is_deterministic(),
        "form": "loop" if form is None else str(form),
        "lanes": len(members),
        "group": " ".join(f"{member.recording.cell.game}/{member.seed}" for member in members),
        "replay": str(options.placement),
        **({"switches": found} if (found := switches()) else {}),
        **domain.execution([member.game for member in members], [member.seed for member in members]),
    }


def check_checkpoint(state: LaneState, fingerprint: str, execution: Execution, say: Callable[[str], None]) -> None:
    """Refuse a checkpoint of another environment or other data; say what makes bits differ."""
    if state.environment_fingerprint != fingerprint:
        raise UnfitEnvironment(
            "The checkpoint was written with another version or option of the environment.",
            "Go on with the version that provenance.json names, or delete the checkpoints to start the cell anew.",
        )
    if state.execution.get("data") != execution.get("data"):
        raise UnfitEnvironment(
            "The checkpoint was written with other logged data.",
            "Go on with the data that provenance.json names, or delete the checkpoints to start the cell anew.",
        )
    for name in ("threads", "deterministic", "switches"):
        before, now = state.execution.get(name, "none"), execution.get(name, "none")
        if before != now:
            say(f"{name} was {before}, is {now}: bits may come out otherwise than before")


def start_group(
    members: Sequence[Member], options: Options, domain: Domain, progress: Progress, check_stop: Callable[[], None]
) -> tuple[Training, Sequence[Programs]]:
    """Return the members' lanes, and the programs of each; `check_stop` is called now and then, and may raise."""
    spec = members[0].recording.cell.spec
    programs = [programs_for(spec, member.game) for member in members]
    _compile(programs, members[0].recording, check_stop)
    streams = [member.streams for member in members]
    form = choose_form(options.form)
    learners: Learners = (
        LoopLearners(programs, streams, cpu_threads()) if form is None else StackedLearners(programs, streams, form)
    )
    saved = [_saved(member) for member in members]
    games, seeds = [member.game for member in members], [member.seed for member in members]
    look = _rebuilding(members, saved, progress, check_stop)
    group = start_lanes(
        domain, Setup(programs[0].plan, games, seeds, streams, learners, options.placement, saved, look)
    )
    for index, (member, own, each) in enumerate(zip(members, saved, programs, strict=True)):
        if own is not None:
            learners.put(index, restored_learner(each.shapes(), own.arrays))
            group.restore_metrics(index, own.state.metrics)
            member.loaded = None  # its arrays are no longer needed
            member.recording.reach(own.state.agent_step, own.state.updates, own.state.episodes)
        elif each.sources:
            learners.put(index, each.adopt(learners.get(index), _sources(member, each.sources)))
    return group, programs


def _compile(programs: Sequence[Programs], first: Recording, check_stop: Callable[[], None]) -> None:
    budget = first.task.agent_steps(first.cell.spec.frames)
    evaluations = 0 if first.task.evaluation is None else EVALUATION_ENVS
    for each in {id(each): each for each in programs}.values():
        check_stop()
        each.compile(each.plan.updates_by(budget), evaluations)


def _saved(member: Member) -> Saved | None:
    if member.loaded is None:
        return None
    return Saved(LaneState.read(member.loaded.state), member.loaded.arrays)


def _rebuilding(
    members: Sequence[Member], saved: Sequence[Saved | None], progress: Progress, check_stop: Callable[[], None]
) -> Callable[[int, int, int], None]:
    """Return a `look` that says how far the replay has come where that takes long."""
    steps = [0 if own is None else sum(map(sum, own.state.lengths)) for own in saved]
    cells = [member.recording.cell for member in members]
    told = [0] * len(steps)
    for cell, own in zip(cells, steps, strict=True):
        if own >= LONG_REBUILD:
            progress.say(cell, f"playing {own:,} agent steps of the replay again")

    def look(lane: int, done: int, total: int) -> None:
        check_stop()
        if done >= told[lane] + LONG_REBUILD:
            told[lane] = done
            progress.say(cells[lane], f"{done:,} of {total:,} agent steps of the replay played again")

    return look


def _sources(member: Member, sources: Mapping[str, str]) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the last checkpoint's arrays of the runs that a fresh learner starts from, by method."""
    root = member.recording.path.parents[3]
    return {method: source_arrays(root, member.recording.cell, source) for method, source in sources.items()}
