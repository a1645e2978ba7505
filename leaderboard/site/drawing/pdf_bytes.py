"""Pictures as PDF: vectors and text with its one font inside, the same bytes for the same picture."""

from __future__ import annotations

import re

_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa0-\u017f\u2010-\u2026\u2190-\u2193\u2212\u2264\u2265]")
"""What the one font of a PDF may lack; a second font would come in no fixed order."""
_FONT_TAG = re.compile(rb"/[A-Z]{6}\+")
_RESOURCE = re.compile(rb"\s+/\w+ \d+ 0 R")


def from_svg(drawn: str) -> bytes:
    """Return an SVG picture as a PDF, one unit of the picture to a point; its text must be `printable`."""
    import vl_convert

    return _canonical(vl_convert.svg_to_pdf(drawn))


def printable(text: str) -> str:
    """Return text for a PDF: what its one font may lack, control characters too, becomes a question mark."""
    return _UNPRINTABLE.sub("?", text)


def _canonical(content: bytes) -> bytes:
    """Return a PDF without what changes from one writing to the next: random font tags, and the order of resources.

    Both keep their lengths, so that the file's table of offsets stays right.
    """
    lines = _FONT_TAG.sub(b"/AAAAAA+", content).split(b"\n")
    start = 0
    for end in range(len(lines) + 1):
        if end == len(lines) or not _RESOURCE.fullmatch(lines[end]):
            lines[start:end] = sorted(lines[start:end])
            start = end + 1
    return b"\n".join(lines)
