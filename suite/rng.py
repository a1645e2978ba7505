"""Random streams, each keyed by a hash of (task, game, seed, stream name) and addressed by a counter.

No stream is keyed by a slot in a group, and none by the method: dense and pruned runs share their random numbers. Only
Philox's raw output is used, which NumPy promises never to change, with a mapping of our own.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

EXPLORE_BLOCK = 4096
SAMPLE_BLOCK = 64


class Streams:
    """The random streams of one cell."""

    def __init__(self, task_key: str, game: str, seed: int) -> None:
        self._prefix = f"{task_key}/{game}/{seed}"
        self._digests: dict[str, bytes] = {}

    def digest(self, name: str) -> bytes:
        """Return the 32-byte key of the stream `name`."""
        if name not in self._digests:
            self._digests[name] = hashlib.sha256(f"{self._prefix}/{name}".encode()).digest()
        return self._digests[name]

    def uniform(self, name: str, counter: int, size: int, *, redraw: int = 0) -> NDArray[np.float64]:
        """Return `size` numbers in [0, 1) from position `counter` of a stream, or of its n-th redraw; 53 bits each."""
        key = np.frombuffer(self.digest(name)[:16], np.uint64)
        raw = np.random.Philox(key=key, counter=[0, counter, redraw, 0]).random_raw(size)
        return (raw >> np.uint64(11)).astype(np.float64) * 2.0**-53

    def emulator_seed(self, segment: int, name: str = "segment") -> int:
        """Return the emulator's seed for one segment (see `suite.experience.envs.atari`), in [0, 2**31)."""
        digest = hashlib.sha256(self.digest(name) + segment.to_bytes(8, "little")).digest()
        return int.from_bytes(digest[:4], "little") >> 1

    def key_data(self, name: str) -> NDArray[np.uint32]:
        """Return the two words of a threefry key for jax."""
        return np.frombuffer(self.digest(name)[:8], np.uint32).copy()


class Exploration:
    """Epsilon-greedy draws of one cell: a pair of uniform numbers for each agent step, made a block at a time."""

    def __init__(self, streams: Streams, name: str = "explore") -> None:
        self._streams = streams
        self._name = name
        self._block = -1
        self._draws: NDArray[np.float64] = np.empty((0, 2))

    def draw(self, step: int) -> tuple[float, float]:
        """Return (coin, choice) for an agent step: explore if coin <= epsilon, with action floor(choice * actions)."""
        block, offset = divmod(step, EXPLORE_BLOCK)
        if block != self._block:
            self._draws = self._streams.uniform(self._name, block, 2 * EXPLORE_BLOCK).reshape(EXPLORE_BLOCK, 2)
            self._block = block
        return float(self._draws[offset, 0]), float(self._draws[offset, 1])

    def action(self, step: int, epsilon: float, actions: int) -> int | None:
        """Return the random one of `actions` actions at an agent step, or None where the greedy one is to be taken."""
        coin, choice = self.draw(step)
        return int(choice * actions) if coin <= epsilon else None


class Sampling:
    """Draws of one cell for its batches: B uniform numbers for each update, made a block at a time."""

    def __init__(self, streams: Streams, batch_size: int) -> None:
        self._streams = streams
        self._batch_size = batch_size
        self._block = -1
        self._draws: NDArray[np.float64] = np.empty((0, batch_size))

    def draw(self, update: int, redraw: int) -> NDArray[np.float64]:
        """Return the numbers [B] of an update's draw (`redraw` 0), or of its n-th redraw."""
        if redraw:
            return self._streams.uniform("redraw", update, self._batch_size, redraw=redraw)
        block, offset = divmod(update, SAMPLE_BLOCK)
        if block != self._block:
            numbers = self._streams.uniform("sample", block, SAMPLE_BLOCK * self._batch_size)
            self._draws = numbers.reshape(SAMPLE_BLOCK, self._batch_size)
            self._block = block
        row: NDArray[np.float64] = self._draws[offset]
        return row

    def of(self, update: int) -> Draw:
        """Return the draw of the batch for the update that `update` others went before."""
        return Draw(self._streams, update, self)


@dataclass(frozen=True, slots=True)
class Draw:
    """The random numbers of one update's batch: calling it gives the set of the draw (0) or of a redraw."""

    streams: Streams
    update: int
    sampling: Sampling

    def __call__(self, redraw: int) -> NDArray[np.float64]:
        """Return the numbers [B] of the draw, or of its n-th redraw."""
        return self.sampling.draw(self.update, redraw)
