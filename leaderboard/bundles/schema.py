"""Schemas of the files of a bundle, as closed models; their JSON Schemas are published in `schemas/`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from leaderboard.bundles.findings import Rejected
from leaderboard.bundles.levels import AttestedLevel, CheckLevel
from suite.contracts.card import Card
from suite.records.covariance import TEXT
from suite.records.record import CellFile, ProvenanceFile, StatusFile

VERSION = 2
"""The version of bundles that is written. This one and the one before are read; see `convert`."""

ROWS = 120_000
"""The most training episodes of one run."""

EVALUATIONS = 40_000
"""The most evaluation episodes of one run."""

Text = Annotated[str, Field(min_length=1, max_length=300)]
Prose = Annotated[str, Field(min_length=1, max_length=2_000)]
Link = Annotated[str, Field(pattern=r"^https://[A-Za-z0-9.-]+(/[A-Za-z0-9._~%/#?=&+,:@-]*)?$", max_length=300)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, le=2**53)]
Return = Annotated[float, Field(ge=-1e12, le=1e12)]
Measured = Annotated[float, Field(ge=-3.5e38, le=3.5e38)]
"""What a run may have measured: whatever a number of 32 bits holds, as of one that diverges."""
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Shown = Annotated[str, Field(pattern=r"^[ -~]*$", max_length=400)]
Packed = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=4_000_000)]
Cosines = Annotated[str, Field(pattern=r"^[A-Za-z0-9+/]*={0,2}$", max_length=TEXT)]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Author(_Closed):
    """A person who submits."""

    name: Text
    orcid: str | None = Field(default=None, pattern=r"^\d{4}-\d{4}-\d{4}-\d{3}[\dX]$")
    affiliation: Text | None = None
    github: str | None = Field(default=None, pattern=r"^[A-Za-z0-9](-?[A-Za-z0-9]){0,38}$")


class Code(_Closed):
    """Where the code is that was run."""

    url: Link
    commit: str = Field(pattern=r"^[0-9a-f]{7,64}$")


class Paper(_Closed):
    """What describes the method; one of the three."""

    doi: str | None = Field(default=None, pattern=r"^10\.\d{4,9}/[A-Za-z0-9._;()/:-]{1,200}$")
    arxiv: str | None = Field(default=None, pattern=r"^\d{4}\.\d{4,5}(v\d{1,2})?$")
    url: Link | None = None


class Tuning(_Closed):
    """What choosing the settings cost, and how they were chosen."""

    budget_runs: int = Field(ge=0, le=10**9)
    games_used: tuple[Text, ...] = Field(default=(), max_length=100)
    selection_rule: Prose


class Compute(_Closed):
    """What the runs were computed on."""

    device: Text
    hours: float | None = Field(default=None, ge=0, le=1e9)


class Submission(_Closed):
    """`submission.toml`: what people say about the runs. `relationship` is None only in converted bundles.

    `partial`: games or default seeds are knowingly left out, so that these runs rank only together with others.
    """

    schema_version: Literal[2] = Field(alias="schema")
    title: Text
    authors: tuple[Author, ...] = Field(min_length=1, max_length=50)
    contact: str = Field(pattern=r"^[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+$", max_length=200)
    license: str = Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9.+-]*( (AND|OR|WITH) [A-Za-z0-9][A-Za-z0-9.+-]*)*$", max_length=100
    )
    code: Code
    paper: Paper | None = None
    relationship: Literal["first_party", "third_party"] | None
    tuning: Tuning
    compute: Compute
    deviations: tuple[Prose, ...] = Field(default=(), max_length=50)
    known_issues: tuple[Prose, ...] = Field(max_length=50)
    partial: bool = False


class ManifestFile(_Closed):
    """A file of the bundle. `size` is in bytes."""

    path: str = Field(max_length=120)
    size: Count
    sha256: Sha256


class ManifestRun(_Closed):
    """A run of the bundle and what it claims."""

    path: str = Field(max_length=120)
    config_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    game: str = Field(max_length=40)
    seed: int = Field(ge=0, le=9999)
    state: Literal["done", "diverged"]
    score: Return | None
    scored_episodes: Count


class Manifest(_Closed):
    """`manifest.json`, as `suite submit pack` writes it: every other file with its hash, every run with its score."""

    schema_version: Literal[2]
    suite_version: Text
    parquet_version: Text
    task: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}@[0-9]{1,4}$")
    files: tuple[ManifestFile, ...] = Field(max_length=1024)
    runs: tuple[ManifestRun, ...] = Field(max_length=1024)


class Environment(_Closed):
    """What some of the runs were run with."""

    fingerprint: Text
    suite_version: Text
    packages: dict[str, str]
    environment: dict[str, str | int | float | bool]
    attempts: int = Field(ge=1)


class EnvironmentLock(_Closed):
    """`environment.json`: the environments of all attempts, from the runs' provenance."""

    schema_version: Literal[2]
    environments: tuple[Environment, ...] = Field(max_length=1024)


class EpisodeColumns(_Closed):
    """The training episodes of a run, as columns of one length; an episode's number is its place.

    Steps are not given: an episode ends `length` agent steps after the one before. `truncated` lists the numbers of
    those that were cut off.
    """

    attempt: list[Count] = Field(max_length=ROWS)
    length: list[Count] = Field(max_length=ROWS)
    returns: list[Return] = Field(alias="return", max_length=ROWS)
    emulator_seed: list[Count] = Field(max_length=ROWS)
    truncated: list[Count] = Field(max_length=ROWS)


class EvaluationColumns(_Closed):
    """The evaluation episodes of a run, as columns; `actions` is empty where the score does not count them."""

    attempt: list[Count] = Field(max_length=EVALUATIONS)
    agent_step: list[Count] = Field(max_length=EVALUATIONS)
    episode: list[Count] = Field(max_length=EVALUATIONS)
    length: list[Count] = Field(max_length=EVALUATIONS)
    returns: list[Return] = Field(alias="return", max_length=EVALUATIONS)
    emulator_seed: list[Count] = Field(max_length=EVALUATIONS)
    truncated: list[Count] = Field(max_length=EVALUATIONS)
    actions: list[Packed] = Field(max_length=EVALUATIONS)


class ActionColumns(_Closed):
    """The actions of scored episodes and of those that lead to them, deflated, in base64."""

    attempt: list[Count] = Field(max_length=ROWS)
    episode: list[Count] = Field(max_length=ROWS)
    deflated: list[Packed] = Field(max_length=ROWS)


class CheckpointColumns(_Closed):
    """The hashes at checkpoints of the schedule."""

    attempt: list[Count] = Field(max_length=10_000)
    agent_step: list[Count] = Field(max_length=10_000)
    updates: list[Count] = Field(max_length=10_000)
    learner: list[Sha256] = Field(max_length=10_000)
    history: list[Sha256] = Field(max_length=10_000)


class DiagnosticColumns(_Closed):
    """Named scalars at some of the steps; None where a row lacks one.

    `covariance`: packed cosines between gradients, see `suite.records.covariance`, empty where a row has none; left out
    where no row has any.
    """

    attempt: list[Count] = Field(max_length=1_000)
    agent_step: list[Count] = Field(max_length=1_000)
    updates: list[Count] = Field(max_length=1_000)
    values: dict[str, list[Measured | None]] = Field(max_length=100)
    covariance: list[Cosines] = Field(default=[], max_length=1_000)


class RunDocument(_Closed):
    """`runs/<config>-<game>-<seed>.json`: one run."""

    schema_version: Literal[2]
    cell: CellFile
    provenance: ProvenanceFile
    status: StatusFile
    episodes: EpisodeColumns
    evaluation: EvaluationColumns
    actions: ActionColumns
    checkpoints: CheckpointColumns
    diagnostics: DiagnosticColumns


class Flag(_Closed):
    """A reason to doubt a submission, or to take it back: the code `retracted` strikes it through."""

    code: str = Field(pattern=r"^[a-z][a-z0-9_.-]{0,40}$")
    reason: Prose
    by: Text
    date: Day


class RerunCell(_Closed):
    """A cell that was drawn and trained again: the hash of its checkpoint at `agent_step` came out the same."""

    config_id: str = Field(pattern=r"^[0-9a-f]{16}$")
    game: Text
    seed: int = Field(ge=0, le=9999)
    agent_step: Count
    by: Text
    date: Day


class Attest(_Closed):
    """`attest.toml`: what was done with the bundle of this hash. `level` is None where there are only flags.

    `replayed`: every scored step went through the emulator again. `sampled 3 of 75`: only that of some runs. `rerun`:
    somebody else ran it again elsewhere. `reruns`: cells that were drawn and trained again, as far as that went.
    """

    bundle_sha256: Sha256
    level: AttestedLevel | None = None
    by: Text
    date: Day
    evidence: Prose
    flags: tuple[Flag, ...] = Field(default=(), max_length=50)
    reruns: tuple[RerunCell, ...] = Field(default=(), max_length=200)


class ReportFinding(_Closed):
    """One thing that a check found."""

    code: str = Field(pattern=r"^[a-z_]+(\.[a-z_]+)?$", max_length=40)
    severity: Literal["error", "review", "note"]
    where: Shown
    message: Shown
    remedy: Shown


class ReportBundle(_Closed):
    """The bundle that a report is about."""

    name: Shown
    sha256: str = Field(pattern=r"^([0-9a-f]{64})?$")
    title: Shown
    task: Shown


class ReportRun(ManifestRun):
    """A run with the score that its episodes give. `replayed`: the emulator gave all scored episodes again."""

    replayed: bool


class ReportFile(_Closed):
    """report.json: what `suite submit check` found; all text in it is printable ASCII."""

    schema_name: Literal["leaderboard.report/1"] = Field(alias="schema")
    bundle: ReportBundle
    level: CheckLevel
    errors: Count
    reviews: Count
    notes: Count
    findings: tuple[ReportFinding, ...] = Field(max_length=500)
    runs: tuple[ReportRun, ...] = Field(max_length=1024)


MODELS: dict[str, type[BaseModel]] = {
    "submission": Submission,
    "manifest": Manifest,
    "environment": EnvironmentLock,
    "run": RunDocument,
    "card": Card,
    "attest": Attest,
    "report": ReportFile,
}
"""Name -> model of every file whose JSON Schema is published."""


def json_schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of one of MODELS."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **MODELS[name].model_json_schema(by_alias=True)}


def field_error(error: ValidationError, where: str) -> Rejected:
    """Return the rejection for a document that does not have the form it must have."""
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    path = ".".join(str(part)[:40] for part in first["loc"][:8])
    return Rejected("schema.fields", where, f"{path}: {first['msg']}")
