"""The environments of a group's lanes: one vector environment for each game, all stepped at the same time."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from suite.experience.envs.base import Envs, TimeStep

KindT = TypeVar("KindT", bound=Hashable)


class SeveralEnvs:
    """One environment a lane; lanes that share a `kind` (a game) share a vector environment, made by `make`.

    `idle`: the action of lanes that nobody hears any more. Kinds whose observations differ in size cannot be mixed.
    """

    def __init__(self, kinds: Sequence[KindT], make: Callable[[KindT, int], Envs], idle: Any = 0) -> None:
        members: dict[KindT, list[int]] = {}
        for lane, kind in enumerate(kinds):
            members.setdefault(kind, []).append(lane)
        self.lanes = len(kinds)
        self.idle = idle
        self._parts = [(make(kind, len(lanes)), np.asarray(lanes)) for kind, lanes in members.items()]

    def step(self, actions: Sequence[Any]) -> TimeStep:
        """Take one action in each lane; arrays have the lane axis first."""
        if len(self._parts) == 1:
            envs, _ = self._parts[0]
            envs.send(np.asarray(actions))
            return envs.receive()
        for envs, lanes in self._parts:
            envs.send(np.asarray([actions[lane] for lane in lanes]))
        answers = [envs.receive() for envs, _ in self._parts]
        return TimeStep(*(self._merged(fields) for fields in zip(*answers, strict=True)))

    def _merged(self, fields: Sequence[Any]) -> Any:
        if fields[0] is None:
            return None
        whole = np.empty((self.lanes, *fields[0].shape[1:]), fields[0].dtype)
        for part, (_, lanes) in zip(fields, self._parts, strict=True):
            whole[lanes] = part
        return whole

    def reset(self, seeds: Mapping[int, int | None]) -> dict[int, NDArray[Any]]:
        """Start an episode in each of the given lanes, from a seed or without; return what they show.

        The first reset ever must be of all lanes, each with a seed.
        """
        frames: dict[int, NDArray[Any]] = {}
        for envs, lanes in self._parts:
            mask = np.asarray([lane in seeds for lane in lanes])
            if mask.any():
                chosen = [int(lane) for lane in lanes[mask]]
                first = envs.reset([seeds[lane] for lane in chosen], None if mask.all() else mask)
                frames.update(zip(chosen, first[mask], strict=True))
        return frames

    def close(self) -> None:
        """Stop all environments."""
        for envs, _ in self._parts:
            envs.close()
