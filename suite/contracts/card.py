"""Cards: a component's identity and its published settings, each with unit, range and source, as TOML."""

from __future__ import annotations

import hashlib
import json
import math
import re
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from suite.errors import BadData, UsageError

Value = bool | int | float | str
"""A setting's value: a JSON scalar."""
Family = Literal["atari", "offline", "continuous", "classic", "minatar"]
"""Where a task's experience comes from: an emulator, a log of one, simulated physics, classic control, or MinAtar."""


_WORD = re.compile(r"[A-Za-z0-9_.:/+-]{0,64}", re.ASCII)
_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)


class Settings(BaseModel):
    """A component's settings as its factory takes them: a subclass has one field for each setting on the card.

    The annotation of a factory's first parameter names the class, and the suite fills it in from the resolved values.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Setting(BaseModel):
    """One published setting: its value and everything a reader needs to trust it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    value: Value
    doc: str
    source: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    choices: tuple[str, ...] = Field(default=(), strict=False)

    @model_validator(mode="after")
    def _default_is_valid(self) -> Self:
        try:
            self.check("value", self.value)
        except UsageError as error:
            raise ValueError(str(error)) from error
        return self

    def check(self, path: str, value: Value) -> Value:
        """Return `value` as this setting's type, or raise a UsageError that names `path` and the range."""
        if type(self.value) is float and type(value) is int:
            value = float(value)
        if type(value) is not type(self.value):
            raise UsageError(
                f"{path} takes {_noun(self.value)}, not {_quoted(value)}.",
                f"The published value is {_quoted(self.value)}.",
            )
        if isinstance(value, str) and not _WORD.fullmatch(value):
            raise UsageError(
                f"{path} cannot be {value[:80]!a}.", "It is one word: at most 64 letters, digits and _ . : / + -."
            )
        if isinstance(value, str) and self.choices and value not in self.choices:
            raise UsageError(f"{path} cannot be {value!r}.", f"Choose one of: {', '.join(self.choices)}.")
        if isinstance(value, int | float) and not isinstance(value, bool) and not self._inside(value):
            raise UsageError(f"{path} = {value!r} is out of range.", f"It must be {self.range_text()}.")
        return value

    def _inside(self, value: float) -> bool:
        if not math.isfinite(value):
            return False
        low = self.minimum is None or value >= self.minimum
        strictly = self.above is None or value > self.above
        high = self.maximum is None or value <= self.maximum
        return low and strictly and high

    def range_text(self) -> str:
        """Return what is allowed, in words."""
        if isinstance(self.value, bool):
            return "true or false"
        if isinstance(self.value, str):
            return ", ".join(self.choices) or "text"
        parts = []
        if self.minimum is not None:
            parts.append(f"at least {self.minimum:g}")
        if self.above is not None:
            parts.append(f"above {self.above:g}")
        if self.maximum is not None:
            parts.append(f"at most {self.maximum:g}")
        return " and ".join(parts) or "finite"


class Card(BaseModel):
    """A component's card. `version` changes whenever the same settings would give other results.

    Of methods: two that claim "masks" cannot be combined, one that claims "alone" with none, and none with a method
    that stands in its `conflicts`, which give the reason. Of agents and networks: `families` are those of
    the tasks that they can do; all of them if it is empty.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    version: int = Field(ge=1)
    title: str
    summary: str
    paper: str = ""
    deviations: tuple[str, ...] = Field(default=(), strict=False)
    claims: tuple[Literal["masks", "alone"], ...] = Field(default=(), strict=False)
    conflicts: dict[str, str] = {}
    families: tuple[Family, ...] = Field(default=(), strict=False)
    settings: dict[str, Setting] = {}

    @model_validator(mode="after")
    def _names_are_plain(self) -> Self:
        if bad := next((name for name in self.settings if not _NAME.fullmatch(name)), None):
            raise ValueError(f"a setting cannot be called {bad[:80]!a}")
        return self

    @property
    def digest(self) -> str:
        """The first 16 hexadecimal digits of the SHA-256 of all that defines the component; its prose does not."""
        prose = {"title", "summary", "paper", "families"}
        content = self.model_dump(mode="json", exclude=prose)
        for setting in content["settings"].values():
            del setting["doc"], setting["source"]
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def refusal(self, other: Card) -> str:
        """Return why this method cannot be combined with another one; empty if it can."""
        if reason := self.conflicts.get(other.id) or other.conflicts.get(self.id):
            return reason
        for card in (self, other):
            if "alone" in card.claims:
                return f"{card.id} is training without any other method"
        if "masks" in self.claims and "masks" in other.claims:
            return "both decide which weights are zero"
        return ""

    @classmethod
    def parse(cls, content: dict[str, Any], path: Path) -> Card:
        """Validate the content of a TOML card; errors name the file and the field."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise BadData(f"{path}: {where}: {first['msg']}.", "Mend the card.") from error


def written(value: Value) -> str:
    """Return a value as `--set` takes it: as TOML has it, text without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _quoted(value: Value) -> str:
    return repr(value) if isinstance(value, str) else written(value)


def _noun(value: Value) -> str:
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[type(value)]
