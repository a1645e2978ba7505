"""The sample of a logged run: which rows it is made of, and their frames gathered into files that training can map.

Four readings of "5 % of the data", each the same share of every checkpoint:

    blocks       contiguous blocks of 1,000 rows, drawn without replacement (the default)
    transitions  single rows, drawn without replacement
    episodes     the first 5 % of the episodes that end in a checkpoint, rounded down, as Dopamine's loader of RL
                 Unplugged takes them
    checkpoints  the first 5 % of a checkpoint's rows, as Dopamine's loader does with `replay_capacity=50_000`

What is drawn, the index set, is a function of reading, fraction, seed and the checkpoints' capacities (of the episodes'
ends, for `episodes`), and of nothing else: it is the same for all games with logs of one length. Rows that a checkpoint
does not have (see `suite.experience.logs.layout`) are left out when the sample is built. Of each drawn row, its stack
and the next `n_step` rows are stored with it, so that a window may start from every drawn row.

    {Game}/{run}/samples/blocks.0.05.0/       reading, fraction, seed
        ckpt-{k}/frames.npy                   uint8   [N, 84, 84], each distinct frame once, in order
        ckpt-{k}/row.npy                      int32   [N], the row of the checkpoint
        ckpt-{k}/action.npy, reward.npy       int32, float32 [N]
        ckpt-{k}/terminal.npy, truncated.npy  uint8   [N]
        ckpt-{k}/drawn.npy                    uint8   [N], 1 for rows of the index set, 0 for those around them
        ckpt-{k}/part.json                    what it was made from, and a hash of each file
        sample.json                           written last: a sample without it is not whole
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, cached_property
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suite.errors import BadData, UsageError
from suite.experience.logs.files import FileEntry
from suite.experience.logs.layout import (
    FRAME_BYTES,
    PADDING,
    Checkpoint,
    Place,
    Vectors,
    file_name,
    read_vectors,
)
from suite.experience.logs.manifest import Manifest
from suite.rng import Streams
from suite.tasks import game

Reading = Literal["blocks", "transitions", "episodes", "checkpoints"]
READINGS: tuple[Reading, ...] = ("blocks", "transitions", "episodes", "checkpoints")
BLOCK = 1_000
"""Rows of a block."""
STREAMS = "suite.data.sample"
"""The name of the random streams that rows are drawn by; another name would draw other rows from every log."""
ROW_ARRAYS = {
    "row": "<i4",
    "action": "<i4",
    "reward": "<f4",
    "terminal": "|u1",
    "truncated": "|u1",
    "drawn": "|u1",
}
ROW_BYTES = sum(np.dtype(name).itemsize for name in ROW_ARRAYS.values())
Rows = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Selection:
    """What is asked for. `n_step`: the longest window that can start from every drawn row."""

    reading: Reading = "blocks"
    fraction: float = 0.05
    seed: int = 0
    n_step: int = 1

    def __post_init__(self) -> None:
        if self.reading not in READINGS:
            raise UsageError(f"Unknown reading {self.reading!r}.", f"Known: {', '.join(READINGS)}.")
        if not 0 < self.fraction <= 1:
            raise UsageError(f"--fraction {self.fraction:g} is no share.", "Give a number above 0 and up to 1.")
        if self.seed < 0 or not 1 <= self.n_step <= 100:
            raise UsageError("--seed must be at least 0, --n-step from 1 to 100.", "Change them.")

    @property
    def words(self) -> str:
        """Reading, fraction and seed in one word, and `n_step` if it is not 1: `blocks.0.05.0`."""
        longer = f".n{self.n_step}" if self.n_step != 1 else ""
        return f"{self.reading}.{self.fraction:.10g}.{self.seed}{longer}"

    @property
    def share(self) -> Fraction:
        """The fraction as its decimal digits have it."""
        return Fraction(f"{self.fraction:.10g}")


class PartEntry(BaseModel):
    """The part of a sample that is from one checkpoint: `rows` stored, `drawn` of them of the index set.

    `made_from`: the hash of the checkpoint's manifest entry and of what is taken from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suffix: int
    rows: int
    drawn: int
    made_from: str
    files: dict[str, FileEntry]


class SampleFile(BaseModel):
    """`sample.json`. `identity` names source, selection and index set; equal identities of a run are equal data."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    identity: str
    source: str
    game: str
    run: int
    reading: Reading
    fraction: float
    seed: int
    n_step: int
    index_sha256: str
    parts: tuple[PartEntry, ...] = Field(min_length=1)

    @property
    def selection(self) -> Selection:
        """What was asked for."""
        return Selection(self.reading, self.fraction, self.seed, self.n_step)

    @property
    def bytes(self) -> int:
        """Bytes of all arrays."""
        return sum(entry.bytes for part in self.parts for entry in part.files.values())


@dataclass(frozen=True)
class Part:
    """What is taken from one checkpoint: `drawn` rows, and all `stored` ones, both sorted."""

    checkpoint: Checkpoint
    drawn: Rows
    stored: Rows

    @cached_property
    def made_from(self) -> str:
        """The hash of what the part is a function of."""
        digest = hashlib.sha256(self.checkpoint.model_dump_json().encode())
        for rows in (self.drawn, self.stored):
            digest.update(len(rows).to_bytes(8, "little") + rows.astype("<i8").tobytes())
        return digest.hexdigest()


@dataclass(frozen=True)
class SamplePlan:
    """A sample before it is built."""

    place: Place
    source: str
    selection: Selection
    index_sha256: str
    parts: tuple[Part, ...]

    @property
    def identity(self) -> str:
        """Source, selection, and 16 digits of the index set's hash: `dqn-replay.blocks.0.05.0.0123456789abcdef`."""
        return f"{self.source}.{self.selection.words}.{self.index_sha256[:16]}"

    @property
    def drawn(self) -> int:
        """Rows of the index set that are there."""
        return sum(len(part.drawn) for part in self.parts)

    @property
    def frames(self) -> int:
        """Distinct frames."""
        return sum(len(part.stored) for part in self.parts)

    @property
    def bytes(self) -> int:
        """Bytes of the arrays, their headers left out."""
        return self.frames * (FRAME_BYTES + ROW_BYTES)


def sample_path(place: Place, selection: Selection) -> Path:
    """Return where a sample of a run is."""
    return place.folder / "samples" / selection.words


# ------------------------------------------------------------------------------------------------------- the index set


def index_set(
    selection: Selection, capacities: Mapping[int, int], ends: Callable[[int], Rows] | None = None
) -> dict[int, Rows]:
    """Return the drawn rows of each checkpoint, sorted, by suffix as `capacities` are.

    `ends(suffix)` gives the rows where an episode of a checkpoint ends; needed for the reading `episodes`.
    """
    share, total, taken = selection.share, 0, 0
    drawn = {}
    for suffix, capacity in capacities.items():
        if selection.reading == "episodes":
            assert ends is not None
            rows = _first_episodes(ends(suffix), share)
        else:
            unit = BLOCK if selection.reading == "blocks" else 1
            units = -(-capacity // unit)
            total += units
            count = int(share * total + Fraction(1, 2)) - taken  # so that the shares add up
            taken += count
            chosen = (
                np.arange(count) if selection.reading == "checkpoints" else _choose(selection, suffix, units, count)
            )
            rows = (chosen[:, None] * unit + np.arange(unit)).ravel()
            rows = rows[rows < capacity]
        drawn[suffix] = rows.astype(np.int64)
    if not sum(map(len, drawn.values())):
        raise UsageError(f"A fraction of {selection.fraction:g} of this log is nothing.", "Give a larger --fraction.")
    return drawn


def index_hash(drawn: Mapping[int, Rows]) -> str:
    """Return the SHA-256 of an index set: of each checkpoint its suffix, the number of rows, the rows; all int64."""
    digest = hashlib.sha256()
    for suffix, rows in drawn.items():
        digest.update(np.concatenate([[suffix, len(rows)], rows]).astype("<i8").tobytes())
    return digest.hexdigest()


def stored_rows(drawn: Rows, rows: int, n_step: int) -> Rows:
    """Return the rows below `rows` that windows from the drawn ones need: their stacks and the `n_step` that follow."""
    needed = np.zeros(rows + 1, np.int32)
    np.add.at(needed, np.clip(drawn - PADDING, 0, rows), 1)
    np.add.at(needed, np.clip(drawn + n_step + 1, 0, rows), -1)
    return np.flatnonzero(np.cumsum(needed[:-1]) > 0)


def _choose(selection: Selection, suffix: int, units: int, count: int) -> Rows:
    """Return `count` of `units` numbers, sorted, drawn without replacement: those with the smallest random keys."""
    if count in (0, units):
        return np.arange(count)
    keys = Streams(STREAMS, selection.reading, selection.seed).uniform("keys", suffix, units)
    limit = np.partition(keys, count - 1)[count - 1]
    chosen, tied = keys < limit, np.flatnonzero(keys == limit)
    chosen[tied[: count - int(chosen.sum())]] = True
    return np.flatnonzero(chosen)


def _first_episodes(ends: Rows, share: Fraction) -> Rows:
    count = int(share * len(ends))
    return np.arange(int(ends[count - 1]) + 1 if count else 0)


@cache
def _cached(selection: Selection, capacities: tuple[tuple[int, int], ...]) -> dict[int, Rows]:
    return index_set(selection, dict(capacities))


def make_plan(place: Place, manifest: Manifest, selection: Selection) -> SamplePlan:
    """Return which rows and frames a sample of a run takes; for `episodes` the terminals are read."""
    checkpoints = {checkpoint.suffix: checkpoint for checkpoint in manifest.checkpoints}
    if selection.reading == "episodes":
        there = {suffix: checkpoint.capacity for suffix, checkpoint in checkpoints.items()}
        drawn = index_set(selection, there, lambda suffix: _episode_ends(place, checkpoints[suffix]))
    else:
        drawn = _cached(selection, tuple(manifest.capacities.items()))
    parts = []
    for suffix, checkpoint in checkpoints.items():
        rows = drawn[suffix][drawn[suffix] < checkpoint.rows]
        if len(rows):
            parts.append(Part(checkpoint, rows, stored_rows(rows, checkpoint.rows, selection.n_step)))
    if not parts:
        raise UsageError(f"None of the drawn rows of {place.name} is there.", "Give a larger --fraction.")
    return SamplePlan(place, manifest.source, selection, index_hash(drawn), tuple(parts))


def find_sample(path: Path) -> SampleFile | None:
    """Return the description of a sample that is whole, or None; BadData if the description is damaged."""
    file = path / "sample.json"
    try:
        return SampleFile.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise BadData(f"{file} is damaged.", "Delete it and issue `suite data sample` again.") from error


def _episode_ends(place: Place, checkpoint: Checkpoint) -> Rows:
    vectors = log_vectors(place, checkpoint)
    return np.union1d(np.flatnonzero(vectors.terminal), np.asarray(checkpoint.truncated, np.int64))


def log_vectors(place: Place, checkpoint: Checkpoint) -> Vectors:
    """Return a checkpoint's rows without their frames; BadData unless the files are those of the manifest."""
    vectors = read_vectors(place.logs, checkpoint.suffix, game(place.game).actions)
    for element, entry in vectors.entries.items():
        require_same(place.logs / file_name(element, checkpoint.suffix), entry, checkpoint.files[element])
    return vectors


def require_same(path: Path, found: FileEntry, claimed: FileEntry) -> None:
    """Raise BadData if a file is another than the manifest names."""
    if found != claimed:
        raise BadData(f"{path} is not the file that the manifest names.", "Get it again, or import again.")
