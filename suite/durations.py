"""Durations in words."""

from __future__ import annotations


def duration(seconds: float) -> str:
    """Return a duration in words: `40 s`, `12 min`, `3.5 h`, `41 days`."""
    for limit, unit, size in ((90, "s", 1), (5400, "min", 60), (172_800, "h", 3600)):
        if seconds < limit:
            return f"{seconds / size:.0f} {unit}" if unit != "h" else f"{seconds / size:.1f} h"
    return f"{seconds / 86_400:.0f} days"
