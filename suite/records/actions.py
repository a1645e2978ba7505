"""The actions of an episode as a log holds them: bytes, deflated, in base64."""

from __future__ import annotations

import base64
import zlib

from suite.errors import BadData

LONGEST = 2**31
"""An episode of so many agent steps is none."""


def pack(actions: bytes) -> str:
    """Return actions, as bytes, deflated (zlib), in base64."""
    return base64.b64encode(zlib.compress(actions, 9)).decode("ascii")


def unpack(text: str, length: int, name: str, width: int = 1) -> bytes:
    """Return packed actions of `width` bytes; BadData, which names the episode, unless they are `length` in number."""
    if not 0 <= length < LONGEST:  # what is unpacked is bounded by it
        raise BadData(f"No episode has {length} agent steps, as {name} is said to.", "Run it again.")
    try:
        decoder = zlib.decompressobj()
        actions = decoder.decompress(base64.b64decode(text, validate=True), length * width + 1)
    except (ValueError, zlib.error) as error:
        raise BadData(f"The actions of {name} cannot be read: {error}.", "Run it again.") from error
    if len(actions) != length * width or not decoder.eof:
        raise BadData(f"Other than {length} actions of {name} are logged.", "Run it again.")
    return actions
