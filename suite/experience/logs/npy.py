"""gzip(np.save) files, read as streams and without trust, and written.

A file is one gzip member that holds one array in NumPy's format. Nothing is unpickled, nothing is allocated that only a
header asks for, and reading stops at the first byte beyond what the header says.
"""

from __future__ import annotations

import hashlib
import io
import math
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from suite.errors import BadData

PIECE = 1 << 20
"""Bytes of content that a read yields at most."""
RAW = 1 << 18
"""Bytes of a file that are read at a time."""
GZIP = 31
"""zlib's name for a gzip header and trailer around the largest window."""
MAX_HEADER = 10_000
_MAGIC = b"\x93NUMPY"
_HEADER = re.compile(
    r"\{'descr': '(?P<dtype>[<>|=][A-Za-z][0-9]{1,3})', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>[0-9L, ]{0,100})\), \} *\n"
)


@dataclass(frozen=True, slots=True)
class Header:
    """What an array's header says; `dtype` as in `np.dtype.str`."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """The bytes of the content."""
        return math.prod(self.shape) * int(self.dtype[2:])


Wrong = Callable[[Header], str]
"""Returns what is wrong with a header in words, or nothing."""


def damaged(path: Path, what: str) -> BadData:
    """Return the error for a file that is not what it should be."""
    return BadData(
        f"{path} is damaged: {what}.", "Get this file again, or do without its checkpoint: delete all of its files."
    )


class ArrayFile:
    """One file as it is read: `size` and `sha256` are of the bytes so far, `header` is there before any content."""

    def __init__(self, path: Path, wrong: Wrong) -> None:
        self.path = path
        self.header = Header("|u1", (0,))
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._wrong = wrong
        self._inflate = zlib.decompressobj(GZIP)
        self._start: bytearray | None = bytearray()  # content before the header's end
        self._left = 0

    @property
    def sha256(self) -> str:
        """The hash of what was read, in hexadecimal digits."""
        return self._sha256.hexdigest()

    def events(self) -> Iterator[tuple[bytes, bytes]]:
        """Yield pieces of (the file as it is, the array's content), one of them empty; BadData if it is damaged.

        When the last piece is out, the file has been found to be whole.
        """
        for raw in self._raw():
            yield raw, b""
            for content in self._inflated(raw):
                if part := self._without_header(content):
                    yield b"", part
        if self.size == 0:
            raise damaged(self.path, "it is empty")
        if not self._inflate.eof:
            raise damaged(self.path, "it is cut off")
        if self._start is not None:
            raise damaged(self.path, "it ends within its array's header")
        if self._left:
            raise damaged(self.path, f"{self._left:,} of the {self.header.nbytes:,} bytes of its array are missing")

    def contents(self) -> Iterator[bytes]:
        """Yield the array's content in pieces of at most PIECE bytes."""
        return (content for _, content in self.events() if content)

    def _raw(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                while raw := file.read(RAW):
                    self.size += len(raw)
                    self._sha256.update(raw)
                    yield raw
        except FileNotFoundError as error:
            raise BadData(f"{self.path} is missing.", "Get it again, or delete the rest of its checkpoint.") from error
        except OSError as error:
            raise BadData(
                f"{self.path} cannot be read: {error.strerror or error}.", "Mend what holds it, or get it again."
            ) from error

    def _inflated(self, raw: bytes) -> Iterator[bytes]:
        full = False
        while raw or full:
            if self._inflate.eof:
                break
            try:
                content = self._inflate.decompress(raw, PIECE)
            except zlib.error as error:
                raise damaged(self.path, f"it is no sound gzip file ({error})") from error
            raw, full = self._inflate.unconsumed_tail, len(content) == PIECE
            if content:
                yield content
        if self._inflate.unused_data or (raw and self._inflate.eof):
            raise damaged(self.path, "something follows its end")

    def _without_header(self, content: bytes) -> bytes:
        if self._start is not None:
            self._start += content
            found = _parse(self._start, self.path)
            if found is None:
                return b""
            self.header, end = found
            content, self._start = bytes(self._start[end:]), None
            if reason := self._wrong(self.header):
                raise damaged(self.path, reason)
            self._left = self.header.nbytes
        if len(content) > self._left:
            raise damaged(self.path, f"it holds more than the {self.header.nbytes:,} bytes of its array")
        self._left -= len(content)
        return content


def _parse(start: bytearray, path: Path) -> tuple[Header, int] | None:
    """Return the header and where it ends, or None if more bytes are needed."""
    if start[:6] != _MAGIC[: len(start)]:
        raise damaged(path, "it holds no NumPy array")
    if len(start) < 12:
        return None
    width = {1: 2, 2: 4, 3: 4}.get(start[6])
    if width is None:
        raise damaged(path, f"its array has the unknown format version {start[6]}")
    begin = 8 + width
    length = int.from_bytes(start[8:begin], "little")
    if length > MAX_HEADER:
        raise damaged(path, f"its array's header has {length:,} bytes")
    if len(start) < begin + length:
        return None
    text = start[begin : begin + length].decode("latin-1")
    match = _HEADER.fullmatch(text)
    if match is None:
        raise damaged(path, f"its array's header is none of a plain array ({text.strip()[:60]!r})")
    parts = [part.strip().removesuffix("L") for part in match["shape"].split(",")]
    if parts[-1] == "":
        parts.pop()
    if match["fortran"] == "True" or not all(part.isdigit() and len(part) <= 12 for part in parts):
        raise damaged(path, f"its array's header is none of a plain array ({text.strip()[:60]!r})")
    return Header(match["dtype"], tuple(map(int, parts))), begin + length


def header_bytes(dtype: str, shape: tuple[int, ...]) -> bytes:
    """Return the header of an array, as `np.save` writes it."""
    buffer = io.BytesIO()
    description = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, description)
    return buffer.getvalue()


def deflated(contents: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """Yield contents as a gzip file, in which no time and no name is written."""
    deflate = zlib.compressobj(6, zlib.DEFLATED, GZIP)
    for content in contents:
        if piece := deflate.compress(content):
            yield piece
    yield deflate.flush()
