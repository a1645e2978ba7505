"""Several processes that ingest into one database, killed at random moments: nothing lost, nothing doubled."""

import importlib.util
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from leaderboard.store.audit import audit
from leaderboard.store.ingest import ingest

INGEST = """
import sys
from pathlib import Path
from leaderboard.store import ingest
ingest.BATCH_RUNS = int(sys.argv[3])
print("ready", flush=True)
ingest.ingest([Path(sys.argv[1])], Path(sys.argv[2]), references=False)
"""


def _synthetic():
    path = Path(__file__).parent.parent / "synthetic.py"
    spec = importlib.util.spec_from_file_location("synthetic_runs", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


synthetic = _synthetic()


def start(folder, db, batch):
    command = [sys.executable, "-c", INGEST, str(folder), str(db), str(batch)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    process.stdout.readline()  # imported: what is killed from here on is killed at work
    return process


def ingest_with_kills(folder, db, source, *, kills, seconds, batch):
    """Ingest a folder in a process that is killed at random moments and started again; return how many kills hit."""
    hits = 0
    for _ in range(kills):
        process = start(folder, db, batch)
        time.sleep(source.uniform(0, seconds))
        process.send_signal(signal.SIGKILL)
        hits += finish(process) == -signal.SIGKILL
    assert finish(start(folder, db, batch)) == 0
    return hits


def finish(process):
    _, errors = process.communicate(timeout=500)
    assert process.returncode in (0, -signal.SIGKILL), errors.decode()
    return process.returncode


def prove(tmp_path, *, processes, entries, games, seeds, kills, seconds, batch):
    """Let `processes` ingest their own folders into one database at once, and find in it what one ingest finds."""
    folders = [tmp_path / f"runs-{number}" for number in range(processes)]
    for number, folder in enumerate(folders):
        plan = synthetic.Plan(
            "atari40m", entries, games, seeds, actions=False, missing=0, failed=0, diverged=0, seed=number
        )
        synthetic.write(folder, plan)
    db, apart = tmp_path / "results.sqlite", tmp_path / "apart.sqlite"
    with ThreadPoolExecutor(processes) as threads:
        hits = threads.map(
            lambda number: ingest_with_kills(
                folders[number], db, random.Random(number), kills=kills, seconds=seconds, batch=batch
            ),
            range(processes),
        )
        hit = sum(hits)
    found = audit(db)
    assert found.problems == ()
    assert found.digest == ingest(folders[::-1], apart, references=False).digest
    assert count(db) == count(apart)
    assert count(db)[1] == processes * entries * games * seeds
    return hit, found


def count(db):
    connection = sqlite3.connect(db)
    tables = ("configuration", "run", "iteration", "recording")
    rows = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]
    connection.close()
    return rows


def test_three_ingests_of_ten_runs_with_kills(tmp_path):
    hit, found = prove(tmp_path, processes=3, entries=1, games=5, seeds=2, kills=2, seconds=0.15, batch=1)
    assert hit > 0
    assert found.scores == 30


@pytest.mark.nightly
def test_eight_ingests_of_a_hundred_runs_with_kills(tmp_path, record_property):
    started = time.monotonic()
    hit, found = prove(tmp_path, processes=8, entries=2, games=10, seeds=5, kills=6, seconds=1.5, batch=4)
    assert hit > 20
    assert found.scores == found.runs == 800
    for name, value in (("processes", 8), ("runs", found.runs), ("kills", hit)):
        record_property(name, value)
    record_property("seconds", round(time.monotonic() - started, 1))
