"""Checkpoints of a run: whole generations, each proven by hashes, replaced so that a sound one is always there.

    checkpoints/step-0000001000/arrays.safetensors    the arrays
    checkpoints/step-0000001000/state.json            everything else, as the caller wrote it
    checkpoints/step-0000001000/manifest.json         step, size and SHA-256 of both files, and its own SHA-256
    checkpoints/step-0000001000-1                     the same step, written once more; it takes the first one's place
    checkpoints/step-0000001000.corrupt               found damaged and set aside
    checkpoints/.tmp-*, .trash-*                      left by a kill; the next write deletes them

A generation is written under a temporary name, synced file by file, and renamed; older ones are deleted only after
that is on the disk. Whatever is read is what was written, or the generation is refused: nothing is unpickled.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load

from suite import durable
from suite.errors import BadData, UnfitEnvironment

Arrays: TypeAlias = Mapping[str, NDArray[Any]]

CHUNK = 1 << 20
"""How many bytes are hashed and written at a time."""

_File: TypeAlias = Literal["arrays.safetensors", "state.json"]
_ARRAYS: Final = "arrays.safetensors"
_STATE: Final = "state.json"
_MANIFEST: Final = "manifest.json"
_CORRUPT = ".corrupt"
_DTYPES = {
    "bool": "BOOL",
    "uint8": "U8",
    "int32": "I32",
    "uint32": "U32",
    "int64": "I64",
    "float32": "F32",
    "float64": "F64",
}
_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EROFS)
_DAMAGE = (errno.EIO, errno.ENOENT, errno.ENOTDIR, errno.EISDIR, getattr(errno, "EUCLEAN", errno.EIO))
"""Errors of reading that say that the file is bad; all others say that the machine is."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class FileEntry(_Frozen):
    """What a file of a generation must be."""

    size: int = Field(ge=0)
    sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Manifest(_Frozen):
    """`manifest.json`, which also holds the SHA-256 of this content in canonical form."""

    schema_version: Literal[1] = 1
    agent_step: int = Field(ge=0)
    files: dict[_File, FileEntry] = Field(min_length=2)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A checkpoint as it was written, and a sentence on each damaged newer one."""

    agent_step: int
    arrays: dict[str, NDArray[Any]]
    state: bytes
    rejected: tuple[str, ...]


class CheckpointStore:
    """The checkpoints of one attempt; who writes them owns it.

    Args:
        directory: The folder of the attempt.
        keep: How many generations are kept, at least 1, or None for all. With 1, a damaged one is the end of the run.
    """

    def __init__(self, directory: Path, keep: int | None = 2) -> None:
        if keep is not None and keep < 1:
            raise ValueError("at least one checkpoint must be kept")
        self.path = directory / "checkpoints"
        self.keep = keep

    def steps(self) -> tuple[int, ...]:
        """Return the agent steps that have a checkpoint, ascending, without looking into any."""
        with access(f"Cannot list {self.path}"):
            return tuple(dict.fromkeys(generation.step for generation in self._generations()))

    def write(self, agent_step: int, arrays: Arrays, state: bytes, also: Collection[int] = ()) -> int:
        """Write a checkpoint and return its size in bytes; once this returns, it outlives a power cut.

        `also`: the steps whose checkpoints stay, too, however old.
        The arrays must not change meanwhile. A checkpoint of the same step is replaced. Raises UnfitEnvironment if the
        disk is full or fails, and BadData if there is a later checkpoint; earlier ones are then still there.
        """
        content: dict[_File, Iterator[memoryview]] = {_ARRAYS: _safetensors(arrays), _STATE: _chunks(memoryview(state))}
        with access(f"Cannot write a checkpoint to {self.path}"):
            final = self.path / self._next_name(agent_step)
            durable.make_directory(self.path)
            self._remove_leftovers()
            written = self._publish(final, agent_step, content)
            for old in self._before_the_newest():
                if old.step not in also:
                    durable.remove_tree(old.path)
        return written

    def newest(self, at_most: int | None = None) -> Loaded | None:
        """Load the newest sound checkpoint (of step `at_most` or before), setting damaged newer ones aside.

        Returns None if there never was one.
        Raises BadData if there are checkpoints and none is sound.
        """
        with access(f"Cannot read the checkpoints in {self.path}"):
            damaged: dict[Path, str] = {}
            for generation in reversed(self._generations()):
                if at_most is not None and generation.step > at_most:
                    continue
                try:
                    arrays, state = _load(generation)
                except _Damaged as damage:
                    damaged[generation.path] = str(damage)
                    continue
                rejected = tuple(_set_aside(path, reason) for path, reason in damaged.items())
                return Loaded(generation.step, arrays, state, rejected)
            damaged |= dict.fromkeys(self._corrupt(), "set aside earlier")
        if damaged:
            names = ", ".join(f"{path.name} ({reason})" for path, reason in damaged.items())
            raise BadData(f"No checkpoint in {self.path} is sound: {names}.", _anew(self.path))
        return None

    def up_to(self, step: float) -> list[Path]:
        """Return what lies here of the steps up to one, and everything that was set aside."""
        return [*(generation.path for generation in self._generations() if generation.step <= step), *self._corrupt()]

    def keep_only(self, steps: Collection[int]) -> None:
        """Delete the checkpoints of all other steps, those that were written anew, and those that were set aside."""
        with access(f"Cannot delete checkpoints in {self.path}"):
            generations = self._generations()
            newest = {generation.step: generation for generation in generations}
            for generation in generations:
                if generation.step not in steps or generation != newest[generation.step]:
                    durable.remove_tree(generation.path)
            for path in self._corrupt():
                durable.remove_tree(path)

    def _before_the_newest(self) -> list[_Generation]:
        found = self._generations()
        return [] if self.keep is None else found[: max(0, len(found) - self.keep)]

    def _publish(self, final: Path, agent_step: int, content: Mapping[_File, Iterable[memoryview]]) -> int:
        temporary = final.with_name(f".tmp-{final.name}")
        try:
            durable.system.mkdir(temporary)
            files = {name: _write_hashed(temporary / name, pieces) for name, pieces in content.items()}
            manifest = _seal(Manifest(agent_step=agent_step, files=files).model_dump())
            durable.write_file(temporary / _MANIFEST, manifest)
            durable.publish_directory(temporary, final)
        except BaseException:
            with contextlib.suppress(OSError):
                durable.remove_tree(temporary)
            raise
        return len(manifest) + sum(entry.size for entry in files.values())

    def _next_name(self, agent_step: int) -> str:
        generations = self._generations()
        if not generations or generations[-1].step < agent_step:
            return _name(agent_step, 0)
        last = generations[-1]
        if last.step > agent_step:
            raise BadData(f"{last.path} is later than step {agent_step}, which is to be written.", _anew(self.path))
        return _name(agent_step, last.revision + 1)

    def _generations(self) -> list[_Generation]:
        """Return what has a generation's name, oldest first."""
        found = (_Generation.of(path) for path in self._entries())
        return sorted(generation for generation in found if generation is not None)

    def _corrupt(self) -> list[Path]:
        return [path for path in self._entries() if path.suffix == _CORRUPT and _Generation.of(path.with_suffix(""))]

    def _entries(self) -> list[Path]:
        try:
            return sorted(self.path.iterdir())
        except FileNotFoundError:
            return []

    def _remove_leftovers(self) -> None:
        """Delete what kills left, and all but the newest damaged generation.

        Excess sound generations stay until the new one is durable: the rename of the newest of them may not be.
        """
        hidden = [path for path in self._entries() if path.name.startswith((".tmp-", ".trash-"))]
        for path in (*hidden, *self._corrupt()[:-1]):
            durable.remove_tree(path)


class _Generation(NamedTuple):
    step: int
    revision: int
    path: Path

    @classmethod
    def of(cls, path: Path) -> _Generation | None:
        """Return the generation of this name, None if it is not the name of one."""
        match = re.fullmatch(r"step-([0-9]{10,})(?:-([0-9]+))?", path.name)
        if match is None:
            return None
        step, revision = int(match[1]), int(match[2] or 0)
        return cls(step, revision, path) if path.name == _name(step, revision) else None


class _Damaged(Exception):
    """A generation is not what was written; says what is wrong with it."""


def _name(step: int, revision: int) -> str:
    return f"step-{step:010d}-{revision}" if revision else f"step-{step:010d}"


def _load(generation: _Generation) -> tuple[dict[str, NDArray[Any]], bytes]:
    manifest = _read_manifest(generation)
    state = _read_proven(generation.path / _STATE, manifest.files[_STATE])
    arrays = _read_proven(generation.path / _ARRAYS, manifest.files[_ARRAYS])
    try:
        return load(arrays), state
    except (SafetensorError, KeyError, ValueError) as error:
        raise _Damaged(f"{_ARRAYS} cannot be read: {error}") from error


def _read_manifest(generation: _Generation) -> Manifest:
    content = _unseal(_read(generation.path / _MANIFEST))
    if content.get("schema_version") != 1:
        raise BadData(
            f"{generation.path} has schema version {content.get('schema_version')}, which this version cannot read.",
            f"Use the version of the suite that wrote it. {_anew(generation.path.parent)}",
        )
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        raise _Damaged(f"{_MANIFEST} lacks what it must hold: {error.errors()[0]['msg']}") from error
    if manifest.agent_step != generation.step:
        raise _Damaged(f"{_MANIFEST} is that of step {manifest.agent_step}")
    return manifest


def _read_proven(path: Path, entry: FileEntry) -> bytes:
    data = _read(path)
    if len(data) != entry.size:
        raise _Damaged(f"{path.name} has {len(data)} bytes instead of {entry.size}")
    if hashlib.sha256(data).hexdigest() != entry.sha256:
        raise _Damaged(f"{path.name} does not match its SHA-256")
    return data


def _read(path: Path) -> bytes:
    try:
        return durable.system.read(path)
    except OSError as error:
        if error.errno in _DAMAGE:
            raise _Damaged(f"{path.name}: {error.strerror}") from error
        raise


def _set_aside(path: Path, reason: str) -> str:
    """Rename a damaged generation, and return a sentence on it."""
    corrupt = path.with_name(path.name + _CORRUPT)
    with access(f"Cannot set the damaged {path} aside"):
        if corrupt.exists():
            durable.remove_tree(corrupt)
        durable.system.rename(path, corrupt)  # not synced: after a power cut it is found and set aside once more
    return f"{path} is damaged ({reason}) and is now {corrupt.name}."


def _safetensors(arrays: Arrays) -> Iterator[memoryview]:
    """Yield the arrays as a file of the safetensors format, copying only what is not contiguous, and that piecemeal.

    The library's own writers either build the whole file in memory, twice, or write to a path, where no hash is had.
    """
    names = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))  # keeps each array aligned
    header = _header({name: arrays[name] for name in names})
    return (piece for data in _contents(header, arrays, names) for piece in _chunks(data))


def _header(arrays: Arrays) -> bytes:
    entries, end = {}, 0
    for name, array in arrays.items():
        dtype = _DTYPES.get(array.dtype.name)
        if dtype is None or name == "__metadata__":
            raise ValueError(f"no checkpoint can hold the array {name!r} of dtype {array.dtype}")
        begin, end = end, end + array.nbytes
        entries[name] = {"dtype": dtype, "shape": array.shape, "data_offsets": (begin, end)}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _contents(header: bytes, arrays: Arrays, names: Iterable[str]) -> Iterator[memoryview]:
    yield memoryview(header)
    for name in names:
        array = arrays[name]
        plain = np.asarray(array, dtype=array.dtype.newbyteorder("<"), order="C")
        yield plain.reshape(-1).view(np.uint8).data


def _chunks(data: memoryview) -> Iterator[memoryview]:
    for begin in range(0, len(data), CHUNK):
        yield data[begin : begin + CHUNK]


def _write_hashed(path: Path, pieces: Iterable[memoryview]) -> FileEntry:
    """Write a file, hashing on the way, and return its entry in the manifest."""
    digest, size = hashlib.sha256(), 0

    def hashed() -> Iterator[memoryview]:
        nonlocal size
        for piece in pieces:
            digest.update(piece)
            size += len(piece)
            yield piece

    durable.write_file(path, hashed())
    return FileEntry(size=size, sha256=digest.hexdigest())


def _seal(content: dict[str, Any]) -> bytes:
    """Return the canonical form of a manifest with its own hash in it."""
    return _canonical({**content, "sha256": hashlib.sha256(_canonical(content)).hexdigest()})


def _unseal(data: bytes) -> dict[str, Any]:
    """Return a manifest's content, if `_seal` gave exactly this."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _Damaged(f"{_MANIFEST} is not JSON") from error
    if not isinstance(content, dict) or "sha256" not in content:
        raise _Damaged(f"{_MANIFEST} has no hash")
    del content["sha256"]
    if _seal(content) != data:
        raise _Damaged(f"{_MANIFEST} does not match its own SHA-256")
    return content


def _canonical(content: dict[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, separators=(",", ":")).encode()


def _anew(path: Path) -> str:
    return f"Delete {path} to start this cell anew."


@contextlib.contextmanager
def access(failure: str) -> Iterator[None]:
    """Turn an error of the disk into UnfitEnvironment that says what failed, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            remedy = "Free space there"
        elif error.errno in _NO_ACCESS:
            remedy = "Make it readable and writable"
        else:
            remedy = "Mend that disk or move the run directory to another"
        raise UnfitEnvironment(
            f"{failure}: {error.strerror or error}.",
            f"{remedy}, then issue the same command again: it goes on from the last checkpoint.",
        ) from error
