"""PPO's preparation of a trajectory and its update against NumPy, what each loss may touch, and a problem it solves."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy import stats

from suite.contracts import registry
from suite.contracts.agent import Agent, Batch, Learner, Trajectory
from suite.contracts.card import Value
from suite.contracts.encoder import connections_of
from suite.contracts.method import Context, View, due_signals, gradient_step, init_learner, wrap_optimizer
from suite.errors import UsageError
from suite.learning.build import build
from suite.running.request import Request, resolve
from suite.tasks import MUJOCO

pytestmark = pytest.mark.slow

SIZE, ACTIONS, STEPS = 3, 2, 16
LEGAL = jnp.ones(ACTIONS, jnp.bool_)
KEY = jax.random.key(7)


@cache
def published(kind: registry.Kind, name: str) -> dict[str, Value]:
    return {key: setting.value for key, setting in registry.card(kind, name).settings.items()}


def ppo(actions: int = ACTIONS, width: int = 1, **settings: Value) -> Agent:
    """Build PPO with some settings replaced."""
    encoder = partial(registry.load("network", "mlp"), {"width": width})
    return registry.load("agent", "ppo")(published("agent", "ppo") | settings, encoder, actions)


@cache
def tiny_ppo(**settings: Value) -> Agent:
    """Build PPO with four units a layer and trajectories of 16, once for the same settings."""
    return ppo(**{"hidden_units": 4, "trajectory_length": STEPS, "batch_size": 8, "learning_rate": 0.01} | settings)


def random_params(agent: Agent, seed: int = 0):
    """Return parameters of the right shapes without compiling their initialization."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(agent.init, KEY, jnp.zeros((1, SIZE)))
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(0, 0.6 if leaf.ndim > 1 else 0.1, leaf.shape), jnp.float32), shapes
    )


def started(agent: Agent, params=None, methods=()) -> Learner:
    assert agent.statistics is not None
    params = random_params(agent) if params is None else params
    learner = init_learner(params, wrap_optimizer(agent.optimizer, methods), methods, KEY)
    return learner._replace(statistics=agent.statistics(jnp.zeros((1, SIZE))))


def random_trajectory(seed: int) -> Trajectory:
    """Return 16 steps in which one episode terminates, and one is truncated."""
    rng = np.random.default_rng(seed)
    ended, terminated = np.isin(np.arange(STEPS), [5, 11]), np.arange(STEPS) == 5
    s = rng.normal([1, 0, -3], [2, 0.01, 1], (2, STEPS, SIZE)).astype(np.float32)
    return Trajectory(
        s_tm1=s[0],
        a_tm1=rng.normal(size=(STEPS, ACTIONS)).astype(np.float32),
        r_t=rng.normal(2, 3, STEPS).astype(np.float32),
        discount_t=np.where(terminated, 0, 0.99).astype(np.float32),
        s_t=s[1],
        ended=ended,
    )


def rows(batch: Batch, index) -> Batch:
    """Return some rows of a batch, as the suite takes them; `legal` has none."""
    taken = jax.tree.map(lambda leaf: np.asarray(leaf)[index], batch._replace(legal=()))
    return taken._replace(legal=batch.legal)


@cache
def prepared(agent: Agent):
    return jax.jit(agent.prepare)


def updater(agent: Agent, methods):
    """Return a compiled update (learner, batch, signals) -> (learner, feedback), as the suite makes it."""
    optimizer = wrap_optimizer(agent.optimizer, methods)
    return jax.jit(
        lambda learner, batch, signals: agent.update(
            learner, batch, KEY, gradient_step(optimizer, methods, signals, KEY)
        )
    )


@cache
def gradients_of(agent: Agent):
    """Return a compiled function from parameters and a batch to the gradients of an update, and its metrics."""

    def gradients(params, batch):
        def keep(learner, found):
            return learner._replace(methods=found["params"])

        learner, feedback = agent.update(Learner(params, params, (), {}), batch, KEY, keep)
        return learner.methods, feedback.metrics

    return jax.jit(gradients)


def outputs(part, x, squash):
    x = np.asarray(x, np.float64)
    for name in sorted(part["encoder"]):
        x = squash(x @ np.asarray(part["encoder"][name]["kernel"]) + np.asarray(part["encoder"][name]["bias"]))
    return x @ np.asarray(part["head"]["kernel"]) + np.asarray(part["head"]["bias"])


def policy(params, observation):
    """Return means [B, A] and deviations [A], in double precision."""
    return np.tanh(outputs(params["params"]["actor"], observation, np.tanh)), np.log1p(
        np.exp(np.asarray(params["params"]["raw_std"], np.float64))
    )


def values(params, observation):
    return outputs(params["params"]["value"], observation, lambda x: np.maximum(x, 0))[:, 0]


def normalized(x, seen):
    return np.clip((x - seen.mean(axis=0)) / np.sqrt(seen.var(axis=0) + 1e-3), -5, 5)


def test_preparation_equals_numpy() -> None:
    agent = tiny_ppo()
    learner, trajectories = started(agent), [random_trajectory(seed) for seed in range(3)]
    for count, trajectory in enumerate(trajectories):
        learner, batch = prepared(agent)(learner, trajectory)
        # Observations as while the trajectory was collected, by what went before; rewards by this one too.
        before = np.concatenate([np.zeros((1, SIZE)), *(each.s_tm1 for each in trajectories[:count])])[count > 0 :]
        rewards = np.concatenate([each.r_t for each in trajectories[: count + 1]])
        s_tm1, s_t = normalized(trajectory.s_tm1, before), normalized(trajectory.s_t, before)
        r_t = np.clip(trajectory.r_t / np.sqrt(rewards.var() + 1e-3), -10, 10)
        for found, expected in ((batch.s_tm1, s_tm1), (batch.s_t, s_t), (batch.r_t, r_t)):
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
        mean, std = policy(learner.params, s_tm1)
        log_prob = stats.norm.logpdf(trajectory.a_tm1, mean, std).sum(axis=1)
        np.testing.assert_allclose(batch.extra["log_prob"], log_prob, rtol=1e-4, atol=1e-4)
        v_tm1, v_t, advantage = values(learner.params, s_tm1), values(learner.params, s_t), 0.0
        for step in reversed(range(STEPS)):
            advantage = 0.0 if trajectory.ended[step] else 0.99 * 0.95 * advantage
            advantage += r_t[step] + trajectory.discount_t[step] * v_t[step] - v_tm1[step]
            np.testing.assert_allclose(batch.extra["advantage"][step], advantage, rtol=1e-3, atol=1e-3)
            np.testing.assert_allclose(batch.extra["return"][step], advantage + v_tm1[step], rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(batch.a_tm1, trajectories[-1].a_tm1)
    seen = np.concatenate([each.s_tm1 for each in trajectories])
    found = learner.statistics.observation
    assert (found.seen, learner.statistics.reward.seen) == (3 * STEPS, 3 * STEPS)
    np.testing.assert_allclose(found.mean, seen.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(found.squares / found.seen, seen.var(axis=0), rtol=1e-4)


@cache
def a_batch() -> Batch:
    """Return a batch whose probabilities are not quite those of the actor of seed 0."""
    agent = tiny_ppo()
    params = jax.tree.map(lambda leaf: 1.1 * leaf, random_params(agent))
    learner, _ = prepared(agent)(started(agent, params), random_trajectory(0))
    return rows(prepared(agent)(learner, random_trajectory(1))[1], np.arange(8))


def test_losses_equal_numpy() -> None:
    agent = tiny_ppo()
    params, batch = random_params(agent), a_batch()
    _, metrics = gradients_of(agent)(params, batch)
    mean, std = policy(params, batch.s_tm1)
    ratio = np.exp(stats.norm.logpdf(batch.a_tm1, mean, std).sum(axis=1) - batch.extra["log_prob"])
    advantage = batch.extra["advantage"].astype(np.float64)
    advantage = (advantage - advantage.mean()) / advantage.std()
    surrogate = np.minimum(ratio * advantage, np.clip(ratio, 0.8, 1.2) * advantage)
    found = values(params, batch.s_tm1)
    expected = {
        "policy_loss": -surrogate.mean(),
        "value_loss": np.mean((batch.extra["return"] - found) ** 2),
        "entropy": stats.norm.entropy(0, std).sum(),
        "mean_value": found.mean(),
        "clip_fraction": np.mean(abs(ratio - 1) > 0.2),
    }
    assert 0 < expected["clip_fraction"] < 1
    assert set(metrics) == set(expected)
    for name, number in expected.items():
        np.testing.assert_allclose(metrics[name], number, rtol=1e-4, err_msg=name)


def test_each_loss_reaches_its_own_part_alone() -> None:
    agent = tiny_ppo(kernel_l2=0.0)
    params, batch = random_params(agent), a_batch()
    found, _ = gradients_of(agent)(params, batch)
    assert all(bool(jnp.any(leaf != 0)) for leaf in jax.tree.leaves(found))

    def parts_that_notice(**extra):
        other, _ = gradients_of(agent)(params, batch._replace(extra=batch.extra | extra))
        same = jax.tree.map(lambda one, two: bool(jnp.all(one == two)), found, other)
        return {part for part, leaves in same.items() if not all(jax.tree.leaves(leaves))}

    assert parts_that_notice(**{"return": batch.extra["return"] + 1}) == {"value"}
    assert parts_that_notice(advantage=batch.extra["advantage"][::-1]) == {"actor", "raw_std"}
    assert parts_that_notice(log_prob=batch.extra["log_prob"] + 0.01) == {"actor", "raw_std"}
    # Halved weight of values, and decay of kernels.
    changed, _ = gradients_of(tiny_ppo(kernel_l2=0.1, value_weight=0.25, entropy_weight=0.5))(params, batch)
    decay = jax.tree.map(lambda leaf: 0.2 * leaf * (leaf.ndim > 1), params["params"])
    for part, factor in (("actor", 1.0), ("value", 0.5)):
        for a, b, c in zip(*map(jax.tree.leaves, (changed[part], found[part], decay[part])), strict=True):
            np.testing.assert_allclose(a, factor * b + c, rtol=1e-3, atol=1e-5)
    std = np.log1p(np.exp(params["params"]["raw_std"]))
    slope = 1 / std / (1 + np.exp(-params["params"]["raw_std"]))  # of log std
    np.testing.assert_allclose(changed["raw_std"], found["raw_std"] - 0.5 * slope, rtol=1e-3)


def test_a_pass_starts_from_the_policy_that_acted() -> None:
    agent = tiny_ppo()
    assert agent.acting is not None
    learner, _ = prepared(agent)(started(agent), random_trajectory(0))
    trajectory = random_trajectory(1)
    mean, std = policy(learner.params, normalized(trajectory.s_tm1, random_trajectory(0).s_tm1))
    actions = jax.jit(agent.act)(agent.acting(learner), trajectory.s_tm1, LEGAL, KEY)
    np.testing.assert_allclose((actions - mean) / std, jax.random.normal(KEY, mean.shape), rtol=1e-3, atol=1e-4)
    learner, batch = prepared(agent)(learner, trajectory._replace(a_tm1=actions))
    np.testing.assert_allclose(batch.extra["log_prob"], stats.norm.logpdf(actions, mean, std).sum(axis=1), rtol=1e-3)
    _, metrics = gradients_of(agent)(learner.params, rows(batch, np.arange(8)))
    assert metrics["clip_fraction"] == 0
    np.testing.assert_allclose(metrics["policy_loss"], 0, atol=1e-5)  # of advantages of mean zero


def test_acting() -> None:
    agent = tiny_ppo()
    assert agent.acting is not None
    assert agent.evaluate is not None
    params = random_params(agent)
    params["params"]["raw_std"] = jnp.full(ACTIONS, 3.0)
    given, observation = agent.acting(started(agent, params)), random_trajectory(0).s_tm1
    actions = jax.jit(agent.act)(given, observation, LEGAL, KEY)
    assert (actions.shape, actions.dtype) == ((STEPS, ACTIONS), jnp.float32)
    assert np.abs(actions).max() > 1  # the environment clips
    mean = jax.jit(agent.evaluate)(given, observation, LEGAL, KEY)
    # Before anything is seen, observations are divided by the root of 0.001.
    np.testing.assert_allclose(mean, policy(params, np.clip(observation / 1e-3**0.5, -5, 5))[0], rtol=1e-4, atol=1e-5)


def test_step_size_falls_with_every_trajectory() -> None:
    agent = tiny_ppo(passes=1, decay_updates=6, learning_rate=0.5, adam_epsilon=1e-12)  # two updates a trajectory
    params = {"w": jnp.ones(1)}
    state, steps = agent.optimizer.init(params), []
    for _ in range(8):
        step, state = agent.optimizer.update({"w": jnp.full(1, 0.1)}, state, params)
        steps.append(float(step["w"][0]))
    expected = -0.5 * np.array([1, 1, 2 / 3, 2 / 3, 1 / 3, 1 / 3, 0, 0])  # Adam's, of an unchanging gradient
    np.testing.assert_allclose(steps, expected, rtol=1e-4)


def test_decoupled_decay_falls_with_the_step_size() -> None:
    """As AdamW's: with one update a trajectory and a decay over two, it is whole, half, and then none."""
    settings = ("agent.trajectory_length=64", "agent.passes=1", "agent.decay_updates=2", "agent.learning_rate=0.1")
    decay = ("method.weight_decay.decoupled=true", "method.weight_decay.coefficient=0.5")
    spec = resolve(Request("mujoco", "ppo", methods=("weight_decay",), settings=(*settings, *decay)))[0].spec
    agent, methods = build(spec, MUJOCO["Hopper"])
    optimizer = wrap_optimizer(agent.optimizer, methods)
    params = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), jax.eval_shape(agent.init, KEY, jnp.zeros((1, 11))))
    zeros = jax.tree.map(jnp.zeros_like, params)
    state = optimizer.init(params)
    for expected in (-0.05, -0.025, 0.0):
        steps, state = optimizer.update(zeros, state, params, methods={})
        np.testing.assert_allclose(steps["params"]["actor"]["head"]["kernel"], expected, rtol=1e-6)
        np.testing.assert_array_equal(steps["params"]["raw_std"], 0)


def test_gradients_are_bounded_together() -> None:
    optimizer = tiny_ppo().optimizer
    gradients = {"actor": jnp.array([3.0]), "value": jnp.array([4.0])}
    for size, kept in ((1.0, 0.1), (0.05, 1.0)):  # norms 5 and 0.25, bound 0.5
        _, state = optimizer.update(
            jax.tree.map(lambda leaf, size=size: size * leaf, gradients), optimizer.init(gradients)
        )
        means = optax.tree.get(state, "mu")
        np.testing.assert_allclose(
            [means["actor"][0], means["value"][0]], 0.1 * kept * size * np.array([3, 4]), rtol=1e-5
        )


def test_published_plan_sizes_and_initialization() -> None:
    agent = ppo(6)
    params = jax.jit(agent.init)(KEY, jnp.zeros((1, 17)))["params"]
    for part in ("actor", "value"):
        kernel = np.asarray(params[part]["encoder"]["dense2"]["kernel"])
        np.testing.assert_allclose(kernel @ kernel.T, np.eye(64), atol=1e-5)
    assert 0.02 < np.abs(params["value"]["head"]["kernel"]).max() <= 0.03
    np.testing.assert_allclose(np.std(params["actor"]["head"]["kernel"]), np.sqrt(0.1 / 64), rtol=0.15)
    np.testing.assert_allclose(np.log1p(np.exp(params["raw_std"])), np.full(6, 0.35), rtol=1e-6)
    wide = jax.eval_shape(ppo(6, width=5).init, KEY, jnp.zeros((1, 17)))["params"]
    assert wide["actor"]["encoder"]["dense2"]["kernel"].shape == (320, 320)
    plan = agent.plan
    assert (plan.update_period, plan.updates_per_period, plan.batch_size, plan.warm_up) == (2048, 320, 64, 0)
    assert plan.nominal_updates(489 * 2048) == 156_480
    assert (plan.updates_by(2047), plan.updates_by(2048), plan.updates_by(4096)) == (0, 320, 640)
    assert (plan.replay, plan.epsilon(0), plan.target_update_period) == ("rollout", 0.0, 0)


def test_rows_that_would_be_left_out_are_refused() -> None:
    with pytest.raises(UsageError, match="trajectory_length"):
        tiny_ppo(batch_size=7)


def test_finds_the_way_to_the_origin() -> None:
    """Ten steps, truncated, in which a point moves by a / 2 and then pays its distance."""
    length = 128
    agent = ppo(
        1,
        hidden_units=16,
        hidden_layers=1,
        trajectory_length=length,
        batch_size=32,
        passes=4,
        learning_rate=3e-3,
        gamma=0.9,
    )
    assert None not in (agent.acting, agent.evaluate, agent.prepare, agent.statistics)
    step = gradient_step(wrap_optimizer(agent.optimizer, ()), (), {}, KEY)

    def live(given, s, key):
        """One step of the environment, and a new episode after every tenth."""
        count, s = s
        act_key, new_key = jax.random.split(key)
        a = agent.act(given, s[None], LEGAL, act_key)[0]
        s_t, ended = s + jnp.clip(a, -1, 1) / 2, count % 10 == 9
        new = jax.random.uniform(new_key, (1,), minval=-1)
        seen = Trajectory(s, a, -jnp.abs(s_t[0]), jnp.float32(0.9), s_t, ended)
        return (count + 1, jnp.where(ended, new, s_t)), seen

    def iteration(carry, key):
        learner, s = carry
        live_key, order_key = jax.random.split(key)
        s, trajectory = jax.lax.scan(partial(live, agent.acting(learner)), s, jax.random.split(live_key, length))
        learner, batch = agent.prepare(learner, trajectory)
        order = [jax.random.permutation(each, length).reshape(-1, 32) for each in jax.random.split(order_key, 4)]

        def update(learner, index):
            taken = jax.tree.map(lambda leaf: leaf[index], batch._replace(legal=()))
            learner, feedback = agent.update(learner, taken._replace(legal=LEGAL), key, step)
            return learner, feedback.metrics["value_loss"]

        learner, losses = jax.lax.scan(update, learner, jnp.concatenate(order))
        return (learner, s), (-jnp.mean(trajectory.r_t), jnp.mean(losses))

    params = agent.init(KEY, jnp.zeros((1, 1)))
    learner = init_learner(params, agent.optimizer, (), KEY)._replace(statistics=agent.statistics(jnp.zeros((1, 1))))
    start = (learner, (jnp.int32(0), jnp.zeros(1)))
    (learner, _), (distances, losses) = jax.jit(partial(jax.lax.scan, iteration))(start, jax.random.split(KEY, 60))
    assert np.mean(distances[-5:]) < 0.6 * np.mean(distances[:5])
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
    evaluate, s = jax.jit(agent.evaluate), np.array([[-0.9], [-0.5], [0.5], [0.9]], np.float32)
    for _ in range(6):
        s = s + np.asarray(evaluate(agent.acting(learner), s, LEGAL, KEY)) / 2
    assert np.abs(s).max() < 0.2


def method(name: str, agent: Agent, params, **changes: Value):
    context = Context(20, jax.eval_shape(lambda: params), agent.layers, 0.01)
    return registry.load("method", name)(published("method", name) | changes, context)


def test_pruned_weights_stay_zero() -> None:
    agent = tiny_ppo()
    params, batch = random_params(agent), a_batch()
    methods = (method("magnitude_pruning", agent, params, sparsity=0.7, mask_period=1),)
    learner, update = started(agent, params, methods), updater(agent, methods)
    for count in methods[0].due:
        learner, _ = update(learner, batch, due_signals(methods, count))
        masks = jax.tree.leaves(methods[0].masks(learner.methods["magnitude_pruning"]))
        for mask, leaf in zip(masks, (leaf for leaf in jax.tree.leaves(learner.params) if leaf.ndim > 1), strict=True):
            np.testing.assert_array_equal(np.asarray(leaf)[~np.asarray(mask)], 0.0)
    assert 1 - sum(int(mask.sum()) for mask in masks) / sum(mask.size for mask in masks) == pytest.approx(0.7, abs=0.05)
    assert {mask.ndim for mask in masks} == {2}


def intervened(agent: Agent, methods, params, updates: int):
    """Return a learner, and what a gradient step without gradients makes of it when `updates` went before."""
    optimizer = wrap_optimizer(optax.sgd(0.0), methods)
    learner = init_learner(params, optimizer, methods, KEY)

    def step(learner, signals):
        def view(gradients):
            fresh, states = partial(agent.init, observation=jnp.zeros((1, SIZE))), random_trajectory(0).s_tm1
            return View(None, gradients, jnp.asarray(states), fresh, agent.activations)

        gradients = jax.tree.map(jnp.zeros_like, params)
        return gradient_step(optimizer, methods, signals, KEY, view)(learner, gradients)

    return learner, jax.jit(step)(learner, due_signals(methods, updates))


def test_redo_recycles_dead_units_of_both_parts() -> None:
    agent = tiny_ppo(hidden_units=6)
    params = random_params(agent)
    dead = (("dense1", 2), ("dense2", 5))
    for part in ("actor", "value"):  # a unit without weights puts out 0, through tanh as well
        for layer, unit in dead:
            own = params["params"][part]["encoder"][layer]
            own["kernel"], own["bias"] = own["kernel"].at[:, unit].set(0), own["bias"].at[unit].set(0)
    methods = (method("redo", agent, params, period=2, threshold=0.0, statistics_batch=STEPS),)
    _, after = intervened(agent, methods, params, 1)
    assert len(connections_of(params, agent.layers)) == 4
    for part, squash in (("actor", np.tanh), ("value", partial(np.maximum, 0))):
        old, new = params["params"][part], after.params["params"][part]
        for layer, unit in dead:
            assert bool(jnp.any(new["encoder"][layer]["kernel"][:, unit] != 0))
        np.testing.assert_array_equal(new["encoder"]["dense2"]["kernel"][2], 0)
        np.testing.assert_array_equal(new["head"]["kernel"][5], 0)
        states = random_trajectory(0).s_tm1
        np.testing.assert_allclose(outputs(new, states, squash), outputs(old, states, squash), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(after.params["params"]["raw_std"], params["params"]["raw_std"])


def test_every_method_fits_the_tree() -> None:
    """A due step of each is traced, not compiled."""
    agent = tiny_ppo()
    params = random_params(agent)
    for name in sorted(set(registry.registered("method")) - {"lottery_ticket", "jaxpruner", "dense"}):
        periods = {key: 5 for key in ("period", "mask_period") if key in published("method", name)}
        layers: dict[str, Value] = {"layers": "all"} if "layers" in published("method", name) else {}
        methods = (method(name, agent, params, **periods, **layers),)
        before, after = jax.eval_shape(partial(intervened, agent, methods, updates=methods[0].due.start), params)
        assert jax.tree.structure(after) == jax.tree.structure(before)
        shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (before, after)]
        assert shapes[0] == shapes[1]
