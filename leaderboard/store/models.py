"""The tables of a results database: an index of run directories that any machine can rebuild."""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import REAL, ForeignKey, Index, Integer, LargeBinary, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

APPLICATION_ID = 0x50524C53
"""`PRAGMA application_id`: the letters PRLS, so that a foreign SQLite file is known for what it is."""

SCHEMA_VERSION = 1
"""`PRAGMA user_version`: raised with every change of the tables."""

RUN_HERE = "run"
PUBLISHED = "published iteration means"
"""Where a configuration's numbers come from: run directories read here, or means that others published."""


class Base(DeclarativeBase):
    """Python types to the column types that SQLite's STRICT tables know; JSON is text with sorted keys."""

    type_annotation_map: ClassVar = {str: Text, float: REAL, int: Integer, bool: Integer, bytes: LargeBinary}


class Configuration(Base):
    """A configuration: what was run, without game and seed. `spec` is canonical JSON, None for published numbers."""

    __tablename__ = "configuration"
    __table_args__ = ({"sqlite_strict": True},)

    config_id: Mapped[str] = mapped_column(primary_key=True)
    source: Mapped[str]
    task: Mapped[str] = mapped_column(index=True)
    frames: Mapped[int]
    shortened: Mapped[bool]
    agent: Mapped[str]
    network: Mapped[str]
    width: Mapped[str | None]
    method: Mapped[str]
    spec: Mapped[str | None]
    caveats: Mapped[str] = mapped_column(default="[]")


_KEY = ("config_id", "game", "seed", "environment_fingerprint")


class Run(Base):
    """One attempt at one cell. A finished row is never overwritten: a newer one takes `current` from it.

    `score` is recomputed from the episodes; `frames` are those reached; `episodes` is compressed JSON, a list of
    [frame, length, return, end] per episode.
    """

    __tablename__ = "run"
    __table_args__ = (
        Index("run_content", *_KEY, "digest", unique=True),
        Index("run_current", *_KEY, unique=True, sqlite_where=text("current = 1")),
        {"sqlite_strict": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    config_id: Mapped[str] = mapped_column(ForeignKey("configuration.config_id"))
    game: Mapped[str]
    seed: Mapped[int]
    environment_fingerprint: Mapped[str]
    attempt: Mapped[int]
    current: Mapped[bool]
    state: Mapped[str]
    frames: Mapped[int]
    score: Mapped[float | None]
    scored_episodes: Mapped[int | None]
    parameters: Mapped[int | None]
    active_parameters: Mapped[int | None]
    sparsity: Mapped[float | None]
    updates: Mapped[int | None]
    wall_seconds: Mapped[float | None]
    departures: Mapped[str]
    provenance: Mapped[str]
    started_at: Mapped[str]
    ended_at: Mapped[str]
    digest: Mapped[str]
    episodes: Mapped[bytes | None] = mapped_column(deferred=True)


class Iteration(Base):
    """The mean raw return of the episodes that ended in one iteration of a run; no row where none ended."""

    __tablename__ = "iteration"
    __table_args__ = ({"sqlite_strict": True, "sqlite_with_rowid": False},)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    iteration: Mapped[int] = mapped_column(primary_key=True)
    mean_return: Mapped[float]
    episodes: Mapped[int | None]
