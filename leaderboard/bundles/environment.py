"""environment.json: what runs were run with, gathered from the provenance of every attempt."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from typing import Any

from leaderboard.bundles.schema import VERSION
from suite.records.record import Attempt


def lock(attempts: Iterable[Attempt]) -> dict[str, Any]:
    """Return the content of environment.json: each environment once, with the number of attempts that had it."""
    counts: Counter[str] = Counter()
    for attempt in attempts:
        content = attempt.model_dump(mode="json", include={"suite_version", "packages", "environment"})
        content["fingerprint"] = attempt.environment_fingerprint
        counts[json.dumps(content, sort_keys=True)] += 1
    environments = [json.loads(text) | {"attempts": count} for text, count in sorted(counts.items())]
    return {"schema_version": VERSION, "environments": environments}
