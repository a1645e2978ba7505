"""The optimizer's moments of parameters that a method gave new values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from suite.contracts.agent import Params


def zero_moments(opt_state: Any, params: Params, where: Any) -> Any:
    """Return the optimizer's state with zeros in every tree shaped like the parameters; counts stay as they are.

    `where`: a tree like the parameters: booleans that broadcast to a leaf, true where it is zeroed, or None for a leaf
    that is kept.
    """
    structure: Any = jax.tree.structure(params)
    shapes = [leaf.shape for leaf in jax.tree.leaves(params)]

    def like_params(node: Any) -> bool:
        return structure == jax.tree.structure(node) and shapes == [jnp.shape(leaf) for leaf in jax.tree.leaves(node)]

    def zeroed(node: Any) -> Any:
        return jax.tree.map(_zero, node, where) if like_params(node) else node

    return jax.tree.map(zeroed, opt_state, is_leaf=like_params)


def _zero(leaf: jax.Array, flags: Any) -> jax.Array:
    return leaf if flags is None else jnp.where(flags, jnp.zeros_like(leaf), leaf)
