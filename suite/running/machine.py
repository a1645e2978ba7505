"""The machine that a run is planned for, this one or that of a profile: its device, processors, memory, and rates."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from itertools import islice
from pathlib import Path

from suite.learning.device import cpu_threads, programs_at_once
from suite.running.memory import UNLIMITED, available_memory
from suite.running.profiles.measured import Finished, finished_runs, rates_of
from suite.running.profiles.profile import GIB, Profile, Rate
from suite.running.provenance import hardware

LOOKED_AT = 300
"""So many run directories, at most, are read to say how long others will take."""


@dataclass(frozen=True)
class Machine:
    """A machine with the bytes of memory that a run may take. `profile`: where its measured rates stand, if any are.

    `here`: whether it is this one, whose speed can be looked at. `examples`: a run behind a rate, for its operations.
    """

    description: str
    accelerator: bool
    processors: int
    memory: int
    device_memory: int
    profile: Profile | None = None
    here: bool = True
    examples: Mapping[Rate, Finished] = field(default_factory=dict)


def this_machine(program_threads: int | None = None, runs: Path | None = None) -> Machine:
    """Return this machine. `program_threads`: those that the task has for one program.

    `runs`: the directory of a task's runs; those that finished on such a machine say how long others take.
    """
    paths = () if runs is None else islice(runs.glob("*/*/seed-*"), LOOKED_AT)
    rates = rates_of(finished_runs(paths, hardware()))
    return Machine(
        device_description(),
        is_accelerator(),
        programs_at_once(program_threads),
        available_memory(),
        available_device_memory(),
        Profile(name="here", title=device_description(), source=f"{runs}", cores=1, rates=tuple(rates)),
        examples=rates,
    )


def machine_of(profile: Profile) -> Machine:
    """Return the machine that a profile describes, all of whose memory is free; what is unknown refuses nothing."""

    def known(gib: float | None) -> int:
        return UNLIMITED if gib is None else int(gib * GIB)

    return Machine(
        profile.title,
        profile.platform == "gpu",
        profile.cores,
        known(profile.memory_gib),
        known(profile.device_memory_gib),
        profile,
        here=False,
    )


@cache
def matrix_rate() -> float:
    """Return the floating-point operations per second of a 1024 x 1024 matrix product on this device.

    On a CPU, they are those that the threads would reach if nothing ran beside: processor time counts, and the best of
    a few products, for others who compute take time from it but not the processor's speed.
    """
    import jax
    import jax.numpy as jnp

    size = 1024
    matrix = jnp.ones((size, size), jnp.float32)
    product = jax.jit(lambda left, right: left @ right)
    product(matrix, matrix).block_until_ready()

    def multiply() -> None:
        product(matrix, matrix).block_until_ready()

    if is_accelerator():
        return 2 * size**3 / least_seconds(multiply, time.perf_counter)
    return cpu_threads() * 2 * size**3 / least_seconds(multiply, time.process_time)


def least_seconds(work: Callable[[], None], clock: Callable[[], float], times: int = 5) -> float:
    """Return the least seconds of a clock that one of several rounds of work took."""
    found = []
    for _ in range(times):
        start = clock()
        work()
        found.append(clock() - start)
    return max(1e-9, min(found))


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
