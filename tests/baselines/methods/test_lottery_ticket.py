"""Lottery ticket: which arrays of a checkpoint are the masks, and what is refused."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from suite.contracts import registry
from suite.contracts.agent import Learner
from suite.contracts.method import Context, adopt, gradient_step, init_learner
from suite.errors import BadData, SuiteError, UsageError
from suite.running.checkpointing import learner_arrays

make = registry.load("method", "lottery_ticket")

TICKET = "0123456789abcdef"
PARAMS = {
    "dense": {"kernel": jnp.arange(1.0, 13.0).reshape(3, 4), "bias": jnp.ones(4)},
    "encoder": {"dense": {"kernel": jnp.arange(1.0, 13.0).reshape(3, 4), "bias": jnp.ones(4)}},
    "log_alpha": jnp.ones(()),
}
MASK = np.arange(12).reshape(3, 4) % 3 == 0
MASKS = {
    "dense": {"kernel": MASK, "bias": None},
    "encoder": {"dense": {"kernel": ~MASK, "bias": None}},
    "log_alpha": None,
}


def method(ticket: str = TICKET) -> Any:
    return make({"ticket": ticket}, Context(100, jax.eval_shape(lambda: PARAMS)))


def checkpoint(params: Any = PARAMS, **methods: Any) -> dict[str, np.ndarray]:
    return learner_arrays(Learner(params, params, optax.adam(0.1).init(params), methods))


def adopted(**methods: Any) -> Any:
    lottery = method()
    return lottery.adopt(lottery.init(jax.random.key(0), PARAMS), checkpoint(**methods))


@pytest.mark.parametrize(
    "methods",
    [
        {"magnitude_pruning": MASKS},
        {"other": {"masks": MASKS, "count": np.int32(3)}},
        {"rigl": MASKS, "redo": {"scores": np.ones((3, 4), np.float32), "dead": np.ones(4, np.bool_)}},
    ],
)
def test_masks_are_found_in_whatever_method_holds_them(methods: dict[str, Any]) -> None:
    masks = adopted(**methods)
    assert jax.tree.structure(masks) == jax.tree.structure(MASKS)
    jax.tree.map(np.testing.assert_array_equal, masks, MASKS)


def test_adopting_leaves_the_states_structure_as_it_was() -> None:
    """A parameter that stands alone, as SAC's temperature, has no axis at all."""
    lottery = method()
    before = lottery.init(jax.random.key(0), PARAMS)
    after = lottery.adopt(before, checkpoint(rigl=MASKS))
    assert jax.tree.map(jnp.shape, before) == jax.tree.map(jnp.shape, after)


def test_a_kernel_without_a_mask_keeps_everything() -> None:
    masks = adopted(partial={"dense": {"kernel": MASK, "bias": None}})
    np.testing.assert_array_equal(masks["dense"]["kernel"], MASK)
    assert np.all(masks["encoder"]["dense"]["kernel"])


@pytest.mark.parametrize(
    ("arrays", "error", "word"),
    [
        (checkpoint(), UsageError, "removed no weights"),
        (checkpoint(magnitude_pruning=jax.tree.map(np.ones_like, MASKS)), UsageError, "removed no weights"),
        (checkpoint({"dense": PARAMS["dense"]}, set=MASKS), UsageError, "other parameters"),
        (checkpoint(jax.tree.map(lambda leaf: jnp.ones(leaf.shape[::-1]), PARAMS), set=MASKS), UsageError, "other par"),
        (checkpoint(one=MASKS, other=MASKS), BadData, "two masks"),
    ],
)
def test_what_is_no_ticket_is_refused(arrays: dict[str, Any], error: type[SuiteError], word: str) -> None:
    lottery = method()
    with pytest.raises(error, match=word):
        lottery.adopt(lottery.init(jax.random.key(0), PARAMS), arrays)


@pytest.mark.parametrize("ticket", ["", "0123", "0123456789ABCDEF", "0123456789abcdef0", "magnitude_prunin"])
def test_what_is_no_config_id_is_refused(ticket: str) -> None:
    with pytest.raises(UsageError, match=r"--set method\.lottery_ticket\.ticket=CONFIG_ID"):
        method(ticket)


def test_masked_weights_are_zero_from_the_start_and_after_every_step() -> None:
    lottery = method()
    assert lottery.source == TICKET
    assert not lottery.due
    optimizer = optax.with_extra_args_support(optax.adam(0.1))
    learner = init_learner(PARAMS, optimizer, [lottery], jax.random.key(0))
    jax.tree.map(np.testing.assert_array_equal, learner.params, PARAMS)
    learner = adopt(learner, [lottery], {"lottery_ticket": checkpoint(magnitude_pruning=MASKS)})
    np.testing.assert_array_equal(learner.params["dense"]["kernel"], np.where(MASK, PARAMS["dense"]["kernel"], 0))
    jax.tree.map(np.testing.assert_array_equal, learner.params, learner.target_params)
    step = jax.jit(gradient_step(optimizer, [lottery], {}, jax.random.key(0)))
    for _ in range(5):
        learner = step(learner, jax.tree.map(jnp.ones_like, PARAMS))
        kernel = np.asarray(learner.params["dense"]["kernel"])
        np.testing.assert_array_equal(kernel == 0, ~MASK)
        np.testing.assert_array_equal(learner.methods["lottery_ticket"]["dense"]["kernel"], MASK)
    assert np.all(np.asarray(learner.params["dense"]["bias"]) < 1)


def test_the_card() -> None:
    card = registry.card("method", "lottery_ticket")
    assert card.claims == ("masks",)
    assert card.summary.endswith(".")
    assert card.settings["ticket"].value == ""
    assert card.refusal(registry.card("method", "magnitude_pruning")) == "both decide which weights are zero"
