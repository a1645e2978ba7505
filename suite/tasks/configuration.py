"""The canonical, resolved description of a configuration, and the identity that follows from it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

from suite.contracts.card import Setting, Value

SCHEMA_VERSION = 1
Precision = Literal["float32", "tf32"]
PRECISION = Setting(
    value="float32",
    doc="Of matrix products and convolutions, on devices that can do less than float32.",
    source="arXiv 2402.12479 names none; jax rounds to TF32 on NVIDIA GPUs since Ampere unless it is told otherwise",
    choices=get_args(Precision),
)


class Component(BaseModel):
    """An agent, network or method with its version, its card's digest and every one of its settings resolved."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    version: int
    card: str = ""
    settings: dict[str, Value] = {}


class Spec(BaseModel):
    """A configuration: what is run, without the game and the seed. Equal specs are the same question.

    Lanes, device, paths and host never enter; a shortened budget does, so that it can never be mixed with the full one.
    `precision` of matrix products and convolutions: that of float32 on every device, which is the protocol's, or TF32.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    task_version: int
    frames: int = Field(ge=1)
    shortened: bool
    agent: Component
    network: Component
    methods: tuple[Component, ...]
    precision: Precision = "float32"
    dataset: str | None = None

    def canonical(self) -> str:
        """Return the spec as JSON with sorted keys and no white space: the same text for the same meaning."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), allow_nan=False)

    def __hash__(self) -> int:
        """Equal specs have equal task, length and components; settings, which are dicts, are left to `==`."""
        components = (self.agent, self.network, *self.methods)
        return hash((self.task_key, self.frames, self.dataset, tuple(component.id for component in components)))

    @property
    def config_id(self) -> str:
        """The first 16 hexadecimal digits (64 bits) of the SHA-256 of `canonical()`."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:16]

    @property
    def task_key(self) -> str:
        """`task@version`."""
        return f"{self.task}@{self.task_version}"

    @property
    def method_label(self) -> str:
        """The methods in one word: `dense`, or `magnitude_pruning+redo`."""
        return "+".join(method.id for method in self.methods)

    @property
    def label(self) -> str:
        """A short name for people: agent, network with its width, methods."""
        width = self.network.settings.get("width")
        network = f"{self.network.id} x{width}" if width not in (None, 1) else self.network.id
        return f"{self.agent.id} / {network} / {self.method_label}"


@dataclass(frozen=True, slots=True)
class Cell:
    """One training run to do: a configuration on one game with one seed."""

    spec: Spec
    game: str
    seed: int

    @property
    def path(self) -> str:
        """The run directory below the output directory: `<task>@<v>/<config_id>/<game>/seed-<n>`."""
        return f"{self.spec.task_key}/{self.spec.config_id}/{self.game}/seed-{self.seed}"
