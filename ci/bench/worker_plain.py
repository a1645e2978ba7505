"""The other side of MinAtar: the published DQN as a plain Python loop, a call for each action and each update."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import optax
from minatar import Environment
from plain_dqn import EPSILON, PREFILL, UPDATE_PERIOD, rounds, update_of
from serve import Round, serve

ACTIONS = 6
CHANNELS = 16
BATCH, TARGET_PERIOD = 32, 1_000
OPTIMIZER = optax.adam(2.5e-4, eps=3.125e-4)


def initial(channels: int) -> dict[str, jax.Array]:
    """Return Xavier-uniform kernels and zero biases."""
    init, keys = jax.nn.initializers.xavier_uniform(), jax.random.split(jax.random.key(0))
    return {
        "conv": init(keys[0], (3, 3, channels, CHANNELS)),
        "conv_bias": jnp.zeros(CHANNELS),
        "head": init(keys[1], (100 * CHANNELS, ACTIONS)),
        "head_bias": jnp.zeros(ACTIONS),
    }


def values(params: dict[str, jax.Array], pictures: jax.Array) -> jax.Array:
    """Map uint8 [B, 10, 10, C] to action values [B, 6]."""
    x = jax.lax.conv_general_dilated(
        pictures.astype(jnp.float32), params["conv"], (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    x = jax.nn.relu(x + params["conv_bias"]).reshape(x.shape[0], -1)
    return x @ params["head"] + params["head_bias"]


class Loop:
    """One environment, its replay and its network."""

    def __init__(self, game: str) -> None:
        self.env = Environment(game)
        self.env.seed(0)
        self.env.reset()
        shape = tuple(self.env.state_shape())
        self.params = self.target = initial(shape[-1])
        self.state = OPTIMIZER.init(self.params)
        self.update = update_of(values, OPTIMIZER)
        self.choose = jax.jit(lambda params, picture: jnp.argmax(values(params, picture[None])[0]))
        self.pictures = np.zeros((PREFILL, *shape), np.uint8)
        self.actions, self.rewards = np.zeros(PREFILL, np.int32), np.zeros(PREFILL, np.float32)
        self.alive = np.ones(PREFILL, np.float32)
        self.rng = np.random.default_rng(0)
        self.steps = self.updates = 0
        self.seen = self.env.state().astype(np.uint8)

    def step(self) -> None:
        """Take one agent step, with the update due after it."""
        if self.steps < PREFILL or self.rng.random() < EPSILON:
            action = int(self.rng.integers(ACTIONS))
        else:
            action = int(self.choose(self.params, self.seen))
        reward, over = self.env.act(action)
        slot = self.steps % PREFILL
        self.pictures[slot], self.actions[slot] = self.seen, action
        self.rewards[slot], self.alive[slot] = min(1, reward), not over
        if over:
            self.env.reset()
        self.seen = self.env.state().astype(np.uint8)
        self.steps += 1
        if self.steps > PREFILL and self.steps % UPDATE_PERIOD == 0:
            drawn = (self.steps + self.rng.integers(PREFILL - 1, size=BATCH)) % PREFILL
            batch = (
                self.pictures[drawn],
                self.actions[drawn],
                self.rewards[drawn],
                self.pictures[(drawn + 1) % PREFILL],
                self.alive[drawn],
            )
            self.params, self.state = self.update(self.params, self.target, self.state, batch)
            self.updates += 1
        if self.steps % TARGET_PERIOD == 0:
            self.target = self.params


def minatar(game: str, steps: str) -> Round:
    """Whole training loop with one environment; checks that it trains."""
    return rounds(Loop(game), int(steps))


if __name__ == "__main__":
    serve({"minatar": minatar}, ("jax", "jaxlib", "optax", "minatar", "numpy"))
