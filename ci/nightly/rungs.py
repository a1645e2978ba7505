"""Tasks on which Dopamine's DQN plays beside ours, and what its agent is given on each."""

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import numpy as np

from suite.experience.envs.minatar import MinAtarEnv
from suite.learning.build import at_game
from suite.running.request import Request, resolve
from suite.tasks import GAMES, load_task

Play = Callable[[int], tuple[Any, float, bool]]
"""Takes an action; returns the observation, the reward, and whether the episode terminated."""

EXPLORATION = {"constant": "identity_epsilon", "decaying": "linearly_decaying_epsilon"}
"""Dopamine's functions, by how the task explores."""


def load_dopamine(environment: Path) -> None:
    """Put the packages of an environment behind those that are here: what both have is of one version."""
    sys.path.append(str(next(environment.glob("lib/python*/site-packages"))))
    for name in ("common", "common.atari_wrappers"):  # OpenAI's, for Dopamine's PPO alone
        sys.modules[f"baselines.{name}"] = ModuleType(f"baselines.{name}")


class Rung:
    """A task of classic control, and how Dopamine's agent is set up for it."""

    layers: ClassVar = {"layers_0": ("encoder", "dense1"), "layers_1": ("encoder", "dense2"), "final_layer": ("head",)}
    """Dopamine's names of layers, and where ours lie."""
    preprocess: Callable[[Any], Any] | None = None
    """What states go through before the network; None: all is the network's own work."""

    def __init__(self, task: str, steps: int | None = None) -> None:
        self.task = load_task(task)
        self.spec = resolve(Request(task, "dqn", None, ("dense",), frames=steps))[0].spec
        self.steps = self.spec.frames
        self.environment: Any = self.task.environment

    def settings(self, game: str) -> Any:
        """Return the settings of the task's DQN in a game."""
        return at_game(self.spec, GAMES[game]).agent.settings

    def shown(self, game: str) -> tuple[tuple[int, ...], Any]:
        """Return shape and type of an observation."""
        return (len(self.environment.bounds[game][0]),), np.float32

    def network_settings(self, game: str) -> dict[str, Any]:
        """Return what Dopamine's network of the task is given."""
        low, high = self.environment.bounds[game]
        return {"num_layers": 2, "hidden_units": 512, "min_vals": tuple(low), "max_vals": tuple(high)}

    def network(self, game: str) -> Any:
        """Return that network, still to be told how many actions there are."""
        from dopamine.jax import networks

        return partial(networks.ClassicControlDQNNetwork, **self.network_settings(game))

    def begin(self, game: str, seed: int) -> tuple[Callable[[], Any], Play]:
        """Return what starts an episode, and what plays it."""
        import gymnasium

        environment = gymnasium.make(self.environment.names[game]).unwrapped
        seeds = iter((seed,))  # of the first episode; the others go on with its random numbers

        def step(action: int) -> tuple[Any, float, bool]:
            observation, reward, terminated, *_ = environment.step(action)
            return observation, float(reward), terminated

        return lambda: environment.reset(seed=next(seeds, None))[0], step

    def noise(self, game: str, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Any, Any]:
        """Return observations of noise: as our network gets them, and as Dopamine's agent does."""
        low, high = (np.asarray(bound, np.float32) for bound in self.environment.bounds[game])
        raw = rng.uniform(low, high, (*shape, len(low))).astype(np.float32)
        return 2 * ((raw - low) / (high - low)) - 1, raw

    def given(self, game: str) -> dict[str, Any]:
        """Return what Dopamine's agent is given in a game, by its own names: what the task gives ours."""
        settings = self.settings(game)
        return {
            "JaxDQNAgent": {
                "stack_size": 1,
                "gamma": settings["gamma"],
                "update_horizon": settings["n_step"],
                "min_replay_history": settings["warm_up"],
                "update_period": settings["update_period"],
                "target_update_period": settings["target_update_period"],
                "epsilon_fn": EXPLORATION[self.task.exploration],
                "epsilon_train": settings["epsilon_train"],
                "epsilon_decay_period": settings["epsilon_decay"],
                "optimizer": settings["optimizer"],
                "loss_type": settings["loss"],
            },
            "create_optimizer": {
                "learning_rate": settings["learning_rate"],
                "eps": settings["adam_epsilon"],
                "beta1": settings["adam_b1"],
                "beta2": settings["adam_b2"],
            },
            "ReplayBuffer": {
                "batch_size": settings["batch_size"],
                "max_capacity": settings["replay_capacity"],
                "compress": False,
            },
            "network": self.network_settings(game),
        }


class MinAtar(Rung):
    """A task of MinAtar, and the same."""

    layers: ClassVar = {"Conv_0": ("encoder", "conv"), "Dense_0": ("head",)}

    def shown(self, game: str) -> tuple[tuple[int, ...], Any]:
        """Return shape and type of an observation."""
        return (10, 10, self.environment.channels[game]), np.uint8

    def network_settings(self, game: str) -> dict[str, Any]:
        """Return what Dopamine's network of the task is given: nothing."""
        return {}

    def network(self, game: str) -> Any:
        """Return that network, still to be told how many actions there are."""
        from dopamine.labs.environments.minatar.minatar_env import MinatarDQNNetwork

        return MinatarDQNNetwork

    @staticmethod
    def preprocess(states: Any) -> Any:
        """Return pictures without the axis of the stack, which that network would take for its channels."""
        return states[..., 0]

    def begin(self, game: str, seed: int) -> tuple[Callable[[], Any], Play]:
        """Return what starts an episode, and what plays it."""
        environment, rng = MinAtarEnv(GAMES[game], self.environment), np.random.default_rng(seed)
        return lambda: environment.reset(int(rng.integers(2**31))), environment.step

    def noise(self, game: str, shape: tuple[int, ...], rng: np.random.Generator) -> tuple[Any, Any]:
        """Return observations of noise: as our network gets them, and as Dopamine's agent does."""
        raw = rng.integers(0, 2, (*shape, *self.shown(game)[0])).astype(np.uint8)
        return raw, raw


RUNGS = {"classic": Rung("classic"), "minatar": MinAtar("minatar", 1_000_000)}
