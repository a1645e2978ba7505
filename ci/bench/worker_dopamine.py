"""Dopamine's side: JaxDQNAgent and AtariPreprocessing, driven as its own runner does, without logs and checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import gin
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from dopamine.discrete_domains import atari_lib
from dopamine.jax import networks
from dopamine.jax.agents.dqn import dqn_agent
from dopamine.jax.replay_memory import accumulator, elements, replay_buffer, samplers
from dopamine.labs.environments.minatar.minatar_env import MinatarDQNNetwork
from flax import linen as nn
from minatar import Environment
from serve import Round, Sample, serve, timed

LABEL = "dopamine"
PREFILL = 5000
CAPACITY = PREFILL  # full, so that every step overwrites the oldest transition, as in nine tenths of a real run
BATCH = 32
RECORDED = 10_000


class NullNetwork(nn.Module):
    """Every sixth pixel of the newest frame, 196 numbers, and a linear layer: what is left is the host's loop."""

    num_actions: int
    inputs_preprocessed: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> atari_lib.DQNNetworkType:
        """Map a state [84, 84, 4] to the values of the actions."""
        pixels = networks.preprocess_atari_inputs(x[::6, ::6, -1])
        return atari_lib.DQNNetworkType(nn.Dense(self.num_actions)(pixels.reshape(-1)))


NETWORKS = {"null": NullNetwork, "nature": networks.NatureDQNNetwork, "impala": networks.ImpalaDQNNetwork}


class Loop:
    """An agent in its environment, between any two steps of an episode."""

    def __init__(self, network: str, game: str) -> None:
        gin.bind_parameter("ReplayBuffer.max_capacity", CAPACITY)
        gin.bind_parameter("ReplayBuffer.batch_size", BATCH)
        self.environment = atari_lib.create_atari_environment(game_name=game, sticky_actions=True)
        self.agent = dqn_agent.JaxDQNAgent(
            num_actions=self.environment.action_space.n,
            network=NETWORKS[network],
            min_replay_history=PREFILL,
            update_period=4,
            target_update_period=8000,
            epsilon_train=0.01,
            epsilon_decay_period=1,  # random actions until the replay is prefilled
            seed=0,
        )
        self.action = self.agent.begin_episode(self.environment.reset())

    def steps(self, count: int) -> None:
        """Take agent steps; the body is that of Dopamine's `Runner`."""
        for _ in range(count):
            observation, reward, terminal, _ = self.environment.step(self.action)
            reward = np.clip(reward, -1, 1)
            if self.environment.game_over:
                self.agent.end_episode(reward, terminal)
                self.action = self.agent.begin_episode(self.environment.reset())
            else:
                self.action = self.agent.step(reward, observation)


Shown = tuple[np.ndarray, float, bool, bool]
"""What is seen after an action, the reward, and whether the episode terminated or was cut off."""


class SmallLoop(Loop):
    """An agent in a small environment, of which `first` begins an episode and `play` takes an action."""

    def __init__(
        self, first: Callable[[], np.ndarray], play: Callable[[int], Shown], actions: int, **settings: Any
    ) -> None:
        self.first, self.play = first, play
        example = first()
        gin.bind_parameter("ReplayBuffer.max_capacity", CAPACITY)
        gin.bind_parameter("ReplayBuffer.batch_size", settings.pop("batch_size"))
        self.agent = dqn_agent.JaxDQNAgent(
            num_actions=actions,
            observation_shape=example.shape,
            observation_dtype=example.dtype,
            stack_size=1,
            min_replay_history=PREFILL,
            update_period=4,
            epsilon_train=0.01,
            epsilon_decay_period=1,
            seed=0,
            **settings,
        )
        self.action = self.agent.begin_episode(example)

    def steps(self, count: int) -> None:
        """Take agent steps; the body is that of Dopamine's `Runner`."""
        for _ in range(count):
            observation, reward, terminated, truncated = self.play(int(self.action))
            reward = np.clip(reward, -1, 1)
            if terminated or truncated:
                self.agent.end_episode(reward, terminated)
                self.action = self.agent.begin_episode(self.first())
            else:
                self.action = self.agent.step(reward, observation)


def loop(network: str, game: str, steps: str) -> Round:
    """Whole training loop on Atari."""
    return rounds(Loop(network, game), steps)


def classic(name: str, steps: str) -> Round:
    """Whole training loop on Gymnasium's classic control."""
    environment = gymnasium.make(name)
    size = environment.observation_space.shape[0]
    bounds = {"min_vals": (-1.0,) * size, "max_vals": (1.0,) * size}
    network = partial(networks.ClassicControlDQNNetwork, num_layers=2, hidden_units=512, **bounds)
    actions = int(environment.action_space.n)

    def first() -> np.ndarray:
        return environment.reset()[0]

    def play(action: int) -> Shown:
        return environment.step(action)[:4]

    return rounds(SmallLoop(first, play, actions, network=network, batch_size=128, target_update_period=100), steps)


def unstacked(states: jax.Array) -> jax.Array:
    """Return pictures without the axis of the stack, which that network would take for its channels."""
    return states[..., 0]


def minatar(game: str, steps: str) -> Round:
    """Whole training loop on MinAtar, of which no episode is cut off."""
    environment = Environment(game)
    environment.seed(0)

    def first() -> np.ndarray:
        environment.reset()
        return environment.state().astype(np.uint8)

    def play(action: int) -> Shown:
        reward, over = environment.act(action)
        return environment.state().astype(np.uint8), float(reward), over, False

    own = {"network": MinatarDQNNetwork, "batch_size": 32, "target_update_period": 1_000}
    own["preprocess_fn"] = unstacked
    return rounds(SmallLoop(first, play, environment.num_actions(), **own), steps)


def rounds(running: Loop, steps: str) -> Round:
    """Return the rounds of a loop, its replay filled first; each checks that it trains."""
    while running.agent._replay.add_count <= PREFILL + 16:  # it keeps fewer transitions than there are steps
        running.steps(64)

    def play() -> dict[str, Sample]:
        before, stored = running.agent.online_params, running.agent._replay.add_count
        sample = timed(int(steps), lambda: (running.steps(int(steps)), jax.block_until_ready(after())))
        moved = jax.tree.map(lambda old, new: bool(jnp.any(old != new)), before, after())
        assert any(jax.tree.leaves(moved)), "Dopamine's parameters stand still"
        assert running.agent._replay.add_count > stored, "Dopamine's replay does not grow"
        return {LABEL: sample}

    def after() -> dict[str, object]:
        return running.agent.online_params

    return play


def emulator(game: str, steps: str) -> Round:
    """Emulator and preprocessing alone, under random actions."""
    environment = atari_lib.create_atari_environment(game_name=game, sticky_actions=True)
    environment.reset()
    random = np.random.default_rng(0)

    def work(actions: list[int]) -> None:
        for action in actions:
            environment.step(action)
            if environment.game_over:
                environment.reset()

    def play() -> dict[str, Sample]:
        actions = random.integers(environment.action_space.n, size=int(steps)).tolist()
        return {LABEL: timed(int(steps), lambda: work(actions))}

    play()
    return play


def replay(transitions: str, batches: str) -> Round:
    """Batches from a large replay, filled with random play that is repeated until it is full."""
    buffer = replay_buffer.ReplayBuffer(
        accumulator.TransitionAccumulator(stack_size=4, update_horizon=1, gamma=0.99),
        samplers.UniformSamplingDistribution(seed=0),
        batch_size=BATCH,
        max_capacity=int(transitions),
    )
    environment = atari_lib.create_atari_environment(game_name="Breakout", sticky_actions=True)
    random = np.random.default_rng(0)
    recorded = []
    frame = environment.reset()
    while len(recorded) < RECORDED:
        action = int(random.integers(environment.action_space.n))
        following, reward, terminal, _ = environment.step(action)
        recorded.append(elements.TransitionElement(frame[..., 0], action, reward, terminal, terminal))
        frame = environment.reset() if terminal else following
    while buffer.add_count < int(transitions):
        for element in recorded:
            buffer.add(element)

    def work() -> None:
        for _ in range(int(batches)):
            buffer.sample(with_sample_metadata=True)

    work()
    return lambda: {LABEL: timed(int(batches), work)}


if __name__ == "__main__":
    serve(
        {"loop": loop, "classic": classic, "minatar": minatar, "emulator": emulator, "replay": replay},
        ("dopamine-rl", "jax", "jaxlib", "flax", "ale-py", "gymnasium", "numpy"),
    )
