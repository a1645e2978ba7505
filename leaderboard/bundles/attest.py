"""attest.toml beside a bundle: what maintainers saw done with it, and what they flag. Written by them alone."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import ValidationError

from leaderboard.bundles.findings import Rejected
from leaderboard.bundles.schema import Attest, Flag, field_error
from leaderboard.bundles.strict import TOML_BYTES, parse_toml
from suite.records.reading import open_regular

__all__ = ["Attest", "Flag", "read_attest"]


def read_attest(path: Path) -> Attest:
    """Read an attest.toml; Rejected (a BadData) names the field that is wrong."""
    try:
        with open_regular(path) as file:
            content = file.read(TOML_BYTES + 1)
    except OSError as error:
        raise Rejected("files.missing", path.name, f"it cannot be read: {error.strerror}") from error
    try:
        return Attest.model_validate_json(json.dumps(parse_toml(content, path.name)), strict=True)
    except ValidationError as error:
        raise field_error(error, path.name) from error
    except TypeError as error:
        raise Rejected("schema.fields", path.name, 'a date is written as text: date = "2026-01-31"') from error
