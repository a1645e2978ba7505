"""The compiled side: gymnax's environment, replay and the published DQN in one program, a scan over agent steps.

So is PureJaxRL's DQN (luchris429/purejaxrl 19f8284, purejaxrl/dqn.py). Nothing leaves the device before a round ends.
The convolution is a product of shifted slices: XLA's own is ten times slower inside a loop on a CPU.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import optax
from plain_dqn import EPSILON, PREFILL, UPDATE_PERIOD, dense, first, initial, update_of
from serve import Round, Sample, serve, timed

LABEL = "compiled loop"
Values = Callable[[Any, jax.Array], jax.Array]


class Learning(NamedTuple):
    """How a network learns, as the task has it."""

    batch: int
    target_period: int
    optimizer: optax.GradientTransformation


class State(NamedTuple):
    """All that a loop carries on; `kept`: seen, action, reward, following and alive, [PREFILL, ...] each."""

    key: jax.Array
    environment: Any
    seen: jax.Array
    params: Any
    target: Any
    optimizer: Any
    kept: tuple[jax.Array, ...]
    step: jax.Array


def convolutional(params: Any, x: jax.Array) -> jax.Array:
    """Map pictures [B, 10, 10, C] to action values [B, A]: a 3 x 3 convolution of 16, ReLU, a linear head."""
    (kernel, bias), head = params
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + 10, j : j + 10] for i in range(3) for j in range(3)]
    return dense([head], jax.nn.relu(jnp.concatenate(shifted, axis=-1) @ kernel + bias).reshape(len(x), -1))


def played(environment: Any, values: Values, learning: Learning, state: State, filling: bool) -> State:
    """Return the state after an agent step and the update due after it; random and without updates while filling."""
    learn = update_of(values, learning.optimizer)
    key, explore, draw, move, rows = jax.random.split(state.key, 5)
    actions = environment.action_space(environment.default_params).n
    greedy = jnp.argmax(values(state.params, state.seen[None])[0])
    random = jax.random.uniform(explore) < (1.0 if filling else EPSILON)
    action = jnp.where(random, jax.random.randint(draw, (), 0, actions), greedy)
    seen, after, reward, terminated, _, found = environment.step(move, state.environment, action)
    row = (state.seen, action, reward, found["final_observation"], 1.0 - terminated)
    slot = state.step % PREFILL
    kept = tuple(column.at[slot].set(value) for column, value in zip(state.kept, row, strict=True))
    step = state.step + 1
    state = State(key, after, seen, state.params, state.target, state.optimizer, kept, step)
    if filling:
        return state

    def update(state: State) -> State:
        drawn = jax.random.randint(rows, (learning.batch,), 0, PREFILL)
        batch = tuple(column[drawn] for column in state.kept)
        params, optimizer = learn(state.params, state.target, state.optimizer, batch)
        return state._replace(params=params, optimizer=optimizer)

    state = jax.lax.cond(step % UPDATE_PERIOD == 0, update, lambda state: state, state)
    due = step % learning.target_period == 0
    return state._replace(target=jax.tree.map(partial(jnp.where, due), state.params, state.target))


def loop(
    name: str, values: Callable[[Any, jax.Array], jax.Array], learning: Learning, params: Any, steps: int
) -> Round:
    """Whole training loop with one environment; checks that it trains."""
    environment, _ = gymnax.make(name)
    seen, inside = environment.reset(jax.random.key(0))
    examples = (seen, jnp.int32(0), jnp.float32(0), seen, jnp.float32(0))
    kept = tuple(jnp.zeros((PREFILL, *jnp.shape(one)), jnp.result_type(one)) for one in examples)
    target, optimizer = jax.tree.map(jnp.copy, params), learning.optimizer.init(params)
    state = State(jax.random.key(1), inside, seen, params, target, optimizer, kept, jnp.int32(0))

    @partial(jax.jit, static_argnums=(1, 2), donate_argnums=0)
    def several(state: State, count: int, filling: bool) -> State:
        def one(state: State, _: None) -> tuple[State, None]:
            return played(environment, values, learning, state, filling), None

        return jax.lax.scan(one, state, None, length=count)[0]

    running = [several(several(state, PREFILL, True), steps, False)]

    def work() -> None:
        running[0] = jax.block_until_ready(several(running[0], steps, False))  # type: ignore[no-untyped-call]

    def play() -> dict[str, Sample]:
        before = first(running[0].params)
        sample = timed(steps, work)
        assert np.any(before != first(running[0].params)), "the parameters stand still"
        assert int(running[0].optimizer[0].count) == (int(running[0].step) - PREFILL) // UPDATE_PERIOD
        return {LABEL: sample}

    return play


def classic(name: str, steps: str) -> Round:
    """DQN on classic control: two layers of 512."""
    environment, published = gymnax.make(name)
    size, actions = math.prod(environment.observation_space(published).shape), environment.action_space(published).n
    params = initial((size, 512, 512, actions))
    return loop(name, dense, Learning(128, 100, optax.adam(1e-3, eps=3.125e-4)), params, int(steps))


def minatar(name: str, steps: str) -> Round:
    """DQN on MinAtar."""
    environment, published = gymnax.make(name)
    channels = environment.observation_space(published).shape[-1]
    actions = environment.action_space(published).n
    params = initial((9 * channels, 16)) + initial((1600, actions))
    return loop(name, convolutional, Learning(32, 1_000, optax.adam(2.5e-4, eps=3.125e-4)), params, int(steps))


if __name__ == "__main__":
    serve({"classic": classic, "minatar": minatar}, ("jax", "jaxlib", "optax", "gymnax", "numpy"))
