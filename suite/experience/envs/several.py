"""Environments of several kinds: one vector environment for each, all stepped at the same time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from suite.experience.envs.base import Envs, TimeStep

KindT = TypeVar("KindT", bound=Hashable)


class SplitEnvs(Envs, Protocol):
    """Environments whose step comes in two halves, so that those of several kinds work at the same time."""

    def send(self, actions: NDArray[Any]) -> None:
        """Begin to take one action in each environment."""
        ...

    def receive(self) -> TimeStep:
        """Return what the actions sent led to."""
        ...


class SeveralEnvs:
    """One environment for each of `kinds`; those of a kind (a game) share a vector environment, made by `make`.

    Kinds whose observations differ in size cannot be mixed.
    """

    def __init__(self, kinds: Sequence[KindT], make: Callable[[KindT, int], SplitEnvs]) -> None:
        members: dict[KindT, list[int]] = {}
        for index, kind in enumerate(kinds):
            members.setdefault(kind, []).append(index)
        self.num_envs = len(kinds)
        self._parts = [(make(kind, len(own)), np.asarray(own)) for kind, own in members.items()]
        self.actions = max(envs.actions for envs, _ in self._parts)
        self.idle: Any = self._parts[0][0].idle

    def step(self, actions: Sequence[Any] | NDArray[Any]) -> TimeStep:
        """Take one action in each environment."""
        if len(self._parts) == 1:
            return self._parts[0][0].step(actions)
        for envs, own in self._parts:
            envs.send(np.asarray([actions[index] for index in own]))
        answers = [envs.receive() for envs, _ in self._parts]
        return TimeStep(*(self._merged(fields) for fields in zip(*answers, strict=True)))

    def _merged(self, fields: Sequence[Any]) -> Any:
        if fields[0] is None:
            return None
        whole = np.empty((self.num_envs, *fields[0].shape[1:]), fields[0].dtype)
        for part, (_, own) in zip(fields, self._parts, strict=True):
            whole[own] = part
        return whole

    def reset(self, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Start an episode in each (masked) environment; return what is seen there."""
        if len(self._parts) == 1:
            return self._parts[0][0].reset(seeds, mask)
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

    def close(self) -> None:
        """Stop all environments."""
        for envs, _ in self._parts:
            envs.close()
