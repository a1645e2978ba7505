"""How jax is set up before a run, each case in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from suite.cli.main import cli
from suite.learning import device
from suite.running.preflight import without_gpu

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


def machine(root: Path, driver: str = "", node: str = "") -> Path:
    """Make the files by which a machine shows its GPU."""
    for name, text in (("proc/driver/nvidia/version", driver), (f"dev/{node}", node)):
        if text:
            (root / name).parent.mkdir(parents=True)
            (root / name).write_text(text)
    return root


CLOSED = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc\n"
OPEN = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.65.06  Release Build  (x@y)  Sun Jul 27 2025\n"


@pytest.mark.parametrize(
    ("driver", "node", "said"),
    [
        ("", "", "No NVIDIA GPU is visible here."),
        (OPEN, "", "No NVIDIA GPU is visible here."),  # a container without --gpus shows the host's driver
        (CLOSED, "nvidiactl", "The NVIDIA driver here is 535.104.05, and CUDA 13 needs 580 or newer."),
        (OPEN, "nvidiactl", None),
        ("", "dxg", None),  # Windows' subsystem for Linux says nothing of its driver
    ],
)
def test_why_no_gpu_can_be_used_is_one_sentence(
    driver: str, node: str, said: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "has_plugin", lambda: True)
    problem = device.gpu_problem(machine(tmp_path, driver, node))
    assert (problem and problem[0]) == said


@pytest.mark.parametrize(("option", "variable"), [("--device=gpu", ""), ("--device=auto", "cuda")])
@pytest.mark.parametrize("plugin", [True, False])
def test_a_gpu_that_is_asked_for_and_missing_ends_a_run_before_it_begins(
    option: str, variable: str, plugin: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", variable)
    monkeypatch.setattr(device, "has_plugin", lambda: plugin)
    monkeypatch.setattr(device.gpu_problem, "__defaults__", (machine(tmp_path, CLOSED, "nvidiactl"),))
    out = tmp_path / "runs"
    result = CliRunner().invoke(cli, ["run", "--task", "smoke", "--out", str(out), option])
    assert result.exit_code == 3
    line = result.stderr.splitlines()[0]
    assert ("driver here is 535.104.05" in line) == plugin
    assert ("no plugin" in line) != plugin
    assert not out.exists()


def test_the_cuda_image_without_a_gpu_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "has_plugin", lambda: True)
    monkeypatch.setattr(device.gpu_problem, "__defaults__", (machine(tmp_path, CLOSED, "nvidiactl"),))
    (line,) = without_gpu("suite:0.1.0-cuda")
    assert line.startswith("NO GPU, although this is the CUDA image: The NVIDIA driver here is 535.104.05, and CUDA 13")
    assert without_gpu("suite:0.1.0") == without_gpu("") == []
