"""The compiled side of an inspection: what is computed of a learner on transitions of its replay, changing nothing.

Its programs are compiled when they are first called, so that who inspects nothing pays for nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Agent, Learner, Params
from suite.contracts.encoder import Layer, by_name
from suite.contracts.method import Method, combined_masks
from suite.experience.observations import Inputs
from suite.experience.samples import Rows


class Look(NamedTuple):
    """What a network makes of N transitions.

    `features`: by network, "" where there is one, what its last units put out, [N, D]. `outputs`: by layer, each unit's
    mean absolute output, [U]. `values`: [N, A], see `Agent.values`; None without. `taken`: [N], those of the actions
    taken; the mean of `values` where actions have no numbers.
    """

    features: dict[str, Any]
    outputs: dict[str, Any]
    values: Any
    taken: Any


class Mask(NamedTuple):
    """A kernel's mask: how many weights it has, the share that lives, and which, as packed bits."""

    size: int
    density: float
    bits: NDArray[np.uint8]


class Inspector:
    """The programs of one configuration for one number of actions; see `suite.learning.inspection` for what for."""

    def __init__(self, agent: Agent, methods: Sequence[Method], inputs: Inputs, actions: int) -> None:
        self._agent = agent
        self._methods = methods
        self._inputs = inputs
        self._legal = jnp.ones(actions, jnp.bool_)
        self._look = jax.jit(self._traced_look)
        self._values = jax.jit(self._traced_values)
        self._targets = jax.jit(self._traced_targets)
        self._gradient = jax.jit(self._traced_gradient)
        self._apart = jax.jit(_apart)
        self._masks = jax.jit(self._kept)

    def look(self, params: Params, data: Sequence[Any]) -> Look:
        """Return what the network makes of transitions, which come in parts of one size, on the host."""
        parts = [jax.device_get(self._look(params, part)) for part in data]
        joined: Look = jax.tree.map(lambda *own: np.concatenate(own), *(part._replace(outputs={}) for part in parts))
        layers = parts[0].outputs
        return joined._replace(outputs={name: np.mean([one.outputs[name] for one in parts], 0) for name in layers})

    def values(self, params: Params, data: Any) -> NDArray[np.float32]:
        """Return the values [N, A] of the states before N transitions."""
        return np.asarray(self._values(params, data))

    def targets(self, target_params: Params, data: Any) -> NDArray[np.float32]:
        """Return r + discount * max_a q(s, a) [N] of N transitions, by the target network."""
        return np.asarray(self._targets(target_params, data))

    def gradient(self, learner: Learner, key_data: NDArray[np.uint32], data: Any, index: int) -> NDArray[np.float32]:
        """Return the gradient [P] of the agent's loss at one of the transitions by itself."""
        return np.asarray(self._gradient(learner, key_data, _row(data, index)))

    def apart(self, params: Params, other: Params) -> tuple[float, float]:
        """Return the L2 distance of two trees of parameters, and the norm of the second."""
        distance, norm = jax.device_get(self._apart(params, other))
        return float(distance), float(norm)

    def masks(self, learner: Learner) -> dict[str, Mask]:
        """Return the masks of the methods together, by the kernel's layer; none where nothing is masked."""
        found = jax.device_get(self._masks(learner.methods))
        return {name: Mask(mask.size, float(np.mean(mask)), np.packbits(mask)) for name, mask in found.items()}

    def _kept(self, states: Mapping[str, Any]) -> dict[str, jax.Array]:
        return {
            "/".join(str(key.key) for key in path).removeprefix("params/").removesuffix("/kernel"): mask
            for path, mask in combined_masks(self._methods, states).items()
        }

    def _traced_look(self, params: Params, data: Any) -> Look:
        batch = self._inputs.batch(data, self._legal)
        units = self._agent.activations(params, batch.s_tm1)
        outputs = {
            name: jnp.mean(jnp.abs(own), axis=tuple(range(own.ndim - 1))) for name, own in units.items()
        }  # the score of suite.learning.measures.dormant
        last = last_layers(self._agent.layers, tuple(units))
        features = {network: _flat(units[name]) for network, name in last.items()}
        if self._agent.values is None:
            return Look(features, outputs, None, None)
        values = self._agent.values(params, batch.s_tm1)
        numbered = batch.a_tm1.ndim == 1
        taken = jnp.take_along_axis(values, batch.a_tm1[:, None], axis=1)[:, 0] if numbered else jnp.mean(values, 1)
        return Look(features, outputs, values, taken)

    def _traced_values(self, params: Params, data: Any) -> jax.Array:
        assert self._agent.values is not None
        return self._agent.values(params, self._inputs.batch(data, self._legal).s_tm1)

    def _traced_targets(self, target_params: Params, data: Any) -> jax.Array:
        assert self._agent.values is not None
        batch = self._inputs.batch(data, self._legal)
        return batch.r_t + batch.discount_t * jnp.max(self._agent.values(target_params, batch.s_t), axis=1)

    def _traced_gradient(self, learner: Learner, key_data: jax.Array, data: Any) -> jax.Array:
        found: list[Params] = []

        def caught(learner: Learner, gradients: Params) -> Learner:
            found.append(gradients)
            return learner

        self._agent.update(learner, self._inputs.batch(data, self._legal), jax.random.wrap_key_data(key_data), caught)
        return jnp.concatenate([leaf.reshape(-1) for leaf in jax.tree.leaves(found[0])])


def last_layers(layers: Sequence[Layer], noted: Sequence[str]) -> dict[str, str]:
    """Return by network the layer whose units are its features: the one that feeds a head, or else the last noted.

    `noted`: the layers whose units are known. Without any declared, the last of these.
    """
    heads = {layer.name for layer in layers if layer.role == "head"}
    known = [layer for layer in layers if layer.name in noted]
    if not known:
        return {"": noted[-1]} if noted else {}
    found = {layer.network: layer.name for layer in known}  # the last one of each network stays
    return found | {layer.network: layer.name for layer in known if not heads.isdisjoint(layer.fed)}


def _row(data: Any, index: int) -> Any:
    """Return one of the transitions of a sample, as a sample of one."""
    one = jax.tree.map(lambda leaf: leaf[index : index + 1], data)
    return one._replace(batch=one.batch._replace(legal=data.batch.legal)) if isinstance(data, Rows) else one


def _flat(units: jax.Array) -> jax.Array:
    """Return units as features [N, D]: feature maps flattened, the mean over quantile levels [N, K, U]."""
    return jnp.mean(units, axis=1) if units.ndim == 3 else units.reshape((units.shape[0], -1))


def _apart(params: Params, other: Params) -> tuple[jax.Array, jax.Array]:
    ours, theirs = by_name(params), by_name(other)
    distance = sum(jnp.sum(jnp.square(ours[name] - theirs[name])) for name in ours)
    return jnp.sqrt(jnp.asarray(distance)), jnp.sqrt(sum(jnp.sum(jnp.square(leaf)) for leaf in theirs.values()))
