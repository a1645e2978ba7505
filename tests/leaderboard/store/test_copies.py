"""Runs with the episodes of another run: found in any order, told on both sides, judged by nobody here."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace
from functools import partial

import pytest

from leaderboard.bundles.check import check_bundle
from leaderboard.store.comparison import find_copies
from leaderboard.store.copies import COPIED, REPEATED
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite.errors import UsageError
from suite.records import claims
from suite.rng import Streams
from tests.support import honest

RUNS = honest.honest_runs("smoke")
PARTIAL = honest.TOML.replace(b"[[authors]]", b"partial = true\n\n[[authors]]", 1)
ATTEST = 'bundle_sha256 = "{}"\nlevel = "replayed"\nby = "A. Maintainer"\ndate = "{}"\nevidence = "seen"\n'


def under_seed(run, seed):
    """The same episodes told as another seed's, with the emulator seeds that it would have."""
    cell = run.cell.model_copy(update={"seed": seed})
    known = {row.emulator_seed for row in run.episodes}
    assert len(known) > 0
    first, second = Streams("smoke@1", run.cell.game, run.cell.seed), Streams("smoke@1", run.cell.game, seed)
    other = {first.emulator_seed(index): second.emulator_seed(index) for index in range(100)}
    episodes = tuple(row.model_copy(update={"emulator_seed": other[row.emulator_seed]}) for row in run.episodes)
    return replace(run, cell=cell, episodes=episodes)


def again(run):
    """The same cell, trained again to the same bits at another time."""
    return replace(run, status=run.status.model_copy(update={"updated_at": "2026-06-01T01:00:00Z"}))


def place(root, slug, runs, toml=PARTIAL, attested=None):
    folder = root / "submissions" / slug
    folder.mkdir(parents=True)
    content = honest.bundle(runs, toml)
    (folder / "bundle.zip").write_bytes(content)
    if attested is not None:
        (folder / "attest.toml").write_text(ATTEST.format(hashlib.sha256(content).hexdigest(), attested))
    return folder / "bundle.zip"


def replaced(bundle):
    """Write into a repository's history that this bundle lies where another one did."""
    (bundle.parents[2] / "arrivals.txt").write_text(f"submissions/{bundle.parent.name}/bundle.zip\n")
    return bundle


def add(db, *paths):
    lines = []
    return ingest(paths, db, references=False, progress=lines.append), lines


def findings(db):
    """The findings about copies, by submission."""
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        return {
            item.slug: [
                (one["code"], one["severity"], one["where"], one["message"])
                for one in item.report["findings"]
                if one["code"] in (COPIED, REPEATED)
            ]
            for item in snapshot.submissions()
            if item.current
        }


@pytest.fixture
def db(tmp_path):
    return tmp_path / "results.sqlite"


def test_a_run_told_as_another_seed_of_another_submission_is_found_on_both_sides(tmp_path, db):
    first = place(tmp_path, "first", RUNS[:1], attested="2026-03-01")
    second = place(tmp_path, "second", [under_seed(RUNS[0], 1)])
    assert add(db, first)[0].copies == ()
    report, lines = add(db, second)
    assert (report.submissions, len(report.copies)) == ({"new": 1}, 2)
    config, game = RUNS[0].cell.config_id[:8], RUNS[0].cell.game
    expected = {
        "first": [
            (
                "runs.copied",
                "review",
                f"{config} {game} seed 0",
                f"every episode is that of {config} {game} seed 1 in second (submitted 2026-01-01)",
            )
        ],
        "second": [
            (
                "runs.copied",
                "review",
                f"{config} {game} seed 1",
                f"every episode is that of {config} {game} seed 0 in first (attested 2026-03-01)",
            )
        ],
    }
    assert findings(db) == expected
    told = [f"copy: {slug}: {found[0][2]}: {found[0][3]}" for slug, found in expected.items()]
    assert [line for line in lines if line.startswith("copy")] == told


def test_what_a_database_says_of_copies_does_not_depend_on_the_order_of_ingests(tmp_path):
    paths = [
        place(tmp_path, "a", RUNS[:2]),
        place(tmp_path, "b", [under_seed(RUNS[0], 1)], attested="2026-02-01"),
        place(tmp_path, "c", [again(RUNS[1])]),
        place(tmp_path, "d", RUNS[1:2], PARTIAL.replace(b"Two games", b"Again")),
        honest.write_run(RUNS[0], tmp_path / "runs"),
    ]
    seen = set()
    for seed in range(5):
        order = random.Random(seed).sample(paths, len(paths))
        for path in order:
            report, _ = add(tmp_path / f"{seed}.sqlite", path)
        seen.add((report.digest, repr(findings(tmp_path / f"{seed}.sqlite"))))
    assert len(seen) == 1
    assert {slug: [one[0] for one in found] for slug, found in findings(tmp_path / "0.sqlite").items()} == {
        "a": ["runs.copied", "runs.repeated"],
        "b": ["runs.copied"],
        "c": ["runs.repeated"],
        "d": ["runs.repeated"],
    }


def test_the_same_run_in_two_submissions_is_a_note_that_says_since_when(tmp_path, db):
    place(tmp_path, "one", RUNS[:1])
    place(tmp_path, "two", RUNS[:1], PARTIAL.replace(b"Two games", b"Again"), attested="2026-05-05")
    report, lines = add(db, tmp_path)
    assert (report.copies, lines) == ((), [])
    assert findings(db)["one"][0][1:] == (
        "note",
        f"{RUNS[0].cell.config_id[:8]} {RUNS[0].cell.game} seed 0",
        "every episode is that of two (attested 2026-05-05)",
    )
    assert findings(db)["two"][0][3] == "every episode is that of one (submitted 2026-01-01)"


def test_a_cell_trained_again_to_the_same_bits_is_a_note(tmp_path, db):
    place(tmp_path, "one", RUNS[:1])
    place(tmp_path, "two", [again(RUNS[0])])
    add(db, tmp_path)
    assert [found[0][:2] for found in findings(db).values()] == [("runs.repeated", "note")] * 2


def test_ones_own_run_directory_is_no_copy_and_another_one_of_the_cell_confirms(tmp_path, db):
    bundle = place(tmp_path, "one", RUNS[:1])
    add(db, bundle, honest.write_run(RUNS[0], tmp_path / "runs"))
    assert findings(db) == {"one": []}
    add(db, honest.write_run(again(RUNS[0]), tmp_path / "elsewhere"))
    assert findings(db)["one"][0][3] == "every episode is that of a run directory (2026-06-01)"


def test_a_newer_bundle_of_a_slug_is_no_copy_of_the_older(tmp_path, db):
    add(db, place(tmp_path / "old", "one", RUNS[:1]))
    add(db, replaced(place(tmp_path / "new", "one", [RUNS[0], again(RUNS[1])])))
    assert findings(db) == {"one": []}


def test_a_bundle_that_a_newer_one_replaced_holds_nothing(tmp_path, db):
    add(db, place(tmp_path, "two", [under_seed(RUNS[0], 1)]))
    add(db, place(tmp_path / "old", "one", RUNS[:1]))
    assert [found[0][0] for found in findings(db).values()] == ["runs.copied"] * 2
    add(db, replaced(place(tmp_path / "new", "one", [again(RUNS[2])])))
    assert findings(db) == {"one": [], "two": []}


def test_of_a_retracted_submission_it_is_said_that_it_is(tmp_path, db):
    place(tmp_path, "first", RUNS[:1])
    bundle = place(tmp_path, "second", [under_seed(RUNS[0], 1)])
    flag = '\n[[flags]]\ncode = "retracted"\nreason = "a copy"\nby = "A. Maintainer"\ndate = "2026-04-01"\n'
    attest = ATTEST.format(hashlib.sha256(bundle.read_bytes()).hexdigest(), "2026-04-01")
    (bundle.parent / "attest.toml").write_text(attest.replace('level = "replayed"\n', "") + flag)
    add(db, tmp_path)
    assert findings(db)["first"][0][3].endswith("in second (attested 2026-04-01, retracted since)")
    assert findings(db)["second"][0][3].endswith("in first (submitted 2026-01-01)")


def test_run_directories_alone_are_compared_too(tmp_path, db):
    paths = [honest.write_run(run, tmp_path / f"{n}") for n, run in enumerate((RUNS[0], under_seed(RUNS[0], 1)))]
    report, lines = add(db, *paths)
    assert report.copies == ()
    assert lines == []


def test_runs_that_hardly_differ_have_no_trace():
    """A game that gives nothing: every episode as long as any other, and nothing won."""
    rows = RUNS[0].episodes
    flat = replace(RUNS[0], episodes=tuple(row.model_copy(update={"length": 100, "value": 0.0}) for row in rows))
    assert claims.trace(flat) == ""
    assert claims.trace_of([(100, float(value)) for value in range(7)] * 9) == ""
    assert claims.trace_of([(100, float(value)) for value in range(8)]) != ""
    assert claims.trace_of([(1, -0.0), *rows_of(9)]) == claims.trace_of([(1, 0.0), *rows_of(9)])


def rows_of(count):
    return [(number, 1.0) for number in range(2, count + 2)]


def test_a_return_of_minus_nothing_is_the_same_in_a_bundle(tmp_path, db):
    episodes = (RUNS[0].episodes[0].model_copy(update={"value": -0.0}), *RUNS[0].episodes[1:])
    run = honest.with_score(RUNS[0], episodes=episodes)
    report, _ = add(db, honest.write_run(run, tmp_path / "runs"), place(tmp_path, "one", [run]))
    assert report.outcomes == {"known": 1, "new": 1}


def test_a_check_compares_with_a_database(tmp_path, db):
    add(db, place(tmp_path, "first", RUNS[:1]))
    bundle = place(tmp_path, "second", [under_seed(RUNS[0], 1), RUNS[2]])
    alone, compared = check_bundle(bundle), check_bundle(bundle, compare=partial(find_copies, db))
    assert [one.code for one in compared.findings if one not in alone.findings] == ["runs.copied"]
    assert (compared.level, compared.count("error")) == ("recomputed", 0)
    add(db, bundle)
    assert [
        one.code for one in check_bundle(bundle, compare=partial(find_copies, db)).findings if one not in alone.findings
    ] == ["runs.copied"]
    assert all(one.code != "runs.repeated" for one in check_bundle(bundle, compare=partial(find_copies, db)).findings)


def test_a_check_of_ones_own_runs_finds_no_copy_and_of_anothers_a_repetition(tmp_path, db):
    add(db, honest.write_run(RUNS[0], tmp_path / "runs"))
    bundle = place(tmp_path, "mine", RUNS[:1])
    assert check_bundle(bundle, compare=partial(find_copies, db)).findings == check_bundle(bundle).findings
    add(db, place(tmp_path, "theirs", RUNS[:1], PARTIAL.replace(b"Two games", b"Again")))
    assert "runs.repeated" in [one.code for one in check_bundle(bundle, compare=partial(find_copies, db)).findings]


def test_a_check_without_the_database_it_was_asked_for_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="There is no database"):
        check_bundle(place(tmp_path, "mine", RUNS[:1]), compare=partial(find_copies, tmp_path / "none.sqlite"))
