"""A study as its TOML file says it: arms of cells, a picture, and claims with the rule that decides each."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from suite.contracts.card import Value
from suite.errors import BadData, UsageError, unknown_name

FOLDERS = ("figures", "ablations")
"""Where the studies of this package are: the paper's figures, and the protocol's open decisions."""

REPLAY_RATIO = "replay_ratio"
"""The name, in a sweep, of gradient steps an agent step; it becomes the agent's two settings that make it."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Arm(_Data):
    """A series of configurations: agents by widths by the values of a sweep, of one network and one method.

    Several arms may share a `name`: they make one series. No `widths`: the network's own. A setting `@NAME` stands for
    the configuration of the arm of that name with the same agent, network and width, which must be run before.
    """

    name: str = Field(min_length=1)
    agents: tuple[str, ...] = Field(min_length=1)
    network: str
    widths: tuple[int, ...] = ()
    method: str = "dense"
    settings: dict[str, Value] = {}
    sweep: dict[str, tuple[Value, ...]] = {}


class Picture(_Data):
    """What the figure shows.

    `final`: the aggregate after the whole budget against `x`, a setting or `width`; `curves`: the aggregate against
    the budget; `games`: raw returns against the budget, a panel for each game; `diagnostics`: `series` against the
    budget, a panel for each game and series; `covariance`: a heat map for each game and arm; `schedule`: equation 1.
    `panels` names the coordinate that tells panels of the first two apart.
    """

    kind: Literal["final", "curves", "games", "diagnostics", "covariance", "schedule"]
    x: str = ""
    panels: Literal["", "agent", "network", "width"] = ""
    series: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _has_what_it_shows(self) -> Self:
        if (self.kind == "final") != bool(self.x):
            raise ValueError("a final picture, and no other, needs x")
        if (self.kind == "diagnostics") != bool(self.series):
            raise ValueError("a picture of diagnostics, and no other, needs series")
        return self


class Side(_Data):
    """One side of a contrast: an arm, narrowed by coordinates; what it leaves open is as on the other side."""

    arm: str
    where: dict[str, Value | tuple[Value, ...]] = {}


class Rule(_Data):
    """What must be true, of every pair of configurations that the two sides give.

    `better`: the aggregate of `a` is above that of `b`. `not_better`: it is not above it by the margin or more.
    `at_least`: it is not below it by the margin or more. `equal`: both. `rises`, `falls`: that of `a`, from each value
    of `along` to the next. `widens`, `narrows`: the lead of `a` over `b`, from the first value of `along` to the last.
    `lower`, `higher`: the last value of the diagnostic `series`, of `a` against `b`. `declines`, `keeps`: the runs of
    `a`, from the share `at` of the budget (half of it) to its end. With other rules `at` is the share of the budget
    after which scores are taken, instead of the task's score at its end. `each_game` asks of every game alone.
    """

    rule: Literal[
        "better",
        "not_better",
        "at_least",
        "equal",
        "rises",
        "falls",
        "widens",
        "narrows",
        "lower",
        "higher",
        "declines",
        "keeps",
    ]
    a: Side
    b: Side | None = None
    along: str = ""
    series: str = ""
    at: float | None = Field(default=None, gt=0, lt=1)
    games: tuple[str, ...] = ()
    each_game: bool = False

    @model_validator(mode="after")
    def _has_its_sides(self) -> Self:
        if (self.b is None) != (self.rule in ("rises", "falls", "declines", "keeps")):
            raise ValueError(f"the rule {self.rule} has {'no' if self.b else 'a'} second side b")
        if bool(self.along) != (self.rule in ("rises", "falls", "widens", "narrows")):
            raise ValueError(f"the rule {self.rule} has {'no' if self.along else 'a'} direction along")
        if bool(self.series) != (self.rule in ("lower", "higher")):
            raise ValueError(f"the rule {self.rule} has {'no' if self.series else 'a'} series")
        return self


class Claim(_Data):
    """A sentence that can be wrong, and the rules that must all hold for it to be right.

    `source` says where the paper states it. `effect` is the relative difference that the paper reports, if any.
    """

    id: str
    text: str
    source: str
    effect: float | None = None
    rules: tuple[Rule, ...] = Field(min_length=1)


class Study(_Data):
    """A study. `figure` is the paper's number; `inferred` says what the paper leaves open and what was chosen."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,40}$")
    figure: int | None = Field(default=None, ge=1, le=30)
    title: str
    summary: str
    task: str
    games: tuple[str, ...] = ()
    seeds: int | None = Field(default=None, ge=1, le=10_000)
    frames: int | None = Field(default=None, ge=1)
    inferred: tuple[str, ...] = ()
    arms: tuple[Arm, ...] = ()
    picture: Picture
    claims: tuple[Claim, ...] = ()

    @model_validator(mode="after")
    def _names_what_it_has(self) -> Self:
        arms = {arm.name for arm in self.arms}
        for claim in self.claims:
            for rule in claim.rules:
                for side in filter(None, (rule.a, rule.b)):
                    if side.arm not in arms:
                        raise ValueError(f"claim {claim.id} speaks of an arm {side.arm!r} that is not there")
        if not self.arms and self.picture.kind != "schedule":
            raise ValueError("a study needs an arm")
        return self


@functools.cache
def study_names() -> tuple[str, ...]:
    """Return the names of this package's studies: figures by number, then the others."""
    names = [name for folder in FOLDERS for name in _files(folder)]
    return tuple(sorted(names, key=lambda name: (not name.removeprefix("fig").isdigit(), len(name), name)))


def load_study(name: str) -> Study:
    """Return a study by its name (`fig1`), or of a user's file (`mine.toml`); errors name the file and the field."""
    if name.endswith(".toml") or "/" in name:
        return read_study(Path(name))
    if name not in study_names():
        raise unknown_name("study", name, study_names())
    return _packaged(name)


@functools.cache
def _packaged(name: str) -> Study:
    text = next(files[name] for files in map(_files, FOLDERS) if name in files)
    return parse_study(text, f"the study {name}")


def read_study(path: Path) -> Study:
    """Return the study of a user's file."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"The study {path} cannot be read: {error.strerror}.", "Make one with `suite study new`."
        ) from error
    except UnicodeDecodeError as error:
        raise BadData(f"{path} is no text.", "Write it as TOML in UTF-8.") from error
    return parse_study(text, str(path))


def parse_study(text: str, where: str) -> Study:
    """Return the study of a TOML text; BadData says in one sentence what is wrong `where`."""
    try:
        content: dict[str, Any] = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadData(f"{where} is no TOML: {error}.", "Mend that line.") from error
    try:
        return Study.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the study"
        raise BadData(f"{where}: {field}: {first['msg'].removeprefix('Value error, ')}.", "Mend the file.") from error


@functools.cache
def _files(folder: str) -> dict[str, str]:
    files = (resources.files("leaderboard.studies") / folder).iterdir()
    return {
        file.name.removesuffix(".toml"): file.read_text(encoding="utf-8")
        for file in files
        if file.name.endswith(".toml")
    }
