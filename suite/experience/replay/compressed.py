"""The frames of a ring in less memory: each compressed alone, without loss."""

from __future__ import annotations

import sys

import lz4.block
import numpy as np
from numpy.typing import NDArray

from suite.experience.replay.frames import Recycled, blank

SEGMENT = 4096


class CompressedFrames:
    """Each frame an LZ4 block of its own; those of `segment` consecutive slots lie in one arena, in the order put.

    A frame is appended to its segment's arena whatever its slot held before, so the previous round's frames stay
    readable beside the new ones. The put of a segment's last slot closes it: what no slot refers to any more is
    dropped. Beyond the compressed bytes this takes six a slot, and at most 1.3 segments while one is filled again; puts
    in another order than the ring's are as good, but leave an eighth of spare room until their segment next closes.

    Random play, 3,000 frames of 84 x 84 of each of the 60 games: 1.02 kB a frame (7.06 kB raw), UpNDown most with 2.52.
    """

    def __init__(self, capacity: int, shape: tuple[int, int], segment: int = SEGMENT) -> None:
        self._shape = shape
        self._segment = segment
        self._size = shape[0] * shape[1]
        self._zeros = bytes(self._size)
        self._batches = Recycled()
        self._arenas: list[bytes | bytearray] = [b""] * -(-capacity // segment)
        self._starts = np.zeros(capacity, np.uint32)  # of a slot's block in its arena, in bytes
        worst = self._size + self._size // 255 + 16  # LZ4_COMPRESSBOUND of lz4.h: what cannot be compressed grows
        self._lengths = np.zeros(capacity, np.min_scalar_type(worst))  # 0: never put

    def put(self, slot: int, frame: NDArray[np.uint8]) -> None:
        """Compress a frame to the end of its segment's arena."""
        block = lz4.block.compress(frame.tobytes(), store_size=False)
        number = slot // self._segment
        arena = self._arenas[number]
        if not isinstance(arena, bytearray):
            arena = self._arenas[number] = bytearray(arena)
        self._starts[slot], self._lengths[slot] = len(arena), len(block)
        arena += block
        if slot + 1 in (len(self._starts), (number + 1) * self._segment):
            self._close(number)

    def take(self, slots: NDArray[np.int64], missing: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Decompress frames one by one into one array."""
        flat = slots.ravel()
        starts = self._starts[flat].astype(np.int64)
        ends = starts + self._lengths[flat]
        numbers = flat // self._segment
        frames = bytearray().join(map(self._frame, numbers.tolist(), starts.tolist(), ends.tolist()))
        gathered = self._batches.array((*slots.shape, *self._shape))
        gathered.reshape(-1)[:] = np.frombuffer(frames, np.uint8)
        blank(gathered, missing)
        return gathered

    def nbytes(self) -> int:
        """Return the bytes of all arenas, spare room included, and of the index."""
        return sum(map(sys.getsizeof, self._arenas)) + self._starts.nbytes + self._lengths.nbytes

    def _frame(self, number: int, start: int, end: int) -> bytes:
        if start == end:
            return self._zeros
        frame: bytes = lz4.block.decompress(self._arenas[number][start:end], uncompressed_size=self._size)
        return frame

    def _close(self, number: int) -> None:
        slots = slice(number * self._segment, (number + 1) * self._segment)
        arena = self._arenas[number]
        starts, lengths = self._starts[slots].astype(np.int64), self._lengths[slots].astype(np.int64)
        blocks = map(slice, starts.tolist(), (starts + lengths).tolist())
        self._arenas[number] = b"".join(arena[block] for block in blocks)
        self._starts[slots] = np.cumsum(lengths) - lengths
