"""A page that is too large keeps its first rows; the others are in a file for its script and on further pages."""

import json
import re

import html5lib

from leaderboard.site.fold import MOST, folded

ROW = '<tr><th scope="row"><a href="entries/{0}.html">{0}</a><a href="#note-1">1</a></th><td>{1}</td></tr>\n'


def page(counts: list[int], cell: str = "x" * 300) -> bytes:
    """Return a page with a table of so many rows in each of its parts, behind one of two rows."""
    bodies = "".join(
        f"<tbody>\n{''.join(ROW.format(f'e{body}-{row}', cell) for row in range(count))}</tbody>\n"
        for body, count in enumerate(counts)
    )
    head = '<thead><tr><th scope="col">Entry</th><th scope="col">Value</th></tr></thead>\n'
    small = f'<table>{head}<tbody><tr><th scope="row">a</th><td>1</td></tr></tbody></table>\n'
    return (
        '<!doctype html>\n<html lang="en"><head><title>Board \u00b7 site</title>\n'
        '<script src="../static/board.js" defer></script></head>\n<body><main id="main">\n<h1>Board</h1>\n'
        f'{small}<div class="scroll">\n<table class="sortable" id="t">\n{head}{bodies}</table>\n</div>\n'
        '<p id="note-1">note</p></main>\n<footer>end</footer></body></html>\n'
    ).encode()


def rows_of(text: str) -> list[str]:
    return re.findall(r"entries/(e\d+-\d+)\.html", text)


def test_a_small_page_stays_as_it_is():
    assert folded("smoke/index.html", page([50])) == {"smoke/index.html": page([50])}


def test_every_row_of_a_large_page_is_there_once_with_the_script_and_once_without():
    counts = [900, 700]
    whole = page(counts)
    files = folded("smoke/index.html", whole)
    assert all(len(content) <= MOST for name, content in files.items() if name.endswith(".html"))
    first = files["smoke/index.html"].decode()
    script = files["smoke/index-rows.js"].decode()
    assert first.index('src="index-rows.js"') < first.index('src="../static/board.js"')
    moved = json.loads(script.removeprefix("self.moreRows = ").removesuffix(";\n"))
    assert [part[:2] for part in moved] == [[1, 0], [1, 1]]
    every = [f"e{body}-{row}" for body, count in enumerate(counts) for row in range(count)]
    by_part = [rows_of(body) + rows_of(rows) for body, (_, _, rows) in zip(bodies(first), moved, strict=True)]
    assert [name for part in by_part for name in part] == every
    further = sorted(set(files) - {"smoke/index.html", "smoke/index-rows.js"})
    assert [name for part in further for name in rows_of(files[part].decode())] == rows_of(script)
    linked = re.findall(r'href="(index-\d+\.html)"', first)
    assert [f"smoke/{name}" for name in linked] == further
    for number, name in enumerate(further, 2):
        text = files[name].decode()
        html5lib.HTMLParser(strict=True).parse(text)
        assert f"<h1>Board, page {number}</h1>" in text
        assert 'href="#note-1"' not in text
        assert 'href="index.html#note-1"' in text


def bodies(text: str) -> list[str]:
    return re.findall(r"<tbody>.*?</tbody>", text, re.DOTALL)[1:]


def test_a_page_that_has_no_long_table_is_left_alone():
    content = b"<h1>x</h1>" + b"y" * MOST + b"</main>"
    assert folded("a.html", content) == {"a.html": content}
