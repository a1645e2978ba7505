"""The three sinks, read back by their packages: TensorBoard's events, W&B's offline files, trackio's database."""

import os
import sqlite3
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from suite.records.record import Run, read_run
from suite.records.sinks.feed import points_of
from tests.support.runs import make_run, make_spec

pytestmark = pytest.mark.nightly


def fed(name: str, tmp_path: Path) -> tuple[Run, Path]:
    """Feed a finished run by the command, twice; return it, and where the sink's files are."""
    run = read_run(make_run(tmp_path / "runs", make_spec()))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "suite", "sink", name, str(tmp_path / "runs"), "--out", str(out)]
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("WANDB_", "TRACKIO_"))}
    counts = []
    for _ in range(2):
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout == "" or name == "trackio"  # which says goodbye when Python ends
        counts.append(int(done.stderr.splitlines()[-1].split()[0]))
    assert counts == [len(points_of(run)), 0]
    return run, out


def leveldb_log(content: bytes) -> Iterator[bytes]:
    """Yield the records of a log in LevelDB's format: parts of blocks of 32 KiB, after W&B's own 7 bytes."""
    at, record = 7, b""
    while at + 7 <= len(content):
        if (left := -at % 32768) and left < 7:
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])  # 1: whole, 2: first, 3: middle, 4: last
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


def returns(run: Run) -> dict[int, float]:
    return {row.frame: row.value for row in run.episodes}


def test_tensorboard_has_every_return_at_its_frame_and_the_score(tmp_path: Path) -> None:
    from tensorboardX.proto.event_pb2 import Event

    run, out = fed("tensorboard", tmp_path)
    (file,) = out.glob("**/events.out.tfevents.*")
    content, found = file.read_bytes(), {}
    while content:  # a length with its checksum, the record, its checksum
        (length,) = struct.unpack("<Q", content[:8])
        event = Event.FromString(content[12 : 12 + length])
        content = content[16 + length :]
        found.update({(value.tag, event.step): value.simple_value for value in event.summary.value})
    assert {step: value for (tag, step), value in found.items() if tag == "train/return"} == pytest.approx(returns(run))
    assert run.status.summary is not None
    assert found["results/score", run.episodes[-1].frame] == pytest.approx(run.status.summary.score)


def test_wandb_writes_offline_what_its_own_reader_finds(tmp_path: Path) -> None:
    from wandb.proto.wandb_internal_pb2 import Record

    run, out = fed("wandb", tmp_path)
    (file,) = out.glob("wandb/offline-run-*/*.wandb")
    found = {}
    for content in leveldb_log(file.read_bytes()):
        record = Record.FromString(content)
        row = {item.key or ".".join(item.nested_key): item.value_json for item in record.history.item}
        if "train/return" in row:
            found[int(row["_step"])] = float(row["train/return"])
    assert found == pytest.approx(returns(run))


def test_trackio_keeps_every_return_in_its_own_database(tmp_path: Path) -> None:
    run, out = fed("trackio", tmp_path)
    (file,) = out.glob("*.db")
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT step, json_extract(metrics, '$.\"train/return\"') FROM metrics").fetchall()
    assert {step: value for step, value in rows if value is not None} == pytest.approx(returns(run))
