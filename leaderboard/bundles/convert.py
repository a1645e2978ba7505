"""Bundles of the schema version before this one, made into this one."""

from __future__ import annotations

from typing import Any

from leaderboard.bundles.findings import Rejected, shown
from leaderboard.bundles.schema import VERSION


def version_of(manifest: Any) -> int:
    """Return the schema version of a parsed manifest.json; Rejected unless it is this one or the one before."""
    version = manifest.get("schema_version") if isinstance(manifest, dict) else None
    if type(version) is not int or version < 0:
        raise Rejected("schema.fields", "manifest.json", f"schema_version is {shown(version)}")
    if version > VERSION:
        raise Rejected("schema.future", "manifest.json", f"it has schema {version}; this suite reads up to {VERSION}")
    if version < VERSION - 1:
        raise Rejected("schema.old", "manifest.json", f"it has schema {version}; this suite reads {VERSION - 1} and up")
    return version


def convert_manifest(content: dict[str, Any], version: int) -> dict[str, Any]:
    """Return a manifest of `version` as one of this version. Version 1 did not say which Parquet writer was used."""
    return content if version == VERSION else {"parquet_version": "unknown", **content, "schema_version": VERSION}


def convert_submission(content: dict[str, Any], version: int) -> dict[str, Any]:
    """Return a submission of `version` as one of this version. Version 1 knew no relationship and no known issues."""
    if version == VERSION:
        if content.get("relationship") is None:
            raise Rejected("schema.fields", "submission.toml", "relationship: Field required")
        return content
    _same(content, "schema", "submission.toml")
    if new := {"relationship", "known_issues", "partial"} & content.keys():
        raise Rejected("schema.fields", "submission.toml", f"{min(new)} came with schema {VERSION}")
    return content | {"schema": VERSION, "relationship": None, "known_issues": []}


def convert_versioned(content: Any, version: int, where: str) -> Any:
    """Return a run document or environment.json of `version` as one of this version: only the number changed."""
    if version == VERSION or not isinstance(content, dict):
        return content
    _same(content, "schema_version", where)
    return content | {"schema_version": VERSION}


def _same(content: dict[str, Any], key: str, where: str) -> None:
    if content.get(key) != VERSION - 1:
        raise Rejected("schema.fields", where, f"{key} is not that of manifest.json")
