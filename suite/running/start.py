"""The start of cells in lockstep: programs compiled, learners and lanes begun or brought to their checkpoints."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.domains import Domain
from suite.experience.envs.base import Envs
from suite.experience.replay.placement import Placement
from suite.learning.batching import Form
from suite.learning.build import programs_for
from suite.learning.device import cpu_threads, is_deterministic, programs_at_once, switches
from suite.learning.learners import Learners, LoopLearners, StackedLearners
from suite.learning.programs import Programs
from suite.records.keeping import LAST, Keep
from suite.records.predecessors import source_arrays
from suite.records.score import by_evaluation
from suite.rng import Streams
from suite.running.checkpointing import Checkpoint, Execution, restore
from suite.running.evaluation import EVALUATION_ENVS
from suite.running.group import Group
from suite.running.lane import Lane, Rules
from suite.running.member import Member
from suite.running.part import Part
from suite.tasks import Game, Task

PARTS = 4
"""Parts of a group that take turns, by what `ci/bench/model` predicts for 5, 15 and 75 lanes (docs/performance.md)."""


@dataclass(frozen=True, slots=True)
class Options:
    """How cells are computed: bits may depend on it, the protocol does not. `form`: `auto`, `loop`, or a `Form`.

    `overlap`: where one program serves many lanes, have parts of them take turns, see `suite.running.group`.
    `data`: the directory of logged data, for offline tasks. `inspect_every`: see `Timeline.of`.
    `keep`: what stays of a run's checkpoints. `until`: the agent step after which a cell is left as it is, a
    checkpoint's; by default it is run to its end.
    """

    checkpoint_every: int
    placement: Placement
    form: str = "auto"
    data: Path | None = None
    inspect_every: int | None = 0
    keep: Keep = LAST
    until: int | None = None
    overlap: bool = True


def choose_form(wanted: str) -> Form | None:
    """Return the form asked for, None for the loop. `auto` is the loop on a CPU, where it is fastest by far.

    Elsewhere `auto` is `matmul`, by what the compiler makes of the forms for an H200 (docs/performance.md): no grouped
    convolution, and as many kernels for 75 lanes as for one. `ci/bench/gpu` times them, and has not met a GPU yet.
    """
    if wanted == "auto":
        return None if jax.default_backend() == "cpu" else Form.MATMUL
    return None if wanted == "loop" else Form(wanted)


def lanes_by_part(count: int, options: Options, domain: Domain) -> list[range]:
    """Return the lanes of each part of a group of `count`: all, or about as many in each of `PARTS` that take turns."""
    turns = options.overlap and domain.plays and choose_form(options.form) is not None
    parts = min(PARTS, count) if turns else 1
    bounds = [-(-count * part // parts) for part in range(parts + 1)]
    return list(itertools.starmap(range, itertools.pairwise(bounds)))


def execution_of(members: Sequence[Member], options: Options, domain: Domain) -> Execution:
    """Return how the bits of these members are computed."""
    form, parts = choose_form(options.form), len(lanes_by_part(len(members), options, domain))
    return {
        "threads": cpu_threads(),
        "deterministic": jax.default_backend() == "cpu" or is_deterministic(),
        "form": "loop" if form is None else str(form),
        "lanes": len(members),
        "group": " ".join(f"{member.recording.cell.game}/{member.seed}" for member in members),
        "replay": str(options.placement),
        **({"parts": parts} if parts > 1 else {}),
        **({"switches": found} if (found := switches()) else {}),
        **domain.execution([member.game for member in members], [member.seed for member in members]),
    }


def start_group(members: Sequence[Member], options: Options, domain: Domain) -> tuple[Group, Sequence[Programs]]:
    """Return the members' lanes, and the programs of each; raises Stopped where their monitors have it stopped."""
    spec, task = members[0].recording.cell.spec, members[0].recording.task
    programs = [programs_for(spec, member.game) for member in members]
    _compile(programs, members[0])
    streams = [member.streams for member in members]
    parts, workers = lanes_by_part(len(members), options, domain), programs_at_once(task.program_threads)
    learners = make_learners(programs, streams, parts, choose_form(options.form), workers)
    games, seeds = [member.game for member in members], [member.seed for member in members]
    kept = _kept_steps(task)
    group = make_group(domain, programs[0].plan, games, seeds, streams, learners, options.placement, kept)
    try:
        _begin(group, members, programs, domain)
    except BaseException:
        group.close()
        raise
    return group, programs


def make_learners(
    programs: Sequence[Programs], streams: Sequence[Streams], parts: Sequence[range], form: Form | None, workers: int
) -> list[Learners]:
    """Return the fresh learners of each part's lanes; `form`: None for the loop, then of so many lanes at a time."""
    wide = max(programs, key=lambda each: each.actions)
    learners: list[Learners] = []
    for part in parts:
        own = programs[part.start : part.stop], streams[part.start : part.stop]
        learners.append(LoopLearners(*own, workers) if form is None else StackedLearners(*own, form, wide))
    return learners


def make_group(
    domain: Domain,
    plan: DataPlan,
    games: Sequence[Game],
    seeds: Sequence[int],
    streams: Sequence[Streams],
    learners: Sequence[Learners],
    placement: Placement,
    kept_steps: int = 0,
) -> Group:
    """Return the fresh lanes of cells that are to be advanced together, a part for each of `learners`, in their order.

    `kept_steps`: see `Rules`.
    """
    lanes = []
    for game, seed, own in zip(games, seeds, streams, strict=True):
        rules = Rules(domain.inputs(game), game.actions, domain.reseed_steps, domain.reward_clip, kept_steps)
        lanes.append(Lane(plan, own, domain.replay(plan, game, seed, placement), rules if domain.plays else None))
    parts, first = [], 0
    for own_learners in learners:
        own_lanes = slice(first, first := first + own_learners.lanes)
        envs = domain.environments(games[own_lanes], cpu_threads()) if domain.plays else None
        parts.append(Part(plan, lanes[own_lanes], own_learners, envs))
    return Group(plan, parts)


def _kept_steps(task: Task) -> int:
    """Return how many steps before its end a run's score is taken from: if it diverges, these are its proof."""
    return 0 if by_evaluation(task) else task.agent_steps(task.score.window_length)


def _begin(group: Group, members: Sequence[Member], programs: Sequence[Programs], domain: Domain) -> None:
    """Start a fresh group from the beginning, or bring it to its members' checkpoints."""
    checkpoints = [Checkpoint.read(member.loaded) for member in members if member.loaded is not None]
    if checkpoints:
        _go_on(group, members, checkpoints, domain)
        return
    group.begin()
    for index, (member, each) in enumerate(zip(members, programs, strict=True)):
        if each.sources:
            group.put_learner(index, each.adopt(group.learner(index), _sources(member, each.sources)))


def _go_on(group: Group, members: Sequence[Member], checkpoints: Sequence[Checkpoint], domain: Domain) -> None:
    """Bring a fresh group to its members' checkpoints."""

    def more(index: int, count: int) -> Envs:
        return domain.environments([members[index].game] * count, cpu_threads())

    restore(group, checkpoints, more, cpu_threads(), members)
    for member, checkpoint in zip(members, checkpoints, strict=True):
        member.loaded = None  # its arrays are no longer needed
        state = checkpoint.state
        member.recording.reach(state.agent_step, state.updates, state.episodes)


def _compile(programs: Sequence[Programs], first: Member) -> None:
    task = first.recording.task
    budget = task.agent_steps(first.recording.cell.spec.frames)
    evaluations = 0 if task.evaluation is None else EVALUATION_ENVS
    for each in {id(each): each for each in programs}.values():
        first.tick()
        each.compile(each.plan.updates_by(budget), evaluations, len(programs))


def _sources(member: Member, sources: Mapping[str, str]) -> dict[str, dict[str, NDArray[Any]]]:
    """Return the last checkpoint's arrays of the runs that a fresh learner starts from, by method."""
    root = member.recording.path.parents[3]
    return {method: source_arrays(root, member.recording.cell, source) for method, source in sources.items()}
