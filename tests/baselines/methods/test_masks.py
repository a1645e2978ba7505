"""Allocation of sparsity to layers, and the exact choice of the largest weights."""

import json
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from baselines.methods.masks import (
    apply_masks,
    erk_sparsities,
    full_masks,
    globally_largest_masks,
    keep_count,
    keep_counts,
    largest,
    layer_sparsities,
    random_masks,
    random_scores,
    top,
)
from tests.support.layers import context_of

DATA = Path(__file__).parents[2] / "data"
COUNTED = json.loads((DATA / "param_counts_erk.json").read_text())
JAXPRUNER = json.loads((DATA / "jaxpruner_erk.json").read_text())
SHAPES = {
    "small": {"Conv_0": (4, 4, 2, 8), "Conv_1": (3, 3, 8, 8), "Dense_0": (72, 32), "Dense_1": (32, 6)},
    "naturecnn": {
        "Conv_0": (8, 8, 4, 32),
        "Conv_1": (4, 4, 32, 64),
        "Conv_2": (3, 3, 64, 64),
        "Dense_0": (3136, 512),  # VALID padding
        "Dense_1": (512, 18),
    },
}
SIZE = 24
jitted_largest = jax.jit(largest)
jitted_top = jax.jit(top)


def oracle(weights: np.ndarray, count: int) -> np.ndarray:
    mask = np.zeros(weights.size, bool)
    mask[np.argsort(-np.abs(weights.ravel()), kind="stable")[:count]] = True
    return mask.reshape(weights.shape)


@pytest.mark.parametrize("entry", COUNTED)
def test_erk_equals_independent_densities(entry: str) -> None:
    shapes = {name: tuple(shape) for name, shape in COUNTED[entry]["shapes"].items()}
    for sparsity, densities in COUNTED[entry]["erk_density"].items():
        found = erk_sparsities(list(shapes.values()), float(sparsity))
        np.testing.assert_allclose(1 - np.array(found), [densities[name] for name in shapes], atol=5.1e-7)


@pytest.mark.parametrize("entry", JAXPRUNER)
def test_erk_equals_jaxpruner(entry: str) -> None:
    network, sparsity = entry.split("|")
    shapes = SHAPES[network]
    found = erk_sparsities(list(shapes.values()), float(sparsity))
    np.testing.assert_allclose(found, [JAXPRUNER[entry][f"{name}/kernel"] for name in shapes], atol=1e-12)


@given(
    st.lists(hnp.array_shapes(min_dims=2, max_dims=4, max_side=40), min_size=1, max_size=8),
    st.floats(0, 0.9999, allow_subnormal=False),
)
def test_erk_spends_exactly_the_total(shapes: list[tuple[int, ...]], sparsity: float) -> None:
    sizes = np.array([np.prod(shape) for shape in shapes])
    found = np.array(erk_sparsities(shapes, sparsity))
    assert np.all(found >= 0)
    assert np.all(found <= 1)
    zeros = np.floor(sparsity * sizes).sum()
    np.testing.assert_allclose(np.sum(found * sizes), zeros, atol=1e-6 * sizes.sum())


def test_uniform_and_dense_allocations() -> None:
    tree = {
        name: {
            "kernel": jax.ShapeDtypeStruct(shape, jnp.float32),
            "bias": jax.ShapeDtypeStruct(shape[-1:], jnp.float32),
        }
        for name, shape in SHAPES["small"].items()
    }
    uniform = layer_sparsities(context_of(1, tree), 0.9, "uniform")
    assert jax.tree.leaves(uniform) == [0.9] * 4
    assert all(layer["bias"] is None for layer in uniform.values())
    assert jax.tree.leaves(layer_sparsities(context_of(1, tree), 0.0, "erk")) == [0.0] * 4
    keep = keep_counts(tree, uniform, 0.5)
    assert [int(count) for count in jax.tree.leaves(keep)] == [round(leaf.size * 0.55) for leaf in kernels(tree)]


def kernels(tree):
    return [leaf for leaf in jax.tree.leaves(tree) if leaf.ndim > 1]


@pytest.mark.parametrize(
    ("size", "sparsity", "count"),
    [(10, 0.0, 10), (10, 1.0, 1), (10, 0.35, 6), (10, 0.75, 2), (6, 0.75, 2), (3, 0.9, 1)],
)
def test_keep_count_rounds_half_to_even_and_never_to_zero(size: int, sparsity: float, count: int) -> None:
    assert keep_count(size, sparsity) == count


magnitudes = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1e-45, -1e-45, 1e-40, 3.4e38]),
    st.floats(-10, 10, width=32),
)


@settings(max_examples=300)
@given(hnp.arrays(np.float32, (4, SIZE // 4), elements=magnitudes), st.integers(1, SIZE))
def test_largest_equals_sorting(weights: np.ndarray, count: int) -> None:
    mask = np.asarray(jitted_largest(weights, np.int32(count)))
    np.testing.assert_array_equal(mask, oracle(weights, count))


@given(hnp.arrays(np.int32, (4, SIZE // 4), elements=st.integers(-1, 2**31 - 1)), st.data())
def test_negative_scores_never_win(scores: np.ndarray, data: st.DataObject) -> None:
    eligible = int((scores >= 0).sum())
    if eligible:
        count = data.draw(st.integers(1, eligible))
        expected = np.argsort(-scores.ravel().astype(np.int64), kind="stable")[:count]
        mask = np.asarray(jitted_top(scores, np.int32(count)))
        np.testing.assert_array_equal(np.flatnonzero(mask), np.sort(expected))


def test_global_masks_compare_weights_after_dividing_by_their_kernels_norm() -> None:
    params = {
        "a": {"bias": jnp.array([9.0]), "kernel": jnp.array([[30.0], [40.0]])},  # 0.6 and 0.8
        "b": {"kernel": jnp.array([[0.003, 0.004], [0.0, 0.0]])},  # the same
    }
    masks = jax.jit(globally_largest_masks)(params, np.int32(3))
    assert masks["a"]["bias"] is None
    np.testing.assert_array_equal(masks["a"]["kernel"], [[True], [True]])  # 0.6: the tie goes to the first kernel
    np.testing.assert_array_equal(masks["b"]["kernel"], [[False, True], [False, False]])


def test_random_masks_have_their_counts_and_no_preference() -> None:
    params = {"one": jnp.zeros((3, 8)), "other": jnp.zeros((4, 2)), "bias": jnp.zeros(8)}
    keep = {"one": np.int32(6), "other": np.int32(8), "bias": None}
    draws = jax.jit(jax.vmap(lambda key: random_masks(key, params, keep)))(jax.random.split(jax.random.key(0), 4000))
    assert draws["bias"] is None
    assert np.all(np.asarray(draws["one"]).sum((1, 2)) == 6)
    assert np.all(draws["other"])
    np.testing.assert_allclose(np.asarray(draws["one"]).mean(0), 0.25, atol=0.035)  # 5 standard deviations
    scores = random_scores(jax.random.key(0), {"one": jnp.zeros((8, 8)), "other": jnp.zeros((8, 8))})
    assert not np.any(np.asarray(scores["one"]) == np.asarray(scores["other"]))
    assert all(leaf.dtype == jnp.int32 and bool(jnp.all(leaf >= 0)) for leaf in scores.values())


@pytest.mark.parametrize("count", [1, 2, 1023, 1024, 1025, 3000, 4999, 5000])
@pytest.mark.parametrize("levels", [1, 3, 2000])
def test_ties_across_blocks_go_to_lower_indices(count: int, levels: int) -> None:
    weights = np.random.default_rng(levels).integers(0, levels, (50, 100)).astype(np.float32)
    mask = np.asarray(jitted_largest(weights, np.int32(count)))
    np.testing.assert_array_equal(mask, oracle(weights, count))


def test_largest_equals_jaxpruner() -> None:
    vectors = np.load(DATA / "jaxpruner_magnitude.npz")
    scores = vectors["topk/scores"]
    for name in [name for name in vectors.files if name.startswith("topk/mask_s")]:
        count = keep_count(scores.size, float(name.removeprefix("topk/mask_s")))
        np.testing.assert_array_equal(largest(jnp.asarray(scores), count), vectors[name].astype(bool))


def test_masks_leave_biases_and_zero_the_rest_exactly() -> None:
    params = {"kernel": jnp.array([[-1.0, 2.0], [jnp.inf, -4.0]]), "bias": jnp.array([0.0, -1.0])}
    assert full_masks(params)["bias"] is None
    np.testing.assert_array_equal(full_masks(params)["kernel"], np.ones((2, 2), bool))
    masked = apply_masks(params, {"kernel": jnp.array([[False, True], [False, True]]), "bias": None})
    np.testing.assert_array_equal(masked["kernel"], [[0.0, 2.0], [0.0, -4.0]])
    assert not np.signbit(masked["kernel"][0, 0])
    np.testing.assert_array_equal(masked["bias"], params["bias"])
