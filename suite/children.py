"""Child processes: none loads code from the directory where it starts, or from where the environment points."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from concurrent.futures import ProcessPoolExecutor

_KEPT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "TMPDIR", "TZ", "CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")
"""Environment variables that a child keeps, beside those of locales; none of them says where modules lie."""


def run_module(
    name: str, arguments: Sequence[str] = (), *, data: bytes = b"", seconds: float
) -> subprocess.CompletedProcess[bytes]:
    """Run a module of ours in a Python process that sees nothing of our surroundings, and return what came of it.

    It starts in an empty directory of its own; Python's isolated mode keeps that, user directories and PYTHON...
    variables out of the module path. Raises OSError if it cannot start, subprocess.TimeoutExpired after `seconds`.
    """
    kept = {name: text for name, text in os.environ.items() if name in _KEPT or name.startswith("LC_")}
    with tempfile.TemporaryDirectory(prefix="suite-child-", ignore_cleanup_errors=True) as empty:
        return subprocess.run(  # noqa: S603 - ourselves, with arguments of ours
            [sys.executable, "-I", "-m", name, *arguments],
            input=data,
            capture_output=True,
            cwd=empty,
            env=kept,
            timeout=seconds,
            check=False,
        )


def pool(processes: int) -> ProcessPoolExecutor:
    """Return a pool of processes that share nothing with this one but its module path.

    Python starts them with the current directory before all others on theirs, unless the environment says otherwise.
    """
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    os.environ["PYTHONSAFEPATH"] = "1"
    return ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"))
