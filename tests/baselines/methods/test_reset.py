"""Resets: which layers, whose moments, when, and that nothing else changes by a bit."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from baselines.methods.moments import zero_moments
from suite.contracts import registry
from suite.contracts.encoder import by_name
from suite.contracts.method import Method, View, due_signals, gradient_step, init_learner
from suite.errors import UsageError
from tests.support.layers import context_of

make = registry.load("method", "reset")


SETTINGS = {"period": 5, "layers": "last", "moments": "kernels", "end_fraction": 1.0}
STEPS = 20
NAMES = {
    "encoder/conv1/kernel", "encoder/conv1/bias", "encoder/conv1_norm/scale", "encoder/conv1_norm/bias",
    "encoder/dense/kernel", "encoder/dense/bias", "encoder/dense_norm/scale", "encoder/dense_norm/bias",
    "embedding/kernel", "embedding/bias", "head/kernel", "head/bias",
}  # fmt: skip
HEAD = {name for name in NAMES if name.startswith("head")}
CONVOLUTIONS = {name for name in NAMES if "conv" in name}
REACHED = {"last": HEAD, "dense": NAMES - CONVOLUTIONS, "convolutions": CONVOLUTIONS, "all": NAMES}


def params_of(key):
    """One leaf for each name, all of them random."""
    params: dict = {}
    values = jax.random.normal(key, (len(NAMES), 72))
    for index, name in enumerate(sorted(NAMES)):
        *layers, leaf = name.split("/")
        shape = (3, 3, 2, 4) if "conv1/kernel" in name else (4, 3) if leaf == "kernel" else (4,)
        tree = params
        for layer in layers:
            tree = tree.setdefault(layer, {})
        tree[leaf] = values[index, : math.prod(shape)].reshape(shape)
    return {"params": params}


def made(**changes) -> Method:
    return make(SETTINGS | changes, context_of(STEPS, jax.eval_shape(params_of, jax.random.key(0))))


def learner_of(method: Method, optimizer):
    """A learner with random moments and a target network of its own."""
    learner = init_learner(params_of(jax.random.key(0)), optimizer, [method], jax.random.key(0))
    state = jax.tree.map(lambda leaf: leaf + 2 if leaf.ndim == 0 else leaf + 0.5, learner.opt_state)
    return learner._replace(opt_state=state, target_params=params_of(jax.random.key(5)))


def view_of(gradients=None):
    return View(None, gradients, None, fresh=params_of, activations=lambda params, observation: {})


@pytest.mark.parametrize("moments", ["kernels", "all", "none"])
@pytest.mark.parametrize("layers", REACHED)
def test_what_is_reset_and_what_is_left(layers: str, moments: str) -> None:
    method = made(layers=layers, moments=moments)
    assert {*by_name(params_of(jax.random.key(0)))} == NAMES
    before = learner_of(method, optax.with_extra_args_support(optax.adam(0.1)))
    key = jax.random.key(3)
    after = jax.jit(lambda learner: method.intervene(key, learner, view_of(), ()))(before)
    old, new, fresh = by_name(before.params), by_name(after.params), by_name(params_of(key))
    for name in NAMES:
        np.testing.assert_array_equal(new[name], fresh[name] if name in REACHED[layers] else old[name])
    jax.tree.map(np.testing.assert_array_equal, after.target_params, before.target_params)
    zeroed = {
        name for name in REACHED[layers] if moments == "all" or (moments == "kernels" and name.endswith("kernel"))
    }
    for name in NAMES:
        for moment in (after.opt_state[0].mu, after.opt_state[0].nu):
            np.testing.assert_array_equal(by_name(moment)[name], 0 if name in zeroed else 0.5)
    assert after.opt_state[0].count == before.opt_state[0].count == 2


def test_the_order_within_a_due_step() -> None:
    """The update first, the reset next, and masked weights back to zero."""
    mask = jnp.arange(12).reshape(4, 3) % 2

    def masked(state, params):
        head = params["params"]["head"]
        return {"params": params["params"] | {"head": head | {"kernel": head["kernel"] * mask}}}

    methods = [Method("masked", project=masked), made()]
    optimizer = optax.with_extra_args_support(optax.sgd(0.5))
    step = jax.jit(
        lambda learner, gradients, signals: gradient_step(optimizer, methods, signals, jax.random.key(7), view_of)(
            learner, gradients
        )
    )
    learner = learner_of(methods[1], optimizer)._replace(methods={"masked": (), "reset": ()})
    gradients = jax.tree.map(jnp.ones_like, learner.params)
    calm = step(learner, gradients, due_signals(methods, 3))
    due = step(learner, gradients, due_signals(methods, 4))
    fresh = by_name(params_of(jax.random.fold_in(jax.random.key(7), len(methods) + 1)))
    for name, leaf in by_name(due.params).items():
        if name == "head/kernel":
            np.testing.assert_array_equal(leaf, fresh[name] * mask)
        else:
            np.testing.assert_array_equal(leaf, fresh[name] if name in HEAD else by_name(calm.params)[name])
    np.testing.assert_allclose(
        by_name(calm.params)["encoder/dense/bias"], by_name(learner.params)["encoder/dense/bias"] - 0.5, rtol=1e-6
    )


def test_every_reset_has_its_own_initialization() -> None:
    method, optimizer = made(), optax.with_extra_args_support(optax.adam(0.1))
    learner = learner_of(method, optimizer)
    kernels = [
        method.intervene(jax.random.key(seed), learner, view_of(), ()).params["params"]["head"]["kernel"]
        for seed in range(2)
    ]
    assert np.all(kernels[0] != kernels[1])


def test_moments_are_found_in_any_optimizer() -> None:
    params = params_of(jax.random.key(0))
    optimizer = optax.chain(optax.add_decayed_weights(0.1), optax.trace(0.9), optax.adam(0.1), optax.scale(-1.0))
    state = jax.tree.map(lambda leaf: leaf + 1, optimizer.init(params))
    where = jax.tree.map(lambda leaf: leaf > 0 if leaf.ndim > 1 else None, params)
    found = zero_moments(state, params, where)
    assert jax.tree.structure(found) == jax.tree.structure(state)
    for tree in (found[1].trace, found[2][0].mu, found[2][0].nu):
        for name, leaf in by_name(tree).items():
            expected = by_name(params)[name] <= 0 if name.endswith("kernel") else 1
            np.testing.assert_array_equal(leaf, expected)
    assert found[2][0].count == 1


def test_published_schedule(published) -> None:
    shapes = jax.eval_shape(params_of, jax.random.key(0))
    method = make(published("method", "reset"), context_of(2_500_000, shapes))
    assert [*method.due][:2] == [99_999, 199_999]
    assert [*method.due][-1] == 2_399_999  # one at 2.5 million would leave a network that nobody trains
    assert method.milestones == {"first reset": 100_000, "last reset": 2_400_000}
    half = make(published("method", "reset") | {"end_fraction": 0.5}, context_of(2_500_000, shapes))
    assert [*half.due][-1] == 1_199_999


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match=r"method\.reset\.period"):
        made(period=STEPS)
    with pytest.raises(UsageError, match=r"method\.reset\.layers"):
        make(SETTINGS, context_of(STEPS, {"params": {"other": {"kernel": jax.ShapeDtypeStruct((2, 2), jnp.float32)}}}))
