"""What is measured and how a run proceeds: tasks, contracts, the runner, records and the command line.

The package itself imports nothing heavy; `suite --help` never loads jax.
"""

from importlib import metadata

try:
    __version__ = metadata.version("pruned-rl-suite")
except metadata.PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+uninstalled"
