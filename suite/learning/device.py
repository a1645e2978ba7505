"""Jax's set-up before it starts: threads, determinism, precision, the cache of compiled programs."""

from __future__ import annotations

import hashlib
import os
import platform
from pathlib import Path

DETERMINISTIC_FLAGS = ("--xla_gpu_deterministic_ops=true", "--xla_gpu_autotune_level=0")
"""Sums in a fixed order, and no kernel chosen by a stopwatch, whose choice another process might not repeat."""
CACHE_VARIABLE = "JAX_COMPILATION_CACHE_DIR"
MATMUL_PRECISION = {"float32": "highest", "tf32": "tensorfloat32"}
"""What jax calls a spec's precision of matrix products and convolutions; a CPU computes both alike."""
PINNED = {
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_high_dynamic_range_gumbel": False,
    "jax_softmax_custom_jvp": False,
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
}
"""Switches of jax that change bits: they are as the protocol has them, whatever the environment says."""
OVERRIDES = ("NVIDIA_TF32_OVERRIDE",)
"""Variables with which libraries below jax go against the precision that they are asked for: they are taken away."""
SWITCHES = ("JAX_", "XLA_", "LIBTPU_INIT_ARGS", "CUBLAS_", "CUDNN_", "TF_XLA_", "TF_CUDNN_", "ONEDNN_", "DNNL_")
HARMLESS = ("JAX_COMPILATION_CACHE_", "JAX_PERSISTENT_CACHE_", "JAX_PLATFORM", "JAX_LOG", "XLA_PYTHON_CLIENT_")
"""How variables begin that may change bits, and of these, those that say where and not what is computed."""


def prepare(threads: int | None, *, deterministic: bool, precision: str = "float32") -> None:
    """Set jax up for a run; must come before jax computes anything, and changes nothing after that.

    `threads`: those of one CPU program, on which its sums and so its bits depend; default: what NPROC says, which XLA
    reads, else the cores of this process. `precision`: a spec's.
    """
    os.environ["NPROC"] = str(threads or cpu_threads())
    if deterministic:
        flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join(flags + [flag for flag in DETERMINISTIC_FLAGS if flag not in flags])
    for name in OVERRIDES:
        os.environ.pop(name, None)
    import jax

    for name, value in {**PINNED, "jax_default_matmul_precision": MATMUL_PRECISION[precision]}.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
    # A call that computes in its own thread costs half of one that hands over, and lanes bring threads of their own.
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
    if CACHE_VARIABLE not in os.environ and (cache := _cache_directory()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache))  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)  # type: ignore[no-untyped-call]


def switches() -> str:
    """Return the environment's variables that may change bits and are neither pinned nor set here, in one line."""
    pinned = {*(name.upper() for name in PINNED), "JAX_DEFAULT_MATMUL_PRECISION"}
    found = {
        name: value
        for name, value in sorted(os.environ.items())
        if name.startswith(SWITCHES) and not name.startswith(HARMLESS) and name not in pinned
    }
    own = [flag for flag in found.pop("XLA_FLAGS", "").split() if flag not in DETERMINISTIC_FLAGS]
    if own:
        found["XLA_FLAGS"] = " ".join(own)
    return " ".join(f"{name}={value}" for name, value in found.items())


def cpu_threads() -> int:
    """Return the threads of one CPU program."""
    text = os.environ.get("NPROC", "")
    return int(text) if text.isdigit() and int(text) > 0 else processors()


def programs_at_once(task_threads: int | None) -> int:
    """Return how many programs run at a time, given the threads that the task has for one: all cores' worth of them."""
    return processors() if task_threads else cpu_threads()


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
