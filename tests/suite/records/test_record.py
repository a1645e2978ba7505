"""The run directory keeps what was recorded, whatever happens to its writer."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from suite.errors import BadData, ExitCode, Locked, UnfitEnvironment
from suite.records import ownership
from suite.records.attempts import home, parts
from suite.records.find import find_runs
from suite.records.ownership import is_held
from suite.records.record import (
    Actions,
    Attempt,
    Diagnostics,
    Episode,
    StatusFile,
    effective_state,
    existing_state,
    read_run,
    read_status,
)
from suite.records.writer import RunWriter
from suite.tasks.configuration import Cell


def episode(attempt: int, number: int, value: float = 1.0) -> Episode:
    return Episode.model_validate(
        {
            "attempt": attempt,
            "episode": number,
            "agent_step": 100 * (number + 1),
            "frame": 400 * (number + 1),
            "length": 100,
            "return": value,
            "end": "terminated",
            "emulator_seed": 7,
        }
    )


def provenance(number: int) -> Attempt:
    return Attempt(
        attempt=number,
        started_at="2026-01-01T00:00:00Z",
        suite_version="0",
        git={"commit": None, "dirty": None},
        packages={},
        hardware={},
        environment={},
        environment_fingerprint="f" * 16,
    )


def status(writer: RunWriter, state: str, frames: int = 400) -> StatusFile:
    return StatusFile(
        state=state,  # type: ignore[arg-type]
        attempt=writer.attempt,
        agent_steps=frames // 4,
        frames=frames,
        budget_frames=16_000,
        updates=0,
        episodes=1,
        last_return=1.0,
        frames_per_second=10.0,
        started_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T00:00:01Z",
        closed=writer.closed_attempts(),
    )


def begin(root: Path, cell: Cell) -> RunWriter:
    writer = RunWriter.open(root, cell, {})
    writer.provenance(provenance(writer.attempt))
    writer.status(status(writer, "running", 0))
    return writer


def test_what_is_written_is_read_while_the_run_goes_on(tmp_path: Path, cell: Cell) -> None:
    writer = begin(tmp_path, cell)
    writer.episode(episode(1, 0, -21.0))
    writer.diagnostics(Diagnostics(attempt=1, agent_step=4, frame=16, updates=1, values={"loss": 0.5}))
    run = read_run(tmp_path / cell.path)
    assert run.cell.spec == cell.spec
    assert [row.value for row in run.episodes] == [-21.0]
    assert run.diagnostics[0].values == {"loss": 0.5}
    assert effective_state(run.path, run.status) == "running"
    assert find_runs(tmp_path) == [tmp_path / cell.path]
    assert '"return":-21.0' in (run.path / "episodes.jsonl").read_text()
    writer.close()


def test_a_second_writer_is_refused_and_the_first_is_not_disturbed(tmp_path: Path, cell: Cell) -> None:
    writer = begin(tmp_path, cell)
    with pytest.raises(Locked, match="Another process is running") as caught:
        RunWriter.open(tmp_path, cell, {})
    assert caught.value.exit_code == ExitCode.LOCKED
    assert is_held(tmp_path / cell.path)
    writer.close()
    assert not is_held(tmp_path / cell.path)


def test_a_killed_attempt_stays_readable_and_marked_and_counts_nowhere(tmp_path: Path, cell: Cell) -> None:
    first = begin(tmp_path, cell)
    first.episode(episode(1, 0, 5.0))
    first.status(status(first, "running"))
    with (first.path / "episodes.jsonl").open("a") as log:
        log.write('{"attempt":1,"epis')  # what SIGKILL leaves of a row
    first.close()
    assert effective_state(first.path, read_status(first.path)) == "killed"
    assert len(read_run(first.path).episodes) == 1

    second = begin(tmp_path, cell)
    assert second.attempt == 2
    second.episode(episode(2, 0, 7.0))
    second.status(status(second, "done"))
    second.close()
    run = read_run(first.path)
    assert [row.value for row in run.episodes] == [7.0]
    assert [(old.attempt, old.state, old.frames) for old in run.status.closed] == [(1, "killed", 400)]
    assert [old.attempt for old in run.provenance.attempts] == [1, 2]
    logs = [place.folder / "episodes.jsonl" for place in parts(run.path)]
    rows = [[json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")] for log in logs]
    assert [[(row["attempt"], row["return"]) for row in table] for table in rows] == [[(1, 5.0)], [(2, 7.0)]]


def test_in_a_record_without_owners_a_lock_ends_with_its_process(tmp_path: Path, cell: Cell) -> None:
    begin(tmp_path, cell).close()
    shutil.rmtree(tmp_path / cell.path / "attempts")  # as earlier versions left it
    program = (
        "import fcntl, os, signal, sys; lock = open(sys.argv[1], 'a'); fcntl.flock(lock, fcntl.LOCK_EX);"
        "print('held', flush=True); signal.pause()"
    )
    path = tmp_path / cell.path
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path / "run.lock")], stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert is_held(path)
        assert effective_state(path, read_status(path)) == "running"
        holder.kill()
        holder.wait()
    assert effective_state(path, read_status(path)) == "killed"


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("status.json", "{", "status.json is damaged"),
        ("status.json", '{"schema_version": 2}', "status.json is damaged"),
        ("provenance.json", "[]", "provenance.json is damaged"),
        ("episodes.jsonl", '{"attempt": 1}\n', r"episodes.jsonl:1 is damaged \(agent_step: Field required\)"),
        ("episodes.jsonl", "\x00\x00\n", "episodes.jsonl:1 is damaged"),
        ("spec.json", '{"schema_version": 1}', "spec.json is damaged"),
    ],
)
def test_damage_is_named_with_its_place_and_a_remedy(
    tmp_path: Path, cell: Cell, file: str, content: str, message: str
) -> None:
    begin(tmp_path, cell).close()
    path = tmp_path / cell.path
    (path / file).write_text(content)
    with pytest.raises(BadData, match=message) as caught:
        read_run(path)
    assert "start anew" in caught.value.remedy


def test_a_directory_of_another_cell_is_refused(tmp_path: Path, cell: Cell) -> None:
    begin(tmp_path, cell).close()
    other = Cell(cell.spec, "Breakout", 0)
    (tmp_path / cell.path).rename(tmp_path / "moved")
    (tmp_path / other.path).parent.mkdir(parents=True)
    (tmp_path / "moved").rename(tmp_path / other.path)
    with pytest.raises(BadData, match="describes another run than its place says"):
        RunWriter.open(tmp_path, other, {})
    assert not is_held(tmp_path / other.path)


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path, cell: Cell) -> None:
    file = tmp_path / "file"
    file.write_text("not a directory")
    with pytest.raises(UnfitEnvironment, match="Cannot write to") as caught:
        RunWriter.open(file, cell, {})
    assert "--out" in caught.value.remedy


def test_runs_are_found_while_their_checkpoints_come_and_go(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin(tmp_path, cell).close()
    path = tmp_path / cell.path
    vanishing = path / "checkpoints" / ".tmp-step-0000000400"
    vanishing.mkdir(parents=True)
    real = os.scandir

    def scandir(place: str | os.PathLike[str]) -> object:
        if str(place).endswith("checkpoints") or ".tmp-" in str(place):
            raise FileNotFoundError(place)
        return real(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert find_runs(tmp_path) == [path]


@pytest.mark.parametrize("away", ["deleted", "moved", "replaced", "one log"])
def test_a_run_whose_directory_is_gone_does_not_end_as_if_nothing_were(tmp_path: Path, cell: Cell, away: str) -> None:
    writer = begin(tmp_path, cell)
    writer.episode(episode(1, 0))
    writer.status(status(writer, "running"))
    if away == "one log":
        (writer.path / "episodes.jsonl").unlink()
    elif away == "deleted":
        shutil.rmtree(writer.path)
    else:
        writer.path.rename(tmp_path / "elsewhere")
        if away == "replaced":
            shutil.copytree(tmp_path / "elsewhere", writer.path)
    for act in (writer.sync, lambda: writer.status(status(writer, "done"))):
        with pytest.raises(UnfitEnvironment, match="deleted or replaced while the run went on"):
            act()
    assert not (writer.path / "status.json").exists() or read_status(writer.path).state == "running"
    writer.close()


@pytest.mark.parametrize("name", ["spec.json", "provenance.json", "episodes.jsonl"])
def test_a_record_without_one_of_its_files_is_damaged_and_nothing_is_added(
    tmp_path: Path, cell: Cell, name: str
) -> None:
    begin(tmp_path, cell).close()
    path = tmp_path / cell.path
    (path / name).unlink()
    before = sorted(file.name for file in path.iterdir())
    for act in (lambda: read_run(path), lambda: RunWriter.open(tmp_path, cell, {})):
        with pytest.raises(BadData, match=f"{name} is missing, though"):
            act()
    assert sorted(file.name for file in path.iterdir()) == before


def test_runs_behind_links_are_found_once(tmp_path: Path, cell: Cell) -> None:
    begin(tmp_path / "disk", cell).close()
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "scratch").symlink_to(tmp_path / "disk")
    (tmp_path / "runs" / "again").symlink_to(tmp_path / "disk")
    (tmp_path / "disk" / "loop").symlink_to(tmp_path)
    (found,) = find_runs(tmp_path / "runs")
    assert found.resolve() == (tmp_path / "disk" / cell.path).resolve()
    begin(tmp_path / "other", cell).close()
    game = tmp_path / "runs" / "linked" / "Pong"
    game.mkdir(parents=True)
    (game / "seed-0").symlink_to(tmp_path / "other" / cell.path)
    assert len(find_runs(tmp_path / "runs")) == 2


def test_a_link_to_a_run_that_is_not_there_is_said(tmp_path: Path) -> None:
    (tmp_path / "seed-3").symlink_to(tmp_path / "unmounted")
    with pytest.raises(BadData, match="seed-3 is a link to a place that is not there"):
        find_runs(tmp_path)


def test_a_directory_that_cannot_be_read_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "closed").mkdir()
    scan = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(BadData, match="closed cannot be read: Permission denied"):
        find_runs(tmp_path)


def test_where_files_cannot_be_locked_a_cell_has_one_owner_all_the_same(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(ownership.fcntl, "flock", no_locks)
    writer = begin(tmp_path, cell)
    with pytest.raises(Locked, match=f"Another process is running .*: process {os.getpid()} on "):
        RunWriter.open(tmp_path, cell, {})
    assert effective_state(writer.path, read_status(writer.path)) == "running"
    writer.close()
    assert effective_state(writer.path, read_status(writer.path)) == "killed"
    second = begin(tmp_path, cell)
    assert second.attempt == 2
    assert home(writer.path) == writer.path / "attempts" / "2"
    second.close()


def test_an_emptied_status_is_damage_of_one_cell_and_no_plan_stops_at_it(tmp_path: Path, cell: Cell) -> None:
    begin(tmp_path, cell).close()
    path = tmp_path / cell.path
    assert existing_state(path) == "killed"
    (path / "status.json").write_bytes(b"")
    assert existing_state(path) is None  # so that it is among the cells to run, where it fails with the reason
    with pytest.raises(BadData, match=r"status\.json is damaged"):
        RunWriter.open(tmp_path, cell, {})


def test_arguments_that_are_no_text_are_recorded_as_escapes() -> None:
    from suite.running.provenance import _printable

    assert _printable(os.fsdecode(b"caf\xe9")) == r"caf\xe9"
    assert _printable("café") == "café"


@pytest.mark.parametrize("length", [-1, -(2**40), 2**31, 2**64, 10**30])
def test_actions_of_a_length_that_no_episode_has_are_bad_data(length: int) -> None:
    """A length of -1 would unpack without a limit, one beyond a machine's word would not be taken at all."""
    with pytest.raises(BadData, match=f"No episode has {length} agent steps"):
        Actions.pack(1, 0, b"\0" * 5).unpack(length)
    assert Actions.pack(1, 0, b"\0" * 5).unpack(5) == b"\0" * 5
