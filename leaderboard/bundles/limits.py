"""Limits of what a bundle may hold: far above what an honest one does, they bound what its check and its pages cost.

What goes beyond one is answered by that one finding, and nothing of the bundle is stored.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from leaderboard.bundles.findings import Rejected

CARDS, CARD_BYTES = 32, 32_768
TABLE_BYTES = 2**20
"""Of manifest.json and of environment.json."""

SEEDS = 100
"""Of one game under one configuration."""

VALUES_IN_ALL = 8_000_000
"""Numbers and texts of all JSON documents together, counted by their commas."""

ATTEMPTS, ATTEMPT_BYTES = 500, 16_384
LAST_ATTEMPT = 10_000
"""The highest number of an attempt; those between may be missing."""

CELL_BYTES, STATUS_BYTES = 16_384, 131_072
SETTINGS, DEPARTURES = 64, 100
PACKAGES, OPTIONS, SENTENCES = 200, 100, 50
FINDINGS = 10_000
QUESTIONS = 300
"""Configurations that depart from the published settings, each with one of its games: what is asked of `reach`."""


PARTS = ("cell", "provenance", "status")
"""What of a run document lists things by name."""


class Exceeded(Rejected):
    """A bundle that goes beyond a limit: nothing else is said of it."""

    def __init__(self, where: str, what: str, found: int, allowed: int) -> None:
        super().__init__("limits.exceeded", where, f"{found:,} {what}; {allowed:,} are allowed")


def check_sizes(sizes: Mapping[str, int]) -> None:
    """Raise Exceeded if a bundle of files of these names and sizes, in bytes, has too many or too large ones."""
    cards = [name for name in sizes if name.startswith("cards/")]
    _most("cards", "cards", len(cards), CARDS)
    for name in (*cards, "manifest.json", "environment.json"):
        _most(name, "bytes", sizes.get(name, 0), CARD_BYTES if name in cards else TABLE_BYTES)
    seeds = Counter(name.rpartition("-")[0] for name in sizes if name.startswith("runs/"))
    for name, count in seeds.items():
        _most(name, "seeds", count, SEEDS)


def check_values(counts: Iterable[int]) -> None:
    """Raise Exceeded if documents of so many values each are too much to be read."""
    _most("bundle", "values in all documents", sum(counts), VALUES_IN_ALL)


def check_findings(count: int) -> None:
    """Raise Exceeded if a check has found more than anybody reads."""
    _most("bundle", "findings", count, FINDINGS)


def check_questions(count: int) -> None:
    """Raise Exceeded if more is to be worked out of settings that depart than a check has time for."""
    _most("bundle", "games of configurations that depart", count, QUESTIONS)


def check_environments(size: int) -> None:
    """Raise Exceeded if the environments of all attempts, of `size` bytes, do not fit into environment.json."""
    _most("environment.json", "bytes", size, TABLE_BYTES)


def check_card(content: Any, where: str) -> None:
    """Raise Exceeded if a parsed card lists too much; whether it is one is for its schema to say."""
    _most(where, "settings", _length(content, "settings"), SETTINGS)


def check_run(content: Mapping[str, Any], where: str) -> None:
    """Raise Exceeded if `cell`, `provenance` or `status` of a parsed run document list too much."""
    for what, found, allowed in _of_run(content):
        _most(where, what, found, allowed)


def _of_run(content: Mapping[str, Any]) -> Iterator[tuple[str, int, int]]:
    """Yield what there is so much of, how much, and how much may be."""
    cell, provenance, status = content.get("cell"), content.get("provenance"), content.get("status")
    yield "departures", _length(cell, "departures"), DEPARTURES
    spec = cell.get("spec") if isinstance(cell, dict) else None
    parts = [spec.get("agent"), spec.get("network"), *_list(spec, "methods")] if isinstance(spec, dict) else []
    for part in parts[:100]:
        yield "settings of a component", _length(part, "settings"), SETTINGS
    yield "bytes of its cell", _bytes(cell), CELL_BYTES
    yield "closed attempts", _length(status, "closed"), ATTEMPTS
    yield "bytes of its status", _bytes(status), STATUS_BYTES
    attempts = _list(provenance, "attempts")
    yield "attempts", len(attempts), ATTEMPTS
    for one in attempts:
        yield "packages", _length(one, "packages"), PACKAGES
        for name in ("environment", "execution", "hardware", "git"):
            yield f"entries of {name}", _length(one, name), OPTIONS
        yield "sentences on what is not reached", _length(one, "unreached"), SENTENCES
        yield "bytes of an attempt", _bytes(one), ATTEMPT_BYTES


def _list(holder: Any, name: str) -> list[Any]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return list(found) if isinstance(found, list | tuple) else []


def _length(holder: Any, name: str) -> int:
    found = holder.get(name) if isinstance(holder, dict) else None
    return len(found) if isinstance(found, dict | list | tuple) else 0


def _bytes(value: Any) -> int:
    return len(json.dumps(value, separators=(",", ":")))


def _most(where: str, what: str, found: int, allowed: int) -> None:
    if found > allowed:
        raise Exceeded(where, what, found, allowed)
