"""What was computed for a site is kept beside it for the next build: estimates and comparisons.

The keys are hashes of the scores, the question and the statistics policy; `code` stands for how answers are computed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from leaderboard.board import duels, estimates
from leaderboard.board.duels import Duel
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.pairs import Comparison

SCHEMA = "leaderboard.answers/1"

_ESTIMATES = TypeAdapter(dict[str, tuple[Estimate, ...]])
_COMPARISONS = TypeAdapter(dict[str, Comparison])


def recall(file: Path, code: str) -> None:
    """Begin anew to note what is asked, and remember what a file holds if it is of this code and can be read."""
    estimates.begin()
    duels.asked.clear()
    try:
        held = json.loads(file.read_text(encoding="utf-8"))
        if (held["schema"], held["code"]) != (SCHEMA, code):
            return
        found = _ESTIMATES.validate_python(held["estimates"])
        pairs = _COMPARISONS.validate_python(held["pairs"])
    except (OSError, ValueError, KeyError, TypeError, ValidationError):
        return
    for key, answer in found.items():
        estimates.recall(bytes.fromhex(key), answer)
    duels.compared.update({bytes.fromhex(key): one for key, one in pairs.items()})


def content(code: str, pairs: Mapping[str, Sequence[Duel]]) -> bytes:
    """Return what was asked for since `recall` as a file, one answer in a line.

    `pairs` are those of the site: they are compared before anything is made, so that every build asks for the same.
    """
    answers = _ESTIMATES.dump_python({key.hex(): found for key, found in estimates.used().items()}, mode="json")
    asked = {key.hex(): duels.compared[key] for key in sorted(duels.asked)} if pairs else {}
    parts = [
        f'"schema": {json.dumps(SCHEMA)}, "code": {json.dumps(code)}',
        f'"estimates": {_lined(answers)}',
        f'"pairs": {_lined(_COMPARISONS.dump_python(asked, mode="json"))}',
    ]
    return ("{" + ",\n".join(parts) + "}\n").encode()


def _lined(answers: Mapping[str, Any]) -> str:
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in answers.items()) + "}"
