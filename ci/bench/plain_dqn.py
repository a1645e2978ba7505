"""What the plain loops share: layers, the published DQN's gradient step, and rounds of a loop that must train."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import optax
from serve import Round, Sample, timed

LABEL = "plain loop"
PREFILL = 5000
GAMMA, EPSILON, UPDATE_PERIOD = 0.99, 0.01, 4


Params = list[tuple[jax.Array, jax.Array]]


class Loop(Protocol):
    """One environment, its replay and its network, after so many updates."""

    params: Any
    updates: int

    def step(self) -> None:
        """Take one environment step, with the update due after it."""
        ...


def initial(sizes: tuple[int, ...]) -> Params:
    """Return Xavier-uniform kernels and zero biases."""
    init, shapes = jax.nn.initializers.xavier_uniform(), list(itertools.pairwise(sizes))
    keys = jax.random.split(jax.random.key(0), len(shapes))
    return [(init(key, shape), jnp.zeros(shape[1])) for key, shape in zip(keys, shapes, strict=True)]


def dense(params: Params, x: jax.Array) -> jax.Array:
    """Map float32 [B, D] to action values [B, A] through layers with ReLU."""
    for kernel, bias in params[:-1]:
        x = jax.nn.relu(x @ kernel + bias)
    return x @ params[-1][0] + params[-1][1]


def update_of(values: Callable[[Any, Any], jax.Array], optimizer: optax.GradientTransformation) -> Any:
    """Return the compiled gradient step of a network: parameters and optimizer state after a batch."""

    def update(params: Any, target: Any, state: Any, batch: Any) -> tuple[Any, Any]:
        seen, actions, rewards, following, alive = batch

        def loss(params: Any) -> jax.Array:
            taken = jnp.take_along_axis(values(params, seen), actions[:, None], axis=1)[:, 0]
            wanted = rewards + GAMMA * alive * jnp.max(values(target, following), axis=1)
            return jnp.mean(jnp.square(taken - jax.lax.stop_gradient(wanted)))

        changes, state = optimizer.update(jax.grad(loss)(params), state)
        return optax.apply_updates(params, changes), state

    return jax.jit(update, donate_argnums=2)


def rounds(loop: Loop, steps: int) -> Round:
    """Return the rounds of a loop, its replay filled first; each checks that it trains."""
    for _ in range(PREFILL + 64):
        loop.step()

    def work() -> None:
        for _ in range(steps):
            loop.step()
        jax.block_until_ready(loop.params)  # type: ignore[no-untyped-call]

    def play() -> dict[str, Sample]:
        before, updates = first(loop.params), loop.updates
        sample = timed(steps, work)
        assert np.any(before != first(loop.params)), "the parameters stand still"
        assert loop.updates - updates == steps // UPDATE_PERIOD
        return {LABEL: sample}

    return play


def first(params: Any) -> np.ndarray:
    """Return a copy of the first parameters of a tree."""
    return np.asarray(jax.tree.leaves(params)[0]).copy()
