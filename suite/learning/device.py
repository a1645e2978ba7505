"""Jax's set-up before it starts: threads, determinism, the cache of compiled programs."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

DETERMINISTIC_FLAGS = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0")
"""Sums in a fixed order, and no kernel chosen by a stopwatch, whose choice another process might not repeat."""
CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"


def prepare(threads: int | None, *, deterministic: bool) -> None:
    """Set jax up for a run; must come before jax computes anything, and changes nothing after that.

    `threads`: those of one CPU program, on which its sums and so its bits depend; default: what NPROC says, which XLA
    reads, else the cores of this process.
    """
    os.environ["NPROC"] = str(threads or cpu_threads())
    if deterministic:
        flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join(flags + [flag for flag in DETERMINISTIC_FLAGS if flag not in flags])
    import jax

    # A call that computes in its own thread costs half of one that hands over, and lanes bring threads of their own.
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
    if CACHE_VARIABLE not in os.environ and (cache := _cache_directory()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache))  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)  # type: ignore[no-untyped-call]


def cpu_threads() -> int:
    """Return the threads of one CPU program."""
    text = os.environ.get("NPROC", "")
    return int(text) if text.isdigit() and int(text) > 0 else processors()


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def is_deterministic() -> bool:
    """Return whether jax was set up for equal bits on an accelerator; a CPU with a set number of threads always is."""
    return DETERMINISTIC_FLAGS[0] in os.environ.get("XLA_FLAGS", "").split()


def _cache_directory() -> Path | None:
    """Return where compiled programs are kept between processes, or None if that cannot be written.

    Each kind of processor has its own: a program that was compiled for another may use what this one lacks.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        directory = Path(base) / "pruned-rl-suite" / "programs" / _processor()
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return None
    return directory if os.access(directory, os.W_OK) else None


def _processor() -> str:
    """Return eight hexadecimal digits for the processor's architecture and abilities."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    abilities = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return hashlib.sha256(f"{platform.machine()} {abilities}".encode()).hexdigest()[:8]
