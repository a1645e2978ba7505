"""What a checkpoint of a lane holds, and how a lane goes on from it to the same bits.

Learner, counters and priorities are stored. Frames are not: an episode is a pure function of its emulator seed and its
actions, so the replay's frames, rewards and ends are had again by playing the stored actions, several episodes at a
time, and the emulator reaches the episode at hand in the same way.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from suite.contracts.agent import Learner
from suite.errors import BadData, UnfitEnvironment
from suite.experience.envs.base import Envs
from suite.experience.playback import Begun, Look, PlayedOtherwise, play
from suite.records.learner_arrays import LEARNER, Arrays
from suite.running.lane import ACTIONS, PRIORITIES, Lane


class Stopped(Exception):
    """A rebuild was stopped on request; nothing is lost by it."""


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
    execution: dict[str, str | int | bool]

    @classmethod
    def read(cls, text: bytes) -> LaneState:
        """Read a state; BadData if it is none."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            raise BadData(f"A checkpoint's state.json is none of ours: {error}.", "Start the cell anew.") from error


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


def restore_lane(
    lane: Lane,
    state: LaneState,
    arrays: Mapping[str, NDArray[Any]],
    make_envs: Callable[[int], Envs],
    at_once: int,
    look: Look,
) -> None:
    """Bring a fresh lane to a checkpoint: counters, history, replay and stack.

    `make_envs(E)` makes E environments of the lane's game; `at_once` segments are played at a time. `look(done, of)`
    is called now and then with agent steps, and may raise Stopped.
    """
    actions = iter(arrays[ACTIONS].tobytes())
    history = [[bytes(itertools.islice(actions, length)) for length in segment] for segment in state.lengths]
    lane.resume(state.agent_step, state.episodes, state.segments, history, bytes.fromhex(state.chain))
    if lane.replay.priorities is not None:
        named = {name.removeprefix(PRIORITIES): array for name, array in arrays.items() if name.startswith(PRIORITIES)}
        lane.replay.priorities.restore(named)
    envs = make_envs(min(at_once, len(history)))
    try:
        _rebuild(lane, envs, look)
        lane.replay.added = lane.step
    except PlayedOtherwise as otherwise:
        number = lane.segments - len(history) + 1 + otherwise.history
        raise UnfitEnvironment(
            f"Segment {number} plays otherwise here than when it was recorded.",
            "Go on with the ale-py and the ROM that provenance.json names.",
        ) from otherwise
    finally:
        envs.close()


def _rebuild(lane: Lane, envs: Envs, look: Look) -> None:
    """Play a lane's history into its replay, one environment a segment, several at a time."""
    histories = lane.histories()
    steps = [history.steps for history in histories]
    following = np.cumsum([lane.step - sum(steps), *steps]).tolist()  # running numbers, by history
    life_began = [0] * len(histories)
    for event in play(envs, histories, look):
        number = event.history
        at_hand = number == len(histories) - 1 and event.episode == len(histories[number].episodes) - 1
        if isinstance(event, Begun):
            life_began[number] = 0
            if at_hand:
                lane.begin_again(event.seen)
            continue
        lane.refill(following[number], event, event.position - life_began[number])
        following[number] += 1
        if event.life_lost:
            life_began[number] = event.position + 1
        if at_hand:
            lane.replayed(event.seen, event.reward, life_lost=event.life_lost)
