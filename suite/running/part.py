"""A part of a group: lanes that act and learn by the same learners, in environments that step together.

It takes a step in two halves, so that two parts of a group can take turns: `send` hands the actions to the emulators,
`receive` takes in what came of them, learns from it, and asks for the next actions without waiting for the device.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.envs.base import Envs
from suite.learning.learners import Chosen, Learners
from suite.running.lane import Actor, FinishedEpisode, Lane


class _Asked(NamedTuple):
    """Actions of one step: those that exploration drew, and the lanes whose agents were asked for theirs."""

    drawn: list[Any]
    greedy: list[int]
    chosen: Chosen | None


class Part:
    """Lanes numbered from 0, with a learner and, where they play, an environment each.

    `active`: lanes that are still heard. `broken`: those whose learner gave a number that is none; they go on beside
    the others until a diagnosis finds them diverged, and nothing of them is kept until then.
    """

    def __init__(self, plan: DataPlan, lanes: Sequence[Lane], learners: Learners, envs: Envs | None = None) -> None:
        self.plan = plan
        self.lanes = tuple(lanes)
        self.learners = learners
        self.envs = envs
        self.active = set(range(len(lanes)))
        self.broken: set[int] = set()
        self._unsettled: set[int] = set()  # lanes whose replay waits for the priorities of their last batch
        self._asked: _Asked | None = None
        self._actions: list[Any] = []

    def begin(self) -> None:
        """Start from the beginning: the first episode of every lane, where they play."""
        if self.envs is not None:
            self._begin_episodes(self.envs, range(len(self.lanes)))

    def send(self, step: int) -> None:
        """Hand the actions of an agent step to the environments; waits for the device where it chooses them."""
        assert self.envs is not None
        if self._asked is None:
            self._ask(self.envs.idle, step)
        self._actions = self._answer()
        self.envs.send(self._actions)

    def receive(self, step: int, updates: range) -> dict[int, FinishedEpisode]:
        """Take in what the step led to, take these updates, and ask for the next step's actions.

        Returns the episodes that ended, by lane.
        """
        assert self.envs is not None
        answer = self.envs.receive()
        rewards, discounts = answer.reward.tolist(), answer.discount.tolist()
        cut = answer.truncated.tolist()
        lost = [False] * len(self.lanes) if answer.life_lost is None else answer.life_lost.tolist()
        ended: dict[int, FinishedEpisode] = {}
        for index in self.active:
            episode = self.lanes[index].observe(
                self._actions[index],
                answer.observation[index],
                rewards[index],
                terminal=discounts[index] == 0,
                truncated=cut[index],
                life_lost=lost[index],
            )
            if episode is not None:
                ended[index] = episode
        self.learn(step, updates)
        over = [index for index, discount in enumerate(discounts) if discount == 0 or cut[index]]
        if over:
            self._begin_episodes(self.envs, over)
        self._ask(self.envs.idle, step + 1)
        return ended

    def learn(self, step: int, updates: range) -> None:
        """Take the updates that are due after a step, and copy parameters to target networks if that is due."""
        if self.plan.replay == "rollout" and updates:
            for index in sorted(self.active):
                self.lanes[index].replay.prepare(partial(self.learners.prepare, index))
        for count in updates:
            self.learners.update(count, {index: partial(self._sample, index, count) for index in sorted(self.active)})
            if self.plan.replay == "prioritized":
                self._unsettled |= self.active
        self._sync(step)

    def learn_several(self, step: int, updates: range) -> None:
        """Take updates in one call, between which nothing happens; `step` is the last one's."""
        data = {index: [self._sample(index, count) for count in updates] for index in sorted(self.active)}
        self.learners.update_several(updates.start, data)
        self._sync(step)

    def settle(self) -> None:
        """Write back the priorities of the last updates, if replay is prioritized; waits for the device."""
        for index in sorted(self._unsettled & self.active):
            self._settle(index)

    def drop(self, lane: int) -> None:
        """Hear no more of a lane: it diverged or failed."""
        self.active.discard(lane)

    def close(self) -> None:
        """Release environments and threads."""
        if self.envs is not None:
            self.envs.close()
        self.learners.close()

    def _sync(self, step: int) -> None:
        period = self.plan.target_update_period
        if period and step > self.plan.warm_up and step % period == 0:
            self.learners.sync()

    def _sample(self, index: int, updates: int) -> Any:
        if index in self._unsettled:
            self._settle(index)
        data = self.lanes[index].sample(updates)
        states = self.learners.states(updates)
        return data._replace(states=self.lanes[index].sample_states(updates, states)) if states else data

    def _settle(self, index: int) -> None:
        self._unsettled.discard(index)
        feedback = self.learners.feedback(index)
        assert feedback is not None
        assert feedback.priorities is not None
        priorities = np.asarray(feedback.priorities, np.float64)
        if np.isfinite(priorities).all():
            self.lanes[index].replay.reprioritize(priorities)
        else:
            self.broken.add(index)

    def _actor(self, index: int) -> Actor:
        actor = self.lanes[index].actor
        assert actor is not None
        return actor

    def _ask(self, idle: Any, step: int) -> None:
        """Draw or ask for every lane's action of a step; that of a lane which is not heard does not matter."""
        epsilon = self.plan.epsilon(step)
        drawn: list[Any] = [idle] * len(self.lanes)
        greedy, observations = [], []
        for index in self.active:
            actor = self._actor(index)
            action = actor.explore(step, epsilon)
            if action is None:
                greedy.append(index)
                observations.append(actor.observation)
            else:
                drawn[index] = action
        self._asked = _Asked(drawn, greedy, self.learners.act(greedy, observations, step) if greedy else None)

    def _answer(self) -> list[Any]:
        """Return what was asked for."""
        asked, self._asked = self._asked, None
        assert asked is not None
        if asked.chosen is not None:
            for index, action in zip(asked.greedy, asked.chosen(), strict=True):
                if not isinstance(action, np.ndarray) or np.isfinite(action).all():
                    asked.drawn[index] = action
                else:
                    self.broken.add(index)
        return asked.drawn

    def _begin_episodes(self, envs: Envs, lanes: Sequence[int] | range) -> None:
        seeds = [self._actor(index).next_seed if index in self.active else None for index in lanes]
        mask: NDArray[np.bool_] = np.zeros(len(self.lanes), np.bool_)
        mask[list(lanes)] = True
        first = envs.reset(seeds, None if mask.all() else mask)
        for index in lanes:
            if index in self.active:
                self._actor(index).begin(first[index])
