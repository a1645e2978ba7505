"""A site in a real browser, from its files: requests, errors, accessibility, numbers without scripts, width, print."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, sync_playwright
from site_acts import used
from site_layout import LOOKS, ORDER
from site_pages import Finding, condensed

DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
TALLEST = 8000
"""Pixels of a page beyond which a screenshot is cut off."""
FEW = 200
"""Characters of a page that may be missing on paper without a word: buttons, a search field."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]
ACTS = ("search", "facets", "picking", "folding", "keyboard")
CHECKS = ("requests", "console", "axe light", "axe dark", "no script", "phone", "print", "order", *ACTS, *LOOKS)

TABLES = """() => {
  const closed = [...document.querySelectorAll('details:not([open])')];
  closed.forEach(e => { e.open = true; });  // what is not drawn has no innerText
  const tables = [...document.querySelectorAll('table')];
  const found = tables.map(t => [...t.querySelectorAll('th, td')].map(c => c.innerText));
  closed.forEach(e => { e.open = false; });
  return found;
}"""
FURTHER = """() => {
  const tables = [...document.querySelectorAll('table')];
  const before = p => tables.filter(t => t.compareDocumentPosition(p) & Node.DOCUMENT_POSITION_FOLLOWING).length - 1;
  return [...document.querySelectorAll('p.more')].map(p => [before(p), [...p.querySelectorAll('a')].map(a => a.href)]);
}"""
"""Of a folded page: the tables whose other rows lie on further pages, which scripts put into them, and these pages."""
ROWS = "() => [...document.querySelectorAll('tbody th, tbody td')].map(c => c.innerText)"
WIDEST = """() => {
  const page = document.documentElement, limit = page.clientWidth;
  if (page.scrollWidth <= limit) return null;
  const clipped = e => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== 'visible') return true; return false; };
  const wide = [...document.body.querySelectorAll('*')].filter(e => e.getBoundingClientRect().right > limit + 0.5);
  const name = e => e.tagName.toLowerCase() + (e.id ? '#' + e.id : '') + [...e.classList].map(c => '.' + c).join('');
  const free = wide.filter(e => !clipped(e));
  const loose = wide.filter(e => getComputedStyle(e).position === 'absolute');
  const blamed = free.length ? free : loose.length ? loose : wide;
  return page.scrollWidth + ' px wide at ' + limit + ': ' + blamed.slice(0, 4).map(name).join(', ');
}"""
MAIN = "() => (document.querySelector('main') || document.body).innerText.trim().length"
WATCH = """document.addEventListener('securitypolicyviolation',
  e => console.error('policy: ' + e.violatedDirective + ' forbids ' + (e.blockedURI || 'inline') + ' ' + e.sample));"""


def chromium() -> str:
    """Return the browser's path: $CHROMIUM, or `chromium` on the path; FileNotFoundError if there is none."""
    found = shutil.which(os.environ.get("CHROMIUM", "chromium"))
    if found is None:
        raise FileNotFoundError("no chromium: install Debian's package, or set CHROMIUM to its path")
    return found


def check(
    site: Path, chosen: dict[str, list[str]], shots: Path | None, progress: Callable[[str], None]
) -> list[Finding]:
    """Return what is wrong with the chosen pages, given by kind; `shots` gets pictures of the first of each kind."""
    found: list[Finding] = []
    firsts = {names[0]: kind for kind, names in chosen.items()}
    with _browser() as browser, _context(browser) as scripted, _context(browser, java_script_enabled=False) as plain:
        scripted.add_init_script(WATCH)
        names = [name for names in chosen.values() for name in names]
        for number, name in enumerate(names, start=1):
            progress(f"{number}/{len(names)} {name}")
            folder = shots if name in firsts else None
            found += _page(scripted, plain, site.resolve(), name, folder, firsts.get(name, ""))
    return found


@contextmanager
def _browser() -> Iterator[Browser]:
    root = [] if os.geteuid() else ["--no-sandbox"]  # chromium's own sandbox refuses to run as root
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=chromium(), args=[*root, "--disable-gpu", "--hide-scrollbars"])
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def _context(browser: Browser, **options: Any) -> Iterator[BrowserContext]:
    context = browser.new_context(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce", **options)
    context.set_default_timeout(60_000)
    try:
        yield context
    finally:
        context.close()


def _page(
    scripted: BrowserContext, plain: BrowserContext, site: Path, name: str, shots: Path | None, kind: str
) -> list[Finding]:
    """Return what is wrong with one page."""
    found: list[Finding] = []
    address = (site / name).as_uri()
    picture = _pictures(shots, kind)
    with _opened(scripted, address, name, found) as page:
        picture(page, "desktop")
        found += _axe(page, name, "axe light")
        with_script = page.evaluate(TABLES)
        found += _looked(page, name, "wide")
        page.emulate_media(color_scheme="dark")
        picture(page, "dark")
        page.set_viewport_size(PHONE)
        if wide := page.evaluate(WIDEST):
            found.append(Finding("phone", name, condensed(wide)))
        found += _looked(page, name, "narrow")
        found += _axe(page, name, "axe dark")
        page.emulate_media(color_scheme="light")
        picture(page, "phone")
        page.set_viewport_size(DESKTOP)
        found += _print(page, name, bool(kind), shots, kind)
        found += [Finding("order", name, condensed(what)) for what in page.evaluate(ORDER)]
        found += [Finding(check, name, condensed(what)) for check, what in used(page, site)]
    with _opened(plain, address, name, found) as page:
        picture(page, "no-script")
        without = page.evaluate(TABLES)
        further = page.evaluate(FURTHER)
    for table, addresses in further:
        for target in addresses:
            with _opened(plain, target, name, found) as page:
                without[table] += page.evaluate(ROWS)
    return [*dict.fromkeys(found), *_same_numbers(name, with_script, without)]


@contextmanager
def _opened(context: BrowserContext, address: str, name: str, found: list[Finding]) -> Iterator[Page]:
    """Open a page; note every request that leaves the disk, every failed one, and every error."""

    def requested(request: Request) -> None:
        if not request.url.startswith(("file:", "data:")):
            found.append(Finding("requests", name, condensed(request.url)))

    def failed(request: Request) -> None:
        found.append(Finding("requests", name, condensed(f"{request.url.rpartition('/')[2]}: {request.failure}")))

    def said(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            found.append(Finding("console", name, condensed(message.text.replace(address, name))))

    page = context.new_page()
    page.on("request", requested)
    page.on("requestfailed", failed)
    page.on("console", said)
    page.on("pageerror", lambda error: found.append(Finding("console", name, condensed(str(error)))))
    try:
        page.goto(address, wait_until="load")
        yield page
    finally:
        page.close()


def _axe(page: Page, name: str, check: str) -> list[Finding]:
    """Return axe-core's violations; what it cannot decide is none."""
    page.evaluate(AXE)
    options = json.dumps({"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"], "preload": False})
    answer = page.evaluate(f"axe.run(document, {options}).then(r => r.violations)")
    return [
        Finding(check, name, condensed(f"{violation['id']}: {len(violation['nodes'])} such as {_where(violation)}"))
        for violation in answer
    ]


def _looked(page: Page, name: str, width: str) -> list[Finding]:
    """Return what looking at a page of one width shows."""
    return [
        Finding(check, name, condensed(f"{width}: {what}"))
        for check, code in LOOKS.items()
        for what in page.evaluate(code)
    ]


def _where(violation: dict[str, Any]) -> str:
    node = violation["nodes"][0]
    return f"{node['target'][-1]}: {(node.get('failureSummary') or '').partition(':')[2].strip()}"


def _print(page: Page, name: str, first: bool, shots: Path | None, kind: str) -> list[Finding]:
    """Return a finding unless most of the text is left for paper, and the first page of a kind becomes a document."""
    screen = page.evaluate(MAIN)
    page.emulate_media(media="print")
    shown = page.evaluate(MAIN)
    document = page.pdf(format="A4") if first else b"%PDF"
    page.emulate_media(media="screen")
    if shots is not None:
        (shots / f"{_file(kind)}-print.pdf").write_bytes(document)
    if not document.startswith(b"%PDF") or 2 * shown < screen - FEW:
        return [Finding("print", name, f"{len(document)} bytes, {shown} of {screen} characters of text")]
    return []


def _same_numbers(name: str, one: list[list[str]], other: list[list[str]]) -> list[Finding]:
    """Return a finding for every table whose numbers differ without scripts, in whatever order they stand."""
    if len(one) != len(other):
        return [Finding("no script", name, f"{len(one)} tables with scripts, {len(other)} without")]
    found = []
    for index, (cells, bare) in enumerate(zip(one, other, strict=True), start=1):
        ours, theirs = Counter(_numbers(cells)), Counter(_numbers(bare))
        if ours != theirs:
            lost, new = list((ours - theirs).elements()), list((theirs - ours).elements())
            found.append(
                Finding("no script", name, condensed(f"table {index}: {lost[:5]} only with, {new[:5]} only without"))
            )
    return found


def _numbers(cells: list[str]) -> list[str]:
    return [number for cell in cells for number in re.findall(r"[-\u2212+]?\d[\d,.]*", cell)]


def _pictures(shots: Path | None, kind: str) -> Callable[[Page, str], None]:
    """Return what takes a picture of a page, in full up to a height, if there is a folder for it."""

    def take(page: Page, look: str) -> None:
        if shots is None:
            return
        size = page.viewport_size or DESKTOP
        height = page.evaluate("() => document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(height, TALLEST)}
        page.screenshot(path=str(shots / f"{_file(kind)}-{look}.png"), full_page=True, clip=clip)

    return take


def _file(kind: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", kind.removesuffix(".html").replace("*", "any").lower()).strip("-")


AXE = (resources.files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8")
