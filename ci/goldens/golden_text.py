"""Short names for content, and readable differences between two records."""

import difflib
import hashlib
import json
from collections.abc import Iterator
from typing import Any

SHOWN = 40
"""Differences shown of one section; the rest is counted."""
ABSENT = object()


def canonical(content: Any) -> str:
    """Return JSON with sorted keys and no white space: the same text for the same content."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def short(content: Any) -> str:
    """Return 12 hexadecimal digits of the SHA-256 of bytes, text, or the canonical JSON of anything else."""
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else canonical(content)).encode()
    return hashlib.sha256(content).hexdigest()[:12]


def document(content: Any) -> str:
    """Return a record as its file has it."""
    return json.dumps(content, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def differences(old: Any, new: Any) -> list[str]:
    """Return a line for everything that moved between two records, or several where it is text; cut to `SHOWN`."""
    found = list(_moved("", old, new))
    more = [f"... and {len(found) - SHOWN} more lines"] if len(found) > SHOWN else []
    return found[:SHOWN] + more


def _moved(path: str, old: Any, new: Any) -> Iterator[str]:
    if type(old) is type(new) and old == new:
        return
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _moved(f"{path} > {key}" if path else key, old.get(key, ABSENT), new.get(key, ABSENT))
    elif _lines(old) and _lines(new):
        yield f"{path}:"
        yield from (f"  {line}" for line in list(difflib.unified_diff(old, new, lineterm="", n=0))[2:])
    else:
        yield f"{path}: {_shown(old)} -> {_shown(new)}"


def _lines(content: Any) -> bool:
    return isinstance(content, list) and all(isinstance(line, str) for line in content)


def _shown(content: Any) -> str:
    if content is ABSENT:
        return "absent"
    text = canonical(content)
    return text if len(text) <= 80 else f"{text[:60]}... ({len(text)} characters)"
