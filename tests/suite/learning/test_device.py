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
