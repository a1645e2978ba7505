"""The adapter to JaxPruner: step by step what JaxPruner itself does, where it is installed; a clear error elsewhere."""

import itertools
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from baselines.methods import jaxpruner as adapter
from suite.contracts import registry
from suite.contracts.agent import Learner
from suite.contracts.method import Method, due_signals, gradient_step, init_learner
from suite.errors import UnfitEnvironment, UsageError
from tests.support.layers import context_of

STEPS = 24
SETTINGS = {
    "algorithm": "magnitude",
    "sparsity": 0.8,
    "distribution": "erk",
    "start_fraction": 4 / STEPS,
    "end_fraction": 16 / STEPS,
    "mask_period": 4,
}
RANDOM = np.random.default_rng(0)
PARAMS = {
    "params": {
        "conv": {"kernel": RANDOM.normal(size=(3, 3, 4, 8)), "bias": RANDOM.normal(size=8)},
        "dense": {"kernel": RANDOM.normal(size=(40, 30)), "bias": RANDOM.normal(size=30)},
        "head": {"kernel": RANDOM.normal(size=(30, 6)), "bias": RANDOM.normal(size=6)},
    }
}
PARAMS = jax.tree.map(lambda leaf: leaf.astype(np.float32), PARAMS)


def gradients(count: int):
    random = np.random.default_rng(count)
    return jax.tree.map(lambda leaf: random.normal(size=leaf.shape).astype(np.float32), PARAMS)


@pytest.fixture
def make() -> Callable[..., Method]:
    """Return a function from changed settings to the method; skips where JaxPruner is not installed."""
    pytest.importorskip("jaxpruner", reason=f"JaxPruner is not installed ({adapter.INSTALL})")
    context = context_of(STEPS, jax.eval_shape(lambda: jax.tree.map(jnp.asarray, PARAMS)))
    return lambda **settings: registry.load("method", "jaxpruner")(SETTINGS | settings, context)


def train(method: Method, optimizer: optax.GradientTransformation) -> list[Learner]:
    """Return the learner after each step of the suite."""
    optimizer = optax.with_extra_args_support(optimizer)
    step = jax.jit(
        lambda learner, gradients, signals, key: gradient_step(optimizer, [method], signals, key)(learner, gradients)
    )
    learner = init_learner(jax.tree.map(jnp.asarray, PARAMS), optimizer, [method], jax.random.key(0))
    learners = []
    for count in range(STEPS):
        learner = step(learner, gradients(count), due_signals([method], count), jax.random.key(count))
        learners.append(learner)
    assert step._cache_size() == 2, "one program for ordinary and one for due steps"
    return learners


@pytest.mark.parametrize("distribution", ["erk", "uniform"])
@pytest.mark.parametrize("algorithm", ["magnitude", "saliency", "global_magnitude", "global_saliency"])
def test_every_step_equals_jaxpruner_alone(make: Callable, algorithm: str, distribution: str) -> None:
    import ml_collections

    package = adapter._jaxpruner()
    method, optimizer = make(algorithm=algorithm, distribution=distribution), optax.adam(1e-2)
    config = ml_collections.ConfigDict(
        {
            "algorithm": algorithm,
            "sparsity": 0.8,
            "dist_type": distribution,
            "update_freq": 4,
            "update_start_step": 4,
            "update_end_step": 16,
        }
    )
    updater = package.create_updater_from_config(config)
    theirs = updater.wrap_optax(optimizer)
    params = jax.tree.map(jnp.asarray, PARAMS)
    state = theirs.init(params)
    update = jax.jit(theirs.update)
    for count, learner in enumerate(train(method, optimizer)):
        updates, state = update(gradients(count), state, params)
        params = updater.post_gradient_update(optax.apply_updates(params, updates), state)
        masks = method.masks(learner.methods[method.id])
        jax.tree.map(np.testing.assert_array_equal, masks, state.masks)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7), learner.params, params)
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    zeros = sum(int(np.sum(leaf == 0)) for leaf in kernels) / sum(leaf.size for leaf in kernels)
    assert zeros == pytest.approx(0.8, abs=2e-3)


def test_magnitude_equals_our_own(make: Callable) -> None:
    context = context_of(STEPS, jax.eval_shape(lambda: jax.tree.map(jnp.asarray, PARAMS)))
    theirs, ours = make(), registry.load("method", "magnitude_pruning")(SETTINGS, context)
    assert (theirs.due, theirs.milestones) == (ours.due, ours.milestones)
    for one, other in zip(train(theirs, optax.sgd(0.1)), train(ours, optax.sgd(0.1)), strict=True):
        jax.tree.map(np.testing.assert_array_equal, one.methods[theirs.id], other.methods[ours.id])
        jax.tree.map(np.testing.assert_array_equal, one.params, other.params)


def test_random_masks_only_shrink_and_follow_the_runs_seed(make: Callable) -> None:
    method = make(algorithm="random", distribution="uniform")
    masks = [np.asarray(one.methods[method.id]["params"]["dense"]["kernel"]) for one in train(method, optax.sgd(0.1))]
    assert all(np.all(new <= old) for old, new in itertools.pairwise(masks))
    assert masks[-1].sum() == round(0.2 * masks[-1].size)
    state = method.init(jax.random.key(0), PARAMS)
    learner = Learner(PARAMS, PARAMS, (), {method.id: state})
    one, other = (method.refresh(jax.random.key(seed), learner, PARAMS, np.int32(8)).methods for seed in (1, 2))
    assert np.any(one[method.id]["params"]["dense"]["kernel"] != other[method.id]["params"]["dense"]["kernel"])


@pytest.mark.parametrize(
    ("changes", "word"), [({"start_fraction": 0.9}, "start_fraction"), ({"mask_period": 100}, "mask_period")]
)
def test_impossible_schedules_are_refused(make: Callable, changes: dict[str, float], word: str) -> None:
    with pytest.raises(UsageError, match=word):
        make(**changes)


def test_jax_itself_is_left_alone(make: Callable) -> None:
    before = set(vars(jax))
    make()
    assert set(vars(jax)) == before


def test_a_missing_package_is_said_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jaxpruner", None)
    with pytest.raises(UnfitEnvironment, match=r"pip install git\+https") as caught:
        registry.load("method", "jaxpruner")(SETTINGS, context_of(STEPS, PARAMS))
    assert caught.value.exit_code == 3
