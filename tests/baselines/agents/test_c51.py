"""C51 and Rainbow: the update against NumPy, priorities, padded heads, and the size and start of the network."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.networks.heads import DistributionNetwork
from baselines.parts.value_based import fan_in_uniform
from suite.contracts import registry
from suite.contracts.encoder import connections_of
from suite.contracts.method import init_learner
from suite.learning.batching import crop_to, pad_to

pytestmark = pytest.mark.slow

OBSERVATION = (3, 3, 2)
ACTIONS = 4
WIDE = 18


class TinyEncoder(nn.Module):
    """One dense layer with ReLU on the scaled pixels."""

    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0
        return nn.relu(nn.Dense(5, kernel_init=self.kernel_init, name="dense")(x))


def build(name, published, encoder, actions=ACTIONS, **settings):
    return registry.load("agent", name)(published("agent", name) | settings, encoder, actions)


def init_params(agent, seed=0):
    return agent.init(jax.random.key(seed), jnp.zeros((1, *OBSERVATION), jnp.uint8))


def with_gradients(learner, gradients):
    """Stand in for the suite's step: leave the gradients where the parameters were."""
    return learner._replace(params=gradients)


def softmax(x):
    odds = np.exp(x - x.max(axis=-1, keepdims=True))
    return odds / odds.sum(axis=-1, keepdims=True)


def reference_losses(params, target_params, batch, support):
    """Return the losses [B] and the taken actions' values [B], in double precision and one by one."""

    def forward(params, observation):
        dense, head = params["params"]["encoder"]["dense"], params["params"]["head"]
        pixels = np.asarray(observation, np.float64).reshape(len(observation), -1) / 255.0
        hidden = np.maximum(pixels @ np.asarray(dense["kernel"], np.float64) + np.asarray(dense["bias"]), 0)
        flat = hidden @ np.asarray(head["kernel"], np.float64) + np.asarray(head["bias"])
        return flat.reshape(len(observation), -1, len(support))

    now, then = forward(params, batch.s_tm1), softmax(forward(target_params, batch.s_t))
    spacing = support[1] - support[0]
    losses = []
    for row, action in enumerate(np.asarray(batch.a_tm1)):
        masses = then[row, np.argmax(then[row] @ support)]
        target = np.zeros(len(support))
        for atom, mass in zip(support, masses, strict=True):
            moved = np.clip(batch.r_t[row] + batch.discount_t[row] * atom, support[0], support[-1])
            low = int((moved - support[0]) / spacing)
            rest = (moved - support[0]) / spacing - low
            target[low] += mass * (1 - rest)
            target[min(low + 1, len(support) - 1)] += mass * rest
        losses.append(-target @ np.log(softmax(now[row, action])))
    values = softmax(now) @ support
    return np.asarray(losses), values[np.arange(len(losses)), np.asarray(batch.a_tm1)]


@pytest.mark.parametrize("name", ["c51", "rainbow"])
def test_updates_equal_numpy(name: str, published, random_batch) -> None:
    agent = build(name, published, TinyEncoder, atoms=11, v_max=3.0)
    learner = init_learner(init_params(agent), agent.optimizer, (), jax.random.key(0))
    learner = learner._replace(target_params=jax.tree.map(lambda leaf: 5 * leaf, init_params(agent, seed=1)))
    batch = random_batch(0)
    after, feedback = jax.jit(partial(agent.update, apply_gradients=with_gradients))(learner, batch, jax.random.key(0))
    support = np.linspace(-3, 3, 11)
    losses, values = reference_losses(learner.params, learner.target_params, batch, support)
    np.testing.assert_allclose(feedback.metrics["loss"], np.mean(np.asarray(batch.weight) * losses), rtol=1e-5)
    np.testing.assert_allclose(feedback.metrics["mean_q"], values.mean(), rtol=1e-4, atol=1e-6)
    if name == "rainbow":
        np.testing.assert_allclose(feedback.priorities, np.sqrt(losses + 1e-10), rtol=1e-5)
    else:
        assert feedback.priorities is None
    bias = np.asarray(after.params["params"]["head"]["bias"])

    def loss_at(params):
        return np.mean(np.asarray(batch.weight) * reference_losses(params, learner.target_params, batch, support)[0])

    for place in (0, 17, 30):  # a central difference
        ends = []
        for step in (1e-4, -1e-4):
            moved = jax.tree.map(np.array, learner.params)
            moved["params"]["head"]["bias"] = np.asarray(moved["params"]["head"]["bias"], np.float64)
            moved["params"]["head"]["bias"][place] += step
            ends.append(
                np.mean(np.asarray(batch.weight) * reference_losses(moved, learner.target_params, batch, support)[0])
            )
        np.testing.assert_allclose(bias[place], (ends[0] - ends[1]) / 2e-4, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["c51", pytest.param("qr_dqn", marks=pytest.mark.nightly)])
def test_a_padded_head_learns_and_acts_as_the_narrow_one(name: str, published, random_batch) -> None:
    narrow, wide = (build(name, published, TinyEncoder, actions) for actions in (ACTIONS, WIDE))
    own, shapes = init_params(narrow), jax.eval_shape(wide.init, jax.random.key(0), jnp.zeros((1, *OBSERVATION)))

    def padded(params, seed):
        """Zeros are what the suite pads with; rubbish shows that it does not matter."""
        rubbish = jax.tree.map(lambda leaf: 3 * np.random.default_rng(seed).normal(size=leaf.shape), shapes)
        return jax.tree.map(
            lambda inside, outside, value: jnp.where(inside > 0, value, outside).astype(jnp.float32),
            pad_to(shapes, jax.tree.map(jnp.ones_like, params)),
            rubbish,
            pad_to(shapes, params),
        )

    learner = init_learner(own, narrow.optimizer, (), jax.random.key(0))
    learner = learner._replace(target_params=init_params(narrow, seed=1))
    wide_learner = learner._replace(params=padded(learner.params, 0), target_params=padded(learner.target_params, 1))
    batch, key = random_batch(0), jax.random.key(0)
    alone, feedback = narrow.update(learner, batch, key, with_gradients)
    together, wide_feedback = wide.update(wide_learner, random_batch(0, actions=WIDE), key, with_gradients)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), feedback, wide_feedback)
    cropped = crop_to(own, together.params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), alone.params, cropped)
    outside = jax.tree.map(jnp.subtract, together.params, pad_to(shapes, cropped))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(outside))
    np.testing.assert_array_equal(
        narrow.act(own, batch.s_t, batch.legal, key),
        wide.act(wide_learner.params, batch.s_t, jnp.arange(WIDE) < ACTIONS, key),
    )


def test_published_data_plans(published, random_batch) -> None:
    plans = {name: build(name, published, TinyEncoder).plan for name in ("c51", "rainbow", "qr_dqn")}
    assert {(plan.capacity, plan.batch_size, plan.warm_up) for plan in plans.values()} == {(1_000_000, 32, 20_000)}
    assert {name: plan.n_step for name, plan in plans.items()} == {"c51": 1, "rainbow": 3, "qr_dqn": 3}
    assert {name: plan.replay for name, plan in plans.items()} == {
        "c51": "uniform",
        "rainbow": "prioritized",
        "qr_dqn": "prioritized",
    }
    assert (plans["rainbow"].importance_exponent, plans["qr_dqn"].importance_exponent) == (0.5, 0.0)
    uniform = build("rainbow", published, TinyEncoder, replay="uniform")
    assert uniform.plan.replay == "uniform"
    learner = init_learner(init_params(uniform), uniform.optimizer, (), jax.random.key(0))
    assert uniform.update(learner, random_batch(0), jax.random.key(0), with_gradients)[1].priorities is None


@pytest.mark.parametrize(
    ("name", "width", "count"),
    [
        ("nature_cnn", 1, 4_514_358),
        ("nature_cnn", 3, 13_017_974),
        ("nature_cnn", 5, 22_078_646),
        ("impala", 1, 2_551_654),
        ("impala", 3, 7_292_678),
        ("impala", 5, 12_807_846),
    ],
)
@pytest.mark.parametrize("atoms", [51, 200])
def test_parameter_counts(name: str, width: int, count: int, atoms: int) -> None:
    kernel_init = fan_in_uniform()
    network = DistributionNetwork(
        registry.load("network", name)({"width": width}, kernel_init=kernel_init), 18, atoms, kernel_init
    )
    observation = jax.ShapeDtypeStruct((2, 84, 84, 4), jnp.uint8)
    params = jax.eval_shape(network.init, jax.random.key(0), observation)
    extra = (atoms - 51) * 18 * (512 + 1)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count + extra
    assert jax.eval_shape(network.apply, params, observation).shape == (2, 18, atoms)
    assert connections_of(params, network.layers)["encoder/dense"] == ("head",)


def test_initialization_is_dopamines() -> None:
    kernel = np.asarray(fan_in_uniform()(jax.random.key(0), (8, 8, 4, 32), jnp.float32))
    bound = 3**0.25 / np.sqrt(8 * 8 * 4)  # the square root of three times the variance
    assert 0.98 * bound < np.abs(kernel).max() <= bound
