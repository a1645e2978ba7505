import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import combinations

import html5lib
import numpy as np
import pytest

from leaderboard.board import duels, learning, report
from leaderboard.board.answers import answers
from leaderboard.board.standings import normalized_scores
from leaderboard.board.twins import twins
from leaderboard.site import links
from leaderboard.site.book import Book, environment
from leaderboard.site.drawing import heat, spans
from leaderboard.site.pages import (
    board,
    changelog,
    compare,
    curves,
    entries,
    method,
    overview,
    pair,
    run,
    submission,
    tradeoffs,
)
from leaderboard.site.text import decimals, fixed, signed
from leaderboard.statistics.curves import area_between, area_under_curve
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import iqm
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from leaderboard.store.rows import Flag, StoredSubmission, SubmittedRun
from suite.errors import UsageError
from suite.records import covariance
from suite.records.verified import content_of, write_verified

FINDING = ("code", "severity", "where", "message", "remedy")
METHODS = {"dense": 1.0, "rigl": 0.6, "redo": 0.98}
MAP = covariance.pack(np.where(np.eye(32) > 0, 1.0, np.tile([[-0.9], [0.9]], (16, 32))))
"""Cosines of 32 gradients, a row all alike, the next all unlike; only what is above the diagonal counts."""
LEARNER, HISTORY = "a1" * 32, "b2" * 32


class Page(HTMLParser):
    """Collects words, attributes and links; checks that the page is sound HTML."""

    def __init__(self, content):
        super().__init__()
        self.text, self.tags = [], []
        html5lib.HTMLParser(strict=True).parse(content.decode())
        self.feed(content.decode())
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def write_details(path):
    """Add diagnostics and checkpoint hashes to a run directory that is still open."""
    rows = [
        {
            "attempt": 1,
            "agent_step": step,
            "frame": 4 * step,
            "updates": step // 4,
            "values": {"loss": 0.5, "sparsity": 0.25, "sparsity/hidden_0": 0.5}
            | ({"srank": step / 100} if step % 1000 == 0 else {}),
        }
        | ({"covariance": MAP} if step % 1000 == 0 else {})
        for step in range(500, 4001, 500)
    ]
    (path / "diagnostics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    marks = [
        {
            "attempt": 1,
            "agent_step": step,
            "frame": 4 * step,
            "updates": step // 4,
            "learner": LEARNER,
            "history": HISTORY,
        }
        for step in range(500, 4001, 500)
    ]
    (path / "checkpoints.jsonl").write_text("".join(json.dumps(row) + "\n" for row in marks))


BUILT = {}
"""The report of the database below, made once."""


@pytest.fixture
def found(run_holder, spec_maker, tmp_path_factory):
    """Return the report of three methods on the smoke task, three seeds each; one more seed of rigl failed."""
    if not BUILT:
        folder = tmp_path_factory.mktemp("detail")
        for name, level in METHODS.items():
            spec = spec_maker(methods=(name,), settings={"agent.n_step": 5} if name == "redo" else None)
            for game in ("Pong", "Breakout"):
                for seed in range(3):
                    more = {"departures": {"agent.n_step": 3}} if name == "redo" else {}
                    with run_holder(folder / "runs", spec, game, seed, level=level, **more) as path:
                        write_details(path)
                    write_verified(path, content_of(path), 0, 0)
        with run_holder(
            folder / "runs", spec_maker(methods=("rigl",)), "Pong", 7, state="failed", unreached=("rigl: never acts.",)
        ):
            pass
        ingest([folder / "runs"], folder / "results.sqlite", references=False)
        with ResultStore.open(folder / "results.sqlite") as store, store.snapshot() as snapshot:
            BUILT["report"] = report.read(snapshot)
    return BUILT["report"]


def test_what_inspections_found_is_on_the_pages_of_runs_entries_and_methods(found):
    book, entry = Book(found), entry_of(found, "rigl")
    stem = links.entry("smoke", entry.config_id).removesuffix(".html")
    of_entries, of_methods = entries.pages(book), method.pages(book)
    pages = {
        "run": (run.pages(book)[links.runs("smoke", entry.config_id, "Pong")], 3),  # the last of each seed
        "entry": (of_entries[f"{stem}.html"], 2),  # beside the dense one
        "method": (of_methods[links.method("rigl")], 2),
    }
    for content, maps in pages.values():
        page = Page(content)
        assert "Rank of features (srank)" in page.words
        assert "Sparsity of hidden_0" in page.words or "sparsity/hidden_0" in page.words
        shown = [attributes for tag, attributes in page.tags if tag == "svg" and attributes.get("class") == "heat"]
        assert [one["viewbox"] for one in shown] == ["0 0 32 32"] * maps
        assert "Cosines between the gradients of 32 transitions" in shown[0]["aria-label"]
    assert "dense" in Page(pages["entry"][0]).words
    assert of_entries[f"{stem}-diagnostics-covariance.pdf"].startswith(b"%PDF")
    assert b"srank" in of_entries[f"{stem}-diagnostics.csv"]
    last = [row for row in of_entries[f"{stem}-diagnostics.csv"].decode().splitlines() if "hidden_0" in row]
    assert len(last) == 2 * 8  # points of each of two entries
    assert all(row.endswith(",0.5") for row in last)


def test_what_a_card_writes_between_backticks_is_code_and_nothing_else_is_markup():
    coded = environment().get_template("macros.html").module.coded
    assert coded("`erk` keeps <small> ones") == "<code>erk</code> keeps &lt;small&gt; ones"
    assert coded("`<b>` and a lone `") == "<code>&lt;b&gt;</code> and a lone `"


def test_a_heat_map_is_red_where_gradients_point_against_each_other_and_blue_where_alike():
    drawn = heat.heat(covariance.pack(np.array([[1, -1, 0.05], [-1, 1, 1], [0.05, 1, 1]])))
    assert dict(drawn.paths) == {
        heat.COLOURS[0]: "M1 0h1M0 1h1",
        heat.COLOURS[-1]: "M0 0h1M1 1h2M1 2h2",
    }
    assert drawn.mean == pytest.approx((-1 + 6 / 127 + 1) / 3)


def entry_of(found, name):
    data = found.data["smoke"]
    return next(entry for entry in data.entries.values() if entry.methods == (name,))


def submitted(found, **changes):
    """Return a submission that holds the runs of rigl."""
    data = found.data["smoke"]
    config_id = entry_of(found, "rigl").config_id
    held = tuple(
        SubmittedRun(config_id, one.game, one.seed, one.environment_fingerprint, one.digest, one.state, one.score, True)
        for one in data.runs_of(config_id)
        if one.finished
    )
    plain = StoredSubmission(
        slug="doe-rigl", sha256="c" * 64, title="RigL again", authors=({"name": "J. Doe", "affiliation": "Lab"},),
        license="CC0-1.0", links=(("code", "https://example.org/code"),),
        submitted_at="2026-02-01T00:00:00Z", level="recomputed",
        report={"findings": [dict(zip(FINDING, ("S101", "warning", "runs/x", "odd", "look"), strict=True))]},
        flags=(), current=True, attested_by=None, attested_at=None, evidence="", cards={"method-rigl": {}},
        runs=held,
        environment={"environments": [{"fingerprint": "env-a", "suite_version": "0.1.0", "packages": {"jax": "1"}}]},
        statement={"relationship": "third_party", "tuning": {"budget_runs": 40}, "known_issues": ["one GPU was hot"]},
    )  # fmt: skip
    return replace(plain, **changes)


def test_every_entry_and_game_that_was_run_has_a_small_page_with_all_seeds(found):
    files = {path: content for path, content in run.pages(Book(found)).items() if path.endswith(".html")}
    assert len(files) == 3 * 2
    seeds = 0
    for path, content in files.items():
        assert path.startswith("smoke/runs/")
        assert len(content) < 45_000
        seeds += sum(attributes.get("id", "").startswith("seed-") for _, attributes in Page(content).tags)
    assert seeds == 19


def test_a_run_page_says_what_came_out_how_far_it_is_proven_and_how_to_repeat_it(found):
    data, entry = found.data["smoke"], entry_of(found, "redo")
    one = next(item for item in data.runs_of(entry.config_id) if (item.game, item.seed) == ("Pong", 1))
    page = Page(run.pages(Book(found))[links.runs("smoke", one.config_id, "Pong")])
    assert f"{one.score:.1f}".replace("-", "\N{MINUS SIGN}") in page.words
    for text in (
        "Pong",
        "Demonstration only, not a ranking.",
        "Replayed. Every step that the score rests on was played again",
        "agent.n_step = 5 (published: 3)",
        "env-a",
        one.digest,
        "2026-01-01T00:00:00Z",
        LEARNER[:32],
        HISTORY[:32],
        "All of them in full are in the database",
        "suite run --task smoke --agent dqn --network impala --method redo --set agent.n_step=5",
        "--games Pong --seeds 0-2",
        'docker run --rm -u "$(id -u):$(id -g)" -v "$PWD/out:/out" suite run --task smoke',
    ):
        assert text in page.words, text
    drawn = next(found for tag, found in page.tags if tag == "svg" and found.get("role") == "img")
    assert drawn["aria-label"].startswith("Mean raw return")


def test_a_run_that_is_no_result_says_so(found):
    path = links.runs("smoke", entry_of(found, "rigl").config_id, "Pong")
    page = Page(run.pages(Book(found))[path])
    assert "No result. Seed 7 is failed: it enters no number anywhere." in page.words
    assert "Not reached. rigl: never acts." in page.words


def test_a_command_for_offline_tasks_names_the_data(found):
    line, container = run.commands(entry_of(found, "dense"), "Pong", [4, 0, 1, 2, 7], data=True)
    assert line.endswith("--games Pong --seeds 0-2,4,7 --data DATA")
    assert "--data /data" in container
    assert '-v "$PWD/DATA:/data:ro"' in container


def test_recorded_values_are_cut_and_what_is_empty_is_left_out():
    assert run.facts({"b": True, "a": 12345, "c": None, "d": "", "e": "x" * 999}) == [
        ("a", "12,345"),
        ("b", "true"),
        ("e", "x" * 300 + "…"),
    ]
    assert run.facts("no table") == []


def test_what_all_seeds_have_in_common_is_said_once():
    tables = [[("gpu", "H200"), ("host", "a")], [("gpu", "H200"), ("host", "b")], [("gpu", "H200")]]
    assert run.together([0, 1, 2], tables) == [("gpu", "H200"), ("host", "seed 0: a; seed 1: b")]


def test_every_pair_has_a_page_with_the_verdict_first_and_its_files(found):
    files = pair.pages(Book(found))
    entries = [
        row.entry
        for row in found.data["smoke"] and next(t for t in found.site.tasks if t.name == "smoke").full.standings
    ]
    assert len(entries) == 3
    for one, other in combinations(entries, 2):
        path = links.pair("smoke", one.config_id, other.config_id)
        page = Page(files[path])
        words = page.words
        assert words.index(one.label) < words.index("Which games drive it")
        twins = {one.method, other.method} == {"dense", "RigL"}
        assert f"p over {1 if twins else 2} pairs (Holm)" in words
        assert {"Pong", "Breakout"} <= {text.strip() for text in page.text}
        for end in pair.FORMATS:
            name = path.removesuffix(".html") + f".{end}"
            assert name in files
            assert any(tag == "a" and found["href"] == name.rpartition("/")[2] for tag, found in page.tags)
    assert len(files) == 3 * 5 + 3
    assert {f"{pair.stem('smoke')}.{end}" for end in ("csv", "json", "tex")} <= set(files)


def test_a_pair_page_says_that_its_command_takes_all_runs_of_the_twin(found):
    task, duel = next(task for task in found.site.tasks if task.name == "smoke"), Book(found).duels["smoke"][0]
    for note in ("", "Of the dense twin, the runs of the same submission count: doe-rigl."):
        (content,) = pair._pair(found.site, task.bare, replace(duel, note=note), {}).values()
        words = Page(content).words
        assert (note in words, "It takes all runs of the dense twin" in words) == (True, bool(note))


def test_a_pair_page_has_the_difference_of_the_areas_under_the_curves(found):
    task = next(task for task in found.site.tasks if task.name == "smoke")
    files = pair.pages(Book(found))
    for duel in duels.duels(task, found.data["smoke"]):
        sides = [
            learning.curve_scores(
                found.data["smoke"].task, found.data["smoke"].runs_of(one.config_id), task.full.frames
            )
            for one in (duel.a, duel.b)
        ]
        expected = area_between(*sides, learning.positions(found.data["smoke"].task, task.full.frames))
        assert duel.area == expected
        words = Page(files[links.pair("smoke", duel.a.config_id, duel.b.config_id)]).words
        digits = decimals(expected)
        shown = [signed(end, digits) for end in (expected.value, expected.low, expected.high)]
        assert f"difference of mean heights {shown[0]} [{shown[1]}, {shown[2]}]" in words
        assert f"the curve of A lies {shown[0]} [{shown[1]}, {shown[2]}] above that of B" in words
    rows = json.loads(files[f"{pair.stem('smoke')}.json"])
    assert "area_difference" in json.dumps(rows)


def test_one_wide_interval_does_not_squeeze_all_others():
    narrow = [Estimate(value, value - 0.2, value + 0.2) for value in (-0.5, 0.1, 0.8)]
    place, ticks = spans.axis([*narrow, Estimate(0.3, -18.0, 20.0)])
    drawn = [spans.span(one, place) for one in (*narrow, Estimate(0.3, -18.0, 20.0))]
    assert all(0 <= span.low < span.value < span.high <= 100 for span in drawn)
    assert [(span.cut_low, span.cut_high) for span in drawn] == [(False, False)] * 3 + [(True, True)]
    assert drawn[0].high - drawn[0].low > 5
    assert 0.0 in [float(tick.label.replace("\N{MINUS SIGN}", "-")) for tick in ticks]


def test_the_curves_page_has_the_mean_height_of_each_entry(found):
    task = next(task for task in found.site.tasks if task.name == "smoke")
    files = curves.pages(Book(found))
    content = Page(files[links.curves("smoke")])
    heights = {target.get("data-sort") for tag, target in content.tags if tag == "td"}
    lines = files["smoke/curves.csv"].decode().splitlines()
    assert len(task.full.curves) == 3
    for curve in task.full.curves:
        whole = learning.curve_scores(
            found.data["smoke"].task, found.data["smoke"].runs_of(curve.entry.config_id), task.full.frames
        )
        expected = area_under_curve(whole, learning.positions(found.data["smoke"].task, task.full.frames))
        assert str(expected.value) in heights
        assert fixed(expected.value, decimals(expected)) in content.words
        own = [line for line in lines if line.startswith(curve.entry.config_id)]
        assert len(own) == len(curve.points)
        assert all(line.split(",")[-3] == str(expected.value) for line in own)
    assert "counts with its last value" in content.words


def test_pairs_are_bounded_and_adjusted_for_all_that_are_shown(found):
    task = next(task for task in found.site.tasks if task.name == "smoke")
    pairs = duels.duels(task, found.data["smoke"])
    assert [(item.pairs, item.twins) for item in pairs].count((1, True)) == 1
    assert [(item.pairs, item.twins) for item in pairs].count((2, False)) == 2
    assert all(item.p >= item.comparison.p for item in pairs)
    smallest = min((item for item in pairs if not item.twins), key=lambda item: item.comparison.p)
    assert smallest.p == pytest.approx(min(1, 2 * smallest.comparison.p_looks))
    (alone,) = (item for item in pairs if item.twins)
    assert alone.p == alone.comparison.p_looks
    many = replace(task, full=replace(task.full, standings=task.full.standings[:1] * 30))
    assert duels.ENTRIES * (duels.ENTRIES - 1) // 2 == 45
    assert len(duels.duels(many, found.data["smoke"])) <= 45
    rows = duels.table(task, pairs).rows
    assert [row[:2] for row in rows] == [(item.a.config_id, item.b.config_id) for item in pairs]


def test_beyond_the_leaders_each_entry_stands_against_the_same_without_its_method(found, monkeypatch):
    task, data = next(task for task in found.site.tasks if task.name == "smoke"), found.data["smoke"]
    ids = [row.entry.config_id for row in task.full.standings if not row.entry.published]
    by_method = {data.configurations[config_id].method: config_id for config_id in ids}
    # that of redo has another n_step as well: what it changed is not the method's doing alone
    plain = twins(ids, data.task, data.configurations, data.runs)
    assert {one: twin.config_id for one, twin in plain.items()} == {
        by_method["rigl"]: by_method["dense"],
        by_method["redo"]: "",
    }
    assert task.full.twins == {by_method["rigl"]: by_method["dense"]}
    monkeypatch.setattr(duels, "ENTRIES", 1)
    assert duels.pairs_shown(ids, plain) == ((by_method["dense"], by_method["rigl"]),)
    monkeypatch.setattr(duels, "ENTRIES", 2)
    assert [ids.index(config_id) for pair in duels.pairs_shown(ids, plain) for config_id in pair] in (
        [0, 1, 0, 2],
        [0, 1, 1, 2],
    )


def test_the_page_of_pairs_lists_what_each_method_changed_with_the_sign_of_the_entry(found):
    content = Page(compare.pages(Book(found))[links.COMPARE])
    task, data = next(task for task in found.site.tasks if task.name == "smoke"), found.data["smoke"]
    settled = tuple(replace(duel, verdict="better") for duel in duels.duels(task, data))
    (effect,) = compare.matrix(task, settled, answers(task, data, settled)).plain
    assert (effect.entry.method, effect.twin.method) == ("RigL", "dense")
    scores = [normalized_scores(data.runs_of(one.config_id)) for one in (effect.entry, effect.twin)]
    assert effect.difference.value == pytest.approx(iqm(scores[0]) - iqm(scores[1]))
    assert effect.difference.low < effect.difference.value < effect.difference.high < 0
    assert signed(effect.difference.value) in content.words
    assert f"[{signed(effect.difference.low)}, {signed(effect.difference.high)}]" in content.words
    assert (effect.duel.a, effect.duel.verdict, effect.verdict) == (effect.twin, "better", "worse")


def test_a_method_page_has_its_card_its_results_and_what_runs_recorded(found):
    files = method.pages(Book(found))
    card = next(card for card in found.site.methods if card.id == "rigl")
    page = Page(files[links.method("rigl")])
    for text in (card.title, card.digest, *card.deviations, *(parameter.name for parameter in card.parameters)):
        assert " ".join(text.split()) in page.words
    assert entry_of(found, "rigl").label in page.words
    assert "While training" in page.words
    labels = [found["aria-label"] for tag, found in page.tags if tag == "svg" and found.get("role") == "img"]
    shown = [label.partition(" against")[0] for label in labels if " against" in label]
    assert shown == ["Sparsity", "Loss", "Rank of features (srank)", "Sparsity of hidden_0"]
    assert f"{links.method('rigl').removesuffix('.html')}.csv" in files
    assert "Nobody has run it with a full budget yet." in Page(files[links.method("set")]).words
    assert {links.method(card.id) for card in found.site.methods} <= set(files)


def test_a_method_counts_alone_and_combined(found):
    entry = entry_of(found, "rigl")
    assert method.uses(replace(entry, methods=("weight_decay", "rigl")), "rigl")
    assert method.uses(replace(entry, methods=("weight_decay", "rigl")), "weight_decay")
    assert not method.uses(replace(entry, methods=("static_sparse",)), "set")
    assert not method.uses(replace(entry, published=True), "rigl")


def test_a_submission_page_says_who_what_and_what_was_found(found):
    item = submitted(found)
    files = submission.pages(Book(replace(found, submissions=(item,))))
    page = Page(files[links.submission("doe-rigl")])
    for text in (
        "RigL again",
        "J. Doe (Lab)",
        "CC0-1.0",
        "by others",
        "one GPU was hot",
        "env-a",
        "2026-02-01",
        "S101",
        "odd",
        "look",
        "c" * 64,
        "Recomputed.",
    ):
        assert text in page.words, text
    out = [found for tag, found in page.tags if tag == "a" and found["href"].startswith("https:")]
    assert [found["href"] for found in out] == ["https://example.org/code"]
    assert all(set(found["rel"].split()) == {"nofollow", "noopener", "ugc"} for found in out)
    runs = [found["href"] for tag, found in page.tags if tag == "a" and "/runs/" in found["href"]]
    assert len(runs) == len(item.runs) == 6
    listed = Page(files[links.SUBMISSIONS])
    assert "RigL again" in listed.words


def test_a_retracted_submission_stays_with_its_reason(found):
    item = submitted(found, flags=(Flag("retracted", "wrong ROM", "2026-03-01", "M. Tainer"),))
    older = submitted(found, sha256="d" * 64, current=False)
    files = submission.pages(Book(replace(found, submissions=(item, older))))
    page = Page(files[links.submission("doe-rigl")])
    assert "Retracted, 2026-03-01, by M. Tainer. wrong ROM" in page.words
    assert "1 earlier bundle" in page.words
    assert ("h1", {"class": "retracted"}) in page.tags
    assert {path for path in files if path.endswith(".html")} == {links.SUBMISSIONS, links.submission("doe-rigl")}


@pytest.mark.parametrize(
    "target",
    [
        "http://example.org", "javascript:alert(1)", "https://a b", 'https://x"onclick=1', "https://user@host/",
        "//x.org",
        "https://" + "x" * 400, None, 5, "HTTPS://EXAMPLE.ORG", "https://example.org/\u202e", " https://x.org",
    ],
)  # fmt: skip
def test_nothing_but_a_plain_https_link_becomes_one(found, target):
    assert submission.safe_link(target) == ""
    item = submitted(found, links=(("here", target), [target, target], target))
    page = Page(submission.pages(Book(replace(found, submissions=(item,))))[links.submission("doe-rigl")])
    assert not [found for tag, found in page.tags if tag == "a" and re.match(r"[a-zA-Z]+:|//", found["href"])]


def test_hostile_text_of_a_submission_stays_text(found):
    evil = "</td><script>alert(1)</script>{{ 7 * 7 }}"
    item = submitted(
        found, title=evil, authors=({"name": evil}, evil, 7), license=evil, evidence=evil, cards={evil: {}},
        report={"findings": [{"code": evil, "message": [evil]}, "no finding", None]},
        environment={"environments": [{evil: evil}, evil]},
        statement={"relationship": evil, "tuning": evil, "code": {"commit": evil}, "known_issues": [evil]},
        flags=(Flag(evil, evil, evil, evil),), slug=evil,
    )  # fmt: skip
    page = Page(submission.pages(Book(replace(found, submissions=(item,))))[links.submission(evil)])
    assert evil in page.words
    assert sum(tag == "script" for tag, _ in page.tags) == 1
    assert "49" not in page.words.replace("2049", "")


def test_pages_have_no_style_or_script_of_their_own(found):
    book = Book(replace(found, submissions=(submitted(found),)))
    for kind in (run, pair, method, submission):
        for path, content in kind.pages(book).items():
            if path.endswith(".html"):
                text = content.decode()
                assert " style=" not in text
                assert "<style" not in text
                assert not re.search(r"<[^>]* on[a-z]+=", text)
                assert text.count("<script") == 1


def test_what_was_found_alike_in_many_runs_is_one_row(found):
    rows = [dict(zip(FINDING, ("S101", "note", f"runs/{i}", "odd", "look"), strict=True)) for i in range(3)]
    item = submitted(found, report={"findings": [*rows, {**rows[0], "code": "S102"}]})
    words = Page(submission.pages(Book(replace(found, submissions=(item,))))[links.submission("doe-rigl")]).words
    assert words.count("S101") == 1
    assert "runs/0 and 2 more" in words
    assert words.count("S102") == 1


def test_a_submission_leads_to_its_bundle_where_the_builder_says_where_that_is(found):
    item = submitted(found, slug="doe rigl")
    book = Book(replace(found, submissions=(item,)), bundles="https://example.org/{slug}/bundle.zip")
    page = Page(submission.pages(book)[links.submission("doe rigl")])
    (link,) = [one for tag, one in page.tags if tag == "a" and one["href"].endswith("bundle.zip")]
    assert link["href"] == "https://example.org/doe%20rigl/bundle.zip"
    for wrong in ("https://example.org/bundle.zip", "http://example.org/{slug}", 'https://a"b/{slug}'):
        with pytest.raises(UsageError, match="no address of bundles"):
            submission.checked_bundles(wrong)


def test_flags_stand_in_the_list_of_submissions_and_in_the_changelog(found):
    item = submitted(found, flags=(Flag("retracted", "wrong ROM", "2026-03-01", "M. Tainer"),))
    book = Book(replace(found, submissions=(item,)))
    listed = Page(submission.pages(book)[links.SUBMISSIONS]).words
    assert all(part in listed for part in ("retracted", "J. Doe (Lab)", "smoke"))
    assert "retracted: wrong ROM" in Page(changelog.pages(book)[links.CHANGELOG]).words


def test_a_configuration_whose_runs_were_all_retracted_has_no_row(found):
    data = found.data["smoke"]
    gone = entry_of(found, "rigl").config_id
    page = report.task_page(replace(data, runs=tuple(one for one in data.runs if one.config_id != gone)))
    assert gone not in {entry.config_id for entry in page.full.entries}
    assert page.entries_here == len(data.entries) - 1


def test_what_is_refused_for_one_reason_is_one_sentence(found):
    files = method.pages(Book(found))
    words = Page(files[links.method("dense")]).words
    assert words.count("Not with") == 1
    assert "Not with any other method: dense is training without any other method." in words


def test_front_page_board_and_method_page_say_first_what_a_method_changes(found):
    book = Book(found)
    made = overview.pages(book) | board.pages(book) | method.pages(book)
    answered = book.answers["smoke"]
    (one,) = [group for group in answered.methods if group.methods == ("rigl",)]
    (answer,) = one.answers
    assert (answer.entry.method, answer.twin.method, answer.verdict) == ("RigL", "dense", answer.duel.verdict) or (
        answer.duel.a.method == "dense"
    )
    scores = [normalized_scores(found.data["smoke"].runs_of(side.config_id)) for side in (answer.entry, answer.twin)]
    assert answer.difference.value == pytest.approx(iqm(scores[0]) - iqm(scores[1]))
    shown = f"{signed(answer.difference.value)} IQM"
    for path, before in (
        (links.OVERVIEW, "Boards"),
        (links.board("smoke"), "Standings"),
        (links.method("rigl"), "Results"),
    ):
        words = Page(made[path]).words
        assert words.index(shown) < words.index(f" {before} ")
        assert f"[{signed(answer.difference.low)}, {signed(answer.difference.high)}]" in words
    alike = replace(answer, verdict="equal", duel=replace(answer.duel, p=1.0, p_equal=0.012))
    told = replace(one, answers=(alike,)).sentence
    assert told.startswith("practically equal to its dense twin: ")
    assert told.endswith(", p 0.012 for a difference of 5 % or more.")
    (other,) = [group for group in answered.methods if group.methods == ("redo",)]
    assert (other.sentence, other.answers[0].difference) == ("no dense twin.", None)
    assert "Without a dense twin to be compared with, entries of: " in Page(made[links.board("smoke")]).words
    assert "ReDo (1)" in Page(made[links.board("smoke")]).words


def test_what_was_just_run_comes_first_on_the_front_page(found):
    book = Book(found)
    cards = [item["href"] for tag, item in Page(overview.pages(book)[links.OVERVIEW]).tags if tag == "a"]
    assert cards.index("smoke/index.html") < len(cards)
    placed = sorted(found.site.tasks, key=lambda task: overview._place(task, found.data[task.name]), reverse=True)
    assert placed[0].name == "smoke"


def test_trade_offs_show_every_complete_entry_and_a_front_that_none_beats(found):
    files = tradeoffs.pages(Book(found))
    task = next(task for task in found.site.tasks if task.name == "smoke")
    drawn = tradeoffs.panels(task)
    rows = {row.entry.config_id: row for row in task.full.standings}
    for panel in drawn:
        for config_id, row in rows.items():
            better = [
                other
                for other in rows.values()
                if panel.quantity.of(other) <= panel.quantity.of(row) and other.estimate.value > row.estimate.value
            ]
            assert (config_id in panel.front) <= (not better)
    assert {"smoke/tradeoffs.html", "smoke/tradeoffs.csv"} <= set(files) or not drawn
    assert all(row.entry.agent in Page(files["smoke/tradeoffs.html"]).words for row in rows.values()) or not drawn
