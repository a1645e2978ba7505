"""Processes on machines that share a file system and no lock want the same cells: each cell has one owner at a time."""

from __future__ import annotations

import contextlib
import os
import queue
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from suite.records.checkpoints import CheckpointStore
from suite.records.find import find_runs
from suite.records.record import Run, read_run
from tests.support.claimants import STEPS, cell_of, episode
from tests.support.processes import written

ROOT = Path(__file__).resolve().parents[3]
KINDS = ("fresh", "dead", "asleep")


@dataclass(frozen=True)
class Nodes:
    """The same folder, as two machines see it; `options` of processes there."""

    folder: Path
    mounts: tuple[Path, Path]
    options: tuple[str, ...]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[Nodes]:
    """Two mounts of one folder that share no lock, by bindfs; where FUSE does not work, one folder without locks."""
    folder, mounts = tmp_path / "shared", (tmp_path / "a", tmp_path / "b")
    for place in (folder, *mounts):
        place.mkdir()
    try:
        if shutil.which("bindfs") is None or any(bind(folder, mount) for mount in mounts):
            yield Nodes(folder, (folder, folder), ("--no-locks",))
        else:
            yield Nodes(folder, mounts, ())
    finally:
        for mount in mounts:
            if mount.is_mount():
                subprocess.run(["umount", "-l", mount], check=True)


def bind(folder: Path, mount: Path) -> int:
    return subprocess.run(["bindfs", folder, mount], capture_output=True, check=False).returncode


class Claimant:
    """A process that wants cells; what it says comes to a queue with its number."""

    def __init__(self, nodes: Nodes, number: int, said: queue.Queue[tuple[int, str]], heartbeat: float) -> None:
        arguments = [f"node{number % 2}", str(nodes.mounts[number % 2]), *nodes.options]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.claimants", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "SUITE_HEARTBEAT": str(heartbeat)},
        )
        self._number, self._said = number, said
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._said.put((self._number, line.strip()))

    def tell(self, text: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


class Team:
    """Claimants on both nodes, by turns."""

    def __init__(self, nodes: Nodes, size: int, heartbeat: float) -> None:
        self.nodes, self.heartbeat = nodes, heartbeat
        self.said: queue.Queue[tuple[int, str]] = queue.Queue()
        self.members = [Claimant(nodes, number, self.said, heartbeat) for number in range(size)]
        self.hear({number: {"ready"} for number in range(size)})

    def hear(self, awaited: dict[int, set[str]]) -> dict[int, list[str]]:
        """Return what each member says, until each has said one of the words that are awaited of it."""
        heard: dict[int, list[str]] = {number: [] for number in range(len(self.members))}
        while awaited:
            number, text = self.said.get(timeout=300)
            heard[number].append(text)
            if text in awaited.get(number, ()):
                del awaited[number]
        return heard

    def replace(self, number: int) -> None:
        self.members[number].end()
        self.members[number] = Claimant(self.nodes, number, self.said, self.heartbeat)
        self.hear({number: {"ready"}})

    def end(self) -> None:
        for member in self.members:
            member.end()


ENDS = {"done", "overtaken", "locked", "finished"}


def play(team: Team, number: int, kind: str, rng: random.Random) -> None:
    """Play a round on a cell of its own: claimants on a fresh one, after one that died, after one that sleeps."""
    holder = rng.randrange(len(team.members)) if kind != "fresh" else None
    if holder is not None:
        team.members[holder].tell(f"hold {number}")
        team.hear({holder: {"holding"}})
        time.sleep(rng.uniform(0.0, 0.2))
        team.members[holder].process.send_signal(signal.SIGKILL if kind == "dead" else signal.SIGSTOP)
        if kind == "dead":
            team.replace(holder)
    claimants = [index for index in range(len(team.members)) if kind != "asleep" or index != holder]
    for index in claimants:
        team.members[index].tell(f"go {number}")
    heard: dict[int, list[str]] = {}
    if kind == "asleep":
        assert holder is not None
        first = team.said.get(timeout=300)
        heard = {first[0]: [first[1]]}
        while not first[1].startswith("won"):
            first = team.said.get(timeout=300)
            heard.setdefault(first[0], []).append(first[1])
        time.sleep(rng.uniform(0.0, 0.2))  # it wakes up while the other one writes
        team.members[holder].process.send_signal(signal.SIGCONT)
        claimants.append(holder)
    left = [index for index in claimants if not ENDS.intersection(heard.get(index, ()))]
    for index, texts in team.hear({index: set(ENDS) for index in left}).items():
        heard.setdefault(index, []).extend(texts)
    winners = [index for index in claimants if any(text.startswith("won") for text in heard[index])]
    assert len(winners) == 1, (kind, heard)
    assert heard[winners[0]] == [f"won {1 if kind == 'fresh' else 2}", "done"], (kind, heard)
    if kind == "asleep":
        assert heard[claimants[-1]] == ["overtaken"], heard
    check(team.nodes.folder / cell_of(number).path, kind)


def check(path: Path, kind: str) -> None:
    """See that a record is whole: every row once, as it must be, whoever wrote it, and the last checkpoint sound."""
    run = read_run(path)
    assert run.status.state == "done"
    expected = [episode(0, number).model_dump(exclude={"attempt"}) for number in range(STEPS)]
    assert [row.model_dump(exclude={"attempt"}) for row in run.episodes] == expected
    last = 1 if kind == "fresh" else 2
    assert run.status.attempt == last
    assert [each.attempt for each in run.provenance.attempts] == list(range(1, last + 1))
    assert [(each.attempt, each.state) for each in run.status.closed] == [(1, "killed")][: last - 1]
    resumed_at = run.attempt.resumed_at
    assert {row.attempt for row in run.episodes if row.agent_step > resumed_at} == {last}
    assert resumed_at >= 300 if last == 2 else resumed_at == 0
    loaded = CheckpointStore(run.folder).newest()
    assert loaded is not None
    assert (loaded.agent_step, loaded.rejected) == (10 * STEPS, ())


def race(nodes: Nodes, size: int, heartbeat: float, first: int, rounds: int) -> Counter[str]:
    """Play rounds of each kind by turns; return how many of each there were."""
    team, rng, played = Team(nodes, size, heartbeat), random.Random(first), Counter[str]()
    try:
        for number in range(first, first + rounds):
            kind = KINDS[number % len(KINDS)]
            play(team, number, kind, rng)
            played[kind] += 1
    finally:
        team.end()
    return played


@pytest.mark.slow
def test_each_cell_has_one_owner_after_the_other(nodes: Nodes) -> None:
    assert race(nodes, 3, 0.5, 0, 3) == Counter(KINDS)


@pytest.mark.nightly
def test_six_claimants_over_two_mounts_harm_no_record(
    nodes: Nodes, record_property: Callable[[str, object], None]
) -> None:
    with ThreadPoolExecutor(2) as pool:  # most of a round is waiting for beats
        teams = [pool.submit(race, nodes, 6, 0.5, first, 100) for first in (0, 100)]
        played = sum((team.result() for team in teams), Counter[str]())
    assert sum(played.values()) == 200
    record_property("rounds", 200)
    for kind in KINDS:
        record_property(f"rounds_{kind}", played[kind])
    record_property("records_harmed", 0)
    record_property("by_bindfs", int(not nodes.options))


PROGRAM = """
import sys
from suite.records import ownership
from suite.records.ownership import Kernel
node, real = sys.argv.pop(1), ownership.kernel()
ownership.kernel = lambda: Kernel(node, real.namespace)
if "--no-locks" in sys.argv:
    import fcntl
    from tests.support.claimants import no_locks
    fcntl.flock = no_locks
    sys.argv.remove("--no-locks")
from suite.cli.main import main
main()
"""
"""The command on a machine of a name."""
COMMAND = (
    *("run", "--task", "smoke", "--network", "tiny", "--games", "Pong", "--seeds", "0", "--threads", "1"),
    *("--method", "magnitude_pruning", "--checkpoint-every", "1600", "--frames", "8000"),
)


def start(nodes: Nodes, node: int, tiny_path: Path, *more: str) -> subprocess.Popen[str]:
    paths = [str(tiny_path), str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    arguments = [f"node{node}", *nodes.options, *COMMAND, "--out", str(nodes.mounts[node]), *more]
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "SUITE_HEARTBEAT": "1"},
    )


def content(run: Run) -> list[list[dict[str, object]]]:
    """Return all rows of a record without their attempts."""
    tables = (run.episodes, run.diagnostics, run.checkpoints)
    return [[row.model_dump(exclude={"attempt"}) for row in table] for table in tables]


def recorded(folder: Path) -> Run:
    (path,) = find_runs(folder)
    return read_run(path)


@pytest.mark.nightly
def test_two_nodes_run_a_cell_once_and_a_suspended_process_ends_with_6(nodes: Nodes, tiny_path: Path) -> None:
    together = [start(nodes, node, tiny_path) for node in (0, 1)]
    ends = [process.communicate(timeout=600) for process in together]
    assert sorted(process.returncode for process in together) == [0, 6], ends
    expected = content(recorded(nodes.folder))
    assert recorded(nodes.folder).status.attempt == 1
    shutil.rmtree(nodes.folder / "smoke@1")
    asleep = start(nodes, 0, tiny_path)
    while not written(nodes.folder, "step-*"):
        assert asleep.poll() is None, asleep.communicate()
        time.sleep(0.01)
    asleep.send_signal(signal.SIGSTOP)
    other = start(nodes, 1, tiny_path)
    while not any(path.parent.name == "2" for path in written(nodes.folder, "status.json")):
        assert other.poll() is None, other.communicate()
        time.sleep(0.01)
    asleep.send_signal(signal.SIGCONT)
    out, err = asleep.communicate(timeout=600)
    assert asleep.returncode == 6, (out, err)
    assert out.startswith("overtaken")
    assert "overtaken by attempt 2" in out
    assert "Traceback" not in out + err
    out, err = other.communicate(timeout=600)
    assert other.returncode == 0, (out, err)
    assert "Listening whether it still lives" in err
    run = recorded(nodes.folder)
    assert (run.status.attempt, run.status.differs_at) == (2, None)
    assert run.attempt.resumed_at > 0
    assert content(run) == expected
