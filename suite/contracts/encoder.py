"""The network contract: from observations to features, in layers whose roles are declared and whose units are noted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp

from suite.contracts.card import Value
from suite.errors import UsageError

Role = Literal["convolution", "dense", "head", "norm", "other"]
"""What a layer is to methods. `head`: puts out what the agent learns. `other`: of no layer, such as a temperature."""
FEATURES = "<features>"
"""What an encoder's last layer feeds: whatever the agent's network puts after the encoder."""
_UNITS = "_units"


class Layer(NamedTuple):
    """A layer of a network: its role, and which others its units feed. Every parameter is of a declared layer.

    `name`: the path of its parameters, say `encoder/conv1`, whose parameters are `encoder/conv1/kernel` (units on the
    last axis) and `encoder/conv1/bias`; or the name of a parameter that stands alone. `feeds`: the layer whose `kernel`
    has these units on its last axis but one, or a tuple of all that do, or `FEATURES`; empty if they cannot be named.
    Where a feature map of P positions was flattened in between, unit u of U is the inputs u, u + U, u + 2 U, ... (P of
    them). `of`: a normalization's layer, whose units it scales, and with which it is counted. `network`: which of an
    agent's several networks, each of which has its own layers; empty if there is one.
    """

    name: str
    role: Role
    feeds: str | tuple[str, ...] = ""
    of: str = ""
    network: str = ""

    @property
    def fed(self) -> tuple[str, ...]:
        """The names in `feeds`."""
        return self.feeds if isinstance(self.feeds, tuple) else (self.feeds,) if self.feeds else ()


class MakeEncoder(Protocol):
    """A network with its settings filled in: observation to features, in the initialization that the agent wants."""

    def __call__(self, **initializers: Any) -> Any:
        """Return a flax module that maps uint8 [B, height, width, stack] to float32 features [B, F].

        It has a property `layers`: every layer that has parameters, as a `Layer`, by its own names. Methods that choose
        layers, or that must know which layer feeds which, refuse a network without it. For `Agent.activations` it calls
        `record_units`.

        Agents that work between feature maps and features want two more methods, of which the whole is made:
        `torso(observation)`, the flattened feature maps float32 [B, D], and `final(flat)`, from [..., D] to [..., F].
        """
        ...


class MakeNetwork(Protocol):
    """What the registry makes of an entry point in the group `suite.networks`."""

    def __call__(self, values: Mapping[str, Value], **initializers: Any) -> Any:
        """Build the encoder (see `MakeEncoder`) from its card's resolved settings."""
        ...


def declared_layers(encoder: Any) -> tuple[Layer, ...]:
    """Return the layers that an encoder declares; none if it has no such property."""
    layers = getattr(encoder, "layers", ())
    if not isinstance(layers, tuple) or not all(isinstance(layer, Layer) for layer in layers):
        raise UsageError(
            f"`layers` of {type(encoder).__name__} is {layers!r}, no tuple of suite.contracts.encoder.Layer.",
            "Make it a property that returns one Layer for each layer; call a field of that name otherwise.",
        )
    return layers


def nested(
    layers: Sequence[Layer], inside: str, *, features: tuple[str, ...] = (), network: str = ""
) -> tuple[Layer, ...]:
    """Return a module's layers as they are called in a network that has it as `inside`.

    `features`: the layers of that network that `FEATURES` feed; empty if they cannot be named.
    """

    def moved(names: tuple[str, ...]) -> tuple[str, ...]:
        if FEATURES in names and not features:
            return ()
        own = tuple(f"{inside}/{name}" for name in names if name != FEATURES)
        return own + features if FEATURES in names else own

    return tuple(
        Layer(
            f"{inside}/{layer.name}",
            layer.role,
            moved(layer.fed),
            f"{inside}/{layer.of}" if layer.of else "",
            network or layer.network,
        )
        for layer in layers
    )


def by_name(params: Any) -> dict[str, Any]:
    """Return parameters by name, say `encoder/conv1/kernel`, in the order of the leaves of flax's tree."""
    return {
        "/".join(str(key.key) for key in path).removeprefix("params/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }


def layers_of(params: Any, layers: Sequence[Layer]) -> dict[str, Layer]:
    """Return each parameter's layer, by the parameter's name: UsageError if one is of no declared layer.

    A normalization has the role of its layer here. A declared layer without parameters is one that the agent leaves
    out, and feeds nothing.
    """
    declared = {layer.name: layer for layer in layers}
    for layer in layers:
        if layer.role == "norm" and not layer.of:
            raise UsageError(f"The normalization {layer.name} does not say whose units it scales.", "Give it an `of`.")
        for other in (*layer.fed, layer.of):
            if other and other not in declared:
                raise UsageError(f"The layer {layer.name} names {other}, which is no layer of this network.", _REMEDY)
    found = {name: _declared(name, declared) for name in by_name(params)}
    return {name: declared[layer.of]._replace(name=layer.name) if layer.of else layer for name, layer in found.items()}


def connections_of(params: Any, layers: Sequence[Layer]) -> dict[str, tuple[str, ...]]:
    """Return which layer feeds which others, each of them alone, by name, of those that have parameters."""
    present = {layer.name for layer in layers_of(params, layers).values()}
    found = {layer.name: layer.fed for layer in layers if layer.fed and {layer.name, *layer.fed} <= present}
    kernels = by_name(params)
    for source, target in ((source, target) for source, targets in found.items() for target in targets):
        units, inputs = kernels[f"{source}/kernel"].shape[-1], kernels[f"{target}/kernel"].shape[-2]
        if inputs % units:
            raise UsageError(
                f"{source} has {units} units and cannot feed {target} alone, which has {inputs} inputs.", _REMEDY
            )
    return found


_REMEDY = (
    "Declare every layer in the `layers` of the network's module, as a Layer of suite.contracts.encoder: "
    "its name, its role and the layers that it feeds."
)


def _declared(parameter: str, declared: Mapping[str, Layer]) -> Layer:
    parts = parameter.split("/")
    for length in range(len(parts), 0, -1):
        if layer := declared.get("/".join(parts[:length])):
            return layer
    raise UsageError(f"The parameter {parameter} is of no layer that this network declares.", _REMEDY)


def bare_encoder(encoder: Any) -> Any:
    """Return an encoder without what methods put around it: its own settings are attributes of that."""
    return getattr(encoder, "inner", encoder)


def changed_features(encoder: Any, features: jax.Array) -> jax.Array:
    """Return features float32 [..., F] as methods want them, where an agent computed them in the encoder's place."""
    change = getattr(encoder, "change", None)
    return features if change is None else jnp.asarray(change(features))


def record_units(module: Any, layer: str, units: jax.Array) -> jax.Array:
    """Note what the units of a layer of this flax module put out, float32 [B, ..., units], and return it unchanged.

    Costs nothing but where `recorded_units` asks for it.
    """
    if not module.is_initializing():
        module.sow("activations", layer + _UNITS, units)
    return units


def recorded_units(collections: Mapping[str, Any]) -> dict[str, jax.Array]:
    """Return what was noted, by layer, from the variables of `apply(..., mutable=["activations"])`."""
    leaves = jax.tree_util.tree_leaves_with_path(collections.get("activations", {}), is_leaf=lambda x: type(x) is tuple)
    return {"/".join(str(key.key) for key in path).removesuffix(_UNITS): units[-1] for path, units in leaves}
