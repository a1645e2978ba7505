"""A group: lanes of one configuration in lockstep, each by the published single-environment protocol.

One step of all lanes: online, an action each (one call for those that act by their networks) and the environments'
steps in parallel; then the updates due, from each lane's own data. Offline a step is an update, and there is nothing
else. A lane that is dropped stays in the arrays and is heard no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Batch, DataPlan, Trajectory
from suite.experience.envs.base import Envs
from suite.learning.learners import Learners
from suite.rng import Streams
from suite.running.lane import FinishedEpisode


class AnyLane(Protocol):
    """The host's side of one cell: `step` counts its steps, `chain` is the hash of its finished episodes."""

    step: int
    episodes: int
    chain: bytes
    streams: Streams

    @property
    def segments(self) -> int:
        """Finished segments, see `suite.running.lane`."""
        ...

    def saved(self) -> tuple[dict[str, NDArray[Any]], tuple[tuple[int, ...], ...]]:
        """Return what a checkpoint must hold of the lane: arrays, and the lengths of episodes, by segment."""
        ...

    def sample(self, updates: int) -> Any:
        """Return the data for the update that `updates` others went before."""
        ...

    def sample_states(self, updates: int, count: int) -> Any:
        """Return further observations for that update."""
        ...


class PrioritizedLane(Protocol):
    """A lane whose replay draws by priority."""

    def reprioritize(self, priorities: NDArray[np.float64]) -> None:
        """Set the priorities of the transitions that were sampled last."""
        ...


class OnPolicyLane(Protocol):
    """A lane that learns from each trajectory once."""

    def trajectory(self) -> Trajectory:
        """Return the newest steps."""
        ...

    def prepare(self, rows: Batch) -> None:
        """Set the rows of the next updates."""
        ...


class ActingLane(AnyLane, Protocol):
    """A lane with an environment: see `suite.running.lane`."""

    observation: NDArray[Any]

    @property
    def next_seed(self) -> int | None:
        """What the episode at hand starts from."""
        ...

    def explore(self, step: int, epsilon: float) -> Any:
        """Return the random action of a step, or None where the agent chooses."""
        ...

    def observe(
        self,
        action: Any,
        seen: NDArray[Any],
        reward: float,
        *,
        terminal: bool,
        truncated: bool,
        life_lost: bool = False,
    ) -> FinishedEpisode | None:
        """Take in what an action led to; return the episode that it ended, if it did."""
        ...

    def begin(self, first: NDArray[Any]) -> None:
        """Start the next episode."""
        ...


class Training(Protocol):
    """What a session advances: lanes at the same step `step`, after the same number of gradient steps `updates`."""

    plan: DataPlan
    learners: Learners
    step: int
    updates: int

    @property
    def lanes(self) -> Sequence[AnyLane]:
        """The lanes, by number."""
        ...

    def advance(self, most: int = 1) -> Mapping[int, FinishedEpisode]:
        """Take a step in every lane, or up to `most` where several come cheaper; return the episodes that ended."""
        ...

    def metrics(self, lane: int) -> dict[str, float]:
        """Return what a lane's last update reported; waits for the device."""
        ...

    def restore_metrics(self, lane: int, metrics: Mapping[str, float]) -> None:
        """Set what a lane's last update before a checkpoint reported."""
        ...

    def state_values(self) -> dict[str, float]:
        """Return further figures worth a diagnosis."""
        ...

    def drop(self, lane: int) -> None:
        """Hear no more of a lane: it diverged or failed."""
        ...

    def settle(self) -> None:
        """Finish what the last update left open; waits for the device."""
        ...

    def close(self) -> None:
        """Release environments and threads."""
        ...


class _Lockstep:
    """What groups share: learning. See `Training`."""

    def __init__(self, plan: DataPlan, lanes: Sequence[AnyLane], learners: Learners) -> None:
        self.plan = plan
        self.learners = learners
        self.step = lanes[0].step
        self.updates = plan.updates_by(self.step)
        self.active = set(range(len(lanes)))
        self._lanes = tuple(lanes)
        self._unsettled = False
        self._restored: dict[int, dict[str, float]] = {}

    @property
    def lanes(self) -> Sequence[AnyLane]:
        """The lanes, by number."""
        return self._lanes

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
        """Stop threads."""
        self.learners.close()

    def _learn(self) -> None:
        if self.step <= self.plan.warm_up:
            return
        due = self.plan.updates_by(self.step)
        if self.plan.replay == "rollout" and self.updates < due:
            for index in sorted(self.active):
                lane = cast(OnPolicyLane, self._lanes[index])
                lane.prepare(self.learners.prepare(index, lane.trajectory()))
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
        data = self._lanes[index].sample(updates)
        states = self.learners.states(updates)
        return data._replace(states=self._lanes[index].sample_states(updates, states)) if states else data

    def _settle(self, index: int) -> None:
        feedback = self.learners.feedback(index)
        assert feedback is not None
        assert feedback.priorities is not None
        lane = cast(PrioritizedLane, self._lanes[index])
        lane.reprioritize(np.asarray(feedback.priorities, np.float64))


class Group(_Lockstep):
    """Lanes with environments."""

    def __init__(self, plan: DataPlan, lanes: Sequence[ActingLane], learners: Learners, envs: Envs) -> None:
        super().__init__(plan, lanes, learners)
        self._acting = tuple(lanes)
        self._envs = envs

    def begin(self) -> None:
        """Start the first episode of every lane."""
        self._begin_episodes(range(len(self._acting)))

    def advance(self, most: int = 1) -> dict[int, FinishedEpisode]:
        """Take one agent step in every lane, with the updates due after it; return the episodes that it ended."""
        self.step += 1
        actions = self._actions()
        answer = self._envs.step(actions)
        rewards, discounts = answer.reward.tolist(), answer.discount.tolist()
        cut = answer.truncated.tolist()
        lost = [False] * len(self._acting) if answer.life_lost is None else answer.life_lost.tolist()
        ended: dict[int, FinishedEpisode] = {}
        for index in self.active:
            episode = self._acting[index].observe(
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

    def state_values(self) -> dict[str, float]:
        """See `Training`: the exploration rate of the last agent step, where there is one."""
        return {} if self.plan.noisy else {"epsilon": self.epsilon}

    def close(self) -> None:
        """Stop environments and threads."""
        self._envs.close()
        super().close()

    def _actions(self) -> list[Any]:
        epsilon = self.epsilon
        actions: list[Any] = [self._envs.idle] * len(self._acting)
        greedy = []
        for index in self.active:
            action = self._acting[index].explore(self.step, epsilon)
            if action is None:
                greedy.append(index)
            else:
                actions[index] = action
        if greedy:
            chosen = self.learners.act(greedy, [self._acting[index].observation for index in greedy], self.step)
            for index, action in zip(greedy, chosen, strict=True):
                actions[index] = action
        return actions

    def _begin_episodes(self, lanes: Sequence[int] | range) -> None:
        seeds = [self._acting[index].next_seed if index in self.active else None for index in lanes]
        mask = np.isin(np.arange(len(self._acting)), lanes)
        first = self._envs.reset(seeds, None if mask.all() else mask)
        for index in lanes:
            if index in self.active:
                self._acting[index].begin(first[index])


class OfflineGroup(_Lockstep):
    """Lanes that learn from logged data: a step is an update."""

    def advance(self, most: int = 1) -> dict[int, FinishedEpisode]:
        """See `Training`."""
        count = self.learners.together
        if 1 < count <= most and self._can_take(count):
            data = {
                index: [self._sample(index, self.updates + offset) for offset in range(count)]
                for index in sorted(self.active)
            }
            self.learners.update_several(self.updates, data)
            self.step += count
            self.updates += count
            self._sync()
            return {}
        self.step += 1
        self._learn()
        return {}

    def _can_take(self, count: int) -> bool:
        """Return whether nothing happens between so many updates: each step has one, no copy, and no method is due."""
        after, period = self.step + count, self.plan.target_update_period
        one_each = self.updates == self.step and self.plan.updates_by(after) == after
        copies_between = period and (after - 1) // period > self.step // period
        return one_each and not copies_between and self.learners.is_calm(self.updates, count)

    def state_values(self) -> dict[str, float]:
        """See `Training`."""
        return {}
