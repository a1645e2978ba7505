"""Does the checker see? Each defect is planted in a good page, opened in the real browser, and must be found."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable
from pathlib import Path

import site_browser
import site_markup

POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'"
SCRIPT = "'use strict';\n"
SORTS = (
    SCRIPT
    + """const head = document.querySelector('th'), button = document.createElement('button');
button.append(...head.childNodes);
head.append(button);
button.addEventListener('click', () => {
  const body = document.querySelector('tbody'), down = head.getAttribute('aria-sort') === 'ascending';
  head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
  const value = row => Number(row.textContent);
  [...body.rows].sort((a, b) => (down ? -1 : 1) * (value(a) - value(b))).forEach(row => body.append(row));
});
"""
)
FILES = {
    "index.html": f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>A page</title>
<link rel="stylesheet" href="style.css">
<script src="board.js" defer></script>
</head>
<body>
<main>
<h1>A page</h1>
<p>{"Some words that make a paragraph. " * 20}</p>
<table class="sortable"><thead><tr><th scope="col" class="num">Score</th></tr></thead>
<tbody><tr><td>1.5</td></tr><tr><td>12</td></tr><tr><td>4</td></tr></tbody></table>
<p class="note">A note of some words</p>
<svg data-even viewBox="0 0 90 9" width="90" height="9" role="img" aria-label="A line">
<path fill="none" d="M1 1L11 2L21 3M41 4L51 5"/></svg>
<img src="icon.svg" alt="Icon">
</main>
</body>
</html>
""",
    "style.css": """body { color: #111; background: #fff }
@media (prefers-color-scheme: dark) { body { color: #eee; background: #121 } }
""",
    "board.js": SORTS,
    "icon.svg": '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
}
_STATIC = Path(__file__).resolve().parents[2] / "leaderboard" / "site" / "static"
_ROW = """<tr data-id="{id}" data-agent="{agent}" data-zeros="{zeros} %" data-words="{words}" data-complete="1"
 data-value="{value}" data-error="0.1" data-freedom="9"{paired}><th scope="row"><span class="pair"><a class="name"
 href="index.html">{agent} {id}</a></span></th><td class="num">{value}</td></tr>
"""
_ROWS = [
    _ROW.format(id="one", agent="DQN", zeros=0, words="dense", value=1.5, paired=' data-paired="two"'),
    _ROW.format(id="two", agent="DQN", zeros=95, words="sparse pruned", value=2.25, paired=' data-paired="one"'),
    _ROW.format(id="three", agent="Rainbow", zeros=0, words="dense", value=4, paired=""),
    _ROW.format(id="four", agent="Rainbow", zeros=90, words="sparse pruned", value=3, paired=""),
]
_HEAD = """<table class="sortable" id="board"><thead><tr><th scope="col">Entry</th>
<th scope="col" class="num">Score</th></tr></thead><tbody>"""
_BOARD = f"""<div class="tools" data-for="board" data-pairs="" hidden>
<label>Search <input type="search" class="text"></label>
<label>Proven <select class="least"><option value="0">any</option></select></label>
<label hidden>Agent <select class="facet" data-facet="agent"><option value="">any</option></select></label>
<label hidden>Sparsity <select class="facet" data-facet="zeros"><option value="">any</option></select></label>
<label><input type="checkbox" class="others" checked> others</label>
<label><input type="checkbox" class="whole"> complete</label>
<button type="button" class="only" disabled>Compare</button> <a class="pair" href="one--two.html" hidden>Pair</a>
<button type="button" class="reset">Reset</button>
<span class="count" role="status"></span> <span class="differences" role="status"></span>
</div>
{_HEAD}{"".join(_ROWS[:3])}</tbody></table>
<p class="more">1 more row on further pages: <a href="index-2.html">2</a>.</p>
</main>"""
_TABLE = FILES["index.html"][FILES["index.html"].index("<table") : FILES["index.html"].index("<p class=")]
_PLAIN = FILES["index.html"].replace(_TABLE, "")
_LOADED = '<script src="rows.js" defer></script>\n<script src="board.js"'
BOARD = {
    "index.html": _PLAIN.replace('<script src="board.js"', _LOADED).replace("</main>", _BOARD),
    "index-2.html": _PLAIN.replace("</main>", f"{_HEAD}{_ROWS[3]}</tbody></table></main>"),
    "one--two.html": _PLAIN,
    "rows.js": f"self.moreRows = {json.dumps([[0, 0, _ROWS[3]]])};\n",
    "board.js": (_STATIC / "board.js").read_text(encoding="utf-8"),
    "style.css": FILES["style.css"]
    + "a { color: inherit }\n:focus-visible { outline: 2px solid #06c }\n[hidden] { display: none !important }\n",
    "icon.svg": FILES["icon.svg"],
}
"""A good page of a board with the site's own script, folded."""
CELL = SCRIPT + "document.querySelector('td').textContent = '%s';\n"
DEFECTS = {  # what is planted: (file, old text, new text), and by which check it must be found
    "a remote image": ("index.html", "</main>", '<img src="https://example.org/x.png" alt="x"></main>', "requests"),
    "a missing image": ("index.html", "icon.svg", "ikon.svg", "requests"),
    "a style attribute": ("index.html", "<h1>", '<h1 style="color: red">', "console"),
    "a script in the page": ("index.html", "</main>", "<script>document.title = 'x'</script></main>", "console"),
    "a script that fails": ("board.js", SCRIPT, "throw new Error('no');\n", "console"),
    "a script that complains": ("board.js", SCRIPT, "console.error('no');\n", "console"),
    "a script that fetches": ("board.js", SCRIPT, "fetch('https://example.org').catch(() => 0);\n", "console"),
    "an image without a name": ("index.html", ' alt="Icon"', "", "axe light"),
    "pale text": ("style.css", "#111", "#ccc", "axe light"),
    "dark text on dark": ("style.css", "#eee", "#222", "axe dark"),
    "a number that a script changes": ("board.js", SCRIPT, CELL % "1.6", "no script"),
    "a number that a script doubles": ("board.js", SCRIPT, CELL % "1.5 1.5", "no script"),
    "a page too wide": ("style.css", "body {", "h1 { width: 700px }\nbody {", "phone"),
    "a cell narrower than its word": (
        "style.css",
        "body {",
        "td, th { max-width: 1ch; overflow-wrap: anywhere }\nbody {",
        "broken words",
    ),
    "letters too small to read": ("style.css", "body {", ".note { font-size: 8px }\nbody {", "tiny text"),
    "text cut off": (
        "style.css",
        "body {",
        ".note { width: 5rem; overflow: hidden; white-space: nowrap }\nbody {",
        "cut text",
    ),
    "a line over missing points": ("index.html", "M41", "L41", "gaps"),
    "a column in another order than it says": (
        "board.js",
        "Number(row.textContent)",
        "row.textContent.length",
        "order",
    ),
    "nothing on paper": ("style.css", "body {", "@media print { p { display: none } }\nbody {", "print"),
    "a wrong end tag": ("index.html", "</h1>", "</h2>", "markup"),
    "an unknown property": ("style.css", "body {", "h1 { colr: red }\nbody {", "markup"),
}
USES = {  # the same in the page of a board
    "a search that finds too much": ("board.js", "text.includes(word)", "text.includes(word[0])", "search"),
    "a reset that stays in the address": ("board.js", "text ? `#view:${text}`", "true ? `#view:${text}`", "search"),
    "a facet that shows all": ("board.js", "row.dataset[name] === view[name]", "row.dataset[name]", "facets"),
    "a wrong count": ("board.js", "`${shown} of", "`${shown + 1} of", "facets"),
    "a difference the wrong way round": (
        "board.js",
        "first.value - other.value",
        "other.value - first.value",
        "picking",
    ),
    "rows beside those that were picked": (
        "board.js",
        "return view.picked.includes(row.dataset.id)",
        "return 1",
        "picking",
    ),
    "a choice that the address does not hold": ("board.js", '(given.get("picked") ?? "")', '("")', "picking"),
    "a pair that leads nowhere": ("board.js", '.join("--")', '.join("-")', "picking"),
    "folded rows that stay away": ("board.js", '("beforeend", rows)', '("beforeend", "")', "folding"),
    "a focus that nobody sees": ("style.css", "outline: 2px solid #06c", "outline: none", "keyboard"),
    "a head out of the keyboard's reach": ("board.js", 'button.type = "button";', "button.tabIndex = -1;", "keyboard"),
}


def missed(progress: Callable[[str], None]) -> list[str]:
    """Return the defects that were not found, and the good page if something was found in it."""
    wrong = []
    for page, files, defects in (("page", FILES, DEFECTS), ("board", BOARD, USES)):
        if _found(files, ("browser", "markup")):
            wrong.append(f"the good {page}")
        for name, (file, old, new, check) in defects.items():
            progress(name)
            if old not in files[file]:
                raise ValueError(f"{name}: {file} has no {old!r}")
            part = "markup" if check == "markup" else "browser"
            if check not in _found(files | {file: files[file].replace(old, new, 1)}, (part,)):
                wrong.append(name)
    return wrong


def _found(files: dict[str, str], parts: tuple[str, ...]) -> set[str]:
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
        found = site_markup.check(Path(folder)) if "markup" in parts else []
        if "browser" in parts:
            found += site_browser.check(Path(folder), {"index.html": ["index.html"]}, None, lambda _: None)
        return {item.check for item in found}
