"""Every table and every figure of the pages can be taken away, with the numbers that the page shows."""

import csv
import io
import json
import posixpath
import re
from collections import OrderedDict
from dataclasses import replace
from xml.etree import ElementTree

import html5lib
import pytest

from leaderboard.board import estimates, exports, report
from leaderboard.site import links, text
from leaderboard.site.book import Book
from leaderboard.site.drawing import pdf_bytes, plot_files, plots
from leaderboard.site.drawing.charts import Point
from leaderboard.site.pages import board, coverage, curves, entries, games, method, methods, profiles, run, submission
from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from leaderboard.store.rows import Flag, StoredSubmission, SubmittedRun
from suite.tasks import human_normalized, load_task

KINDS = (board, coverage, curves, entries, games, method, methods, profiles, run, submission)
EVIL = "</text><script>alert(1)</script>\x00\x9f&\"'\\input{x}=1\u202e\u6f22"
SPOKEN = "</text><script>alert(1)</script>&\"'\\input{x}=1"
"""Without what no spec may hold."""
NUMBERS = {"csv", "json", "tex"}
FEW = replace(STATISTICS_POLICY, final_repetitions=200, curve_repetitions=40)
LEARNER, HISTORY = "a1" * 32, "b2" * 32

MADE = {}
"""The report of the database below and the files of all kinds of pages, made once."""


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Let the pages draw fewer resamples."""
    monkeypatch.setattr(estimates, "POLICY", FEW)
    monkeypatch.setattr(estimates, "_known", OrderedDict())


def checkpoint(step):
    return {
        "attempt": 1, "agent_step": step, "frame": 4 * step, "updates": step // 4,
        "learner": LEARNER, "history": HISTORY,
    }  # fmt: skip


def diagnostics(step):
    values = {"loss": 1 / step, "sparsity": 0.25}
    return {"attempt": 1, "agent_step": step, "frame": 4 * step, "updates": step // 4, "values": values}


def write_lines(file, rows):
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def submitted(data):
    """Return a submission of all finished runs of one entry, with findings."""
    config_id = min(data.entries)
    runs = tuple(
        SubmittedRun(config_id, one.game, one.seed, one.environment_fingerprint, one.digest, one.state, one.score, True)
        for one in data.runs_of(config_id)
        if one.finished
    )
    found = [
        {"code": "S101", "severity": "note", "where": f"runs/{i}", "message": EVIL, "remedy": "look"} for i in range(3)
    ]
    return StoredSubmission(
        slug="doe", sha256="c" * 64, title=EVIL, authors=({"name": "J. Doe"},), license="CC0-1.0", links=(),
        submitted_at="2026-02-01T00:00:00Z", level="recomputed", report={"findings": found},
        flags=(Flag("odd", "x", "2026-02-01", "m"),), current=True, attested_by=None, attested_at=None, evidence="",
        cards={}, environment={}, statement={}, runs=runs,
    )  # fmt: skip


@pytest.fixture
def made(run_holder, spec_maker, tmp_path_factory):
    """Return report and files: two entries and a hostile one, a shortened budget, a failed run, a submission."""
    if not MADE:
        folder = tmp_path_factory.mktemp("downloads")
        hostile = spec_maker(agent=SPOKEN, methods=("rigl",))
        short = spec_maker(frames=load_task("smoke").budget.length // 2)
        for spec, level in ((spec_maker(), 1.0), (spec_maker(methods=("redo",)), 0.7), (hostile, 0.4), (short, 0.5)):
            for game in load_task("smoke").games:
                for seed in range(3):
                    with run_holder(folder / "runs", spec, game, seed, level=level) as path:
                        write_lines(path / "checkpoints.jsonl", map(checkpoint, range(500, 4001, 500)))
                        write_lines(path / "diagnostics.jsonl", map(diagnostics, range(500, 4001, 500)))
        with run_holder(folder / "runs", spec_maker(methods=("redo",)), "Pong", 7, state="failed"):
            pass
        ingest([folder / "runs"], folder / "results.sqlite", references=False)
        with ResultStore.open(folder / "results.sqlite") as store, store.snapshot() as snapshot:
            found = report.read(snapshot)
        found = replace(found, submissions=(submitted(found.data["smoke"]),))
        MADE["report"], MADE["files"] = found, make(found)
    return MADE["report"], MADE["files"]


def make(found):
    book, files = Book(found), {}
    for kind in KINDS:
        new = kind.pages(book)
        assert not files.keys() & new.keys()
        files |= new
    return files


def tree(files, path):
    return html5lib.parse(files[path].decode(), namespaceHTMLElements=False)


def offered(files, path):
    """Return what a page offers, by stems: the ends of the files, each of which is there."""
    found = {}
    for line in tree(files, path).iter("p"):
        for link in line.iter("a") if line.get("class") == "downloads" else ():
            target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link.get("href")))
            assert target in files, f"{path} offers {target}"
            stem, _, end = target.rpartition(".")
            found.setdefault(stem, set()).add(end)
    return found


def numbers(files, stem):
    rows = list(csv.DictReader(io.StringIO(files[f"{stem}.csv"].decode())))
    same = json.loads(files[f"{stem}.json"])["rows"]
    assert len(rows) == len(same)
    for row, other in zip(rows, same, strict=True):
        assert row.keys() == other.keys()
        for name, value in other.items():
            told = {None: "", True: "true", False: "false"}.get(value) if value in (None, True, False) else str(value)
            if not isinstance(value, int | float) or isinstance(value, bool):
                assert row[name].removeprefix("'") == (told or "")
            else:
                assert float(row[name]) == value
    return same


def pages_of(files, pattern):
    found = sorted(path for path in files if re.fullmatch(pattern, path))
    assert found
    return found


def cells(files, path, kind=None, **given):
    """Return the texts of the rows of a page's table with these attributes."""
    tables = [one for one in tree(files, path).iter("table") if all(one.get(k) == v for k, v in given.items())]
    (table,) = [one for one in tables if kind is None or kind in (one.get("class") or "").split()]
    rows = [["".join(cell.itertext()).strip() for cell in row] for body in table.iter("tbody") for row in body]
    return [[" ".join(cell.split()) for cell in row] for row in rows]


@pytest.mark.parametrize(
    ("pattern", "stems"),
    [
        (r"smoke/index\.html", {"smoke/standings": True, "smoke/unfinished": False}),
        (r"smoke/curves\.html", {"smoke/curves": True, "smoke/curves-all": False}),
        (
            r"smoke/profiles\.html",
            {"smoke/profiles": True, "smoke/shares": False, "smoke/aggregates": False},
        ),
        (r"smoke/games/index\.html", {"smoke/games/scores": False}),
        (r"smoke/games/Pong\.html", {"{}-scores": False, "{}-curves": True}),
        (r"coverage/smoke\.html", {"{}-seeds": False, "{}-wanted": False}),
        (r"coverage/index\.html", {"coverage/tasks": False}),
        (r"methods/index\.html", {"methods/combinations": False}),
        (r"methods/rigl\.html", {"{}": False, "{}-settings": False, "{}-diagnostics-smoke": True}),
        (r"methods/set\.html", {"{}-settings": False}),
        (r"submissions/index\.html", {"submissions/list": False}),
        (r"submissions/doe\.html", {"{}-runs": False, "{}-findings": False}),
    ],
)
def test_each_table_and_figure_has_its_files(made, pattern, stems):
    _, files = made
    (path,) = pages_of(files, pattern)
    found = offered(files, path)
    for stem, figure in stems.items():
        assert found[stem.format(path.removesuffix(".html"))] == NUMBERS | ({"pdf"} if figure else set())


def test_a_shortened_budget_has_its_files_apart(made):
    found, files = made
    task = next(task for task in found.site.tasks if task.name == "smoke")
    (short,) = task.shortened
    own = offered(files, "smoke/index.html")
    assert own[f"smoke/standings-{short.frames}"] == NUMBERS | {"pdf"}
    assert own[f"smoke/games-{short.frames}"] == NUMBERS
    whole, part = numbers(files, "smoke/standings"), numbers(files, f"smoke/standings-{short.frames}")
    assert [row["iqm"] for row in part] == [row.estimate.value for row in short.standings]
    assert not {row["config_id"] for row in whole} & {row["config_id"] for row in part}
    assert "not comparable" in json.loads(files[f"smoke/standings-{short.frames}.json"])["caption"]


def test_entries_and_runs_offer_theirs(made):
    found, files = made
    for entry in found.data["smoke"].entries.values():
        own = offered(files, links.entry("smoke", entry.config_id))
        stem = links.entry("smoke", entry.config_id).removesuffix(".html")
        assert own[f"{stem}-games"] == NUMBERS
        shortened = found.data["smoke"].configurations[entry.config_id].shortened
        assert own.get(f"{stem}-curve") == (None if shortened else NUMBERS | {"pdf"})
        path = links.runs("smoke", entry.config_id, "Pong")
        assert offered(files, path) == {path.removesuffix(".html"): {"csv"}}


def test_every_file_is_offered_by_some_page(made):
    _, files = made
    reached = {
        f"{stem}.{end}"
        for path in files
        if path.endswith(".html")
        for stem, ends in offered(files, path).items()
        for end in ends
    }
    assert {path for path in files if path.rpartition(".")[2] in exports.FORMATS} == reached


def test_every_table_of_numbers_is_near_its_files(made):
    """A data table without a line of downloads behind it, before the next heading, is one that was forgotten.

    Tables of class `curves` are the numbers of the figure before them, which has that line.
    """
    _, files = made
    for path in (path for path in files if path.endswith(".html")):
        waiting = None
        for element in tree(files, path).iter():
            kind = (element.get("class") or "").split()
            if element.tag == "table" and not {"facts", "curves"} & set(kind):
                waiting = waiting or element.get("class") or "table"
            elif element.tag == "p" and element.get("class") == "downloads":
                waiting = None
            elif element.tag in ("h2", "footer"):
                assert waiting is None, f"{path}: {waiting}"


def test_every_link_to_a_file_says_by_itself_what_it_leads_to(made):
    _, files = made
    pages = 0
    for path in (path for path in files if path.endswith(".html")):
        links = [link for link in tree(files, path).iter("a") if link.get("download") is not None]
        said = [link.get("aria-label") or "".join(link.itertext()) for link in links]
        assert len(said) == len(set(said)), path
        assert all(label.startswith("".join(link.itertext())) for label, link in zip(said, links, strict=True))
        pages += bool(links)
    assert pages > 10


def test_the_games_of_an_entry_are_those_of_its_page(made):
    found, files = made
    data = found.data["smoke"]
    for config_id, entry in data.entries.items():
        path = links.entry("smoke", config_id)
        rows = numbers(files, f"{path.removesuffix('.html')}-games")
        runs = {(one.game, one.seed): one for one in data.runs_of(config_id)}
        assert {(row["game"], row["seed"]) for row in rows} == set(runs)
        for row in rows:
            one = runs[row["game"], row["seed"]]
            assert (row["score"], row["state"], row["level"]) == (one.score, one.state, one.level)
        shown = {row[0]: row[1:3] for row in cells(files, path, id="entry-games")}
        assert shown == {row["game"]: [text.raw(row["mean"]), text.fixed(row["mean_normalized"])] for row in rows}
        assert not entry.published


def test_the_curve_of_an_entry_is_that_of_its_page(made):
    found, files = made
    task = next(task for task in found.site.tasks if task.name == "smoke")
    assert len(task.full.curves) == 3
    for curve in task.full.curves:
        path = links.entry("smoke", curve.entry.config_id)
        rows = numbers(files, f"{path.removesuffix('.html')}-curve")
        shown = cells(files, path, kind="curves")
        assert [(row["frames"], row["iqm"], row["low"], row["high"]) for row in rows] == [
            (point.frames, point.estimate.value, point.estimate.low, point.estimate.high) for point in curve.points
        ]
        digits = [text.decimals(point.estimate) for point in curve.points]
        assert [row[:2] for row in shown] == [
            [f"{row['frames']:,}", text.fixed(row["iqm"], places)] for row, places in zip(rows, digits, strict=True)
        ]


def test_the_scores_of_a_game_are_those_of_its_page(made):
    found, files = made
    data = found.data["smoke"]
    rows = numbers(files, "smoke/games/Breakout-scores")
    runs = {(one.config_id, one.seed): one for one in data.runs if one.game == "Breakout" and one.finished}
    full = {config_id for config_id, item in data.configurations.items() if not item.shortened}
    assert {(row["config_id"], row["seed"]) for row in rows} == {key for key in runs if key[0] in full}
    for row in rows:
        assert row["score"] == runs[row["config_id"], row["seed"]].score
        assert row["normalized"] == human_normalized("Breakout", row["score"])
    every = " ".join(row[-1] for row in cells(files, "smoke/games/Breakout.html", id="scores-Breakout"))
    assert sorted(re.findall(r"\d+ (\S+)", every)) == sorted(text.raw(row["score"]) for row in rows)


def test_the_curves_of_a_game_are_means_over_seeds(made):
    found, files = made
    data = found.data["smoke"]
    for row in numbers(files, "smoke/games/Pong-curves"):
        index = row["frames"] // data.task.budget.iteration_length - 1
        own = [one for one in data.runs_of(row["config_id"]) if one.game == "Pong" and one.finished]
        assert row["mean_return"] == pytest.approx(sum(one.iterations[index] for one in own) / len(own))


def test_the_curve_and_the_hashes_of_a_run_are_those_of_its_page(made):
    found, files = made
    data = found.data["smoke"]
    for config_id in data.entries:
        runs = [one for one in data.runs_of(config_id) if one.game == "Pong"]
        path = links.runs("smoke", config_id, "Pong")
        rows = list(csv.DictReader(io.StringIO(files[path.removesuffix(".html") + ".csv"].decode())))
        for one in runs:
            step = data.task.budget.iteration_length
            own = [(int(row["frames"]), float(row["mean_return"])) for row in rows if int(row["seed"]) == one.seed]
            assert own == [((index + 1) * step, mean) for index, mean in one.iterations.items()]
        shown = cells(files, path, kind="hashes")
        assert len(shown) == len([one for one in runs if one.finished])
        assert all(row[1:] == ["4,000", "8", f"{LEARNER[:32]}…", f"{HISTORY[:32]}…"] for row in shown)


def test_coverage_is_that_of_its_page(made):
    found, files = made
    names = load_task("smoke").games
    rows = numbers(files, "coverage/smoke-seeds")
    shown = cells(files, "coverage/smoke.html", kind="seeds")
    assert len(rows) == len(names) * len(shown)
    for place, row in enumerate(rows):
        cell = shown[place // len(names)][2 + place % len(names)]
        more = f"+{row['unfinished']}" if row["unfinished"] else ""
        assert cell == f"{row['done']}{more}"
        assert row["done"] == len(row["seeds"].split())
    task = next(task for task in found.site.tasks if task.name == "smoke")
    wanted = coverage.wanted(found.data["smoke"], task)
    assert [
        (row["game"], row["seed"], row["gain"], row["command"]) for row in numbers(files, "coverage/smoke-wanted")
    ] == [(item.cell.game, item.cell.seed, item.cell.gain, item.command) for item in wanted]
    for row in numbers(files, "coverage/tasks"):
        assert row["missing"] == max(row["asked"] - row["results"], 0)


def test_profiles_and_shares_are_those_of_the_page(made):
    _, files = made
    shares = numbers(files, "smoke/shares")
    shown = cells(files, "smoke/profiles.html", id="profiles-all")
    names = [name for name in shares[0] if name.startswith("above_")]
    assert [row[1:] for row in shown] == [[f"{text.fixed(100 * row[name], 1)} %" for name in names] for row in shares]
    at_zero = {row["config_id"]: row["share"] for row in numbers(files, "smoke/profiles") if row["above"] == 0}
    assert at_zero == {row["config_id"]: row["above_0"] for row in shares}


def test_the_mean_heights_are_those_of_the_page(made):
    _, files = made
    rows = numbers(files, "smoke/curves-all")
    shown = cells(files, "smoke/curves.html", id="curves-all")
    assert len(rows) == len(shown) == 3
    for row, cell in zip(rows, shown, strict=True):
        assert cell[-1].startswith(text.fixed(row["mean_height"], 2))


def test_settings_and_combinations_are_those_of_the_cards(made):
    found, files = made
    cards = found.site.methods
    for card in cards:
        if card.parameters:
            rows = numbers(files, f"methods/{card.id}-settings")
            assert [(row["parameter"], row["published_value"]) for row in rows] == [
                (one.name, one.value) for one in card.parameters
            ]
    rows = numbers(files, "methods/combinations")
    words = [cell for row in cells(files, "methods/index.html", kind="pairs") for cell in row]
    assert sum(row["allowed"] for row in rows) == words.count("yes")
    assert sum(not row["allowed"] for row in rows) == words.count("n/a")


def test_diagnostics_are_what_the_panels_show(made):
    _, files = made
    rows = numbers(files, "methods/rigl-diagnostics-smoke")
    assert {row["quantity"] for row in rows} == {"Sparsity", "Loss"}
    assert {row["value"] for row in rows if row["quantity"] == "Sparsity"} == {0.25}


def test_a_submission_has_all_its_runs_and_findings(made):
    found, files = made
    (item,) = found.submissions
    rows = numbers(files, "submissions/doe-runs")
    assert [(row["game"], row["seed"], row["score"], row["stands"], row["sha256"]) for row in rows] == [
        (one.game, one.seed, one.score, True, one.digest) for one in item.runs
    ]
    assert [row["where"] for row in numbers(files, "submissions/doe-findings")] == ["runs/0", "runs/1", "runs/2"]
    assert numbers(files, "submissions/list")[0]["runs"] == len(item.runs)


def test_everything_has_the_same_bytes_every_time(made):
    found, files = made
    again = make(found)
    assert [path for path in files if files[path] != again.get(path)] == []
    assert again.keys() == files.keys()


def test_every_pdf_is_one_and_every_tex_is_a_table(made):
    _, files = made
    drawn = [path for path in files if path.endswith(".pdf")]
    assert len(drawn) > 10
    assert all(files[path].startswith(b"%PDF-") and b"%%EOF" in files[path][-8:] for path in drawn)
    for path in (path for path in files if path.endswith(".tex")):
        lines = files[path].decode().splitlines()
        assert lines[0].startswith(r"\begin{tabular}")
        assert lines[-1] == r"\end{tabular}"
        counts = {len(re.findall(r"(?<!\\)&", line)) for line in lines if line.endswith(r"\\")}
        assert len(counts) == 1, path


def test_pages_stay_small(made):
    _, files = made
    assert max(len(content) for path, content in files.items() if path.endswith(".html")) < 100_000


def test_hostile_text_stays_text_in_every_file(made):
    _, files = made
    for path, content in files.items():
        if path.endswith(".tex"):
            assert b"\\input" not in content, path
        if path.endswith(".csv"):
            assert b"\x00" not in content, path
            assert "\u202e" not in content.decode(), path
    assert any("textbackslash{}input" in files[path].decode() for path in files if path.endswith(".tex"))


def line(*values, **more):
    return plots.Trace(tuple(Point((i + 1) * 1000, value) for i, value in enumerate(values)), **more)


def test_a_hostile_name_in_a_figure_stays_text():
    drawn = plots.plot([line(1, 2, colour="#2f7fd0"), line(2, 1, faint=True)])
    keys = [plot_files.Key(EVIL, "#2f7fd0"), plot_files.Key("x" * 5000, faint=True)]
    picture = plot_files.Picture.of(drawn, EVIL, EVIL, keys)
    root = ElementTree.fromstring(plot_files.svg(picture))
    assert {item.tag.rpartition("}")[2] for item in root.iter()} == {"svg", "g", "path", "text"}
    words = ["".join(item.itertext()) for item in root.iter() if item.tag.endswith("text")]
    assert words.count(pdf_bytes.printable(EVIL)) == 3
    assert sum(len(word) for word in words if set(word) <= {"x", "\N{HORIZONTAL ELLIPSIS}"}) == plot_files.LONGEST
    assert plot_files.pdf(picture) == plot_files.pdf(picture)


def test_a_figure_has_its_lines_titles_and_a_legend_of_more_than_one_line():
    drawn = plots.plot([line(1, 2, colour="#2f7fd0", dash=(6, 3), shape="square"), line(2, 1, colour="#d9601a")])
    keys = [plot_files.Key("one", "#2f7fd0", (6, 3), shape="square"), plot_files.Key("other", "#d9601a")]
    root = ElementTree.fromstring(plot_files.svg(plot_files.Picture.of(drawn, "frames", "return", keys)))
    words = ["".join(item.itertext()) for item in root.iter() if item.tag.endswith("text")]
    ticks = [tick.text for tick in (*drawn.x_labels, *drawn.y_labels)]
    assert sorted(words) == sorted(["frames", "return", "one", "other", *ticks])
    strokes = [item.get("stroke") for item in root.iter() if item.get("stroke", "").startswith("#")]
    assert strokes.count("#2f7fd0") == strokes.count("#d9601a") == 2
    assert float(root.get("width")) == plot_files.WIDTH
    alone = ElementTree.fromstring(plot_files.svg(plot_files.Picture.of(drawn, "frames", "return", keys[:1])))
    assert "one" not in ["".join(item.itertext()) for item in alone.iter()]


def test_lines_and_text_lie_on_the_paper():
    drawn = plots.plot([line(-1e6, 2e6, 3), line(5, 7e6)], width=320, height=170)
    picture = plot_files.Picture((("A", drawn), ("B", drawn), ("C", drawn)), "frames", "", (), 2)
    root = ElementTree.fromstring(plot_files.svg(picture))
    panels = [item for item in root[0] if item.tag.endswith("g")]
    places = [tuple(map(float, re.findall(r"[\d.]+", item.get("transform")))) for item in panels]
    assert len({x for x, _ in places}) == len({y for _, y in places}) == 2
    for (x, y), panel in zip(places, panels, strict=True):
        for word in (item for item in panel if item.tag.endswith("text")):
            assert 0 <= x + float(word.get("x")) <= plot_files.WIDTH
            assert 0 <= y + float(word.get("y")) <= float(root.get("height"))


def test_what_is_offered_is_what_was_made():
    assert exports.offered({"a/b.csv": b"", "a/b.pdf": b"", "a/b.svg": b"", "a/c.d.tex": b""}) == {
        "a/b": ("csv", "pdf"),
        "a/c.d": ("tex",),
    }


def test_a_table_without_rows_is_json_too():
    empty = exports.Table("none", 'a "title"', (exports.Column("x", "X"),), ())
    assert json.loads(exports.json_file(empty)) == {
        "schema": "leaderboard.table/1", "name": "none", "caption": 'a "title"', "columns": ["x"], "rows": [],
    }  # fmt: skip
