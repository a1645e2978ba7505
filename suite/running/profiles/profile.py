"""The profile of a device: cores, memory, and measured rates, from which a run there is planned on any machine."""

from __future__ import annotations

import functools
import json
import math
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suite.errors import BadData, UsageError, unknown_name
from suite.tasks import load_task
from suite.tasks.configuration import Spec

GIB = 2**30


class Seconds(NamedTuple):
    """Seconds of a cell: `host` for emulator and loop, which lanes share out, and `device`, which all wait for."""

    host: float
    device: float


class _Row(BaseModel):
    """A row about a network; what is "" holds for any agent, methods, task or family of tasks."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    network: str
    width: int = Field(default=1, ge=1)
    agent: str = ""
    method: str = ""
    lanes: int = Field(default=1, ge=1)

    def distance(self, spec: Spec, lanes: int) -> tuple[float, ...]:
        """Return how far a spec in so many lanes is from this row, the most important first."""
        return (
            abs(math.log(_width(spec) / self.width)),
            self.agent != spec.agent.id,
            0 if self.method == spec.method_label else 1 if self.method in ("", "dense") else 2,
            abs(math.log(lanes / self.lanes)),
        )


class Rate(_Row):
    """How long a configuration took on a device, with `lanes` cells at a time; the quickest of `runs` runs.

    `seconds_per_step`: emulator and loop for an agent step of one lane. `seconds_per_update`: a gradient step, and the
    network's part of the steps up to it. `start_seconds`: compilation and whatever else comes once.
    `operations`: the floating-point operations behind a gradient step, by the compiler's count; 0 where not counted.
    """

    task: str = ""
    family: str = ""
    batch_size: int = Field(default=32, ge=1)
    seconds_per_step: float = Field(default=0.0, ge=0)
    seconds_per_update: float = Field(ge=0)
    start_seconds: float = Field(default=0.0, ge=0)
    operations: float = Field(default=0.0, ge=0)
    runs: int = Field(default=1, ge=1)

    def serves(self, spec: Spec) -> bool:
        """Return whether this is a rate of the spec's network, on tasks of its kind."""
        return self.network == spec.network.id and self.family in ("", load_task(spec.task).family)

    def is_of(self, spec: Spec) -> bool:
        """Return whether this very configuration was measured, but for settings that cost nothing."""
        return self.distance(spec, self.lanes) == (0, 0, 0, 0) and (self.task, self.batch_size) == (
            spec.task_key,
            batch_size(spec),
        )

    def seconds(self, steps: int, updates: int, factor: float = 1.0) -> Seconds:
        """Return the seconds of a cell whose gradient steps have `factor` times the operations."""
        host = self.start_seconds + steps * self.seconds_per_step
        return Seconds(host, updates * self.seconds_per_update * factor)

    @property
    def said(self) -> str:
        """The configuration in a few words."""
        network = f"{self.network} x{self.width}"
        return " ".join(filter(None, (self.task, self.agent, network, self.method)))


class ProgramMemory(_Row):
    """The peak of device memory with `lanes` cells at a time: learners, batches, scratch; without their replays."""

    peak_bytes: int = Field(ge=0)


class Profile(BaseModel):
    """A device. `fixed`: its rates hold for every width and batch. Nothing is known of memory that is None."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")
    title: str
    source: str
    platform: Literal["cpu", "gpu"] = "cpu"
    cores: int = Field(ge=1)
    memory_gib: float | None = Field(default=None, gt=0)
    device_memory_gib: float | None = Field(default=None, gt=0)
    fixed: bool = False
    rates: tuple[Rate, ...] = ()
    programs: tuple[ProgramMemory, ...] = ()

    def nearest(self, spec: Spec, lanes: int = 1) -> Rate | None:
        """Return the rate to go by: of the same network, the nearest in task, width, agent, methods and lanes."""
        found = [rate for rate in self.rates if rate.serves(spec)]
        return min(found, key=lambda rate: (rate.task != spec.task_key, *rate.distance(spec, lanes)), default=None)

    def nearest_in_operations(self, operations: float) -> Rate | None:
        """Return the rate of whatever network that computes the most alike."""
        found = [rate for rate in self.rates if rate.operations and rate.seconds_per_update]
        return min(found, key=lambda rate: abs(math.log(max(1.0, operations) / rate.operations)), default=None)

    def program_bytes(self, spec: Spec, lanes: int) -> int | None:
        """Return what programs of so many lanes hold on the device; None where no such network was compiled for it."""
        found = [row for row in self.programs if row.network == spec.network.id and row.width == _width(spec)]
        row = min(found, key=lambda row: row.distance(spec, lanes), default=None)
        return None if row is None else math.ceil(row.peak_bytes * lanes / row.lanes)


def batch_size(spec: Spec) -> int:
    """Return the batch of a spec's agent; 32 where it names none."""
    return int(spec.agent.settings.get("batch_size", 32))


def _width(spec: Spec) -> int:
    width = spec.network.settings.get("width", 1)
    return width if isinstance(width, int) else 1


def profile_named(name: str) -> Profile:
    """Return a profile of this package by its name, or one of a user's by its file, TOML or JSON."""
    return _profile(name)


@functools.cache
def _profile(name: str) -> Profile:
    own = {Path(file.name).stem: file for file in _files()}
    file = own.get(name) or Path(name)
    if name not in own and not Path(name).is_file():
        error = unknown_name("device profile", name, own)
        raise UsageError(error.problem, f"{error.remedy} Or give a file: `suite profile record RUNS --out FILE`.")
    try:
        return parse(file.read_text(encoding="utf-8"), name)
    except (OSError, UnicodeDecodeError) as error:
        raise BadData(f"{name} cannot be read: {error}.", "Name a TOML or JSON file.") from error


def profile_names() -> tuple[str, ...]:
    """Return the names of this package's profiles."""
    return tuple(sorted(Path(file.name).stem for file in _files()))


def _files() -> list[Any]:
    return [file for file in resources.files(__package__).iterdir() if file.name.endswith(".toml")]


def parse(text: str, name: str) -> Profile:
    """Return the profile in a text: JSON if it begins as JSON does, else TOML; BadData for anything else."""
    try:
        return Profile.model_validate(json.loads(text) if text.lstrip().startswith("{") else tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # pydantic's, json's and tomllib's are ValueErrors
        raise BadData(f"{name} is no device profile: {_reason(error)}.", "See docs/profiles.md.") from error


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error).partition("\n")[0].rstrip(".")
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")


def toml(profile: Profile) -> str:
    """Return a profile as TOML, what has its default left out."""
    document = profile.model_dump(exclude_defaults=True)
    tables = {name: document.pop(name, ()) for name in ("rates", "programs")}
    lines = [f"{key} = {_value(value)}" for key, value in document.items()]
    for name, rows in tables.items():
        for row in rows:
            lines += ["", f"[[{name}]]", *(f"{key} = {_value(value)}" for key, value in row.items())]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    return json.dumps(value) if isinstance(value, (str, bool)) else repr(value)
