"""JSON and TOML from outside, read strictly: bounded before they are parsed, and nothing in them ambiguous.

Rejected are other encodings than UTF-8, byte-order marks, deep or many values, duplicate keys, NaN, infinities and
numbers that become one, long digits, and text with characters that cannot be seen. -0.0 is read as 0.0.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import tomllib
import unicodedata
from typing import Any

from leaderboard.bundles.findings import Rejected, shown

DEPTH = 12
CONTAINERS = 10_000
VALUES = 620_000
QUOTES = 2 * VALUES + 100_000
DIGITS = 40
TOML_BYTES, TOML_LINES, TOML_LINE = 65_536, 2_000, 4_000
TEXT_CHARACTERS = 4_000
ODD_CHARACTERS = 65_536

_STRING = re.compile(rb'"(?:[^"\\]|\\.?)*+(?:"|\Z)', re.DOTALL)  # one without end takes all: no second attempt
_BRACKET = re.compile(rb"[\[\]{}]")


def parse_json(content: bytes, where: str) -> Any:
    """Return a JSON document; Rejected names `where` and what is wrong."""
    text = _utf8(content, where)
    _check_extent(content, where)

    def number(digits: str, kind: type[int] | type[float]) -> int | float:
        if len(digits) > DIGITS:
            raise Rejected("json.number", where, f"a number has {len(digits)} characters")
        value = kind(digits)
        if not math.isfinite(value):
            raise Rejected("json.number", where, f"{shown(digits)} is not finite")
        return value + 0  # -0.0 becomes 0.0

    def unheard_of(name: str) -> Any:
        raise Rejected("json.number", where, f"{name} is no number of JSON")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            raise Rejected("json.duplicate", where, "an object has a key twice")
        return found

    try:
        value = json.loads(
            text,
            parse_int=lambda digits: number(digits, int),
            parse_float=lambda digits: number(digits, float),
            parse_constant=unheard_of,
            object_pairs_hook=unique,
        )
    except (ValueError, RecursionError) as error:
        raise Rejected("json.syntax", where, f"it is no JSON: {error}") from error
    if b"\\" in content or not content.isascii() or b"\x7f" in content:
        check_text(value, where, len(content))
    return value


def parse_toml(content: bytes, where: str) -> dict[str, Any]:
    """Return a TOML document; Rejected names `where` and what is wrong."""
    text = _utf8(content, where)
    lines = text.split("\n")
    if len(content) > TOML_BYTES or len(lines) > TOML_LINES or max(map(len, lines)) > TOML_LINE:
        raise Rejected("toml.syntax", where, f"it has more than {TOML_BYTES:,} bytes, or lines too many or too long")
    try:
        found = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise Rejected("toml.syntax", where, f"it is no TOML: {error}") from error
    check_text(found, where, TEXT_CHARACTERS)
    return found


def check_text(value: Any, where: str, limit: int = TEXT_CHARACTERS) -> None:
    """Raise Rejected unless all text in a JSON value is of visible characters, composed, and at most `limit` of them.

    Also of depth and of numbers; no recursion, so that depth does no harm. Line breaks are allowed in no text. Texts
    that are not plain ASCII take long to be looked at: they have at most ODD_CHARACTERS together.
    """
    left: list[tuple[Any, int]] = [([value], 0)]
    odd = 0
    while left:
        part, depth = left.pop()
        if depth > DEPTH:
            raise Rejected("json.depth", where, f"values are nested deeper than {DEPTH}")
        for item in itertools.chain(part, part.values()) if isinstance(part, dict) else part:
            if isinstance(item, dict | list):
                left.append((item, depth + 1))
            elif isinstance(item, str):
                odd += 0 if item.isascii() else len(item)
                if odd > ODD_CHARACTERS:
                    raise Rejected("text.characters", where, f"its texts have more than {ODD_CHARACTERS:,} characters")
                _check_string(item, where, limit)
            elif isinstance(item, float) and not math.isfinite(item):
                raise Rejected("json.number", where, f"{item} is not finite")


def _check_string(text: str, where: str, limit: int) -> None:
    if len(text) > limit:
        raise Rejected("text.characters", where, f"a text has {len(text):,} characters, more than {limit:,}")
    if text.isascii() and text.isprintable():
        return
    hidden = (letter for letter in text if letter != " " and unicodedata.category(letter) in ("Co", "Cf", "Zs"))
    if not text.isprintable() or any(hidden):
        raise Rejected("text.characters", where, f"{shown(text)} has characters that cannot be seen")
    if _stacked(text) or not unicodedata.is_normalized("NFC", text):  # the second takes long for stacks of marks
        raise Rejected("text.characters", where, f"{shown(text)} has decomposed or stacked characters")


def _stacked(text: str) -> bool:
    """Return whether three marks follow one another, which no language needs and which overflows a page's lines."""
    marks = "".join("m" if unicodedata.combining(letter) else " " for letter in text)
    return "mmm" in marks


def _utf8(content: bytes, where: str) -> str:
    if content.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        raise Rejected("text.encoding", where, "it begins with a byte-order mark")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Rejected("text.encoding", where, f"it is no UTF-8: {error.reason} at byte {error.start}") from error


def _check_extent(content: bytes, where: str) -> None:
    """Bound what parsing can cost, before it: containers, values and depth."""
    brackets = content.count(b"[") + content.count(b"{")
    if brackets > CONTAINERS or content.count(b",") > VALUES or content.count(b'"') > QUOTES:
        text = f"it has more than {CONTAINERS:,} brackets, {VALUES:,} commas or {QUOTES:,} quotes"
        raise Rejected("json.size", where, text)
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", content)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    if deepest > DEPTH:
        raise Rejected("json.depth", where, f"values are nested {deepest} deep, deeper than {DEPTH}")
