"""The database's hash in the pages: written last, so that no page is made anew for its sake."""

from __future__ import annotations

import re
from collections.abc import Sequence

STAND_IN = "zzDIGESTzzDATABS" + "whereTheHashOfTheContentStandsOnceAPageIsWritten"
"""Stands for the hash until a page is written; the first 8 and the first 16 characters stand for those of the hash."""

_PLACE = re.compile(rf"{STAND_IN[:8]}(?:{STAND_IN[8:16]}(?:{STAND_IN[16:]})?)?".encode())


def places(content: bytes) -> list[tuple[int, int]]:
    """Return where the stand-in stands in a page, and how much of it."""
    return [(match.start(), len(match.group())) for match in _PLACE.finditer(content)]


def stamped(content: bytes, found: Sequence[tuple[int, int]], mark: str) -> bytes:
    """Return a page with the first characters of a mark at these places: a hash, or the stand-in again."""
    filled = bytearray(content)
    for start, length in found:
        filled[start : start + length] = mark[:length].encode()
    return bytes(filled)
