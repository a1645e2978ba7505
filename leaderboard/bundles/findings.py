"""Findings of a check: every code with its severity, its meaning and what to do; `docs/submitting.md` lists them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from suite.errors import BadData

Severity = Literal["error", "review", "note"]

SEVERITIES: tuple[Severity, ...] = ("error", "review", "note")
"""The gravest first."""

SHOWN_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a check found. All five are printable ASCII, whatever the bundle holds."""

    code: str
    severity: Severity
    where: str
    message: str
    remedy: str


_PACK = "Make the bundle with `suite submit pack`, and leave it as it is."
_RUNS = "Pack the run directories as the suite wrote them."
_TOML = "Mend submission.toml and pack again."
_ASK = "A maintainer looks at it; say in known_issues why it is so."

CODES: dict[str, tuple[Severity, str, str]] = {
    # The file itself.
    "archive.size": ("error", "The file is larger than 20 MB.", "Pack fewer runs, or without actions."),
    "archive.format": ("error", "No plain zip file from its first byte to its last.", _PACK),
    "archive.features": ("error", "Zip64, encryption, several disks, comments, extra fields or odd methods.", _PACK),
    "archive.count": ("error", "More than 1,024 entries, or a count that is not true.", _PACK),
    "archive.name": ("error", "An entry whose name no bundle has, or two of one name.", _PACK),
    "archive.type": ("error", "An entry that is no regular file.", _PACK),
    "archive.overlap": ("error", "Entries that overlap, or with something between them.", _PACK),
    "archive.bomb": ("error", "An entry, or all of them, unpack to more than is allowed.", _PACK),
    "archive.damaged": ("error", "An entry that does not unpack to what its header says.", "Copy the file again."),
    "limits.exceeded": (
        "error",
        "More cards, seeds, settings, departures, packages, attempts, values or findings than are allowed.",
        "Pack fewer runs, or only what the suite wrote.",
    ),
    "files.missing": ("error", "A file of the manifest, or one that every bundle has, is missing.", _PACK),
    "files.extra": ("error", "A file that the manifest does not list.", _PACK),
    "files.hash": ("error", "A file whose size or SHA-256 is not that of the manifest.", _PACK),
    # Text, JSON, TOML.
    "text.encoding": ("error", "No plain UTF-8.", "Save submission.toml as UTF-8 without a byte-order mark."),
    "text.characters": ("error", "Control, formatting, private or decomposed characters, or text too long.", _TOML),
    "text.lookalike": ("review", "Letters or names that look like others.", _ASK),
    "text.invisible": ("review", "Letters that show nothing: fillers, blanks, variation selectors.", _ASK),
    "json.syntax": ("error", "No JSON document.", _PACK),
    "json.size": ("error", "A JSON document with too many values.", _PACK),
    "json.depth": ("error", "Values nested deeper than 12.", _PACK),
    "json.duplicate": ("error", "A key twice in one object.", _PACK),
    "json.number": ("error", "A number that is not finite, or has too many digits.", _PACK),
    "submission.unfilled": ("error", "A field of the template that was not filled in.", _TOML),
    "toml.syntax": ("error", "No TOML document, or a too large or deep one.", _TOML),
    "schema.fields": ("error", "A field that is missing, unknown, of the wrong type or out of range.", _TOML),
    "schema.old": ("error", "A bundle of a schema that is no longer read.", "Pack the runs again."),
    "schema.future": ("error", "A bundle of a newer schema.", "Upgrade the suite."),
    "schema.converted": ("note", "A bundle of the schema before this one, converted.", "Nothing to do."),
    # Which runs there are.
    "task.unknown": ("error", "A task that this suite does not know.", "Check it with a suite that has the task."),
    "task.version": ("error", "Runs of another version of the task.", "Check it with the suite that ran them."),
    "runs.none": ("error", "A bundle without a run.", _RUNS),
    "runs.mixed": ("error", "Runs of several tasks.", "Pack one bundle for each task."),
    "runs.identity": ("error", "A run whose name, cell and configuration do not belong together.", _RUNS),
    "runs.unfinished": ("error", "A run that has not finished.", "Let it finish, then pack again."),
    "runs.claims": ("error", "A score or progress that does not follow from the episodes.", _RUNS),
    "runs.summary": ("error", "Parameters, sparsity or updates that cannot be.", _RUNS),
    "runs.diverged": ("note", "A run that diverged; it counts as a result.", "Nothing to do."),
    "manifest.claims": ("error", "The manifest's table is not what the runs say.", _PACK),
    "games.missing": ("error", "Games of the task that have no run.", "Run them, or set partial = true."),
    "seeds.chosen": ("error", "Seeds left out below ones that are there.", "Submit every seed that was run."),
    "seeds.missing": ("error", "Default seeds of the task that are missing.", "Run them, or set partial = true."),
    "partial": ("review", "Games or seeds are missing, as the submission says.", "It ranks once they are there."),
    # The record of a run.
    "record.steps": ("error", "Episodes that go beyond the budget, or end long before it.", _RUNS),
    "record.length": ("error", "An episode longer than the task allows.", _RUNS),
    "record.seeds": ("error", "An emulator seed that is not the one that the cell assigns.", _RUNS),
    "record.evaluation": ("error", "An evaluation that is not whole, or was not due.", _RUNS),
    "record.checkpoints": ("error", "Hashes at checkpoints that are missing, out of order or of no training.", _RUNS),
    "record.actions": ("error", "Actions of a scored episode that are missing, unreadable or too many.", _RUNS),
    "record.no_actions": ("note", "No actions were submitted, so nothing can be replayed.", "Pack with them."),
    "record.no_end": (
        "note",
        "No actions of the episode that was cut off at the end, as in records of earlier versions: no whole replay.",
        "Run it again with this version to be ranked.",
    ),
    # Protocol and components.
    "protocol.specification": ("error", "A specification that `suite run` does not make.", _RUNS),
    "protocol.settings": ("error", "Settings that are not those of the component's card.", _RUNS),
    "protocol.departures": ("error", "The listed departures are not the settings that differ.", _RUNS),
    "protocol.departure": ("note", "A setting that departs from the published one.", "Nothing to do; it is shown."),
    "protocol.shortened": ("note", "A shortened budget: it ranks nowhere.", "Run the whole budget to be ranked."),
    "cards.missing": ("error", "A component whose card is not there, or a card of no component.", _PACK),
    "cards.digest": ("error", "A card that is not the one that the runs used.", _PACK),
    "cards.foreign": ("review", "A component that this suite does not have, or has otherwise.", _ASK),
    # Where it was run.
    "environment.lock": ("error", "environment.json is not what the runs recorded.", _PACK),
    "environment.denied": ("error", "A version that is known to give wrong scores.", "Upgrade it and run again."),
    "environment.options": ("error", "Options of the environment that are not the task's.", _RUNS),
    "environment.several": ("note", "Runs of several environments, which the board keeps apart.", "Nothing to do."),
    "provenance.unreached": ("error", "What a run does not reach is not what it says of that.", _RUNS),
    "provenance.unasked": ("review", "What a run does not reach could not be worked out here.", _ASK),
    "provenance.modified": ("review", "Run from a modified or unknown checkout.", _ASK),
    "provenance.commit": ("review", "Runs of another commit than the one that the submission names.", _ASK),
    "provenance.dates": (
        "review",
        "A date that cannot be: an end before its start, before 2024, or in the future.",
        _ASK,
    ),
    # Plausibility.
    "score.impossible": ("error", "A return that the game cannot give.", _RUNS),
    "score.fraction": ("error", "A return of an Atari game that is no whole number.", _RUNS),
    "curves.identical": ("error", "The same curve under two seeds or games.", _RUNS),
    "curves.similar": ("review", "Two curves that are nearly the same.", _ASK),
    "runs.copied": (
        "review",
        "Every episode is that of another holder's run of another configuration, game or seed.",
        _ASK,
    ),
    "runs.repeated": (
        "note",
        "Every episode is that of another holder's run of the same cell: trained again, submitted twice, or copied.",
        "Nothing to do.",
    ),
    "curves.differ": ("error", "curves.parquet is not what the episodes give.", _PACK),
    "rate.impossible": ("error", "More frames, or steps, a second than any machine can.", _RUNS),
    "rate.unusual": ("review", "More frames, or steps, a second than is usual.", _ASK),
    # Replay.
    "replay.mismatch": ("error", "A scored episode that the emulator does not give again.", "Run it again."),
    "replay.sampled": (
        "note",
        "Only some of the runs were replayed: a sample, which ranks nowhere.",
        "Give it more time.",
    ),
    "replay.unavailable": (
        "note",
        "The replay could not be done here.",
        "Replay it where the environment is the same.",
    ),
    "checker.defect": ("error", "The checker failed; a defect of the suite.", "Report it with the bundle."),
}
"""Code -> severity, meaning, remedy. A code never changes its meaning; new ones are added."""


def finding(code: str, where: str, message: str) -> Finding:
    """Return a finding of this code; `where` is a file or a cell, `message` one sentence."""
    severity, _, remedy = CODES[code]
    return Finding(code, severity, plain(where), plain(message, 400), remedy)


class Rejected(BadData):
    """A bundle that cannot be read further."""

    def __init__(self, code: str, where: str, message: str) -> None:
        self.finding = finding(code, where, message)
        super().__init__(f"{self.finding.where}: {self.finding.message} [{code}]", self.finding.remedy)


def shown(value: Any) -> str:
    """Return something from outside as printable ASCII of at most 80 characters, in quotes if it is text."""
    return plain(ascii(value[: 2 * SHOWN_CHARACTERS] if isinstance(value, str) else value))


def plain(text: str, limit: int = SHOWN_CHARACTERS) -> str:
    """Return text as printable ASCII, cut to `limit` characters."""
    safe = "".join(letter if " " <= letter <= "~" else "?" for letter in text[: limit + 1])
    return safe if len(safe) <= limit else safe[: limit - 3] + "..."
