"""An H200 to compile for where there is none: jax's description of a topology, with the card's own numbers.

Nothing is timed, so that nothing is tuned: where a run would try several kernels of one product or convolution, the
compiler takes the first. Runs are compiled that way too (`suite.learning.device.DETERMINISTIC_FLAGS`), but for those
with `--no-deterministic`. Libraries choose algorithms of convolutions when they run, with scratch memory of their own.
"""

from __future__ import annotations

from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

NAME = "NVIDIA H200"
MEMORY_BYTES = 149_000_000_000
DESCRIPTION = f"""
gpu_device_info {{
  threads_per_block_limit: 1024 threads_per_warp: 32 threads_per_core_limit: 2048
  shared_memory_per_block: 49152 shared_memory_per_block_optin: 232448 shared_memory_per_core: 233472
  core_count: 132 fpus_per_core: 128 clock_rate_ghz: 1.98
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  memory_bandwidth: 4800000000000 l2_cache_size: 52428800 device_memory_size: {MEMORY_BYTES}
  cuda_compute_capability {{ major: 9 minor: 0 }}
}}
platform_name: "CUDA"
dnn_version_info {{ major: 9 minor: 10 patch: 0 }}
runtime_version {{ major: 13 }}
device_description_str: "{NAME}"
"""


class Target:
    """The card, as a place where programs are compiled and never run."""

    def __init__(self) -> None:
        topology = topologies.get_topology_desc(platform="cuda", target_config=DESCRIPTION, topology="1x1x1")
        self._place = SingleDeviceSharding(topology.devices[0])

    def lowered(self, function: Any, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Return a function as the compiler gets it."""
        program = jax.jit(function, in_shardings=self._place, out_shardings=self._place, **options)
        return program.trace(*arguments).lower(lowering_platforms=("cuda",))
