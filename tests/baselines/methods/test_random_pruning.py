"""Random pruning: the schedule of magnitude pruning, and no regard to the weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from baselines.methods import random_pruning
from suite.contracts import registry
from suite.contracts.method import due_signals, gradient_step, init_learner
from tests.support.layers import context_of

UPDATES = 40
PARAMS = {
    "conv": {"kernel": jnp.arange(1.0, 73.0).reshape(3, 3, 2, 4), "bias": jnp.ones(4)},
    "dense": {"kernel": jnp.arange(1.0, 51.0).reshape(10, 5), "bias": jnp.ones(5)},
}
jitted_survivors = jax.jit(random_pruning.survivors)


def test_masks_shrink_to_the_exact_counts_of_magnitude_pruning(published) -> None:
    settings = published("method", "random_pruning") | {"mask_period": 4}
    context = context_of(UPDATES, jax.eval_shape(lambda: PARAMS))
    method = registry.load("method", "random_pruning")(settings, context)
    twin = registry.load("method", "magnitude_pruning")(settings, context)
    assert (method.id, method.due, method.milestones) == ("random_pruning", twin.due, twin.milestones)
    optimizer = optax.with_extra_args_support(optax.adam(0.1))
    learner = init_learner(PARAMS, optimizer, [method], jax.random.key(0))
    step = jax.jit(
        lambda learner, signals, key: gradient_step(optimizer, [method], signals, key)(
            learner, jax.tree.map(jnp.ones_like, PARAMS)
        )
    )
    for count in range(UPDATES):
        before, signals = learner.methods[method.id], due_signals([method], count)
        learner = step(learner, signals, jax.random.key(count))
        masks = learner.methods[method.id]
        assert bool(signals) == (count in twin.due)
        assert all(jax.tree.leaves(jax.tree.map(lambda new, old: bool(jnp.all(new <= old)), masks, before)))
        if signals:
            wanted = twin.signal(count)
            assert jax.tree.map(lambda mask: int(mask.sum()), masks) == jax.tree.map(int, wanted)
        for layer, leaves in learner.params.items():
            assert np.all(np.asarray(leaves["kernel"])[~np.asarray(masks[layer]["kernel"])] == 0)
            assert np.all(np.asarray(leaves["bias"]) != 0)
    assert len(method.due) == 7
    smallest = np.asarray(PARAMS["dense"]["kernel"]).ravel()[np.asarray(masks["dense"]["kernel"]).ravel()]
    assert list(smallest) != sorted(np.arange(1.0, 51.0))[-smallest.size :], "not the largest"


@given(
    hnp.arrays(np.bool_, 24),
    hnp.arrays(np.int32, 24, elements=st.one_of(st.just(0), st.integers(0, 2**30 - 1))),
    st.data(),
)
def test_what_is_pruned_stays_pruned(mask: np.ndarray, scores: np.ndarray, data: st.DataObject) -> None:
    if mask.any():
        count = data.draw(st.integers(1, int(mask.sum())))
        new = np.asarray(jitted_survivors({"kernel": mask}, {"kernel": scores}, {"kernel": np.int32(count)})["kernel"])
        assert new.sum() == count
        assert np.all(new <= mask)
        assert scores[new].min() >= max(scores[mask & ~new], default=0)
