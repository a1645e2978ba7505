"""A thing that a record says and that cannot be: its code, and a sentence."""

from __future__ import annotations

from typing import Any, NamedTuple

REMARKS = frozenset({"record.no_actions", "record.no_end", "cards.foreign"})
"""Codes of what only limits what can be proven: no actions, or none of the end; a component that is not here so."""


class Inconsistency(NamedTuple):
    """What does not fit. `code` is one of `suite submit check`: it never changes its meaning."""

    code: str
    message: str

    @property
    def grave(self) -> bool:
        """Whether the record cannot be a run's."""
        return self.code not in REMARKS


def brief(value: Any) -> str:
    """Return a value from a record as at most 80 characters of ASCII, in quotes if it is text."""
    text = ascii(value[:160] if isinstance(value, str) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
