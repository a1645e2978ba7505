"""Checks of what people say about their runs: how the text reads, not what it says."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator
from typing import Any

from leaderboard.bundles.findings import Finding, finding, shown
from leaderboard.bundles.schema import Submission
from suite.contracts import registry
from suite.contracts.registry import Kind
from suite.records.record import Attempt

_LATIN_TWINS = frozenset("АВЕЅІЈКМНОРСТУХаеорсухіјѕԁһᴏΑΒΕΖΗΙΚΜΝΟΡΤΥΧονι")  # noqa: RUF001
"""Letters of Cyrillic and Greek that look like Latin ones."""

_BLANK = frozenset(map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x180B, 0x180C, 0x180D, 0x180F, 0x2800, 0x3164)))
_BLANKS = _BLANK | frozenset(map(chr, (*range(0xFE00, 0xFE10), 0xFFA0, *range(0xE0100, 0xE01F0))))
"""Letters and marks that count as visible and show nothing: fillers, the blank of Braille, variation selectors."""

_ALIKE = str.maketrans({"0": "o", "1": "l", "i": "l", "j": "l", "5": "s", "_": "", "-": "", ".": "", " ": ""})

UNFILLED = "fill in"
"""What the template says, in small letters, where somebody has to say something."""


def check_submission(submission: Submission) -> Iterator[Finding]:
    """Yield findings about a submission's own words."""
    texts = list(_texts(submission.model_dump(mode="json"), "submission.toml"))
    if place := next((where for where, text in texts if UNFILLED in text.casefold()), None):
        yield finding("submission.unfilled", place, "it still says FILL IN")
    if found := next(((where, text) for where, text in texts if _BLANKS.intersection(text)), None):
        yield finding("text.invisible", found[0], f"{shown(found[1])} has characters that show nothing")
    names = [("title", submission.title)]
    for author in submission.authors:
        names += [("authors", author.name), ("authors", author.affiliation or "")]
    for where, text in names:
        if word := next((word for word in text.split() if _is_lookalike(word)), None):
            yield finding("text.lookalike", f"submission.toml {where}", f"{shown(word)} mixes or imitates scripts")


def check_names(used: Iterable[tuple[Kind, str]]) -> Iterator[Finding]:
    """Yield findings about components that are not here, and whose names read like those of one that is."""
    for kind, name in sorted(used):
        known = registry.registered(kind)
        if name not in known and (other := next((one for one in sorted(known) if _bare(one) == _bare(name)), None)):
            yield finding("text.lookalike", "cards", f"the {kind} {shown(name)} is called almost as {other} is")


def check_commit(submission: Submission, attempts: Iterable[Attempt], where: str) -> Iterator[Finding]:
    """Yield a finding if an attempt ran another commit than the one that the submission names."""
    named = submission.code.commit
    for attempt in attempts:
        ran = attempt.git.get("commit")
        if isinstance(ran, str) and ran and not (ran.startswith(named) or named.startswith(ran)):
            text = f"attempt {attempt.attempt} ran {shown(ran[:16])}, submission.toml names {named[:16]}"
            yield finding("provenance.commit", where, text)
            return


def _texts(value: Any, where: str) -> Iterator[tuple[str, str]]:
    """Yield every text of a document with the place where it stands."""
    if isinstance(value, str):
        yield where, value
    for key, part in value.items() if isinstance(value, dict) else ():
        yield from _texts(part, f"{where} {key}")
    for part in value if isinstance(value, list | tuple) else ():
        yield from _texts(part, where)


def _bare(name: str) -> str:
    """Return a name as it looks at a glance."""
    return name.casefold().translate(_ALIKE).replace("rn", "m").replace("vv", "w")


def _is_lookalike(word: str) -> bool:
    """Return whether a word mixes Latin with another script's letters, or is made of letters that look Latin."""
    letters = [letter for letter in word if letter.isalpha()]
    scripts = {_script(letter) for letter in letters}
    mixed = "LATIN" in scripts and len(scripts) > 1
    return mixed or (bool(letters) and "LATIN" not in scripts and all(letter in _LATIN_TWINS for letter in letters))


def _script(letter: str) -> str:
    return unicodedata.name(letter, "UNKNOWN").partition(" ")[0]
