"""A profile made from finished runs, their operations counted; loads jax."""

from __future__ import annotations

from collections.abc import Sequence

from suite.running.cost import operations_per_update
from suite.running.profiles.measured import Finished, rates_of
from suite.running.profiles.profile import Profile


def profile_of(runs: Sequence[Finished], name: str, device_memory: float | None = None) -> Profile:
    """Return the profile of the machine that all these runs, at least one, were made on."""
    hardware = runs[0].attempt.hardware
    on_cpu = hardware.get("platform") == "cpu"
    rates = [
        rate.model_copy(update={"operations": operations_per_update(example.spec, example.game)})
        for rate, example in rates_of(runs).items()
    ]
    memory, days = hardware.get("memory_gib"), sorted(run.attempt.started_at[:10] for run in runs)
    return Profile(
        name=name,
        title=str(hardware.get("cpu") if on_cpu else hardware.get("device")),
        source=f"{len(runs)} runs from {days[0]} to {days[-1]}",
        platform="cpu" if on_cpu else "gpu",
        cores=int(hardware.get("cores") or 1),
        memory_gib=float(memory) if memory else None,
        device_memory_gib=device_memory,
        rates=tuple(rates),
    )
