"""What is measured and how a run proceeds: tasks, contracts, the runner, records and the command line.

The package itself imports nothing heavy; `suite --help` never loads jax.
"""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow

try:
    __version__ = metadata.version("pruned-rl-suite")
except metadata.PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+uninstalled"


def load_runs(path: Path | str) -> pyarrow.Table:
    """Return every run of a directory or of a results database, as an Arrow table with a row for each iteration.

    `.to_pandas()` or `polars.from_arrow` makes a data frame of it. Columns: `suite.records.table.TYPES`. Other packages
    read files by the entry points `suite.readers`. Raises UsageError where there is nothing, BadData where it cannot be
    read.
    """
    from suite.records.table import runs_below, table_of

    found = Path(path)
    if not found.is_file():
        return table_of(runs_below(found))
    reader = next(iter(metadata.entry_points(group="suite.readers", name="database")))
    return table_of(reader.load()(found))
