"""QR-DQN, IQN and M-IQN: losses against NumPy, level samples, padded heads, and the size of the network."""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.networks.heads import ImplicitQuantileNetwork, cosines
from baselines.parts.value_based import fan_in_uniform
from suite.contracts import registry
from suite.contracts.encoder import connections_of, record_units
from suite.contracts.method import gradient_step, init_learner, wrap_optimizer
from suite.errors import UsageError
from suite.learning.batching import crop_to, pad_to

pytestmark = pytest.mark.slow

OBSERVATION = (3, 3, 2)
ACTIONS = 4
WIDE = 18
SMALL = {"online_samples": 5, "target_samples": 7, "action_samples": 3, "embedding_size": 6}


class SplitEncoder(nn.Module):
    """The scaled pixels, flattened, and one dense layer with ReLU."""

    kernel_init: Any

    def setup(self) -> None:
        self.dense = nn.Dense(5, kernel_init=self.kernel_init)

    def __call__(self, observation: jax.Array) -> jax.Array:
        return self.final(self.torso(observation))

    def torso(self, observation: jax.Array) -> jax.Array:
        return observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0

    def final(self, flat: jax.Array) -> jax.Array:
        return record_units(self, "dense", nn.relu(self.dense(flat)))


def build(name, published, actions=ACTIONS, **settings):
    small = SMALL if "levels" in published("agent", name) else {"quantiles": 5}
    return registry.load("agent", name)(published("agent", name) | small | settings, SplitEncoder, actions)


def init_params(agent, seed=0):
    return agent.init(jax.random.key(seed), jnp.zeros((1, *OBSERVATION), jnp.uint8))


def fresh_learner(agent):
    learner = init_learner(init_params(agent), agent.optimizer, (), jax.random.key(0))
    return learner._replace(target_params=jax.tree.map(lambda leaf: 3 * leaf, init_params(agent, seed=1)))


def with_gradients(learner, gradients):
    """Stand in for the suite's step: leave the gradients where the parameters were."""
    return learner._replace(params=gradients)


def numbers(layer):
    return np.asarray(layer["kernel"], np.float64), np.asarray(layer["bias"], np.float64)


def dense(params, observation, levels=None):
    """Return float64 [B, outputs] of the head, or [B, K, A] at levels [B, K]."""
    own = params["params"]
    x = np.asarray(observation, np.float64).reshape(len(observation), -1) / 255.0
    if levels is not None:
        kernel, bias = numbers(own["embedding"])
        waves = np.cos(np.pi * np.arange(1, len(kernel) + 1) * np.asarray(levels, np.float64)[..., None])
        x = x[:, None] * np.maximum(waves @ kernel + bias, 0)
    kernel, bias = numbers(own["encoder"]["dense"])
    x = np.maximum(x @ kernel + bias, 0)
    kernel, bias = numbers(own["head"])
    return x @ kernel + bias


def quantile_loss(quantiles, levels, target):
    """Return the quantile Huber loss, pair by pair."""
    total = 0.0
    for quantile, level in zip(quantiles, levels, strict=True):
        for sample in target:
            error = sample - quantile
            huber = error**2 / 2 if abs(error) <= 1 else abs(error) - 0.5
            total += (1 - level if error < 0 else level) * huber / len(target)
    return total


def log_softmax(x):
    return x - x.max() - np.log(np.exp(x - x.max()).sum())


@pytest.mark.parametrize("levels", ["batch", "transition"])
@pytest.mark.parametrize("name", ["iqn", "m_iqn"])
def test_implicit_losses_equal_numpy(name: str, levels: str, published, random_batch) -> None:
    agent = build(name, published, levels=levels)
    learner, batch, key = fresh_learner(agent), random_batch(0), jax.random.key(5)
    _, feedback = jax.jit(partial(agent.update, apply_gradients=with_gradients))(learner, batch, key)
    size = len(batch.a_tm1)
    rows = 1 if levels == "batch" else size

    def draw(key, count):
        return np.broadcast_to(np.asarray(jax.random.uniform(key, (rows, count))), (size, count))

    online_key, target_key = jax.random.split(key)
    online = draw(online_key, 5)
    values = dense(learner.params, batch.s_tm1, online)
    if name == "m_iqn":
        before_key, target_key = jax.random.split(target_key)
        before = dense(learner.target_params, batch.s_tm1, draw(before_key, 3)).mean(axis=1)
    after = dense(learner.target_params, batch.s_t, draw(target_key, 10))
    losses = []
    for row, action in enumerate(np.asarray(batch.a_tm1)):
        reward, discount = float(batch.r_t[row]), float(batch.discount_t[row])
        q, samples = after[row, :3].mean(axis=0), after[row, 3:]
        if name == "iqn":
            target = reward + discount * samples[:, np.argmax(q)]
        else:
            log_policy = 0.03 * log_softmax(q / 0.03)
            soft = (np.exp(log_policy / 0.03) * (samples - log_policy)).sum(axis=1)
            bonus = np.clip(0.03 * log_softmax(before[row] / 0.03)[action], -1, 0)
            target = reward + 0.9 * bonus + discount * soft
        losses.append(quantile_loss(values[row, :, action], online[row], target))
    np.testing.assert_allclose(feedback.metrics["loss"], np.mean(np.asarray(batch.weight) * losses), rtol=1e-4)
    taken = [values[row, :, action].mean() for row, action in enumerate(np.asarray(batch.a_tm1))]
    np.testing.assert_allclose(feedback.metrics["mean_q"], np.mean(taken), rtol=1e-4, atol=1e-6)
    assert feedback.priorities is None


@pytest.mark.parametrize("name", ["iqn", "m_iqn"])
def test_published_levels_are_drawn_for_every_transition(name: str, published) -> None:
    assert published("agent", name)["levels"] == "transition"


@pytest.mark.parametrize("name", ["iqn", "m_iqn"])
def test_levels_of_their_own_divide_the_variance_by_the_batch(name: str, published, random_batch) -> None:
    """B equal transitions: the loss is a mean of B independent draws, or B times the same draw."""
    batch = jax.tree.map(lambda rows: jnp.repeat(rows[:1], len(rows), axis=0), random_batch(0)._replace(legal=()))
    batch = batch._replace(legal=jnp.ones(ACTIONS, jnp.bool_))
    size, keys, variances = len(batch.a_tm1), jax.random.split(jax.random.key(3), 2000), {}
    for levels in ("batch", "transition"):
        agent = build(name, published, levels=levels)
        update = partial(agent.update, apply_gradients=with_gradients)
        learner = fresh_learner(agent)
        losses = jax.jit(jax.vmap(lambda key, u=update, at=learner: u(at, batch, key)[1].metrics["loss"]))(keys)
        variances[levels] = np.var(np.asarray(losses, np.float64), ddof=1)
    np.testing.assert_allclose(variances["batch"] / variances["transition"], size, rtol=0.25)


def test_quantile_losses_equal_numpy(published, random_batch) -> None:
    agent = build("qr_dqn", published)
    learner, batch = fresh_learner(agent), random_batch(1)
    _, feedback = jax.jit(partial(agent.update, apply_gradients=with_gradients))(learner, batch, jax.random.key(0))
    now = dense(learner.params, batch.s_tm1).reshape(-1, ACTIONS, 5)
    then = dense(learner.target_params, batch.s_t).reshape(-1, ACTIONS, 5)
    losses = []
    for row, action in enumerate(np.asarray(batch.a_tm1)):
        best = then[row, np.argmax(then[row].mean(axis=1))]
        target = float(batch.r_t[row]) + float(batch.discount_t[row]) * best
        losses.append(quantile_loss(now[row, action], [0.1, 0.3, 0.5, 0.7, 0.9], target))
    np.testing.assert_allclose(feedback.metrics["loss"], np.mean(np.asarray(batch.weight) * losses), rtol=1e-4)
    np.testing.assert_allclose(feedback.priorities, np.sqrt(np.asarray(losses) + 1e-10), rtol=1e-4)


@pytest.mark.parametrize("name", [pytest.param("iqn", marks=pytest.mark.nightly), "m_iqn"])
def test_a_padded_head_learns_and_acts_as_the_narrow_one(name: str, published, random_batch) -> None:
    narrow, wide = (build(name, published, actions) for actions in (ACTIONS, WIDE))
    learner = fresh_learner(narrow)
    shapes = jax.eval_shape(wide.init, jax.random.key(0), jnp.zeros((1, *OBSERVATION)))

    def padded(params):
        """Zeros are what the suite pads with; rubbish shows that it does not matter."""
        wider = pad_to(shapes, params)
        rubbish = 3 * jax.random.normal(jax.random.key(9), wider["params"]["head"]["bias"].shape)
        wider["params"]["head"]["bias"] = jnp.where(
            jnp.arange(WIDE) < ACTIONS, wider["params"]["head"]["bias"], rubbish
        )
        return wider

    wide_learner = learner._replace(params=padded(learner.params), target_params=padded(learner.target_params))
    batch, key = random_batch(0), jax.random.key(0)
    legal = jnp.arange(WIDE) < ACTIONS
    alone, feedback = narrow.update(learner, batch, key, with_gradients)
    together, wide_feedback = wide.update(wide_learner, batch._replace(legal=legal), key, with_gradients)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), feedback, wide_feedback)
    cropped = crop_to(learner.params, together.params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), alone.params, cropped)
    outside = jax.tree.map(jnp.subtract, together.params, pad_to(shapes, cropped))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(outside))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(together.params))
    np.testing.assert_array_equal(
        narrow.act(learner.params, batch.s_t, batch.legal, key), wide.act(wide_learner.params, batch.s_t, legal, key)
    )


@pytest.mark.parametrize("name", ["iqn", "m_iqn"])
def test_acting_takes_the_largest_mean_of_fresh_samples(name: str, published, random_batch) -> None:
    agent = build(name, published, levels="transition")
    params, batch, key = init_params(agent), random_batch(2, size=32), jax.random.key(3)
    actions = jax.jit(agent.act)(params, batch.s_t, batch.legal, key)
    assert actions.dtype == jnp.int32
    means = dense(params, batch.s_t, jax.random.uniform(key, (32, 3))).mean(axis=1)
    np.testing.assert_array_equal(actions, means.argmax(axis=1))
    assert agent.evaluate is None


def test_acting_by_the_policy_draws_from_it(published) -> None:
    agent = build("m_iqn", published, acting="policy", temperature=1.0)
    params, observation = init_params(agent), jnp.zeros((4000, *OBSERVATION), jnp.uint8)
    params["params"]["head"]["bias"] = jnp.log(jnp.array([1.0, 2.0, 5.0, 100.0]))
    legal = jnp.array([True, True, True, False])
    drawn = np.asarray(jax.jit(agent.act)(params, observation, legal, jax.random.key(0)))
    np.testing.assert_allclose(np.bincount(drawn, minlength=4) / 4000, [0.125, 0.25, 0.625, 0.0], atol=0.03)
    assert agent.evaluate is not None
    np.testing.assert_array_equal(agent.evaluate(params, observation[:2], legal, jax.random.key(0)), [2, 2])


def test_another_key_samples_other_levels(published, random_batch) -> None:
    agent = build("iqn", published)
    learner, batch = fresh_learner(agent), random_batch(0)
    update = jax.jit(partial(agent.update, apply_gradients=with_gradients))
    losses = [float(update(learner, batch, jax.random.key(seed))[1].metrics["loss"]) for seed in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_activations_are_of_every_layer_with_units(published, random_batch) -> None:
    agent = build("iqn", published)
    outputs = agent.activations(init_params(agent), random_batch(0, 6).s_t)
    assert {name: leaf.shape for name, leaf in outputs.items()} == {
        "embedding": (1, 8, 18),
        "encoder/dense": (6, 8, 5),
    }


def test_an_encoder_without_the_two_parts_is_refused(published) -> None:
    class Whole(nn.Module):
        @nn.compact
        def __call__(self, observation: jax.Array) -> jax.Array:
            return observation.reshape((observation.shape[0], -1)).astype(jnp.float32)

    with pytest.raises(UsageError, match="torso"):
        registry.load("agent", "iqn")(published("agent", "iqn"), lambda **initializers: Whole(), 3)


@pytest.mark.parametrize("name", ["qr_dqn", "iqn", "m_iqn"])
def test_learning_lowers_the_loss(name: str, published, random_batch) -> None:
    agent = build(name, published, learning_rate=0.01)
    optimizer, key = wrap_optimizer(agent.optimizer, ()), jax.random.key(0)
    step = jax.jit(partial(agent.update, apply_gradients=gradient_step(optimizer, (), {}, key)))
    learner, batch = init_learner(init_params(agent), agent.optimizer, (), key), random_batch(0)
    losses = []
    for count in range(150):
        learner, feedback = step(learner, batch, jax.random.key(count))
        losses.append(float(feedback.metrics["loss"]))
    assert np.mean(losses[-10:]) < 0.5 * np.mean(losses[:10])


@pytest.mark.parametrize("name", ["c51", "rainbow", "qr_dqn", "iqn", "m_iqn"])
def test_an_update_has_no_control_flow(name: str, published, update_program) -> None:
    # XLA's CPU compiler runs convolutions inside scan, map or cond ten times slower.
    agent = registry.load("agent", name)(
        published("agent", name), partial(registry.load("network", "nature_cnn"), {"width": 1}), ACTIONS
    )
    program = update_program(agent)
    assert "conv_general_dilated" in program
    assert not any(word in program for word in ("scan[", "while[", "cond["))


@pytest.mark.parametrize("name", ["qr_dqn", pytest.param("iqn", marks=pytest.mark.nightly), "m_iqn"])
def test_lanes_in_one_program_learn_as_they_do_alone(name: str, published, random_batch) -> None:
    agent = build(name, published)
    update = partial(agent.update, apply_gradients=with_gradients)
    lanes = [(fresh_learner(agent), random_batch(lane), jax.random.key(lane)) for lane in range(2)]
    together = jax.jit(jax.vmap(update))(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *lanes))
    for lane, own in enumerate(lanes):
        alone = jax.jit(update)(*own)
        mine = jax.tree.map(lambda leaf, lane=lane: leaf[lane], together)
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), alone, mine)


def test_cosines_by_hand() -> None:
    np.testing.assert_allclose(
        cosines(jnp.array([0.0, 0.5, 1.0]), 2), [[1.0, 1.0], [0.0, -1.0], [-1.0, 1.0]], atol=1e-6
    )


@pytest.mark.parametrize(
    ("name", "width", "count"),
    [
        ("nature_cnn", 1, 4_556_018),
        ("nature_cnn", 3, 14_066_354),
        ("nature_cnn", 5, 24_133_746),
        ("impala", 1, 2_341_634),
        ("impala", 3, 7_586_018),
        ("impala", 5, 13_604_546),
    ],
)
def test_parameter_counts(name: str, width: int, count: int) -> None:
    kernel_init = fan_in_uniform()
    network = ImplicitQuantileNetwork(
        registry.load("network", name)({"width": width}, kernel_init=kernel_init), 18, 64, kernel_init
    )
    observation, levels = jax.ShapeDtypeStruct((2, 84, 84, 4), jnp.uint8), jax.ShapeDtypeStruct((1, 32), jnp.float32)
    params = jax.eval_shape(network.init, jax.random.key(0), observation, levels)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count
    assert jax.eval_shape(network.apply, params, observation, levels).shape == (2, 32, 18)
    assert set(params["params"]) == {"encoder", "embedding", "head"}
    assert connections_of(params, network.layers)["encoder/dense"] == ("head",)
