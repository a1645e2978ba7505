"""Levels of proof: the words, once for checks, the database and the pages."""

from __future__ import annotations

from typing import Literal, get_args

CheckLevel = Literal["claimed", "recomputed", "replayed"]
"""What a check can give."""

Level = CheckLevel | Literal["rerun"]

LEVELS: tuple[Level, ...] = (*get_args(CheckLevel), "rerun")
"""How far a result is proven, lowest first; numbers of others are `published`."""
