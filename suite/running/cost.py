"""A rough projection of time and memory, from operation counts and a matrix product timed just now."""

from __future__ import annotations

import time
from functools import cache
from typing import NamedTuple

from suite.learning.programs import Programs

HOST_SECONDS_PER_STEP = {"atari": 5e-4, "continuous": 9e-4, "offline": 1.8e-4}
"""Environment or data, and host loop, for one step, by family. Evaluation is left out.

Measured on one core of a virtual machine with two. Continuous: what SAC's loop takes for an environment step beside its
update. Offline: what it takes to draw the batch of an update.
"""
EFFICIENCY = 0.4
"""Share of a large matrix product's rate that training reaches. Measured on two CPU cores: one lane 0.30 with the
Nature CNN and 0.23 with Impala, two lanes with the Nature CNN 0.4."""


class Seconds(NamedTuple):
    """Projected seconds: `host` for emulator and loop, which lanes share out, and `device`, which all wait for."""

    host: float
    device: float


def projected_seconds(programs: Programs, agent_steps: int, family: str) -> Seconds:
    """Return the projected seconds of one cell of a family of tasks."""
    update, act = programs.cost()
    operations = programs.plan.updates_by(agent_steps) * update + agent_steps * act
    return Seconds(agent_steps * HOST_SECONDS_PER_STEP[family], operations / (matrix_rate() * EFFICIENCY))


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
