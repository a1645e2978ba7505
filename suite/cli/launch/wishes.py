"""What a cluster is asked for, and who runs which share of the cells, as the options say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suite.cli.launch.options import Launcher
from suite.cli.training import Computing
from suite.errors import UsageError, unknown_name


class Wishes(BaseModel):
    """What a cluster is asked for whatever the plan says; None: what the plan says, or the cluster's own way.

    `cpus` and `gpus` of a group of lanes, its `memory` in GiB, its `time` in minutes. `suite`: the words that call the
    suite on the nodes, such as a container's; empty: this Python. Slurm alone: `partition`, `account`, `qos`,
    `constraint`, at most `parallel` tasks of an array at a time, and `notice`, the seconds between its signal and the
    end of the time. Ray alone: the `address` of the cluster.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cpus: int | None = Field(None, ge=1)
    gpus: int | None = Field(None, ge=0)
    memory: float | None = Field(None, gt=0)
    time: int | None = Field(None, ge=1)
    suite: str = ""
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    parallel: int = Field(256, ge=1)
    notice: int = Field(120, ge=1)
    address: str = "auto"


OF_ONE = {
    "slurm": ("time", "suite", "partition", "account", "qos", "constraint", "parallel", "notice"),
    "ray": ("address",),
}
"""The wishes that one launcher alone can grant."""


@dataclass(frozen=True, slots=True)
class Launch:
    """Who runs the cells, what it is asked for, and which share of how many, None for all."""

    launcher: Launcher
    wishes: Wishes
    shard: tuple[int, int] | None = None

    @classmethod
    def read(cls, launcher: Launcher, texts: Sequence[str], shard: str | None) -> Launch:
        """Return what the options say; UsageError for a key, a value or a share that cannot be."""
        found = {}
        for text in texts:
            key, equals, value = text.partition("=")
            if key not in Wishes.model_fields:
                raise unknown_name("key of --cluster", key, Wishes.model_fields)
            if launcher == "local":
                raise UsageError("--cluster asks for nothing here: cells are run by this process.", "Give --launcher.")
            if any(key in keys for name, keys in OF_ONE.items() if name != launcher):
                raise UsageError(f"{launcher} cannot be asked for {key}.", "Leave it out; see docs/clusters.md.")
            if not equals or not value.strip():
                raise UsageError(f"--cluster {text!r} has no value.", f"Give --cluster {key}=VALUE.")
            found[key] = value.strip()
        try:
            return cls(launcher, Wishes.model_validate(found), None if shard is None else parse_shard(shard))
        except ValidationError as error:
            first = error.errors()[0]
            raise UsageError(f"--cluster {first['loc'][0]}={first['input']}: {first['msg']}.", "Mend it.") from error

    def computing(self, computing: Computing) -> Computing:
        """Return how cells are computed by jobs of their own: on as many threads as cores are asked for.

        On CPUs a group is one cell unless somebody says otherwise. A node's number of cores must not decide on bits.
        """
        if self.launcher == "local":
            return computing
        lanes = computing.lanes
        if lanes == "auto":
            from suite.running.machine import is_accelerator

            lanes = "auto" if is_accelerator() else "1"
        return replace(computing, lanes=lanes, threads=computing.threads or self.wishes.cpus or 1)


def parse_shard(text: str) -> tuple[int, int]:
    """Return which of how many shares `1/3` names; UsageError if none."""
    index, slash, count = text.partition("/")
    if not slash or not all(part.isascii() and part.isdigit() for part in (index, count)):
        raise UsageError(f"--shard {text!r} cannot be read.", "Give which of how many, such as 1/4.")
    if not 1 <= int(index) <= int(count):
        raise UsageError(f"--shard {text} cannot be.", "The first of four is 1/4, the last 4/4.")
    return int(index), int(count)
