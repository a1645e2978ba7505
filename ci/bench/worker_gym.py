"""The other side of classic control: the published DQN as a plain Python loop over what `gymnasium.make` gives."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import optax
from plain_dqn import EPSILON, PREFILL, UPDATE_PERIOD, dense, initial, rounds, update_of
from serve import Round, serve

UNITS = 512
BATCH, TARGET_PERIOD = 128, 100
OPTIMIZER = optax.adam(1e-3, eps=3.125e-4)


class Loop:
    """One environment, its replay and its network."""

    def __init__(self, name: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.env: Any = gymnasium.make(name)
        self.n_actions = int(self.env.action_space.n)
        self.seen, _ = self.env.reset(seed=0)
        size = len(self.seen)
        self.params = self.target = initial((size, UNITS, UNITS, self.n_actions))
        self.state = OPTIMIZER.init(self.params)
        self.update = update_of(dense, OPTIMIZER)
        self.choose = jax.jit(lambda params, x: jnp.argmax(dense(params, x[None])[0]))
        self.before, self.after = np.zeros((PREFILL, size), np.float32), np.zeros((PREFILL, size), np.float32)
        self.actions, self.rewards = np.zeros(PREFILL, np.int32), np.zeros(PREFILL, np.float32)
        self.alive = np.ones(PREFILL, np.float32)
        self.rng = np.random.default_rng(0)
        self.steps = self.updates = 0

    def step(self) -> None:
        """Take one environment step, with the update due after it."""
        if self.rng.random() < EPSILON:
            action = int(self.rng.integers(self.n_actions))
        else:
            action = int(self.choose(self.params, self.seen))
        following, reward, terminated, truncated, _ = self.env.step(action)
        slot = self.steps % PREFILL
        self.before[slot], self.after[slot], self.actions[slot] = self.seen, following, action
        self.rewards[slot], self.alive[slot] = reward, not terminated
        self.seen = self.env.reset()[0] if terminated or truncated else following
        self.steps += 1
        if self.steps > PREFILL and self.steps % UPDATE_PERIOD == 0:
            drawn = self.rng.integers(PREFILL, size=BATCH)
            batch = (self.before[drawn], self.actions[drawn], self.rewards[drawn], self.after[drawn], self.alive[drawn])
            self.params, self.state = self.update(self.params, self.target, self.state, batch)
            self.updates += 1
        if self.steps % TARGET_PERIOD == 0:
            self.target = self.params


def classic(name: str, steps: str) -> Round:
    """Whole training loop with one environment; checks that it trains."""
    return rounds(Loop(name), int(steps))


if __name__ == "__main__":
    serve({"classic": classic}, ("jax", "jaxlib", "optax", "gymnasium", "numpy"))
