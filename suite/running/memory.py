"""The memory that this process may still take: the machine's, and what the limits of its control groups leave.

A job's limit may stand on any group on the way from the process up to the root, in either version of control groups;
batch systems nest several. Pages of files that the system would drop for others do not count as taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from suite.errors import UnfitEnvironment

UNLIMITED = 2**62
"""Where nothing is known, nothing is refused."""
START_BYTES = 288 * 2**20
"""What a process takes that has loaded jax and the emulator and planned a run: 271 MiB were measured."""


class Version(NamedTuple):
    """The files of one version of control groups; `reclaimable` is the line of memory.stat."""

    limit: str
    usage: str
    reclaimable: str


V1 = Version("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
V2 = Version("memory.max", "memory.current", "inactive_file")


def available_memory(root: Path = Path("/")) -> int:
    """Return the bytes of memory that may still be taken; `root` is where the system's files are read from."""
    return max(0, min([_of_the_machine(root), *_left_by_groups(root)]))


def check_start() -> None:
    """Raise UnfitEnvironment where not even the plan of a run could be made: the system would end it without a word."""
    left = available_memory()
    if left < START_BYTES:
        raise UnfitEnvironment(
            f"{left / 2**20:.0f} MiB of memory are available here; {START_BYTES / 2**20:.0f} are needed to begin.",
            "Raise the memory limit of the job or container.",
        )


def _of_the_machine(root: Path) -> int:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return UNLIMITED  # not Linux


def _left_by_groups(root: Path) -> Iterator[int]:
    for version, mount, group in _groups(root):
        for folder in (group, *group.parents):
            left = _left(root / mount.relative_to("/") / folder.relative_to("/"), version)
            if left is not None:
                yield left


def _left(folder: Path, version: Version) -> int | None:
    """Return what one group leaves, or None if it has no limit."""
    try:
        limit = (folder / version.limit).read_text(encoding="ascii").strip()
        usage = int((folder / version.usage).read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return int(limit) - usage + _reclaimable(folder, version) if limit.isdigit() else None


def _reclaimable(folder: Path, version: Version) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[:1] == [version.reclaimable])
    except (OSError, StopIteration, ValueError, IndexError):
        return 0


def _groups(root: Path) -> Iterator[tuple[Version, PurePosixPath, PurePosixPath]]:
    """Yield where each version is mounted, and this process's group below that."""
    own = _own_groups(root)
    for version, shown, mount in _mounts(root):
        if (path := own.get(version)) is not None:
            below = path.relative_to(shown) if path.is_relative_to(shown) else path.relative_to("/")
            yield version, mount, PurePosixPath("/") / below


def _own_groups(root: Path) -> dict[Version, PurePosixPath]:
    """Return the group of this process in each version that limits memory."""
    found = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, controllers, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not controllers:
            found[V2] = PurePosixPath(path)
        elif "memory" in controllers.split(","):
            found[V1] = PurePosixPath(path)
    return found


def _mounts(root: Path) -> Iterator[tuple[Version, PurePosixPath, PurePosixPath]]:
    """Yield the group that each mounted hierarchy shows at its top, and where that is; see proc(5), mountinfo."""
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2" or (kind[0] == "cgroup" and "memory" in kind[2].split(",")):
            yield V2 if kind[0] == "cgroup2" else V1, PurePosixPath(fields[3]), PurePosixPath(fields[4])


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return []
