"""Run directories, found below a directory: behind links too, and none silently absent."""

from __future__ import annotations

import os
from pathlib import Path

from suite.errors import BadData, UsageError


def find_runs(root: Path) -> list[Path]:
    """Return all run directories at or below `root`, sorted; links are followed, none of them twice.

    Raises UsageError if `root` is no directory, BadData for a directory below it that cannot be read: what lies there
    must not be silently absent.
    """
    if not root.is_dir():
        raise UsageError(f"{root} is not a directory.", "Name a directory that `suite run --out` has written.")
    found: list[Path] = []
    seen: set[tuple[int, int]] = set()
    for folder, below, files in os.walk(root, onerror=_unreadable, followlinks=True):
        if not _is_new(Path(folder), seen):
            below.clear()
        elif "spec.json" in files and Path(folder).name.startswith("seed-"):
            found.append(Path(folder))
            below.clear()  # a run's own directories come and go while it writes checkpoints
        elif dangling := [name for name in below + files if _is_dangling(Path(folder) / name)]:
            raise BadData(
                f"{Path(folder) / dangling[0]} is a link to a place that is not there.",
                "Mount or mend what it points to, or delete the link.",
            )
    return sorted(found)


def _unreadable(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a directory may vanish meanwhile
        raise BadData(f"{error.filename} cannot be read: {error.strerror}.", "Mend its permissions.") from error


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Return whether a directory was not met before, by this name or another."""
    try:
        found = folder.stat()
    except FileNotFoundError:
        return False
    key = (found.st_dev, found.st_ino)
    new = key not in seen
    seen.add(key)
    return new


def _is_dangling(path: Path) -> bool:
    return path.is_symlink() and path.name.startswith("seed-") and not path.exists()
