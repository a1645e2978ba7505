"""Learning curves as a Parquet file: for people, and made from the episodes alone, so that it can be made again."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import dataclass

from suite.children import run_module
from suite.records.claims import IterationMean

PARQUET_BYTES = 96 * 2**20
"""How much more memory than its imports need reading a Parquet file from outside may take."""
CPU_SECONDS = 10
WALL_SECONDS = 120
"""What binds is a processor's time: on a busy machine a second of it can take many."""
DIFFERS = "it differs from the curves of the episodes"


@dataclass(frozen=True, slots=True)
class Curve:
    """The mean raw return per iteration of one run. `frames`: the length of an iteration."""

    config_id: str
    game: str
    seed: int
    frames: int
    points: tuple[IterationMean, ...]


def parquet_version() -> str:
    """Return the version of the library that writes Parquet: equal tables have equal bytes only under one version."""
    import pyarrow as pa

    return str(pa.__version__)


def write_curves(curves: Iterable[Curve]) -> bytes:
    """Return a Parquet file with a row for each run and iteration, in the order given."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [(curve, point) for curve in curves for point in curve.points]
    table = pa.table(
        {
            "config_id": pa.array([curve.config_id for curve, _ in rows], pa.string()),
            "game": pa.array([curve.game for curve, _ in rows], pa.string()),
            "seed": pa.array([curve.seed for curve, _ in rows], pa.int32()),
            "iteration": pa.array([point.iteration for _, point in rows], pa.int32()),
            "frame": pa.array([(point.iteration + 1) * curve.frames for curve, point in rows], pa.int64()),
            "mean_return": pa.array([point.mean_return for _, point in rows], pa.float64()),
            "episodes": pa.array([point.episodes for _, point in rows], pa.int32()),
        }
    )
    file = io.BytesIO()
    pq.write_table(table, file, compression="zstd", store_schema=False)
    return file.getvalue()


def difference(claimed: bytes, expected: bytes) -> str:
    """Return why two Parquet files do not hold equal tables, or "": the first is from outside, read with limits."""
    import subprocess

    if len(claimed) > 2 * len(expected) + 65_536 or claimed[:4] != b"PAR1" or claimed[-4:] != b"PAR1":
        return DIFFERS
    size = len(claimed).to_bytes(8, "little")
    try:
        done = run_module(__name__, data=size + claimed + expected, seconds=WALL_SECONDS)
    except subprocess.TimeoutExpired:
        return f"it was not read in {WALL_SECONDS} seconds"
    except OSError as error:
        return f"it could not be read here: {error}"
    if done.returncode == 0 and done.stdout in (b"same", b"other"):
        return "" if done.stdout == b"same" else DIFFERS
    return f"it cannot be read within the limits of such a file (exit status {done.returncode})"


def _compare() -> None:
    """Read both tables of standard input, with little memory and time, and say if they are the same."""
    import resource
    import sys
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

    pa.set_memory_pool(pa.system_memory_pool())  # others reserve more than they use
    content = sys.stdin.buffer.read()
    mapped = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS,) * 2)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + PARQUET_BYTES,) * 2)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    size = 8 + int.from_bytes(content[:8], "little")
    # pq.read_table would read in threads of its own, whose number and memory vary, and wait for one that got none
    claimed, expected = (
        pq.ParquetFile(io.BytesIO(part), pre_buffer=False) for part in (content[8:size], content[size:])
    )
    alike = claimed.metadata.num_rows == expected.metadata.num_rows and claimed.schema_arrow.equals(
        expected.schema_arrow
    )
    same = alike and claimed.read(use_threads=False).equals(expected.read(use_threads=False))
    sys.stdout.write("same" if same else "other")


if __name__ == "__main__":
    _compare()
