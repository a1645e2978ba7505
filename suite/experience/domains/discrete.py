"""Discrete control: small environments with numbered actions that show an array, one for each lane."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from suite.contracts.agent import DataPlan
from suite.experience.domains.base import Domain
from suite.experience.envs import classic, minatar
from suite.experience.envs.discrete import DiscreteEnv, DiscreteEnvs
from suite.experience.observations import Arrays
from suite.experience.replay.arrays import ArrayReplay, replay_bytes
from suite.experience.replay.placement import Placement
from suite.tasks import DiscreteEnvironment, Game, Task


class DiscreteControl(Domain):
    """What small environments have in common; `make` and `inputs` are a kind's own."""

    mixes_games = False
    plays = True

    def __init__(self, options: DiscreteEnvironment) -> None:
        self._caps = options
        self.reseed_steps = options.reseed_steps
        self.reward_clip = options.reward_clip

    @abstractmethod
    def make(self, game: Game) -> DiscreteEnv:
        """Return an environment of a game."""

    @abstractmethod
    @override
    def inputs(self, game: Game) -> Arrays: ...

    @override
    def check(self, game: Game) -> None:
        self.environment(game)

    @override
    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        return replay_bytes(plan, steps, self.inputs(game)), 0

    @override
    def replay(self, plan: DataPlan, game: Game, seed: int, placement: Placement) -> ArrayReplay:
        """Observations are small: they stay on the host."""
        return ArrayReplay(plan, self.inputs(game))

    @override
    def environments(self, games: Sequence[Game], threads: int) -> DiscreteEnvs:
        """The games are one."""
        return self.evaluation_envs(games[0], len(games), threads)

    @override
    def history_bytes_per_step(self, game: Game) -> int:
        """Those of an action."""
        return self._caps.action_bytes(game)

    @override
    def evaluation_envs(self, game: Game, count: int, threads: int) -> DiscreteEnvs:
        return DiscreteEnvs(lambda: self.make(game), game.actions, self._caps.cap(game), count)

    @override
    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        return {}


class Classic(DiscreteControl):
    """Classic control."""

    seconds_per_step = 1.2e-4

    def __init__(self, task: Task) -> None:
        super().__init__(task.classic)
        self.options = task.classic

    @override
    def make(self, game: Game) -> classic.ClassicEnv:
        return classic.ClassicEnv(game, self.options)

    @override
    def inputs(self, game: Game) -> Arrays:
        return Arrays((len(self.options.bounds[game.name][0]),), "float32")

    @override
    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """The fingerprint is of the library's version and every option."""
        return classic.environment_of(game, self.options)


class MinAtar(DiscreteControl):
    """MinAtar."""

    seconds_per_step = 3e-5

    def __init__(self, task: Task) -> None:
        super().__init__(task.minatar)
        self.options = task.minatar

    @override
    def make(self, game: Game) -> minatar.MinAtarEnv:
        return minatar.MinAtarEnv(game, self.options)

    @override
    def inputs(self, game: Game) -> Arrays:
        return Arrays((10, 10, self.options.channels[game.name]), "uint8")

    @override
    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """The fingerprint is of the package's version and every option."""
        return minatar.environment_of(game, self.options)
