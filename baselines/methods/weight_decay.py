"""Weight decay: a pull of every parameter of a network to zero, through the gradient or beside it (AdamW)."""

from __future__ import annotations

from collections.abc import Callable

import jax
import optax

from baselines.methods.layers import in_a_network
from suite.contracts.card import Settings
from suite.contracts.method import Context, Method
from suite.errors import UsageError

ID = "weight_decay"


class WeightDecaySettings(Settings):
    """Settings of weight decay."""

    coefficient: float
    decoupled: bool


def make(settings: WeightDecaySettings, context: Context) -> Method:
    """Build the method: `coefficient` * parameters is added to gradients, or decoupled, to what is subtracted."""
    coefficient = settings.coefficient
    inside = in_a_network(context)
    mask = None if all(jax.tree.leaves(inside)) else inside
    if not settings.decoupled:
        return Method(ID, wrap=lambda optimizer: optax.chain(optax.add_decayed_weights(coefficient, mask), optimizer))
    if context.learning_rate <= 0:
        raise UsageError(
            f"method.{ID}.decoupled needs a learning rate, and this agent has none.",
            "Leave it false, or choose another.",
        )
    decay = optax.add_decayed_weights(_factor(coefficient, context), mask)
    return Method(ID, wrap=lambda optimizer: optax.chain(optimizer, decay))


def _factor(coefficient: float, context: Context) -> float | Callable[[jax.Array], jax.Array]:
    """Return what parameters times are added: a number, or one for every count of steps where step sizes change."""
    step_size = context.step_size
    if step_size is None:
        return -context.learning_rate * coefficient
    return lambda count: -coefficient * step_size(count)
