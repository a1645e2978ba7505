"""A group: lanes of one configuration in lockstep, each by the published single-environment protocol.

One agent step of all lanes: an action each (one call for those that act greedily), the emulators' steps in parallel,
and every `update_period` steps the updates due, from each lane's own replay. A lane that is dropped stays in the
arrays and is heard no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from suite.agent import DataPlan
from suite.envs.several import SeveralEnvs
from suite.lane import FinishedEpisode, Lane
from suite.learners import Learners
from suite.replay.frames import Windows


class Group:
    """Lanes at the same agent step `step`, after the same number of gradient steps `updates`."""

    def __init__(self, plan: DataPlan, lanes: Sequence[Lane], learners: Learners, envs: SeveralEnvs) -> None:
        self.plan = plan
        self.lanes = tuple(lanes)
        self.learners = learners
        self.step = lanes[0].step
        self.updates = plan.updates_by(self.step)
        self.active = set(range(len(lanes)))
        self._envs = envs
        self._unsettled = False
        self._restored: dict[int, dict[str, float]] = {}

    def begin(self) -> None:
        """Start the first episode of every lane."""
        self._begin_episodes(range(len(self.lanes)))

    def advance(self) -> dict[int, FinishedEpisode]:
        """Take one agent step in every lane, with the updates due after it; return the episodes that it ended."""
        self.step += 1
        actions = self._actions()
        answer = self._envs.step(np.asarray(actions, np.int64))
        rewards, discounts = answer.reward.tolist(), answer.discount.tolist()
        cut = answer.truncated.tolist()
        lost = [False] * len(self.lanes) if answer.life_lost is None else answer.life_lost.tolist()
        ended: dict[int, FinishedEpisode] = {}
        for index in self.active:
            episode = self.lanes[index].observe(
                actions[index],
                answer.observation[index],
                rewards[index],
                terminal=discounts[index] == 0,
                truncated=cut[index],
                life_lost=lost[index],
            )
            if episode is not None:
                ended[index] = episode
        self._learn()
        over = [index for index, discount in enumerate(discounts) if discount == 0 or cut[index]]
        if over:
            self._begin_episodes(over)
        return ended

    @property
    def epsilon(self) -> float:
        """The exploration rate of the last agent step."""
        return self.plan.epsilon(self.step)

    def drop(self, lane: int) -> None:
        """Hear no more of a lane: it diverged or failed."""
        self.active.discard(lane)

    def metrics(self, lane: int) -> dict[str, float]:
        """Return what a lane's last update reported; waits for the device."""
        feedback = self.learners.feedback(lane)
        if feedback is None:
            return dict(self._restored.get(lane, {}))
        return {name: float(value) for name, value in feedback.metrics.items()}

    def restore_metrics(self, lane: int, metrics: Mapping[str, float]) -> None:
        """Set what a lane's last update before a checkpoint reported."""
        self._restored[lane] = dict(metrics)

    def settle(self) -> None:
        """Write back the priorities of the last updates, if replay is prioritized; waits for the device."""
        if self._unsettled:
            for index in self.active:
                self._settle(index)
            self._unsettled = False

    def close(self) -> None:
        """Stop emulators and threads."""
        self._envs.close()
        self.learners.close()

    def _actions(self) -> list[int]:
        epsilon = self.epsilon
        actions, greedy = [0] * len(self.lanes), []
        for index in self.active:
            action = self.lanes[index].explore(self.step, epsilon)
            if action is None:
                greedy.append(index)
            else:
                actions[index] = action
        if greedy:
            chosen = self.learners.act(greedy, [self.lanes[index].stack for index in greedy], self.step)
            for index, action in zip(greedy, chosen, strict=True):
                actions[index] = action
        return actions

    def _learn(self) -> None:
        if self.step <= self.plan.warm_up:
            return
        while self.updates < self.plan.updates_by(self.step):
            samplers = {index: partial(self._sample, index, self.updates) for index in sorted(self.active)}
            self.learners.update(self.updates, samplers)
            self.updates += 1
            self._unsettled = self.plan.replay == "prioritized"
        if self.step % self.plan.target_update_period == 0:
            self.learners.sync()

    def _sample(self, index: int, updates: int) -> Windows:
        if self._unsettled:
            self._settle(index)
        windows = self.lanes[index].sample(updates)
        states = self.learners.states(updates)
        return windows._replace(states=self.lanes[index].sample_states(updates, states)) if states else windows

    def _settle(self, index: int) -> None:
        feedback = self.learners.feedback(index)
        assert feedback is not None
        assert feedback.priorities is not None
        self.lanes[index].replay.reprioritize(np.asarray(feedback.priorities, np.float64))

    def _begin_episodes(self, lanes: Sequence[int] | range) -> None:
        first = self._envs.reset(
            {index: self.lanes[index].next_seed if index in self.active else None for index in lanes}
        )
        for index in lanes:
            if index in self.active:
                self.lanes[index].begin(first[index])
