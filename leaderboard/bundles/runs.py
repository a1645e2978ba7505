"""A run as one JSON document, and back: columns instead of rows, without what follows from the rest."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from leaderboard.bundles import limits
from leaderboard.bundles.findings import Rejected, shown
from leaderboard.bundles.schema import (
    VERSION,
    ActionColumns,
    CheckpointColumns,
    DiagnosticColumns,
    EpisodeColumns,
    EvaluationColumns,
    RunDocument,
    field_error,
)
from leaderboard.bundles.strict import check_text
from suite.errors import BadData, SuiteError
from suite.records.covariance import unpack
from suite.records.record import (
    Actions,
    CellFile,
    Checkpoint,
    Diagnostics,
    Episode,
    EvaluationRow,
    ProvenanceFile,
    Run,
    StatusFile,
)
from suite.tasks import Task, load_task

DIAGNOSTIC_ROWS = 1_000
"""How many rows of diagnostics a bundle keeps of a run: evenly spread, the last among them."""

ModelT = TypeVar("ModelT", bound=BaseModel)
ItemT = TypeVar("ItemT")

_NAMES: dict[type[BaseModel], set[str]] = {
    model: set(model.model_fields) for model in (Episode, EvaluationRow, Checkpoint, Diagnostics, Actions)
}


@dataclass(frozen=True, slots=True)
class BundledRun(Run):
    """A run of a bundle. `path` is for messages: nothing lies there."""

    logged: dict[int, Actions] = field(default_factory=dict)

    def actions(self) -> dict[int, Actions]:
        """Return the action logs by episode."""
        return self.logged


def document_name(run: Run) -> str:
    """Return the name of a run's document in a bundle."""
    return f"runs/{run.cell.config_id[:8]}-{run.cell.game}-{run.cell.seed}.json"


def to_document(run: Run, *, with_actions: bool = True) -> bytes:
    """Return a run as the bytes of its document; its episodes follow one another, as `claims.check` finds."""
    content: dict[str, Any] = {
        "schema_version": VERSION,
        "cell": run.cell.model_dump(mode="json"),
        "provenance": run.provenance.model_dump(mode="json"),
        "status": run.status.model_dump(mode="json"),
        "episodes": _rows(run.episodes, "attempt", "length", "return", "emulator_seed")
        | {"truncated": [index for index, row in enumerate(run.episodes) if row.end == "truncated"]},
        "evaluation": _rows(
            run.evaluation, "attempt", "agent_step", "episode", "length", "return", "emulator_seed", "actions"
        )
        | {"truncated": [index for index, row in enumerate(run.evaluation) if row.end == "truncated"]},
        "actions": _rows(
            [log for _, log in sorted(run.actions().items())] if with_actions else [],
            "attempt",
            "episode",
            "deflated",
        ),
        "checkpoints": _rows(run.checkpoints, "attempt", "agent_step", "updates", "learner", "history"),
        "diagnostics": _thinned(run.diagnostics),
    }
    if not with_actions:
        content["evaluation"]["actions"] = [""] * len(run.evaluation)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def from_document(content: Any, name: str) -> BundledRun:
    """Return the run of a parsed document; Rejected names what cannot be."""
    if not isinstance(content, dict) or content.get("schema_version") != VERSION:
        raise Rejected("schema.fields", name, f"it is no run document of version {VERSION}")
    if content.keys() != RunDocument.model_fields.keys():
        raise Rejected("schema.fields", name, "fields are missing or unknown")
    limits.check_run(content, name)
    for part in limits.PARTS:
        check_text(content[part], name)
    cell = _strict(CellFile, content["cell"], name)
    task = _task(cell, name)
    skip = task.units_per_step
    return BundledRun(
        Path(name),
        cell,
        _strict(ProvenanceFile, content["provenance"], name),
        _strict(StatusFile, content["status"], name),
        _episodes(_columns(EpisodeColumns, content["episodes"], name, "episodes"), skip),
        _diagnostics(_columns(DiagnosticColumns, content["diagnostics"], name, "diagnostics"), skip, name),
        _checkpoints(_columns(CheckpointColumns, content["checkpoints"], name, "checkpoints"), skip),
        _evaluation(_columns(EvaluationColumns, content["evaluation"], name, "evaluation"), skip),
        logged=_actions(_columns(ActionColumns, content["actions"], name, "actions"), name),
    )


def _rows(rows: Sequence[BaseModel], *names: str) -> dict[str, list[Any]]:
    """Return rows as columns; whole numbers are written without a decimal point."""
    columns: dict[str, list[Any]] = {}
    for name in names:
        attribute = "value" if name == "return" else name
        columns[name] = [_short(getattr(row, attribute)) for row in rows]
    return columns


def _short(value: Any) -> Any:
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 2**53 else value


def _thinned(rows: Sequence[Diagnostics]) -> dict[str, Any]:
    """Return at most DIAGNOSTIC_ROWS rows, evenly spread, as columns; that of covariances only where there is one."""
    kept = evenly(rows, DIAGNOSTIC_ROWS)
    names = sorted({name for row in kept for name in row.values})
    values = {name: [_short(row.values.get(name)) for row in kept] for name in names}
    maps = {"covariance": [row.covariance for row in kept]} if any(row.covariance for row in kept) else {}
    return _rows(kept, "attempt", "agent_step", "updates") | {"values": values} | maps


def evenly(items: Sequence[ItemT], most: int) -> list[ItemT]:
    """Return at most so many items, evenly spread, the last among them."""
    count = min(len(items), most)
    return [items[(index + 1) * len(items) // count - 1] for index in range(count)]


def _strict(model: type[ModelT], content: Any, name: str) -> ModelT:
    try:
        return model.model_validate_json(json.dumps(content), strict=True)
    except ValidationError as error:
        raise field_error(error, name) from error


def _columns(model: type[ModelT], content: Any, name: str, part: str) -> ModelT:
    """Return columns, all of one length; `truncated` lists rows in order."""
    try:
        columns = model.model_validate(content)
    except ValidationError as error:
        raise field_error(error, f"{name} {part}") from error
    found = {key: value for key, value in columns if isinstance(value, list)}
    if found.get("covariance") == []:
        del found["covariance"]
    truncated = found.pop("truncated", [])
    lengths = {len(values) for values in found.values()}
    if len(lengths) != 1:
        raise Rejected("schema.fields", name, f"the columns of {part} have several lengths")
    if any(one >= other for one, other in itertools.pairwise([*truncated, *lengths])):
        raise Rejected("schema.fields", name, f"truncated {part} are out of order or do not exist")
    return columns


def _task(cell: CellFile, name: str) -> Task:
    try:
        return load_task(cell.spec.task)
    except SuiteError as error:
        raise Rejected("task.unknown", name, f"the task {shown(cell.spec.task)} is unknown here") from error


def _ends(count: int, truncated: Sequence[int]) -> list[str]:
    ends = ["terminated"] * count
    for index in truncated:
        ends[index] = "truncated"
    return ends


def _episodes(columns: EpisodeColumns, skip: int) -> tuple[Episode, ...]:
    step, rows = 0, []
    ends = _ends(len(columns.length), columns.truncated)
    for number, length in enumerate(columns.length):
        step += length
        rows.append(
            _row(
                Episode,
                attempt=columns.attempt[number],
                agent_step=step,
                frame=step * skip,
                episode=number,
                length=length,
                value=columns.returns[number],
                end=ends[number],
                emulator_seed=columns.emulator_seed[number],
            )
        )
    return tuple(rows)


def _evaluation(columns: EvaluationColumns, skip: int) -> tuple[EvaluationRow, ...]:
    ends = _ends(len(columns.length), columns.truncated)
    return tuple(
        _row(
            EvaluationRow,
            attempt=columns.attempt[index],
            agent_step=step,
            frame=step * skip,
            episode=columns.episode[index],
            length=columns.length[index],
            value=columns.returns[index],
            end=ends[index],
            emulator_seed=columns.emulator_seed[index],
            actions=columns.actions[index],
        )
        for index, step in enumerate(columns.agent_step)
    )


def _actions(columns: ActionColumns, name: str) -> dict[int, Actions]:
    rows = zip(columns.attempt, columns.episode, columns.deflated, strict=True)
    found = {episode: _row(Actions, attempt=attempt, episode=episode, deflated=text) for attempt, episode, text in rows}
    if len(found) != len(columns.episode):
        raise Rejected("record.actions", name, "an episode has actions twice")
    return found


def _checkpoints(columns: CheckpointColumns, skip: int) -> tuple[Checkpoint, ...]:
    return tuple(
        _row(
            Checkpoint,
            attempt=columns.attempt[index],
            agent_step=step,
            frame=step * skip,
            updates=columns.updates[index],
            learner=columns.learner[index],
            history=columns.history[index],
        )
        for index, step in enumerate(columns.agent_step)
    )


def _diagnostics(columns: DiagnosticColumns, skip: int, name: str) -> tuple[Diagnostics, ...]:
    if any(len(values) != len(columns.agent_step) for values in columns.values.values()):
        raise Rejected("schema.fields", name, "the columns of diagnostics have several lengths")
    check_text(list(columns.values), name, 64)
    maps = columns.covariance or [""] * len(columns.agent_step)
    try:
        for text in filter(None, maps):
            unpack(text)
    except BadData as error:
        raise Rejected("schema.fields", name, "a gradient covariance is no packed matrix") from error
    return tuple(
        _row(
            Diagnostics,
            attempt=columns.attempt[index],
            agent_step=step,
            frame=step * skip,
            updates=columns.updates[index],
            values={key: value for key, values in columns.values.items() if (value := values[index]) is not None},
            covariance=maps[index],
        )
        for index, step in enumerate(columns.agent_step)
    )


def _row(model: type[ModelT], **values: Any) -> ModelT:
    """Return a row of values that columns have validated; all rows of a kind share the set of their field names.

    It is what `model_construct` returns for values of all fields, in their order, in a third of the time.
    """
    row = model.__new__(model)
    for name, value in (("__dict__", values), ("__pydantic_fields_set__", _NAMES[model])):
        object.__setattr__(row, name, value)
    object.__setattr__(row, "__pydantic_extra__", None)
    object.__setattr__(row, "__pydantic_private__", None)
    return row
