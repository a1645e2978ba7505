import re
from html.parser import HTMLParser
from importlib import resources
from xml.etree import ElementTree

import pytest

from leaderboard.site import charts, render, report
from leaderboard.site.render import MARKER, build
from leaderboard.site.views import Entry, Span
from leaderboard.statistics.aggregate import Estimate
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite import plugins
from suite.errors import UsageError

VOID = {"meta", "link", "img", "source", "br", "hr"}
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
def full(tmp_path_factory):
    """The database and the site of the published curves alone."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "none").mkdir()
    ingest([folder / "none"], folder / "results.sqlite")
    build(folder / "results.sqlite", folder / "site")
    return folder


@pytest.fixture
def site(runs, tmp_path):
    """The site of a complete smoke configuration."""
    ingest([runs], tmp_path / "results.sqlite", references=False)
    build(tmp_path / "results.sqlite", tmp_path / "site")
    return tmp_path / "site"


def pages(site):
    found = {str(path.relative_to(site)): Page(path.read_text()) for path in sorted(site.rglob("*.html"))}
    assert set(found) >= {"index.html", "smoke/index.html", "atari40m/index.html", "atari60/index.html"}
    return found


def files(site):
    return {str(path.relative_to(site)): path.read_bytes() for path in site.rglob("*") if path.is_file()}


def test_pages_are_sound_and_stand_alone(full):
    site = full / "site"
    for name, page in pages(site).items():
        first = next(found for tag, found in page.tags if found.get("http-equiv"))
        assert first == {"http-equiv": "Content-Security-Policy", "content": POLICY}
        assert len(page.ids) == len(set(page.ids))
        for tag, found in page.tags:
            assert "style" not in found
            assert not [key for key in found if key.startswith("on")]
            for key in ("href", "src", "srcset"):
                target = found.get(key)
                if target is None:
                    continue
                assert not re.match(r"[a-z]+:|//", target), f"{name}: <{tag}> leaves the site for {target}"
                path, _, anchor = target.partition("#")
                assert not path or ((site / name).parent / path).resolve().is_file()
                assert not anchor or path or anchor in page.ids
        assert "http://" not in (site / name).read_text()
        assert "https://" not in (site / name).read_text()


def test_charts_are_sound_accessible_and_without_colours_of_their_own_for_text(full):
    for name in ("curves.svg", "curves-narrow.svg"):
        svg = (full / "site" / "atari40m" / name).read_text()
        root = ElementTree.fromstring(svg)
        assert root.attrib["role"] == "img"
        assert "IQN · Impala (published) 5.05" in root.attrib["aria-label"]
        assert charts.INK not in svg
        assert "currentColor" in svg
        assert "prefers-color-scheme:dark" in svg
        assert not re.findall(r"(?:href|url\()", svg)


def test_the_known_numbers_are_on_the_page_without_javascript(full):
    words = pages(full / "site")["atari40m/index.html"].words
    for text in ("5.05 [4.93, 5.18]", "1.68", "2.84", "1.94", "3.23", "2.62", "15/15", "stats-v1", "20,000"):
        assert text in words
    assert words.count("published by others, not run here") >= 10
    assert "run k of one iteration need not be run k of the next" in words
    assert "282,042.8" in words  # DQN with the Nature CNN on VideoPinball
    sixty = pages(full / "site")["atari60/index.html"].words
    assert sixty.count("not in the aggregate") == 5
    assert "55/55" in sixty


def test_pages_are_small(full):
    for name, content in files(full / "site").items():
        assert len(content) < 300_000, name


def test_the_same_database_gives_the_same_bytes(full, site):
    before = files(site)
    build(site.parent / "results.sqlite", site)
    assert files(site) == before
    build(full / "results.sqlite", site)
    assert files(site) == files(full / "site")
    assert sorted(path.name for path in site.parent.iterdir()) == ["results.sqlite", "runs", "site"]


def test_the_smoke_task_is_marked_as_a_demonstration(site):
    found = pages(site)
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
    page = pages(tmp_path / "site")["smoke/index.html"]
    assert evil in page.words
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert sum(tag == "img" for tag, _ in page.tags) == 1
    root = ElementTree.fromstring((tmp_path / "site" / "smoke" / "curves.svg").read_text())
    assert not [item for item in root.iter() if item.tag.rpartition("}")[2] in ("script", "img", "image", "a")]


def test_templates_never_switch_escaping_off():
    for file in (resources.files("leaderboard.site") / "templates").iterdir():
        text = file.read_text()
        assert not re.search(r"\|\s*safe\b|autoescape|Markup|tojson", text), file.name


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
        return Entry(**plain | {"published": False, "departures": (), "footnotes": (), "command": ""} | changes)

    methods = ("dense", "magnitude pruning", "rigl", "set", "static sparsity", "redo", "reset", "weight decay", "l2")
    assert len({charts.style(entry(method=name)).colour for name in methods}) == len(methods)
    assert charts.style(entry(network="Nature CNN")).dash != charts.style(entry()).dash
    assert charts.style(entry(network="Impala ×3")).dash == charts.style(entry()).dash  # noqa: RUF001
    assert charts.style(entry(published=True)).colour != charts.style(entry()).colour
    assert charts.style(entry(method="a newcomer")) == charts.style(entry(method="a newcomer"))


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (render.fixed(1.005), "1.00"),
        (render.fixed(-0.001), "0.00"),
        (render.fixed(-20.71, 1), "−20.7"),  # noqa: RUF001
        (render.fixed(402083.84, 1), "402,083.8"),
        (render.fixed(None), "—"),
        (render.decimals(Estimate(1.5, 1.2, 1.8)), 2),
        (render.decimals(Estimate(0.001, -0.004, 0.0004)), 3),
        (render.decimals(Estimate(0.1, None, None)), 2),
        (render.si(40_000_000), "40M"),
        (render.si(1_622_000), "1.62M"),
        (render.si(16_000), "16k"),
        (render.si(18), "18"),
        (render.span(Span(3, 5), "whole"), "3–5"),  # noqa: RUF001
        (render.span(Span(0.95, 0.95), "percent"), "95\u202f%"),
        (render.span(Span(1_060_000, 1_062_000)), "1.06M"),
        (render.span(None), "—"),
    ],
)
def test_numbers_for_people(shown, expected):
    assert shown == expected


def test_published_numbers_stand_among_the_others_without_a_rank(full):
    with ResultStore.open(full / "results.sqlite") as store, store.snapshot() as snapshot:
        pages = {page.name: page for page in report.site(snapshot).tasks}
    for name in ("atari40m", "atari60"):
        rows = pages[name].full.standings
        assert len(rows) == 10
        assert all(row.entry.published and row.rank is None and row.estimate.low is not None for row in rows)
        assert all(row.parameters is None and row.sparsity is None for row in rows)
        assert [row.estimate.value for row in rows] == sorted((row.estimate.value for row in rows), reverse=True)


def test_the_methods_page_shows_every_card_and_what_cannot_be_combined(full):
    page = pages(full / "site")["methods.html"]
    cards = {name: plugins.card("method", name) for name in plugins.registered("method") if name != "tiny"}
    for name, card in cards.items():
        assert name in page.ids
        for text in (card.title, card.digest, *card.deviations, *(f"{key}" for key in card.settings)):
            assert " ".join(text.split()) in page.words, name
    refused = sum(one is not other and bool(one.refusal(other)) for one in cards.values() for other in cards.values())
    assert page.words.count("n/a") == refused + 1  # and once where it is explained
    assert "both decide which weights are zero" in page.words
    assert "dense is training without any other method" in page.words
