"""The bibliography: BibTeX entries of the papers that cards name, and of what every number rests on."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources

from leaderboard.board.exports import tex
from leaderboard.store.models import PUBLISHED as PUBLISHED_CURVES
from leaderboard.store.models import PUBLISHED_SCORES

FILE = "papers.bib"

ALWAYS = ("agarwal2021deep", "obandoceron2024value")
"""The definitions of the aggregates, and the protocol."""

FAMILIES = {
    "atari": ("bellemare2013arcade", "machado2018revisiting"),
    "offline": ("bellemare2013arcade", "machado2018revisiting", "agarwal2020optimistic"),
    "continuous": ("todorov2012mujoco", "towers2024gymnasium"),
    "classic": ("obandoceron2021revisiting", "towers2024gymnasium"),
    "minatar": ("obandoceron2021revisiting", "young2019minatar"),
}
"""What the tasks of a family rest on."""

PUBLISHED = {PUBLISHED_CURVES: "castro2018dopamine", PUBLISHED_SCORES: "agarwal2021deep"}
"""Where numbers that others published come from, by their kind."""

_ENTRY = re.compile(r"^@\w+\{([\w-]+),\n.*?^\}$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Paper:
    """An entry: its key, its text, and what a card may call it by (the arXiv number, the title's beginning)."""

    key: str
    text: str
    eprint: str
    title: str


@functools.cache
def papers() -> dict[str, Paper]:
    """Return every known entry by its key."""
    text = (resources.files("leaderboard") / "data" / FILE).read_text()
    found = {}
    for match in _ENTRY.finditer(text):
        entry = match.group()
        title = _field(entry, "title").replace("{", "").replace("}", "")
        found[match.group(1)] = Paper(
            match.group(1), entry, _field(entry, "eprint"), title.partition(":")[0].casefold()
        )
    return found


def cited(text: str) -> tuple[str, ...]:
    """Return the keys of the papers that a card's line names, by arXiv number or by title, in their order there."""
    lowered = text.casefold()
    places: dict[str, int] = {}
    for paper in papers().values():
        at = [lowered.find(name) for name in (paper.eprint, paper.title) if name and name in lowered]
        if at:
            places[paper.key] = min(at)
    return tuple(sorted(places, key=lambda key: (places[key], key)))


def bibtex(keys: Iterable[str], unknown: Sequence[tuple[str, str]] = ()) -> str:
    """Return entries by key, each once, sorted; and a bare note for each card (name, line) without a known paper."""
    known = papers()
    entries = [known[key].text for key in sorted(set(keys))]
    brackets = str.maketrans("{}", "()")  # BibTeX counts braces, escaped ones too
    for name, line in sorted({(name.translate(brackets), line.translate(brackets)) for name, line in unknown}):
        key = re.sub(r"[^a-z0-9]", "", name.casefold()) or "method"
        entries.append(f"@misc{{{key},\n  title = {{{tex(name)}}},\n  note = {{{tex(line)}}}\n}}")
    return "\n\n".join(entries) + "\n"


def _field(entry: str, name: str) -> str:
    match = re.search(rf"^  {name} = \{{(.*)\}},?$", entry, re.MULTILINE)
    return match.group(1) if match else ""
