"""The agent contract: pure functions over a learner, and a plan of the data they eat.

An agent never knows a method: it is handed `apply_gradients`, which holds the optimizer and whatever the methods do
around it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import jax

from suite.contracts.card import Value
from suite.contracts.encoder import Layer, MakeEncoder
from suite.contracts.goals import Goal

Params = Any
"""A pytree of arrays, as flax names it."""


class Batch(NamedTuple):
    """Transitions, n-step returns already summed; leading axis B.

    `s_tm1`, `s_t`: uint8 [B, height, width, stack], oldest frame first. `a_tm1`: int32 [B]. `r_t`: float32 [B], the
    discounted sum of clipped rewards. `discount_t`: float32 [B], gamma**n, or 0 if the episode terminated within.
    `weight`: float32 [B], the importance weight of prioritized sampling, 1 if sampling is uniform. `legal`: bool [A],
    false for actions that the game lacks, where one program serves games of several action counts.

    Where observations are arrays, `s_tm1` and `s_t` are [B, ...], of their type.

    In continuous control `s_tm1`, `s_t` are float32 [B, D], `a_tm1` is float32 [B, A] in [-1, 1] and rewards are raw.
    `extra` is what an on-policy agent's `prepare` computed, by name, each [B, ...].
    """

    s_tm1: jax.Array
    a_tm1: jax.Array
    r_t: jax.Array
    discount_t: jax.Array
    s_t: jax.Array
    weight: jax.Array
    legal: jax.Array
    extra: Any = ()


class Learner(NamedTuple):
    """All that training changes. `methods` holds each method's state under its id, outside the optimizer's.

    `statistics`: what an agent keeps beside its parameters and no gradient changes, such as running means.
    """

    params: Params
    target_params: Params
    opt_state: Any
    methods: dict[str, Any]
    statistics: Any = ()


class Trajectory(NamedTuple):
    """T consecutive steps of one environment, oldest first: what an on-policy agent learns from, once.

    `s_tm1`, `s_t`: float32 [T, D]; `s_t` is an episode's last observation where it ended. `a_tm1`: float32 [T, A], as
    the agent chose it, before the environment clips it to [-1, 1]. `r_t`: float32 [T], raw. `discount_t`: float32 [T],
    gamma, or 0 if the episode terminated. `ended`: bool [T], whether the episode terminated or was truncated there.
    """

    s_tm1: jax.Array
    a_tm1: jax.Array
    r_t: jax.Array
    discount_t: jax.Array
    s_t: jax.Array
    ended: jax.Array


class Feedback(NamedTuple):
    """What an update reports: named scalars, left on the device until somebody asks.

    `priorities`: float32 [B], the sampled transitions' new priorities, if the plan's replay is prioritized.
    """

    metrics: dict[str, jax.Array]
    priorities: jax.Array | None = None


class ApplyGradients(Protocol):
    """One optimizer step on all parameters, with everything that the methods do around it."""

    def __call__(self, learner: Learner, gradients: Params) -> Learner:
        """Return the learner after the step; the gradients are at the learner's current parameters."""
        ...


@dataclass(frozen=True, slots=True)
class DataPlan:
    """What data an agent eats, and when. Periods are agent steps; `capacity` and `batch_size` are transitions.

    `importance_exponent`: of prioritized sampling's weights; Dopamine's is 0.5, without annealing. `noisy`: the agent
    explores by itself (noisy layers), so that epsilon is 0 throughout, during warm-up too. In continuous control the
    actions of the warm-up are uniform. `target_update_period` 0: no copies, the agent's `update` moves its target
    network itself. `replay` is `rollout` for on-policy agents: every `update_period` steps, which is the length of a
    trajectory, come `updates_per_period` updates from it, in passes over its rows in random order.
    `constant_epsilon`: epsilon is `epsilon_train` from the first step on.
    """

    capacity: int
    batch_size: int
    n_step: int
    gamma: float
    warm_up: int
    update_period: int
    updates_per_period: int
    target_update_period: int
    epsilon_train: float
    epsilon_decay: int
    replay: Literal["uniform", "prioritized", "rollout"] = "uniform"
    importance_exponent: float = 0.5
    noisy: bool = False
    constant_epsilon: bool = False

    @property
    def trajectory(self) -> int:
        """Agent steps between the ends of trajectories: an on-policy agent's setting `trajectory_length`, or 1."""
        return self.update_period if self.replay == "rollout" else 1

    def updates_by(self, step: int) -> int:
        """Return the number of gradient steps done once agent step `step` is complete."""
        due = step // self.update_period - self.warm_up // self.update_period
        return max(0, due) * self.updates_per_period

    def nominal_updates(self, steps: int) -> int:
        """Return agent steps times the replay ratio, warm-up not deducted: the clock of schedules."""
        return steps * self.updates_per_period // self.update_period

    def epsilon(self, step: int) -> float:
        """Return the exploration rate at agent step `step`: 1 during warm-up, then linear to `epsilon_train`."""
        if self.noisy:
            return 0.0
        if self.constant_epsilon:
            return self.epsilon_train
        left = (self.epsilon_decay + self.warm_up - step) / self.epsilon_decay
        return self.epsilon_train + (1.0 - self.epsilon_train) * min(1.0, max(0.0, left))


class Agent(NamedTuple):
    """An agent's functions and its plan, for one number of actions.

    `init(key, observation)`: parameters for a uint8 observation [1, height, width, stack].
    `act(params, observation, legal, key)`: int32 [B], greedy legal actions for uint8 observations [B, height, width,
    stack]; `legal` is bool [A], the key is another one at every step.
    `update(learner, batch, key, apply_gradients)`: the learner after one gradient step, and its feedback.
    `optimizer`: the published optimizer, which the suite wraps.
    `activations(params, observation)`: what units put out, after their non-linearity, for uint8 [B, height, width,
    stack]: float32 [B, ..., units] by layer, of the layers that have a non-linearity of their own.
    `layers`: every layer of the agent's network, with its role and what it feeds; see `Layer`.
    `evaluate`: as `act`, without exploration of the agent's own; None if there is none in `act`.

    In continuous control observations are float32 [B, D] and actions float32 [B, A]; `legal` is of no use there.
    `statistics(observation)`: what `Learner.statistics` starts from, for an observation float32 [1, D].
    `acting(learner)`: what `act` and `evaluate` get as `params`; None: the learner's parameters.
    `prepare(learner, trajectory)`: for on-policy agents; the learner with its statistics brought up to date, and the
    batch of all T rows from which the updates' rows are taken.
    `values(params, observation)`: for diagnostics, what the agent thinks the actions are worth, without noise: float32
    [B, A] for observations [B, ...] as `activations` takes them; where actions have no numbers [B, K], the estimates of
    K networks for what the policy does. None: nothing that depends on it is recorded.
    `goals`: numbers that its schedules are to reach; what a run does not reach of them is said and recorded.
    `step_size(count)`: the optimizer's step size after `count` of its own steps; None: the setting `learning_rate`.

    Parameters that depend on the number of actions have them on their last axis, action-major: that is where one
    program for several games pads them with zeros. What is padded never receives a gradient if illegal actions are
    left out of every maximum and every sum over actions.
    """

    init: Callable[[jax.Array, jax.Array], Params]
    act: Callable[[Params, jax.Array, jax.Array, jax.Array], jax.Array]
    update: Callable[[Learner, Batch, jax.Array, ApplyGradients], tuple[Learner, Feedback]]
    optimizer: Any
    plan: DataPlan
    activations: Callable[[Params, jax.Array], dict[str, jax.Array]]
    layers: tuple[Layer, ...]
    evaluate: Callable[[Params, jax.Array, jax.Array, jax.Array], jax.Array] | None = None
    statistics: Callable[[jax.Array], Any] | None = None
    acting: Callable[[Learner], Any] | None = None
    prepare: Callable[[Learner, Trajectory], tuple[Learner, Batch]] | None = None
    goals: tuple[Goal, ...] = ()
    values: Callable[[Params, jax.Array], jax.Array] | None = None
    step_size: Callable[[jax.Array], jax.Array] | None = None


class MakeAgent(Protocol):
    """What the registry makes of an entry point in the group `suite.agents`."""

    def __call__(self, values: Mapping[str, Value], network: MakeEncoder, actions: int) -> Agent:
        """Build the agent for `actions` discrete actions, or action dimensions, from its card's resolved settings."""
        ...
