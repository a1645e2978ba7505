"""MinAtar's five games: pictures of 10 x 10 cells whose channels are kinds of things, actions numbered 0 to 5.

The package (Young and Tian 2019) is licensed under the GPL and an optional dependency. An episode is a pure function of
its seed and its actions: a reset to a seed sets the package's one source of random numbers, which sticky actions share
with the game, and forgets the last action, which the package itself carries from one episode into the next.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module, metadata
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import UnfitEnvironment
from suite.tasks import Game, MinAtarEnvironment
from suite.tasks.environments import fingerprint, minatar_options

INSTALL = "pip install --no-deps MinAtar==1.0.15"
"""Without the plotting packages that it names as requirements: playing takes NumPy alone."""
DRAWING = ("matplotlib", "matplotlib.pyplot", "matplotlib.colors", "seaborn")


class MinAtarEnv:
    """One game; observations are uint8 [10, 10, C], 1 where a thing of the channel is."""

    def __init__(self, game: Game, options: MinAtarEnvironment) -> None:
        name = options.names[game.name]
        self._env: Any = _package().Environment(name, options.sticky_action_probability, options.difficulty_ramping)
        self._env.seed(0)  # the game draws from the wrapper's numbers from now on
        found = (tuple(self._env.state_shape()), self._env.num_actions())
        expected = ((10, 10, options.channels[game.name]), game.actions)
        if found != expected:
            raise UnfitEnvironment(
                f"MinAtar's {name} has observations {found[0]} and {found[1]} actions here; the task expects "
                f"{expected[0]} and {expected[1]}.",
                f"{INSTALL}.",
            )

    def reset(self, seed: int) -> NDArray[np.uint8]:
        """Start the episode of a seed; return its first observation."""
        self._env.random.seed(seed)
        self._env.last_action = 0
        self._env.reset()
        return self._seen()

    def step(self, action: int) -> tuple[NDArray[np.uint8], float, bool]:
        """Take an action; return what is observed, the reward, and whether the episode terminated."""
        reward, terminated = self._env.act(action)
        return self._seen(), float(reward), bool(terminated)

    def _seen(self) -> NDArray[np.uint8]:
        seen: NDArray[np.uint8] = self._env.state().view(np.uint8)
        return seen


def environment_of(game: Game, options: MinAtarEnvironment) -> tuple[dict[str, Any], str]:
    """Return all that an environment is made of, and a fingerprint of what results depend on."""
    MinAtarEnv(game, options)
    environment = {**minatar_options(options, game), "minatar": metadata.version("minatar")}
    return environment, fingerprint(environment)


@cache
def _package() -> ModuleType:
    try:
        with _without_drawing():
            return import_module("minatar")
    except ImportError as error:
        raise UnfitEnvironment(f"The package minatar cannot be imported: {error}.", f"{INSTALL}.") from error


@contextmanager
def _without_drawing() -> Iterator[None]:
    """Stand in for what the package draws with: it takes seconds to import, or is missing, which is warned of."""
    before = {name: sys.modules.get(name) for name in DRAWING}
    for name in DRAWING:
        sys.modules[name] = ModuleType(name)
    for name in DRAWING[1:3]:
        setattr(sys.modules[DRAWING[0]], name.rpartition(".")[2], sys.modules[name])
    try:
        yield
    finally:
        for name, module in before.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
