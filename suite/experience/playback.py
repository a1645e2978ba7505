"""Recorded actions played again: a segment is a pure function of its emulator seed and its actions.

Everything that is had again in this way comes from here: a replay's frames when a run goes on, the environments of its
lanes, the returns that `suite verify` compares, and the rows of a log.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.experience.envs.base import Envs
from suite.monitor import SILENT, Monitor

STEPS_BETWEEN_TICKS = 64


class History(NamedTuple):
    """A segment: the seed that its first episode starts from, and the actions of each episode, [T] or [T, A].

    `open`: the last episode is at hand, and does not end with its last action.
    """

    seed: int
    episodes: Sequence[NDArray[Any]]
    open: bool = False

    @property
    def steps(self) -> int:
        """The agent steps of all episodes."""
        return sum(map(len, self.episodes))


class Begun(NamedTuple):
    """An episode of a history, and what the environment shows before its first action."""

    history: int
    episode: int
    seen: NDArray[Any]


class Played(NamedTuple):
    """An action taken again, number `position` of its episode: what was seen before and after it, and what it gave."""

    history: int
    episode: int
    position: int
    action: Any
    shown: NDArray[Any]
    seen: NDArray[Any]
    reward: float
    terminal: bool
    truncated: bool
    life_lost: bool

    @property
    def end(self) -> str | None:
        """How the episode ended with it, as records name it; None if it goes on."""
        return "truncated" if self.truncated else "terminated" if self.terminal else None


class PlayedOtherwise(Exception):
    """An episode of a history does not come out as it was recorded; says how."""

    def __init__(self, history: int, episode: int, problem: str) -> None:
        super().__init__(problem)
        self.history = history
        self.episode = episode


def play(envs: Envs, histories: Sequence[History], monitor: Monitor = SILENT) -> Iterator[Begun | Played]:
    """Play histories again, one in each environment, as many at a time as there are environments.

    Yields what happens in a history in its order; arrays are good until the next step. Raises PlayedOtherwise after
    the step with which an episode ends where it did not before, or goes on where it had ended.
    """
    waiting = deque(_Segment(index, history) for index, history in enumerate(histories))
    total = sum(history.steps for history in histories)
    return _play(envs, lambda slot, rounds: waiting.popleft() if waiting else None, total, monitor)


def play_to(envs: Envs, histories: Sequence[History], monitor: Monitor = SILENT) -> None:
    """Bring each environment to where its own history leads, all arriving at the same time.

    All environments step together, so that one with fewer actions starts later.
    """
    longest = max(history.steps for history in histories)
    waiting = {index: _Segment(index, history) for index, history in enumerate(histories)}

    def start(slot: int, rounds: int) -> _Segment | None:
        due = slot in waiting and rounds >= longest - histories[slot].steps
        return waiting.pop(slot) if due else None

    for _ in _play(envs, start, sum(history.steps for history in histories), monitor):
        pass


def _play(
    envs: Envs, start: Callable[[int, int], _Segment | None], total: int, monitor: Monitor
) -> Iterator[Begun | Played]:
    """Play what `start(slot, rounds)` gives to each free environment, until it gives nothing more."""
    slots: list[_Segment | None] = [None] * envs.num_envs
    over = [True] * envs.num_envs
    rounds = played = 0
    while True:
        seeds: dict[int, int | None] = {}
        for slot, segment in enumerate(slots):
            new = start(slot, rounds) if segment is None else None
            if new is not None:
                slots[slot], seeds[slot] = new, new.history.seed
            elif over[slot]:
                seeds[slot] = None if rounds else 0
        begun = [slot for slot in seeds if slots[slot] is not None]
        if not begun and not any(slots):
            return
        yield from _begin(envs, seeds, slots, over)
        if not any(slots):
            continue  # what began had no action: an episode at hand
        actions = [envs.idle if segment is None else segment.next_action(envs.actions) for segment in slots]
        answer = envs.step(actions)
        rounds += 1
        for slot, segment in enumerate(slots):
            terminal, truncated = bool(answer.discount[slot] == 0), bool(answer.truncated[slot])
            over[slot] = terminal or truncated
            if segment is not None:
                lost = answer.life_lost is not None and bool(answer.life_lost[slot])
                taken = segment.take(answer.observation[slot], float(answer.reward[slot]), terminal, truncated, lost)
                played += 1
                yield taken
                segment.check(taken)
                if segment.played:
                    slots[slot] = None
        if rounds % STEPS_BETWEEN_TICKS == 0:
            monitor.tick(played, total)


def _begin(envs: Envs, seeds: dict[int, int | None], slots: list[_Segment | None], over: list[bool]) -> Iterator[Begun]:
    """Reset environments; the segments in them begin their next episodes. One that is at its end leaves its slot."""
    if not seeds:
        return
    mask = np.isin(np.arange(envs.num_envs), list(seeds))
    first = envs.reset(list(seeds.values()), None if mask.all() else mask)
    for slot in seeds:
        over[slot] = False
        segment = slots[slot]
        if segment is not None:
            yield segment.begin(first[slot])
            if segment.played:
                slots[slot] = None


class _Segment:
    """A history that is being played."""

    def __init__(self, index: int, history: History) -> None:
        self.index = index
        self.history = history
        self._episode = -1
        self._position = 0
        self._shown: NDArray[Any] = np.empty(0)

    @property
    def played(self) -> bool:
        """Whether all actions were taken, and the episode at hand has begun."""
        return self._episode == len(self.history.episodes) - 1 and self._position == len(self._actions)

    def begin(self, seen: NDArray[Any]) -> Begun:
        """Start the next episode; PlayedOtherwise if it is said to have ended before its first action."""
        self._episode, self._position, self._shown = self._episode + 1, 0, seen.copy()
        if not len(self._actions) and not self._at_hand:
            raise PlayedOtherwise(self.index, self._episode, "not over after 0 agent steps")
        return Begun(self.index, self._episode, self._shown)

    def next_action(self, actions: int) -> Any:
        """Return the next action; PlayedOtherwise if there are only so many, and it is none of them."""
        action = self._actions[self._position]
        if action.ndim == 0 and action >= actions:
            raise PlayedOtherwise(self.index, self._episode, f"action {action} does not exist")
        return action

    def take(self, seen: NDArray[Any], reward: float, terminal: bool, truncated: bool, life_lost: bool) -> Played:
        """Return what the next action led to."""
        position, shown = self._position, self._shown
        self._position, self._shown = position + 1, seen.copy()
        action = self._actions[position]
        return Played(
            self.index, self._episode, position, action, shown, self._shown, reward, terminal, truncated, life_lost
        )

    def check(self, taken: Played) -> None:
        """Raise PlayedOtherwise unless the episode is over now if and only if it was."""
        length = len(self._actions)
        ended = self._position == length and not self._at_hand
        if (taken.end is not None) == ended:
            return
        if ended:
            problem = f"not over after {length} agent steps"
        else:
            problem = f"over after {self._position} agent steps, not {'at all' if self._at_hand else length}"
        raise PlayedOtherwise(self.index, self._episode, problem)

    @property
    def _at_hand(self) -> bool:
        return self.history.open and self._episode == len(self.history.episodes) - 1

    @property
    def _actions(self) -> NDArray[Any]:
        return self.history.episodes[self._episode]
