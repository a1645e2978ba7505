import gzip
import hashlib
import json
import re
from collections import OrderedDict
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources
from xml.etree import ElementTree

import html5lib
import numpy as np
import pytest

from leaderboard.board import estimates, report, workers
from leaderboard.board.standings import normalized_scores
from leaderboard.board.views import Entry, Span
from leaderboard.site import links, making, profiles, render, text
from leaderboard.site.book import Book
from leaderboard.site.drawing import charts
from leaderboard.site.pages import changelog, coverage
from leaderboard.site.render import MARKER, build
from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.intervals import Estimate, estimate
from leaderboard.statistics.ranks import Ranking
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite.contracts import registry
from suite.errors import UsageError

pytestmark = pytest.mark.slow

VOID = {"meta", "link", "img", "source", "br", "hr", "input"}
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'"
)


class Page(HTMLParser):
    """Checks nesting, and collects text, attributes, ids and links."""

    def __init__(self, text):
        super().__init__()
        self.stack, self.text, self.tags, self.ids = [], [], [], []
        self.feed(text)
        self.close()
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        assert len(found) == len(attributes), f"doubled attribute in <{tag}>"
        self.tags.append((tag, found))
        if "id" in found:
            self.ids.append(found["id"])
        if tag not in VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.stack
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.stack):
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="module")
def published(published_database):
    """The report of the published curves alone."""
    return read(published_database)


@pytest.fixture(scope="module")
def published_pages(published_site):
    """Their pages, parsed."""
    return pages(published_site)


@pytest.fixture(scope="module")
def smoke_pages(smoke_site):
    """The pages of a complete smoke configuration, parsed."""
    return pages(smoke_site)


def pages(site):
    found = {str(path.relative_to(site)): Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    assert set(found) >= {"index.html", "smoke/index.html", "atari40m/index.html", "atari60/index.html"}
    return found


def files(site):
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def read(db):
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        return report.read(snapshot)


def test_pages_are_sound_and_stand_alone(published_site, published_pages):
    check(published_site, published_pages)


def test_pages_of_runs_are_sound_and_stand_alone(smoke_site, smoke_pages):
    check(smoke_site, smoke_pages)


def check(site, found):
    """Every page: strict policy, nothing inline or from elsewhere, every link and anchor there.

    The first page and the largest of every folder, and so of every template, is parsed by the rules of browsers too;
    `ci/nightly/run site` parses all.
    """
    parsed = {names[0] for names in by_folder(found).values()} | {
        max(names, key=lambda name: (site / name).stat().st_size) for names in by_folder(found).values()
    }
    ids = {name: set(page.ids) for name, page in found.items()}
    for name, page in found.items():
        first = next(given for tag, given in page.tags if given.get("http-equiv"))
        assert first == {"http-equiv": "Content-Security-Policy", "content": POLICY}
        assert len(page.ids) == len(set(page.ids)), name
        for tag, given in page.tags:
            assert "style" not in given, name
            assert tag != "style", name
            assert not [key for key in given if key.startswith("on")], name
            for key in ("href", "src", "srcset"):
                if key in given:
                    check_link(site, name, given[key], ids)
    for name in sorted(parsed):
        parser = html5lib.HTMLParser()
        parser.parse((site / name).read_text())
        assert [code for _, code, _ in parser.errors if "charref" not in code and "entity" not in code] == [], name


def by_folder(names):
    found = {}
    for name in names:
        found.setdefault(name.rpartition("/")[0], []).append(name)
    return found


def check_link(site, name, target, ids):
    if re.fullmatch(r"https://arxiv\.org/abs/\d{4}\.\d{4,5}", target):
        return  # a paper, for readers to follow
    assert not re.match(r"[a-z]+:|//", target), f"{name} leaves the site for {target}"
    path, _, anchor = target.partition("#")
    file = ((site / name).parent / path).resolve() if path else (site / name).resolve()
    assert file.is_file(), f"{name} leads to {target}"
    if anchor:
        assert anchor in ids[str(file.relative_to(site.resolve()))], f"{name} leads to {target}"


def test_charts_are_sound_accessible_and_without_colours_of_their_own_for_text(published_site):
    for name in ("curves.html", "profiles.html"):
        page = (published_site / "atari40m" / name).read_text()
        drawn = re.search(r'<svg class="lines".*?</svg>', page, re.DOTALL).group()
        root = ElementTree.fromstring(drawn.replace(" data-even", ""))
        assert root.attrib["role"] == "img"
        assert "IQN · Impala (published)" in root.attrib["aria-label"]
        assert {text.attrib.get("fill") for text in root.iter("text")} == {None}
        assert {group.attrib.get("fill") for group in root.iter("g")} <= {None, "currentColor"}
        assert "IQN · Impala (published)</li>" in page


def test_the_known_numbers_are_on_the_page_without_javascript(published_pages):
    words = published_pages["atari40m/index.html"].words
    for part in ("5.05", "1.68", "2.84", "1.94", "3.23", "2.62", "15/15 × 5"):  # noqa: RUF001
        assert part in words
    assert words.count("published by others") >= 10
    assert "does not say that run k of one iteration is run k of the next" in words
    assert "282,043" in published_pages["atari40m/games/index.html"].words  # DQN, Nature CNN, VideoPinball
    statistics = published_pages["statistics.html"].words
    assert STATISTICS_POLICY.name in statistics
    assert f"{STATISTICS_POLICY.final_repetitions:,}" in statistics
    assert published_pages["atari60/games/index.html"].words.count("not in the aggregate") == 5
    assert "55/55" in published_pages["atari60/index.html"].words


def test_every_number_of_a_board_is_that_of_the_statistics(published, published_pages):
    page = next(task for task in published.site.tasks if task.name == "atari40m")
    words = published_pages["atari40m/index.html"].words
    for row in page.full.standings:
        scores = normalized_scores(published.data["atari40m"].runs_of(row.entry.config_id))
        expected = estimate("iqm", scores)
        assert row.estimate == expected
        low, high = text.fixed(expected.low), text.fixed(expected.high)
        beside = text.fixed(estimate("iqm_rliable", scores).value)
        assert f"{text.fixed(expected.value)} {beside} [{low}, {high}]" in " ".join(words.split())


def test_entries_run_here_stand_before_those_that_others_published(published):
    task = next(one for one in published.site.tasks if one.name == "atari40m")
    *others, last = task.full.standings
    own = replace(last, entry=replace(last.entry, published=False), ranking=Ranking(("A",), 1, 1, 1), level="replayed")
    mixed = replace(task, full=replace(task.full, standings=(*others, own)), entries_here=1)
    values = {
        "task": mixed,
        "base": "atari40m/standings",
        "sides": "atari40m/compare/entries.js",
        "offered": {},
        "paired": {},
        "forest": None,
        "credits": {},
        "citation": "",
        "errors": {},
    }
    made = Book(published).html(links.board("atari40m"), "board.html", **values)
    root = html5lib.parse(made[links.board("atari40m")].decode(), namespaceHTMLElements=False)
    table = next(one for one in root.iter("table") if "board" in one.get("class", ""))
    columns = len(table.find("thead/tr"))
    bodies = [body.findall("tr") for body in table.findall("tbody")]
    assert [len(rows) - 1 for rows in bodies] == [1, len(others)]
    assert ["".join(rows[0].itertext()).strip().partition(":")[0] for rows in bodies] == [
        "Run here, ranked",
        "Published by others, for comparison",
    ]
    for head, *rows in bodies:
        assert int(head[0].get("colspan")) == columns
        assert {len(row) for row in rows} == {columns}


def test_profiles_end_where_no_entry_has_many_runs_above(published):
    page = next(one for one in published.site.tasks if one.name == "atari40m")
    data = published.data["atari40m"]
    config_id = page.full.standings[-1].entry.config_id
    (line,) = profiles.profile_lines(page, data, {config_id})
    last = line.points[-1].x
    every = normalized_scores(data.runs_of(config_id)).values()
    above = [sum(np.mean(values > at) for values in every) / len(every) for at in (last - 0.5, last)]
    assert last <= profiles.LAST
    assert above[0] >= profiles.RARE
    assert last == profiles.LAST or above[1] < profiles.RARE


def test_profiles_show_every_aggregate(published, published_pages):
    words = published_pages["atari40m/profiles.html"].words
    config_id = "dopamine.iqn.impala.atari40m@1"
    scores = normalized_scores(published.data["atari40m"].runs_of(config_id))
    for metric in estimates.METRICS:
        assert text.fixed(estimate(metric, scores).value) in words


def test_the_same_numbers_can_be_downloaded(published, published_site):
    rows = json.loads((published_site / "atari40m" / "standings.json").read_bytes())["rows"]
    board = next(task for task in published.site.tasks if task.name == "atari40m").full
    assert [row["iqm"] for row in rows] == [row.estimate.value for row in board.standings]
    assert all(row["group"] is None and row["published"] for row in rows)
    assert (published_site / "atari40m" / "standings.pdf").read_bytes().startswith(b"%PDF")


def test_pages_are_small(published_site):
    for name, content in files(published_site).items():
        assert not name.endswith(".html") or len(content) < render.PAGE_BYTES, name


def test_pages_that_are_too_large_are_named(smoke_database, smoke_site, tmp_path, monkeypatch):
    largest = max(len(path.read_bytes()) for path in smoke_site.rglob("*.html"))
    monkeypatch.setattr(render, "PAGE_BYTES", 1 + largest)
    assert build(smoke_database, tmp_path / "site").large == ()
    monkeypatch.setattr(render, "PAGE_BYTES", largest)
    lines = []
    (name,) = build(smoke_database, tmp_path / "site", progress=lines.append).large
    assert any(line.startswith(f"{name}: ") for line in lines)


@pytest.mark.parametrize("name", ["smoke", pytest.param("published", marks=pytest.mark.nightly)])
def test_the_same_database_gives_the_same_bytes(name, request, tmp_path):
    build(request.getfixturevalue(f"{name}_database"), tmp_path / "site")
    assert files(tmp_path / "site") == files(request.getfixturevalue(f"{name}_site"))
    assert [path.name for path in tmp_path.iterdir()] == ["site"]


def test_the_smoke_task_is_marked_as_a_demonstration(smoke_pages):
    found = smoke_pages
    words = found["smoke/index.html"].words
    assert "Demonstration only, not a ranking." in words
    assert "Rank" not in words.split()
    assert "Demonstration only, not a ranking." in found["index.html"].words
    assert "No results with the full budget of 40,000,000 frames yet." in found["atari40m/index.html"].words


def test_hostile_names_stay_text(tmp_path, run_maker, spec_maker):
    evil = "</td><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7 * 7 }}\"'&amp;"
    spec = spec_maker(agent=evil, network=evil, methods=(evil,), settings={"agent.gamma": evil})
    for game in ("Pong", "Breakout"):
        for seed in (0, 1):
            run_maker(tmp_path / "runs", spec, game, seed, departures={"agent.gamma": evil})
            run_maker(tmp_path / "runs", spec, game, seed + 5, state="failed")
    ingest([tmp_path / "runs"], tmp_path / "results.sqlite", references=False)
    build(tmp_path / "results.sqlite", tmp_path / "site")
    check(tmp_path / "site", pages(tmp_path / "site"))
    shown = 0
    for path in (tmp_path / "site").rglob("*.html"):
        tree = html5lib.parse(path.read_text(), namespaceHTMLElements=False)
        scripts = [item.attrib for item in tree.iter("script")]
        assert [(set(item), item["src"].rpartition("/")[2]) for item in scripts] == [({"src", "defer"}, "board.js")]
        assert all(item.attrib["src"].endswith(".svg") for item in tree.iter("img"))
        shown += evil in "".join(tree.itertext())
    assert shown >= 8
    for path in (tmp_path / "site").rglob("*.svg"):
        root = ElementTree.fromstring(path.read_text())
        assert not [item for item in root.iter() if item.tag.rpartition("}")[2] in ("script", "img", "image", "a")]


def test_templates_never_switch_escaping_off():
    for file in (resources.files("leaderboard.site") / "templates").iterdir():
        text = file.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape|Markup|tojson", text), file.name


def test_the_database_can_be_taken_away(smoke_site, smoke_pages, tmp_path):
    site, copy = smoke_site, smoke_site / "data" / "results.sqlite.gz"
    (tmp_path / "results.sqlite").write_bytes(gzip.decompress(copy.read_bytes()))
    with ResultStore.open(tmp_path / "results.sqlite") as store, store.snapshot() as snapshot:
        taken = snapshot.digest()
    assert (site / MARKER).read_text().strip() == taken
    shown = smoke_pages["data/index.html"].words
    assert hashlib.sha256(copy.read_bytes()).hexdigest() in shown


def test_the_board_has_a_file_of_what_chosen_entries_look_like_side_by_side(runs, tmp_path, run_maker, spec_maker):
    for number, n_step in enumerate((1, 3)):
        spec = spec_maker(settings={"agent.n_step": n_step})
        run_maker(tmp_path / "side", spec, "Pong", 0)
        run_maker(tmp_path / "side", spec, "Pong", 1 + number)
    ingest([tmp_path / "side"], tmp_path / "results.sqlite", references=False)
    build(tmp_path / "results.sqlite", tmp_path / "site")
    made = next((tmp_path / "site").rglob("compare/entries.js"))
    known = json.loads(made.read_text().removeprefix("self.chosenFrom = ").rstrip().removesuffix(";"))
    assert known["games"] == ["Pong"]
    assert sorted(entry["settings"]["agent.n_step"] for entry in known["entries"].values()) == ["1", "3"]
    assert {len(entry["games"]) for entry in known["entries"].values()} == {1}
    assert not any("agent.gamma" in entry["settings"] for entry in known["entries"].values())
    page = (made.parent.parent / "index.html").read_text()
    assert re.search(r'<div class="sides" data-for="table-\d+" data-from="compare/entries.js" hidden>', page)
    for key in known["entries"]:
        assert f'data-id="{key}"' in page


def test_coverage_shows_what_is_missing_and_wanted(runs, tmp_path, run_maker, spec_maker):
    run_maker(runs, spec_maker(), "Pong", 2, state="failed")
    run_maker(runs, spec_maker(methods=("redo",)), "Pong", 0)
    ingest([runs], tmp_path / "results.sqlite", references=False)
    found = read(tmp_path / "results.sqlite")
    page = next(task for task in found.site.tasks if task.name == "smoke")
    rows = {row.entry.methods: row for row in coverage.rows(found.data["smoke"], page)}
    assert [(count.done, count.unfinished) for count in rows["dense",].counts] == [(2, 1), (2, 0)]
    assert [(count.done, count.unfinished) for count in rows["redo",].counts] == [(1, 0), (0, 0)]
    wanted = coverage.wanted(found.data["smoke"], page)
    first = wanted[0]
    assert (first.entry.method, first.cell.game, first.cell.reason) == ("ReDo", "Breakout", "game")
    assert first.command.startswith("suite run --task smoke")
    build(tmp_path / "results.sqlite", tmp_path / "site")
    assert first.command in pages(tmp_path / "site")["coverage/smoke.html"].words


def test_the_changelog_follows_from_the_database(runs, tmp_path, run_maker, spec_maker):
    run_maker(runs, spec_maker(methods=("redo",)), "Pong", 0, started_at="2026-03-04T00:00:00Z")
    ingest([runs], tmp_path / "results.sqlite", references=False)
    days = changelog.days(read(tmp_path / "results.sqlite"))
    shown = [(day.date, [(batch.runs, batch.games, batch.first) for batch in day.batches]) for day in days]
    assert shown == [("2026-03-04", [(1, 1, True)]), ("2026-01-01", [(4, 2, True)])]


def test_a_game_shows_every_seed(smoke_database, smoke_pages):
    words = smoke_pages["smoke/games/Pong.html"].words
    found = read(smoke_database)
    for run in found.data["smoke"].runs:
        assert (text.raw(run.score) in words) or run.game != "Pong"


def test_an_empty_database_has_every_page(tmp_path):
    (tmp_path / "none").mkdir()
    ingest([tmp_path / "none"], tmp_path / "results.sqlite", references=False)
    build(tmp_path / "results.sqlite", tmp_path / "site")
    check(tmp_path / "site", pages(tmp_path / "site"))
    assert "Nothing was run here yet." in pages(tmp_path / "site")["changelog.html"].words


def test_a_folder_that_is_not_ours_is_left_alone(runs, tmp_path):
    ingest([runs], tmp_path / "results.sqlite", references=False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not a site built by this suite"):
        build(tmp_path / "results.sqlite", tmp_path / "mine")
    with pytest.raises(UsageError, match="not a site built by this suite"):
        build(tmp_path / "results.sqlite", tmp_path / "results.sqlite")
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "years of work"


def test_an_empty_folder_is_filled_and_an_old_site_replaced(runs, tmp_path):
    ingest([runs], tmp_path / "results.sqlite", references=False)
    out = tmp_path / "deep" / "site"
    out.mkdir(parents=True)
    build(tmp_path / "results.sqlite", out)
    (out / "stale.html").write_text("old")
    build(tmp_path / "results.sqlite", out)
    assert (out / MARKER).is_file()
    assert not (out / "stale.html").exists()
    assert [path.name for path in out.parent.iterdir()] == ["site"]


def test_a_failed_write_leaves_the_old_site(runs, tmp_path, monkeypatch):
    db, out = tmp_path / "results.sqlite", tmp_path / "site"
    ingest([runs], db, references=False)
    build(db, out)
    before = files(out)

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(render.Path, "write_bytes", fail)
    with pytest.raises(KeyboardInterrupt):
        build(db, out)
    monkeypatch.undo()
    assert files(out) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.sqlite", "runs", "site"]


def test_styles_follow_from_the_entry_alone():
    def entry(**changes):
        plain = {"config_id": "0" * 16, "agent": "DQN", "network": "Impala", "method": "dense", "label": "x"}
        plain |= {"methods": ("dense",), "published": False, "departures": (), "footnotes": (), "command": ""}
        return Entry(**plain | changes)

    methods = ("dense", "magnitude_pruning", "rigl", "set", "static_sparse", "redo", "reset", "weight_decay", "l2")
    assert len({charts.style(entry(methods=(name,))).colour for name in methods}) == len(methods)
    assert charts.style(entry(network="Nature CNN")).dash != charts.style(entry()).dash
    assert charts.style(entry(network="Impala ×3")).dash == charts.style(entry()).dash  # noqa: RUF001
    assert charts.style(entry(published=True)).colour != charts.style(entry()).colour
    assert charts.style(entry(methods=("newcomer",))) == charts.style(entry(methods=("newcomer",)))


def test_links_are_plain_and_relative():
    assert links.slug("058ff8cb163c2197") == "058ff8cb163c2197"
    hostile = [links.slug(name) for name in ("../../etc", "a/b", "index", "", "a" * 500, "a b", "a\nb")]
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}", one) and one != "index" for one in hostile)
    assert len(set(hostile)) == len(hostile)
    assert links.relative("rules.html#levels", "atari40m/games/Pong.html") == "../../rules.html#levels"
    assert links.pair("atari40m", "b", "a") == links.pair("atari40m", "a", "b") == "atari40m/compare/a--b.html"


def test_numbers_do_not_depend_on_how_many_processors_work(published, monkeypatch):
    data = published.data["atari40m"]
    ids = sorted(data.entries)[:4]
    asked = [estimates.Question("mean", normalized_scores(data.runs_of(config_id))) for config_id in ids]
    monkeypatch.setattr(estimates, "SECONDS_EACH", 1.0)
    monkeypatch.setattr(estimates, "_known", OrderedDict())
    few = replace(STATISTICS_POLICY, final_repetitions=400)
    monkeypatch.setattr(estimates, "POLICY", few)
    estimates.prepare(asked)
    parallel = [estimates.ask(question) for question in asked]
    assert parallel == [(estimate("mean", question.scores, few),) for question in asked]


def test_pages_do_not_depend_on_where_they_are_made(smoke_database, smoke_site, tmp_path, monkeypatch):
    monkeypatch.setattr(making, "SECONDS_EACH", 100.0)
    assert workers.processors() == 1 or workers._pays(making.SECONDS_EACH)
    build(smoke_database, tmp_path / "site")
    assert files(tmp_path / "site") == files(smoke_site)


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (text.fixed(1.005), "1.00"),
        (text.fixed(-0.001), "0.00"),
        (text.fixed(-20.71, 1), "−20.7"),  # noqa: RUF001
        (text.fixed(402083.84, 1), "402,083.8"),
        (text.fixed(None), "—"),
        (text.decimals(Estimate(1.5, 1.2, 1.8)), 2),
        (text.decimals(Estimate(0.001, -0.004, 0.0004)), 3),
        (text.decimals(Estimate(0.1, None, None)), 2),
        (text.si(40_000_000), "40M"),
        (text.si(1_622_000), "1.62M"),
        (text.si(16_000), "16k"),
        (text.si(18), "18"),
        (text.span(Span(3, 5), "whole"), "3–5"),  # noqa: RUF001
        (text.span(Span(0.95, 0.95), "percent"), "95\u202f%"),
        (text.span(Span(0.8, 0.95), "percent"), "80–95\u202f%"),  # noqa: RUF001
        (text.span(Span(90, 3600), "duration"), "1.5\u202fmin–1\u202fh"),  # noqa: RUF001
        (text.span(Span(3600, 7200), "duration"), "1–2\u202fh"),  # noqa: RUF001
        (text.span(Span(1_060_000, 1_062_000)), "1.06M"),
        (text.span(None), "—"),
    ],
)
def test_numbers_for_people(shown, expected):
    assert shown == expected


def test_published_numbers_stand_among_the_others_without_a_rank(published):
    pages = {page.name: page for page in published.site.tasks}
    for name in ("atari40m", "atari60"):
        rows = pages[name].full.standings
        assert len(rows) == 10
        assert all(row.entry.published and row.ranking is None and row.estimate.low is not None for row in rows)
        assert all(row.parameters is None and row.sparsity is None for row in rows)
        assert [row.estimate.value for row in rows] == sorted((row.estimate.value for row in rows), reverse=True)


def test_every_method_has_a_card_and_the_index_says_what_cannot_be_combined(published_pages):
    found = published_pages
    page = found["methods/index.html"]
    cards = {name: registry.card("method", name) for name in registry.registered("method") if name != "tiny"}
    for name, card in cards.items():
        assert name in page.ids
        letters = "".join(found[links.method(name)].words.split())
        for part in (card.title, card.digest, *card.deviations, *card.settings):
            assert "".join(part.replace("`", "").split()) in letters, name  # what stands between backticks is code
    refused = sum(one is not other and bool(one.refusal(other)) for one in cards.values() for other in cards.values())
    assert page.words.count("n/a") == refused + 1  # and once where it is explained
    assert "both decide which weights are zero" in page.words
    assert "dense is training without any other method" in page.words
