"""The checkpoint of a cell in progress: one value, taken from a group and brought back into one that is fresh.

Learner, counters and priorities are stored. Frames are not: an episode is a pure function of its emulator seed and its
actions, so the replay's transitions are had again by playing the stored actions, several episodes at a time, and the
environments reach the episodes at hand in the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from suite.contracts.agent import Learner
from suite.errors import BadData, UnfitEnvironment
from suite.experience.envs.base import Envs
from suite.experience.playback import Begun, PlayedOtherwise, play, play_to
from suite.monitor import Monitor
from suite.records.checkpoints import Loaded
from suite.records.learner_arrays import LEARNER, Arrays, learner_hash
from suite.running.group import Group
from suite.running.lane import NO_EPISODES, Actor, Lane

ACTIONS = "actions"
"""The name of the array that holds the actions of the segments that the replay reaches into."""
SEEN = "inspection/"
"""How the names of the arrays begin that inspections must know; nothing else depends on them."""
LONG_REBUILD = 100_000
"""Agent steps of a replay that are worth a line when they are played again: a minute of one core."""
Execution = dict[str, str | int | bool]
"""How bits are computed: see `Attempt`."""


class LaneState(BaseModel):
    """`state.json` of a checkpoint: everything that is no array.

    `episodes` and `segments` are finished; `lengths` are the agent steps of the episodes of each segment that the
    replay reaches into, at the very end those of the one at hand. `chain` is the history's hash. `execution`: how the
    bits were computed, see `Attempt`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent_step: int
    updates: int
    episodes: int
    segments: int
    lengths: tuple[tuple[int, ...], ...]
    chain: str
    metrics: dict[str, float]
    learner: str
    environment_fingerprint: str
    execution: Execution


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a cell goes on from: the learner, the actions and whatever else the replay needs, and the state."""

    state: LaneState
    arrays: Mapping[str, NDArray[Any]]

    @classmethod
    def read(cls, loaded: Loaded) -> Checkpoint:
        """Read a checkpoint from what was on the disk; BadData if it is none."""
        try:
            return cls(LaneState.model_validate_json(loaded.state), loaded.arrays)
        except ValidationError as error:
            raise BadData(f"A checkpoint's state.json is none of ours: {error}.", "Start the cell anew.") from error

    @property
    def steps_to_play(self) -> int:
        """The agent steps that are played again to have the replay."""
        return sum(map(sum, self.state.lengths))

    def check(self, fingerprint: str, execution: Execution, monitor: Monitor) -> None:
        """Refuse a checkpoint of another environment or other data; say what makes bits differ."""
        if self.state.environment_fingerprint != fingerprint:
            raise UnfitEnvironment(
                "The checkpoint was written with another version or option of the environment.",
                "Go on with the version that provenance.json names, or delete the checkpoints to start the cell anew.",
            )
        if self.state.execution.get("data") != execution.get("data"):
            raise UnfitEnvironment(
                "The checkpoint was written with other logged data.",
                "Go on with the data that provenance.json names, or delete the checkpoints to start the cell anew.",
            )
        batched = () if self.state.execution.get("form") == execution.get("form") == "loop" else ("lanes", "parts")
        for name in ("threads", "deterministic", "switches", "form", *batched):
            before, now = self.state.execution.get(name, "none"), execution.get(name, "none")
            if before != now:
                monitor.say(f"{name} was {before}, is {now}: bits may come out otherwise than before")


def save(group: Group, index: int, fingerprint: str, execution: Execution) -> Checkpoint:
    """Return the checkpoint of a lane of a settled group; `fingerprint` is its environment's."""
    lane, learner = group.lanes[index], learner_arrays(group.learner(index))
    actor = lane.actor
    state = LaneState(
        agent_step=group.step,
        updates=group.updates,
        episodes=lane.episodes,
        segments=0 if actor is None else actor.segments,
        lengths=() if actor is None else _lengths(actor),
        chain=(NO_EPISODES if actor is None else actor.chain).hex(),
        metrics=group.metrics(index),
        learner=learner_hash(learner),
        environment_fingerprint=fingerprint,
        execution=execution,
    )
    actions = {} if actor is None else {ACTIONS: _joined(actor)}
    seen = {SEEN + name: array for name, array in group.seen[index].items()}
    return Checkpoint(state, learner | actions | lane.replay.arrays() | seen)


def restore(
    group: Group,
    checkpoints: Sequence[Checkpoint],
    make_envs: Callable[[int, int], Envs],
    at_once: int,
    monitors: Sequence[Monitor],
) -> None:
    """Bring a fresh group to its lanes' checkpoints, which are all of one step.

    `make_envs(index, E)` makes E further environments of a lane's game; `at_once` segments are played at a time. Each
    lane's monitor hears how far its replay has come.
    """
    for index, (lane, checkpoint, monitor) in enumerate(zip(group.lanes, checkpoints, monitors, strict=True)):
        lane.step = checkpoint.state.agent_step
        if lane.actor is not None:
            history = _resume(lane.actor, checkpoint)
            envs = make_envs(index, min(at_once, len(history)))
            try:
                _refill(lane, lane.actor, envs, _Rebuilding(monitor, checkpoint.steps_to_play))
            finally:
                envs.close()
        lane.replay.restore(checkpoint.arrays)
        group.put_learner(index, restored_learner(group.learner_shapes(index), checkpoint.arrays))
        group.restore_metrics(index, checkpoint.state.metrics)
        seen = {name: array for name, array in checkpoint.arrays.items() if name.startswith(SEEN)}
        group.seen[index] = {name.removeprefix(SEEN): array for name, array in seen.items()}
    group.reach(checkpoints[0].state.agent_step)
    for part in group.parts:
        if part.envs is not None:
            at_hand = [lane.actor.histories()[-1] for lane in part.lanes if lane.actor is not None]
            play_to(part.envs, at_hand, monitors[0])


class _Rebuilding(Monitor):
    """Says how far a replay has come where that takes long."""

    def __init__(self, monitor: Monitor, steps: int) -> None:
        self._monitor = monitor
        self._told = 0
        if steps >= LONG_REBUILD:
            monitor.say(f"playing {steps:,} agent steps of the replay again")

    def tick(self, done: int = 0, total: int = 0) -> None:
        """Hear how many agent steps were played again."""
        self._monitor.tick(done, total)
        if done >= self._told + LONG_REBUILD:
            self._told = done
            self._monitor.say(f"{done:,} of {total:,} agent steps of the replay played again")


def learner_arrays(learner: Learner) -> Arrays:
    """Return a learner's arrays on the host, named by their place in it."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(jax.device_get(learner))
    return {LEARNER + jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}


def restored_learner(shapes: Learner, arrays: Mapping[str, NDArray[Any]]) -> Learner:
    """Return the learner that the arrays hold; BadData if they are not those of the configuration's `shapes`."""
    leaves, structure = jax.tree_util.tree_flatten_with_path(shapes)
    found = []
    for path, shape in leaves:
        name = LEARNER + jax.tree_util.keystr(path)
        array = arrays.get(name)
        if array is None or array.shape != shape.shape or array.dtype != shape.dtype:
            raise BadData(
                f"The checkpoint's {name} is not what this version computes with.",
                "Go on with the version that wrote it, or delete the checkpoints to start the cell anew.",
            )
        found.append(jax.numpy.asarray(array))
    return jax.tree.unflatten(structure, found)  # type: ignore[no-any-return]


def _lengths(actor: Actor) -> tuple[tuple[int, ...], ...]:
    size = actor.rules.inputs.action_bytes
    return tuple(tuple(len(actions) // size for actions in segment) for segment in actor.history)


def _joined(actor: Actor) -> NDArray[Any]:
    return actor.rules.inputs.parsed(b"".join(b"".join(segment) for segment in actor.history))


def _resume(actor: Actor, checkpoint: Checkpoint) -> list[list[bytes]]:
    """Set an actor's counters and history to a checkpoint's; return the history."""
    state, size = checkpoint.state, actor.rules.inputs.action_bytes
    actions = iter(checkpoint.arrays[ACTIONS].tobytes())
    history = [[bytes(itertools.islice(actions, size * length)) for length in segment] for segment in state.lengths]
    actor.resume(state.episodes, state.segments, bytes.fromhex(state.chain), history)
    return history


def _refill(lane: Lane, actor: Actor, envs: Envs, monitor: Monitor) -> None:
    """Play a lane's history into its replay, and its observation to the episode at hand."""
    histories = actor.histories()
    steps = [history.steps for history in histories]
    following = np.cumsum([lane.step - sum(steps), *steps]).tolist()  # running numbers, by history
    life_began = [0] * len(histories)
    try:
        for event in play(envs, histories, monitor):
            number = event.history
            at_hand = number == len(histories) - 1 and event.episode == len(histories[number].episodes) - 1
            if isinstance(event, Begun):
                life_began[number] = 0
                if at_hand:
                    actor.begin_again(event.seen)
                continue
            lane.refill(following[number], event, event.position - life_began[number])
            following[number] += 1
            if event.life_lost:
                life_began[number] = event.position + 1
            if at_hand:
                actor.play_again(event)
    except PlayedOtherwise as otherwise:
        raise UnfitEnvironment(
            f"Segment {actor.segments - len(histories) + 1 + otherwise.history} plays otherwise here than when it was "
            f"recorded: {otherwise}.",
            "Go on with the versions of the environment that provenance.json names, on the same type of machine.",
        ) from otherwise
    lane.replay.added = lane.step
