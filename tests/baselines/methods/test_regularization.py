"""Weight decay, L2 Init and unit-length features against their closed forms, one step at a time."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baselines.methods import l2_features
from baselines.methods.masks import apply_masks
from suite.contracts import registry
from suite.contracts.encoder import Layer
from suite.contracts.method import Context, Method, gradient_step, init_learner, wrap_optimizer
from suite.errors import UsageError
from suite.experience.observations import Frames
from suite.experience.samples import Windows
from suite.learning.build import build
from suite.learning.programs import Programs
from suite.rng import Streams
from suite.running.request import Request, resolve
from suite.tasks import Game
from tests.support.layers import context_of

RATE = 0.1
EPSILON = 1e-3
PARAMS = {"kernel": jnp.array([[1.0, -2.0], [0.5, 4.0]]), "bias": jnp.array([3.0, -1.0])}
GRADIENTS = {"kernel": jnp.array([[0.3, 0.0], [-0.2, 0.1]]), "bias": jnp.array([0.0, 0.4])}
CONTEXT = context_of(100, jax.eval_shape(lambda: PARAMS), learning_rate=RATE)
SGD, ADAM = optax.sgd(RATE), optax.adam(RATE, eps=EPSILON)


def decay(coefficient: float, *, decoupled: bool):
    return registry.load("method", "weight_decay")({"coefficient": coefficient, "decoupled": decoupled}, CONTEXT)


def pull(coefficient: float):
    return registry.load("method", "l2_init")({"coefficient": coefficient}, CONTEXT)


def started(optimizer, *methods):
    """Return a learner at the initial parameters, and a compiled step (learner, gradients) -> learner."""
    wrapped = wrap_optimizer(optimizer, methods)
    step = jax.jit(
        lambda learner, gradients: gradient_step(wrapped, methods, {}, jax.random.key(0))(learner, gradients)
    )
    return init_learner(PARAMS, wrapped, methods, jax.random.key(0)), step


def assert_params(learner, expected) -> None:
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-5, atol=1e-6), learner.params, expected)


def adams_first_step(gradient):
    """Both moments are unbiased at the first step: the gradient and its square."""
    return RATE * gradient / (jnp.abs(gradient) + EPSILON)


def test_coupled_decay_is_part_of_the_gradient() -> None:
    learner, step = started(SGD, decay(0.01, decoupled=False))
    expected = jax.tree.map(lambda now, slope: now - RATE * (slope + 0.01 * now), PARAMS, GRADIENTS)
    assert_params(step(learner, GRADIENTS), expected)
    learner, step = started(ADAM, decay(0.01, decoupled=False))
    expected = jax.tree.map(lambda now, slope: now - adams_first_step(slope + 0.01 * now), PARAMS, GRADIENTS)
    after = step(learner, GRADIENTS)
    assert_params(after, expected)
    assert np.all(np.asarray(after.params["bias"]) != np.asarray(PARAMS["bias"])), "biases too"


def test_decoupled_decay_does_not_pass_through_adam() -> None:
    learner, step = started(ADAM, decay(0.5, decoupled=True))
    expected = jax.tree.map(lambda now, slope: now - adams_first_step(slope) - RATE * 0.5 * now, PARAMS, GRADIENTS)
    assert_params(step(learner, GRADIENTS), expected)
    zeros = jax.tree.map(jnp.zeros_like, GRADIENTS)
    for _ in range(3):
        learner = step(learner, zeros)
    assert_params(learner, jax.tree.map(lambda now: 0.95**3 * now, PARAMS))


def test_decoupled_decay_equals_adamw() -> None:
    learner, step = started(ADAM, decay(0.3, decoupled=True))
    reference, params = optax.adamw(RATE, eps=EPSILON, weight_decay=0.3), PARAMS
    state = reference.init(params)
    for count in range(4):
        gradients = jax.tree.map(lambda slope, sign=(-1) ** count: sign * slope + 0.05, GRADIENTS)
        learner = step(learner, gradients)
        updates, state = reference.update(gradients, state, params)
        params = optax.apply_updates(params, updates)
    assert_params(learner, params)


def test_decoupled_decay_needs_a_learning_rate() -> None:
    decoupled = partial(registry.load("method", "weight_decay"), {"coefficient": 0.1, "decoupled": True})
    with pytest.raises(UsageError, match="learning rate"):
        decoupled(context_of(100, CONTEXT.shapes))


def test_l2_init_pulls_to_the_initial_values() -> None:
    learner, step = started(SGD, pull(0.5))
    jax.tree.map(np.testing.assert_array_equal, learner.methods["l2_init"], PARAMS)
    zeros = jax.tree.map(jnp.zeros_like, GRADIENTS)
    assert_params(step(learner, zeros), PARAMS)
    away = learner._replace(params=jax.tree.map(lambda leaf: leaf + 2.0, PARAMS))
    for _ in range(3):
        away = step(away, zeros)
    assert_params(away, jax.tree.map(lambda leaf: leaf + 2.0 * (1 - RATE * 0.5) ** 3, PARAMS))
    jax.tree.map(np.testing.assert_array_equal, away.methods["l2_init"], PARAMS)


def test_l2_init_passes_through_adam_and_adds_up_with_weight_decay() -> None:
    moved = jax.tree.map(lambda leaf: 1.5 * leaf, PARAMS)
    learner, step = started(ADAM, pull(0.2))
    expected = jax.tree.map(
        lambda now, then, slope: now - adams_first_step(slope + 0.2 * (now - then)), moved, PARAMS, GRADIENTS
    )
    assert_params(step(learner._replace(params=moved), GRADIENTS), expected)
    expected = jax.tree.map(
        lambda now, then, slope: now - RATE * (slope + 0.2 * (now - then) + 0.1 * now), moved, PARAMS, GRADIENTS
    )
    for methods in ([pull(0.2), decay(0.1, decoupled=False)], [decay(0.1, decoupled=False), pull(0.2)]):
        learner, step = started(SGD, *methods)
        assert_params(step(learner._replace(params=moved), GRADIENTS), expected)


@pytest.mark.parametrize(("name", "moves"), [("l2_init", False), ("weight_decay", True)])
def test_a_normalization_is_not_pulled_to_its_initial_values(name: str, moves: bool) -> None:
    """L2 Init's authors leave it out; weight decay has no mask in Dopamine, nor in AdamW."""
    params = {"dense": {"kernel": jnp.ones((2, 2))}, "dense_norm": {"scale": jnp.ones(2), "bias": jnp.ones(2)}}
    layers = Layer("dense", "dense"), Layer("dense_norm", "norm", of="dense")
    settings = {"coefficient": 0.5} | ({"decoupled": False} if name == "weight_decay" else {})
    method = registry.load("method", name)(settings, Context(100, jax.eval_shape(lambda: params), layers))
    optimizer = wrap_optimizer(SGD, [method])
    learner = init_learner(params, optimizer, [method], jax.random.key(0))
    away, zeros = (jax.tree.map(lambda leaf, value=value: value * leaf, params) for value in (3.0, 0.0))
    steps, _ = optimizer.update(zeros, learner.opt_state, away, methods=learner.methods)
    moved = {path[-1].key: bool(jnp.all(leaf != 0)) for path, leaf in jax.tree_util.tree_leaves_with_path(steps)}
    assert moved == {"kernel": True, "scale": moves, "bias": moves}


@pytest.mark.parametrize("first", ["l2_init", "other"])
def test_l2_init_leaves_alone_what_a_mask_holds_at_zero(first: str) -> None:
    mask = {"kernel": jnp.array([[True, False], [False, True]]), "bias": None}
    other = Method(
        "other",
        init=lambda key, params: {"masks": mask, "count": jnp.zeros((2, 2))},
        project=lambda state, params: apply_masks(params, state["masks"]),
    )
    learner, step = started(ADAM, *sorted((pull(0.5), other), key=lambda method: method.id != first))
    zeros = jax.tree.map(jnp.zeros_like, GRADIENTS)
    np.testing.assert_array_equal(learner.params["kernel"], [[1, 0], [0, 4]])
    away = learner._replace(params=jax.tree.map(lambda leaf: leaf + 2.0 * (leaf != 0), learner.params))
    after = step(away, zeros)
    np.testing.assert_allclose(after.opt_state[0].mu["kernel"], [[0.1, 0], [0, 0.1]], rtol=1e-5)
    np.testing.assert_allclose(after.opt_state[0].mu["bias"], 0.1, rtol=1e-5)


FEATURES = arrays(np.float32, (2, 5), elements=st.floats(-1e3, 1e3, width=32))


@given(features=FEATURES)
def test_features_have_unit_length(features) -> None:
    unit, norms = np.asarray(l2_features.unit_length(features)), np.linalg.norm(features.astype(np.float64), axis=1)
    for row, original, norm in zip(unit, features, norms, strict=True):
        if norm > 1e-2:
            np.testing.assert_allclose(np.linalg.norm(row), 1, rtol=1e-5)
            np.testing.assert_allclose(row, original / norm, rtol=1e-5, atol=1e-12)
        assert np.linalg.norm(row) <= 1 + 1e-5


@given(features=FEATURES.filter(lambda rows: np.all(np.linalg.norm(rows, axis=1) > 0.1)), cotangent=FEATURES)
def test_the_gradient_has_no_part_along_the_features(features, cotangent) -> None:
    _, pullback = jax.vjp(l2_features.unit_length, jnp.asarray(features))
    norms = np.linalg.norm(features.astype(np.float64), axis=1, keepdims=True)
    unit = features / norms
    expected = (cotangent - unit * np.sum(unit * cotangent, axis=1, keepdims=True)) / norms
    scale = np.max(np.abs(cotangent)) / norms.min() + 1e-12
    np.testing.assert_allclose(pullback(jnp.asarray(cotangent))[0], expected, atol=1e-4 * scale)


def test_zero_features_stay_zero_and_have_a_finite_gradient() -> None:
    def through_relu(x):
        return jnp.sum(l2_features.unit_length(nn.relu(x))[:, 0])

    np.testing.assert_array_equal(l2_features.unit_length(jnp.zeros((1, 3))), 0)
    assert np.all(np.isfinite(jax.grad(lambda x: jnp.sum(l2_features.unit_length(x)))(jnp.zeros((1, 3)))))
    np.testing.assert_array_equal(jax.grad(through_relu)(-jnp.ones((1, 3))), 0)


class Tiny(nn.Module):
    """Every twelfth pixel, and one hidden layer."""

    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = observation[:, ::12, ::12].astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0
        return nn.relu(nn.Dense(6, kernel_init=self.kernel_init, name="dense")(x))


def q_values(params, observation, *, unit: bool):
    """Return action values in double precision."""
    dense, head = (
        {name: np.asarray(leaf, np.float64) for name, leaf in layer.items()}
        for layer in (params["params"]["encoder"]["dense"], params["params"]["head"])
    )
    pixels = np.asarray(observation)[:, ::12, ::12].astype(np.float64).reshape(len(observation), -1) / 255
    hidden = np.maximum(pixels @ dense["kernel"] + dense["bias"], 0)
    if unit:
        hidden /= np.linalg.norm(hidden, axis=1, keepdims=True)
    return hidden @ head["kernel"] + head["bias"]


@pytest.mark.parametrize("method", ["l2_features", "dense"])
def test_acting_target_and_online_network_all_have_unit_features(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    load = registry.load

    def load_tiny(kind, name):
        return load(kind, name) if kind != "network" else lambda settings, *, kernel_init: Tiny(kernel_init)

    monkeypatch.setattr(registry, "load", load_tiny)
    actions, unit = 4, method == "l2_features"
    spec = resolve(Request("smoke", network="nature_cnn", methods=(method,)))[0].spec
    agent, methods = build(spec, Game("tiny", "", actions, None, None, 0))
    programs = Programs(agent, methods, Frames(4, 84), actions)
    learner = programs.init(Streams("smoke", "Pong", 0))
    target = jax.tree.map(lambda leaf: leaf.copy(), programs.init(Streams("smoke", "Pong", 1)).params)
    learner = learner._replace(target_params=target)
    rng = np.random.default_rng(0)
    size = agent.plan.batch_size
    frames = rng.integers(0, 256, (size, 5, 84, 84), dtype=np.uint8)
    windows = Windows(
        frames,
        rng.integers(0, actions, size).astype(np.int32),
        rng.normal(size=size).astype(np.float32),
        np.full(size, 0.99, np.float32),
    )
    states, following = (np.moveaxis(part, 1, -1) for part in (frames[:, :4], frames[:, 1:]))
    online, later = q_values(learner.params, states, unit=unit), q_values(target, following, unit=unit)
    acted = jax.jit(agent.act)(learner.params, states, jnp.ones(actions, jnp.bool_), jax.random.key(0))
    np.testing.assert_array_equal(acted, online.argmax(axis=1))
    error = windows.r_t + 0.99 * later.max(axis=1) - online[np.arange(size), windows.a_tm1]
    before = jax.tree.map(np.asarray, learner.params)
    after, feedback = programs.update(learner, Streams("smoke", "Pong", 0), 0, windows)
    np.testing.assert_allclose(feedback.metrics["loss"], np.mean(error**2), rtol=1e-4)
    assert jax.tree.structure(before) == jax.tree.structure(target), "parameters keep their names"
    assert not np.array_equal(
        after.params["params"]["encoder"]["dense"]["kernel"], before["params"]["encoder"]["dense"]["kernel"]
    )
