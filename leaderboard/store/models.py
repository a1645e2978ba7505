"""The tables of a results database: an index of run directories and bundles that any machine can rebuild.

A change here needs a new `SCHEMA_VERSION` and a step in `migrations/versions`, which a test compares with these models.
"""

from __future__ import annotations

from typing import ClassVar

from sqlalchemy import REAL, ForeignKey, Index, Integer, LargeBinary, Text, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

APPLICATION_ID = 0x50524C53
"""`PRAGMA application_id`: the letters PRLS, so that a foreign SQLite file is known for what it is."""

SCHEMA_VERSION = 4
"""`PRAGMA user_version`, and the revision that Alembic's table names: raised with every change of the tables."""

RUN_HERE = "run"
PUBLISHED = "published iteration means"
PUBLISHED_SCORES = "published final scores"
"""Where a configuration's numbers come from: runs whose episodes are stored, or numbers that others published."""

PUBLISHED_LEVEL = "published"
"""The level of others' numbers: context, never ranked, and in nobody's way."""


def slug_of(sha256: str) -> str:
    """Return the slug of a bundle that lies in no results repository: its own, wherever it lies."""
    return f"bundle-{sha256[:12]}"


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
    """One attempt at one cell. A finished row is never overwritten: another takes `current` from it.

    `score` is recomputed from the episodes; `frames` are those reached; `own` says whether a run directory was read
    here, and not only a bundle, and `replayed` whether its actions were played again there; `digest` is of everything
    that counts (`claims.digest`), `trace` of all lengths and returns (`claims.trace`): equal ones are of copies. It is
    None where there are too few to tell runs apart.
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
    own: Mapped[bool] = mapped_column(default=True, server_default=text("1"))
    trace: Mapped[str | None]
    replayed: Mapped[bool] = mapped_column(default=False, server_default=text("0"))


class Iteration(Base):
    """The mean raw return of the episodes that ended in one iteration of a run; no row where none ended."""

    __tablename__ = "iteration"
    __table_args__ = ({"sqlite_strict": True, "sqlite_with_rowid": False},)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    iteration: Mapped[int] = mapped_column(primary_key=True)
    mean_return: Mapped[float]
    episodes: Mapped[int | None]


class Recording(Base):
    """What a finished run recorded in detail, each column compressed JSON; apart, so that listing runs stays cheap.

    `source` is "" for a run directory, else the SHA-256 of a bundle: a run's own digest does not cover all of this, so
    that nobody's bundle may change what another shows. `episodes`, `evaluation`: lists of [frame, length, return, end].
    `checkpoints`: of [agent step, frame, updates, learner, history]. `diagnostics`: thinned series by name,
    {"frame": [...], "value": [...]}. `digest` is of the last three and `points` their length; what schema 1 left has
    neither, until its run directory is read again.
    """

    __tablename__ = "recording"
    __table_args__ = ({"sqlite_strict": True},)

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    source: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    points: Mapped[int]
    diagnostics: Mapped[bytes | None]
    checkpoints: Mapped[bytes | None]
    evaluation: Mapped[bytes | None]
    episodes: Mapped[bytes | None]


class Submission(Base):
    """A bundle that passed its check, by the SHA-256 of its bytes; the newest of a slug stands for it.

    `level` is what the check found, before any attestation; `documents` is compressed JSON: cards and environment.
    `arrived` is its place in the history of the results repository, None where no history says.
    """

    __tablename__ = "submission"
    __table_args__ = ({"sqlite_strict": True},)

    sha256: Mapped[str] = mapped_column(primary_key=True)
    slug: Mapped[str] = mapped_column(index=True)
    title: Mapped[str]
    authors: Mapped[str]
    license: Mapped[str]
    links: Mapped[str]
    submitted_at: Mapped[str]
    level: Mapped[str]
    report: Mapped[str]
    documents: Mapped[bytes | None]
    arrived: Mapped[int | None]


class Attestation(Base):
    """What a maintainer says about a bundle: how far it is proven, and flags such as a retraction. The newest holds.

    `level` is None where the check's stands. `flags` is a list of [code, reason, date, by], `reruns` of [config_id,
    game, seed, agent step, by, date].
    """

    __tablename__ = "attestation"
    __table_args__ = ({"sqlite_strict": True, "sqlite_with_rowid": False},)

    sha256: Mapped[str] = mapped_column(ForeignKey("submission.sha256"), primary_key=True)
    digest: Mapped[str] = mapped_column(primary_key=True)
    level: Mapped[str | None]
    by: Mapped[str]
    date: Mapped[str]
    evidence: Mapped[str]
    flags: Mapped[str]
    reruns: Mapped[str] = mapped_column(default="[]", server_default=text("'[]'"))


class RunSubmission(Base):
    """Which bundle holds which run."""

    __tablename__ = "run_submission"
    __table_args__ = (
        Index("run_submission_bundle", "sha256"),
        {"sqlite_strict": True, "sqlite_with_rowid": False},
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("run.id", ondelete="CASCADE"), primary_key=True)
    sha256: Mapped[str] = mapped_column(ForeignKey("submission.sha256"), primary_key=True)
