"""Emulators of several games: one vector environment for each, all stepped at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from suite.experience.envs.atari import AtariEnvs
from suite.experience.envs.base import Envs, TimeStep
from suite.tasks import Game


class SeveralGames(Envs):
    """One emulator for each of `games`; those of a game share vector environments made by `make(game, E)`."""

    idle = AtariEnvs.idle

    def __init__(self, games: Sequence[Game], make: Callable[[Game, int], AtariEnvs]) -> None:
        members: dict[Game, list[int]] = {}
        for index, game in enumerate(games):
            members.setdefault(game, []).append(index)
        self.num_envs = len(games)
        self._parts = [(make(game, len(own)), np.asarray(own)) for game, own in members.items()]
        self.actions = max(envs.actions for envs, _ in self._parts)

    @override
    def send(self, actions: Sequence[Any] | NDArray[Any]) -> None:
        for envs, own in self._parts:
            envs.send([actions[index] for index in own])

    @override
    def receive(self) -> TimeStep:
        answers = [envs.receive() for envs, _ in self._parts]
        return TimeStep(*(self._merged(fields) for fields in zip(*answers, strict=True)))

    def _merged(self, fields: Sequence[Any]) -> Any:
        if fields[0] is None:
            return None
        whole = np.empty((self.num_envs, *fields[0].shape[1:]), fields[0].dtype)
        for part, (_, own) in zip(fields, self._parts, strict=True):
            whole[own] = part
        return whole

    @override
    def reset(self, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Start an episode in each (masked) environment; return what is seen there."""
        named = np.ones(self.num_envs, np.bool_) if mask is None else mask
        chosen = dict(zip(np.flatnonzero(named).tolist(), seeds, strict=True))
        whole: NDArray[Any] | None = None
        for envs, own in self._parts:
            part = named[own]
            if part.any():
                seen = envs.reset([chosen[index] for index in own[part].tolist()], None if part.all() else part)
                whole = np.zeros((self.num_envs, *seen.shape[1:]), seen.dtype) if whole is None else whole
                whole[own[part]] = seen[part]
        assert whole is not None
        return whole

    @override
    def close(self) -> None:
        """Stop all emulators."""
        for envs, _ in self._parts:
            envs.close()
