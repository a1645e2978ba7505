"""A zip file from outside, read strictly and in memory: only the one form that `pack` writes, nothing extracted.

The entries follow one another from byte 0, without gaps; the central directory follows them, in the same order and
saying the same; then comes its end record, and the file ends. Whatever zip can do beyond that is rejected.
"""

from __future__ import annotations

import hashlib
import re
import stat
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from leaderboard.bundles.findings import Rejected, shown

PACKED_BYTES = 20_000_000
ENTRIES = 1024
ENTRY_BYTES = 8 * 2**20
ALL_BYTES = 192 * 2**20
RATIO, SMALL_BYTES = 200, 65_536

NAME = re.compile(
    r"submission\.toml|manifest\.json|environment\.json|curves\.parquet"
    r"|cards/(agent|network|method)-[a-z][a-z0-9_]{0,63}\.json"
    r"|runs/[0-9a-f]{8}-[A-Za-z][A-Za-z0-9]{0,39}-(0|[1-9][0-9]{0,3})\.json",
    re.ASCII,
)
"""The only names that entries can have."""

_LOCAL = struct.Struct("<4s5H3I2H")
_CENTRAL = struct.Struct("<4s6H3I5H2I")
_END = struct.Struct("<4s4H2IH")
_STORED, _DEFLATED = 0, 8


@dataclass(frozen=True, slots=True)
class _Entry:
    name: str
    method: int
    crc: int
    packed: int
    size: int
    start: int


class Archive:
    """The entries of a zip file, by name; `sha256` is that of the file, taken here if it is not known yet."""

    def __init__(self, content: bytes, sha256: str | None = None) -> None:
        self._content = content
        self.sha256 = sha256 or hashlib.sha256(content).hexdigest()
        self._entries = _directory(content)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all entries, sorted."""
        return tuple(sorted(self._entries))

    def size(self, name: str) -> int:
        """Return the unpacked size of an entry, in bytes, as its header says."""
        return self._entries[name].size

    def read(self, name: str) -> bytes:
        """Return an entry; Rejected unless it unpacks to just what its header says."""
        entry = self._entries[name]
        packed = self._content[entry.start : entry.start + entry.packed]
        content = _inflate(name, packed, entry.size) if entry.method == _DEFLATED else packed
        if len(content) != entry.size or zlib.crc32(content) != entry.crc:
            raise Rejected("archive.damaged", name, "its size or checksum is not that of its header")
        return content


def open_archive(path: Path) -> Archive:
    """Read a zip file into memory; Rejected if it is too large or is no bundle's, BadData if it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise Rejected("archive.format", path.name, "it is no regular file")
        with path.open("rb") as file:
            content = file.read(PACKED_BYTES + 1)
    except OSError as error:
        raise Rejected("archive.format", path.name, f"it cannot be read: {error.strerror}") from error
    if len(content) > PACKED_BYTES:
        raise Rejected("archive.size", path.name, f"it has more than {PACKED_BYTES:,} bytes")
    return Archive(content)


def _inflate(name: str, packed: bytes, size: int) -> bytes:
    decoder = zlib.decompressobj(-15)
    try:
        content = decoder.decompress(packed, size + 1)
    except zlib.error as error:
        raise Rejected("archive.damaged", name, f"it cannot be unpacked: {error}") from error
    if len(content) > size or not decoder.eof or decoder.unused_data or decoder.unconsumed_tail:
        raise Rejected("archive.damaged", name, "it does not end where its header says")
    return content


def _directory(content: bytes) -> dict[str, _Entry]:
    """Return the entries by name; every byte of the file is accounted for."""
    place = len(content) - _END.size
    if place < 0 or content[place : place + 4] != b"PK\5\6":
        raise Rejected("archive.format", "bundle", "it is no zip file, or not a whole one, or has a comment at its end")
    _, disk, first_disk, here, total, size, offset, comment = _END.unpack_from(content, place)
    if comment or disk or first_disk or 0xFFFF in (here, total) or 0xFFFFFFFF in (size, offset):
        raise Rejected("archive.features", "bundle", "it has several disks, a comment, or is a zip64 file")
    if here != total or total > ENTRIES:
        raise Rejected("archive.count", "bundle", f"it says {here} and {total} entries; {ENTRIES} are allowed")
    if offset + size != place:
        raise Rejected("archive.format", "bundle", "its directory is not at its end, or something precedes the file")
    entries: dict[str, _Entry] = {}
    at, expected = offset, 0
    for _ in range(total):
        at, entry, expected = _entry(content, at, place, expected, offset)
        if entry.name.casefold() in entries:
            raise Rejected("archive.name", entry.name, "two entries have this name")
        entries[entry.name.casefold()] = entry
    if at != place:
        raise Rejected("archive.count", "bundle", "its directory has more in it than its entries")
    if expected != offset:
        raise Rejected("archive.overlap", "bundle", "there is something between the last entry and the directory")
    if sum(entry.size for entry in entries.values()) > ALL_BYTES:
        raise Rejected("archive.bomb", "bundle", f"it unpacks to more than {ALL_BYTES:,} bytes")
    return {entry.name: entry for entry in entries.values()}


def _entry(content: bytes, at: int, end: int, expected: int, limit: int) -> tuple[int, _Entry, int]:
    """Return what follows the header at `at`, its entry, and where the next entry begins."""
    if at + _CENTRAL.size > end or content[at : at + 4] != b"PK\1\2":
        raise Rejected("archive.count", "bundle", "its directory ends before its entries do")
    fields = _CENTRAL.unpack_from(content, at)
    _, _, needed, flags, method, time, date, crc, packed, size, name_length, extra, comment, disk = fields[:14]
    attributes, start = fields[15:]
    raw = content[at + _CENTRAL.size : at + _CENTRAL.size + name_length]
    name = _name(raw)
    if flags or extra or comment or disk or needed > 20 or method not in (_STORED, _DEFLATED):
        raise Rejected("archive.features", name, "it uses what no bundle needs: encryption, extra fields, comments")
    if 0xFFFFFFFF in (packed, size, start):
        raise Rejected("archive.features", name, "it is a zip64 entry")
    mode = attributes >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG) or attributes & 0x10 or mode & 0o7111:
        raise Rejected("archive.type", name, "it is no plain file: a link, a directory, a device or a program")
    _check_size(name, method, packed, size)
    local = (b"PK\3\4", needed, flags, method, time, date, crc, packed, size, name_length, 0)
    data = start + _LOCAL.size + name_length
    if start != expected or data + packed > limit:
        raise Rejected("archive.overlap", name, "it overlaps another entry, or something stands before it")
    if _LOCAL.unpack_from(content, start) != local or content[start + _LOCAL.size : data] != raw:
        raise Rejected("archive.damaged", name, "its two headers say different things")
    return at + _CENTRAL.size + name_length, _Entry(name, method, crc, packed, size, data), data + packed


def _name(raw: bytes) -> str:
    text = raw.decode("ascii", "replace")
    if not NAME.fullmatch(text):
        raise Rejected("archive.name", shown(text), "no file of a bundle has this name")
    return text


def _check_size(name: str, method: int, packed: int, size: int) -> None:
    if size > ENTRY_BYTES:
        raise Rejected("archive.bomb", name, f"it unpacks to more than {ENTRY_BYTES:,} bytes")
    if size > SMALL_BYTES and size > RATIO * packed:
        raise Rejected("archive.bomb", name, f"it unpacks to more than {RATIO} times its packed size")
    if method == _STORED and size != packed:
        raise Rejected("archive.damaged", name, "it is stored, and yet has two sizes")
