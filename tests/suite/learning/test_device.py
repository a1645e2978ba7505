"""How jax is set up before a run, each case in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from suite.learning.device import cpu_threads, is_deterministic, prepare
prepare({threads}, deterministic={deterministic})
import jax, jax.numpy as jnp
jax.jit(lambda x: jnp.sort(jnp.sin(x) @ x.T, axis=0))(jnp.ones((64, 64))).block_until_ready()
dispatch = jax.config._read("jax_cpu_enable_async_dispatch")
print(cpu_threads(), is_deterministic(), jax.config.jax_compilation_cache_dir, dispatch)
"""


def prepared(home: Path, threads: int | None = None, deterministic: bool = True, **more: str) -> list[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("NPROC", "XLA_FLAGS")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(threads=threads, deterministic=deterministic)],
        env=environment | {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")} | more,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "rror" not in done.stderr
    return done.stdout.split()


def test_threads_determinism_and_cache_are_set(tmp_path: Path) -> None:
    threads, deterministic, cache, dispatch = prepared(tmp_path, threads=3)
    assert (threads, deterministic, dispatch) == ("3", "True", "False")
    assert Path(cache).is_relative_to(tmp_path / "cache" / "pruned-rl-suite")
    again = prepared(tmp_path, deterministic=False)
    assert again[:2] == [str(len(os.sched_getaffinity(0))), "False"]


def test_what_the_user_set_is_kept(tmp_path: Path) -> None:
    own = str(tmp_path / "mine")
    threads, _, cache, _ = prepared(tmp_path, NPROC="5", JAX_COMPILATION_CACHE_DIR=own)
    assert (threads, cache) == ("5", own)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file, not a directory")
    assert prepared(tmp_path)[2] == "None"


BITS = """
from suite.learning.device import prepare, switches
prepare(2, deterministic=True, precision="{precision}")
import jax, jax.numpy as jnp
product = jax.make_jaxpr(jnp.dot)(jnp.ones((2, 2)), jnp.ones((2, 2))).eqns[0].params["precision"]
drawn = jax.random.uniform(jax.random.key(3), (2,))
print(product[0], jnp.arange(2).dtype, (jnp.float32(1) + 1.0).dtype, *map(float, drawn), sep=" ")
print(switches())
"""


def bits(precision: str = "float32", **switches: str) -> list[str]:
    """Return what bits depend on, in a process with these variables, and the variables that it would record."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("JAX_", "XLA_", "NVIDIA_"))}
    program = BITS.format(precision=precision)
    done = subprocess.run(
        [sys.executable, "-c", program], env=plain | switches, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_switches_of_the_environment_change_no_bits_and_what_is_not_pinned_is_recorded() -> None:
    plain, recorded = bits()
    assert plain.startswith("HIGHEST int32 float32 ")
    assert recorded == ""
    hostile = {
        "JAX_ENABLE_X64": "1",
        "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16",
        "JAX_DEFAULT_PRNG_IMPL": "rbg",
        "JAX_THREEFRY_PARTITIONABLE": "0",
        "JAX_RANDOM_SEED_OFFSET": "7",
        "JAX_COMPILATION_CACHE_MAX_SIZE": "1000",
        "JAX_OPTIMIZATION_LEVEL": "O1",
        "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
        "NVIDIA_TF32_OVERRIDE": "1",
    }
    pinned, recorded = bits(**hostile)
    assert pinned == plain
    assert recorded == "JAX_OPTIMIZATION_LEVEL=O1 XLA_FLAGS=--xla_cpu_enable_fast_math=true"


def test_tf32_is_asked_for_by_its_own_name() -> None:
    assert bits("tf32")[0].startswith("HIGH int32 float32 ")
