"""Lottery ticket (Frankle and Carbin 2019): the final masks of a pruned run, from the original initialization.

A run's initialization follows from its task, game, seed and network, not from its methods, so that a run with the
pruned run's game and seed starts from the weights that the pruned run started from, less those that its masks remove.
As in magnitude pruning, gradients and moments stay dense and masked weights are set to zero after every update.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from baselines.methods.masks import Masks, apply_masks, full_masks, masked_kernel
from suite.contracts.agent import Params
from suite.contracts.card import Settings
from suite.contracts.method import Context, Method
from suite.errors import BadData, UsageError

ID = "lottery_ticket"
CONFIG_ID = re.compile("[0-9a-f]{16}")
PARAMS = "learner.params"
METHODS = "learner.methods"


class LotteryTicketSettings(Settings):
    """Settings of the lottery ticket."""

    ticket: str


def make(settings: LotteryTicketSettings, context: Context) -> Method:
    """Build the method."""
    ticket = settings.ticket
    if not CONFIG_ID.fullmatch(ticket):
        given = f"{ticket!r} is not the config_id of a run" if ticket else "needs the config_id of a pruned run"
        raise UsageError(
            f"{ID} {given}.",
            f"Give the 16 hexadecimal digits in the path of its results: --set method.{ID}.ticket=CONFIG_ID.",
        )
    return Method(
        ID,
        init=lambda key, params: full_masks(params),
        project=lambda masks, params: apply_masks(params, masks),
        masks=lambda masks: masks,
        source=ticket,
        adopt=lambda masks, arrays: ticket_masks(ticket, context.shapes, arrays),
    )


def ticket_masks(ticket: str, shapes: Params, arrays: Mapping[str, Any]) -> Masks:
    """Return the masks in a checkpoint of the configuration `ticket`; a kernel without one keeps everything.

    Masks are taken from the method that holds them, and not from the zeros among the weights. The two differ where
    weights grow: a grown weight starts at exactly zero, and stays there as long as its gradient is zero, as behind a
    pixel that never changes.
    """
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)}
    theirs = {name.removeprefix(PARAMS): np.shape(array) for name, array in arrays.items() if name.startswith(PARAMS)}
    if theirs != {name: leaf.shape for name, leaf in leaves.items()}:
        raise UsageError(
            f"Configuration {ticket} has other parameters than this one.",
            f"Give {ID} the agent, the network and the width of the pruned run.",
        )
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if name.startswith(METHODS) and (kernel := masked_kernel(name, array, leaves)):
            if kernel in found:
                raise BadData(
                    f"The run of {ticket} holds two masks of {kernel}.", "Choose a run with one method that prunes."
                )
            found[kernel] = array
    if all(bool(np.all(mask)) for mask in found.values()):
        raise UsageError(f"The run of {ticket} has removed no weights.", "Name a run of a method that prunes.")

    def mask(path: tuple[Any, ...], leaf: Any) -> Any:
        if leaf.ndim <= 1:
            return None
        return jnp.asarray(found.get(jax.tree_util.keystr(path), np.ones(leaf.shape, np.bool_)))

    return jax.tree_util.tree_map_with_path(mask, shapes)
