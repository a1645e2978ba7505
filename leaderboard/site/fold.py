"""Long pages folded: rows that would make a page too large lie in a file that its script loads, and on further pages.

Without the script the further pages are linked below each table; with it, their rows are put into the table.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

MOST = 240_000
"""Bytes of a page beyond which it is folded; well below what no page may reach."""

ROWS = (200, 150, 100, 70, 50, 30, 20, 10)
"""How many rows of each part of a table stay: the first of these with which the page is small enough."""

_TABLE = re.compile(r"<table\b.*?</table>(?:\s*</div>)?", re.DOTALL)
_HEAD = re.compile(r"<table\b[^>]*>.*?</thead>", re.DOTALL)
_BODY = re.compile(r"(<tbody>)(.*?)(</tbody>)", re.DOTALL)
_ROW = re.compile(r"<tr\b.*?</tr>\s*", re.DOTALL)
_SCRIPT = re.compile(r'<script src="[^"]*board\.js"')
_MAIN = re.compile(r'(?:<link rel="stylesheet"[^>]*>\s*)?<h1\b.*?</h1>', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Moved:
    """Rows that were taken out of the `body`-th part of the `table`-th table, which begins with `head`."""

    table: int
    body: int
    head: str
    rows: tuple[str, ...]


def folded(path: str, content: bytes) -> dict[str, bytes]:
    """Return a page under its path, folded if it is large: with the file of its other rows, and the further pages."""
    if len(content) <= MOST:
        return {path: content}
    text, stem = content.decode(), path.removesuffix(".html")
    for keep in ROWS:
        page, moved = _shortened(text, keep, posixpath.basename(stem))
        if len(page.encode()) <= MOST:
            break
    if not moved:
        return {path: content}
    files = {path: page.encode(), f"{stem}-rows.js": _script(moved)}
    for number, (head, rows) in enumerate(_sheets(text, moved), 2):
        files[f"{stem}-{number}.html"] = _sheet(text, posixpath.basename(path), number, head, rows).encode()
    return files


def _shortened(text: str, keep: int, name: str) -> tuple[str, list[Moved]]:
    """Return a page with at most `keep` rows in each part of its tables, and the rows that are left out."""
    moved: list[Moved] = []
    parts, last, sheet = [], 0, 2
    for number, found in enumerate(_TABLE.finditer(text)):
        table, before = found.group(), len(moved)
        head = _HEAD.match(table)
        shown = _body_shortened(table, number, keep, head.group() if head else "<table>", moved)
        parts += [text[last : found.start()], shown]
        last = found.end()
        own = moved[before:]
        if own:
            count = sum(len(one.rows) for one in own)
            pages = range(sheet, sheet + sum(len(list(_portions(one.rows, text))) for one in own))
            sheet += len(pages)
            linked = ", ".join(f'<a href="{name}-{page}.html">{page}</a>' for page in pages)
            parts.append(f'\n<p class="more">{count:,} more rows on further pages: {linked}.</p>')
    page = "".join([*parts, text[last:]])
    return _SCRIPT.sub(lambda match: f'<script src="{name}-rows.js" defer></script>\n{match.group()}', page, 1), moved


def _body_shortened(table: str, number: int, keep: int, head: str, moved: list[Moved]) -> str:
    bodies = iter(range(len(_BODY.findall(table))))

    def shortened(match: re.Match[str]) -> str:
        rows, body = _ROW.findall(match.group(2)), next(bodies)
        if len(rows) <= keep:
            return match.group()
        moved.append(Moved(number, body, head, tuple(rows[keep:])))
        return f"{match.group(1)}\n{''.join(rows[:keep])}{match.group(3)}"

    return _BODY.sub(shortened, table)


def _script(moved: Sequence[Moved]) -> bytes:
    """Return the file that the page loads: for `board.js`, the table, the part of it, and the rows."""
    rows = [[one.table, one.body, "".join(one.rows)] for one in moved]
    return f"self.moreRows = {json.dumps(rows, ensure_ascii=False)};\n".encode()


def _sheets(text: str, moved: Sequence[Moved]) -> Iterator[tuple[str, Sequence[str]]]:
    for one in moved:
        for rows in _portions(one.rows, text):
            yield one.head, rows


def _portions(rows: Sequence[str], text: str) -> Iterator[Sequence[str]]:
    """Yield rows in portions that fit a page each, beside what all pages have around them."""
    room = MOST - len(_around(text)[0].encode()) - len(_around(text)[1].encode()) - 20_000
    first, size = 0, 0
    for place, row in enumerate(rows):
        length = len(row.encode())
        if size + length > room and place > first:
            yield rows[first:place]
            first, size = place, 0
        size += length
    yield rows[first:]


def _around(text: str) -> tuple[str, str]:
    """Return what stands before the heading of a page, and what stands behind its content."""
    heading = _MAIN.search(text)
    assert heading is not None  # every page has one
    return text[: heading.end()], text[text.index("</main>") :]


def _sheet(text: str, page: str, number: int, head: str, rows: Sequence[str]) -> str:
    """Return a further page: the frame of the first, and a table of these rows under the head of theirs."""
    before, behind = _around(text)
    before = re.sub(r"(?=</title>)", f", page {number}", before, count=1)
    before = re.sub(r"(?=</h1>$)", f", page {number}", before, count=1)
    told = f'<p class="lead"><a href="{page}">To the first page</a></p>'
    body = "".join(rows).replace('href="#', f'href="{page}#')
    label = f'<div class="scroll" role="region" tabindex="0" aria-label="Rows of page {number}">'
    return f"{before}\n{told}\n{label}\n{head}\n<tbody>\n{body}</tbody>\n</table>\n</div>\n{behind}"
