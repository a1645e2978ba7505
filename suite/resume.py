"""What a checkpoint of a lane holds, and how a lane goes on from it to the same bits.

Learner, counters and priorities are stored. Frames are not: an episode is a pure function of its emulator seed and its
actions, so the replay's frames, rewards and ends are had again by playing the stored actions, several episodes at a
time, and the emulator reaches the episode at hand in the same way.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from suite.agent import Learner
from suite.envs.several import SeveralEnvs
from suite.errors import BadData, UnfitEnvironment
from suite.lane import Lane

Arrays = dict[str, NDArray[Any]]
Look = Callable[[int, int], None]
"""Is told agent steps played and those in all."""
LEARNER = "learner"
ACTIONS = "actions"
PRIORITIES = "priorities/"
STEPS_BETWEEN_LOOKS = 64


class Stopped(Exception):
    """A rebuild was stopped on request; nothing is lost by it."""


def play_to(envs: SeveralEnvs, seeds: Sequence[int], actions: Sequence[bytes], look: Look) -> None:
    """Bring each lane's environment to where its actions lead from its seed, all arriving at the same time.

    All environments step together, so that a lane with fewer actions starts later.
    """
    longest = max(map(len, actions))
    delays = [longest - len(own) for own in actions]
    envs.reset(dict.fromkeys(range(envs.lanes), 0))
    over: set[int] = set()
    for step in range(longest + 1):
        starting = {lane: seeds[lane] for lane, delay in enumerate(delays) if delay == step}
        idle_ends = {lane: 0 for lane in over if delays[lane] > step}
        if starting or idle_ends:
            envs.reset(idle_ends | starting)
        if step == longest:
            return
        chosen = [own[step - delay] if step >= delay else 0 for own, delay in zip(actions, delays, strict=True)]
        answer = envs.step(np.asarray(chosen, np.int64))
        over = {lane for lane in range(envs.lanes) if answer.discount[lane] == 0 or answer.truncated[lane]}
        if step % STEPS_BETWEEN_LOOKS == 0:
            look(step, longest)


class LaneState(BaseModel):
    """`state.json` of a checkpoint: everything that is no array.

    `episodes` are finished; `lengths` are the agent steps of those that the replay reaches into and, last, of the one
    at hand. `chain` is the history's hash. `execution`: how the bits were computed, see `Attempt`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    agent_step: int
    updates: int
    episodes: int
    lengths: tuple[int, ...]
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


def learner_hash(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of a learner's arrays: names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def all_finite(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether no floating-point array holds an infinity or NaN."""
    return all(bool(np.isfinite(array).all()) for array in arrays.values() if array.dtype.kind == "f")


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


def lane_arrays(lane: Lane) -> tuple[Arrays, tuple[int, ...]]:
    """Return a lane's history and priorities as arrays, and the lengths of the episodes in it."""
    history = list(lane.history())
    arrays: Arrays = {ACTIONS: np.frombuffer(b"".join(history), np.uint8)}
    if lane.replay.priorities is not None:
        lane.replay.priorities.add_until(lane.replay.added)
        arrays |= {PRIORITIES + name: array for name, array in lane.replay.priorities.arrays().items()}
    return arrays, tuple(map(len, history))


def restore_lane(
    lane: Lane,
    state: LaneState,
    arrays: Mapping[str, NDArray[Any]],
    make_envs: Callable[[int], SeveralEnvs],
    at_once: int,
    look: Look,
) -> None:
    """Bring a fresh lane to a checkpoint: counters, history, replay and stack.

    `make_envs(E)` makes E environments of the lane's game; `at_once` episodes are played at a time. `look(done, of)`
    is called now and then with agent steps, and may raise Stopped.
    """
    actions = arrays[ACTIONS].tobytes()
    ends = np.cumsum(state.lengths).tolist()
    history = [actions[end - length : end] for end, length in zip(ends, state.lengths, strict=True)]
    lane.resume(state.agent_step, state.episodes, history, bytes.fromhex(state.chain))
    if lane.replay.priorities is not None:
        named = {name.removeprefix(PRIORITIES): array for name, array in arrays.items() if name.startswith(PRIORITIES)}
        lane.replay.priorities.restore(named)
    envs = make_envs(min(at_once, len(history)))
    try:
        _Rebuild(lane, history, envs, look).run()
        lane.replay.added = lane.step
    finally:
        envs.close()


class _Rebuild:
    """Plays a lane's history into its replay, one environment an episode, several at a time."""

    def __init__(self, lane: Lane, history: Sequence[bytes], envs: SeveralEnvs, look: Look) -> None:
        first, start = lane.episodes - len(history) + 1, lane.step - sum(map(len, history))
        starts = np.cumsum([start, *map(len, history)]).tolist()
        self._waiting = deque(
            _Episode(lane, first + index, starts[index], actions) for index, actions in enumerate(history)
        )
        self._playing: list[_Episode | None] = [None] * envs.lanes
        self._over = [True] * envs.lanes
        self._envs = envs
        self._look = look
        self._total = lane.step - start

    def run(self) -> None:
        """Play everything."""
        self._envs.reset(dict.fromkeys(range(self._envs.lanes), 0))
        played, rounds = 0, 0
        while self._assign():
            actions = [0 if episode is None else episode.action for episode in self._playing]
            answer = self._envs.step(np.asarray(actions, np.int64))
            for slot, episode in enumerate(self._playing):
                terminal, truncated = answer.discount[slot] == 0, bool(answer.truncated[slot])
                self._over[slot] = bool(terminal) or truncated
                if episode is not None:
                    reward = float(answer.reward[slot])
                    episode.take(answer.observation[slot], reward, terminal=bool(terminal), truncated=truncated)
                    played += 1
                    if episode.played:
                        self._playing[slot] = None
            rounds += 1
            if rounds % STEPS_BETWEEN_LOOKS == 0:
                self._look(played, self._total)

    def _assign(self) -> bool:
        """Give free environments their next episodes; return whether any is played."""
        seeds: dict[int, int] = {}
        for slot, episode in enumerate(self._playing):
            if episode is None and self._waiting:
                self._playing[slot] = self._waiting.popleft()
                seeds[slot] = self._playing[slot].emulator_seed  # type: ignore[union-attr]
            elif episode is None and self._over[slot]:
                seeds[slot] = 0  # nobody's: an environment takes no step after its end
        for slot, frame in self._envs.reset(seeds).items() if seeds else ():
            self._over[slot] = False
            starting = self._playing[slot]
            if starting is not None:
                starting.begin(frame)
                if starting.played:  # the episode at hand, before its first action
                    self._playing[slot] = None
        return any(episode is not None for episode in self._playing)


class _Episode:
    """An episode of the history that is played again; the last one is the one at hand and leaves the lane's stack."""

    def __init__(self, lane: Lane, number: int, start: int, actions: bytes) -> None:
        self._lane = lane
        self._number = number
        self._start = start
        self._actions = actions
        self._position = 0
        self._frame: NDArray[np.uint8] = np.empty(0, np.uint8)
        self._at_hand = number == lane.episodes

    @property
    def emulator_seed(self) -> int:
        """The seed that the cell assigns to it."""
        return self._lane.streams.emulator_seed(self._number)

    @property
    def action(self) -> int:
        """The next action."""
        return self._actions[self._position]

    @property
    def played(self) -> bool:
        """Whether all actions were taken."""
        return self._position == len(self._actions)

    def begin(self, frame: NDArray[np.uint8]) -> None:
        """Start from the first frame."""
        self._frame = frame.copy()
        if self._at_hand:
            self._lane.begin_again(frame)

    def take(self, frame: NDArray[np.uint8], reward: float, *, terminal: bool, truncated: bool) -> None:
        """Take in what the next action led to; UnfitEnvironment if the episode ends where it did not before."""
        index = self._start + self._position
        action, depth = self.action, self._position
        self._lane.refill(index, self._frame, action, reward, depth=depth, terminal=terminal, truncated=truncated)
        self._position += 1
        self._frame = frame.copy()
        if (terminal or truncated) != (self.played and not self._at_hand):
            raise UnfitEnvironment(
                f"Episode {self._number} plays otherwise here than when it was recorded.",
                "Go on with the ale-py and the ROM that provenance.json names.",
            )
        if self._at_hand:
            self._lane.replayed(frame, reward)
