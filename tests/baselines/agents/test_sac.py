"""SAC's combined step against three separate ones, what each loss may touch, and problems with known answers."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from suite.contracts import registry
from suite.contracts.agent import Agent, Batch, Learner
from suite.contracts.card import Value
from suite.contracts.encoder import connections_of
from suite.contracts.method import Context, View, due_signals, gradient_step, init_learner, wrap_optimizer

pytestmark = pytest.mark.slow

SIZE, ACTIONS, ROWS = 3, 2, 8
LEGAL = jnp.ones(ACTIONS, jnp.bool_)
KEY = jax.random.key(7)
GROUPS = ("actor", "critic1", "critic2")


@cache
def published(kind: registry.Kind, name: str) -> dict[str, Value]:
    return {key: setting.value for key, setting in registry.card(kind, name).settings.items()}


def sac(actions: int = ACTIONS, width: int = 1, **settings: Value) -> Agent:
    """Build SAC with some settings replaced."""
    encoder = partial(registry.load("network", "mlp"), {"width": width})
    return registry.load("agent", "sac")(published("agent", "sac") | settings, encoder, actions)


@cache
def tiny_sac(**settings: Value) -> Agent:
    """Build SAC with four units a layer, once for the same settings."""
    return sac(**{"hidden_units": 4, "batch_size": ROWS} | settings)


def random_params(agent: Agent, seed: int = 0, size: int = SIZE, scale: float = 0.6):
    """Return parameters of the right shapes without compiling their initialization."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(agent.init, KEY, jnp.zeros((1, size)))
    return jax.tree.map(
        lambda leaf: jnp.asarray(rng.normal(0, scale if leaf.ndim > 1 else 0.1, leaf.shape), jnp.float32), shapes
    )


def random_batch(seed: int, rows: int = ROWS) -> Batch:
    rng = np.random.default_rng(seed)
    return Batch(
        s_tm1=jnp.asarray(rng.normal(size=(rows, SIZE)), jnp.float32),
        a_tm1=jnp.asarray(rng.uniform(-1, 1, (rows, ACTIONS)), jnp.float32),
        r_t=jnp.asarray(rng.normal(size=rows), jnp.float32),
        discount_t=jnp.asarray(0.99 * rng.integers(0, 2, rows), jnp.float32),
        s_t=jnp.asarray(rng.normal(size=(rows, SIZE)), jnp.float32),
        weight=jnp.ones(rows),
        legal=LEGAL,
    )


@cache
def gradients_of(agent: Agent):
    """Return a compiled function from parameters, target parameters and a batch to the gradients of an update."""

    def gradients(params, target_params, batch):
        def keep(learner, found):
            return learner._replace(methods=found["params"])

        learner, _ = agent.update(Learner(params, target_params, (), {}), batch, KEY, keep)
        return learner.methods

    return jax.jit(gradients)


def updater(agent: Agent, methods=()):
    """Return a compiled update (learner, batch, key, signals) -> (learner, feedback), as the suite makes it."""
    optimizer = wrap_optimizer(agent.optimizer, methods)
    return jax.jit(
        lambda learner, batch, key, signals: agent.update(
            learner, batch, key, gradient_step(optimizer, methods, signals, key)
        )
    )


def observed():
    return random_batch(1, 32).s_tm1


def intervened(agent: Agent, methods, params, updates: int, states=None):
    """Return a learner, and what a gradient step without gradients makes of it when `updates` went before."""
    optimizer = wrap_optimizer(optax.sgd(0.0), methods)
    learner = init_learner(params, optimizer, methods, KEY)

    def step(learner, signals):
        def view(gradients):
            fresh = partial(agent.init, observation=jnp.zeros((1, SIZE)))
            return View(random_batch(0), gradients, states, fresh, agent.activations)

        gradients = jax.tree.map(jnp.zeros_like, params)
        return gradient_step(optimizer, methods, signals, KEY, view)(learner, gradients)

    return learner, jax.jit(step)(learner, due_signals(methods, updates))


def dense(layer, x):
    return x @ layer["kernel"] + layer["bias"]


def outputs(part, x):
    for layer in sorted(part["encoder"]):
        x = jnp.maximum(dense(part["encoder"][layer], x), 0)
    return dense(part["head"], x)


def sampled(actor, observation, key):
    """Return an action and its log-density, by the change of variables as it stands."""
    numbers = outputs(actor, observation).reshape(len(observation), -1, 2)
    mean, std = numbers[..., 0], jnp.exp(numbers[..., 1])
    noise = jax.random.normal(key, mean.shape)
    action = jnp.tanh(mean + std * noise)
    log_prob = -(noise**2) / 2 - jnp.log(std) - jnp.log(2 * jnp.pi) / 2 - jnp.log1p(-(action**2))
    return action, log_prob.sum(axis=-1)


def value(critic, observation, action):
    return outputs(critic, jnp.concatenate([observation, action], axis=1))[:, 0]


def separate_losses(params, target, batch: Batch, settings):
    """Return a loss for each part of the parameters, as a function of that part alone."""
    next_key, own_key = jax.random.split(KEY)
    alpha = jnp.exp(params["log_alpha"])
    a_t, log_prob_t = sampled(params["actor"], batch.s_t, next_key)
    q_t = jnp.minimum(*(value(target[critic], batch.s_t, a_t) for critic in GROUPS[1:]))
    td_target = settings["reward_scale"] * batch.r_t + batch.discount_t * (q_t - alpha * log_prob_t)

    def decay(part):
        kernels = (leaf for leaf in jax.tree.leaves(part) if leaf.ndim == 2)
        return settings["kernel_l2"] * sum((leaf**2).sum() for leaf in kernels)

    def critic_loss(critic):
        return 0.5 * (jnp.mean((value(critic, batch.s_tm1, batch.a_tm1) - td_target) ** 2) + decay(critic))

    def actor_loss(actor):
        action, log_prob = sampled(actor, batch.s_tm1, own_key)
        q = jnp.minimum(*(value(params[critic], batch.s_tm1, action) for critic in GROUPS[1:]))
        return jnp.mean(alpha * log_prob - q) + decay(actor)

    def alpha_loss(log_alpha):
        _, log_prob = sampled(params["actor"], batch.s_tm1, own_key)
        return jnp.mean(log_alpha * (-log_prob - settings["target_entropy"] * ACTIONS))

    return {"actor": actor_loss, "critic1": critic_loss, "critic2": critic_loss, "log_alpha": alpha_loss}


def test_one_step_equals_separate_ones() -> None:
    changes = {"kernel_l2": 0.03, "learning_rate": 0.01, "reward_scale": 0.5, "adam_epsilon": 1e-3, "tau": 0.1}
    changes["target_entropy"] = -0.7
    agent, settings = tiny_sac(hidden_layers=1, **changes), published("agent", "sac") | changes
    update = updater(agent)
    adam = optax.adam(0.01, eps=1e-3)
    learner = init_learner(random_params(agent, scale=0.3), agent.optimizer, (), KEY)
    learner = learner._replace(target_params=random_params(agent, seed=1))
    params, target = learner.params["params"], learner.target_params["params"]
    states = {part: adam.init(params[part]) for part in params}

    @jax.jit
    def reference(params, target, states, batch):
        losses = separate_losses(params, target, batch, settings)
        steps = {part: adam.update(jax.grad(losses[part])(params[part]), states[part]) for part in losses}
        return {part: optax.apply_updates(params[part], step) for part, (step, _) in steps.items()}, {
            part: state for part, (_, state) in steps.items()
        }

    for count in range(3):
        batch = random_batch(count)
        learner, feedback = update(learner, batch, KEY, {})
        params, states = reference(params, target, states, batch)
        for part in GROUPS[1:]:
            target |= {part: jax.tree.map(lambda old, new: 0.9 * old + 0.1 * new, target[part], params[part])}
        for found, expected in ((learner.params, params), (learner.target_params, target)):
            jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-6), found["params"], expected)
    assert set(feedback.metrics) == {"critic_loss", "actor_loss", "alpha", "mean_q", "entropy"}


def differing(one, other) -> set[str]:
    """Return the parts of two trees of gradients that are not equal to the last bit."""
    return {
        part
        for part in one
        if any(not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, (one[part], other[part])), strict=True))
    }


def with_temperature(params, log_alpha: float):
    return {"params": params["params"] | {"log_alpha": jnp.float32(log_alpha)}}


def test_each_loss_reaches_its_own_part_alone() -> None:
    agent = tiny_sac()
    params, target, batch = random_params(agent), random_params(agent, seed=1), random_batch(0)
    gradients = gradients_of(agent)
    found = gradients(params, target, batch)
    # Rewards, next states and target critics are seen by the critics' loss, and by no other.
    for other in (batch._replace(r_t=batch.r_t + 1), batch._replace(s_t=-batch.s_t)):
        assert differing(found, gradients(params, target, other)) == {"critic1", "critic2"}
    assert differing(found, gradients(params, params, batch)) == {"critic1", "critic2"}
    # The temperature's gradient is not in those of the others' losses, in which it stands.
    assert differing(found, gradients(with_temperature(params, 1.0), target, batch)) == {"actor", "critic1", "critic2"}
    # A transition after which nothing follows does not look at the next state.
    last = batch._replace(discount_t=jnp.zeros(ROWS))
    assert not differing(gradients(params, target, last), gradients(params, target, last._replace(s_t=-last.s_t)))


def test_the_lower_of_two_critics_counts() -> None:
    agent = tiny_sac()
    params, target, batch = random_params(agent), random_params(agent, seed=1), random_batch(0)
    gradients = gradients_of(agent)

    def shifted(tree, part: str, by: float):
        head = tree["params"][part]["head"]
        return {"params": tree["params"] | {part: tree["params"][part] | {"head": head | {"bias": head["bias"] + by}}}}

    high = shifted(target, "critic1", 1e3)
    assert not differing(gradients(params, high, batch), gradients(params, shifted(high, "critic1", 1e3), batch))
    assert differing(gradients(params, high, batch), gradients(params, shifted(high, "critic2", -1), batch))
    high = shifted(params, "critic1", 1e3)
    only_second = {"params": high["params"] | {"critic1": high["params"]["critic2"]}}
    actor, expected = (gradients(each, target, batch)["actor"] for each in (high, only_second))
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), actor, expected)


def test_acting() -> None:
    agent = tiny_sac()
    params, observation = random_params(agent), random_batch(0, 50).s_tm1
    actor, key = params["params"]["actor"], jax.random.key(3)
    assert agent.evaluate is not None
    act, evaluate = jax.jit(agent.act), jax.jit(agent.evaluate)
    actions = act(params, observation, LEGAL, key)
    assert (actions.shape, actions.dtype) == ((50, ACTIONS), jnp.float32)
    np.testing.assert_allclose(actions, jax.jit(sampled)(actor, observation, key)[0], rtol=1e-5, atol=1e-6)
    assert not np.array_equal(actions, act(params, observation, LEGAL, jax.random.key(4)))
    mean = outputs(jax.tree.map(np.asarray, actor), np.asarray(observation)).reshape(50, ACTIONS, 2)[..., 0]
    np.testing.assert_allclose(evaluate(params, observation, LEGAL, key), np.tanh(mean), rtol=1e-5, atol=1e-6)


def test_published_plan_and_sizes() -> None:
    agent = sac(6, width=5)
    shapes = jax.eval_shape(agent.init, KEY, jnp.zeros((1, 17)))["params"]
    assert shapes["actor"]["encoder"]["dense1"]["kernel"].shape == (17, 1280)
    assert shapes["critic2"]["encoder"]["dense1"]["kernel"].shape == (23, 1280)
    assert shapes["critic1"]["encoder"]["dense2"]["kernel"].shape == (1280, 1280)
    assert shapes["actor"]["head"]["kernel"].shape == (1280, 12)
    assert shapes["log_alpha"].shape == ()
    plan = agent.plan
    assert (plan.capacity, plan.batch_size, plan.gamma, plan.warm_up) == (1_000_000, 256, 0.99, 1000)
    assert (plan.updates_by(1000), plan.updates_by(1001), plan.nominal_updates(1_000_000)) == (0, 1, 1_000_000)
    assert (plan.replay, plan.target_update_period, plan.epsilon(0)) == ("uniform", 0, 0.0)


def trained(agent: Agent, transitions, updates: int, size: int):
    """Return the learner after updates, and their metrics; `transitions(key)` makes each batch."""
    step = gradient_step(wrap_optimizer(agent.optimizer, ()), (), {}, KEY)

    def update(learner, key):
        batch_key, own_key = jax.random.split(key)
        learner, feedback = agent.update(learner, transitions(batch_key), own_key, step)
        return learner, feedback.metrics

    learner = init_learner(random_params(agent, size=size), agent.optimizer, (), KEY)
    return jax.jit(lambda learner: jax.lax.scan(update, learner, jax.random.split(KEY, updates)))(learner)


def test_finds_the_way_to_the_origin() -> None:
    """A point moves by a / 2 and pays for its squared distance before it: only looking ahead tells actions apart."""
    agent = sac(1, hidden_units=16, hidden_layers=1, learning_rate=5e-3, kernel_l2=0.0, reward_scale=1.0, tau=0.05)

    def transitions(key):
        s, a = jax.random.uniform(key, (2, 64, 1), minval=-1)
        return Batch(s, a, -5 * s[:, 0] ** 2, jnp.full(64, 0.8), s + a / 2, jnp.ones(64), LEGAL)

    learner, metrics = trained(agent, transitions, 1000, 1)
    assert agent.evaluate is not None
    evaluate, s = jax.jit(agent.evaluate), np.array([[-0.9], [-0.6], [0.0], [0.6], [0.9]], np.float32)
    for _ in range(4):
        s = s + np.asarray(evaluate(learner.params, s, LEGAL, KEY)) / 2
    assert np.abs(s).max() < 0.15
    np.testing.assert_allclose(np.mean(metrics["entropy"][-100:]), -0.5, atol=0.15)  # where the temperature holds it
    assert metrics["alpha"][-1] < 1


def kernels(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]


def method(name: str, agent: Agent, params, **changes: Value):
    context = Context(20, jax.eval_shape(lambda: params), agent.layers, 0.01)
    return registry.load("method", name)(published("method", name) | changes, context)


def test_pruned_weights_stay_zero_and_the_targets_follow() -> None:
    agent = tiny_sac(learning_rate=0.01, tau=0.5, hidden_layers=1)
    params = random_params(agent)
    methods = (method("magnitude_pruning", agent, params, sparsity=0.7, mask_period=1),)
    update = updater(agent, methods)
    learner = init_learner(params, wrap_optimizer(agent.optimizer, methods), methods, KEY)
    for count in methods[0].due:
        before = learner.target_params["params"]
        learner, _ = update(learner, random_batch(count), KEY, due_signals(methods, count))
        masks = methods[0].masks(learner.methods["magnitude_pruning"])
        for mask, leaf in zip(jax.tree.leaves(masks), kernels(learner.params), strict=True):
            np.testing.assert_array_equal(np.asarray(leaf)[~np.asarray(mask)], 0.0)
        now, after = learner.params["params"], learner.target_params["params"]
        for part in GROUPS[1:]:
            middle = jax.tree.map(lambda old, new: (np.asarray(old) + np.asarray(new)) / 2, before[part], now[part])
            jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-7), after[part], middle)
    share = 1 - sum(int(mask.sum()) for mask in jax.tree.leaves(masks)) / sum(leaf.size for leaf in kernels(params))
    assert share == pytest.approx(0.7, abs=0.05)
    assert all(bool(jnp.all(leaf != 0)) for leaf in jax.tree.leaves(learner.params) if leaf.ndim < 2)


def test_redo_recycles_dead_units_of_every_part() -> None:
    agent = tiny_sac(hidden_units=6)
    params = random_params(agent)
    for part in GROUPS:
        for layer, unit in (("dense1", 2), ("dense2", 5)):
            own = params["params"][part]["encoder"][layer]
            own["bias"] = own["bias"].at[unit].set(-1e6)
    states = observed()
    methods = (method("redo", agent, params, period=2, threshold=0.0, statistics_batch=32),)
    assert all(
        bool(jnp.all(units[:, 2 if "1" in name[-1] else 5] == 0))
        for name, units in jax.jit(agent.activations)(params, states).items()
    )
    _, after = intervened(agent, methods, params, 1, states)
    assert len(connections_of(params, agent.layers)) == 6
    for part in GROUPS:
        old, new = params["params"][part], after.params["params"][part]
        for layer, unit in (("dense1", 2), ("dense2", 5)):
            assert new["encoder"][layer]["bias"][unit] == 0
            assert not np.array_equal(
                new["encoder"][layer]["kernel"][:, unit], old["encoder"][layer]["kernel"][:, unit]
            )
        np.testing.assert_array_equal(new["encoder"]["dense2"]["kernel"][2], 0)
        np.testing.assert_array_equal(new["head"]["kernel"][5], 0)
        inputs = states if part == "actor" else jnp.concatenate([states, states[:, :ACTIONS]], axis=1)
        np.testing.assert_allclose(outputs(new, inputs), outputs(old, inputs), rtol=1e-5, atol=1e-6)


def test_every_method_fits_the_tree() -> None:
    """A due step of each is traced, not compiled."""
    agent = tiny_sac()
    params = random_params(agent)
    for name in sorted(set(registry.registered("method")) - {"lottery_ticket", "jaxpruner", "dense"}):
        periods = {key: 5 for key in ("period", "mask_period") if key in published("method", name)}
        layers: dict[str, Value] = {"layers": "all"} if "layers" in published("method", name) else {}
        methods = (method(name, agent, params, **periods, **layers),)
        due = methods[0].due.start
        before, after = jax.eval_shape(partial(intervened, agent, methods, updates=due, states=observed()), params)
        assert jax.tree.structure(after) == jax.tree.structure(before)
        shapes = [[leaf.shape for leaf in jax.tree.leaves(tree)] for tree in (before, after)]
        assert shapes[0] == shapes[1]
