"""Limits of a job, wherever in the tree of control groups they stand, bound what a run may take."""

from pathlib import Path

import pytest

from suite.errors import UnfitEnvironment
from suite.running import memory
from suite.running.memory import START_BYTES, UNLIMITED, available_memory

GIB = 2**30
V2_MOUNT = "30 23 0:26 {shown} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
V1_MOUNT = "33 25 0:29 {shown} /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory"


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def machine(root: Path, group: str, mount: str, available: int = 64 * GIB) -> Path:
    files = {
        "proc/meminfo": f"MemTotal: 131072000 kB\nMemAvailable: {available // 1024} kB",
        "proc/self/cgroup": f"9:name=systemd:/\n{group}",
        "proc/self/mountinfo": f"22 28 0:21 / /proc rw - proc proc rw\n{mount}",
    }
    return write(root, files)


def limited(root: Path, folder: str, limit: int | str, usage: int, inactive: int = 0) -> None:
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    if "cgroup/memory" not in folder:
        names = ("memory.max", "memory.current", "inactive_file")
    stat = f"anon 1\n{names[2]} {inactive}"
    write(root, {f"{folder}/{names[0]}": str(limit), f"{folder}/{names[1]}": str(usage), f"{folder}/memory.stat": stat})


def test_without_limits_it_is_the_machines(tmp_path: Path) -> None:
    assert available_memory(machine(tmp_path, "0::/", V2_MOUNT.format(shown="/"))) == 64 * GIB


def test_a_system_that_says_nothing_refuses_nothing(tmp_path: Path) -> None:
    assert available_memory(tmp_path) == UNLIMITED


def test_the_tightest_group_above_the_process_counts_in_version_2(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/job/step/task", V2_MOUNT.format(shown="/"))
    limited(root, "sys/fs/cgroup/job", 2 * GIB, GIB // 2)
    limited(root, "sys/fs/cgroup/job/step", "max", GIB // 4)
    limited(root, "sys/fs/cgroup/job/step/task", 8 * GIB, GIB // 4)
    assert available_memory(root) == 2 * GIB - GIB // 2


def test_a_limit_of_version_1_counts_beside_an_unlimited_version_2(tmp_path: Path) -> None:
    mounts = V1_MOUNT.format(shown="/") + "\n42 25 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw"
    root = machine(tmp_path, "4:memory:/slurm/uid_1/job_7\n0::/", mounts)
    limited(root, "sys/fs/cgroup/memory/slurm/uid_1/job_7", 3 * GIB, GIB)
    limited(root, "sys/fs/cgroup/memory", 9223372036854771712, 20 * GIB)
    assert available_memory(root) == 2 * GIB


@pytest.mark.parametrize(
    ("group", "mount", "folder"),
    [
        ("4:memory:/docker/abc", V1_MOUNT.format(shown="/docker/abc"), "sys/fs/cgroup/memory"),
        ("0::/", V2_MOUNT.format(shown="/"), "sys/fs/cgroup"),
    ],
)
def test_inside_a_container_its_own_group_is_the_top(tmp_path: Path, group: str, mount: str, folder: str) -> None:
    root = machine(tmp_path, group, mount)
    limited(root, folder, GIB, GIB // 8)
    assert available_memory(root) == GIB - GIB // 8


def test_pages_that_the_system_would_drop_are_not_taken(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/job", V2_MOUNT.format(shown="/"))
    limited(root, "sys/fs/cgroup/job", GIB, GIB - 10, inactive=GIB // 2)
    assert available_memory(root) == GIB // 2 + 10


def test_a_group_over_its_limit_leaves_nothing(tmp_path: Path) -> None:
    root = machine(tmp_path, "0::/job", V2_MOUNT.format(shown="/"))
    limited(root, "sys/fs/cgroup/job", GIB, 2 * GIB)
    assert available_memory(root) == 0


def test_too_little_to_begin_is_said_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "available_memory", lambda: START_BYTES)
    memory.check_start()
    monkeypatch.setattr(memory, "available_memory", lambda: START_BYTES - 1)
    with pytest.raises(UnfitEnvironment, match="288 are needed") as refused:
        memory.check_start()
    assert "limit" in refused.value.remedy
