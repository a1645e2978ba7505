"""Several processes that ingest into one database, killed at random moments: nothing lost, nothing doubled."""

import hashlib
import itertools
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from leaderboard.bundles.pack import pack
from leaderboard.store.audit import audit
from leaderboard.store.ingest import ingest
from tests.support import synthetic

pytestmark = pytest.mark.slow

INGEST = """
import os, signal, sys
from pathlib import Path
from sqlalchemy import Engine, event
from leaderboard.store import ingest

db, batch, statements, *paths = sys.argv[1:]
left = int(statements)

@event.listens_for(Engine, "before_cursor_execute")
def count(*_):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)

ingest.BATCH_RUNS = int(batch)
print("ready", flush=True)
ingest.ingest([Path(path) for path in paths], Path(db), references=False)
"""
ATTEST = """\
bundle_sha256 = "{sha256}"
level = "replayed"
by = "A. Maintainer"
date = "2026-03-01"
evidence = "https://example.org/log"
"""


@dataclass(frozen=True)
class Work:
    """What one process ingests: run directories, and bundles that its neighbour ingests as well."""

    directories: Path
    bundles: tuple[Path, ...]


@dataclass(frozen=True)
class Harm:
    """How often a process is killed: after at most so many seconds, or SQL statements, or in this statement."""

    kills: int
    seconds: float
    statements: int


def start(db, batch, paths, statements=0):
    command = [sys.executable, "-c", INGEST, *map(str, (db, batch, statements, *paths))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    process.stdout.readline()  # imported: what is killed from here on is killed at work
    return process


def finish(process):
    _, errors = process.communicate(timeout=500)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode


def ingest_with_kills(db, batch, work, source, harm):
    """Ingest in a process that is killed at random moments and started again; return how many kills hit what.

    Every second time it is killed at a statement of its own, so that transactions are hit as often as reading is.
    """
    hits = {"directories": 0, "bundles": 0}
    for number in range(harm.kills):
        kind = source.choice(["directories", "bundles"])
        paths = [work.directories] if kind == "directories" else work.bundles
        inside = number % 2 == 0
        process = start(db, batch, paths, source.randint(1, harm.statements) if inside else 0)
        if not inside:
            time.sleep(source.uniform(0, harm.seconds))
            process.send_signal(signal.SIGKILL)
        hits[kind] += finish(process) == -signal.SIGKILL
    assert finish(start(db, batch, [work.directories, *work.bundles])) == 0
    return hits


def make_work(root, processes, plan):
    """Write each process's run directories, and bundles: of its own run directories, and of runs of nobody else."""
    folders, placed = [root / f"runs-{number}" for number in range(processes)], []
    for number, folder in enumerate(folders):
        synthetic.write(folder, synthetic.Plan(**plan, seed=number))
        packed = min((folder / "atari40m@1").iterdir())
        if number % 2:
            packed = root / f"packed-{number}"
            synthetic.write(packed, synthetic.Plan(**(plan | {"entries": 1}), seed=100 + number))
        placed.append(place(root / "repository" / "submissions" / f"slug-{number}", packed, attested=number % 3 == 0))
    neighbours = zip(placed, placed[1:] + placed[:1], strict=True)
    return [Work(folder, pair) for folder, pair in zip(folders, neighbours, strict=True)]


def place(folder, runs, *, attested):
    folder.mkdir(parents=True)
    bundle = pack([runs], synthetic.STATEMENT, folder / "bundle.zip").path
    if attested:
        (folder / "attest.toml").write_text(ATTEST.format(sha256=hashlib.sha256(bundle.read_bytes()).hexdigest()))
    return bundle


def prove(tmp_path, *, processes, entries, games, seeds, harm, batch):
    """Let processes ingest run directories and bundles into one database, and find what one ingest without kills finds.

    Returns how many kills hit which kind of work, and the audit.
    """
    plan = {"task": "atari40m", "entries": entries, "games": games, "seeds": seeds, "actions": False}
    plan |= {"missing": 0, "failed": 0, "diverged": 0}
    works = make_work(tmp_path, processes, plan)
    db, apart = tmp_path / "results.sqlite", tmp_path / "apart.sqlite"
    with ThreadPoolExecutor(processes) as threads:
        hits = list(
            threads.map(
                lambda number: ingest_with_kills(db, batch, works[number], random.Random(number), harm),
                range(processes),
            )
        )
    found = audit(db)
    assert found.problems == ()
    everything = [path for work in reversed(works) for path in (*reversed(work.bundles), work.directories)]
    assert found.digest == ingest(everything, apart, references=False).digest
    assert count(db) == count(apart)
    in_directories, in_bundles = processes * entries * games * seeds, processes * games * seeds
    assert count(db)["run"] == in_directories + processes // 2 * games * seeds
    assert (count(db)["submission"], count(db)["run_submission"]) == (processes, in_bundles)
    return {kind: sum(hit[kind] for hit in hits) for kind in hits[0]}, found


def count(db):
    connection = sqlite3.connect(db)
    tables = ("configuration", "run", "iteration", "recording", "submission", "run_submission", "attestation")
    rows = {table: connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}
    connection.close()
    return rows


@pytest.mark.nightly  # by day an ingest is killed at every so-manieth statement
def test_three_ingests_of_run_directories_and_bundles_with_kills(tmp_path):
    harm = Harm(kills=2, seconds=0.15, statements=30)
    hit, found = prove(tmp_path, processes=3, entries=1, games=5, seeds=2, harm=harm, batch=1)
    assert sum(hit.values()) > 0
    assert found.runs == 40


@pytest.mark.parametrize("stride", [67, pytest.param(11, marks=pytest.mark.nightly)])
def test_a_kill_at_any_statement_of_a_bundle_leaves_it_out_or_in(tmp_path, stride):
    """The statements of an ingest are the same every time; each kill is further on, until the process ends."""
    plan = synthetic.Plan("smoke", entries=1, missing=0, failed=0, diverged=0)
    synthetic.write(tmp_path / "runs", plan)
    bundle = place(tmp_path / "submissions" / "one", tmp_path / "runs", attested=True)
    apart, seen = tmp_path / "apart.sqlite", set()
    digest = ingest([bundle], apart, references=False).digest
    for number in itertools.count(8, stride):
        db = tmp_path / f"{number}.sqlite"
        killed = finish(start(db, 1, [bundle], number)) == -signal.SIGKILL
        rows = count(db) if has_tables(db) else {"submission": 0, "run": 0}
        seen.add((rows["submission"], rows["run"]))
        assert (rows["submission"], rows["run"]) in ((0, 0), (1, 4))
        assert ingest([bundle], db, references=False).digest == digest
        assert audit(db).problems == ()
        if not killed:
            break
    assert seen == {(0, 0), (1, 4)}


def has_tables(db):
    connection = sqlite3.connect(db)
    found = connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'run'").fetchone()[0]
    connection.close()
    return bool(found)


@pytest.mark.nightly
def test_eight_ingests_of_a_hundred_runs_and_bundles_with_kills(tmp_path, record_property):
    started = time.monotonic()
    harm = Harm(kills=8, seconds=2.0, statements=400)
    hit, found = prove(tmp_path, processes=8, entries=2, games=10, seeds=5, harm=harm, batch=4)
    assert min(hit.values()) > 10
    assert found.runs == 1000
    for name, value in (("processes", 8), ("runs", found.runs), ("bundles", 8)):
        record_property(name, value)
    record_property("kills_in_directories", hit["directories"])
    record_property("kills_in_bundles", hit["bundles"])
    record_property("seconds", round(time.monotonic() - started, 1))
