"""The DQN-replay layout: what a logged Dopamine replay buffer looks like on disk, read with every check, and written.

    ROOT/{Game}/{run}/replay_logs/
        $store$_observation_ckpt.{k}.gz   uint8   [capacity, 84, 84], single frames: the one that was acted on
        $store$_action_ckpt.{k}.gz        int32   [capacity]
        $store$_reward_ckpt.{k}.gz        float32 [capacity], clipped to [-1, 1]
        $store$_terminal_ckpt.{k}.gz      uint8   [capacity], 1 at game over
        add_count_ckpt.{k}.gz             int64   [], rows that were ever added
        invalid_range_ckpt.{k}.gz         int64   [stack + n], rows around the cursor, which no stack may touch

Every file is gzip(np.save). Checkpoint k is the circular buffer's k-th filling. Dopamine logged it with add_count one
short of a multiple of the capacity: its last row is then that of the filling before, or nothing at all. So the rows of
a checkpoint are those below the cursor, add_count modulo capacity; all of them if that is 0, as in our own logs. (Where
padding leaped over the row at which it logs, Dopamine logged nothing: that filling is missing, and k goes on.)

Three rows of zeros, which count like others, stand before every episode: they make a stack of four frames right by
itself. In the public logs of 2019 every end of an episode is a terminal, that of the time limit too. Dopamine since
2021 and our own logs have no terminal at the time limit. Dopamine names such ends in a seventh file, a pickle, which is
never read here: what tells them is the padding that follows.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from suite.errors import BadData, UsageError
from suite.experience.logs.files import FileEntry, write_whole
from suite.experience.logs.npy import ArrayFile, Header, Wrong, damaged, deflated, header_bytes

STACK = 4
PADDING = STACK - 1
SCREEN = 84
FRAME_BYTES = SCREEN * SCREEN
MAX_ROWS = 10_000_000
"""Rows that a checkpoint may claim: ten times what Dopamine's have."""
STORED = {"observation": "|u1", "action": "<i4", "reward": "<f4", "terminal": "|u1"}
ELEMENTS = (*STORED, "add_count", "invalid_range")
CHUNK = 128
"""Rows that are handled at a time where frames are: 0.9 MB."""
_NAME = re.compile(r"(?:\$store\$_)?(?P<element>[a-z_]+)_ckpt\.(?P<suffix>0|[1-9][0-9]{0,5})\.gz")


class Place(NamedTuple):
    """One logged run: a game and a number from 1 on, below the root of a data directory."""

    root: Path
    game: str
    run: int

    @property
    def folder(self) -> Path:
        """Where its manifest and samples are."""
        return self.root / self.game / str(self.run)

    @property
    def logs(self) -> Path:
        """Where its checkpoints are."""
        return self.folder / "replay_logs"

    @property
    def name(self) -> str:
        """A short name for people."""
        return f"{self.game} run {self.run}"


class Checkpoint(BaseModel):
    """What a manifest says of a checkpoint. `rows`: those below the cursor, of `capacity`.

    `truncated`: rows whose episode a time limit ended there. `files`: by element.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    suffix: int = Field(ge=0)
    capacity: int = Field(gt=PADDING, le=MAX_ROWS)
    rows: int = Field(ge=0)
    add_count: int = Field(ge=0)
    truncated: tuple[int, ...] = ()
    files: dict[str, FileEntry]

    @model_validator(mode="after")
    def _rows_exist(self) -> Self:
        if self.rows > self.capacity or any(not 0 <= row < self.rows for row in self.truncated):
            raise ValueError("rows beyond the checkpoint's")
        return self

    @property
    def bytes(self) -> int:
        """The bytes of its files."""
        return sum(entry.bytes for entry in self.files.values())


class Vectors(NamedTuple):
    """A checkpoint's rows without their frames: arrays [rows]; `entries` are those of the files read for them."""

    capacity: int
    add_count: int
    action: NDArray[np.int32]
    reward: NDArray[np.float32]
    terminal: NDArray[np.uint8]
    entries: dict[str, FileEntry]

    @property
    def rows(self) -> int:
        """The number of rows below the cursor."""
        return len(self.action)


class Row(NamedTuple):
    """One row to write: the frame [84, 84] that was acted on, and what came of it."""

    frame: NDArray[np.uint8]
    action: int
    reward: float
    terminal: bool


def file_name(element: str, suffix: int) -> str:
    """Return the name of a checkpoint's file."""
    prefix = "$store$_" if element in STORED else ""
    return f"{prefix}{element}_ckpt.{suffix}.gz"


def find_places(root: Path) -> list[Place]:
    """Return all logged runs in a data directory, sorted; UsageError if it is none."""
    if not root.is_dir():
        raise UsageError(f"{root} is not a directory.", "Name one that holds {Game}/{run}/replay_logs.")
    found = []
    for logs in root.glob("*/*/replay_logs"):
        number = logs.parent.name
        if re.fullmatch("[1-9][0-9]{0,3}", number) and logs.is_dir():
            found.append(Place(root, logs.parent.parent.name, int(number)))
    return sorted(found)


def scan(logs: Path) -> tuple[dict[int, set[str]], list[str]]:
    """Return which of its files each checkpoint has, by suffix, and the names that are no part of the layout."""
    found: dict[int, set[str]] = {}
    others = []
    for path in sorted(logs.iterdir()):
        match = _NAME.fullmatch(path.name)
        if match and match["element"] in ELEMENTS and path.name == file_name(match["element"], int(match["suffix"])):
            found.setdefault(int(match["suffix"]), set()).add(match["element"])
        elif not path.name.startswith("."):
            others.append(path.name)
    return dict(sorted(found.items())), others


def missing_files(found: dict[int, set[str]]) -> list[str]:
    """Return the names of the files that the checkpoints which are there lack."""
    return [file_name(element, k) for k, elements in found.items() for element in ELEMENTS if element not in elements]


def rows_below_cursor(add_count: int, capacity: int) -> int:
    """Return how many rows of a checkpoint are of its own filling."""
    return 0 if add_count == 0 else add_count % capacity or capacity


def transfer(
    path: Path, wrong: Wrong, take: Callable[[bytes], object], copy_to: Path | None = None
) -> tuple[Header, FileEntry]:
    """Read a file whole, its content in pieces to `take`; `copy_to` gets the same bytes, once all are found sound."""
    file = ArrayFile(path, wrong)

    def raw_pieces() -> Iterator[bytes]:
        for raw, content in file.events():
            if content:
                take(content)
            if raw:
                yield raw

    if copy_to is None:
        deque(raw_pieces(), maxlen=0)
    else:
        write_whole(copy_to, raw_pieces())
    return file.header, FileEntry(bytes=file.size, sha256=file.sha256)


def read_add_count(logs: Path, suffix: int) -> int:
    """Return how many rows were ever added to a checkpoint's buffer."""
    content, path = bytearray(), logs / file_name("add_count", suffix)
    transfer(path, _wrong_counter, content.extend)
    return max(0, int.from_bytes(content, "little", signed=True))


def read_capacity(logs: Path, suffix: int) -> int:
    """Return how many rows a checkpoint's arrays have, by the header of one."""
    file = ArrayFile(logs / file_name("terminal", suffix), lambda header: _wrong_rows(header, "terminal"))
    next(file.contents())
    return file.header.shape[0]


def read_vectors(logs: Path, suffix: int, actions: int, copy_to: Path | None = None) -> Vectors:
    """Read all of a checkpoint but its frames; BadData if a file is damaged or does not fit the others.

    `actions`: how many the game has. `copy_to`: a directory for copies.
    """
    entries: dict[str, FileEntry] = {}

    def read(element: str, wrong: Wrong) -> NDArray[Any]:
        content, path = bytearray(), logs / file_name(element, suffix)
        copy = None if copy_to is None else copy_to / path.name
        header, entries[element] = transfer(path, wrong, content.extend, copy)
        return np.frombuffer(bytes(content), header.dtype).reshape(header.shape)

    add_count = int(read("add_count", _wrong_counter))
    if add_count < 0:
        raise damaged(logs / file_name("add_count", suffix), f"it counts {add_count} rows")
    terminal = read("terminal", lambda header: _wrong_rows(header, "terminal"))
    capacity = len(terminal)
    around = read("invalid_range", _wrong_range)
    _check_range(logs / file_name("invalid_range", suffix), around, add_count, capacity)
    action = read("action", lambda header: _wrong_rows(header, "action", capacity))
    reward = read("reward", lambda header: _wrong_rows(header, "reward", capacity))
    rows = rows_below_cursor(add_count, capacity)
    vectors = Vectors(capacity, add_count, action[:rows], reward[:rows], terminal[:rows], entries)
    _check_values(logs, suffix, vectors, actions)
    return vectors


def wrong_frames(capacity: int | None) -> Wrong:
    """Return what tells what is wrong with the header of an observation file."""
    return lambda header: _wrong_rows(header, "observation", capacity)


def frames_of(contents: Iterable[bytes]) -> Iterator[NDArray[np.uint8]]:
    """Yield frames [m, 84, 84] from an observation file's content, about 150 at a time."""
    left = b""
    for content in contents:
        frames, left = whole_frames(left + content)
        if len(frames):
            yield frames


def whole_frames(content: bytes) -> tuple[NDArray[np.uint8], bytes]:
    """Return the frames [m, 84, 84] that are there as a whole, and the bytes after them."""
    whole = len(content) // FRAME_BYTES * FRAME_BYTES
    return np.frombuffer(content, np.uint8, whole).reshape(-1, SCREEN, SCREEN), content[whole:]


def write_checkpoint(logs: Path, suffix: int, capacity: int, before: int, rows: Iterator[Row]) -> Checkpoint:
    """Write a checkpoint from the next `capacity` rows, each file whole or not at all; memory: its vectors.

    `before`: rows of the log in earlier checkpoints. If rows end early, zeros fill the arrays and add_count says how
    many there are, as Dopamine does with its last buffer; a last checkpoint of another capacity counts for itself too.
    """
    vectors = {name: np.zeros(capacity, np.dtype(STORED[name])) for name in ("action", "reward", "terminal")}
    taken = 0

    def frames() -> Iterator[bytes | memoryview]:
        nonlocal taken
        yield header_bytes("|u1", (capacity, SCREEN, SCREEN))
        chunk = np.zeros((CHUNK, SCREEN, SCREEN), np.uint8)
        for begin in range(0, capacity, CHUNK):
            size = min(CHUNK, capacity - begin)
            filled = 0
            for slot, row in zip(range(size), rows, strict=False):
                chunk[slot] = row.frame
                vectors["action"][taken] = row.action
                vectors["reward"][taken] = row.reward
                vectors["terminal"][taken] = row.terminal
                filled, taken = slot + 1, taken + 1
            chunk[filled:] = 0
            yield chunk[:size].data

    files = {"observation": write_whole(logs / file_name("observation", suffix), deflated(frames()))}
    for name, values in vectors.items():
        files[name] = _write_array(logs / file_name(name, suffix), values)
    add_count = before + capacity if taken == capacity and before % capacity == 0 else taken
    files["add_count"] = _write_array(logs / file_name("add_count", suffix), np.asarray(add_count, np.int64))
    around = np.asarray(invalid_range(add_count, capacity), np.int64)
    files["invalid_range"] = _write_array(logs / file_name("invalid_range", suffix), around)
    return Checkpoint(suffix=suffix, capacity=capacity, rows=taken, add_count=add_count, files=files)


def invalid_range(add_count: int, capacity: int, n_step: int = 1) -> list[int]:
    """Return the rows around the cursor of a circular buffer that no window may start from."""
    return [(add_count - n_step + offset) % capacity for offset in range(STACK + n_step)]


def _write_array(path: Path, array: NDArray[Any]) -> FileEntry:
    return write_whole(path, deflated([header_bytes(array.dtype.str, array.shape), array.tobytes()]))


def _wrong_rows(header: Header, element: str, capacity: int | None = None) -> str:
    dtype, tail = STORED[element], (SCREEN, SCREEN) if element == "observation" else ()
    if header.dtype != dtype:
        return f"its values are of type {header.dtype}, not {dtype}"
    if len(header.shape) != 1 + len(tail) or header.shape[1:] != tail:
        return f"its shape is {header.shape}, not (rows{''.join(f', {size}' for size in tail)})"
    rows = header.shape[0]
    if capacity is not None and rows != capacity:
        return f"it has {rows:,} rows, the checkpoint's terminal file {capacity:,}"
    if not PADDING < rows <= MAX_ROWS:
        return f"it claims {rows:,} rows"
    return ""


def _wrong_counter(header: Header) -> str:
    return "" if (header.dtype, header.shape) == ("<i8", ()) else "it is not a single int64"


def _wrong_range(header: Header) -> str:
    fits = header.dtype in ("<i8", "<f8") and len(header.shape) == 1 and STACK <= header.shape[0] <= 64
    return "" if fits else "it is no short list of row numbers"


def _check_range(path: Path, around: NDArray[Any], add_count: int, capacity: int) -> None:
    n_step = len(around) - STACK
    expected = [0] * STACK if add_count == 0 and n_step == 0 else invalid_range(add_count, capacity, n_step)
    if around.tolist() != expected:
        raise damaged(path, f"it does not fit add_count, which is {add_count:,}")


def _check_values(logs: Path, suffix: int, vectors: Vectors, actions: int) -> None:
    """Check what values may be, and that padding follows every terminal."""
    action, reward, terminal = vectors.action, vectors.reward, vectors.terminal
    for element, values, wrong, what in (
        ("action", action, (action < 0) | (action >= actions), f"is none of the game's {actions} actions"),
        ("reward", reward, ~(np.abs(reward) <= 1), "is no reward clipped to [-1, 1]"),
        ("terminal", terminal, terminal > 1, "is neither 0 nor 1"),
    ):
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            raise damaged(logs / file_name(element, suffix), f"{values[row]} in row {row:,} {what}")
    after = rows_after_terminals(vectors)
    blank = blank_rows(vectors)[after]
    if not blank.all():
        row = int(after[~blank][0])
        raise BadData(
            f"Row {row:,} of checkpoint {suffix} in {logs} follows a terminal and should be padding, but has an "
            "action, a reward or a terminal.",
            "Its action, reward and terminal files are not of one checkpoint, or its writer was no Dopamine buffer.",
        )


def blank_rows(vectors: Vectors) -> NDArray[np.bool_]:
    """Return which rows [rows] have no action, reward or terminal, as padding."""
    blank: NDArray[np.bool_] = (vectors.action == 0) & (vectors.reward == 0) & (vectors.terminal == 0)
    return blank


def rows_after_terminals(vectors: Vectors) -> NDArray[np.int64]:
    """Return the rows that must be padding, as far as they are there."""
    ends = np.flatnonzero(vectors.terminal)
    after = np.unique((ends[:, None] + np.arange(1, STACK)).ravel())
    return after[after < vectors.rows]
