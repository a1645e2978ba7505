"""Checkpoints of earlier attempts, taken over by the one that goes on from them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from pathlib import Path

from suite import durable
from suite.records.checkpoints import CheckpointStore, access


def adopt(folder: Path, sources: Iterable[tuple[Path, float]]) -> None:
    """Take over the checkpoints in other folders, each up to a step, newest folder first; nothing stays there.

    Each is renamed, so that nobody who writes or deletes below its old name can reach it. Another process that takes
    over may have moved one to a folder that was looked at before: so all are looked through until there is nothing
    left.
    """
    store, others = CheckpointStore(folder), [(CheckpointStore(source), limit) for source, limit in sources]
    with access(f"Cannot take over checkpoints to {store.path}"):
        while sum(_take(store, other, limit) for other, limit in others):
            pass
        for other, _ in others:
            with contextlib.suppress(OSError):  # its writer has woken up, and makes new ones, which never count
                durable.remove_tree(other.path)


def _take(store: CheckpointStore, other: CheckpointStore, limit: float) -> int:
    """Move what another store has up to a step, and what was set aside there; return how many that were."""
    moved = 0
    for path in other.up_to(limit):
        target = store.path / path.name
        if not target.exists():
            durable.make_directory(store.path)
            with contextlib.suppress(FileNotFoundError):
                durable.system.rename(path, target)
            moved += 1
    if moved:
        durable.sync_directory(store.path)
    return moved
