"""A cell has one owner, whatever locks, clocks and sleeping processes do, and an overtaken one harms nothing."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from suite import durable
from suite.cli.main import cli
from suite.errors import BadData, ExitCode, Locked, Overtaken, UsageError
from suite.records import adoption, ownership
from suite.records.attempts import home, parts
from suite.records.checkpoints import CheckpointStore
from suite.records.ownership import MISSED, Kernel, Owner, Ownership, RunLock, Watch
from suite.records.record import Attempt, Diagnostics, StatusFile, existing_state, read_run, read_status
from suite.records.verified import content_of
from suite.records.writer import RunWriter
from suite.tasks.configuration import Cell


class NoSync(durable.System):
    """For tests that look at no crash."""

    def fsync(self, descriptor: int) -> None:
        pass


@pytest.fixture(autouse=True)
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "system", NoSync())


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """No process can be looked up, and no lock reaches: as between machines."""

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(ownership, "kernel", lambda: Kernel("", ""))
    monkeypatch.setattr(fcntl, "flock", no_locks)


def take(run: Path) -> Ownership:
    """Become the owner of the next attempt, as far as a lock that nobody keeps open lets it."""
    with closing(RunLock(run)) as lock:
        return ownership.take(run, lock, 0, at_once)


def claim(run: Path, attempt: int) -> Ownership:
    with closing(RunLock(run)) as lock:
        return ownership.claim(run, attempt, lock)


def at_once(seconds: float) -> None:
    """Do not wait: the clock is moved by the test."""


def row(writer: RunWriter, step: int) -> Diagnostics:
    return Diagnostics(attempt=writer.attempt, agent_step=step, frame=4 * step, updates=step, values={"loss": step / 2})


def status(writer: RunWriter, state: str, step: int) -> StatusFile:
    return StatusFile.model_validate(
        {
            **{"state": state, "attempt": writer.attempt, "agent_steps": step, "frames": 4 * step},
            **{"budget_frames": 16_000, "updates": step, "episodes": 0, "last_return": None, "frames_per_second": None},
            **{"started_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"},
            "closed": writer.closed_attempts(),
        }
    )


def begin(writer: RunWriter, resumed_at: int = 0) -> RunWriter:
    environment: dict[str, Any] = {"environment": {}, "environment_fingerprint": "f" * 16}
    writer.provenance(
        Attempt(
            **{"attempt": writer.attempt, "started_at": "2026-01-01T00:00:00Z", "resumed_at": resumed_at},
            **{"suite_version": "0", "git": {}, "packages": {}, "hardware": {}, **environment},
        )
    )
    writer.status(status(writer, "running", resumed_at))
    return writer


def train(writer: RunWriter, first: int, last: int) -> None:
    """Record a row for each step, and a checkpoint at each tenth."""
    for step in range(first, last + 1):
        writer.diagnostics(row(writer, step))
        if step % 10 == 0:
            writer.sync()
            CheckpointStore(writer.folder).write(step, {"a": np.full(3, step)}, b"state")


def newest(writer: RunWriter) -> int:
    """Return the step of the newest checkpoint that an attempt has."""
    loaded = CheckpointStore(writer.folder).newest()
    return 0 if loaded is None else loaded.agent_step


def steps(path: Path) -> list[tuple[int, int]]:
    return [(each.attempt, each.agent_step) for each in read_run(path).diagnostics]


def unheard(monkeypatch: pytest.MonkeyPatch, root: Path, cell: Cell) -> RunWriter:
    """Take over a cell whose owner has not been heard of."""
    with monkeypatch.context() as patch:
        patch.setattr(ownership, "lives", lambda *_: False)
        return RunWriter.open(root, cell, {})


# Watching.


@pytest.fixture
def held(tmp_path: Path, elsewhere: None) -> Iterator[tuple[Path, Ownership]]:
    owned = take(tmp_path)
    yield tmp_path, owned
    owned.release()


def test_an_owner_is_given_up_after_five_missed_beats_and_no_sooner(held: tuple[Path, Ownership]) -> None:
    path, now = held[0], [1e9]
    watch, found = Watch(path, lambda: now[0]), []
    for _ in range(7):
        found.append(watch.look())
        now[0] += 30.0
    assert found == [None] * 5 + [False, False]


def test_any_beat_says_that_it_lives_and_the_count_begins_anew(held: tuple[Path, Ownership]) -> None:
    (path, owned), now = held, [0.0]
    watch, found = Watch(path, lambda: now[0]), []
    for look in range(12):
        if look in (4, 5):
            owned.beat()
        found.append(watch.look())
        now[0] += 30.0
    assert found == [None] * 4 + [True, True] + [None] * 4 + [False, False]


def test_an_observer_that_slept_itself_has_missed_one_beat_of_it(held: tuple[Path, Ownership]) -> None:
    now = [0.0]
    watch = Watch(held[0], lambda: now[0])
    assert watch.look() is None
    now[0] += 3600.0
    assert [watch.look() for _ in range(9)] == [None] * 9


def test_looking_often_counts_no_more_beats(held: tuple[Path, Ownership]) -> None:
    now = [0.0]
    watch, waited = Watch(held[0], lambda: now[0]), []

    def pause(seconds: float) -> None:
        waited.append(seconds)
        now[0] += seconds

    assert watch.decide(pause) is False
    assert sum(waited) == pytest.approx(150.0)
    assert max(waited) == 1.0


def test_the_period_is_that_of_the_owner(tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUITE_HEARTBEAT", "8")
    owned = take(tmp_path)
    monkeypatch.delenv("SUITE_HEARTBEAT")
    now = [0.0]

    def pause(seconds: float) -> None:
        now[0] += seconds

    assert Watch(tmp_path, lambda: now[0]).decide(pause) is False
    assert now[0] == pytest.approx(40.0)
    owned.release()


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "soon", ""])
def test_a_heartbeat_that_is_no_time_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUITE_HEARTBEAT", text)
    with pytest.raises(UsageError, match="SUITE_HEARTBEAT"):
        ownership.heartbeat()


def test_an_owner_beats_by_itself_until_it_lets_go(
    tmp_path: Path, elsewhere: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUITE_HEARTBEAT", "0.01")
    owned = take(tmp_path)
    assert Watch(tmp_path).decide(time.sleep) is True
    assert ownership.is_held(tmp_path)
    owned.release()
    assert not ownership.is_held(tmp_path)
    last = (tmp_path / "attempts" / "1.beat").read_bytes()
    owned.beat()
    assert (tmp_path / "attempts" / "1.beat").read_bytes() == last
    assert take(tmp_path).attempt == 2  # nobody needs to listen


class Claims(RuleBasedStateMachine):
    """Owners that fall asleep, wake, die and let go; observers with clocks of their own; time between 0 and a beat."""

    def __init__(self) -> None:
        super().__init__()
        self.run = Path(tempfile.mkdtemp())
        self.now = 0.0
        self.owners: list[Ownership] = []
        self.awake: list[bool] = []
        self.due: list[float] = []
        self.silent: list[float] = []  # since when an owner was not heard
        self.watches: list[Watch] = []
        self._claim(1)

    def teardown(self) -> None:
        for owned in self.owners:
            owned.release()
        shutil.rmtree(self.run)

    def _claim(self, attempt: int) -> None:
        self.owners.append(claim(self.run, attempt))
        self.awake.append(True)
        self.due.append(self.now + 1.0)
        self.silent.append(self.now)

    @rule(beats=st.floats(0.1, 1.0))
    def time_passes(self, beats: float) -> None:
        self.now += beats
        for index, owned in enumerate(self.owners):
            if self.awake[index] and self.now >= self.due[index]:
                owned.beat()
                self.due[index], self.silent[index] = self.now + 1.0, self.now

    @rule(data=st.data())
    def one_falls_asleep_or_wakes(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.owners) - 1))
        self.awake[index] = not self.awake[index]

    @rule(offset=st.floats(-1e6, 1e6))
    def an_observer_comes(self, offset: float) -> None:
        self.watches.append(Watch(self.run, lambda: self.now + offset))

    @precondition(lambda self: self.watches)
    @rule(data=st.data())
    def observers_look(self, data: st.DataObject) -> None:
        """All who look now and may follow try to: at most one of them can."""
        number = len(self.owners)
        found = [watch.look() for watch in data.draw(st.lists(st.sampled_from(self.watches), min_size=1, unique=True))]
        followers = found.count(False)
        if followers:
            assert self.now - self.silent[-1] >= MISSED - 1e-6
            self._claim(number + 1)
        for _ in range(followers - 1):
            with pytest.raises(Locked):
                claim(self.run, number + 1)

    @rule(data=st.data())
    def an_owner_is_about_to_write(self, data: st.DataObject) -> None:
        index = data.draw(st.integers(0, len(self.owners) - 1))
        if index == len(self.owners) - 1:
            self.owners[index].require()
        else:
            with pytest.raises(Overtaken, match=f"overtaken by attempt {index + 2} "):
                self.owners[index].require()

    @invariant()
    def every_attempt_has_one_owner(self) -> None:
        written = [ownership.read_owner(self.run, number + 1) for number in range(len(self.owners))]
        assert [owner and owner.attempt for owner in written] == [owned.attempt for owned in self.owners]
        assert ownership.newest_owned(self.run) == len(self.owners)

    @invariant()
    def an_owner_that_beats_is_not_followed(self) -> None:
        assert all(self.now - heard >= MISSED - 1 for heard in self.silent[:-1])


def machine(examples: int, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUITE_HEARTBEAT", "1")
    monkeypatch.setattr(Ownership, "_beat_on", lambda _: None)  # the machine says when they beat
    chosen = settings(max_examples=examples, stateful_step_count=length, database=None)
    run_state_machine_as_test(Claims, settings=chosen)  # type: ignore[no-untyped-call]


def test_however_owners_sleep_one_owns_the_cell(elsewhere: None, monkeypatch: pytest.MonkeyPatch) -> None:
    machine(15, 40, monkeypatch)


@pytest.mark.nightly
def test_however_long_owners_sleep_one_owns_the_cell(
    elsewhere: None, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    machine(200, 100, monkeypatch)
    record_property("state_machine_examples", 200)


# What is known at once.


def test_a_process_of_this_machine_is_known_without_listening(tmp_path: Path) -> None:
    if not ownership.kernel().name:
        pytest.skip("this system does not say which processes it has")
    program = "import pathlib, sys, time; from suite.records import ownership\n" + (
        "path = pathlib.Path(sys.argv[1]); ownership.take(path, ownership.RunLock(path), 0, time.sleep)\n"
        "print('owned', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, tmp_path], stdout=subprocess.PIPE, text=True) as owner:
        try:
            assert owner.stdout is not None
            assert owner.stdout.readline() == "owned\n"
            found = ownership.holder(tmp_path)
            assert found is not None
            assert found.pid == owner.pid
            assert ownership.lives(tmp_path, 1) is True
            owner.send_signal(signal.SIGSTOP)
            os.waitpid(owner.pid, os.WUNTRACED)
            assert ownership.lives(tmp_path, 1) is None  # only its heartbeat can tell for how long
            owner.send_signal(signal.SIGCONT)
        finally:
            owner.kill()
    assert ownership.lives(tmp_path, 1) is False
    assert ownership.holder(tmp_path) is None


def test_a_number_that_another_process_has_got_is_not_the_owner(tmp_path: Path) -> None:
    take(tmp_path)
    file = tmp_path / "attempts" / "1.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"process": "1"}))
    assert ownership.lives(tmp_path, 1) is False


def test_a_lock_that_is_free_again_had_its_holder_die(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    boot = ownership.kernel().boot or "boot"
    monkeypatch.setattr(ownership, "kernel", lambda: Kernel(boot, "one container"))
    with closing(RunLock(tmp_path)) as lock:
        ownership.take(tmp_path, lock, 0, at_once)
        monkeypatch.setattr(ownership, "kernel", lambda: Kernel(boot, "another container"))
        with closing(RunLock(tmp_path)) as busy:
            assert ownership.lives(tmp_path, 1, busy) is None
    with closing(RunLock(tmp_path)) as free:  # as the end of its process leaves it
        assert ownership.lives(tmp_path, 1, free) is False
        monkeypatch.setattr(ownership, "kernel", lambda: Kernel("another machine", ""))
        assert ownership.lives(tmp_path, 1, free) is None


def test_a_version_without_owners_is_refused_a_cell_by_its_lock_alone(tmp_path: Path, cell: Cell) -> None:
    path = tmp_path / cell.path
    path.mkdir(parents=True)
    with (path / "run.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(Locked, match="Another process is running"):
            RunWriter.open(tmp_path, cell, {})
    assert not (path / "attempts").exists()


def test_an_owner_whose_file_cannot_be_read_is_listened_to(held: tuple[Path, Ownership]) -> None:
    (held[0] / "attempts" / "1.json").write_text("")
    assert ownership.lives(held[0], 1) is None
    assert ownership.holder(held[0]) is None
    assert ownership.is_held(held[0])
    assert ownership.held_by(held[0]).problem == f"Another process is running {held[0]}."


@pytest.mark.parametrize("links", [True, False])
def test_a_name_is_taken_once_with_links_and_without(
    tmp_path: Path, links: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not links:

        def refuse(_: durable.System, old: Path, new: Path) -> None:
            raise OSError(errno.ENOTSUP, "Operation not supported", str(old), None, str(new))

        monkeypatch.setattr(durable.System, "link", refuse)
    assert durable.create_once(tmp_path / "name", b"first")
    assert not durable.create_once(tmp_path / "name", b"second")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"name": b"first"}


def test_an_answer_that_was_lost_does_not_cost_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def sent_twice(_: durable.System, old: Path, new: Path) -> None:
        link(old, new)
        link(old, new)  # what a client repeats, and a server has done already: FileExistsError

    monkeypatch.setattr(durable.System, "link", sent_twice)
    assert durable.create_once(tmp_path / "name", b"mine")


# The record.


def test_what_an_overtaken_process_still_writes_is_no_record(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = begin(RunWriter.open(tmp_path, cell, {}))
    train(old, 1, 24)
    new = unheard(monkeypatch, tmp_path, cell)
    assert (new.attempt, newest(new)) == (2, 20)
    for act in (lambda: old.diagnostics(row(old, 25)), lambda: old.status(status(old, "done", 25)), old.sync):
        with pytest.raises(Overtaken, match=r"Attempt 1 at .* was overtaken by attempt 2 \(process") as caught:
            act()
        assert caught.value.exit_code == ExitCode.LOCKED == 6
    asleep = monkeypatch.setattr(Ownership, "require", lambda _: None)  # it had looked, and fell asleep before it wrote
    old.diagnostics(row(old, 20))
    old.diagnostics(row(old, 25))
    begin(new, resumed_at=20)
    before = (steps(new.path), content_of(new.path), newest(new))
    train(old, 26, 40)
    old.status(status(old, "done", 40))
    CheckpointStore(old.folder).keep_only(())
    assert (steps(new.path), content_of(new.path), newest(new)) == before
    assert before[0] == [(1, step) for step in range(1, 21)]
    train(new, 21, 30)
    assert steps(new.path) == [(1, step) for step in range(1, 21)] + [(2, step) for step in range(21, 31)]
    assert read_status(new.path).state == "running"
    assert asleep is None
    old.close()
    new.close()
    third = begin(RunWriter.open(tmp_path, cell, {}), resumed_at=30)
    assert (third.attempt, newest(third)) == (3, 30)  # not the 40 of the one that was overtaken
    assert [ended.attempt for ended in read_status(third.path).closed] == [1, 2]
    assert [place.attempt for place in parts(third.path)] == [1, 2, 3]
    third.close()


def test_an_attempt_that_dies_before_it_says_anything_leaves_the_record_as_it_was(tmp_path: Path, cell: Cell) -> None:
    first = begin(RunWriter.open(tmp_path, cell, {}))
    train(first, 1, 22)
    first.status(status(first, "interrupted", 22))
    first.close()
    record = content_of(first.path)
    second = RunWriter.open(tmp_path, cell, {})
    assert newest(second) == 20
    second.close()
    assert content_of(first.path) == record
    assert home(first.path) == first.path
    assert existing_state(first.path) == "interrupted"
    third = RunWriter.open(tmp_path, cell, {})
    assert (third.attempt, newest(third)) == (3, 20)
    before = third.before()
    assert before is not None
    assert [each.agent_step for each in before.diagnostics] == list(range(1, 23))
    begin(third, resumed_at=20)
    train(third, 21, 23)
    assert steps(first.path) == [(1, step) for step in range(1, 21)] + [(3, step) for step in range(21, 24)]
    assert [(ended.attempt, ended.state) for ended in read_status(first.path).closed] == [(1, "interrupted")]
    third.close()


def test_a_record_of_a_version_without_owners_goes_on_in_a_folder_of_its_own(tmp_path: Path, cell: Cell) -> None:
    writer = begin(RunWriter.open(tmp_path, cell, {}))
    train(writer, 1, 12)
    writer.close()
    path = writer.path
    shutil.rmtree(path / "attempts")
    again = json.loads((path / "provenance.json").read_text())
    again["attempts"].append(again["attempts"][0] | {"attempt": 2, "resumed_at": 10})
    (path / "provenance.json").write_text(json.dumps(again))
    said = json.loads((path / "status.json").read_text()) | {"attempt": 2}
    (path / "status.json").write_text(json.dumps(said))
    with (path / "diagnostics.jsonl").open("a") as log:
        log.write(row(writer, 11).model_copy(update={"attempt": 2}).model_dump_json() + "\n")
    old = [(1, step) for step in range(1, 11)] + [(2, 11)]
    assert steps(path) == old
    assert existing_state(path) == "killed"
    third = begin(RunWriter.open(tmp_path, cell, {}), resumed_at=10)
    assert (third.attempt, newest(third)) == (3, 10)
    train(third, 11, 12)
    assert steps(path) == [*old[:10], (3, 11), (3, 12)]
    assert [attempt.attempt for attempt in read_run(path).provenance.attempts] == [1, 2, 3]
    third.close()


def test_a_part_of_a_record_that_is_lost_is_damage(tmp_path: Path, cell: Cell) -> None:
    begin(RunWriter.open(tmp_path, cell, {})).close()
    second = begin(RunWriter.open(tmp_path, cell, {}))
    second.close()
    (second.path / "episodes.jsonl").rename(second.path / "lost")
    with pytest.raises(BadData, match=r"seed-0/episodes\.jsonl is missing"):
        read_run(second.path)
    (second.path / "lost").rename(second.path / "episodes.jsonl")
    (second.folder / "follows.json").write_text('{"attempt": 2}')
    with pytest.raises(BadData, match="names a later attempt"):
        read_run(second.path)


def test_generations_are_taken_over_whole_though_another_takes_some_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (CheckpointStore(tmp_path / name) for name in "123")
    for step in (10, 20):
        first.write(step, {"a": np.full(2, step)}, b"")
    (first.path / ".tmp-step-0000000030").mkdir()
    take, calls = adoption._take, []

    def disturbed(store: CheckpointStore, other: CheckpointStore, limit: float) -> int:
        if not calls:
            calls.append(take(second, first, 20))  # the one that is overtaken was about to
        elif len(calls) == 1:
            calls.append(0)
            return 0  # what was listed before that
        return take(store, other, limit)

    monkeypatch.setattr(adoption, "_take", disturbed)
    adoption.adopt(tmp_path / "3", [(tmp_path / "2", float("inf")), (tmp_path / "1", 20)])
    assert third.steps() == (10, 20)
    assert not first.path.exists()
    assert not second.path.exists()


def test_checkpoints_beyond_the_step_where_the_next_attempt_went_on_are_not_taken_over(tmp_path: Path) -> None:
    first, second = CheckpointStore(tmp_path / "1"), CheckpointStore(tmp_path / "2")
    for step in (10, 20, 30):
        CheckpointStore(tmp_path / "1", None).write(step, {"a": np.full(2, step)}, b"")
    adoption.adopt(tmp_path / "2", [(tmp_path / "1", 20)])
    assert second.steps() == (10, 20)
    assert first.steps() == ()


def test_an_owner_is_named_with_its_job_and_never_packed_with_the_record(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "77")
    writer = begin(RunWriter.open(tmp_path, cell, {}))
    owner = ownership.holder(writer.path, 1)
    assert isinstance(owner, Owner)
    assert owner.label.startswith(f"process {os.getpid()} on {owner.host}, job 77, since 20")
    assert owner.host not in "".join(file.read_text() for file in writer.path.glob("*.json*"))
    writer.close()
    assert ownership.holder(writer.path, 1) is None


def test_status_names_the_owner_and_asks_for_no_lock(
    tmp_path: Path, cell: Cell, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = begin(RunWriter.open(tmp_path, cell, {}))
    waiting = RunWriter.open(tmp_path, Cell(cell.spec, "Pong", 1), {})

    def refuse(*_: object) -> None:
        raise AssertionError("a lock was asked for")

    monkeypatch.setattr(fcntl, "flock", refuse)

    def shown() -> list[dict[str, Any]]:
        rows = json.loads(CliRunner().invoke(cli, ["status", str(tmp_path), "--json"]).stdout)["runs"]
        assert isinstance(rows, list)
        return rows

    first, second = shown()
    owner = ownership.holder(writer.path)
    assert owner is not None
    expected = {"attempt": 1, "host": owner.host, "pid": os.getpid(), "job": owner.job, "since": owner.since}
    assert (first["state"], first["owner"]) == ("running", expected)
    assert second["state"] == "starting"
    table = CliRunner().invoke(cli, ["status", str(tmp_path)]).stdout
    assert f"{owner.host} {os.getpid()}, since {owner.since}" in table
    writer.close()
    waiting.close()
    first, second = shown()
    assert (first["state"], first["owner"], second["state"]) == ("killed", None, "killed")
