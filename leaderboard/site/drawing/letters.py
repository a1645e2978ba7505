"""How wide words are in the font of the figures, and where their lines end: what is measured here is never cut."""

from __future__ import annotations

_WIDTHS = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
)
"""Thousandths of the size from the blank to the tilde: Helvetica's metrics, which Arial and Liberation Sans share."""

_OTHERS = {"\N{MIDDLE DOT}": 333, "\N{HORIZONTAL ELLIPSIS}": 1000, "\N{NO-BREAK SPACE}": 278}
_USUAL = 600
"""Of letters that are not known: no less than most have."""


def width(words: str, size: float) -> float:
    """Return how wide a line of words is, in the unit of the letters' size."""
    return sum(_letter(letter) for letter in words) * size / 1000


def wrapped(words: str, room: float, size: float) -> list[str]:
    """Return words in lines no wider than `room`; a word that alone is wider is broken."""
    lines, line = [], ""
    for word in words.split():
        for piece in _pieces(word, room, size):
            longer = f"{line} {piece}" if line else piece
            if line and width(longer, size) > room:
                lines.append(line)
                longer = piece
            line = longer
    return [*lines, line]


def _pieces(word: str, room: float, size: float) -> list[str]:
    pieces = [""]
    for letter in word:
        if pieces[-1] and width(pieces[-1] + letter, size) > room:
            pieces.append("")
        pieces[-1] += letter
    return pieces


def _letter(letter: str) -> int:
    place = ord(letter) - ord(" ")
    return _WIDTHS[place] if 0 <= place < len(_WIDTHS) else _OTHERS.get(letter, _USUAL)
