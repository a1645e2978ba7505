"""Stores of the frames of a ring: plain in memory, or each compressed alone.

Both hold the same frames to the bit and differ in memory and time only.
"""

from __future__ import annotations

import math
import sys
from typing import Any, Protocol

import lz4.block
import numpy as np
from numpy.typing import NDArray

SEGMENT = 4096
CACHE_LINE = 64


class FrameStore(Protocol):
    """uint8 frames [h, w] by slot, zeros where none was put. Puts in the order of the ring take the least memory."""

    def put(self, slot: int, frame: NDArray[np.uint8]) -> None:
        """Store a frame [h, w], in place of the one that the slot held."""

    def take(self, slots: NDArray[np.int64]) -> Any:
        """Return the frames of slots [B, W] in an array [B, W, h, w] of their own, on the host or on the device."""

    def nbytes(self) -> int:
        """Return the bytes of memory held now."""


class HostFrames:
    """Frames, or other arrays of one shape and type, as they are; the system gives the memory as it fills."""

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: str = "uint8") -> None:
        self._frames = np.zeros((capacity, *shape), dtype)
        self._used = 0
        self._batches = Recycled()

    def put(self, slot: int, frame: NDArray[Any]) -> None:
        """Copy a frame into its slot."""
        self._frames[slot] = frame
        self._used = max(self._used, slot + 1)

    def take(self, slots: NDArray[np.int64]) -> NDArray[Any]:
        """Gather frames in one pass, into memory that a program on the CPU reads where it is."""
        gathered = self._batches.array((*slots.shape, *self._frames.shape[1:]), self._frames.dtype)
        self._frames.take(slots, axis=0, out=gathered, mode="clip")  # with `raise` it would buffer
        return gathered

    def nbytes(self) -> int:
        """Return the bytes up to the highest slot put so far."""
        return self._frames[: self._used].nbytes


def aligned(shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
    """Return an uninitialized array that begins on a cache line: one that does not, jax copies at every call."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    begin = -memory.ctypes.data % CACHE_LINE
    array: NDArray[Any] = memory[begin : begin + size].view(dtype).reshape(shape)
    return array


def _references(array: NDArray[Any]) -> int:
    return sys.getrefcount(array.base)


UNUSED = _references(aligned((1,)))
"""References to the memory of an array that nobody else holds, nor a view of it."""


class Recycled:
    """Aligned arrays, each given out again once nobody holds it or a view of it: new memory costs its page faults."""

    def __init__(self) -> None:
        self._arrays: list[NDArray[Any]] = []

    def array(self, shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
        """Return an uninitialized array that begins on a cache line."""
        for array in self._arrays:
            if array.shape == shape and array.dtype == dtype and _references(array) == UNUSED:
                return array.view()
        self._arrays = [*self._arrays[-1:], aligned(shape, dtype)]
        return self._arrays[-1].view()


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

    def take(self, slots: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Decompress frames one by one into one array."""
        flat = slots.ravel()
        starts = self._starts[flat].astype(np.int64)
        ends = starts + self._lengths[flat]
        numbers = flat // self._segment
        frames = bytearray().join(map(self._frame, numbers.tolist(), starts.tolist(), ends.tolist()))
        gathered = self._batches.array((*slots.shape, *self._shape))
        gathered.reshape(-1)[:] = np.frombuffer(frames, np.uint8)
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
