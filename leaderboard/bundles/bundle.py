"""A bundle from outside, opened: everything in it is read strictly, in memory, one run at a time."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ValidationError

from leaderboard.bundles import limits
from leaderboard.bundles.archive import Archive, open_archive
from leaderboard.bundles.convert import convert_manifest, convert_submission, convert_versioned, version_of
from leaderboard.bundles.findings import Rejected
from leaderboard.bundles.runs import BundledRun, from_document
from leaderboard.bundles.schema import EnvironmentLock, Manifest, ManifestFile, Submission, field_error
from leaderboard.bundles.strict import check_text, parse_json, parse_toml
from suite.contracts.card import Card

ModelT = TypeVar("ModelT", bound=BaseModel)

REQUIRED = ("submission.toml", "manifest.json", "environment.json", "curves.parquet")


class Bundle:
    """An opened bundle: its structure holds and its hashes are checked as its files are read; its claims are not.

    `sha256` is that of the whole file, `version` the schema version that it was written with.
    """

    def __init__(self, path: Path, archive: Archive) -> None:
        self.path = path
        self.sha256 = archive.sha256
        self._archive = archive
        if missing := [name for name in REQUIRED if name not in archive.names]:
            raise Rejected("files.missing", missing[0], "every bundle has this file")
        limits.check_sizes({name: archive.size(name) for name in archive.names})
        self._values: dict[str, int] = {}
        manifest = parse_json(archive.read("manifest.json"), "manifest.json")
        self.version = version_of(manifest)
        self.manifest: Manifest = _strict(Manifest, convert_manifest(manifest, self.version), "manifest.json")
        self._files = self._listed()
        submission = convert_submission(parse_toml(self.read("submission.toml"), "submission.toml"), self.version)
        self.submission: Submission = _strict(Submission, submission, "submission.toml")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is held open: the file was read into memory."""

    @cached_property
    def environment(self) -> EnvironmentLock:
        """What the runs were run with, as environment.json says."""
        content = self._parsed("environment.json")
        check_text(content, "environment.json")
        return _strict(
            EnvironmentLock, convert_versioned(content, self.version, "environment.json"), "environment.json"
        )

    def read(self, name: str) -> bytes:
        """Return a file of the manifest; Rejected unless its hash is the one that stands there."""
        content = self._archive.read(name)
        if hashlib.sha256(content).hexdigest() != self._files[name].sha256:
            raise Rejected("files.hash", name, "its SHA-256 is not that of the manifest")
        return content

    @cached_property
    def cards(self) -> dict[tuple[str, str], Card]:
        """The components' cards, by kind and id."""
        found = {}
        for name in self._archive.names:
            if not name.startswith("cards/"):
                continue
            content = self._parsed(name)
            limits.check_card(content, name)
            check_text(content, name)
            card = _strict(Card, content, name)
            kind = name.removeprefix("cards/").partition("-")[0]
            if name != f"cards/{kind}-{card.id}.json":
                raise Rejected("cards.missing", name, "it holds the card of another component")
            found[kind, card.id] = card
        return found

    @property
    def run_names(self) -> tuple[str, ...]:
        """The names of the run documents, sorted."""
        return tuple(name for name in self._archive.names if name.startswith("runs/"))

    def runs(self) -> Iterator[BundledRun]:
        """Yield the runs in the order of their names, each read when it is asked for; Rejected names the bad one."""
        for name in self.run_names:
            yield self.run(name)

    def run(self, name: str) -> BundledRun:
        """Return one run by the name of its document."""
        content = convert_versioned(self._parsed(name), self.version, name)
        return from_document(content, name)

    def _parsed(self, name: str) -> Any:
        """Return a JSON document; limits.Exceeded if all of them together, this one included, hold too much."""
        content = self.read(name)
        self._values[name] = content.count(b",")
        limits.check_values(self._values.values())
        return parse_json(content, name)

    def _listed(self) -> dict[str, ManifestFile]:
        listed = {file.path: file for file in self.manifest.files}
        held = set(self._archive.names) - {"manifest.json"}
        if len(listed) != len(self.manifest.files):
            raise Rejected("files.extra", "manifest.json", "it lists a file twice")
        if absent := sorted(listed.keys() - held):
            raise Rejected("files.missing", absent[0], "the manifest lists it")
        if extra := sorted(held - listed.keys()):
            raise Rejected("files.extra", extra[0], "the manifest does not list it")
        for name, file in listed.items():
            if self._archive.size(name) != file.size:
                raise Rejected("files.hash", name, "its size is not that of the manifest")
        return listed


def open_bundle(path: Path) -> Bundle:
    """Open a bundle; Rejected (a BadData, with its `finding`) names what is wrong with its structure."""
    return Bundle(path, open_archive(path))


def _strict(model: type[ModelT], content: Any, where: str) -> ModelT:
    try:
        return model.model_validate_json(json.dumps(content), strict=True)
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        if isinstance(error, ValidationError):
            raise field_error(error, where) from error
        raise Rejected("schema.fields", where, "it holds what JSON does not: a date, or something too deep") from error
