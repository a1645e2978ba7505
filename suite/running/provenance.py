"""Provenance of a number: versions, git state, hardware, driver, image, ROM hash, environment fingerprint."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path

import suite
from suite.learning.build import unreached
from suite.learning.device import processors
from suite.records.command import without_places
from suite.records.record import Attempt
from suite.tasks import GAMES, Game, Task, load_task
from suite.tasks.configuration import Cell
from suite.tasks.environments import library_of

PACKAGES = ("jax", "jaxlib", "flax", "optax", "ale-py", "gymnasium", "mujoco", "numpy")


def utc_now() -> str:
    """Return the time as RFC 3339 in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def attempt(cell: Cell, number: int, *, resumed_at: int, execution: dict[str, str | int | bool]) -> Attempt:
    """Return the provenance of an attempt that starts now, from a checkpoint if `resumed_at` is not 0."""
    task = load_task(cell.spec.task)
    environment, fingerprint = environment_of(task, GAMES[cell.game])
    names = dict.fromkeys((*PACKAGES, library_of(task).replace("_", "-")))
    return Attempt(
        attempt=number,
        started_at=utc_now(),
        resumed_at=resumed_at,
        execution=execution,
        unreached=unreached(cell.spec, GAMES[cell.game]),
        command=without_places(list(map(_printable, sys.argv[1:]))),
        suite_version=suite.__version__,
        git=_git(),
        packages={"python": platform.python_version(), **{name: metadata.version(name) for name in names}},
        hardware=hardware(),
        environment=environment,
        environment_fingerprint=fingerprint,
    )


def environment_of(task: Task, game: Game) -> tuple[dict[str, bool | int | float | str], str]:
    """Return the environment that a task gives a game here, and its fingerprint: 16 hexadecimal digits."""
    from suite.experience.domains import domain_of  # loads the emulator

    return domain_of(task).environment(game)


def _printable(argument: str) -> str:
    """Return an argument as text: bytes of a path that are no UTF-8 are written as escapes."""
    return os.fsencode(argument).decode("utf-8", "backslashreplace")


@cache
def _git() -> dict[str, str | bool | None]:
    """Return commit and dirtiness of the checkout that runs, else those that a wheel or an image was built from."""
    package = Path(suite.__file__).resolve().parent
    if (package.parent / ".git").exists():
        commit, dirty = _run_git(package.parent, "rev-parse", "HEAD"), _run_git(package.parent, "status", "--porcelain")
        if commit is not None:
            return {"commit": commit, "dirty": None if dirty is None else bool(dirty)}
    return _built_from(_first_line(str(package / "REVISION")) or os.environ.get("SUITE_REVISION", ""))


def _built_from(revision: str) -> dict[str, str | bool | None]:
    """Return what `<commit>` or `<commit>-modified` says."""
    commit, _, modified = revision.partition("-")
    return {"commit": commit or None, "dirty": bool(modified) if commit else None}


def _run_git(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments
            ["git", *arguments],  # noqa: S607
            cwd=root,  # not where the command was issued: a search path may name that directory
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def hardware() -> dict[str, str | int | float | None]:
    """Return the machine's kind: device, driver, processor, cores, memory, image; never its name."""
    import jax

    device = jax.devices()[0]
    return {
        "device": device.device_kind,
        "platform": device.platform,
        "driver": _first_line("/proc/driver/nvidia/version"),
        "cpu": _cpu_model(),
        "cores": processors(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.platform(),
        "image": os.environ.get("SUITE_IMAGE") or None,
    }


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()


def _first_line(path: str) -> str | None:
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines()[0].strip()
    except (OSError, IndexError):
        return None
