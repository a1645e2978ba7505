"""L2 Init, regenerative regularization (Kumar et al. 2023): a pull of every parameter to its initial value."""

from __future__ import annotations

from typing import Any

import jax
import optax

from suite.agent import Params
from suite.card import Value
from suite.method import Context, Method

ID = "l2_init"


def make(settings: dict[str, Value], context: Context) -> Method:
    """Build the method, whose state is the initial parameters; `coefficient` * (now - then) is added to gradients."""
    coefficient = float(settings["coefficient"])

    def wrap(optimizer: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
        def update(
            gradients: Params, state: Any, params: Params, *, methods: dict[str, Any], **extra: Any
        ) -> tuple[Params, Any]:
            pulled = jax.tree.map(
                lambda gradient, now, then: gradient + coefficient * (now - then), gradients, params, methods[ID]
            )
            updates, state = optimizer.update(pulled, state, params, methods=methods, **extra)
            return updates, state

        return optax.GradientTransformationExtraArgs(optimizer.init, update)

    return Method(ID, init=lambda key, params: jax.tree.map(lambda leaf: leaf.copy(), params), wrap=wrap)
