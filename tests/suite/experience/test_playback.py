"""Recorded actions played again give what they gave, however many histories are played at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from suite.errors import Stopped
from suite.experience.envs.base import ImmediateEnvs, TimeStep
from suite.experience.playback import Begun, History, Played, PlayedOtherwise, play, play_to
from suite.monitor import Monitor


class Ladders(ImmediateEnvs):
    """Each action climbs as many rungs; an episode ends on rung 10 or above. A reset without a seed counts on."""

    actions = 5
    idle = 0

    def __init__(self, num_envs: int) -> None:
        self.num_envs = num_envs
        self.seeds = np.zeros(num_envs, np.int64)
        self.rungs = np.zeros(num_envs, np.int64)
        self.steps = 0

    def reset(self, seeds: Sequence[int | None], mask: np.ndarray | None = None) -> np.ndarray:
        named = range(self.num_envs) if mask is None else np.flatnonzero(mask).tolist()
        for index, seed in zip(named, seeds, strict=True):
            self.seeds[index] = self.seeds[index] + 1 if seed is None else seed
            self.rungs[index] = 0
        return self.seen()

    def step(self, actions: Any) -> TimeStep:
        self.steps += 1
        self.rungs += np.asarray(actions)
        over = self.rungs >= 10
        reward = np.asarray(actions, np.float32) / 2
        return TimeStep(self.seen(), reward, np.where(over, 0, 1).astype(np.float32), np.zeros(len(over), np.bool_))

    def seen(self) -> np.ndarray:
        return 100 * self.seeds + self.rungs

    def close(self) -> None:
        pass


def episode(*actions: int) -> np.ndarray:
    return np.asarray(actions, np.uint8)


HISTORIES = [
    History(1, [episode(4, 4, 4), episode(3, 3, 3, 3)]),
    History(5, [episode(2, 4, 4)]),
    History(7, [episode(4, 3, 2, 4), episode(1, 1)], open=True),
]


def told(events: Any, history: int) -> list[tuple[Any, ...]]:
    own = [event for event in events if event.history == history]
    return [
        (event.episode, int(event.seen)) if isinstance(event, Begun) else (event.episode, *taken(event))
        for event in own
    ]


def taken(event: Played) -> tuple[Any, ...]:
    return event.position, int(event.shown), int(event.action), event.reward, int(event.seen), event.end


@pytest.mark.parametrize("at_once", [1, 2, 3, 5])
def test_histories_come_out_the_same_however_many_are_played_at_a_time(at_once: int) -> None:
    events = list(play(Ladders(at_once), HISTORIES))
    assert told(events, 1) == [
        (0, 500),
        (0, 0, 500, 2, 1.0, 502, None),
        (0, 1, 502, 4, 2.0, 506, None),
        (0, 2, 506, 4, 2.0, 510, "terminated"),
    ]
    assert told(events, 0)[3:6] == [(0, 2, 108, 4, 2.0, 112, "terminated"), (1, 200), (1, 0, 200, 3, 1.5, 203, None)]
    assert told(events, 2)[-2:] == [(1, 0, 800, 1, 0.5, 801, None), (1, 1, 801, 1, 0.5, 802, None)]
    assert sum(isinstance(event, Played) for event in events) == 3 + 4 + 3 + 4 + 2


def test_environments_arrive_together_where_their_histories_lead() -> None:
    histories = [
        History(1, [episode(4, 4, 4), episode(3, 3)], open=True),
        History(5, [episode(2)], open=True),
        History(7, [episode(4, 3, 2, 4), episode()], open=True),  # the episode at hand has no action yet
        History(9, [episode()], open=True),
    ]
    envs = Ladders(4)
    play_to(envs, histories)
    assert envs.seen().tolist() == [206, 502, 800, 900]
    assert envs.steps == 5


@pytest.mark.parametrize(
    ("history", "number", "problem"),
    [
        (History(1, [episode(4, 4, 4), episode(4, 4, 4, 1)]), 1, "over after 3 agent steps, not 4"),
        (History(1, [episode(4, 4), episode(4, 4, 4)]), 0, "not over after 2 agent steps"),
        (History(1, [episode(4, 4, 4), episode(4, 4, 4)], open=True), 1, "over after 3 agent steps, not at all"),
        (History(1, [episode(4, 9, 4)]), 0, "action 9 does not exist"),
        (History(1, [episode(4, 4, 4), episode()]), 1, "not over after 0 agent steps"),
    ],
)
def test_an_episode_that_ends_elsewhere_is_found(history: History, number: int, problem: str) -> None:
    with pytest.raises(PlayedOtherwise, match=f"^{problem}$") as found:
        list(play(Ladders(2), [HISTORIES[1], history]))
    assert (found.value.history, found.value.episode) == (1, number)


def test_a_monitor_hears_how_far_it_is_and_stops_it() -> None:
    class Stopping(Monitor):
        heard: tuple[int, int] = (0, 0)

        def tick(self, done: int = 0, total: int = 0) -> None:
            self.heard = done, total
            raise Stopped

    monitor, long = Stopping(), History(0, [episode(*[0] * 100, 4, 4, 4)])
    with pytest.raises(Stopped):
        list(play(Ladders(1), [long], monitor))
    assert monitor.heard == (64, 103)
