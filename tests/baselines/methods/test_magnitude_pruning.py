"""Gradual magnitude pruning against JaxPruner's vectors, and the order of what happens in a gradient step."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from baselines.methods.magnitude_pruning import sparsity_fraction
from baselines.methods.masks import layer_sparsities
from suite.contracts import registry
from suite.contracts.agent import Learner
from suite.contracts.method import due_signals, gradient_step, init_learner
from suite.errors import UsageError
from tests.support.layers import context_of

make = registry.load("method", "magnitude_pruning")

DATA = Path(__file__).parents[2] / "data"
VECTORS = {**np.load(DATA / "jaxpruner_magnitude.npz"), **np.load(DATA / "jaxpruner_sparse.npz")}
STEPS = 24
SETTINGS = {
    "sparsity": 0.9,
    "distribution": "uniform",
    "start_fraction": 4 / STEPS,
    "end_fraction": 16 / STEPS,
    "mask_period": 4,
}
RUNS = {
    "magnitude_erk_sgd": ("erk", optax.sgd(0.1)),
    "magnitude_uniform_sgd": ("uniform", optax.sgd(0.1)),
    "magnitude_uniform_adam": ("uniform", optax.adam(1e-2, eps=1.5e-4)),
    "global_magnitude_sgd": ("global", optax.sgd(0.1)),
    "global_magnitude_adam": ("global", optax.adam(1e-2, eps=1.5e-4)),
}


def vector_tree(prefix: str):
    tree: dict[str, dict[str, np.ndarray]] = {}
    for name in [name for name in VECTORS if name.startswith(f"{prefix}/")]:
        layer, leaf = name.split("/")[-2:]
        tree.setdefault(layer, {})[leaf] = VECTORS[name]
    return tree


def shapes_of(params):
    return jax.eval_shape(lambda: params)


def stepper(optimizer, method):
    """Return a compiled function (learner, gradients, signals) -> learner: the suite's own gradient step."""
    optimizer = optax.with_extra_args_support(optimizer)
    return jax.jit(
        lambda learner, gradients, signals: gradient_step(optimizer, [method], signals, jax.random.key(0))(
            learner, gradients
        )
    )


def start(params, optimizer, method) -> Learner:
    return init_learner(params, optax.with_extra_args_support(optimizer), [method], jax.random.key(0))


@pytest.mark.parametrize("run", RUNS)
def test_every_step_equals_jaxpruner(run: str) -> None:
    distribution, optimizer = RUNS[run]
    params = jax.tree.map(jnp.asarray, vector_tree("in/params"))
    method = make(SETTINGS | {"distribution": distribution}, context_of(STEPS, shapes_of(params)))
    learner, step = start(params, optimizer, method), stepper(optimizer, method)
    for count in range(STEPS):
        learner = step(learner, vector_tree(f"in/grads/{count:02}"), due_signals([method], count))
        masks = method.masks(learner.methods[method.id])
        for layer, leaves in vector_tree(f"{run}/masks/{count + 1:02}").items():
            expected = np.unpackbits(leaves["kernel"])[: masks[layer]["kernel"].size]
            np.testing.assert_array_equal(np.asarray(masks[layer]["kernel"]).ravel(), expected)
        leaves = jax.tree.leaves(learner.params)
        sparsity = sum(int(np.sum(leaf == 0)) for leaf in leaves) / sum(leaf.size for leaf in leaves)
        np.testing.assert_allclose(sparsity, VECTORS[f"{run}/total_sparsity_after_step"][count], rtol=1e-6)
        for layer, leaves in vector_tree(f"{run}/params/{count + 1:02}").items():
            for name, expected in leaves.items():
                np.testing.assert_allclose(learner.params[layer][name], expected, rtol=1e-5, atol=1e-7)
    assert step._cache_size() == 2, "one program for ordinary and one for due steps, whatever the counts"
    if run.endswith("adam"):
        adam = learner.opt_state[0]
        for moment, found in (("adam_mu", adam.mu), ("adam_nu", adam.nu)):
            for layer, leaves in vector_tree(f"{run}/{moment}/24").items():
                np.testing.assert_allclose(found[layer]["kernel"], leaves["kernel"], rtol=1e-5, atol=1e-8)
                assert np.all(found[layer]["kernel"] != 0), "moments stay dense"


def test_schedule_equals_jaxpruner() -> None:
    params = vector_tree("in/params")
    method = make(SETTINGS, context_of(STEPS, shapes_of(params)))
    due = [count in method.due for count in range(STEPS)]
    np.testing.assert_array_equal(due, VECTORS["schedule/is_update_freq4_start4_end16"])
    found = [0.95 * sparsity_fraction(count, 4, 16) for count in range(STEPS)]
    np.testing.assert_allclose(found, VECTORS["schedule/polynomial_target0.95_start4_end16"], atol=1e-7)
    assert method.milestones == {"pruning starts": 4, "pruning ends": 16}


def test_order_within_a_due_step() -> None:
    """On the loss (a.w - 24)**2 / 2, every other order of gradient, mask, update and projection gives other numbers."""
    a = jnp.array([[1.0, 1.0, 1.0, 5.0]])
    params = {"kernel": jnp.array([[4.0, 3.0, 2.0, 1.0]])}
    settings = SETTINGS | {"sparsity": 0.5, "start_fraction": 0.0, "end_fraction": 0.1, "mask_period": 2}
    method, optimizer = make(settings, context_of(10, shapes_of(params))), optax.sgd(0.1)
    learner, step = start(params, optimizer, method), stepper(optimizer, method)
    gradient = jax.grad(lambda params: 0.5 * (jnp.sum(a * params["kernel"]) - 24.0) ** 2)

    learner = step(learner, gradient(learner.params), due_signals([method], 0))
    # Residual 14 - 24 = -10, so the update is +1, +1, +1, +5 and leads to 5, 4, 3, 6; the mask keeps the largest two
    # of 4, 3, 2, 1. From the updated weights it would keep 5 and 6; a gradient under the new mask would give 5.7, 4.7.
    np.testing.assert_allclose(learner.params["kernel"], [[5.0, 4.0, 0.0, 0.0]], rtol=1e-6)
    np.testing.assert_array_equal(learner.target_params["kernel"], params["kernel"])

    assert due_signals([method], 1) == {}
    learner = step(learner, gradient(learner.params), {})
    np.testing.assert_allclose(learner.params["kernel"], [[6.5, 5.5, 0.0, 0.0]], rtol=1e-6)


@pytest.mark.parametrize("distribution", ["erk", "uniform", "global"])
def test_sparsity_is_exact_and_masks_only_shrink(distribution: str) -> None:
    params = jax.tree.map(jnp.asarray, vector_tree("in/params"))
    settings = SETTINGS | {
        "sparsity": 0.95, "distribution": distribution, "start_fraction": 0.2, "end_fraction": 0.8, "mask_period": 5,
    }  # fmt: skip
    context = context_of(100, shapes_of(params))
    method, optimizer = make(settings, context), optax.adam(1e-2)
    learner, step = start(params, optimizer, method), stepper(optimizer, method)
    rng = np.random.default_rng(1)
    refreshes = 0
    for count in range(100):
        before, signals = learner, due_signals([method], count)
        gradients = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), params)
        learner = step(learner, gradients, signals)
        refreshes += bool(signals)
        for layer, mask in learner.methods[method.id].items():
            old, new = np.asarray(before.methods[method.id][layer]["kernel"]), np.asarray(mask["kernel"])
            assert mask["bias"] is None
            assert np.all(new <= old)
            assert np.all(np.asarray(learner.params[layer]["kernel"])[~new] == 0)
            assert np.all(np.asarray(learner.params[layer]["bias"]) != 0)
            if not signals:
                np.testing.assert_array_equal(new, old)
        if signals:
            counts = jax.tree.map(lambda mask: int(mask.sum()), learner.methods[method.id])
            wanted = jax.tree.map(int, signals[method.id])
            assert (sum(jax.tree.leaves(counts)) if distribution == "global" else counts) == wanted
    assert refreshes == 13
    if distribution == "global":
        kept = sum(int(mask["kernel"].sum()) for mask in learner.methods[method.id].values())
        assert kept == round(0.05 * sum(leaf.size for leaf in jax.tree.leaves(params) if leaf.ndim > 1))
        return
    final = layer_sparsities(context, 0.95, distribution)
    for layer, mask in learner.methods[method.id].items():
        size = mask["kernel"].size
        assert int(mask["kernel"].sum()) == max(1, round(size * (1 - final[layer]["kernel"])))


@pytest.mark.parametrize("distribution", ["erk", "uniform", "global"])
@pytest.mark.parametrize("network", [pytest.param("impala", marks=pytest.mark.nightly), "nature_cnn"])
def test_sparsity_is_exact_on_the_real_networks(network: str, distribution: str, published: Callable) -> None:
    encoder = partial(registry.load("network", network), published("network", network))
    agent = registry.load("agent", "dqn")(published("agent", "dqn"), encoder, 6)
    shapes = jax.eval_shape(agent.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 84, 84, 4), jnp.uint8))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape, np.float32)), shapes)
    sizes = [leaf.size for leaf in jax.tree.leaves(shapes) if leaf.ndim > 1]
    settings = published("method", "magnitude_pruning") | {"distribution": distribution}
    method = make(settings, context_of(2_500_000, shapes))
    learner = Learner(params, params, (), {method.id: method.init(jax.random.key(0), params)})
    refresh = jax.jit(method.refresh)
    for updates, sparsity in {500_000: 0.95 * sparsity_fraction(500_000, 500_000, 2_000_000), 2_000_000: 0.95}.items():
        masks = refresh(jax.random.key(0), learner, params, method.signal(updates)).methods[method.id]
        kept = [int(np.count_nonzero(mask)) for mask in jax.tree.leaves(masks)]
        if distribution == "global":
            assert sum(kept) == round(sum(sizes) * (1 - sparsity))
        elif distribution == "uniform":
            assert kept == [round(size * (1 - sparsity)) for size in sizes]
        else:
            assert sum(sizes) - sum(kept) == pytest.approx(sparsity * sum(sizes), abs=2 * len(sizes))
        assert len(kept) == len(sizes)


def test_published_schedule() -> None:
    shapes = {"kernel": jax.ShapeDtypeStruct((1000, 1000), jnp.float32)}
    settings = SETTINGS | {"sparsity": 0.95, "start_fraction": 0.2, "end_fraction": 0.8, "mask_period": 1000}
    method = make(settings, context_of(2_500_000, shapes))
    assert method.milestones == {"pruning starts": 500_000, "pruning ends": 2_000_000}
    assert not any(count in method.due for count in (0, 499_000, 499_999, 500_001, 2_001_000))
    staircase = {600_000: 0.178, 800_000: 0.464, 1_000_000: 0.669, 1_500_000: 0.915, 2_000_000: 0.950}
    for count, sparsity in staircase.items():
        assert 1 - int(method.signal(count)["kernel"]) / 1e6 == pytest.approx(sparsity, abs=6e-4)
    assert int(method.signal(2_000_000)["kernel"]) == 50_000
    assert int(method.signal(500_000)["kernel"]) == 1_000_000 - 2  # 0.95e6 * (1 - (1 - 1 / 1.5e6)**3)


def test_one_shot_pruning_is_one_refresh_wherever_it_falls() -> None:
    """JaxPruner's OneShotSchedule: all of the sparsity at that very step, no multiple of a period."""
    shapes = {"kernel": jax.ShapeDtypeStruct((20, 20), jnp.float32)}
    settings = SETTINGS | {"start_fraction": 0.35, "end_fraction": 0.35, "distribution": "uniform", "sparsity": 0.95}
    method = make(settings, context_of(20, shapes))
    assert (method.due, method.milestones) == (range(7, 8), {"pruning starts": 7, "pruning ends": 7})
    assert int(method.signal(7)["kernel"]) == 20
    (goal,) = method.goals
    assert (goal.after(7), goal.after(8), goal.asked) == (0.0, 0.95, 0.95)


def test_global_raw_masks_are_the_largest_weights_of_all() -> None:
    rng = np.random.default_rng(4)
    params = {"a": {"kernel": rng.normal(size=(6, 5))}, "b": {"kernel": 9 * rng.normal(size=(40, 3))}}
    params = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), params)
    settings = SETTINGS | {"distribution": "global_raw", "sparsity": 0.8}
    method = make(settings, context_of(STEPS, shapes_of(params)))
    learner = start(params, optax.sgd(0.0), method)
    masks = method.refresh(jax.random.key(0), learner, params, method.signal(STEPS)).methods[method.id]
    weights = np.concatenate([np.abs(np.asarray(params[name]["kernel"])).ravel() for name in "ab"])
    limit = np.sort(weights)[-30]  # a fifth of 150 stays
    found = np.concatenate([np.asarray(masks[name]["kernel"]).ravel() for name in "ab"])
    np.testing.assert_array_equal(found, weights >= limit)
    normalized = make(settings | {"distribution": "global"}, context_of(STEPS, shapes_of(params)))
    other = normalized.refresh(jax.random.key(0), learner, params, normalized.signal(STEPS)).methods[method.id]
    assert int(jnp.sum(other["a"]["kernel"])) > int(jnp.sum(masks["a"]["kernel"]))


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"start_fraction": 0.9, "end_fraction": 0.8}, "start_fraction"),
        ({"mask_period": 1000}, "mask_period"),
    ],
)
def test_impossible_schedules_are_refused(changes: dict[str, float], word: str) -> None:
    shapes = {"kernel": jax.ShapeDtypeStruct((2, 2), jnp.float32)}
    with pytest.raises(UsageError, match=word):
        make(SETTINGS | changes, context_of(STEPS, shapes))
