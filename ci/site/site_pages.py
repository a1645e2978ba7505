"""A built site as files: its pages with what they refer to, the kinds of pages there are, and which of them to open."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath

MANY = 6
"""More files than this in one place are one kind of page, not as many kinds."""
VOID = frozenset(["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"])


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong: which check found it, on which page or file (relative to the site), and what it is."""

    check: str
    page: str
    what: str


@dataclass(frozen=True, slots=True)
class Element:
    """A start tag: its name, attributes and line."""

    tag: str
    attributes: dict[str, str]
    line: int


@dataclass(slots=True)
class Page:
    """A page as read: `name` relative to the site, its size in bytes, its elements, its visible `text` in pieces."""

    name: str
    bytes: int
    elements: list[Element] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    inline: list[int] = field(default_factory=list)
    """Lines at which a script or style element has content of its own."""

    @property
    def ids(self) -> list[str]:
        """All identifiers, in order."""
        return [element.attributes["id"] for element in self.elements if "id" in element.attributes]

    def all(self, *tags: str) -> list[Element]:
        """Return the elements of these names."""
        return [element for element in self.elements if element.tag in tags]


class _Reader(HTMLParser):
    """Collects start tags and text; scripts and styles are not text."""

    def __init__(self, page: Page) -> None:
        super().__init__(convert_charrefs=True)
        self._page = page
        self._within: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._page.elements.append(Element(tag, {name: value or "" for name, value in attrs}, self.getpos()[0]))
        if tag not in VOID:
            self._within.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._page.elements.append(Element(tag, {name: value or "" for name, value in attrs}, self.getpos()[0]))

    def handle_endtag(self, tag: str) -> None:
        while tag in self._within and self._within.pop() != tag:
            continue

    def handle_data(self, data: str) -> None:
        if not data.strip():
            return
        if self._within and self._within[-1] in ("script", "style"):
            self._page.inline.append(self.getpos()[0])
        else:
            self._page.text.append(data.strip())


def read_page(site: Path, name: str) -> Page:
    """Read a page of a site; bytes that are no UTF-8 are replaced."""
    content = (site / name).read_bytes()
    page = Page(name, len(content))
    reader = _Reader(page)
    reader.feed(content.decode("utf-8", errors="replace"))
    reader.close()
    return page


def page_names(site: Path) -> list[str]:
    """Return the names of all pages of a site, sorted."""
    return sorted(path.relative_to(site).as_posix() for path in site.rglob("*.html"))


def kinds(names: Iterable[str]) -> dict[str, list[str]]:
    """Return pages by kind, which is a pattern of paths such as `*/games/*.html`.

    Folders beside each other that hold files or folders of the same names are one kind, and so are many files.
    """
    found: dict[str, list[str]] = {}
    _group([PurePosixPath(name).parts for name in sorted(names)], 0, (), found)
    return found


def _group(paths: Sequence[tuple[str, ...]], depth: int, pattern: tuple[str, ...], found: dict[str, list[str]]) -> None:
    files = [path for path in paths if len(path) == depth + 1]
    folders: dict[str, list[tuple[str, ...]]] = defaultdict(list)
    for path in paths:
        if len(path) > depth + 1:
            folders[path[depth]].append(path)
    many = len({path[depth] for path in files} - {"index.html"}) > MANY
    for path in files:
        name = "*.html" if many and path[depth] != "index.html" else path[depth]
        found.setdefault("/".join((*pattern, name)), []).append("/".join(path))
    for alike in _alike(folders, depth):
        name = "*" if len(alike) > 1 else alike[0]
        _group([path for folder in alike for path in folders[folder]], depth + 1, (*pattern, name), found)


def _alike(folders: dict[str, list[tuple[str, ...]]], depth: int) -> list[list[str]]:
    """Return the folders: in one group those that share a name (not `index.html`) with another, the rest alone."""
    groups: list[tuple[set[str], list[str]]] = []
    for folder, paths in folders.items():
        inside = {path[depth + 1] for path in paths} - {"index.html"}
        joined = [group for group in groups if group[0] & inside]
        groups = [group for group in groups if not group[0] & inside]
        groups.append(
            (inside.union(*(group[0] for group in joined)), [*(name for group in joined for name in group[1]), folder])
        )
    several = [name for _, names in groups if len(names) > 1 for name in names]
    return [*([several] if several else []), *(names for _, names in groups if len(names) == 1)]


def choose(site: Path, bound: int) -> dict[str, list[str]]:
    """Return the pages to open, by kind, `bound` in all if there are more, but at least one of each kind.

    Of each kind the largest page comes first, then the smallest, then every so many.
    """
    by_kind = kinds(page_names(site))
    ordered = {}
    for kind, names in by_kind.items():
        by_size = sorted(names, key=lambda name: (-(site / name).stat().st_size, name))
        rest = by_size[1:-1]
        step = max(1, len(rest) * len(by_kind) // max(1, bound))
        ordered[kind] = [*by_size[:1], *by_size[1:][-1:], *rest[::step], *(n for i, n in enumerate(rest) if i % step)]
    chosen = {kind: names[:1] for kind, names in ordered.items()}
    left, rank = bound - len(chosen), 1
    while left > 0 and any(len(names) > rank for names in ordered.values()):
        for kind, names in ordered.items():
            if left > 0 and len(names) > rank:
                chosen[kind].append(names[rank])
                left -= 1
        rank += 1
    return chosen


def condensed(text: str) -> str:
    """Return text with white space as single spaces, shortened."""
    return re.sub(r"\s+", " ", text).strip()[:200]
