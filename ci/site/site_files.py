"""What can be said of a site without a browser: links, sizes, security policy, inline code, alternative texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

from site_pages import Element, Finding, Page, page_names, read_page

PAGE_BYTES = 300_000
LOADING = {
    "audio": ("src",),
    "base": ("href",),
    "body": ("background",),
    "embed": ("src",),
    "feimage": ("href", "xlink:href"),
    "iframe": ("src", "srcdoc"),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "input": ("src",),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
"""Attributes whose address a browser fetches by itself, by element."""
NOT_FETCHED = frozenset(("canonical", "license", "author", "alternate", "next", "prev"))
LEFTOVER = re.compile(
    r"\{\{|\}\}|\{%|\[object Object\]|^(None|nan|NaN|inf|-inf|undefined|null)$|\bbound method\b|<\w+ object at"
)
"""Text that shows what a template got, not what it should say."""

ACTIVE = re.compile(r"""(?:href|src)\s*=\s*["'](?:https?:)?//[^"']+|<script|\son\w+\s*=""", re.IGNORECASE)
"""What makes a drawing load or do something."""


@dataclass(frozen=True, slots=True)
class Site:
    """What is kept of all pages: by name, their identifiers, and (line, element, address) of all that they refer to."""

    root: Path
    ids: dict[str, frozenset[str]]
    addresses: dict[str, list[tuple[int, str, str]]]


def check(root: Path) -> list[Finding]:
    """Return everything wrong with the files of a site; pages are read one at a time."""
    found: list[Finding] = []
    site = Site(root, {}, {})
    for name in page_names(root):
        page = read_page(root, name)
        found += (finding for rule in PAGE_CHECKS for finding in rule(page))
        site.ids[name] = frozenset(page.ids)
        site.addresses[name] = [(element.line, element.tag, address) for element, address in _addresses(page)]
    return [*found, *links(site), *styles(root), *unreachable(site)]


def sizes(page: Page) -> Iterator[Finding]:
    """Pages too large to open at once on a phone."""
    if page.bytes >= PAGE_BYTES:
        yield Finding("size", page.name, f"{page.bytes:,} bytes; fewer than {PAGE_BYTES:,} are wanted")


def policy(page: Page) -> Iterator[Finding]:
    """Content security policy: there before anything is loaded, nothing by default, nothing inline, nothing remote."""
    head = [element for element in page.elements if element.tag in ("meta", "link", "script", "style")]
    metas = [
        element for element in head if element.attributes.get("http-equiv", "").lower() == "content-security-policy"
    ]
    if not metas:
        yield Finding("policy", page.name, "no Content-Security-Policy")
        return
    before = head[: head.index(metas[0])]
    if any(element.tag != "meta" for element in before):
        yield Finding("policy", page.name, f"line {metas[0].line}: something is loaded before the policy")
    content = metas[0].attributes.get("content", "")
    rules = {words[0]: words[1:] for part in content.split(";") if (words := part.split())}
    if rules.get("default-src") != ["'none'"]:
        yield Finding(
            "policy", page.name, f"default-src is {' '.join(rules.get('default-src', ['missing']))}, not 'none'"
        )
    loose = sorted({word for words in rules.values() for word in words} - {"'self'", "'none'", "data:"})
    if loose:
        yield Finding("policy", page.name, f"the policy allows {' '.join(loose)}")


def inline(page: Page) -> Iterator[Finding]:
    """Code or style within the page, which the policy forbids."""
    for line in page.inline:
        yield Finding("inline", page.name, f"line {line}: a script or style element with content")
    for element in page.elements:
        for name, value in element.attributes.items():
            if name == "style" or (name.startswith("on") and len(name) > 2):
                yield Finding("inline", page.name, f"line {element.line}: <{element.tag} {name}>")
            if value.strip().lower().startswith(("javascript:", "vbscript:")):
                yield Finding("inline", page.name, f"line {element.line}: <{element.tag} {name}> holds code")
        if element.tag == "style":
            yield Finding("inline", page.name, f"line {element.line}: a style element")


def external(page: Page) -> Iterator[Finding]:
    """Whatever a browser would fetch from elsewhere. A link that a reader may follow is none."""
    for element, address in _loaded(page):
        if _is_external(address):
            yield Finding("external", page.name, f"line {element.line}: <{element.tag}> loads {address[:100]}")


def names(page: Page) -> Iterator[Finding]:
    """Language, title, one main heading, identifiers that are not shared, alternatives for images."""
    root = page.all("html")
    if not root or not root[0].attributes.get("lang"):
        yield Finding("names", page.name, "the page does not say its language")
    if len(page.all("title")) < 1:
        yield Finding("names", page.name, "no title")
    headings = page.all("h1")
    if len(headings) != 1:
        yield Finding("names", page.name, f"{len(headings)} main headings (h1)")
    for name, count in Counter(page.ids).items():
        if count > 1:
            yield Finding("names", page.name, f"{count} elements have the identifier {name[:80]!r}")
    for image in page.all("img"):
        if "alt" not in image.attributes:
            yield Finding("names", page.name, f"line {image.line}: an image without alt")
    for drawing in page.all("svg"):
        given = drawing.attributes
        named = given.get("role") in ("img", "group") and (given.get("aria-label") or given.get("aria-labelledby"))
        if not named and given.get("aria-hidden") != "true":
            yield Finding("names", page.name, f"line {drawing.line}: a drawing without a name, and not hidden either")


def leftovers(page: Page) -> Iterator[Finding]:
    """Text that no reader should meet."""
    for text in page.text:
        if LEFTOVER.search(text):
            yield Finding("leftovers", page.name, f"the text {text[:80]!r}")


def links(site: Site) -> list[Finding]:
    """Links and fragments that lead nowhere, or only on some web server."""
    found = []
    kinds: dict[str, str] = {}
    for page, addresses in site.addresses.items():
        for line, _, address in addresses:
            if wrong := _broken(site, kinds, page, address):
                found.append(Finding("links", page, f"line {line}: {address[:120]}: {wrong}"))
    return found


def styles(root: Path) -> list[Finding]:
    """Style sheets and drawings that load something from elsewhere, or something missing."""
    found = []
    for path in sorted(root.rglob("*.css")):
        name = path.relative_to(root).as_posix()
        text = re.sub(r"/\*.*?\*/", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for match in re.finditer(r"""url\(\s*['"]?([^'")]+)|@import\s+['"]([^'"]+)""", text):
            address = match[1] or match[2]
            if _is_external(address):
                found.append(Finding("external", name, f"loads {address[:100]}"))
            elif not address.startswith(("data:", "#")) and not (path.parent / address).is_file():
                found.append(Finding("links", name, f"{address[:100]}: no such file"))
    for path in sorted(root.rglob("*.svg")):
        text = path.read_text(encoding="utf-8", errors="replace")
        name = path.relative_to(root).as_posix()
        found += [Finding("external", name, f"has {match[0][:100]}") for match in ACTIVE.finditer(text)]
    return found


def unreachable(site: Site) -> list[Finding]:
    """Pages that no chain of links from the front page leads to."""
    if "index.html" not in site.ids:
        return [Finding("links", "index.html", "there is no front page")]
    seen, todo = {"index.html"}, ["index.html"]
    while todo:
        page = todo.pop()
        targets = {_target(page, address) for _, tag, address in site.addresses[page] if tag in ("a", "area")}
        fresh = (targets & site.ids.keys()) - seen
        seen |= fresh
        todo += sorted(fresh)
    missed = sorted(site.ids.keys() - seen)
    return [Finding("reachable", name, "no link leads here from the front page") for name in missed]


PAGE_CHECKS: tuple[Callable[[Page], Iterator[Finding]], ...] = (sizes, policy, inline, external, names, leftovers)
CHECKS = ("size", "policy", "inline", "external", "names", "leftovers", "links", "reachable")


def _loaded(page: Page) -> Iterator[tuple[Element, str]]:
    """Yield what a browser fetches by itself."""
    for element in page.elements:
        if element.tag == "link" and set(element.attributes.get("rel", "").lower().split()) <= NOT_FETCHED:
            continue
        for name in LOADING.get(element.tag, ()):
            if name in element.attributes:
                value = element.attributes[name]
                for part in value.split(",") if name == "srcset" and not value.startswith("data:") else [value]:
                    yield element, part.strip().split(" ")[0] if name == "srcset" else part


def _addresses(page: Page) -> Iterator[tuple[Element, str]]:
    """Yield every address in a page: what is fetched, and where links lead."""
    yield from _loaded(page)
    for element in page.elements:
        for name in ("href", "xlink:href"):
            if element.tag in ("a", "area") and name in element.attributes:
                yield element, element.attributes[name]
        if element.tag == "link" and set(element.attributes.get("rel", "").lower().split()) & {
            "alternate",
            "next",
            "prev",
        }:
            yield element, element.attributes.get("href", "")


def _is_external(address: str) -> bool:
    text = address.strip().lower()
    return text.startswith(("//", "\\\\")) or (bool(urlsplit(text).scheme) and not text.startswith("data:"))


def _target(page: str, address: str) -> str:
    """Return the file that a relative address means, relative to the site's root."""
    path = unquote(urlsplit(address).path)
    return normpath(join(dirname(page), path)) if path else page


def _broken(site: Site, kinds: dict[str, str], page: str, address: str) -> str:
    """Return what is wrong with an address, or nothing; addresses elsewhere are not looked up.

    `kinds` remembers what is wrong with a target as such.
    """
    parts = urlsplit(address.strip())
    if parts.scheme in ("http", "https", "mailto", "data"):
        return ""
    if parts.scheme or parts.netloc:
        return "an address of another kind"
    if parts.path.startswith("/"):
        return "starts at the root of a server"
    target = _target(page, address)
    if target not in kinds:
        kinds[target] = _no_file(site.root, target)
    fragment = unquote(parts.fragment)
    if not kinds[target] and fragment and fragment != "top" and fragment not in site.ids.get(target, {fragment}):
        return "no such place in the page"
    return kinds[target]


def _no_file(root: Path, target: str) -> str:
    if target.startswith(".."):
        return "leads out of the site"
    if (root / target).is_dir():
        return "a folder, which only a server turns into a page"
    return "" if (root / target).is_file() else "no such file"
