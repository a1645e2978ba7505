"""A folder of made files that is brought up to date where it lies, and only if it is known to be ours."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from suite.errors import UsageError

STAGING = ".pruned-rl-suite-new-"
"""How the name of the folder begins, inside the one that is written, that holds new files until all are there."""

RELEASE = "release.json"
"""The file of a release, in its folder."""

KEPT = frozenset({"CNAME", "releases"})
"""What stays beside hidden files and folders: a host of pages keeps its own things at the top, and releases stay."""


def check_target(out: Path, marker: str, what: str) -> None:
    """Raise UsageError unless `out` is missing, empty, or `what` (`a site`) of ours, which holds the file `marker`."""
    if out.is_dir() and ((out / marker).is_file() or all(path.name.startswith(STAGING) for path in out.iterdir())):
        return
    if out.exists() or out.is_symlink():
        raise UsageError(
            f"{out} exists and is not {what} built by this suite.", "Name a new or empty folder with --out."
        )


@dataclass(frozen=True, slots=True)
class Staging:
    """New files of a folder before they are put in their places: `path` holds them, `names` is all that will be there.

    What `keep` names stays as it lies in the folder.
    """

    path: Path
    names: set[str] = field(default_factory=set)

    def add(self, name: str, content: bytes) -> None:
        """Write a new file."""
        self.place(name).write_bytes(content)

    def place(self, name: str) -> Path:
        """Return where a new file is to be written."""
        self.names.add(name)
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def keep(self, name: str) -> None:
        """Let a file stay as it is."""
        self.names.add(name)


def write(files: Mapping[str, bytes], out: Path) -> None:
    """Write all files and remove all others; see `writing`."""
    with writing(out) as staging:
        for name, content in files.items():
            staging.add(name, content)


@contextlib.contextmanager
def writing(out: Path) -> Iterator[Staging]:
    """Take new files into a folder of their own in `out`, then put each in its place, and remove what is left over.

    There is no moment without a site: a page is the old or the new one. A link to a folder stays one; hidden files and
    folders (`.git`) and KEPT stay. What a kill leaves is removed by the next call.
    """
    out = Path(os.path.realpath(out))
    fresh = not out.exists()
    out.mkdir(parents=True, exist_ok=True)
    for left in out.glob(f"{STAGING}*"):
        shutil.rmtree(left, ignore_errors=True)
    staging = Staging(Path(tempfile.mkdtemp(prefix=STAGING, dir=out)))
    try:
        yield staging
        for name in sorted(staging.names, key=_order):
            if (staging.path / name).is_file():
                _put(staging.path / name, out, name)
    finally:
        shutil.rmtree(staging.path, ignore_errors=True)
        if fresh:
            with contextlib.suppress(OSError):  # unless there is something in it
                out.rmdir()
    _clear(out, "", staging.names)


def _order(name: str) -> tuple[int, str]:
    """Return what sorts the mark of a folder first, pages that lead to others late, and a release's file last.

    A release is one by its file; half of it, which a kill leaves, is none and can be made again.
    """
    if name.endswith(f"/{RELEASE}"):
        return 3, name
    return 0 if name.startswith(".") else 2 if name.endswith("index.html") else 1, name


def _put(file: Path, out: Path, name: str) -> None:
    """Put a file in its place; what is no folder there and must be one gives way, and the other way round."""
    folder = out
    for part in Path(name).parent.parts:
        folder = folder / part
        if folder.is_symlink() or folder.is_file():
            folder.unlink()
        folder.mkdir(exist_ok=True)
    place = out / name
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)
    file.replace(place)


def _clear(folder: Path, below: str, names: Collection[str]) -> None:
    """Remove what is none of the files of these names, and folders that are empty then."""
    for path in folder.iterdir():
        name = f"{below}{path.name}"
        if name in names or (not below and (path.name.startswith(".") or path.name in KEPT)):
            continue
        if path.is_dir() and not path.is_symlink():
            _clear(path, f"{name}/", names)
            with contextlib.suppress(OSError):  # it holds some of them
                path.rmdir()
        else:
            path.unlink()
