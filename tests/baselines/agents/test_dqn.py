"""DQN's update against NumPy, and what it may and may not touch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from suite.contracts import registry
from suite.contracts.agent import Batch
from suite.contracts.method import Context, due_signals, gradient_step, init_learner, wrap_optimizer
from suite.errors import UsageError
from suite.running.request import Request, resolve
from suite.tasks import load_task

OBSERVATION = (3, 3, 2)
ACTIONS = 4


def init_params(agent, seed=0):
    return agent.init(jax.random.key(seed), jnp.zeros((1, *OBSERVATION), jnp.uint8))


def updater(agent, methods=()):
    """Return a compiled update (learner, batch, signals) -> (learner, feedback), as the suite makes it."""
    optimizer, key = wrap_optimizer(agent.optimizer, methods), jax.random.key(0)
    return jax.jit(
        lambda learner, batch, signals: agent.update(
            learner, batch, key, gradient_step(optimizer, methods, signals, key)
        )
    )


def forward(params, observation):
    """Return pixels, hidden layer and action values, in double precision."""
    dense, head = params["params"]["encoder"]["dense"], params["params"]["head"]
    pixels = np.asarray(observation, np.float64).reshape(len(observation), -1) / 255.0
    hidden = np.maximum(pixels @ np.asarray(dense["kernel"], np.float64) + np.asarray(dense["bias"], np.float64), 0)
    return pixels, hidden, hidden @ np.asarray(head["kernel"], np.float64) + np.asarray(head["bias"], np.float64)


def reference_gradients(params, target_params, batch: Batch, loss: str):
    """Return the loss and its gradients, the chain rule written out."""
    size = len(batch.a_tm1)
    pixels, hidden, q_tm1 = forward(params, batch.s_tm1)
    target = np.asarray(batch.r_t) + np.asarray(batch.discount_t) * forward(target_params, batch.s_t)[2].max(axis=1)
    error = target - q_tm1[np.arange(size), batch.a_tm1]
    if loss == "mse":
        value, slope = np.mean(error**2), 2 * error
    else:
        value, slope = np.mean(np.where(abs(error) <= 1, error**2 / 2, abs(error) - 0.5)), np.clip(error, -1, 1)
    by_q = np.zeros_like(q_tm1)
    by_q[np.arange(size), batch.a_tm1] = -slope / size
    by_hidden = (by_q @ np.asarray(params["params"]["head"]["kernel"], np.float64).T) * (hidden > 0)
    gradients = {
        "encoder": {"dense": {"kernel": pixels.T @ by_hidden, "bias": by_hidden.sum(axis=0)}},
        "head": {"kernel": hidden.T @ by_q, "bias": by_q.sum(axis=0)},
    }
    return value, q_tm1[np.arange(size), batch.a_tm1].mean(), {"params": gradients}


def reference_adam(params, moments, gradients, count: int, settings):
    """Return parameters and moments after Adam's step number `count` (from 1); epsilon outside the root."""
    b1, b2 = settings["adam_b1"], settings["adam_b2"]
    mean = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, moments[0], gradients)
    square = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g**2, moments[1], gradients)
    step = jax.tree.map(
        lambda m, v: (m / (1 - b1**count)) / (np.sqrt(v / (1 - b2**count)) + settings["adam_epsilon"]), mean, square
    )
    params = jax.tree.map(lambda p, s: np.asarray(p, np.float64) - settings["learning_rate"] * s, params, step)
    return params, (mean, square)


@pytest.mark.parametrize("loss", ["mse", "huber"])
def test_updates_equal_numpy(loss: str, tiny_dqn, published, random_batch) -> None:
    settings = published("agent", "dqn") | {"loss": loss, "learning_rate": 0.01}
    agent = tiny_dqn(**settings)
    update = updater(agent)
    learner = init_learner(init_params(agent), agent.optimizer, (), jax.random.key(0))
    learner = learner._replace(target_params=jax.tree.map(lambda leaf: 5 * leaf, init_params(agent, seed=1)))
    params = jax.tree.map(np.asarray, learner.params)
    zeros = jax.tree.map(lambda leaf: np.zeros(leaf.shape), params)
    moments = (zeros, zeros)
    for count in range(1, 4):
        batch = random_batch(count, 8)
        value, mean_q, gradients = reference_gradients(params, learner.target_params, batch, loss)
        params, moments = reference_adam(params, moments, gradients, count, settings)
        learner, feedback = update(learner, batch, {})
        np.testing.assert_allclose(feedback.metrics["loss"], value, rtol=1e-5)
        np.testing.assert_allclose(feedback.metrics["mean_q"], mean_q, rtol=1e-5, atol=1e-6)
        jax.tree.map(
            lambda found, expected: np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6),
            learner.params,
            params,
        )


def test_actions_are_greedy(tiny_dqn, random_batch) -> None:
    agent = tiny_dqn()
    params, batch = init_params(agent), random_batch(0, 16)
    actions = jax.jit(agent.act)(params, batch.s_tm1, batch.legal, jax.random.key(0))
    assert actions.dtype == jnp.int32
    np.testing.assert_array_equal(actions, forward(params, batch.s_tm1)[2].argmax(axis=1))


def test_two_seeds_differ_at_initialization(tiny_dqn) -> None:
    agent = tiny_dqn()
    differ = jax.tree.map(
        lambda a, b: a.ndim == 1 or bool(jnp.all(a != b)), init_params(agent, seed=0), init_params(agent, seed=1)
    )
    assert all(jax.tree.leaves(differ))


def test_pruned_weights_stay_zero_and_the_target_is_a_plain_copy(tiny_dqn, published, random_batch) -> None:
    agent = tiny_dqn(learning_rate=0.01)
    params = init_params(agent)
    settings = published("method", "magnitude_pruning") | {"sparsity": 0.7, "mask_period": 2}
    context = Context(20, jax.eval_shape(lambda: params), agent.layers)
    methods = (registry.load("method", "magnitude_pruning")(settings, context),)
    update = updater(agent, methods)
    learner = init_learner(params, wrap_optimizer(agent.optimizer, methods), methods, jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, learner.target_params, params)
    for count in range(20):
        target = learner.target_params
        learner, _ = update(learner, random_batch(count, 8), due_signals(methods, count))
        jax.tree.map(np.testing.assert_array_equal, learner.target_params, target)
        masks = methods[0].masks(learner.methods["magnitude_pruning"])
        for mask, leaf in zip(jax.tree.leaves(masks), kernels(learner.params), strict=True):
            np.testing.assert_array_equal(np.asarray(leaf)[~np.asarray(mask)], 0.0)
        if count == 12:
            learner = learner._replace(target_params=learner.params)
    assert all(bool(jnp.any(leaf == 0)) for leaf in kernels(learner.params))
    assert all(bool(jnp.all(leaf != 0)) for leaf in jax.tree.leaves(learner.params) if leaf.ndim == 1)


def kernels(params):
    return [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]


def test_dense_is_the_identity(tiny_dqn, random_batch) -> None:
    agent, key = tiny_dqn(), jax.random.key(0)
    methods = (registry.load("method", "dense")({}, Context(20, jax.eval_shape(lambda: init_params(agent)))),)
    with_it = init_learner(init_params(agent), wrap_optimizer(agent.optimizer, methods), methods, key)
    without = init_learner(init_params(agent), wrap_optimizer(agent.optimizer, ()), (), key)
    assert due_signals(methods, 0) == {}
    with_it, _ = updater(agent, methods)(with_it, random_batch(0, 8), {})
    without, _ = updater(agent)(without, random_batch(0, 8), {})
    jax.tree.map(np.testing.assert_array_equal, with_it.params, without.params)


@pytest.mark.parametrize("network", ["impala", "nature_cnn"])
def test_an_update_has_no_control_flow(network: str, published, update_program) -> None:
    # XLA's CPU compiler runs convolutions inside scan, map or cond ten times slower.
    encoder = registry.load("network", network)
    agent = registry.load("agent", "dqn")(
        published("agent", "dqn"), lambda **initializers: encoder({"width": 1}, **initializers), ACTIONS
    )
    program = update_program(agent)
    assert "conv_general_dilated" in program
    assert not any(word in program for word in ("scan[", "while[", "cond["))


def test_settings_that_leave_no_transition_are_refused(tiny_dqn) -> None:
    with pytest.raises(UsageError, match="n_step"):
        tiny_dqn(n_step=3, warm_up=2)


def test_actions_that_a_game_lacks_are_never_chosen_and_never_learnt(tiny_dqn, random_batch) -> None:
    agent = tiny_dqn()
    legal = jnp.asarray([True, True, False, False])
    batch = random_batch(0, 64)
    batch = batch._replace(a_tm1=batch.a_tm1 % 2, legal=legal)
    params = init_params(agent)
    favoured = jax.tree.map(lambda leaf: leaf, params)
    favoured["params"]["head"]["bias"] = jnp.asarray([0.0, 0.0, 100.0, 100.0])
    assert set(agent.act(favoured, batch.s_tm1, legal, jax.random.key(0)).tolist()) <= {0, 1}
    learner = init_learner(favoured, agent.optimizer, (), jax.random.key(0))
    after, feedback = updater(agent)(learner, batch, {})
    assert float(feedback.metrics["loss"]) < 50  # the bootstrap of 100 would give thousands
    before_head, after_head = learner.params["params"]["head"], after.params["params"]["head"]
    np.testing.assert_array_equal(after_head["kernel"][:, 2:], before_head["kernel"][:, 2:])
    np.testing.assert_array_equal(after_head["bias"][2:], before_head["bias"][2:])
    assert not np.array_equal(after_head["kernel"][:, :2], before_head["kernel"][:, :2])


def reference_rmsprop(params, means, squares, gradients, settings):
    """Return parameters, mean gradients and mean squares after a step of TensorFlow 1's ApplyCenteredRMSProp."""
    decay, epsilon = settings["rmsprop_decay"], settings["rmsprop_epsilon"]
    squares = jax.tree.map(lambda s, g: s + (1 - decay) * (g**2 - s), squares, gradients)
    means = jax.tree.map(lambda m, g: m + (1 - decay) * (g - m), means, gradients)
    params = jax.tree.map(
        lambda p, m, s, g: np.asarray(p, np.float64) - settings["learning_rate"] * g / np.sqrt(s - m**2 + epsilon),
        *(params, means, squares, gradients),
    )
    return params, means, squares


def test_rmsprop_is_tensorflows(tiny_dqn, published, random_batch) -> None:
    chosen = {"optimizer": "rmsprop", "learning_rate": 0.02, "rmsprop_decay": 0.7, "rmsprop_epsilon": 0.01}
    settings = published("agent", "dqn") | chosen
    agent = tiny_dqn(**settings)
    update = updater(agent)
    learner = init_learner(init_params(agent), agent.optimizer, (), jax.random.key(0))
    learner = learner._replace(target_params=jax.tree.map(lambda leaf: 5 * leaf, init_params(agent, seed=1)))
    params = jax.tree.map(np.asarray, learner.params)
    means = jax.tree.map(lambda leaf: np.zeros(leaf.shape), params)
    squares = jax.tree.map(lambda leaf: np.ones(leaf.shape), params)
    for count in range(6):
        batch = random_batch(count, 8)
        _, _, gradients = reference_gradients(params, learner.target_params, batch, "mse")
        params, means, squares = reference_rmsprop(params, means, squares, gradients, settings)
        learner, _ = update(learner, batch, {})
        jax.tree.map(
            lambda found, expected: np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6),
            learner.params,
            params,
        )


def test_the_task_that_logs_a_replay_runs_the_dqn_of_the_public_logs(tiny_dqn) -> None:
    (resolved,) = resolve(Request("dqn-replay"))
    assert (resolved.spec.agent.id, resolved.spec.network.id, resolved.departures) == ("dqn", "nature_cnn", {})
    settings = resolved.spec.agent.settings
    rmsprop = [settings[name] for name in ("optimizer", "learning_rate", "rmsprop_decay", "rmsprop_epsilon")]
    assert rmsprop == ["rmsprop", 2.5e-4, 0.95, 1e-5]
    assert settings["loss"] == "huber"
    plan = tiny_dqn(**settings).plan
    assert (plan.capacity, plan.warm_up, plan.update_period, plan.target_update_period) == (10**6, 20_000, 4, 8_000)
    assert (plan.n_step, plan.gamma, plan.epsilon_train, plan.epsilon_decay) == (1, 0.99, 0.01, 250_000)
    task, base = load_task("dqn-replay"), load_task("atari60")
    assert (task.games, task.environment) == (base.games, base.environment)
    assert task.score_window(task.budget.length) == (0, 200_000_000)
    assert task.score_window(1_000_000) == (0, 1_000_000)
    assert not task.official
