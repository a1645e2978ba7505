"""Levels of proof: the words, once for checks, the database and the pages, and which of them is worth a rank."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

CLAIMED, RECOMPUTED, SAMPLED, REPLAYED, RERUN = "claimed", "recomputed", "sampled", "replayed", "rerun"

LEVELS = (CLAIMED, RECOMPUTED, SAMPLED, REPLAYED, RERUN)
"""How far a result is proven, lowest first, by the first word of a level; numbers of others are `published`."""

CheckLevel = Annotated[str, Field(pattern=r"^(claimed|recomputed|replayed|sampled [1-9]\d{0,5} of [1-9]\d{0,5})$")]
"""What a check can give."""

AttestedLevel = Annotated[str, Field(pattern=r"^(replayed|rerun|sampled [1-9]\d{0,5} of [1-9]\d{0,5})$")]
"""What a maintainer can attest."""

Grade = tuple[int, float]


def sampled(count: int, total: int) -> str:
    """Return the level of runs of which only some were replayed: `sampled 3 of 75`."""
    return f"{SAMPLED} {count} of {total}"


def word(level: str) -> str:
    """Return the first word of a level, which is one of LEVELS or `published`."""
    return level.partition(" ")[0]


def grade(level: str) -> Grade:
    """Return a level's place among all, to be compared: of two samples the larger share is more."""
    name, *rest = level.split()
    if name not in LEVELS:
        return (-1, 0.0)
    share = int(rest[0]) / int(rest[2]) if name == SAMPLED and len(rest) == 3 else 0.0
    return LEVELS.index(name), min(share, 1.0)


def is_proven(level: str) -> bool:
    """Return whether all of a result was played again, or trained again: only such results are ranked."""
    return grade(level) >= grade(REPLAYED)
