"""Details of a run as the store keeps them: compressed, diagnostics thinned, read back as plain values."""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.bundles.runs import DIAGNOSTIC_ROWS, evenly
from leaderboard.store import models
from suite.errors import BadData
from suite.records.record import Diagnostics, Episode, EvaluationRow, Run

POINTS = 200
"""How many values of a diagnostic are kept at most."""

MAPS = 3
"""How many gradient covariances of a run are kept at most, the last among them."""

_MAPS = "#covariance"
"""Where they stand among the series, none of which may have this name."""

SERIES = 256
"""How many diagnostic series of a run are kept at most, by name."""


@dataclass(frozen=True, slots=True)
class Series:
    """A thinned diagnostic: `values[i]` was found at frame `frames[i]`."""

    frames: tuple[int, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class RunDiagnostics:
    """The thinned diagnostics of one run, by name, and `maps`: packed gradient covariances by frame, a few of them."""

    config_id: str
    game: str
    seed: int
    environment_fingerprint: str
    series: Mapping[str, Series]
    maps: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class RunDetails:
    """Everything of a run that its row does not show.

    `episodes` and `evaluation` are (frame, length, return, end) each; `checkpoints` (agent step, frame, updates,
    SHA-256 of the learner, SHA-256 of the history).
    """

    episodes: tuple[tuple[int, int, float, str], ...]
    evaluation: tuple[tuple[int, int, float, str], ...]
    checkpoints: tuple[tuple[int, int, int, str, str], ...]
    diagnostics: Mapping[str, Series]


NO_DETAILS = RunDetails((), (), (), {})


def recording_row(run: Run) -> models.Recording:
    """Return the row of what a finished run recorded in detail, not yet bound to a run's row."""
    rows = evenly(run.diagnostics, DIAGNOSTIC_ROWS)  # as in a bundle
    series: dict[str, dict[str, Any]] = {
        name: {"frame": kept.frames, "value": kept.values} for name, kept in thin(rows).items()
    }
    if maps := evenly([row for row in rows if row.covariance], MAPS):
        series[_MAPS] = {"frame": tuple(row.frame for row in maps), "packed": tuple(row.covariance for row in maps)}
    points = [(row.agent_step, row.frame, row.updates, row.learner, row.history) for row in run.checkpoints]
    parts = [_text(series), _text(points), _text(_returns(run.evaluation))]
    return models.Recording(
        digest=hashlib.sha256("\n".join(parts).encode()).hexdigest(),
        points=sum(len(kept["frame"]) for kept in series.values()) + len(points) + len(run.evaluation),
        diagnostics=_packed(parts[0]) if series else None,
        checkpoints=_packed(parts[1]) if points else None,
        evaluation=_packed(parts[2]) if run.evaluation else None,
        episodes=_packed_returns(run.episodes),
    )


def thin(rows: Sequence[Diagnostics], points: int = POINTS) -> dict[str, Series]:
    """Return every series by name, each of at most `points` values: evenly spread, the last among them.

    Thinning what is thin already changes nothing.
    """
    found: dict[str, list[tuple[int, float]]] = {}
    for row in rows:
        for name, value in row.values.items():
            found.setdefault(name, []).append((row.frame, value))
    names = sorted(name for name in found if name != _MAPS)[:SERIES]
    kept = {name: evenly(found[name], points) for name in names}
    return {name: Series(*(tuple(column) for column in zip(*own, strict=True))) for name, own in kept.items()}


def stored_diagnostics(data: bytes | None) -> tuple[dict[str, Series], tuple[tuple[int, str], ...]]:
    """Read the column of diagnostics: its series, and its gradient covariances, (frame, packed) each."""
    parts = unpacked(data) or {}
    maps = parts.pop(_MAPS, {"frame": (), "packed": ()})
    series = {name: Series(tuple(part["frame"]), tuple(part["value"])) for name, part in parts.items()}
    return series, tuple(zip(maps["frame"], maps["packed"], strict=True))


def stored_details(row: models.Recording | None) -> RunDetails:
    """Read a row of what a run recorded in detail; one that is not there is empty."""
    if row is None:
        return NO_DETAILS
    return RunDetails(
        episodes=tuple(map(tuple, unpacked(row.episodes) or ())),
        evaluation=tuple(map(tuple, unpacked(row.evaluation) or ())),
        checkpoints=tuple(map(tuple, unpacked(row.checkpoints) or ())),
        diagnostics=stored_diagnostics(row.diagnostics)[0],
    )


def packed(value: Any) -> bytes:
    """Return a value as compressed JSON, the same bytes for the same value."""
    return _packed(_text(value))


def unpacked(data: bytes | None) -> Any:
    """Return the value of compressed JSON, or None for no bytes; BadData if it is damaged."""
    try:
        return None if data is None else json.loads(zlib.decompress(data))
    except (zlib.error, ValueError) as error:
        raise BadData(
            f"The database holds a column that cannot be read ({error}).",
            "Ingest the run directories and bundles into a new file.",
        ) from error


def _returns(rows: Iterable[Episode | EvaluationRow]) -> list[tuple[int, int, float, str]]:
    return [(row.frame, row.length, row.value, row.end) for row in rows]


def _packed_returns(rows: Sequence[Episode | EvaluationRow]) -> bytes:
    """Return the same as `packed(_returns(rows))`, some hundred rows at a time: there are tens of thousands."""
    packer = zlib.compressobj(6)
    pieces = [packer.compress(b"[")]
    for first in range(0, len(rows), 500):
        text = _text(_returns(rows[first : first + 500]))[1:-1]
        pieces.append(packer.compress(f"{',' if first else ''}{text}".encode()))
    return b"".join((*pieces, packer.compress(b"]"), packer.flush()))


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _packed(text: str) -> bytes:
    return zlib.compress(text.encode(), 6)
