"""What a checkpoint of a lane holds, and how a lane goes on from it to the same bits.

Learner, counters and priorities are stored. Frames are not: an episode is a pure function of its emulator seed and its
actions, so the replay's frames, rewards and ends are had again by playing the stored actions, several episodes at a
time, and the emulator reaches the episode at hand in the same way.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from suite.contracts.agent import Learner
from suite.errors import BadData, UnfitEnvironment
from suite.experience.envs.several import SeveralEnvs
from suite.records.learner_arrays import LEARNER, Arrays
from suite.running.lane import ACTIONS, PRIORITIES, Lane

Segment = Sequence[bytes]
"""The actions of a segment's episodes."""
Look = Callable[[int, int], None]
"""Is told agent steps played and those in all."""
STEPS_BETWEEN_LOOKS = 64


class Stopped(Exception):
    """A rebuild was stopped on request; nothing is lost by it."""


def play_to(envs: SeveralEnvs, seeds: Sequence[int], segments: Sequence[Segment], look: Look) -> None:
    """Bring each lane's environment to where the segment at hand leads, all arriving at the same time.

    All environments step together, so that a lane with fewer actions starts later.
    """
    steps = [sum(map(len, segment)) for segment in segments]
    longest = max(steps)
    delays = [longest - own for own in steps]
    actions = [b"".join(segment) for segment in segments]
    begins = [set(np.cumsum([0, *map(len, segment[:-1])]).tolist()[1:]) for segment in segments]
    envs.reset(dict.fromkeys(range(envs.lanes), 0))
    over: set[int] = set()
    for step in range(longest + 1):
        starting: dict[int, int | None] = {lane: seeds[lane] for lane, delay in enumerate(delays) if delay == step}
        again = {lane: None for lane, delay in enumerate(delays) if step > delay and step - delay in begins[lane]}
        idle_ends = {lane: None for lane in over if delays[lane] > step}
        if starting or again or idle_ends:
            envs.reset(idle_ends | again | starting)
        if step == longest:
            return
        chosen = [own[step - delay] if step >= delay else 0 for own, delay in zip(actions, delays, strict=True)]
        answer = envs.step(chosen)
        over = {lane for lane in range(envs.lanes) if answer.discount[lane] == 0 or answer.truncated[lane]}
        if step % STEPS_BETWEEN_LOOKS == 0:
            look(step, longest)


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
    make_envs: Callable[[int], SeveralEnvs],
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
        _Rebuild(lane, history, envs, look).run()
        lane.replay.added = lane.step
    finally:
        envs.close()


class _Rebuild:
    """Plays a lane's history into its replay, one environment a segment, several at a time."""

    def __init__(self, lane: Lane, history: Sequence[Segment], envs: SeveralEnvs, look: Look) -> None:
        steps = [sum(map(len, segment)) for segment in history]
        self._total = sum(steps)
        starts = np.cumsum([lane.step - self._total, *steps]).tolist()
        first = lane.segments - len(history) + 1
        self._waiting = deque(
            _Replayed(lane, first + index, starts[index], segment) for index, segment in enumerate(history)
        )
        self._playing: list[_Replayed | None] = [None] * envs.lanes
        self._over = [True] * envs.lanes
        self._envs = envs
        self._look = look

    def run(self) -> None:
        """Play everything."""
        self._envs.reset(dict.fromkeys(range(self._envs.lanes), 0))
        played, rounds = 0, 0
        while self._begin_episodes():
            actions = [0 if segment is None else segment.action for segment in self._playing]
            answer = self._envs.step(actions)
            for slot, segment in enumerate(self._playing):
                terminal, truncated = bool(answer.discount[slot] == 0), bool(answer.truncated[slot])
                self._over[slot] = terminal or truncated
                if segment is not None:
                    reward = float(answer.reward[slot])
                    lost = answer.life_lost is not None and bool(answer.life_lost[slot])
                    segment.take(
                        answer.observation[slot], reward, terminal=terminal, truncated=truncated, life_lost=lost
                    )
                    played += 1
                    if segment.played:
                        self._playing[slot] = None
            rounds += 1
            if rounds % STEPS_BETWEEN_LOOKS == 0:
                self._look(played, self._total)

    def _begin_episodes(self) -> bool:
        """Reset what has ended, giving free environments their next segments; return whether any is played."""
        seeds: dict[int, int | None] = {}
        for slot in range(self._envs.lanes):
            if self._playing[slot] is None and self._waiting:
                starting = self._playing[slot] = self._waiting.popleft()
                seeds[slot] = starting.emulator_seed
            elif self._over[slot]:
                seeds[slot] = None
        for slot, frame in self._envs.reset(seeds).items() if seeds else ():
            self._over[slot] = False
            beginning = self._playing[slot]
            if beginning is not None:
                beginning.begin(frame)
                if beginning.played:  # the episode at hand, before its first action
                    self._playing[slot] = None
        return any(segment is not None for segment in self._playing)


class _Replayed:
    """A segment of the history that is played again; the last one ends with the episode at hand."""

    def __init__(self, lane: Lane, number: int, start: int, episodes: Segment) -> None:
        self._lane = lane
        self._number = number
        self._index = start  # running number of the next transition
        self._waiting = deque(episodes)
        self._actions = b""
        self._position = self._life_began = 0
        self._frame: NDArray[np.uint8] = np.empty(0, np.uint8)

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
        return not self._waiting and self._position == len(self._actions)

    def begin(self, frame: NDArray[np.uint8]) -> None:
        """Start the next episode from its first frame."""
        self._actions, self._position, self._life_began = self._waiting.popleft(), 0, 0
        self._frame = frame.copy()
        if self._at_hand:
            self._lane.begin_again(frame)

    def take(
        self, frame: NDArray[np.uint8], reward: float, *, terminal: bool, truncated: bool, life_lost: bool
    ) -> None:
        """Take in what the next action led to; UnfitEnvironment if an episode ends where it did not before."""
        self._lane.refill(
            self._index,
            self._frame,
            self.action,
            reward,
            depth=self._position - self._life_began,
            terminal=terminal or life_lost,
            truncated=truncated,
        )
        self._index += 1
        self._position += 1
        if life_lost:
            self._life_began = self._position
        self._frame = frame.copy()
        if (terminal or truncated) != (self._position == len(self._actions) and not self._at_hand):
            raise UnfitEnvironment(
                f"Segment {self._number} plays otherwise here than when it was recorded.",
                "Go on with the ale-py and the ROM that provenance.json names.",
            )
        if self._at_hand:
            self._lane.replayed(frame, reward, life_lost=life_lost)

    @property
    def _at_hand(self) -> bool:
        return self._number == self._lane.segments and not self._waiting
