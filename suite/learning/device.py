"""Jax's set-up before it starts: threads, determinism, precision, the cache of compiled programs."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import re
from pathlib import Path

from suite.errors import UnfitEnvironment

DETERMINISTIC_FLAGS = (
    "--xla_gpu_deterministic_ops=true",
    "--xla_gpu_autotune_level=0",
    "--xla_gpu_enable_triton_gemm=false",
)
"""Sums in a fixed order, and no kernel chosen by a stopwatch, whose choice another process might not repeat.

Products are cuBLAS's own: untuned, XLA's own kernels for them have tiles that do not fit all of 75 lanes' products, and
the Nature CNN's update does not compile.
"""
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
PLUGIN = "jax_cuda13_plugin"
LEAST_DRIVER = 580
"""The oldest driver that runs CUDA 13."""
GPU_PLATFORMS = {"cuda", "gpu"}
"""What asks for an NVIDIA GPU in JAX_PLATFORMS."""


def prepare(threads: int | None, *, deterministic: bool, precision: str = "float32", device: str = "auto") -> None:
    """Set jax up for a run; must come before jax computes anything, and changes nothing after that.

    `threads`: those of one CPU program, on which its sums and so its bits depend; default: what NPROC says, which XLA
    reads, else the cores of this process. `precision`: a spec's. `device`: `auto`, `cpu` or `gpu`; raises
    UnfitEnvironment where a GPU is asked for, here or in JAX_PLATFORMS, and there is none to be had.
    """
    platforms = os.environ.get("JAX_PLATFORMS", "")
    asked = device == "gpu" or (device == "auto" and bool(GPU_PLATFORMS & set(platforms.split(","))))
    problem = gpu_problem()
    if asked and problem:
        raise UnfitEnvironment(*problem)
    os.environ["NPROC"] = str(threads or cpu_threads())
    if deterministic:
        flags = os.environ.get("XLA_FLAGS", "").split()
        os.environ["XLA_FLAGS"] = " ".join(flags + [flag for flag in DETERMINISTIC_FLAGS if flag not in flags])
    for name in OVERRIDES:
        os.environ.pop(name, None)
    import jax

    if device == "cpu" or (problem and has_plugin() and not platforms):  # jax would print the traceback of its attempt
        jax.config.update("jax_platforms", "cpu")  # type: ignore[no-untyped-call]
    for name, value in {**PINNED, "jax_default_matmul_precision": MATMUL_PRECISION[precision]}.items():
        jax.config.update(name, value)  # type: ignore[no-untyped-call]
    # A call that computes in its own thread costs half of one that hands over, and lanes bring threads of their own.
    jax.config.update("jax_cpu_enable_async_dispatch", False)  # type: ignore[no-untyped-call]
    if CACHE_VARIABLE not in os.environ and (cache := _cache_directory()) is not None:
        jax.config.update("jax_compilation_cache_dir", str(cache))  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)  # type: ignore[no-untyped-call]
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)  # type: ignore[no-untyped-call]
    if asked and jax.default_backend() != "gpu":
        raise UnfitEnvironment(
            "jax finds no GPU here that it can use.",
            "`nvidia-smi` lists those that are visible; CUDA_VISIBLE_DEVICES and JAX_PLATFORMS may hide them.",
        )


def gpu_problem(root: Path = Path("/")) -> tuple[str, str] | None:
    """Return why no NVIDIA GPU can be used here, and what to do; None where nothing speaks against it.

    `root`: where the system's files are read from; jax is not asked, whose attempt could end in a traceback.
    """
    if not has_plugin():
        return "jax has no plugin for NVIDIA GPUs here.", "Install the extra `cuda`, or use the CUDA image."
    devices = root / "dev"
    if not (any(devices.glob("nvidia*")) or (devices / "dxg").exists()):
        return (
            "No NVIDIA GPU is visible here.",
            f"In a container: docker run --gpus all ...; the host needs driver {LEAST_DRIVER} or newer.",
        )
    driver = _driver(root)
    if driver and int(driver.split(".")[0]) < LEAST_DRIVER:
        return (
            f"The NVIDIA driver here is {driver}, and CUDA 13 needs {LEAST_DRIVER} or newer.",
            "Update the host's driver, or build with jax[cuda12]; see docker/Dockerfile.cuda.",
        )
    return None


def has_plugin() -> bool:
    """Return whether jax's plugin for NVIDIA GPUs is installed."""
    return importlib.util.find_spec(PLUGIN) is not None


def _driver(root: Path) -> str:
    """Return the version of the kernel's NVIDIA driver, or "" where it does not say."""
    try:
        text = (root / "proc/driver/nvidia/version").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"Kernel Module.*?\s(\d+(?:\.\d+)+)", text)
    return found[1] if found else ""


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
