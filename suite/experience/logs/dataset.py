"""A sample as training sees it: its frames mapped from the disk, and batches of windows like those of a replay.

The rules are those of `suite.experience.replay.frames`. A window starts from a drawn row whose stack and next n rows
are stored. A stack never reaches across the end of an episode: the three rows of padding after it are no transitions
for that reason, and the first real row finds the zeros that it needs. A terminal within the window ends the return; a
window across the end of an episode that a time limit ended is never drawn, since what followed is unknown, and none
reaches beyond its checkpoint. All windows that may be drawn are found beforehand, and drawn uniformly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.errors import BadData, UnfitEnvironment, UsageError
from suite.experience.logs.layout import FRAME_BYTES, SCREEN, STACK
from suite.experience.logs.sample import ROW_ARRAYS, PartEntry, SampleFile, Selection, find_sample
from suite.experience.replay.base import Uniform
from suite.experience.samples import Windows

Take = Callable[[NDArray[np.int64]], Any]
"""Returns the frames [B, k, height, width] at positions [B, k], from wherever somebody has put `all_frames`."""
REMEDY = "Delete its directory and issue `suite data sample` again."


class OfflineData:
    """A sample of a logged run, read-only. Positions count its stored rows, over all checkpoints, from 0 on."""

    stack = STACK

    def __init__(self, path: Path, sample: SampleFile) -> None:
        self.path = path
        self.sample_file = sample
        self._frames = [_map_frames(path, part) for part in sample.parts]
        arrays = [_row_arrays(path, part) for part in sample.parts]
        self._starts = np.cumsum([0, *(part.rows for part in sample.parts)])
        joined = {name: np.concatenate([part[name] for part in arrays]) for name in ROW_ARRAYS}
        self.actions: NDArray[np.int32] = joined["action"]
        self.rewards: NDArray[np.float32] = joined["reward"]
        self.terminal: NDArray[np.bool_] = joined["terminal"] == 1
        self.truncated: NDArray[np.bool_] = joined["truncated"] == 1
        self.drawn: NDArray[np.bool_] = joined["drawn"] == 1
        self._stretch = self._stretches(joined["row"])
        self._windows: dict[int, NDArray[np.int64]] = {}

    @classmethod
    def open(cls, path: Path) -> OfflineData:
        """Open a sample, such as DIR/Pong/1/samples/blocks.0.05.0; reads its small arrays and maps its frames.

        UnfitEnvironment if there is none or it is not whole, BadData if its files are not those that were built; of the
        frames, only the size is looked at.
        """
        sample = find_sample(path)
        if sample is None:
            raise UnfitEnvironment(
                f"{path} holds no sample, or none that is whole.", "Build it: suite data sample DIR --game GAME --run N"
            )
        return cls(path, sample)

    @property
    def identity(self) -> str:
        """Source, reading, fraction, seed and index set in one word: `dqn-replay.blocks.0.05.0.0123456789abcdef`."""
        return self.sample_file.identity

    @property
    def selection(self) -> Selection:
        """What the sample was asked to be."""
        return self.sample_file.selection

    @property
    def digest(self) -> str:
        """The SHA-256 of all that the sample holds, which depends on game and run, for a run's provenance."""
        hashes = [entry.sha256 for part in self.sample_file.parts for _, entry in sorted(part.files.items())]
        return hashlib.sha256("".join(hashes).encode()).hexdigest()

    @property
    def rows(self) -> int:
        """The number of drawn rows, padding among them."""
        return int(self.drawn.sum())

    @property
    def nbytes(self) -> int:
        """The bytes of all files; the frames', which are nearly all, are mapped and not held."""
        return self.sample_file.bytes

    def windows(self, n_step: int) -> NDArray[np.int64]:
        """Return the positions int64 [V] from which windows of n steps may be drawn, ascending."""
        if n_step not in self._windows:
            self._windows[n_step] = self._valid(n_step)
        return self._windows[n_step]

    def sample(self, plan: DataPlan, uniform: Uniform, take: Take | None = None) -> Windows:
        """Return a plan's next batch of windows, drawn uniformly with replacement."""
        if plan.replay != "uniform":
            raise UsageError(f"A logged data set is sampled uniformly, not {plan.replay}.", "Set agent.replay=uniform.")
        return self.gather(self._draw(plan.n_step, uniform), plan.n_step, plan.gamma, take)

    def sample_states(self, count: int, uniform: Uniform, take: Take | None = None) -> Any:
        """Return the stacks uint8 [count, stack, height, width] of uniformly drawn transitions."""
        return self.gather(self._draw(1, uniform)[:count], 1, 1.0, take).frames[:, :STACK]

    def gather(self, positions: NDArray[np.int64], n_step: int, gamma: float, take: Take | None = None) -> Windows:
        """Return the windows at these positions, which must be among `windows(n_step)`, in fresh arrays."""
        frames = (take or self._take)(positions[:, None] + np.arange(1 - STACK, n_step + 1))
        if n_step == 1:
            discounts = np.where(self.terminal[positions], np.float32(0), np.float32(gamma))
            return Windows(frames, self.actions[positions], self.rewards[positions], discounts)
        steps = positions[:, None] + np.arange(n_step)
        alive = np.cumprod(~self.terminal[steps], axis=1, dtype=np.float64)
        before = np.concatenate([np.ones((len(positions), 1)), alive[:, :-1]], axis=1)
        returns = (self.rewards[steps] * before * gamma ** np.arange(n_step)).sum(axis=1)
        return Windows(
            frames,
            self.actions[positions],
            returns.astype(np.float32),
            (alive[:, -1] * gamma**n_step).astype(np.float32),
        )

    def all_frames(self) -> NDArray[np.uint8]:
        """Return all stored frames [N, height, width] by position, in memory; for a device that holds them."""
        frames: NDArray[np.uint8] = np.concatenate(self._frames)
        return frames

    def _take(self, positions: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Return the frames at positions [B, k], which are consecutive in every row."""
        frames = np.empty((*positions.shape, SCREEN, SCREEN), np.uint8)
        first = positions[:, 0]
        parts = np.searchsorted(self._starts, first, side="right") - 1
        for index, (part, begin) in enumerate(zip(parts, first - self._starts[parts], strict=True)):
            frames[index] = self._frames[part][begin : begin + positions.shape[1]]
        return frames

    def _draw(self, n_step: int, uniform: Uniform) -> NDArray[np.int64]:
        windows = self.windows(n_step)
        return windows[(uniform(0) * len(windows)).astype(np.int64)]

    def _stretches(self, rows: NDArray[np.int32]) -> NDArray[np.int64]:
        """Return for each position the number of its stretch of consecutive rows of one checkpoint."""
        begins = np.ones(len(rows), np.bool_)
        begins[1:] = np.diff(rows) != 1
        begins[self._starts[:-1]] = True
        numbers: NDArray[np.int64] = np.cumsum(begins)
        return numbers

    def _valid(self, n_step: int) -> NDArray[np.int64]:
        last = len(self.drawn) - n_step
        positions: NDArray[np.int64] = np.flatnonzero(self.drawn[STACK - 1 : last]) + STACK - 1
        ended = np.concatenate([[0], np.cumsum(self.terminal | self.truncated)])
        within = self._stretch[positions - STACK + 1] == self._stretch[positions + n_step]
        positions = positions[within & (ended[positions] == ended[positions - STACK + 1])]
        alive = np.ones(len(positions), np.bool_)
        known = alive.copy()
        for step in range(n_step):
            known &= ~(alive & self.truncated[positions + step])
            alive &= ~self.terminal[positions + step]
        positions = positions[known]
        if not len(positions):
            raise UsageError(
                f"No window of {n_step} steps lies within the sample {self.path}.",
                f"Build one with `suite data sample --n-step {n_step}`, or a larger --fraction.",
            )
        return positions


def _map_frames(path: Path, part: PartEntry) -> NDArray[np.uint8]:
    file, size = path / f"ckpt-{part.suffix}" / "frames.npy", part.files["frames.npy"].bytes
    if not file.is_file() or file.stat().st_size != size:
        raise BadData(f"{file} is missing or has another size than when it was built.", REMEDY)
    return np.memmap(file, np.uint8, "r", size - part.rows * FRAME_BYTES, (part.rows, SCREEN, SCREEN))


def _row_arrays(path: Path, part: PartEntry) -> dict[str, NDArray[Any]]:
    arrays = {}
    for name, dtype in ROW_ARRAYS.items():
        file = path / f"ckpt-{part.suffix}" / f"{name}.npy"
        content = file.read_bytes() if file.is_file() else b""
        if hashlib.sha256(content).hexdigest() != part.files[f"{name}.npy"].sha256:
            raise BadData(f"{file} is missing or is not the file that was built.", REMEDY)
        arrays[name] = np.frombuffer(content[len(content) - part.rows * np.dtype(dtype).itemsize :], dtype)
    return arrays
