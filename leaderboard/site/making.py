"""Making the parts of a site in a folder that may hold an older one: what has not changed is taken from there.

A manifest, hidden beside the pages, has the key of every part and the hash of every file, without the database's hash
that is stamped into pages. A file that is not what the manifest says is made again, whatever happened to it.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import json
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata, resources
from importlib.resources.abc import Traversable
from pathlib import Path

from leaderboard.board import workers
from leaderboard.site.folder import Staging
from leaderboard.site.parts import Files, Part, key_of
from leaderboard.site.stamp import STAND_IN, places, stamped

MANIFEST = ".pruned-rl-suite-parts.json"
SCHEMA = "leaderboard.parts/1"

PACKAGES = ("suite", "baselines", "leaderboard")
DISTRIBUTIONS = ("jinja2", "markupsafe", "numpy", "pyarrow", "scipy", "vl-convert-python")
"""On what the bytes of pages depend beside their inputs: the code that makes them, of ours and of others."""

SECONDS_EACH = 0.02
"""About what a part takes on one processor."""

FEW = math.ceil(workers.START_SECONDS / SECONDS_EACH)
"""So many parts are work enough to start other processes; further ones are gathered while these are at work."""


@dataclass(frozen=True, slots=True)
class File:
    """A file: its size, its hash before it was stamped, and where the stamps stand."""

    size: int
    digest: str
    stamps: tuple[tuple[int, int], ...] = ()


@dataclass(slots=True)
class Manifest:
    """What a folder holds: by the name of a part its key and its files, made by `code` and stamped with `database`."""

    code: str
    database: str
    parts: dict[str, tuple[str, dict[str, File]]] = field(default_factory=dict)

    @classmethod
    def read(cls, folder: Path, code: str) -> Manifest:
        """Return the manifest of a folder; an empty one if there is none of this code that can be read."""
        try:
            content = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            if (content["schema"], content["code"]) != (SCHEMA, code):
                return cls(code, "")
            parts = {
                name: (key, {path: File(size, digest, _pairs(stamps)) for path, (size, digest, stamps) in own.items()})
                for name, (key, own) in content["parts"].items()
            }
            return cls(code, content["database"], parts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return cls(code, "")

    def content(self) -> bytes:
        """Return the manifest as a file, a part in a line."""
        lines = [
            f"{json.dumps(name)}: {json.dumps([key, {path: _listed(file) for path, file in sorted(files.items())}])}"
            for name, (key, files) in sorted(self.parts.items())
        ]
        head = json.dumps({"schema": SCHEMA, "code": self.code, "database": self.database})[:-1]
        return (head + ', "parts": {\n' + ",\n".join(lines) + "\n}}\n").encode()


@dataclass(frozen=True, slots=True)
class Maker:
    """Makes parts into `staging`, or keeps those that `old` has in `out`; `new` is the manifest of what comes of it."""

    out: Path
    staging: Staging
    old: Manifest
    new: Manifest

    @classmethod
    def of(cls, out: Path, staging: Staging, code: str, database: str) -> Maker:
        """Return what makes parts over the site that is in a folder."""
        return cls(out, staging, Manifest.read(out, code), Manifest(code, database))

    def make(self, parts: Iterator[Part]) -> int:
        """Make or keep every part; return how many pages were made. Raises ValueError if two make one file."""
        here: deque[Part] = deque()
        wanted = self._wanted(parts, here)
        first = list(itertools.islice(wanted, FEW))
        write = functools.partial(_written, folder=self.staging.path, mark=self.new.database)
        sent: deque[tuple[str, str]] = deque()
        pages = 0
        for files in workers.stream(write, _sent(itertools.chain(first, wanted), sent), SECONDS_EACH * len(first)):
            pages += self._take(*sent.popleft(), files)
        workers.end()  # their memory is what the others need, which show something of everything
        while here:
            part = here.popleft()
            pages += self._take(part.name, part.key, write(part.job()))
        return pages

    def _wanted(self, parts: Iterator[Part], here: deque[Part]) -> Iterator[Part]:
        """Yield the parts that are made apart, and put those that are made here aside; what can be kept is kept."""
        for part in parts:
            if not self._kept(part):
                if part.apart:
                    yield part
                else:
                    here.append(part)

    def again(self, part: Part) -> int:
        """Make a part once more, from other inputs than before; return how many pages were made."""
        _, files = self.new.parts.pop(part.name)
        self.staging.names.difference_update(files)
        return self._take(part.name, part.key, _written(part.job(), self.staging.path, self.new.database))

    def _take(self, part: str, key: str, files: dict[str, File]) -> int:
        self._claim(part, key, files)
        return sum(name.endswith(".html") for name in files)

    def _claim(self, part: str, key: str, files: dict[str, File]) -> None:
        if part in self.new.parts or (twice := files.keys() & self.staging.names):
            raise ValueError(f"two parts make {part if part in self.new.parts else sorted(twice)}")
        self.staging.names.update(files)
        self.new.parts[part] = (key, files)

    def _kept(self, part: Part) -> bool:
        """Take a part's files as they lie in the folder, stamped anew; False if any is not what it should be."""
        key, files = self.old.parts.get(part.name, ("", {}))
        if key != part.key or not files:
            return False
        contents: dict[str, bytes] = {}
        for name, file in files.items():
            try:
                content = (self.out / name).read_bytes()
            except OSError:
                return False
            plain = stamped(content, file.stamps, STAND_IN) if file.stamps else content
            if len(content) != file.size or _digest(plain) != file.digest:
                return False
            if file.stamps and self.old.database != self.new.database:
                contents[name] = stamped(content, file.stamps, self.new.database)
        for name, content in contents.items():
            _write(self.staging.path / name, content)
        self._claim(part.name, key, files)
        return True


def code() -> str:
    """Return the hash of all that makes pages what they are beside their inputs: our packages, and others' versions."""
    total = hashlib.sha256()
    for package in PACKAGES:
        for name, content in sorted(_contents(resources.files(package), package)):
            total.update(f"{name}\n{len(content)}\n".encode() + content)
    total.update(key_of([(name, metadata.version(name)) for name in DISTRIBUTIONS]).encode())
    return total.hexdigest()


def _contents(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for item in folder.iterdir():
        if item.is_dir() and item.name != "__pycache__":
            yield from _contents(item, f"{name}/{item.name}")
        elif item.is_file():
            yield f"{name}/{item.name}", item.read_bytes()


def _sent(parts: Iterable[Part], sent: deque[tuple[str, str]]) -> Iterator[Callable[[], Files]]:
    """Yield what makes each of some parts, of which nothing but name and key is kept: their inputs take much room."""
    for part in parts:
        sent.append((part.name, part.key))
        yield part.job()


def _written(job: Callable[[], Files], folder: Path, mark: str) -> dict[str, File]:
    """Write the files of a part, stamped, and return what they are."""
    found = {}
    for name, content in job().items():
        stamps = places(content) if name.endswith((".html", ".js")) else []
        _write(folder / name, stamped(content, stamps, mark) if stamps else content)
        found[name] = File(len(content), _digest(content), tuple(stamps))
    return found


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _pairs(stamps: Sequence[Sequence[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((start, length) for start, length in stamps)


def _listed(file: File) -> tuple[int, str, tuple[tuple[int, int], ...]]:
    return file.size, file.digest, file.stamps
