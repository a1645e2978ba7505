"""DrQ(epsilon)'s update against NumPy, its augmentation, its padded form, and that it learns."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from suite.contracts import registry
from suite.contracts.agent import Batch, Learner
from suite.contracts.encoder import connections_of
from suite.contracts.method import init_learner
from suite.experience.observations import Frames
from suite.experience.samples import Windows
from suite.learning.batching import crop_to, pad_to
from suite.learning.programs import Programs
from suite.rng import Streams

pytestmark = pytest.mark.slow

OBSERVATION, ACTIONS, MANY = (3, 3, 2), 4, 18
PLAIN = {"shift": 0, "intensity": 0.0}


def build(published, actions: int = ACTIONS, encoder=None, **settings):
    return registry.load("agent", "drq_eps")(published("agent", "drq_eps") | settings, encoder or Encoder, actions)


class Encoder(nn.Module):
    """One dense layer with ReLU on the scaled pixels."""

    kernel_init: Any

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0
        return nn.relu(nn.Dense(5, kernel_init=self.kernel_init, name="dense")(x))


def init_params(agent, seed: int = 0):
    return agent.init(jax.random.key(seed), jnp.zeros((1, *OBSERVATION), jnp.uint8))


def gradient_function(agent):
    """Return a compiled function (learner, batch, key) -> the gradients that the agent hands over, and its feedback."""

    def run(learner: Learner, batch: Batch, key):
        after, feedback = agent.update(learner, batch, key, lambda learner, g: learner._replace(params=g))
        return after.params, feedback

    return jax.jit(run)


def new_learner(agent) -> Learner:
    learner = init_learner(init_params(agent), agent.optimizer, (), jax.random.key(0))
    return learner._replace(target_params=jax.tree.map(lambda leaf: 3 * leaf, init_params(agent, seed=1)))


def forward(params, observation):
    """Return pixels, hidden layer and action values, in double precision."""
    own = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), params["params"])
    dense, head = own["encoder"]["dense"], own["head"]
    pixels = np.asarray(observation, np.float64).reshape(len(observation), -1) / 255.0
    hidden = np.maximum(pixels @ dense["kernel"] + dense["bias"], 0)
    advantage, value = (hidden @ head[name]["kernel"] + head[name]["bias"] for name in ("advantage", "value"))
    return pixels, hidden, value + advantage - advantage.mean(axis=1, keepdims=True)


def reference(params, target_params, batch: Batch, loss: str):
    """Return the loss and its gradients, the chain rule written out."""
    rows = np.arange(len(batch.a_tm1))
    pixels, hidden, q_tm1 = forward(params, batch.s_tm1)
    chosen = forward(params, batch.s_t)[2].argmax(axis=1)  # by the online network, valued by the target network
    bootstrap = forward(target_params, batch.s_t)[2][rows, chosen]
    error = np.asarray(batch.r_t) + np.asarray(batch.discount_t) * bootstrap - q_tm1[rows, batch.a_tm1]
    if loss == "mse":
        losses, slope = error**2, 2 * error
    else:
        losses, slope = np.where(abs(error) <= 1, error**2 / 2, abs(error) - 0.5), np.clip(error, -1, 1)
    weight, by_q = np.asarray(batch.weight), np.zeros_like(q_tm1)
    by_q[rows, batch.a_tm1] = -weight * slope / len(rows)
    by_head = {"advantage": by_q - by_q.mean(axis=1, keepdims=True), "value": by_q.sum(axis=1, keepdims=True)}
    kernels = {name: np.asarray(params["params"]["head"][name]["kernel"], np.float64) for name in by_head}
    by_hidden = sum(by @ kernels[name].T for name, by in by_head.items()) * (hidden > 0)
    gradients = {
        "encoder": {"dense": {"kernel": pixels.T @ by_hidden, "bias": by_hidden.sum(axis=0)}},
        "head": {name: {"kernel": hidden.T @ by, "bias": by.sum(axis=0)} for name, by in by_head.items()},
    }
    return np.mean(weight * losses), q_tm1[rows, batch.a_tm1].mean(), {"params": gradients}


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_loss_and_gradients_equal_numpy(loss: str, published, random_batch) -> None:
    agent = build(published, loss=loss, **PLAIN)
    learner, batch = new_learner(agent), random_batch(0, 32, scale=2.0)
    value, mean_q, expected = reference(learner.params, learner.target_params, batch, loss)
    found, feedback = gradient_function(agent)(learner, batch, jax.random.key(0))
    np.testing.assert_allclose(feedback.metrics["loss"], value, rtol=1e-5)
    np.testing.assert_allclose(feedback.metrics["mean_q"], mean_q, rtol=1e-4, atol=1e-5)
    assert feedback.priorities is None
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), found, expected)


def test_the_double_target_differs_from_the_maximum(published, random_batch) -> None:
    agent = build(published, **PLAIN)
    learner, batch = new_learner(agent), random_batch(0, 32, scale=2.0)
    online, target = (forward(params, batch.s_t)[2] for params in (learner.params, learner.target_params))
    assert np.any(online.argmax(axis=1) != target.argmax(axis=1)), "or the test above would not see it"


def test_illegal_actions_change_nothing(published, random_batch) -> None:
    few, many = build(published), build(published, MANY)
    shapes = jax.eval_shape(lambda: init_params(many))
    learner = new_learner(few)
    padded = Learner(pad_to(shapes, learner.params), pad_to(shapes, learner.target_params), (), {})
    key, batch = jax.random.key(3), random_batch(0)
    wide = batch._replace(legal=jnp.arange(MANY) < ACTIONS)
    expected, feedback = gradient_function(few)(learner, batch, key)
    found, wide_feedback = gradient_function(many)(padded, wide, key)
    np.testing.assert_allclose(wide_feedback.metrics["loss"], feedback.metrics["loss"], rtol=1e-5)
    check = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6)
    jax.tree.map(check, crop_to(learner.params, found), expected)
    jax.tree.map(np.testing.assert_array_equal, pad_to(shapes, crop_to(learner.params, found)), found)
    actions = few.act(learner.params, batch.s_tm1, batch.legal, key)
    np.testing.assert_array_equal(many.act(padded.params, batch.s_tm1, wide.legal, key), actions)


def test_both_states_are_augmented_each_with_its_own_numbers(published, random_batch) -> None:
    given: list[jax.Array] = []

    class Noting(Encoder):
        def __call__(self, observation: jax.Array) -> jax.Array:
            given.append(observation)
            return super().__call__(observation)

    agent = build(published, encoder=Noting, intensity=0.2)
    learner, batch = new_learner(agent), random_batch(0)
    batch = batch._replace(s_t=batch.s_tm1)
    seen = []
    for seed in (0, 1):
        given.clear()
        agent.update(learner, batch, jax.random.key(seed), lambda learner, gradients: learner)
        online_t, target_t, online_tm1 = given
        np.testing.assert_array_equal(online_t, target_t)
        seen += [online_t, jax.lax.stop_gradient(online_tm1)]
    assert all(one.dtype == jnp.float32 for one in seen)
    images = [*seen, batch.s_t.astype(jnp.float32)]
    assert len({np.asarray(one).tobytes() for one in images}) == 5


def test_acting_does_not_augment_and_ignores_the_key(published, random_batch) -> None:
    agent = build(published)
    params, batch = init_params(agent), random_batch(0, 16)
    for seed in range(2):
        actions = agent.act(params, batch.s_tm1, batch.legal, jax.random.key(seed))
        assert actions.dtype == jnp.int32
        np.testing.assert_array_equal(actions, forward(params, batch.s_tm1)[2].argmax(axis=1))
    assert agent.evaluate is None


def test_published_plan_and_parameters(published) -> None:
    agent = build(published, MANY, partial(registry.load("network", "nature_cnn"), {"width": 1}))
    plan = agent.plan
    assert (plan.capacity, plan.batch_size, plan.n_step, plan.warm_up) == (1_000_000, 32, 10, 1_600)
    assert (plan.update_period, plan.updates_per_period, plan.target_update_period) == (1, 1, 1)
    assert (plan.epsilon_train, plan.epsilon_decay, plan.replay, plan.noisy) == (0.01, 5_000, "uniform", False)
    assert plan.nominal_updates(100_000) == 100_000
    observation = jax.ShapeDtypeStruct((1, 84, 84, 4), jnp.uint8)
    params = jax.eval_shape(agent.init, jax.random.key(0), observation)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 4_052_658 + 513  # DQN's, and the value
    units = jax.eval_shape(agent.activations, params, observation)
    assert {name: leaf.shape[-1] for name, leaf in units.items()} == {
        "encoder/conv1": 32,
        "encoder/conv2": 64,
        "encoder/conv3": 64,
        "encoder/dense": 512,
    }
    assert connections_of(params, agent.layers) == {
        "encoder/conv1": ("encoder/conv2",),
        "encoder/conv2": ("encoder/conv3",),
        "encoder/conv3": ("encoder/dense",),
        "encoder/dense": ("head/advantage", "head/value"),
    }


def test_an_update_has_no_control_flow(published, update_program) -> None:
    # XLA's CPU compiler runs convolutions inside scan, map or cond ten times slower.
    agent = build(published, encoder=partial(registry.load("network", "nature_cnn"), {"width": 1}))
    program = update_program(agent)
    assert "conv_general_dilated" in program
    assert not any(word in program for word in ("scan[", "while[", "cond["))


def test_it_learns_which_action_a_picture_asks_for(published) -> None:
    agent = build(published, learning_rate=0.02, n_step=1, batch_size=32, shift=1)
    programs = Programs(agent, (), Frames(2, 3), ACTIONS)
    streams, rng = Streams("bandit@1", "x", 0), np.random.default_rng(0)
    pictures = np.zeros((ACTIONS, 2, 3, 3), np.uint8)
    for action in range(ACTIONS):  # two bits, in whole frames, so that a shift changes nothing
        pictures[action, 0], pictures[action, 1] = 255 * (action % 2), 255 * (action // 2)
    learner = programs.init(streams)
    for count in range(300):
        states, actions = rng.integers(0, ACTIONS, 32), rng.integers(0, ACTIONS, 32, dtype=np.int32)
        frames = np.concatenate([pictures[states], pictures[states][:, -1:]], axis=1)
        rewards = (states == actions).astype(np.float32)
        windows = Windows(frames, actions, rewards, np.zeros(32, np.float32))
        learner, _ = programs.update(learner, streams, count, windows)
        learner = programs.sync(learner)
    states = jnp.moveaxis(jnp.asarray(pictures), 1, -1)
    greedy = agent.act(learner.params, states, jnp.ones(ACTIONS, jnp.bool_), jax.random.key(0))
    np.testing.assert_array_equal(greedy, np.arange(ACTIONS))
