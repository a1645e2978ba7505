import json
import os
import sqlite3
import subprocess
import sys
import textwrap
import zlib

import pytest

from leaderboard.store import database as store
from leaderboard.store import models
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite import record
from suite.errors import BadData, Locked, UnfitEnvironment, UsageError
from suite.tasks import load_task

SMOKE = load_task("smoke")
ITERATIONS = SMOKE.budget.frames // SMOKE.budget.iteration_frames


@pytest.fixture
def db(tmp_path):
    return tmp_path / "results.sqlite"


def add(db, *paths):
    return ingest(paths, db, references=False)


def current(db, task="smoke@1"):
    with ResultStore.open(db) as opened, opened.snapshot() as snapshot:
        return snapshot.runs(task)


def count(db, table):
    connection = sqlite3.connect(db)
    try:
        return connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
    finally:
        connection.close()


def test_the_same_directory_twice_changes_nothing(runs, db):
    first = add(db, runs)
    before = db.read_bytes()
    second = add(db, runs)
    assert first.outcomes == {"new": 4}
    assert second.outcomes == {"known": 4}
    assert first.digest == second.digest
    assert db.read_bytes() == before


def test_the_order_of_arrival_does_not_matter(runs, tmp_path, run_maker, spec_maker):
    for methods in (("redo",), ("reset",)):
        run_maker(tmp_path / "other", spec_maker(methods=methods))
    forward, backward = tmp_path / "a.sqlite", tmp_path / "b.sqlite"
    add(forward, runs)
    add(forward, tmp_path / "other")
    add(backward, tmp_path / "other")
    assert add(backward, runs).digest == add(forward, runs).digest


def test_what_is_stored_of_a_run(runs, db):
    add(db, runs)
    assert len(current(db)) == 4
    run = current(db)[0]
    source = record.read_run(runs / "smoke@1" / run.config_id / run.game / f"seed-{run.seed}")
    start, end = SMOKE.score_window(SMOKE.budget.frames)
    window = [row.value for row in source.episodes if start < row.frame <= end]
    assert run.score == pytest.approx(sum(window) / len(window), rel=1e-12)
    assert sorted(run.iterations) == list(range(ITERATIONS))
    third = [row.value for row in source.episodes if (row.frame - 1) // SMOKE.budget.iteration_frames == 3]
    assert run.iterations[3] == pytest.approx(sum(third) / len(third), rel=1e-12)
    connection = sqlite3.connect(db)
    blob = connection.execute("SELECT episodes FROM run WHERE digest = ?", (run.digest,)).fetchone()[0]
    connection.close()
    assert json.loads(zlib.decompress(blob)) == [[row.frame, row.length, row.value, row.end] for row in source.episodes]


def test_a_newer_attempt_takes_the_place_of_an_older_one(tmp_path, db, run_maker):
    root = tmp_path / "runs"
    run_maker(root, state="failed")
    add(db, root)
    assert [(run.state, run.attempt, run.score) for run in current(db)] == [("failed", 1, None)]
    run_maker(root, level=2.0)
    assert add(db, root).outcomes == {"updated": 1}
    assert [(run.state, run.attempt) for run in current(db)] == [("done", 2)]
    assert count(db, "run") == 1


def test_a_result_is_superseded_and_kept(tmp_path, db, run_maker, spec_maker):
    old, new = tmp_path / "old", tmp_path / "new"
    run_maker(old, spec_maker(), started_at="2026-01-01T00:00:00Z", level=0.5)
    run_maker(new, spec_maker(), started_at="2026-02-01T00:00:00Z", level=2.0)
    add(db, new)
    report = add(db, old)
    assert report.outcomes == {"skipped": 1}
    assert count(db, "run") == 2
    assert [run.ended_at for run in current(db)] == ["2026-02-01T01:00:00Z"]
    other = tmp_path / "other.sqlite"
    add(other, old)
    assert add(other, new).digest == report.digest


def test_unfinished_runs_are_listed_without_score(tmp_path, db, run_maker, run_holder, spec_maker):
    with run_holder(tmp_path / "runs", spec_maker(), "Pong", 0, state="running", reached=4_000):
        run_maker(tmp_path / "runs", spec_maker(), "Pong", 1, state="running")
        add(db, tmp_path / "runs")
    assert [(run.state, run.score, run.iterations) for run in current(db)] == [
        ("running", None, {}),
        ("killed", None, {}),
    ]


def test_a_directory_that_has_not_started_is_skipped(tmp_path, db, run_maker):
    (run_maker(tmp_path / "runs") / "status.json").unlink()
    assert add(db, tmp_path / "runs").outcomes == {"skipped": 1}


def test_a_damaged_directory_is_named_and_the_others_are_stored(runs, db):
    victim = sorted(runs.rglob("episodes.jsonl"))[1]
    victim.write_text(victim.read_text() + "{broken}\n")
    lines = []
    report = ingest([runs], db, references=False, progress=lines.append)
    assert report.outcomes == {"new": 3}
    assert report.damaged == (str(victim.parent),)
    assert str(victim) in lines[0]


def rewrite(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("file", "change", "message"),
    [
        ("status.json", lambda c: c["summary"].update(score=99.0), "claims a score of 99.0"),
        ("status.json", lambda c: c["summary"].update(score=None), "claims a score of None"),
        ("status.json", lambda c: c["summary"].update(scored_episodes=1), "over 1 episodes"),
        ("status.json", lambda c: c.update(summary=None), "no summary"),
        ("status.json", lambda c: c.update(frames=8_000), "done at frame 8000"),
        ("status.json", lambda c: c.update(budget_frames=8_000), "counts to 8000"),
        ("status.json", lambda c: c.update(attempt=2), "lacks attempt 2"),
        ("spec.json", lambda c: c.update(config_id="0" * 16), "does not follow from its spec"),
        ("spec.json", lambda c: c.update(game="Qbert"), "is not a game of smoke@1"),
        ("spec.json", lambda c: c["spec"].update(frames=8_000), "does not follow from its spec"),
        ("spec.json", lambda c: c.update(departures={"agent.\u202egamma": 1}), "cannot be printed"),
    ],
)
def test_claims_that_do_not_hold_are_refused(tmp_path, db, run_maker, file, change, message):
    path = run_maker(tmp_path / "runs")
    rewrite(path / file, change)
    with ResultStore.open(db, create=True) as opened, pytest.raises(BadData, match=message) as caught:
        opened.ingest(record.read_run(path))
    assert str(path) in str(caught.value)
    assert count(db, "run") == count(db, "configuration") == 0


def test_another_version_of_a_task_is_refused(tmp_path, db, run_maker, spec_maker):
    path = run_maker(tmp_path / "runs", spec_maker().model_copy(update={"task_version": 9}))
    with (
        ResultStore.open(db, create=True) as opened,
        pytest.raises(BadData, match="under smoke@9, this is smoke@1"),
    ):
        opened.ingest(record.read_run(path))


def test_an_episode_beyond_the_budget_is_refused(tmp_path, db, run_maker):
    path = run_maker(tmp_path / "runs")
    log = path / "episodes.jsonl"
    lines = log.read_text().splitlines()
    log.write_text("\n".join([*lines[:-1], lines[-1].replace('"frame":16000', '"frame":16004')]) + "\n")
    with ResultStore.open(db, create=True) as opened, pytest.raises(BadData, match="beyond the budget"):
        opened.ingest(record.read_run(path))


def test_an_interrupted_transaction_leaves_nothing(tmp_path, db, run_maker, monkeypatch):
    path = run_maker(tmp_path / "runs")

    def stop(*_):
        raise KeyboardInterrupt

    with ResultStore.open(db, create=True) as opened:
        monkeypatch.setattr(store, "_insert_iterations", stop)
        with pytest.raises(KeyboardInterrupt):
            opened.ingest(record.read_run(path))
        assert count(db, "run") == count(db, "configuration") == 0
        monkeypatch.undo()
        assert opened.ingest(record.read_run(path)).outcome == "new"


def test_a_kill_in_mid_ingest_leaves_whole_runs_only(runs, db):
    script = f"""
        import os
        from pathlib import Path
        from leaderboard.store import database as store
        from leaderboard.store.ingest import ingest
        real, calls = store._insert_iterations, []
        def insert(session, rows):
            real(session, rows)
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), 9)
        store._insert_iterations = insert
        ingest([Path({str(runs)!r})], Path({str(db)!r}), references=False)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, env=os.environ)
    assert done.returncode == -9
    assert add(db, runs).outcomes == {"known": 2, "new": 2}
    assert count(db, "iteration") == 4 * ITERATIONS


def test_a_foreign_a_newer_and_a_broken_database_are_refused(tmp_path, db):
    foreign = tmp_path / "foreign.sqlite"
    connection = sqlite3.connect(foreign)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    connection.close()
    for create in (False, True):
        with pytest.raises(BadData, match="not a results database"):
            ResultStore.open(foreign, create=create)
    ResultStore.open(db, create=True).close()
    connection = sqlite3.connect(db)
    connection.execute(f"PRAGMA user_version = {models.SCHEMA_VERSION + 1}")
    connection.commit()
    connection.close()
    with pytest.raises(BadData, match=f"has schema {models.SCHEMA_VERSION + 1}"):
        ResultStore.open(db)
    broken = tmp_path / "broken.sqlite"
    broken.write_text("these are no rows, but a long enough text " * 10)
    with pytest.raises(BadData, match="not a sound SQLite database"):
        ResultStore.open(broken, create=True)


def test_no_database_and_no_place_for_one(tmp_path):
    with pytest.raises(UsageError, match="There is no database"):
        ResultStore.open(tmp_path / "none.sqlite")
    with pytest.raises(UnfitEnvironment, match="Cannot use"):
        ResultStore.open(tmp_path / "none" / "results.sqlite", create=True)


def test_a_database_that_another_process_keeps(tmp_path, db, run_maker, monkeypatch):
    path = run_maker(tmp_path / "runs")
    ResultStore.open(db, create=True).close()
    holder = sqlite3.connect(db, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    monkeypatch.setattr(store, "BUSY_SECONDS", 0.05)
    with ResultStore.open(db) as opened, pytest.raises(Locked, match="Another process"):
        opened.ingest(record.read_run(path))
    holder.close()


def test_what_a_connection_promises(db):
    with ResultStore.open(db, create=True) as opened, opened._engine.connect() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in PRAGMAS}
        assert pragmas == PRAGMAS


PRAGMAS = {
    "foreign_keys": 1,
    "busy_timeout": 30_000,
    "journal_mode": "delete",
    "synchronous": 2,
    "application_id": models.APPLICATION_ID,
    "user_version": models.SCHEMA_VERSION,
}
