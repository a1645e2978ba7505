"""Seeded resamples of runs within their games, which depend on the policy and the data alone.

Philox's raw output and our own mapping to indices: NumPy promises the former for all versions, and no more. Draw k is
word k of the stream, so neither the size of chunks nor the number of processes changes a resample.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence

import numpy as np

from leaderboard.statistics.conventions import Policy
from leaderboard.statistics.metrics import Array

CHUNK = 1024
"""Resamples at a time: 75 runs of them fit into a processor's second cache."""

FEWEST, ROOM = 128, 80_000
"""Of more runs fewer resamples at a time, so that both together stay within this room, but never fewer."""


def key_of(policy: Policy, purpose: str, sizes: Sequence[int], values: Array) -> int:
    """Return 128 bits that depend on the policy, the purpose, the numbers of runs and the values alone."""
    digest = hashlib.sha256(f"{policy!r}\n{purpose}\n{list(sizes)!r}\n{values.shape!r}\n".encode())
    digest.update(np.ascontiguousarray(values, dtype="<f8").tobytes())
    return int.from_bytes(digest.digest()[:16], "little")


def chunk_of(rows: int) -> int:
    """Return how many resamples of so many rows are made at a time."""
    return max(FEWEST, min(CHUNK, ROOM // rows))


def resamples(
    supports: Sequence[int], draws: Sequence[int], repetitions: int, key: int, chunk: int = CHUNK
) -> Iterator[Array]:
    """Yield counts [rows, at most `chunk`]: for every game, `draws` with replacement from its `supports` rows.

    A column is a resample and says how often each row was drawn, as a float. In an ordinary bootstrap both numbers are
    those of the runs.
    """
    source = np.random.Philox(key=key)
    ranges = np.repeat(np.array(supports, dtype=np.uint64), draws)
    starts = np.repeat(np.cumsum([0, *supports[:-1]], dtype=np.uint64), draws)
    half = np.uint64(32)
    n, rows = len(ranges), int(sum(supports))
    for first in range(0, repetitions, chunk):
        size = min(chunk, repetitions - first)
        chosen = source.random_raw(size * n).reshape(size, n)
        chosen >>= half
        chosen *= ranges
        chosen >>= half
        chosen += starts
        chosen *= np.uint64(size)
        chosen += np.arange(size, dtype=np.uint64)[:, None]
        flat = chosen.ravel().view(np.int64)
        yield np.bincount(flat, minlength=size * rows).reshape(rows, size).astype(np.float64)
