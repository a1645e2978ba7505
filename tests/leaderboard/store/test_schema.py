import hashlib
import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from leaderboard.store import engine, models, schema
from leaderboard.store.audit import audit
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite.errors import BadData, UsageError

GOLDEN = Path(__file__).with_name("schema-1.sql")
"""A database that the suite wrote when schema 1 was its own: five runs, one of them superseded, one failed."""

SECOND = Path(__file__).with_name("schema-2.sql")
"""One of schema 2: three run directories, and two submissions, of which the second copied a run of the first."""


def query(db, text, *values):
    connection = sqlite3.connect(db)
    try:
        with connection:
            return connection.execute(text, values).fetchall()
    finally:
        connection.close()


def declared(db):
    """What the tables, columns, keys and indices of a database are, however their definitions are written."""
    found = {}
    for name, text in query(db, "SELECT name, sql FROM sqlite_schema WHERE type = 'table'"):
        parts = [query(db, f"PRAGMA {kind}({name})") for kind in ("table_xinfo", "foreign_key_list")]
        indices = sorted((row[1], row[2:], query(db, f"PRAGMA index_xinfo('{row[1]}')")) for row in _indices(db, name))
        found[name] = (parts, indices, "STRICT" in text, "WITHOUT ROWID" in text)
    return found


def _indices(db, table):
    return query(db, f"PRAGMA index_list({table})")


@pytest.fixture
def old(tmp_path):
    path = tmp_path / "results.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(GOLDEN.read_text())
    connection.close()
    return path


def test_an_old_database_is_migrated_and_kept_beside(old):
    before = old.read_bytes()
    version, copy = schema.migrate(old)
    assert version == 1
    assert copy.name == "results.sqlite.schema-1.bak"
    assert query(copy, "SELECT * FROM run ORDER BY id")
    assert query(copy, "PRAGMA user_version") == [(1,)]
    assert sorted(path.name for path in old.parent.iterdir()) == [old.name, copy.name]
    with ResultStore.open(old) as store, store.snapshot() as snapshot:
        runs = snapshot.runs("smoke@1")
        assert sorted((run.game, run.seed, run.state, run.level) for run in runs) == [
            ("Breakout", 0, "done", "recomputed"),
            ("Breakout", 1, "failed", "recomputed"),
            ("Pong", 0, "done", "recomputed"),
            ("Pong", 1, "done", "recomputed"),
        ]
        first = next(run for run in runs if (run.game, run.seed) == ("Pong", 0))
        details = snapshot.details(first)
        assert first.ended_at == "2026-02-01T01:00:00Z"
        assert details.episodes[-1] == (16_000, 250, -1.603, "terminated")
        assert details.diagnostics == {}
    assert before != old.read_bytes()
    assert schema.migrate(old) == (models.SCHEMA_VERSION, None)


def test_a_migrated_database_has_the_tables_of_a_new_one(old, tmp_path):
    schema.migrate(old)
    ResultStore.open(tmp_path / "new.sqlite", create=True).close()
    assert declared(old) == declared(tmp_path / "new.sqlite")
    stamp = "SELECT version_num FROM alembic_version"
    assert query(old, stamp) == query(tmp_path / "new.sqlite", stamp) == [(schema.revision(models.SCHEMA_VERSION),)]


def test_what_is_migrated_equals_what_is_ingested_anew(old, tmp_path, run_maker, spec_maker):
    """The golden file's run directories, made again: the old suite's hashes of them still hold."""
    root, redo = tmp_path / "runs", spec_maker(methods=("redo",))
    run_maker(root, spec_maker(), "Pong", 0)
    run_maker(root, spec_maker(), "Pong", 1, level=0.7)
    run_maker(root, redo, "Breakout", 0, level=2.0, sparsity=0.5)
    run_maker(root, redo, "Breakout", 1, state="failed")
    run_maker(tmp_path / "other", spec_maker(), "Pong", 0, level=0.5, started_at="2026-02-01T00:00:00Z")
    lines = []
    paths = [root, tmp_path / "other"]
    report = ingest(paths, old, references=False, progress=lines.append)
    assert report.outcomes == {"known": 5}
    assert any("migrated" in line and "schema 1" in line for line in lines)
    assert ingest(paths, tmp_path / "new.sqlite", references=False).digest == report.digest


@pytest.fixture
def second(tmp_path):
    path = tmp_path / "second.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(SECOND.read_text())
    connection.close()
    return path


def test_a_database_of_schema_2_gets_the_traces_of_its_runs(second, tmp_path):
    version, copy = schema.migrate(second)
    assert (version, copy.name) == (2, "second.sqlite.schema-2.bak")
    ResultStore.open(tmp_path / "new.sqlite", create=True).close()
    assert declared(second) == declared(tmp_path / "new.sqlite")
    assert audit(second).problems == ()
    traces = query(second, "SELECT game, seed, own, trace FROM run ORDER BY game, seed, own")
    assert [row[:3] for row in traces] == [("Breakout", 0, 1), ("Pong", 0, 1), ("Pong", 1, 0), ("Pong", 1, 1)]
    failed, first, copied, own = (row[3] for row in traces)
    assert failed is None
    assert first == copied != own
    with ResultStore.open(second) as store, store.snapshot() as snapshot:
        (found,) = [copy for copy in snapshot.copies() if copy.run.slug == "two"]
        assert [(other.slug, other.seed) for other in found.elsewhere] == [("one", 0), ("", 0)]


def test_a_migrated_run_has_the_trace_of_its_run_directory(second, tmp_path, run_maker, spec_maker):
    schema.migrate(second)
    report = ingest([run_maker(tmp_path / "runs", spec_maker(), "Pong", 0)], tmp_path / "new.sqlite", references=False)
    assert report.outcomes == {"new": 1}
    text = "SELECT trace FROM run WHERE game = 'Pong' AND seed = 0"
    assert query(second, text) == query(tmp_path / "new.sqlite", text)


def test_a_run_of_schema_1_whose_episodes_were_not_kept_gets_its_trace_when_it_comes_in_again(
    tmp_path, run_maker, spec_maker
):
    db, runs = tmp_path / "results.sqlite", run_maker(tmp_path / "runs")
    before = ingest([runs], db, references=False)
    kept = query(db, "SELECT trace FROM run")
    query(db, "UPDATE run SET trace = NULL")
    assert ingest([runs], db, references=False).digest == before.digest
    assert query(db, "SELECT trace FROM run") == kept != [(None,)]


def test_an_earlier_copy_is_not_overwritten(old):
    earlier = old.with_name(f"{old.name}.schema-1.bak")
    earlier.write_text("another one")
    _, copy = schema.migrate(old)
    assert copy.name == f"{old.name}.schema-1-2.bak"
    assert earlier.read_text() == "another one"


def test_reading_an_old_database_says_what_to_do(old):
    before = old.read_bytes()
    with pytest.raises(BadData, match=f"has schema 1, this suite writes {models.SCHEMA_VERSION}") as caught:
        ResultStore.open(old)
    assert f"suite leaderboard migrate --db {old}" in str(caught.value)
    assert old.read_bytes() == before


def test_what_cannot_be_migrated(tmp_path):
    with pytest.raises(UsageError, match="There is no database"):
        schema.migrate(tmp_path / "none.sqlite")
    foreign = tmp_path / "foreign.sqlite"
    query(foreign, "CREATE TABLE t (x)")
    with pytest.raises(BadData, match="not a results database"):
        schema.migrate(foreign)


def test_a_database_that_contradicts_itself_is_refused(tmp_path):
    db = tmp_path / "results.sqlite"
    ResultStore.open(db, create=True).close()
    query(db, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(BadData, match=f"says schema {models.SCHEMA_VERSION} in one place and 0001 in another"):
        ResultStore.open(db)


LATE = (pytest.param(calls, marks=pytest.mark.nightly) for calls in (15, 29, 36))


@pytest.mark.parametrize("calls", [5, 25, 33, *LATE])
def test_a_kill_in_mid_migration_leaves_the_old_or_the_new(old, calls):
    script = f"""
        import os
        from pathlib import Path
        from sqlalchemy import event
        from leaderboard.store import schema
        real, count = schema.make_engine, [0]
        def counting(path):
            engine = real(path)
            @event.listens_for(engine, "before_cursor_execute")
            def execute(*_):
                count[0] += 1
                if count[0] == {calls}:
                    os.kill(os.getpid(), 9)
            return engine
        schema.make_engine = counting
        schema.migrate(Path({str(old)!r}))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=False, env=os.environ)
    assert done.returncode == -9
    assert query(old, "PRAGMA integrity_check") == [("ok",)]
    assert query(old, "PRAGMA user_version") == [(1,)]
    version, _ = schema.migrate(old)
    assert version == 1
    assert not list(old.parent.glob(".*"))
    ResultStore.open(old).close()


@pytest.mark.parametrize(
    ("version", "kind", "mode"),
    [
        ((3, 40, 1), "ext4", "delete"),
        ((3, 51, 2), "ext4", "delete"),
        ((3, 51, 3), "ext4", "wal"),
        ((3, 52, 0), "ext4", "delete"),
        ((3, 53, 0), "xfs", "wal"),
        *(((3, 53, 0), kind, "delete") for kind in ("nfs4", "lustre", "gpfs", "cifs", "fuse.sshfs", "9p", "overlay")),
        ((3, 53, 0), None, "delete"),
    ],
)
def test_a_write_ahead_log_only_where_it_is_safe(version, kind, mode):
    assert engine.journal_mode(version, kind) == mode


MOUNTS = r"""22 1 254:0 / / rw,relatime - ext4 /dev/vda rw
23 22 0:21 / /net rw - nfs4 server:/export rw
24 23 0:22 / /net/my\040scratch rw shared:1 - lustre mgs:/fs rw
25 22 0:23 / /stacked rw - xfs /dev/vdb rw
26 22 0:24 / /stacked rw - tmpfs tmpfs rw
a damaged line
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/results.sqlite", "ext4"),
        ("/net/results.sqlite", "nfs4"),
        ("/net/my scratch/deep/results.sqlite", "lustre"),
        ("/network/results.sqlite", "ext4"),
        ("/stacked/results.sqlite", "tmpfs"),
    ],
)
def test_the_file_system_of_a_path(tmp_path, path, kind):
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS)
    assert engine.file_system(Path(path), mounts) == kind
    assert engine.file_system(Path(path), tmp_path / "none") is None


def test_a_write_ahead_log_is_used_and_left_again(tmp_path, monkeypatch, run_maker):
    db = tmp_path / "results.sqlite"
    monkeypatch.setattr(engine, "journal_mode", lambda *_: "wal")
    report = ingest([run_maker(tmp_path / "runs")], db, references=False)
    assert query(db, "PRAGMA journal_mode") == [("wal",)]
    monkeypatch.undo()
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        assert snapshot.digest() == report.digest
    assert query(db, "PRAGMA journal_mode") == [
        (engine.journal_mode(sqlite3.sqlite_version_info, engine.file_system(db)),)
    ]


def test_the_golden_files_are_as_they_were_written():
    for file, known in ((GOLDEN, "b73bbbababb80f28"), (SECOND, "eed190b2f6859caf")):
        assert hashlib.sha256(file.read_bytes()).hexdigest()[:16] == known
