"""What runs recorded in detail, read from the database when asked for: all of it together would fill the memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from leaderboard.store import models
from leaderboard.store.details import RunDiagnostics, stored_diagnostics, unpacked

Reader = Callable[[], AbstractContextManager[Connection]]
"""What opens a transaction to read in."""

KEPT = 4
"""How many configurations' diagnostics are remembered, unpacked."""

Key = tuple[str, str, int, str]
"""A configuration's id, a game, a seed, an environment's fingerprint."""


class Place(NamedTuple):
    """Where a run's recording is: its row and source, of which run it is, its digest, whether it has diagnostics."""

    number: int
    source: str
    key: Key
    digest: str
    diagnosed: bool


class Packed(NamedTuple):
    """A recording as the database has it, compressed; `key` is the run's."""

    key: Key
    diagnostics: bytes | None
    checkpoints: bytes | None

    def unpacked_diagnostics(self) -> RunDiagnostics | None:
        """Return its series and maps; None without any."""
        return None if self.diagnostics is None else RunDiagnostics(*self.key, *stored_diagnostics(self.diagnostics))

    def unpacked_checkpoints(self) -> Sequence[Sequence[Any]]:
        """Return a row for each checkpoint: agent step, frame, updates, SHA-256 of the learner and of the history."""
        found: Sequence[Sequence[Any]] = unpacked(self.checkpoints) or ()
        return found


class Recordings(Mapping[str, Sequence[RunDiagnostics]]):
    """The diagnostics of runs by configuration, in the order of game, seed and environment.

    Configurations without any are left out; `packed` has their checkpoints all the same.
    """

    def __init__(self, reader: Reader | None = None, places: Mapping[str, Sequence[Place]] | None = None) -> None:
        self._reader = reader
        self._places = places or {}
        self._diagnosed = {name: None for name, rows in self._places.items() if any(row.diagnosed for row in rows)}
        self._remembered = functools.lru_cache(maxsize=KEPT)(self._diagnostics)

    def __getitem__(self, config_id: str) -> Sequence[RunDiagnostics]:
        found = self._remembered(config_id)
        if not found:
            raise KeyError(config_id)
        return found

    def __contains__(self, config_id: object) -> bool:
        return config_id in self._diagnosed  # a mapping's own would read and unpack them to see

    def __iter__(self) -> Iterator[str]:
        return iter(self._diagnosed)

    def __len__(self) -> int:
        return len(self._diagnosed)

    def digests(self, config_id: str) -> tuple[tuple[Key, str], ...]:
        """Return what the recordings of a configuration's runs are known by, without reading them."""
        return tuple((row.key, row.digest) for row in self._places.get(config_id, ()))

    def packed(self, config_id: str) -> dict[Key, Packed]:
        """Return the recordings of a configuration's runs, as they are stored."""
        rows = {row.number: row for row in self._places.get(config_id, ())}
        if not rows or self._reader is None:
            return {}
        table = models.Recording
        columns = select(table.run_id, table.source, table.diagnostics, table.checkpoints)
        with self._reader() as connection:
            held = connection.execute(columns.where(table.run_id.in_(rows))).fetchall()
        found = {number: rest for number, source, *rest in held if rows[number].source == source}
        return {row.key: Packed(row.key, *found[number]) for number, row in rows.items() if number in found}

    def _diagnostics(self, config_id: str) -> Sequence[RunDiagnostics]:
        if config_id not in self._diagnosed:
            return ()
        found = (one.unpacked_diagnostics() for one in self.packed(config_id).values())
        return tuple(one for one in found if one is not None)
