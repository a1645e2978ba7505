"""A group: lanes of one configuration in lockstep, each by the published single-environment protocol.

One step of all lanes: with environments, an action each (one call for those that act by their networks) and the
environments' steps in parallel; then the updates due, from each lane's own data. Without environments a step is an
update, and there is nothing else. A lane that is dropped stays in the arrays and is heard no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.envs.base import Envs
from suite.learning.inspection import Subject
from suite.learning.learners import Learners
from suite.learning.programs import Programs
from suite.running.lane import FinishedEpisode, Lane


class Group:
    """Lanes at the same step `step`, after the same number of gradient steps `updates`.

    `envs`: an environment for each lane; None where they learn from logged data. `broken`: lanes whose learner gave a
    number that is none. They go on beside the others until a diagnosis finds them diverged, and nothing of them is kept
    until then. `seen`: by lane, what inspections must know of those before.
    """

    def __init__(self, plan: DataPlan, lanes: Sequence[Lane], learners: Learners, envs: Envs | None = None) -> None:
        self.plan = plan
        self.lanes: Sequence[Lane] = tuple(lanes)
        self.learners = learners
        self.envs = envs
        self.step = 0
        self.updates = 0
        self.active = set(range(len(lanes)))
        self.broken: set[int] = set()
        self.seen: list[dict[str, NDArray[Any]]] = [{} for _ in self.lanes]
        self._actors = [lane.actor for lane in lanes if lane.actor is not None]  # none, or one for each lane
        self._unsettled = False
        self._restored: dict[int, dict[str, float]] = {}

    def reach(self, step: int) -> None:
        """Go on from a step that the lanes have been brought to."""
        self.step = step
        self.updates = self.plan.updates_by(step)

    def begin(self) -> None:
        """Start from the beginning: the first episode of every lane, where they play."""
        if self.envs is not None:
            self._begin_episodes(self.envs, range(len(self.lanes)))

    def advance(self, most: int = 1) -> dict[int, FinishedEpisode]:
        """Take a step in every lane, or up to `most` where several come cheaper; return the episodes that ended."""
        if self.envs is None:
            self._take_updates(most)
            return {}
        self.step += 1
        actions = self._actions(self.envs.idle)
        answer = self.envs.step(actions)
        rewards, discounts = answer.reward.tolist(), answer.discount.tolist()
        cut = answer.truncated.tolist()
        lost = [False] * len(actions) if answer.life_lost is None else answer.life_lost.tolist()
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
            self._begin_episodes(self.envs, over)
        return ended

    def state_values(self) -> dict[str, float]:
        """Return the exploration rate of the last agent step, where there is one."""
        return {} if self.envs is None or self.plan.noisy else {"epsilon": self.plan.epsilon(self.step)}

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

    def subject(self, lane: int, programs: Programs) -> Subject:
        """Return a lane's learner to be inspected, by programs of its own."""
        own = self.lanes[lane]
        draw = partial(own.inspected, self.updates)
        return Subject(programs, self.learners.get(lane), own.streams, self.updates, draw, self.seen[lane])

    def settle(self) -> None:
        """Write back the priorities of the last updates, if replay is prioritized; waits for the device."""
        if self._unsettled:
            for index in self.active:
                self._settle(index)
            self._unsettled = False

    def close(self) -> None:
        """Release environments and threads."""
        if self.envs is not None:
            self.envs.close()
        self.learners.close()

    def _learn(self) -> None:
        if self.step <= self.plan.warm_up:
            return
        due = self.plan.updates_by(self.step)
        if self.plan.replay == "rollout" and self.updates < due:
            for index in sorted(self.active):
                self.lanes[index].replay.prepare(partial(self.learners.prepare, index))
        while self.updates < due:
            samplers = {index: partial(self._sample, index, self.updates) for index in sorted(self.active)}
            self.learners.update(self.updates, samplers)
            self.updates += 1
            self._unsettled = self.plan.replay == "prioritized"
        self._sync()

    def _sync(self) -> None:
        if self.plan.target_update_period and self.step % self.plan.target_update_period == 0:
            self.learners.sync()

    def _sample(self, index: int, updates: int) -> Any:
        if self._unsettled:
            self._settle(index)
        data = self.lanes[index].sample(updates)
        states = self.learners.states(updates)
        return data._replace(states=self.lanes[index].sample_states(updates, states)) if states else data

    def _settle(self, index: int) -> None:
        feedback = self.learners.feedback(index)
        assert feedback is not None
        assert feedback.priorities is not None
        priorities = np.asarray(feedback.priorities, np.float64)
        if np.isfinite(priorities).all():
            self.lanes[index].replay.reprioritize(priorities)
        else:
            self.broken.add(index)

    def _actions(self, idle: Any) -> list[Any]:
        """Return an action for every lane; that of a lane which is not heard does not matter."""
        epsilon = self.plan.epsilon(self.step)
        actions: list[Any] = [idle] * len(self._actors)
        greedy = []
        for index in self.active:
            action = self._actors[index].explore(self.step, epsilon)
            if action is None:
                greedy.append(index)
            else:
                actions[index] = action
        if greedy:
            chosen = self.learners.act(greedy, [self._actors[index].observation for index in greedy], self.step)
            for index, action in zip(greedy, chosen, strict=True):
                if not isinstance(action, np.ndarray) or np.isfinite(action).all():
                    actions[index] = action
                else:
                    self.broken.add(index)
        return actions

    def _begin_episodes(self, envs: Envs, lanes: Sequence[int] | range) -> None:
        seeds = [self._actors[index].next_seed if index in self.active else None for index in lanes]
        mask = np.zeros(len(self._actors), np.bool_)
        mask[list(lanes)] = True
        first = envs.reset(seeds, None if mask.all() else mask)
        for index in lanes:
            if index in self.active:
                self._actors[index].begin(first[index])

    def _take_updates(self, most: int) -> None:
        """Take an update in every lane, or several in one call where nothing happens between them."""
        count = self.learners.together
        if not (1 < count <= most and self._can_take(count)):
            self.step += 1
            self._learn()
            return
        data = {
            index: [self._sample(index, self.updates + offset) for offset in range(count)]
            for index in sorted(self.active)
        }
        self.learners.update_several(self.updates, data)
        self.step += count
        self.updates += count
        self._sync()

    def _can_take(self, count: int) -> bool:
        """Return whether nothing happens between so many updates: each step has one, no copy, and no method is due."""
        after, period = self.step + count, self.plan.target_update_period
        one_each = self.updates == self.step and self.plan.updates_by(after) == after
        copies_between = period and (after - 1) // period > self.step // period
        return one_each and not copies_between and self.learners.is_calm(self.updates, count)
