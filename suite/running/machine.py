"""The device that jax computes on: what it is called, the memory that is left, and how fast it multiplies."""

from __future__ import annotations

import time
from functools import cache


@cache
def matrix_rate() -> float:
    """Return the floating-point operations per second of a 1024 x 1024 matrix product on this device."""
    import jax
    import jax.numpy as jnp

    size, repeats = 1024, 4
    matrix = jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda left, right: left @ right)
    product(matrix, matrix).block_until_ready()
    start = time.perf_counter()
    for _ in range(repeats):
        matrix = product(matrix, matrix)
    matrix.block_until_ready()
    return repeats * 2 * size**3 / (time.perf_counter() - start)


def is_accelerator() -> bool:
    """Return whether jax runs on something other than the CPU."""
    import jax

    return str(jax.default_backend()) != "cpu"


def device_description() -> str:
    """Return the device in a few words."""
    import jax

    device = jax.devices()[0]
    return "CPU" if device.platform == "cpu" else f"{device.device_kind} ({device.platform})"


def available_device_memory() -> int:
    """Return the bytes that may still be taken on the accelerator; without limit where there is none."""
    import jax

    stats = jax.devices()[0].memory_stats() if is_accelerator() else None
    if not stats or "bytes_limit" not in stats:
        return 2**62
    return int(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
