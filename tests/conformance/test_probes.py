"""Agents solve probe tasks, whose values are known in closed form, and Catch, through the path of a run.

That path is the suite's own: replay, acting, updates, target copies. DQN runs on every change, the others nightly.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.losses.distributional import expectation, midpoints
from baselines.networks.heads import DistributionNetwork, ImplicitQuantileNetwork, QNetwork
from suite.contracts import registry
from suite.contracts.agent import Agent
from suite.contracts.encoder import FEATURES, Layer
from suite.experience.envs.base import ImmediateEnvs, TimeStep
from suite.experience.observations import Frames
from suite.experience.replay.frames import FrameReplay, HostFrames
from suite.experience.replay.prioritized import Priorities
from suite.learning.learners import LoopLearners
from suite.learning.programs import Programs
from suite.rng import Streams
from suite.running.group import Group
from suite.running.lane import Lane, Rules
from suite.running.part import Part
from suite.tasks import load_task

pytestmark = pytest.mark.slow

GAMMA = 0.8
SCREEN = 2
STEPS = 2500
FAST = {
    "learning_rate": 3e-3,
    "gamma": GAMMA,
    "replay_capacity": 1000,
    "warm_up": 64,
    "update_period": 1,
    "updates_per_period": 1,
    "target_update_period": 50,
    "epsilon_decay": 500,
    "epsilon_train": 0.5,
    "n_step": 1,  # more would mix what exploration did into the values
    "v_max": 2.0,
    "quantiles": 8,
    "online_samples": 8,
    "target_samples": 8,
    "action_samples": 8,
    "embedding_size": 16,
}
BALL_GAME = FAST | {
    "learning_rate": 1e-3,
    "gamma": 0.95,
    "replay_capacity": 5000,
    "warm_up": 200,
    "target_update_period": 100,
    "epsilon_decay": 2000,
    "epsilon_train": 0.05,
}
AGENTS = [
    name if name == "dqn" else pytest.param(name, marks=pytest.mark.nightly)
    for name in sorted(registry.registered("agent"))
    if "atari" in (registry.card("agent", name).families or ("atari",))
]


class TinyEncoder(nn.Module):
    """One hidden layer: probe tasks need no convolutions."""

    units: int = 32

    def setup(self) -> None:
        self.dense = nn.Dense(self.units)

    def __call__(self, observation: jax.Array) -> jax.Array:
        return self.final(self.torso(observation))

    def torso(self, observation: jax.Array) -> jax.Array:
        return observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0

    def final(self, flat: jax.Array) -> jax.Array:
        return nn.relu(self.dense(flat))

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (Layer("dense", "dense", feeds=FEATURES),)


@dataclass
class Probe(ImmediateEnvs):
    """A task by its three rules: first frame value from a coin, reward, and the next frame value or None at the end."""

    begin: Callable[[int], int]
    reward: Callable[[int, int], float]
    follow: Callable[[int], int | None]
    actions: int = 2
    value: int = 0
    num_envs: int = 1
    idle: int = 0
    random: np.random.Generator = field(default_factory=np.random.default_rng)

    def reset(self, seeds: Sequence[int | None], mask: np.ndarray | None = None) -> np.ndarray:
        if seeds[0] is not None:
            self.random = np.random.default_rng(seeds[0])
        self.value = self.begin(int(self.random.integers(2)))
        return self._frame()

    def step(self, actions: Sequence[int] | np.ndarray) -> TimeStep:
        reward, following = self.reward(self.value, int(actions[0])), self.follow(self.value)
        self.value = self.value if following is None else following
        over = np.float32(0 if following is None else 1)
        return TimeStep(self._frame(), np.asarray([reward], np.float32), np.asarray([over]), np.asarray([False]))

    def close(self) -> None:
        pass

    def _frame(self) -> np.ndarray:
        return np.full((1, SCREEN, SCREEN), self.value, np.uint8)


# Frames 0 and 255 in episodes of one step, or 100 and then 200 in episodes of two; the stack shows zeros before.
PROBES = {
    "constant reward": (Probe(lambda coin: 255, lambda s, a: 1.0, lambda s: None), {(255,): [1.0, 1.0]}),
    "reward by observation": (
        Probe(lambda coin: 255 * coin, lambda s, a: 1.0 if s else -1.0, lambda s: None),
        {(0,): [-1.0, -1.0], (255,): [1.0, 1.0]},
    ),
    "reward by action": (Probe(lambda coin: 255, lambda s, a: float(a), lambda s: None), {(255,): [0.0, 1.0]}),
    "reward by both": (
        Probe(lambda coin: 255 * coin, lambda s, a: float(a == (s > 0)), lambda s: None),
        {(0,): [1.0, 0.0], (255,): [0.0, 1.0]},
    ),
    "discounting": (
        Probe(lambda coin: 100, lambda s, a: float(s == 200), lambda s: 200 if s == 100 else None),
        {(100,): [GAMMA, GAMMA], (100, 200): [1.0, 1.0]},
    ),
    "a choice now pays later": (
        Probe(lambda coin: 100, lambda s, a: float(s == 200 and a == 1), lambda s: 200 if s == 100 else None),
        {(100,): [GAMMA, GAMMA], (100, 200): [0.0, 1.0]},
    ),
}


def settings_of(name: str, changes: dict[str, Any]) -> dict[str, Any]:
    """Return an agent's published settings with those changes that it has settings for."""
    published = {key: setting.value for key, setting in registry.card("agent", name).settings.items()}
    return published | {key: value for key, value in changes.items() if key in published}


@dataclass
class Training:
    """One agent on one task; parameters are tried out every 1,000 agent steps, by `solved`, if that is given."""

    name: str
    task: str
    environment: Any
    settings: dict[str, Any]
    screen: int
    units: int

    def run(self, steps: int, solved: Callable[[Agent, Any], bool] = lambda agent, params: False) -> tuple[Agent, Any]:
        """Return the agent and its parameters after `steps` agent steps, or once they are found to solve the task."""
        actions = self.environment.actions
        agent: Agent = registry.load("agent", self.name)(
            self.settings, lambda **initializers: TinyEncoder(self.units), actions
        )
        streams, plan = Streams("probe@1", self.task, 0), agent.plan
        priorities = Priorities(plan.capacity) if plan.replay == "prioritized" else None
        frames = HostFrames(plan.capacity, (self.screen, self.screen))
        inputs, rules = Frames(4, self.screen), load_task("smoke").atari
        lane = Lane(
            plan,
            streams,
            FrameReplay(plan.capacity, 4, frames, priorities),
            Rules(inputs, actions, rules.reseed_steps, rules.reward_clip),
        )
        learners = LoopLearners([Programs(agent, (), inputs, actions)], [streams], 1)
        group = Group(plan, [Part(plan, [lane], learners, self.environment)])
        group.begin()
        while group.step < steps:
            group.advance()
            if group.step % 1000 == 0 and solved(agent, learners.get(0).params):
                break
        assert group.updates == group.step - plan.warm_up
        return agent, learners.get(0).params


def values_of(name: str, settings: dict[str, Any], params: Any, observation: np.ndarray, actions: int) -> Any:
    """Return the values [A] that the network gives; None of an agent whose network or values are others."""
    encoder, kernel_init = TinyEncoder(), nn.initializers.xavier_uniform()
    if name == "dqn":
        return QNetwork(encoder, actions, kernel_init).apply(params, observation)[0]
    if name in {"c51", "rainbow"}:
        support = jnp.linspace(-settings["v_max"], settings["v_max"], settings["atoms"])
        logits = DistributionNetwork(encoder, actions, settings["atoms"], kernel_init).apply(params, observation)
        return expectation(logits, support)[0]
    if name == "qr_dqn":
        network = DistributionNetwork(encoder, actions, settings["quantiles"], kernel_init)
        return network.apply(params, observation)[0].mean(axis=-1)
    if name == "iqn":
        implicit = ImplicitQuantileNetwork(encoder, actions, settings["embedding_size"], kernel_init)
        return implicit.apply(params, observation, midpoints(64)[None])[0].mean(axis=0)
    return None


IMPLIED = ("constant reward", "reward by observation", "reward by action")
"""What an agent that finds the values of the other probes finds too: these say where to look, at night."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.nightly if name in IMPLIED else ()) for name in PROBES]
)
@pytest.mark.parametrize("agent_name", AGENTS)
def test_an_agent_finds_the_values(agent_name: str, name: str) -> None:
    probe, expected = PROBES[name]
    settings = settings_of(agent_name, FAST)
    agent, params = Training(agent_name, name, probe, settings, SCREEN, TinyEncoder.units).run(STEPS)
    legal, choose = np.ones(probe.actions, np.bool_), agent.evaluate or agent.act
    for frames, values in expected.items():
        observation = np.zeros((1, SCREEN, SCREEN, 4), np.uint8)
        for age, value in enumerate(reversed(frames)):
            observation[..., 3 - age] = value
        found = values_of(agent_name, settings, params, observation, probe.actions)
        if found is not None:
            np.testing.assert_allclose(found, values, atol=0.1)
        if values[0] != values[1]:
            assert int(choose(params, observation, legal, jax.random.key(0))[0]) == int(np.argmax(values))


@dataclass
class Catch(ImmediateEnvs):
    """A ball falls from a random column of 10 x 10 pixels; the paddle in the last row moves left, stays or right."""

    size: int = 10
    actions: int = 3
    ball: int = 0
    row: int = 0
    paddle: int = 0
    num_envs: int = 1
    idle: int = 0
    random: np.random.Generator = field(default_factory=np.random.default_rng)

    def reset(self, seeds: Sequence[int | None], mask: np.ndarray | None = None) -> np.ndarray:
        if seeds[0] is not None:
            self.random = np.random.default_rng(seeds[0])
        return self.begin(int(self.random.integers(self.size)))

    def begin(self, ball: int) -> np.ndarray:
        self.ball, self.row, self.paddle = ball, 0, self.size // 2
        return self._frame()

    def step(self, actions: Sequence[int] | np.ndarray) -> TimeStep:
        self.paddle = min(max(self.paddle + int(actions[0]) - 1, 0), self.size - 1)
        self.row += 1
        over = self.row == self.size - 1
        reward = (1.0 if self.paddle == self.ball else -1.0) if over else 0.0
        discount = np.asarray([0.0 if over else 1.0], np.float32)
        return TimeStep(self._frame(), np.asarray([reward], np.float32), discount, np.asarray([False]))

    def close(self) -> None:
        pass

    def _frame(self) -> np.ndarray:
        frame = np.zeros((1, self.size, self.size), np.uint8)
        frame[0, self.row, self.ball] = frame[0, -1, self.paddle] = 255
        return frame


def caught(choose: Callable[[np.ndarray], int]) -> float:
    """Return the share of the ten balls that are caught by choosing actions for stacks uint8 [1, 10, 10, 4]."""
    game, hits = Catch(), 0
    for ball in range(game.size):
        stack = np.zeros((1, game.size, game.size, 4), np.uint8)
        stack[..., -1] = game.begin(ball)
        while game.row < game.size - 1:
            answer = game.step([choose(stack)])
            stack = np.concatenate([stack[..., 1:], answer.observation[..., None]], axis=-1)
        hits += game.paddle == game.ball
    return hits / game.size


@pytest.mark.parametrize("agent_name", AGENTS)
def test_an_agent_learns_to_catch(agent_name: str) -> None:
    random = np.random.default_rng(0)
    assert np.mean([caught(lambda stack: int(random.integers(3))) for _ in range(20)]) < 0.4
    successes = []

    def solved(agent: Agent, params: Any) -> bool:
        choose, legal = jax.jit(agent.evaluate or agent.act), np.ones(Catch.actions, np.bool_)
        successes.append(caught(lambda stack: int(choose(params, stack, legal, jax.random.key(0))[0])))
        return successes[-1] >= 0.8

    steps_back = registry.card("agent", agent_name).settings["n_step"].value
    settings = settings_of(agent_name, BALL_GAME) | {"n_step": steps_back}
    Training(agent_name, "catch", Catch(), settings, Catch.size, 64).run(15_000, solved)
    assert successes[-1] >= 0.8, successes
