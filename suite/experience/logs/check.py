"""Checks of logged data: the files of a checkpoint, each and together, and checkpoints beside each other."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.errors import BadData
from suite.experience.logs.layout import (
    FRAME_BYTES,
    PADDING,
    Checkpoint,
    blank_rows,
    file_name,
    read_vectors,
    rows_after_terminals,
    transfer,
    whole_frames,
    wrong_frames,
)
from suite.experience.logs.npy import damaged


def inspect(logs: Path, suffix: int, actions: int, copy_to: Path | None = None) -> Checkpoint:
    """Check all of a checkpoint, and copy it if asked to; BadData names the file that is wrong."""
    vectors = read_vectors(logs, suffix, actions, copy_to)
    path = logs / file_name("observation", suffix)
    zeros = ZeroFrames(vectors.rows)
    copy = None if copy_to is None else copy_to / path.name
    _, entry = transfer(path, wrong_frames(vectors.capacity), zeros.take, copy)
    blank = zeros.zero & blank_rows(vectors)
    after = rows_after_terminals(vectors)
    if not blank[after].all():
        row = int(after[~blank[after]][0])
        raise damaged(path, f"row {row:,} follows a terminal and should be padding, but its frame is not all zero")
    return Checkpoint(
        suffix=suffix,
        capacity=vectors.capacity,
        rows=vectors.rows,
        add_count=vectors.add_count,
        truncated=tuple(unmarked_ends(blank, vectors.terminal)),
        files=vectors.entries | {"observation": entry},
    )


def unmarked_ends(blank: NDArray[np.bool_], terminal: NDArray[np.uint8]) -> list[int]:
    """Return the rows whose episode a time limit ended: padding follows them, and they are not terminal.

    `blank` [rows] is set where a row is all zero. Three such rows are padding, or fewer at the checkpoint's end. Of a
    game that turns black while nothing is done, a piece may be taken for padding, which costs three rows.
    """
    edges = np.flatnonzero(np.diff(np.concatenate([[0], blank.astype(np.int8), [0]])))
    ends = []
    for begin, end in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        padded = end - begin >= PADDING or end == len(blank)
        if padded and begin > 0 and not terminal[begin - 1]:
            ends.append(begin - 1)
    return ends


def check_sequence(logs: Path, checkpoints: Iterable[Checkpoint]) -> None:
    """Raise BadData if checkpoints cannot follow each other: swapped, or one of them twice."""
    whole = list(checkpoints)
    seen: dict[str, int] = {}
    for before, after in pairwise(whole):
        final = after is whole[-1] and after.add_count <= after.capacity  # a last, partial one counts for itself
        if after.add_count <= before.add_count and not final:
            raise BadData(
                f"{logs / file_name('add_count', after.suffix)} counts {after.add_count:,} rows, no more than that of "
                f"checkpoint {before.suffix}.",
                "The files of these checkpoints are mixed up: get them again.",
            )
    for checkpoint in whole:
        sha256 = checkpoint.files["observation"].sha256
        if sha256 in seen and checkpoint.rows:
            raise BadData(
                f"{logs / file_name('observation', checkpoint.suffix)} is the same file as that of checkpoint "
                f"{seen[sha256]}.",
                "Get both again.",
            )
        seen[sha256] = checkpoint.suffix


class ZeroFrames:
    """Finds the frames that are all zero, from an observation file's content in pieces."""

    def __init__(self, rows: int) -> None:
        self.zero: NDArray[np.bool_] = np.zeros(rows, np.bool_)
        self._left = b""
        self._next = 0

    def take(self, content: bytes) -> None:
        """Look at the next piece."""
        frames, self._left = whole_frames(self._left + content)
        words = frames.reshape(len(frames), FRAME_BYTES).view(np.uint64)
        end = min(self._next + len(frames), len(self.zero))
        self.zero[self._next : end] = ~np.any(words, axis=1)[: end - self._next]
        self._next = end
