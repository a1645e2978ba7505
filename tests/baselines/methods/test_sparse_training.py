"""Static sparse training, SET and RigL against JaxPruner's vectors, and what a rewiring must conserve."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from baselines.methods.masks import (
    keep_count,
    keep_counts,
    layer_sparsities,
    magnitude_scores,
    random_scores,
    top_masks,
)
from baselines.methods.sparse_training import drop_fraction, masked_gradients, rewired
from suite.contracts import registry
from suite.contracts.agent import Learner
from suite.contracts.method import Context, Method, due_signals, gradient_step, init_learner, wrap_optimizer
from suite.errors import UsageError
from tests.support.layers import layers_by_name

pytestmark = pytest.mark.slow

DATA = Path(__file__).parents[2] / "data"
VECTORS = {**np.load(DATA / "jaxpruner_magnitude.npz"), **np.load(DATA / "jaxpruner_sparse.npz")}
STEPS = 24
FIXED = {"sparsity": 0.9, "distribution": "erk"}
DYNAMIC = FIXED | {"drop_fraction": 0.3, "end_fraction": 16 / STEPS, "mask_period": 4}
ADAM = optax.adam(1e-2, eps=1.5e-4)
RUNS = {
    "static_erk_sgd": ("static_sparse", optax.sgd(0.1)),
    "static_erk_adam": ("static_sparse", ADAM),
    "set_erk_sgd": ("set", optax.sgd(0.1)),
    "rigl_erk_sgd": ("rigl", optax.sgd(0.1)),
    "rigl_erk_adam": ("rigl", ADAM),
}
NAMES = ["rigl", "set", "static_sparse"]


def vector_tree(prefix: str) -> Any:
    tree: dict[str, dict[str, np.ndarray]] = {}
    for name in [name for name in VECTORS if name.startswith(f"{prefix}/")]:
        layer, leaf = name.split("/")[-2:]
        tree.setdefault(layer, {})[leaf] = VECTORS[name]
    return tree


def recorded_scores(when: str) -> Any:
    kernels = vector_tree(f"random_scores/{when}")
    return magnitude_scores({layer: {**leaves, "bias": np.zeros(1, np.float32)} for layer, leaves in kernels.items()})


def make(name: str, context: Context, **changes: Any) -> Method:
    settings = (FIXED if name == "static_sparse" else DYNAMIC) | changes
    method: Method = registry.load("method", name)(settings, context)
    return method


def context_of(params: Any, updates: int = STEPS) -> Context:
    shapes = jax.eval_shape(lambda: params)
    return Context(updates, shapes, layers_by_name(shapes))


def stepper(optimizer: Any, method: Method) -> Callable:
    wrapped = wrap_optimizer(optimizer, [method])
    return jax.jit(
        lambda learner, gradients, signals, key: gradient_step(wrapped, [method], signals, key)(learner, gradients)
    )


def start(params: Any, optimizer: Any, method: Method) -> Learner:
    return init_learner(params, wrap_optimizer(optimizer, [method]), [method], jax.random.key(0))


def kernels_of(tree: Any) -> list[np.ndarray]:
    return [np.asarray(leaf) for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]


def assert_masks_are_recorded(masks: Any, run: str, when: int) -> None:
    for layer, leaves in vector_tree(f"{run}/masks/{when:02}").items():
        expected = np.unpackbits(leaves["kernel"])[: masks[layer]["kernel"].size]
        np.testing.assert_array_equal(np.asarray(masks[layer]["kernel"]).ravel(), expected)


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(run, marks=pytest.mark.nightly) if run in ("static_erk_sgd", "rigl_erk_sgd") else run
        for run in RUNS
    ],
)
def test_every_step_equals_jaxpruner(run: str) -> None:
    name, optimizer = RUNS[run]
    params = jax.tree.map(jnp.asarray, vector_tree("in/params"))
    context = context_of(params)
    keep = keep_counts(context.shapes, layer_sparsities(context, 0.9, "erk"), 1.0)
    method = replace(make(name, context), init=lambda key, params: top_masks(recorded_scores("init"), keep))
    learner, step = start(params, optimizer, method), stepper(optimizer, method)
    assert_masks_are_recorded(learner.methods[name], run, 0)
    found = []
    for count in range(STEPS):
        signals, now = due_signals([method], count), step
        if signals and name == "set":  # the random numbers that JaxPruner drew
            scores = recorded_scores(f"{count:02}")
            growing = lambda key, learner, gradients, stay, scores=scores: rewired("set", learner, scores, stay)  # noqa: E731
            now = stepper(optimizer, replace(method, refresh=growing))
        learner = now(learner, vector_tree(f"in/grads/{count:02}"), signals, jax.random.key(0))
        masks = method.masks(learner.methods[name])
        assert_masks_are_recorded(masks, run, count + 1)
        for mask, kernel in zip(kernels_of(masks), kernels_of(learner.params), strict=True):
            assert np.all(kernel[~mask] == 0)
        leaves = jax.tree.leaves(learner.params)
        found.append(sum(int(np.sum(leaf == 0)) for leaf in leaves) / sum(leaf.size for leaf in leaves))
        for layer, named in vector_tree(f"{run}/params/{count + 1:02}").items():
            for leaf, expected in named.items():
                np.testing.assert_allclose(learner.params[layer][leaf], expected, rtol=2e-6, atol=1e-8)
        for moment in ("mu", "nu"):
            for layer, named in vector_tree(f"{run}/adam_{moment}/{count + 1:02}").items():
                own = getattr(learner.opt_state[0], moment)[layer]["kernel"]
                np.testing.assert_allclose(own, named["kernel"], rtol=1e-5, atol=2e-9)
                np.testing.assert_array_equal(own == 0, named["kernel"] == 0)
    np.testing.assert_allclose(found, VECTORS[f"{run}/total_sparsity_after_step"], rtol=1e-6)
    if name != "set":
        assert step._cache_size() == 1 + (name == "rigl"), "one program for ordinary and one for due steps"


@pytest.mark.parametrize("name", NAMES)
def test_counts_never_change_and_what_is_masked_is_zero(name: str, published: Callable) -> None:
    params = jax.tree.map(jnp.asarray, vector_tree("in/params"))
    settings = published("method", name) | ({} if name == "static_sparse" else {"mask_period": 3})
    method = registry.load("method", name)(settings, context_of(params, 40))
    optimizer = optax.adam(1e-2)
    learner, step = start(params, optimizer, method), stepper(optimizer, method)
    initial = jax.tree.map(lambda mask: int(mask.sum()), learner.methods[name])
    sparsities = layer_sparsities(context_of(params), 0.95, "erk")
    assert initial == jax.tree.map(
        lambda leaf, zeros: zeros if zeros is None else keep_count(leaf.size, zeros), params, sparsities
    )
    jax.tree.map(np.testing.assert_array_equal, learner.target_params, learner.params)
    assert np.all(np.asarray(learner.params["Conv_0"]["bias"]) == np.asarray(params["Conv_0"]["bias"]))
    rng, moved = np.random.default_rng(0), 0
    for count in range(40):
        before, signals = learner, due_signals([method], count)
        gradients = jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), params)
        learner = step(learner, gradients, signals, jax.random.key(count))
        masks = learner.methods[name]
        assert jax.tree.map(lambda mask: int(mask.sum()), masks) == initial
        adam = learner.opt_state[0]
        for mask, *leaves in zip(*map(kernels_of, (masks, learner.params)), strict=True):
            assert all(np.all(leaf[~mask] == 0) for leaf in leaves)
        changed = [
            int(np.sum(new != old)) for new, old in zip(*map(kernels_of, (masks, before.methods[name])), strict=True)
        ]
        assert bool(signals) == (name != "static_sparse" and 0 < count <= 32 and count % 3 == 0)
        if signals:  # no update: what lives on has its value, and biases are as they were
            moved += sum(changed)
            assert int(adam.count) == int(before.opt_state[0].count)
            masks, adam, params_now, params_before, masks_before = jax.device_get(
                (masks, adam, learner.params, before.params, before.methods[name])
            )
            for layer, leaves in params_now.items():
                np.testing.assert_array_equal(leaves["bias"], params_before[layer]["bias"])
                both = masks[layer]["kernel"] & masks_before[layer]["kernel"]
                np.testing.assert_array_equal(leaves["kernel"][both], params_before[layer]["kernel"][both])
                new = masks[layer]["kernel"] & ~masks_before[layer]["kernel"]
                assert not np.any(leaves["kernel"][new])
                assert not np.any(adam.mu[layer]["kernel"][new])
                assert not np.any(adam.nu[layer]["kernel"][new])
        else:
            assert sum(changed) == 0
            assert not np.any(
                np.asarray(learner.params["Dense_0"]["bias"]) == np.asarray(before.params["Dense_0"]["bias"])
            )
    assert (moved > 0) == (name != "static_sparse")


@pytest.mark.parametrize("distribution", ["erk", pytest.param("uniform", marks=pytest.mark.nightly)])
@pytest.mark.parametrize("network", [pytest.param("impala", marks=pytest.mark.nightly), "nature_cnn"])
def test_sparsity_is_exact_on_the_real_networks(network: str, distribution: str, published: Callable) -> None:
    encoder = partial(registry.load("network", network), published("network", network))
    agent = registry.load("agent", "dqn")(published("agent", "dqn"), encoder, 6)
    shapes = jax.eval_shape(agent.init, jax.random.key(0), jax.ShapeDtypeStruct((1, 84, 84, 4), jnp.uint8))
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: jnp.asarray(rng.standard_normal(leaf.shape, np.float32)), shapes)
    settings = published("method", "rigl") | {"distribution": distribution}
    method = registry.load("method", "rigl")(settings, Context(2_500_000, shapes, layers_by_name(shapes)))
    assert method.milestones == {"rewiring starts": 5_000, "rewiring ends": 2_000_000}
    masks = jax.jit(method.init)(jax.random.key(1), params)
    learner = Learner(method.project(masks, params), params, (), {"rigl": masks})
    after = jax.jit(method.refresh)(jax.random.key(2), learner, params, method.signal(5_000)).methods["rigl"]
    sizes = [kernel.size for kernel in kernels_of(params)]
    old, new = ([int(mask.sum()) for mask in kernels_of(tree)] for tree in (masks, after))
    assert old == new
    if distribution == "uniform":
        assert new == [round(0.05 * size) for size in sizes]
    else:
        assert sum(new) == pytest.approx(0.05 * sum(sizes), abs=len(sizes))
    dropped = [int(np.sum(one & ~other)) for one, other in zip(kernels_of(masks), kernels_of(after), strict=True)]
    assert all(count <= round(0.3 * kept) + 1 for count, kept in zip(dropped, old, strict=True))
    assert sum(dropped) > 0.25 * sum(old)  # less those taken up again


@jax.jit
def rewire(weights: jax.Array, mask: jax.Array, moments: Any, gradients: jax.Array, stay: jax.Array) -> Learner:
    learner = Learner({"kernel": jnp.where(mask, weights, 0)}, (), moments, {"it": {"kernel": mask}})
    return rewired("it", learner, magnitude_scores({"kernel": gradients}), {"kernel": stay})


def highest(scores: np.ndarray, among: np.ndarray, count: int) -> np.ndarray:
    order = np.argsort(np.where(among, -scores.astype(np.float64), np.inf), axis=None, kind="stable")
    mask = np.zeros(scores.shape, bool)
    mask.flat[order[:count]] = True
    return mask


@hypothesis_settings(max_examples=200)
@given(
    hnp.arrays(np.float32, (4, 5), elements=st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-3, 3, width=32))),
    hnp.arrays(np.bool_, (4, 5)),
    hnp.arrays(np.float32, (4, 5), elements=st.one_of(st.sampled_from([0.0, 1.0, -1.0]), st.floats(-3, 3, width=32))),
    st.floats(0, 1),
)
def test_a_rewiring_conserves_what_it_must(
    weights: np.ndarray, mask: np.ndarray, gradients: np.ndarray, fraction: float
) -> None:
    if not mask.any():
        return
    live = int(mask.sum())
    stay = keep_count(live, fraction)
    trace = {"kernel": jnp.ones((4, 5))}
    after = rewire(weights, mask, optax.TraceState(trace), gradients, stay)
    new = np.asarray(after.methods["it"]["kernel"])
    kept = highest(np.abs(weights), mask, int(stay))
    assert np.all(kept <= mask)
    np.testing.assert_array_equal(new, kept | highest(np.abs(gradients), ~kept, live - int(stay)))
    assert new.sum() == live
    np.testing.assert_array_equal(after.opt_state.trace["kernel"], np.where(new & ~mask, 0.0, 1.0))
    assert np.all(np.asarray(after.params["kernel"])[new & ~mask] == 0)


@pytest.mark.parametrize(
    ("optimizer", "moments"),
    [
        (optax.adam(0.1), 2),
        (optax.sgd(0.1, momentum=0.9), 1),
        (optax.chain(optax.clip_by_global_norm(1.0), optax.rmsprop(0.1, centered=True, momentum=0.5)), 3),
        (optax.inject_hyperparams(optax.adam)(learning_rate=0.1), 2),
    ],
)
def test_moments_are_found_in_any_optimizer(optimizer: Any, moments: int) -> None:
    params = {"layer": {"kernel": jnp.ones((3, 4)), "bias": jnp.ones(4)}}
    mask = jnp.arange(12).reshape(3, 4) % 2 == 0
    state = optimizer.init(params)
    _, state = optimizer.update(
        jax.tree.map(lambda leaf: jnp.arange(1.0, leaf.size + 1).reshape(leaf.shape), params), state, params
    )
    learner = Learner(params, params, state, {"it": {"layer": {"kernel": mask, "bias": None}}})
    scores = {"layer": {"kernel": jnp.arange(12, dtype=jnp.int32).reshape(3, 4), "bias": None}}
    after = rewired("it", learner, scores, {"layer": {"kernel": jnp.int32(3), "bias": None}})
    grown = np.asarray(after.methods["it"]["layer"]["kernel"] & ~mask)
    assert grown.sum() == 2
    found = 0
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(after.opt_state), strict=True):
        if old.shape == (3, 4):
            np.testing.assert_array_equal(new, np.where(grown, 0, old))
            assert np.all(np.asarray(old) != 0)
            found += 1
        else:
            np.testing.assert_array_equal(new, old)
    assert found == moments


def test_gradients_are_masked_before_the_optimizer_and_its_arguments_go_on() -> None:
    seen: dict[str, Any] = {}

    def update(gradients: Any, state: Any, params: Any = None, **others: Any) -> Any:
        seen.update(gradients=gradients, params=params, **others)
        return gradients, "next"

    inner = optax.GradientTransformationExtraArgs(lambda params: "first", update)
    outer = masked_gradients("it", inner)
    assert outer.init({}) == "first"
    masks = {"it": {"kernel": jnp.array([[True, False]]), "bias": None}}
    gradients = {"kernel": jnp.array([[2.0, jnp.nan]]), "bias": jnp.array([3.0])}
    updates, state = outer.update(gradients, "first", gradients, methods=masks, value=1)
    assert state == "next"
    np.testing.assert_array_equal(updates["kernel"], [[2.0, 0.0]])
    np.testing.assert_array_equal(updates["bias"], [3.0])
    assert seen["methods"] is masks
    assert seen["params"] is gradients
    assert seen["value"] == 1


def test_random_growth_and_masks_follow_the_key() -> None:
    params = {"kernel": jnp.ones((40, 40))}
    method = make("set", context_of(params), distribution="uniform")
    one, same, other = (method.init(jax.random.key(seed), params)["kernel"] for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, same)
    assert np.any(np.asarray(one) != np.asarray(other))
    learner = Learner({"kernel": one * 1.0}, (), (), {"set": {"kernel": one}})
    refresh = jax.jit(method.refresh)
    after = [
        np.asarray(refresh(jax.random.key(seed), learner, params, method.signal(4)).methods["set"]["kernel"])
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(after[0], after[1])
    assert np.any(after[0] != after[2])
    stay = top_masks(magnitude_scores(learner.params), method.signal(4))["kernel"]
    scores = random_scores(jax.random.key(0), params)["kernel"]
    taken = after[0] & ~np.asarray(stay)
    assert np.asarray(scores)[taken].min() > np.asarray(scores)[~after[0]].max()


def test_the_drop_fraction_is_a_cosine_to_zero() -> None:
    schedule = optax.cosine_decay_schedule(0.3, 2_000_000)
    for updates in (0, 5_000, 1_000_000, 1_999_999, 2_000_000, 2_400_000):
        assert drop_fraction(updates, 2_000_000, 0.3) == pytest.approx(float(schedule(updates)), abs=1e-7)
    method = make("rigl", Context(2_500_000, {"kernel": jax.ShapeDtypeStruct((1000, 1000), jnp.float32)}),
                  distribution="uniform", end_fraction=0.8, mask_period=5_000)  # fmt: skip
    assert (method.due.start, method.due[-1], len(method.due)) == (5_000, 2_000_000, 400)
    assert method.skips_update
    assert int(method.signal(1_000_000)["kernel"]) == 85_000
    assert int(method.signal(2_000_000)["kernel"]) == 100_000


def test_a_period_beyond_the_end_is_refused() -> None:
    with pytest.raises(UsageError, match=r"method\.rigl\.mask_period = 17"):
        make("rigl", context_of({"kernel": jnp.ones((2, 2))}), mask_period=17)


@pytest.mark.parametrize("name", [*NAMES, "random_pruning"])
def test_cards_are_complete(name: str) -> None:
    card = registry.card("method", name)
    assert card.title
    assert card.summary.endswith(".")
    assert card.claims == ("masks",)
    for setting in card.settings.values():
        assert setting.source
        assert setting.doc.endswith(".")
        assert setting.minimum is not None or setting.above is not None or setting.choices
