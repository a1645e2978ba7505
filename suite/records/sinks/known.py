"""The sinks that there are, and the packages that they need."""

from __future__ import annotations

import importlib
import importlib.util
from typing import NamedTuple

from suite.errors import UnfitEnvironment, unknown_name
from suite.records.sinks.feed import Opener


class Known(NamedTuple):
    """A sink: the package that it needs, and where its opener is."""

    package: str
    module: str
    opener: str


SINKS = {
    "tensorboard": Known("tensorboardX", "suite.records.sinks.tensorboard", "TensorBoard"),
    "trackio": Known("trackio", "suite.records.sinks.trackio", "Trackio"),
    "wandb": Known("wandb", "suite.records.sinks.wandb", "WeightsAndBiases"),
}


def opener_of(name: str) -> Opener:
    """Return what opens a sink; UnfitEnvironment with the line that installs its package, where that is missing."""
    if name not in SINKS:
        raise unknown_name("sink", name, SINKS)
    known = SINKS[name]
    if importlib.util.find_spec(known.package) is None:
        raise UnfitEnvironment(
            f"The sink {name} needs the package {known.package}, which is not installed.",
            f"Install it: pip install 'pruned-rl-suite[{name}]'.",
        )
    opener: Opener = getattr(importlib.import_module(known.module), known.opener)
    return opener
