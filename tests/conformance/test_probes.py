"""Agents solve probe tasks, whose values are known in closed form, through the replay, act and update path of a run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.networks.heads import QNetwork
from suite import plugins
from suite.envs.base import TimeStep
from suite.envs.several import SeveralEnvs
from suite.group import Group
from suite.lane import Lane
from suite.learners import LoopLearners
from suite.programs import Programs
from suite.replay.frames import FrameReplay
from suite.rng import Streams
from suite.tasks import load_task

GAMMA = 0.8
SCREEN = 2
STEPS = 2500
FAST = {
    "learning_rate": 3e-3,
    "gamma": GAMMA,
    "replay_capacity": 1000,
    "warm_up": 64,
    "update_period": 1,
    "target_update_period": 50,
    "epsilon_decay": 500,
    "epsilon_train": 0.5,
}


class TinyEncoder(nn.Module):
    """One hidden layer: probe tasks need no convolutions."""

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0
        return nn.relu(nn.Dense(32, name="dense")(x))


@dataclass
class Probe:
    """A task by its three rules: first frame value from a coin, reward, and the next frame value or None at the end."""

    begin: Callable[[int], int]
    reward: Callable[[int, int], float]
    follow: Callable[[int], int | None]
    actions: int = 2
    value: int = 0
    action: int = 0
    random: np.random.Generator = field(default_factory=np.random.default_rng)

    def reset(self, seeds: Sequence[int | None], mask: np.ndarray | None = None) -> np.ndarray:
        if seeds[0] is not None:
            self.random = np.random.default_rng(seeds[0])
        self.value = self.begin(int(self.random.integers(2)))
        return self._frame()

    def send(self, actions: np.ndarray) -> None:
        self.action = int(actions[0])

    def receive(self) -> TimeStep:
        reward, following = self.reward(self.value, self.action), self.follow(self.value)
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


@pytest.mark.parametrize("name", PROBES)
def test_dqn_finds_the_values(name: str) -> None:
    probe, expected = PROBES[name]
    settings = {key: setting.value for key, setting in plugins.card("agent", "dqn").settings.items()} | FAST
    agent = plugins.load("agent", "dqn")(settings, lambda **initializers: TinyEncoder(), probe.actions)
    streams, plan = Streams("probe@1", name, 0), agent.plan
    replay = FrameReplay.on_host(plan.capacity, (SCREEN, SCREEN), 4)
    environment = load_task("smoke").environment.model_copy(update={"screen_size": SCREEN})
    lane = Lane(plan, streams, replay, environment, probe.actions)
    learners = LoopLearners([Programs(agent, (), 4, SCREEN, probe.actions)], [streams], 1)
    group = Group(plan, [lane], learners, SeveralEnvs([name], lambda kind, count: probe))
    group.begin()
    while group.step < STEPS:
        group.advance()
    params, legal = learners.get(0).params, np.ones(probe.actions, np.bool_)
    network = QNetwork(TinyEncoder(), probe.actions, nn.initializers.xavier_uniform())
    for frames, values in expected.items():
        observation = np.zeros((1, SCREEN, SCREEN, 4), np.uint8)
        for age, value in enumerate(reversed(frames)):
            observation[..., 3 - age] = value
        found = np.asarray(network.apply(params, observation))[0]
        np.testing.assert_allclose(found, values, atol=0.1)
        if values[0] != values[1]:
            assert int(agent.act(params, observation, legal, jax.random.key(0))[0]) == int(np.argmax(values))
    assert group.updates == STEPS - FAST["warm_up"]
