"""Checks of what people say about their runs: how the text reads, not what it says."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

from leaderboard.bundles.findings import Finding, finding, shown
from leaderboard.bundles.schema import Submission

_LATIN_TWINS = frozenset("АВЕЅІЈКМНОРСТУХаеорсухіјѕԁһᴏΑΒΕΖΗΙΚΜΝΟΡΤΥΧονι")  # noqa: RUF001
"""Letters of Cyrillic and Greek that look like Latin ones."""


def check_submission(submission: Submission) -> Iterator[Finding]:
    """Yield findings about a submission's own words."""
    names = [("title", submission.title)]
    for author in submission.authors:
        names += [("authors", author.name), ("authors", author.affiliation or "")]
    for where, text in names:
        if word := next((word for word in text.split() if _is_lookalike(word)), None):
            yield finding("text.lookalike", f"submission.toml {where}", f"{shown(word)} mixes or imitates scripts")


def _is_lookalike(word: str) -> bool:
    """Return whether a word mixes Latin with another script's letters, or is made of letters that look Latin."""
    letters = [letter for letter in word if letter.isalpha()]
    scripts = {_script(letter) for letter in letters}
    mixed = "LATIN" in scripts and len(scripts) > 1
    return mixed or (bool(letters) and "LATIN" not in scripts and all(letter in _LATIN_TWINS for letter in letters))


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
