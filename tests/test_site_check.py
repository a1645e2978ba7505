"""`ci/site_check` finds what is wrong with the files of a site: each defect is planted in a good page, and named."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

CI = Path(__file__).parent.parent / "ci"
POLICY = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'"
PAGE = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>A page</title>
<link rel="stylesheet" href="ROOTstyle.css">
<script src="ROOTboard.js" defer></script>
</head>
<body>
<h1 id="top">A page</h1>
<nav><a href="ROOTindex.html">Front</a> <a href="ROOTgames/Pong.html#scores">Pong</a>
<a href="https://example.org/">elsewhere</a></nav>
<table id="scores"><tr><th scope="col">Score</th></tr><tr><td>1.5</td></tr></table>
<svg role="img" aria-label="A curve"><path d="M0 0L1 1"/></svg>
<img src="ROOTicon.svg" alt="">
</body>
</html>
"""


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, CI / "site" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # they import each other by these names
    spec.loader.exec_module(module)
    return module


site_pages, site_files = _load("site_pages"), _load("site_files")


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a site of two pages with nothing wrong."""
    root = tmp_path / "site"
    (root / "games").mkdir(parents=True)
    (root / "index.html").write_text(PAGE.replace("ROOT", ""))
    (root / "games" / "Pong.html").write_text(PAGE.replace("ROOT", "../"))
    (root / "style.css").write_text("body { color: black }")
    (root / "board.js").write_text("'use strict';")
    (root / "icon.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    return root


def _found(site: Path) -> set[tuple[str, str]]:
    return {(item.check, item.page) for item in site_files.check(site)}


def _replace(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def test_nothing_is_found_where_nothing_is_wrong(site: Path) -> None:
    assert site_files.check(site) == []


END = "</body>"
DEFECTS = {
    "a remote image": ("external", _replace(END, '<img src="https://example.org/x.png" alt="">')),
    "a remote image without a scheme": ("external", _replace(END, '<img src="//example.org/x.png" alt="">')),
    "a remote set of images": (
        "external",
        _replace(END, '<img srcset="a.png 1x, http://example.org/x.png 2x" alt="">'),
    ),
    "a remote script": ("external", _replace('src="board.js"', 'src="https://example.org/board.js"')),
    "a remote style": ("external", _replace('href="style.css"', 'href="https://example.org/style.css"')),
    "a remote frame": ("external", _replace(END, '<iframe src="http://example.org" title="x"></iframe>')),
    "a remote symbol": ("external", _replace("<path", '<use href="https://example.org/x.svg#a"/><path')),
    "a remote base": ("external", _replace("<title>", '<base href="https://example.org/"><title>')),
    "a style attribute": ("inline", _replace("<h1 ", '<h1 style="color: red" ')),
    "a style element": ("inline", _replace("<title>", "<style>h1 { color: red }</style><title>")),
    "a style in a drawing": ("inline", _replace("<path", "<style>path { fill: red }</style><path")),
    "a script in the page": ("inline", _replace(END, "<script>alert(1)</script>")),
    "an event handler": ("inline", _replace("<h1 ", '<h1 onclick="alert(1)" ')),
    "a link that is code": ("inline", _replace('href="index.html"', 'href=" JavaScript:alert(1)"')),
    "no policy": ("policy", _replace('http-equiv="Content-Security-Policy"', 'name="x"')),
    "a policy too late": ("policy", _replace("<meta http-equiv", '<script src="board.js"></script><meta http-equiv')),
    "a loose policy": ("policy", _replace("script-src 'self'", "script-src 'self' 'unsafe-inline'")),
    "a policy for a host": ("policy", _replace("img-src 'self'", "img-src https://example.org")),
    "no default in the policy": ("policy", _replace("default-src 'none'; ", "")),
    "no alternative text": ("names", _replace(' alt=""', "")),
    "a drawing without a name": ("names", _replace(' role="img" aria-label="A curve"', "")),
    "no language": ("names", _replace(' lang="en"', "")),
    "no title": ("names", _replace("<title>A page</title>", "")),
    "two main headings": ("names", _replace(END, "<h1>Another</h1>")),
    "an identifier twice": ("names", _replace(END, '<p id="scores">again</p>')),
    "a link to nothing": ("links", _replace('href="games/Pong.html#scores"', 'href="games/Ping.html"')),
    "a link in other letters": ("links", _replace("games/Pong.html", "games/pong.html")),
    "a link to no place": ("links", _replace("#scores", "#score")),
    "a link to a folder": ("links", _replace(END, '<a href="games/">Games</a>')),
    "a link from the root": ("links", _replace('href="index.html"', 'href="/index.html"')),
    "a link out of the site": ("links", _replace('href="index.html"', 'href="../site/index.html"')),
    "a link to a file of this machine": ("links", _replace('href="index.html"', 'href="file:///etc/passwd"')),
    "a script that is missing": ("links", _replace("board.js", "bord.js")),
    "a page too large": ("size", _replace("1.5", "1.5 " * 100_000)),
    "what a template left": ("leftovers", _replace("<td>1.5</td>", "<td> None </td>")),
    "a number that is none": ("leftovers", _replace("<td>1.5</td>", "<td>nan</td>")),
    "a template": ("leftovers", _replace("<td>1.5</td>", "<td>{{ score }}</td>")),
}


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_found_by_its_check_on_its_page(name: str, site: Path) -> None:
    check, change = DEFECTS[name]
    page = site / "index.html"
    page.write_text(change(page.read_text()))
    assert (check, "index.html") in _found(site)


def test_a_page_that_no_link_leads_to_is_found(site: Path) -> None:
    (site / "lost.html").write_text(PAGE.replace("ROOT", ""))
    assert _found(site) == {("reachable", "lost.html")}


@pytest.mark.parametrize(
    ("text", "check"),
    [
        ("@import 'https://example.org/x.css';", "external"),
        ("body { background: url(//example.org/x.png) }", "external"),
        ('body { background: url("missing.png") }', "links"),
    ],
)
def test_what_a_style_sheet_loads_is_looked_at(text: str, check: str, site: Path) -> None:
    (site / "style.css").write_text(text)
    assert _found(site) == {(check, "style.css")}


def test_a_drawing_that_runs_code_is_found(site: Path) -> None:
    (site / "icon.svg").write_text('<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>')
    assert _found(site) == {("external", "icon.svg")}


def test_words_that_only_contain_a_leftover_are_none(site: Path) -> None:
    page = site / "index.html"
    page.write_text(
        page.read_text().replace(END, "<p>None of these; information about Nanjing, undefined behaviour</p>" + END)
    )
    assert site_files.check(site) == []


def test_kinds_are_patterns_of_paths() -> None:
    tasks = [f"{task}/{name}" for task in ("atari40m", "smoke") for name in ("index.html", "curves.html")]
    games = [f"atari40m/games/game{number}.html" for number in range(10)]
    runs = [f"{task}/runs/{config}/Pong-0.html" for task in ("atari40m", "smoke") for config in ("a1", "b2")]
    methods = [f"methods/m{number}.html" for number in range(10)]
    found = site_pages.kinds(["index.html", "rules.html", "methods/index.html", *tasks, *games, *runs, *methods])
    assert {kind: len(names) for kind, names in found.items()} == {
        "index.html": 1,
        "rules.html": 1,
        "methods/index.html": 1,
        "methods/*.html": 10,
        "*/index.html": 2,
        "*/curves.html": 2,
        "*/games/*.html": 10,
        "*/runs/*/Pong-0.html": 4,
    }


def test_every_kind_is_opened_the_largest_page_first_and_no_more_pages_than_the_bound(tmp_path: Path) -> None:
    (tmp_path / "games").mkdir()
    (tmp_path / "index.html").write_text("x")
    for number in range(20):
        (tmp_path / "games" / f"{number}.html").write_text("x" * (number + 1))
    assert site_pages.choose(tmp_path, 1) == {"index.html": ["index.html"], "games/*.html": ["games/19.html"]}
    few = site_pages.choose(tmp_path, 8)
    assert [len(names) for names in few.values()] == [1, 7]
    assert few["games/*.html"][:2] == ["games/19.html", "games/0.html"]
    assert sum(map(len, site_pages.choose(tmp_path, 100).values())) == 21


@pytest.mark.parametrize(("change", "status"), [(lambda text: text, 0), (_replace("#scores", "#score"), 1)])
def test_the_command_lists_findings_and_exits_accordingly(
    change: Callable[[str], str], status: int, site: Path
) -> None:
    (site / "index.html").write_text(change((site / "index.html").read_text()))
    command = [sys.executable, str(CI / "site_check"), str(site), "--only", "files", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == status, done.stderr
    assert len(json.loads(done.stdout)["findings"]) == status


def test_the_command_refuses_a_folder_without_pages(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(CI / "site_check"), str(tmp_path)], capture_output=True, check=False)
    assert done.returncode == 2
