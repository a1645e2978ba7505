"""environment.json: what runs were run with, gathered from the provenance of every attempt."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from leaderboard.bundles.limits import check_environments
from leaderboard.bundles.schema import VERSION
from suite.records.record import Attempt


class Environments:
    """The environments of attempts, gathered one run after another."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()
        self._size = 0

    def add(self, attempts: Iterable[Attempt]) -> None:
        """Count the environments of a run's attempts; limits.Exceeded if all are more than environment.json holds."""
        for attempt in attempts:
            content = attempt.model_dump(mode="json", include={"suite_version", "packages", "environment"})
            content["fingerprint"] = attempt.environment_fingerprint
            text = json.dumps(content, sort_keys=True)
            self._size += 0 if text in self._counts else len(text)
            self._counts[text] += 1
            check_environments(self._size)

    def document(self) -> dict[str, Any]:
        """Return the content of environment.json: each environment once, with the number of attempts that had it."""
        environments = [json.loads(text) | {"attempts": count} for text, count in sorted(self._counts.items())]
        return {"schema_version": VERSION, "environments": environments}


def lock(attempts: Iterable[Attempt]) -> dict[str, Any]:
    """Return the content of environment.json for these attempts."""
    found = Environments()
    found.add(attempts)
    return found.document()
