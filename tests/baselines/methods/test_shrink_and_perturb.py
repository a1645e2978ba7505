"""Shrink and perturb: the formula, the layers, and that the optimizer and the target network are left alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from suite.contracts import registry
from suite.contracts.encoder import by_name
from suite.contracts.method import View, due_signals, gradient_step, init_learner
from suite.errors import UsageError
from tests.support.layers import context_of

make = registry.load("method", "shrink_and_perturb")


SETTINGS = {"shrink": 0.8, "perturb": 0.3, "period": 4, "layers": "convolutions", "end_fraction": 1.0}
STEPS = 20


def params_of(key):
    values = jax.random.normal(key, (6, 3))
    return {
        "params": {
            "encoder": {
                "conv1": {"kernel": values[:2], "bias": values[2]},
                "dense": {"kernel": values[3:5], "bias": values[5]},
            },
            "head": {"kernel": values[1:3], "bias": values[0]},
        }
    }


def shapes():
    return jax.eval_shape(params_of, jax.random.key(0))


def view_of(gradients=None):
    return View(None, gradients, None, fresh=params_of, activations=lambda params, observation: {})


@pytest.mark.parametrize(
    ("layers", "prefixes"),
    [
        ("convolutions", ("encoder/conv1/",)),
        ("dense", ("encoder/dense/", "head/")),
        ("last", ("head/",)),
        ("all", ("",)),
    ],
)
def test_formula(layers: str, prefixes: tuple[str, ...]) -> None:
    method = make(SETTINGS | {"layers": layers}, context_of(STEPS, shapes()))
    optimizer = optax.with_extra_args_support(optax.adam(0.1))
    before = init_learner(params_of(jax.random.key(0)), optimizer, [method], jax.random.key(0))
    key = jax.random.key(3)
    after = jax.jit(lambda learner: method.intervene(key, learner, view_of(), ()))(before)
    old, fresh = by_name(before.params), by_name(params_of(key))
    for name, leaf in by_name(after.params).items():
        if name.startswith(prefixes):
            np.testing.assert_allclose(leaf, 0.8 * old[name] + 0.3 * fresh[name], rtol=1e-6)
        else:
            np.testing.assert_array_equal(leaf, old[name])
    jax.tree.map(np.testing.assert_array_equal, after.target_params, before.target_params)
    jax.tree.map(np.testing.assert_array_equal, after.opt_state, before.opt_state)


def test_with_resets_of_the_other_layers_as_in_bbf() -> None:
    again = {"period": 4, "layers": "dense", "moments": "kernels", "end_fraction": 1.0}
    context = context_of(STEPS, shapes())
    methods = [make(SETTINGS, context), registry.load("method", "reset")(again, context)]
    optimizer = optax.with_extra_args_support(optax.sgd(1.0))
    step = jax.jit(
        lambda learner, gradients, signals: gradient_step(optimizer, methods, signals, jax.random.key(7), view_of)(
            learner, gradients
        )
    )
    learner = init_learner(params_of(jax.random.key(0)), optimizer, methods, jax.random.key(0))
    gradients = jax.tree.map(jnp.ones_like, learner.params)
    assert [count for count in range(STEPS) if due_signals(methods, count)] == [3, 7, 11, 15]
    after = step(learner, gradients, due_signals(methods, 3))
    fresh = [by_name(params_of(jax.random.fold_in(jax.random.key(7), 2 + index))) for index in range(2)]
    for name, leaf in by_name(after.params).items():
        if "conv" in name:
            expected = 0.8 * (by_name(learner.params)[name] - 1) + 0.3 * fresh[0][name]
            np.testing.assert_allclose(leaf, expected, rtol=1e-5, atol=1e-6)
        else:
            np.testing.assert_array_equal(leaf, fresh[1][name])


def test_published_schedule(published) -> None:
    method = make(published("method", "shrink_and_perturb"), context_of(2_500_000, shapes()))
    assert [*method.due][:2] == [39_999, 79_999]
    assert len(method.due) == 62
    with pytest.raises(UsageError, match=r"method\.shrink_and_perturb\.period"):
        make(SETTINGS | {"period": STEPS}, context_of(STEPS, shapes()))
