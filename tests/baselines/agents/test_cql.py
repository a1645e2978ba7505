"""CQL and CQL+C51: the penalty, both losses and their gradients by hand, padded actions, and learning from a log."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.agents.cql_c51 import CQLC51Settings
from baselines.losses.conservative import conservative
from baselines.parts import composed
from baselines.parts.value_based import adam, offline_plan
from suite.contracts import registry
from suite.contracts.agent import Agent, Batch
from suite.contracts.method import gradient_step, init_learner, wrap_optimizer
from suite.learning.batching import crop_to, pad_to

pytestmark = pytest.mark.slow

STATES, ACTIONS, WIDE = 4, 3, 18
KEY = jax.random.key(0)
AGENTS = [("cql", {}), ("cql_c51", {}), ("cql_c51", {"double_dueling": True})]


class Table(nn.Module):
    """No network: the features are the pixels, of which one is on in each state, so that the head is a table."""

    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        return observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0


def build(name, published, actions=ACTIONS, **settings) -> Agent:
    return registry.load("agent", name)(published("agent", name) | settings, Table, actions)


def pixels(states) -> jax.Array:
    """Return uint8 [B, STATES, 1, 1] of states [B]."""
    return jnp.asarray(255 * np.eye(STATES, dtype=np.uint8)[np.asarray(states)][:, :, None, None])


def batch_of(s_tm1, a_tm1, r_t, discount_t, s_t, actions=ACTIONS) -> Batch:
    return Batch(
        s_tm1=pixels(s_tm1),
        a_tm1=jnp.asarray(a_tm1, jnp.int32),
        r_t=jnp.asarray(r_t, jnp.float32),
        discount_t=jnp.asarray(discount_t, jnp.float32),
        s_t=pixels(s_t),
        weight=jnp.ones(len(s_tm1)),
        legal=jnp.arange(actions) < ACTIONS,
    )


def random_batch(actions=ACTIONS, size=16) -> Batch:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, STATES, (2, size))
    taken, reward = rng.integers(0, ACTIONS, size), rng.normal(size=size)
    return batch_of(one, taken, reward, 0.9 * rng.integers(0, 2, size), other, actions)


def table(rows) -> dict[str, Any]:
    """Return parameters whose head puts out these numbers [S, outputs]; further states have zeros."""
    rows = np.asarray(rows, np.float32)
    kernel = np.zeros((STATES, rows.shape[1]), np.float32)
    kernel[: len(rows)] = rows
    return {"params": {"head": {"kernel": jnp.asarray(kernel), "bias": jnp.zeros(rows.shape[1])}}}


def learner_of(agent, params=None, target=None):
    params = init(agent) if params is None else params
    learner = init_learner(params, agent.optimizer, (), KEY)
    return learner if target is None else learner._replace(target_params=target)


def shapes_of(agent):
    return jax.eval_shape(agent.init, KEY, pixels([0]))


def init(agent, seed=0):
    """Return random parameters, without a program for it."""
    rng = np.random.default_rng(seed)
    return jax.tree.map(lambda leaf: jnp.asarray(0.3 * rng.normal(size=leaf.shape), jnp.float32), shapes_of(agent))


def differentiated(agent, learner, batch):
    """Return the learner with the gradients of an update in the place of its parameters, and the feedback."""

    def stay(learner, gradients):
        return learner._replace(params=gradients)

    return jax.jit(partial(agent.update, apply_gradients=stay))(learner, batch, KEY)


def test_the_penalty_by_hand() -> None:
    q, everything = jnp.asarray([1.0, 2.0, 3.0]), jnp.ones(3, jnp.bool_)
    value, gradient = jax.value_and_grad(conservative)(q, jnp.asarray(0), everything)
    np.testing.assert_allclose(value, 2.407606, rtol=1e-6)  # log(e + e**2 + e**3) - 1
    np.testing.assert_allclose(gradient, [0.090031 - 1, 0.244728, 0.665241], rtol=1e-5)
    lacking = jnp.asarray([True, True, False])
    value, gradient = jax.value_and_grad(conservative)(q, jnp.asarray(0), lacking)
    np.testing.assert_allclose(value, 1.313262, rtol=1e-6)  # log(e + e**2) - 1
    np.testing.assert_allclose(gradient, [0.268941 - 1, 0.731059, 0.0], rtol=1e-5)
    assert gradient[2] == 0.0


def test_the_penalty_shrinks_to_nothing_where_the_log_is_preferred() -> None:
    values = [conservative(jnp.asarray([0.0, gap, 0.0]), jnp.asarray(1), jnp.ones(3, jnp.bool_)) for gap in (-5, 0, 30)]
    np.testing.assert_allclose(values, [5.696516, math.log(3), 0.0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["huber", "mse"])
def test_the_loss_of_cql_by_hand(loss: str, published) -> None:
    agent = build("cql", published, loss=loss, conservatism=0.5)
    online, target = table([[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]), table([[0.0, 0.0, 0.0], [0.0, 1.0, 3.0]])
    # TD errors 1.5 + 0.5 * 3 - 1 = 2 and -0.5 + 0 - 0 = -0.5.
    batch = batch_of([0, 1], [0, 2], [1.5, -0.5], [0.5, 0.0], [1, 0])
    learner, feedback = differentiated(agent, learner_of(agent, online, target), batch)
    td = {"huber": (1.5 + 0.125) / 2, "mse": (4.0 + 0.25) / 2}[loss]
    penalty = (2.407606 + math.log(3)) / 2
    np.testing.assert_allclose(feedback.metrics["loss"], td + 0.5 * penalty, rtol=1e-6)
    np.testing.assert_allclose(feedback.metrics["mean_q"], 0.5, rtol=1e-6)
    slope = {"huber": (-1.0, 0.5), "mse": (-4.0, 1.0)}[loss]
    gradients = np.zeros((STATES, ACTIONS))
    gradients[0] = 0.5 * np.asarray([0.090031 - 1, 0.244728, 0.665241]) + np.asarray([slope[0], 0, 0])
    gradients[1] = 0.5 * np.asarray([1 / 3, 1 / 3, 1 / 3 - 1]) + np.asarray([0, 0, slope[1]])
    np.testing.assert_allclose(learner.params["params"]["head"]["kernel"], gradients / 2, rtol=1e-5, atol=1e-6)


def test_the_loss_of_cql_c51_by_hand(published) -> None:
    agent = build("cql_c51", published, atoms=3, v_max=1.0, conservatism=0.5)
    masses = np.asarray([[[0.2, 0.3, 0.5], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]]])  # means 0.3, 0, -0.4
    target_masses = np.asarray([[[0.2, 0.6, 0.2], [0.0625, 0.125, 0.8125], [0.5, 0.4, 0.1]]])  # the second is best
    online, target = (table(np.log(numbers).reshape(1, 9)) for numbers in (masses, target_masses))
    # Atoms -1, 0, 1 go to -0.5, 0, 0.5, whose masses are shared out in halves: 1/32, 1/32 + 1/8 + 13/32, 13/32.
    batch = batch_of([0], [0], [0.0], [0.5], [0])
    learner, feedback = differentiated(agent, learner_of(agent, online, target), batch)
    goal = np.asarray([1 / 32, 18 / 32, 13 / 32])
    td = -goal @ np.log([0.2, 0.3, 0.5])
    odds = np.exp([0.3, 0.0, -0.4])
    penalty = math.log(odds.sum()) - 0.3
    np.testing.assert_allclose(feedback.metrics["loss"], td + 0.5 * penalty, rtol=1e-5)
    np.testing.assert_allclose(feedback.metrics["mean_q"], 0.3, rtol=1e-5)
    # Of a mean by a logit: its mass times its atom's distance from the mean. Of the cross-entropy: masses less goal.
    by_mean = 0.5 * (odds / odds.sum() - np.asarray([1, 0, 0]))
    means = np.asarray([0.3, 0.0, -0.4])
    gradients = masses[0] * (np.asarray([-1, 0, 1]) - means[:, None]) * by_mean[:, None]
    gradients[0] += masses[0, 0] - goal
    found = np.asarray(learner.params["params"]["head"]["bias"]).reshape(3, 3)
    np.testing.assert_allclose(found, gradients, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), AGENTS)
def test_without_a_penalty_it_is_the_agent_that_it_is_made_of(name: str, settings: dict, published) -> None:
    agent = build(name, published, conservatism=0.0, n_step=1, **settings)
    if name == "cql":
        plain = build("dqn", published, loss="huber")
    elif not settings:
        plain = build("c51", published)
    else:
        values = CQLC51Settings(**published("agent", "cql_c51"))
        parts = composed.Parts(support=jnp.linspace(-10, 10, 51))
        plain = composed.build(parts, Table, ACTIONS, adam(values), offline_plan(values))
    target = init(agent, 1)
    learner = learner_of(agent, target=target)
    assert shapes_of(agent) == shapes_of(plain)
    found, expected = (differentiated(each, learner, random_batch()) for each in (agent, plain))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), found, expected)
    penalized = differentiated(build(name, published, conservatism=0.1, **settings), learner, random_batch())
    assert penalized[1].metrics["loss"] > found[1].metrics["loss"]


def values_of(name, settings, params, observation) -> np.ndarray:
    """Return the values [B, A] that the agent acts on."""
    head = params["params"]["head"]
    x = np.asarray(observation, np.float64).reshape(len(observation), -1) / 255
    if name == "cql":
        return np.asarray(x @ np.asarray(head["kernel"]) + np.asarray(head["bias"]))

    def linear(layer: Any) -> np.ndarray:
        return np.asarray(x @ np.asarray(layer["kernel"]) + np.asarray(layer["bias"])).reshape(len(x), -1, 51)

    if settings:
        advantage = linear(head["advantage"])
        logits = linear(head["value"]) + advantage - advantage.mean(axis=1, keepdims=True)
    else:
        logits = linear(head)
    odds = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=-1, keepdims=True) @ np.linspace(-10, 10, 51))


@pytest.mark.parametrize(("name", "settings"), AGENTS)
def test_the_penalty_pushes_the_logged_action_up_and_the_others_down(name: str, settings: dict, published) -> None:
    strong = build(name, published, conservatism=1.0, **settings)
    plain = build(name, published, conservatism=0.0, **settings)
    learner, batch = learner_of(strong), batch_of([2], [1], [0.0], [0.9], [2])
    gradients = [differentiated(each, learner, batch)[0].params for each in (strong, plain)]
    step = jax.tree.map(lambda start, one, other: start - 0.01 * (one - other), learner.params, *gradients)
    change = values_of(name, settings, step, batch.s_tm1) - values_of(name, settings, learner.params, batch.s_tm1)
    assert change[0, 1] > 1e-4
    assert change[0, 0] < -1e-4
    assert change[0, 2] < -1e-4


@pytest.mark.parametrize(("name", "settings"), AGENTS)
def test_padded_actions_never_count(name: str, settings: dict, published) -> None:
    narrow, wide = (build(name, published, actions, conservatism=2.0, **settings) for actions in (ACTIONS, WIDE))
    own, shapes = init(narrow), shapes_of(wide)

    def padded(params, seed):
        """Zeros are what the suite pads with; rubbish shows that it does not matter."""
        rubbish = jax.tree.map(lambda leaf: 30 * np.random.default_rng(seed).normal(size=leaf.shape), shapes)
        return jax.tree.map(
            lambda inside, outside, value: jnp.where(inside > 0, value, outside).astype(jnp.float32),
            pad_to(shapes, jax.tree.map(jnp.ones_like, params)),
            rubbish,
            pad_to(shapes, params),
        )

    learner = learner_of(narrow, own, init(narrow, 1))
    wide_learner = learner._replace(params=padded(learner.params, 0), target_params=padded(learner.target_params, 1))
    alone, feedback = differentiated(narrow, learner, random_batch())
    together, wide_feedback = differentiated(wide, wide_learner, random_batch(WIDE))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5), feedback, wide_feedback)
    cropped = crop_to(own, together.params)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), alone.params, cropped)
    outside = jax.tree.map(jnp.subtract, together.params, pad_to(shapes, cropped))
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(outside))
    np.testing.assert_array_equal(
        narrow.act(own, pixels(range(STATES)), jnp.ones(ACTIONS, jnp.bool_), KEY),
        wide.act(wide_learner.params, pixels(range(STATES)), jnp.arange(WIDE) < ACTIONS, KEY),
    )


@pytest.mark.parametrize(("name", "settings"), AGENTS)
def test_it_learns_from_a_log_and_leaves_alone_what_the_log_lacks(name: str, settings: dict, published) -> None:
    """Action 1 goes on and pays 1 at the end, 0 pays 0.2 and ends; 2 was never tried and looks best at first."""
    last = STATES - 1
    onward = [(s, 1, float(s == last), 0.9 * (s < last), min(s + 1, last)) for s in range(STATES)]
    ending = [(s, 0, 0.2, 0.0, 0) for s in range(STATES)]
    log = batch_of(*zip(*onward, *ending, strict=True))
    chosen = {}
    for conservatism in (0.1, 0.0):
        changes = {"learning_rate": 0.03, "conservatism": conservatism, "v_max": 2.0}
        known = {key: value for key, value in changes.items() if key in published("agent", name)}
        agent = build(name, published, **known, **settings)
        params = init(agent)
        head = params["params"]["head"]
        layer = head["advantage"] if settings else head
        atoms = layer["bias"].size // ACTIONS
        favour = jnp.linspace(-3.0, 3.0, atoms) if atoms > 1 else jnp.asarray([1.5])
        layer["bias"] = jnp.concatenate([jnp.zeros(2 * atoms), favour])
        learner = learner_of(agent, params)
        optimizer = wrap_optimizer(agent.optimizer, ())
        apply_gradients = gradient_step(optimizer, (), {}, KEY)

        @jax.jit
        def train(learner, update=agent.update, apply_gradients=apply_gradients):
            learner = jax.lax.fori_loop(0, 20, lambda _, so_far: update(so_far, log, KEY, apply_gradients)[0], learner)
            return learner._replace(target_params=learner.params)

        for _ in range(30):
            learner = train(learner)
        chosen[conservatism] = agent.act(learner.params, pixels(range(STATES)), log.legal, KEY).tolist()
        if name == "cql" and conservatism:
            found = values_of(name, settings, learner.params, pixels(range(STATES)))[:, 1]
            np.testing.assert_allclose(found, [0.9**3, 0.9**2, 0.9, 1.0], atol=0.1)
    assert chosen[0.1] == [1] * STATES
    assert 2 in chosen[0.0]  # without the penalty it trusts what nobody tried


@pytest.mark.parametrize("name", ["cql", "cql_c51"])
def test_the_published_plan_counts_gradient_steps(name: str, published) -> None:
    plan = build(name, published).plan
    assert (plan.batch_size, plan.n_step, plan.gamma, plan.target_update_period) == (32, 1, 0.99, 2_000)
    assert [plan.updates_by(step) for step in (0, 1, 12_500_000)] == [0, 1, 12_500_000]
    assert plan.nominal_updates(12_500_000) == 12_500_000
    assert plan.replay == "uniform"
    settings = published("agent", name)
    assert (settings["conservatism"], settings["learning_rate"], settings["adam_epsilon"]) == (0.1, 6.25e-5, 1.5e-4)


def test_the_public_rainbow_configuration_can_be_chosen(published) -> None:
    agent = build("cql_c51", published, n_step=3, target_update_period=50, double_dueling=True)
    assert (agent.plan.n_step, agent.plan.target_update_period) == (3, 50)
    assert set(shapes_of(agent)["params"]["head"]) == {"advantage", "value"}
