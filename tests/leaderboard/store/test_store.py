import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from leaderboard.store import database as store
from leaderboard.store import engine, models
from leaderboard.store.audit import audit
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite.errors import BadData, Locked, UnfitEnvironment, UsageError
from suite.records import claims, record
from suite.records.find import find_runs
from suite.tasks import load_task
from tests.support import synthetic

SMOKE = load_task("smoke")
ITERATIONS = SMOKE.budget.length // SMOKE.budget.iteration_length


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
    start, end = SMOKE.score_window(SMOKE.budget.length)
    window = [row.value for row in source.episodes if start < row.frame <= end]
    assert run.score == pytest.approx(sum(window) / len(window), rel=1e-12)
    assert sorted(run.iterations) == list(range(ITERATIONS))
    third = [row.value for row in source.episodes if (row.frame - 1) // SMOKE.budget.iteration_length == 3]
    assert run.iterations[3] == pytest.approx(sum(third) / len(third), rel=1e-12)
    connection = sqlite3.connect(db)
    query = "SELECT recording.episodes FROM recording JOIN run ON run.id = run_id WHERE run.digest = ?"
    blob = connection.execute(query, (run.digest,)).fetchone()[0]
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


def test_a_result_stands_before_an_attempt_that_did_not_finish(tmp_path, db, run_maker):
    done, failed = tmp_path / "done", tmp_path / "failed"
    run_maker(done, started_at="2026-01-01T00:00:00Z")
    run_maker(failed, started_at="2026-02-01T00:00:00Z", state="failed")
    run_maker(failed, started_at="2026-03-01T00:00:00Z", state="interrupted")
    add(db, failed)
    assert add(db, done).outcomes == {"updated": 1}
    assert [(run.state, run.attempt) for run in current(db)] == [("done", 1)]
    other = tmp_path / "other.sqlite"
    add(other, done)
    report = add(other, failed)
    assert report.outcomes == {"skipped": 1}
    assert report.digest == add(db, failed).digest
    assert count(db, "run") == count(other, "run") == 1


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
        ("status.json", lambda c: c.update(frames=8_000), "done after 8000 of 16000 frames"),
        ("status.json", lambda c: c.update(budget_frames=8_000), "counts to 8000 frames"),
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
        from leaderboard.store import ingest as module
        module.BATCH_RUNS = 2
        real, calls = store._insert_iterations, []
        def insert(session, rows):
            real(session, rows)
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), 9)
        store._insert_iterations = insert
        module.ingest([Path({str(runs)!r})], Path({str(db)!r}), references=False)
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
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with ResultStore.open(db) as opened, pytest.raises(Locked, match="Another process"):
        opened.ingest(record.read_run(path))
    holder.close()


@pytest.mark.parametrize(
    ("pragma", "message"),
    [
        ("max_page_count = 1", "no space left for .*what was stored before stands"),
        ("query_only = ON", "cannot be written to"),
    ],
)
def test_a_full_disk_and_a_read_only_file(runs, db, run_maker, pragma, message):
    """SQLite says the same of a full disk as of its own bound, and of a read-only file as of a read-only connection."""
    first, *rest = sorted(find_runs(runs))
    rest.append(run_maker(runs, seed=2, unreached=("long" * 10_000,)))  # more than there is room for
    with ResultStore.open(db, create=True) as opened:
        opened.ingest(record.read_run(first))
        opened.engine.dispose()
        event.listen(opened.engine, "connect", lambda connection, _: connection.execute(f"PRAGMA {pragma}"))
        with pytest.raises(UnfitEnvironment, match=message):
            opened.add_runs([store.prepared(record.read_run(path)) for path in rest])
    assert [(run.game, run.seed) for run in current(db)] == [("Breakout", 0)]
    assert add(db, runs).outcomes == {"known": 1, "new": 4}


def test_a_snapshot_holds_no_lock_and_stays_as_it_was(runs, db, monkeypatch):
    first, *_ = sorted(find_runs(runs))
    add(db, first)
    monkeypatch.setattr(engine, "BUSY_SECONDS", 0.05)
    with ResultStore.open(db) as opened, opened.snapshot() as snapshot:
        assert add(db, runs).outcomes == {"known": 1, "new": 3}
        (run,) = snapshot.runs("smoke@1")
        assert len(snapshot.details(run).episodes) == 16
        with opened.snapshot() as later:
            assert len(later.runs("smoke@1")) == 4
            assert later.digest() != snapshot.digest()


@given(
    st.lists(
        st.builds(
            lambda number, value, end, actions: record.EvaluationRow.model_validate(
                {
                    "attempt": 1,
                    "agent_step": number,
                    "frame": 4 * number,
                    "episode": number,
                    "length": number,
                    "return": value,
                    "end": end,
                    "emulator_seed": 2**31 - 1,
                    "actions": actions,
                }
            ),
            st.integers(0, 10**12),
            st.floats(allow_nan=False, allow_infinity=False),
            st.sampled_from(["terminated", "truncated"]),
            st.text(),
        ),
        max_size=4,
    )
)
def test_the_digest_is_that_of_canonical_json(rows):
    """The text that is hashed is built by hand, for speed; it is what the json module writes."""
    written = [claims._evaluation(row) for row in rows]
    written += [claims._episode(record.Episode.model_validate(_without_actions(row))) for row in rows]
    plain = [row.model_dump(mode="json") for row in rows]
    plain += [record.Episode.model_validate(_without_actions(row)).model_dump(mode="json") for row in rows]
    plain = [row | {"value": row["value"] + 0.0} for row in plain]  # -0.0 is 0.0, as in bundles
    assert written == [json.dumps(row, sort_keys=True, separators=(",", ":")) for row in plain]


def _without_actions(row):
    return {key: value for key, value in row.model_dump(by_alias=True).items() if key != "actions"}


def test_diagnostics_are_thinned_to_what_a_page_can_show(tmp_path, db, run_maker):
    path = run_maker(tmp_path / "runs")
    rows = [
        record.Diagnostics(attempt=1, agent_step=n, frame=4 * n, updates=n, values={"loss": n / 7})
        for n in range(1, 1_001)
    ]
    (path / "diagnostics.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    add(db, tmp_path / "runs")
    with ResultStore.open(db) as opened, opened.snapshot() as snapshot:
        ((config_id, (found,)),) = snapshot.diagnostics("smoke@1").items()
        assert (found.config_id, found.game, found.seed) == (config_id, "Pong", 0)
    assert found.series["loss"].frames == tuple(range(20, 4_001, 20))  # every fifth row, the last among them
    assert found.series["loss"].values == tuple(n / 7 for n in range(5, 1_001, 5))


def test_each_diagnostic_is_thinned_by_itself_and_few_covariances_are_kept(tmp_path, db, run_maker):
    path = run_maker(tmp_path / "runs")
    rows = [
        record.Diagnostics(
            attempt=1, agent_step=n, frame=4 * n, updates=n,
            values={"loss": 1.0, "#covariance": 2.0} | ({"srank": float(n)} if n % 50 == 1 else {}),
            covariance="fw==" if n % 50 == 1 else "",
        )
        for n in range(1, 1_001)
    ]  # fmt: skip
    (path / "diagnostics.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    add(db, tmp_path / "runs")
    with ResultStore.open(db) as opened, opened.snapshot() as snapshot:
        ((_, (found,)),) = snapshot.diagnostics("smoke@1").items()
    assert found.series["srank"].values == tuple(float(n) for n in range(1, 1_000, 50))  # none of them is lost
    assert len(found.series["loss"].values) == 200
    assert set(found.series) == {"loss", "srank"}
    assert found.maps == ((4 * 251, "fw=="), (4 * 601, "fw=="), (4 * 951, "fw=="))


def test_what_is_recorded_in_more_detail_takes_the_place_of_less(tmp_path, db, run_maker):
    path = run_maker(tmp_path / "runs", replayed=False)
    other = tmp_path / "other.sqlite"
    add(db, path)
    (path / "checkpoints.jsonl").write_text(
        record.Checkpoint(
            attempt=1, agent_step=4_000, frame=16_000, updates=9, learner="a" * 64, history="b" * 64
        ).model_dump_json()
        + "\n"
    )
    report = add(db, path)
    assert report.outcomes == {"known": 1}
    assert current(db)[0].updates == 100
    with ResultStore.open(db) as opened, opened.snapshot() as snapshot:
        (run,) = snapshot.runs("smoke@1")
        assert snapshot.details(run).checkpoints == ((4_000, 16_000, 9, "a" * 64, "b" * 64),)
    assert add(other, path).digest == report.digest
    (path / "checkpoints.jsonl").write_text("")
    assert add(db, path).digest == report.digest


@pytest.mark.parametrize(
    ("task", "words"),
    [("smoke", "16000 frames"), ("smoke-mujoco", "environment steps"), ("smoke-offline", "gradient steps")],
)
def test_what_is_wrong_is_said_in_the_unit_of_the_task(tmp_path, db, task, words):
    synthetic.write(tmp_path, synthetic.Plan(task, 1, 1, 1, missing=0, failed=0, diverged=0, resumed=0))
    (path,) = find_runs(tmp_path)
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | {"frames": status["frames"] - 4}))
    lines = []
    ingest([path], db, references=False, progress=lines.append)
    assert len(lines) == 1
    assert lines[0].startswith(f"damaged: {path}: it is called done after ")
    assert words in lines[0]


def test_an_audit_finds_a_damaged_page_wherever_it_is(runs, db):
    add(db, runs)
    whole = db.read_bytes()
    size = 4096
    for page in range(1, len(whole) // size):
        db.write_bytes(whole[: page * size] + b"\xff" * size + whole[(page + 1) * size :])
        try:
            problems = audit(db).problems
        except BadData as error:
            problems = (str(error),)
        assert problems, f"page {page}"
    db.write_bytes(whole)
    assert audit(db).problems == ()


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        ("UPDATE run SET score = score + 1 WHERE game = 'Pong' AND seed = 1", "Pong seed 1 .*the score is"),
        ("UPDATE run SET scored_episodes = 3 WHERE game = 'Pong' AND seed = 1", "over 3, its episodes give"),
        ("UPDATE recording SET episodes = x'00' WHERE run_id = 1", "its episodes cannot be read"),
        ("UPDATE run SET trace = 'x' WHERE game = 'Pong' AND seed = 1", "its trace is not that of its episodes"),
        ("UPDATE run SET current = 0 WHERE game = 'Pong' AND seed = 1", r"rows \[\] stand where \d should"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM run WHERE game = 'Pong' AND seed = 1", "belongs to no run"),
    ],
)
def test_an_audit_finds_what_was_changed_by_hand(runs, db, damage, problem):
    add(db, runs)
    sound = audit(db)
    assert (sound.runs, sound.scores, sound.problems) == (4, 4, ())
    connection = sqlite3.connect(db)
    connection.executescript(damage)
    connection.close()
    found = audit(db).problems
    assert found
    assert all(re.search(problem, line) for line in found)


def test_what_a_connection_promises(db):
    with ResultStore.open(db, create=True) as opened, opened.engine.connect() as connection:
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
