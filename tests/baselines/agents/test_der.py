"""DER's update against NumPy, its noise, its priorities, its padded form, and that it learns."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.networks.noisy import factor
from suite.contracts import registry
from suite.contracts.agent import Batch, Learner
from suite.contracts.encoder import FEATURES, Layer, connections_of, layers_of, record_units
from suite.contracts.method import init_learner
from suite.errors import UsageError
from suite.experience.observations import Frames
from suite.experience.samples import Windows
from suite.learning.batching import crop_to, pad_to
from suite.learning.programs import Programs
from suite.rng import Streams

pytestmark = pytest.mark.slow

OBSERVATION, ACTIONS, MANY = (3, 3, 2), 4, 18
SUPPORT = np.linspace(-10, 10, 51)
KEY = jax.random.key(11)


class Encoder(nn.Module):
    """A layer with ReLU on the scaled pixels, and a dense layer that a noisy one can replace."""

    kernel_init: Any

    def setup(self) -> None:
        self.first = nn.Dense(6, kernel_init=self.kernel_init)
        self.dense = nn.Dense(512, kernel_init=self.kernel_init)

    def torso(self, observation: jax.Array) -> jax.Array:
        x = observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0
        return record_units(self, "first", nn.relu(self.first(x)))

    def __call__(self, observation: jax.Array) -> jax.Array:
        return nn.relu(self.dense(self.torso(observation)))

    @property
    def layers(self):
        return (
            Layer("first", "convolution", feeds="dense"),
            Layer("dense", "dense", feeds=FEATURES),
        )


def build(published, actions: int = ACTIONS, encoder=Encoder, **settings):
    return registry.load("agent", "der")(published("agent", "der") | settings, encoder, actions)


def init_params(agent, seed: int = 0):
    return agent.init(jax.random.key(seed), jnp.zeros((1, *OBSERVATION), jnp.uint8))


def new_learner(agent) -> Learner:
    """Return a learner whose actions have very different values, so that double Q-learning shows."""
    learner = init_learner(init_params(agent), agent.optimizer, (), jax.random.key(0))
    return learner._replace(
        params=jax.tree.map(lambda leaf: 3 * leaf, learner.params),
        target_params=jax.tree.map(lambda leaf: 3 * leaf, init_params(agent, seed=1)),
    )


def gradient_function(agent):
    """Return a compiled function (learner, batch, key) -> the gradients that the agent hands over, and its feedback."""

    def run(learner: Learner, batch: Batch, key):
        after, feedback = agent.update(learner, batch, key, lambda learner, g: learner._replace(params=g))
        return after.params, feedback

    return jax.jit(run)


def noise_of(key, sizes):
    """Return both factors of a layer's noise, as [inputs, 1] and [units], from the layer's key."""
    rows, columns = jax.random.split(key)
    inputs, units = sizes
    return np.asarray(factor(rows, inputs), np.float64)[:, None], np.asarray(factor(columns, units), np.float64)


def softmax(x):
    powers = np.exp(x - x.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def forward(params, observation, key=None, actions: int = ACTIONS):
    """Return each noisy layer's input and factors, and the logits [B, A, N], in double precision."""
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"])
    layers = {"dense": own["dense"]} | own["head"]
    factors = dict.fromkeys(layers, (0.0, 0.0))
    if key is not None:
        dense_key, head_key = jax.random.split(key)
        keys = dict(zip(("dense", "advantage", "value"), (dense_key, *jax.random.split(head_key)), strict=True))
        factors = {name: noise_of(keys[name], layer["kernel"].shape) for name, layer in layers.items()}

    def apply(name, x):
        layer, (p, q) = layers[name], factors[name]
        return x @ (layer["kernel"] + layer["kernel_sigma"] * p * q) + layer["bias"] + layer["bias_sigma"] * q

    first, pixels = own["encoder"]["first"], np.asarray(observation, np.float64).reshape(len(observation), -1) / 255
    inputs = {"dense": np.maximum(pixels @ first["kernel"] + first["bias"], 0)}
    inputs["advantage"] = inputs["value"] = np.maximum(apply("dense", inputs["dense"]), 0)
    advantage = apply("advantage", inputs["advantage"]).reshape(-1, actions, len(SUPPORT))
    value = apply("value", inputs["value"])[:, None]
    return inputs, factors, value + advantage - advantage.mean(axis=1, keepdims=True)


def projected(returns, masses):
    """Return the masses of one distribution moved to the support, atom by atom."""
    result = np.zeros(len(SUPPORT))
    for place, mass in zip((np.clip(returns, -10, 10) + 10) / 0.4, masses, strict=True):
        low = min(int(np.floor(place + 1e-9)), 49)
        result[low] += mass * (low + 1 - place)
        result[low + 1] += mass * (place - low)
    return result


def reference(learner: Learner, batch: Batch):
    """Return the losses [B], the mean value of the actions taken, and the gradients of both heads."""
    rows = np.arange(len(batch.a_tm1))
    _, _, online_key, target_key = jax.random.split(KEY, 4)
    chosen = np.sum(softmax(forward(learner.params, batch.s_t, target_key)[2]) * SUPPORT, axis=-1).argmax(axis=1)
    masses = softmax(forward(learner.target_params, batch.s_t, target_key)[2][rows, chosen])
    returns = np.asarray(batch.r_t)[:, None] + np.asarray(batch.discount_t)[:, None] * SUPPORT
    target = np.stack([projected(one, other) for one, other in zip(returns, masses, strict=True)])
    inputs, factors, logits = forward(learner.params, batch.s_tm1, online_key)
    taken = softmax(logits[rows, batch.a_tm1])
    by_logits = np.zeros_like(logits)
    by_logits[rows, batch.a_tm1] = np.asarray(batch.weight, np.float64)[:, None] * (taken - target) / len(rows)
    by_head = {
        "advantage": (by_logits - by_logits.mean(axis=1, keepdims=True)).reshape(len(rows), -1),
        "value": by_logits.sum(axis=1),
    }
    gradients = {}
    for name, by in by_head.items():
        (p, q), kernel = factors[name], inputs[name].T @ by
        gradients[name] = {"kernel": kernel, "kernel_sigma": kernel * p * q}
        gradients[name] |= {"bias": by.sum(axis=0), "bias_sigma": by.sum(axis=0) * q}
    return -np.sum(target * np.log(taken), axis=1), np.mean(taken @ SUPPORT), gradients


def test_losses_priorities_and_gradients_equal_numpy(published, random_batch) -> None:
    agent = build(published, noise=0.5)
    learner, batch = new_learner(agent), random_batch(0, scale=6.0)
    losses, mean_q, expected = reference(learner, batch)
    found, feedback = gradient_function(agent)(learner, batch, KEY)
    np.testing.assert_allclose(feedback.metrics["loss"], np.mean(np.asarray(batch.weight) * losses), rtol=1e-4)
    np.testing.assert_allclose(feedback.metrics["mean_q"], mean_q, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(feedback.priorities, np.sqrt(losses + 1e-10), rtol=1e-4)
    for name, leaves in expected.items():
        for leaf, gradient in leaves.items():
            np.testing.assert_allclose(found["params"]["head"][name][leaf], gradient, rtol=1e-3, atol=2e-6)
    assert all(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(found))


def test_the_double_target_differs_from_the_maximum(published, random_batch) -> None:
    learner, batch = new_learner(build(published, noise=0.5)), random_batch(0, scale=6.0)
    key = jax.random.split(KEY, 4)[3]
    best = [
        np.sum(softmax(forward(params, batch.s_t, key)[2]) * SUPPORT, axis=-1).argmax(axis=1)
        for params in (learner.params, learner.target_params)
    ]
    assert np.any(best[0] != best[1]), "or the test above would not see it"


def test_uniform_replay_has_no_priorities(published, random_batch) -> None:
    agent = build(published, replay="uniform")
    assert agent.plan.replay == "uniform"
    _, feedback = jax.eval_shape(gradient_function(agent), new_learner(agent), random_batch(0), KEY)
    assert feedback.priorities is None


def test_acting_is_noisy_and_evaluating_is_not(published, random_batch) -> None:
    agent = build(published, noise=2.0)
    params, batch = init_params(agent), random_batch(0, 64)
    for seed in range(3):
        noisy = agent.act(params, batch.s_tm1, batch.legal, jax.random.key(seed))
        q = np.sum(softmax(forward(params, batch.s_tm1, jax.random.key(seed))[2]) * SUPPORT, axis=-1)
        assert noisy.dtype == jnp.int32
        assert np.mean(noisy == q.argmax(axis=1)) > 0.95  # but for near ties
    acts = {tuple(agent.act(params, batch.s_tm1, batch.legal, jax.random.key(seed)).tolist()) for seed in range(4)}
    assert len(acts) == 4
    q = np.sum(softmax(forward(params, batch.s_tm1)[2]) * SUPPORT, axis=-1)
    assert agent.evaluate is not None
    for seed in range(2):
        still = agent.evaluate(params, batch.s_tm1, batch.legal, jax.random.key(seed))
        assert np.mean(still == q.argmax(axis=1)) > 0.95


def test_illegal_actions_change_nothing(published, random_batch) -> None:
    few, many = build(published, noise=0.5), build(published, MANY, noise=0.5)
    shapes = jax.eval_shape(lambda: init_params(many))
    learner = new_learner(few)
    padded = Learner(pad_to(shapes, learner.params), pad_to(shapes, learner.target_params), (), {})
    batch = random_batch(0)
    wide = batch._replace(legal=jnp.arange(MANY) < ACTIONS)
    expected, feedback = gradient_function(few)(learner, batch, KEY)
    found, wide_feedback = gradient_function(many)(padded, wide, KEY)
    check = partial(np.testing.assert_allclose, rtol=1e-3, atol=2e-6)
    check(wide_feedback.metrics["loss"], feedback.metrics["loss"])
    check(wide_feedback.priorities, feedback.priorities)
    jax.tree.map(check, crop_to(learner.params, found), expected)
    jax.tree.map(np.testing.assert_array_equal, pad_to(shapes, crop_to(learner.params, found)), found)
    for choose in ("act", "evaluate"):
        actions = getattr(few, choose)(learner.params, batch.s_tm1, batch.legal, KEY)
        np.testing.assert_array_equal(getattr(many, choose)(padded.params, batch.s_tm1, wide.legal, KEY), actions)


def test_networks_without_a_torso_are_refused(published) -> None:
    with pytest.raises(UsageError, match="torso"):
        build(published, encoder=lambda **initializers: nn.Dense(3))


def test_published_plan_and_names(published) -> None:
    agent = build(published)
    plan = agent.plan
    assert (plan.capacity, plan.batch_size, plan.n_step, plan.warm_up) == (1_000_000, 32, 10, 1_600)
    assert (plan.update_period, plan.updates_per_period, plan.target_update_period) == (1, 1, 2_000)
    assert (plan.replay, plan.importance_exponent, plan.noisy) == ("prioritized", 0.5, True)
    assert [plan.epsilon(step) for step in (0, 1_600, 50_000)] == [0, 0, 0]
    params = jax.eval_shape(lambda: init_params(agent))
    assert connections_of(params, agent.layers) == {}, "what fed the dense layer feeds two kernels of the noisy one"
    assert {layer.name for layer in layers_of(params, agent.layers).values()} == {
        *("encoder/first", "dense", "head/advantage", "head/value"),
    }
    units = jax.eval_shape(agent.activations, params, jnp.zeros((2, *OBSERVATION), jnp.uint8))
    assert {name: leaf.shape for name, leaf in units.items()} == {"encoder/first": (2, 6), "dense": (2, 512)}


@pytest.mark.parametrize(
    ("network", "convolutions", "flat"),
    [("nature_cnn", 8_224 + 32_832 + 36_928, 7_744), ("impala", 97_744, 3_872)],
)
def test_parameter_counts(network: str, convolutions: int, flat: int, published) -> None:
    make = partial(registry.load("network", network), published("network", network))
    agent = build(published, MANY, make)
    params = jax.eval_shape(agent.init, KEY, jax.ShapeDtypeStruct((1, 84, 84, 4), jnp.uint8))
    noisy = sum((inputs + 1) * units for inputs, units in ((flat, 512), (512, 18 * 51), (512, 51)))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == convolutions + 2 * noisy
    assert set(params["params"]) == {"encoder", "dense", "head"}
    assert "dense" not in params["params"]["encoder"]


@pytest.mark.nightly  # by day DrQ(eps) learns it
def test_it_learns_which_action_a_picture_asks_for(published) -> None:
    agent = build(published, learning_rate=3e-3, n_step=1)
    assert agent.evaluate is not None
    programs = Programs(agent, (), Frames(2, 3), ACTIONS)
    streams, rng = Streams("bandit@1", "x", 0), np.random.default_rng(0)
    pictures = np.zeros((ACTIONS, 2, 3, 3), np.uint8)
    for action in range(ACTIONS):
        pictures[action, 0], pictures[action, 1] = 255 * (action % 2), 255 * (action // 2)
    learner, weight = programs.init(streams), np.ones(32, np.float32)
    for count in range(200):
        states, actions = rng.integers(0, ACTIONS, 32), rng.integers(0, ACTIONS, 32, dtype=np.int32)
        frames = np.concatenate([pictures[states], pictures[states][:, -1:]], axis=1)
        rewards = (states == actions).astype(np.float32)
        windows = Windows(frames, actions, rewards, np.zeros(32, np.float32), weight)
        learner, feedback = programs.update(learner, streams, count, windows)
    assert feedback.priorities is not None
    assert feedback.priorities.shape == (32,)
    states, legal = jnp.moveaxis(jnp.asarray(pictures), 1, -1), jnp.ones(ACTIONS, jnp.bool_)
    np.testing.assert_array_equal(agent.evaluate(learner.params, states, legal, KEY), np.arange(ACTIONS))


def test_what_methods_do_to_features_reaches_the_noisy_layer_too(published, random_batch) -> None:
    class Silenced(Encoder):
        def change(self, features: jax.Array) -> jax.Array:
            return 0 * features

    plain, silenced = build(published), build(published, encoder=Silenced)
    params, batch = init_params(plain), random_batch(0)
    assert jax.tree.structure(params) == jax.tree.structure(init_params(silenced))
    for agent, distinct in ((plain, True), (silenced, False)):  # silenced features: the head's biases alone decide
        assert agent.evaluate is not None
        rows = jax.vmap(lambda s, agent=agent: agent.evaluate(params, s[None], batch.legal, KEY))(batch.s_tm1)
        assert (len(set(rows.ravel().tolist())) > 1) == distinct
