"""How to cite a board or an entry: BibTeX with the version, the date of the newest result, and the database's hash."""

from __future__ import annotations

import re
from collections.abc import Sequence

from leaderboard.board.exports import tex
from leaderboard.board.views import Site

AUTHORS = "{The pruned-rl-suite authors}"

_ARXIV = re.compile(r"(arXiv:? ?)(\d{4}\.\d{4,5})")


def bibtex(site: Site, name: str, title: str, date: str, authors: Sequence[str] = ()) -> str:
    """Return the entry of a board or an entry; `authors` are those who submitted it, `date` is 2026-02-01 or ""."""
    key = re.sub(r"[^A-Za-z0-9]+", "-", f"pruned-rl-suite-{name}-{site.database[:8]}").strip("-")
    brackets = str.maketrans("{}", "()")  # BibTeX counts braces, escaped ones too
    who = " and ".join(f"{{{tex(author.translate(brackets))}}}" for author in authors) or AUTHORS
    when = f", results until {date}" if date else ""
    fields = [
        ("author", f'"{who}"'),
        ("title", f"{{{tex(title.translate(brackets))}}}"),
        *([("year", f"{{{date[:4]}}}")] if date else []),
        ("version", f"{{{site.suite_version}}}"),
        ("note", f"{{pruned-rl-suite {site.suite_version}{when}; results database SHA-256 {site.database}}}"),
    ]
    lines = ",\n".join(f"  {field} = {value}" for field, value in fields)
    return f"@misc{{{key},\n{lines}\n}}"


def papers(text: str) -> list[tuple[str, str]]:
    """Return a line in pieces, each with where it leads: numbers of arXiv to their papers, the rest nowhere."""
    found, last = [], 0
    for match in _ARXIV.finditer(text):
        found += [(text[last : match.start()], ""), (match.group(), f"https://arxiv.org/abs/{match.group(2)}")]
        last = match.end()
    return [piece for piece in (*found, (text[last:], "")) if piece[0]]
