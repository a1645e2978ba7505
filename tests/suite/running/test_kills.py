"""`suite run`, killed, stopped and damaged from outside: it goes on from its checkpoints to the same end."""

import contextlib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest

from suite.records.attempts import home
from suite.records.find import find_runs
from suite.records.record import Run, effective_state, read_run
from tests.support.processes import written

pytestmark = pytest.mark.slow

ARGUMENTS = (
    *("run", "--task", "smoke", "--network", "tiny", "--games", "Pong", "--seeds", "0"),
    *("--method", "magnitude_pruning", "--checkpoint-every", "1600", "--frames", "8000"),
)
"""2,000 agent steps: 375 gradient steps, mask refreshes from 200 on, five checkpoints."""


@pytest.fixture(scope="module")
def start(tiny_path: Path) -> Callable[..., subprocess.Popen[str]]:
    def start(out: Path, *more: str, threads: str = "1") -> subprocess.Popen[str]:
        paths = [str(tiny_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.Popen(
            [sys.executable, "-m", "suite", *ARGUMENTS, "--out", str(out), "--threads", threads, *more],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "PYTHONUNBUFFERED": "1"},
        )

    return start


@pytest.fixture(scope="module")
def undisturbed(start: Callable[..., subprocess.Popen[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed")
    process = start(out)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return find_runs(out)[0]


def content(path: Path) -> dict[str, object]:
    """Return everything that training produced: rows without attempt numbers, the final learner, the score."""
    run = read_run(path)
    summary = run.status.summary
    assert summary is not None
    rows = (run.episodes, run.diagnostics, run.checkpoints)
    return {
        "rows": [[row.model_dump(exclude={"attempt"}) for row in table] for table in rows],
        "actions": {number: row.deflated for number, row in run.actions().items()},
        "summary": summary.model_dump(exclude={"wall_seconds"}),
        "final": final_arrays(path),
    }


def final_arrays(path: Path) -> dict[str, str]:
    """Return the hashes of the last checkpoint's files, but for what says how and when it was made."""
    (generation,) = (home(path) / "checkpoints").glob("step-*")
    manifest = json.loads((generation / "manifest.json").read_text())
    return {"arrays": json.dumps(manifest["files"]["arrays.safetensors"], sort_keys=True)}


def wait_for(path_of: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not path_of():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline, "nothing happened in two minutes"
        time.sleep(0.005)


def steps(out: Path) -> list[int]:
    return sorted(int(name[5:]) for name in checkpoint_names(out) if re.fullmatch("step-[0-9]+", name))


def in_a_write(out: Path) -> bool:
    return any(name.startswith(".tmp-") for name in checkpoint_names(out))


def written_after(path: Path, step: int, time_ns: int) -> bool:
    with contextlib.suppress(FileNotFoundError):
        places = written(path, f"step-{step:010d}")
        return any((place / "arrays.safetensors").stat().st_mtime_ns > time_ns for place in places)
    return False


def checkpoint_names(out: Path) -> list[str]:
    names = []
    for place in written(out, "checkpoints"):
        with contextlib.suppress(FileNotFoundError):  # the next attempt has just taken it over
            names += os.listdir(place)  # noqa: PTH208
    return names


def kill_until_done(
    start: Callable[..., subprocess.Popen[str]], out: Path, kills: int, seed: int
) -> tuple[Run, dict[str, int]]:
    """Kill a run up to `kills` times, then let it end.

    A quarter of the kills falls inside a checkpoint write, a quarter anywhere after the start, the rest within a
    second of the attempt's first checkpoint.
    """
    rng, counts = random.Random(seed), {"inside a write": 0, "resumed": 0, "kills": 0}
    for _ in range(kills):
        process, before = start(out), steps(out)
        kind = rng.choice(["write", "anywhere", "later", "later"])
        if kind == "anywhere":
            time.sleep(rng.uniform(0.5, 6.0))
        while kind == "later" and process.poll() is None and steps(out) == before:
            time.sleep(0.01)
        if kind == "later":
            time.sleep(rng.uniform(0.0, 1.0))
        while kind == "write" and process.poll() is None and not in_a_write(out):
            pass
        alive = process.poll() is None
        process.kill()
        process.communicate()
        counts["inside a write"] += alive and in_a_write(out)  # what a kill leaves of a write
        counts["kills"] += alive
        if not alive:
            break
    process = start(out)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    run = read_run(find_runs(out)[0])
    counts["resumed"] = sum(attempt.resumed_at > 0 for attempt in run.provenance.attempts)
    return run, counts


def test_two_kills_change_nothing(
    start: Callable[..., subprocess.Popen[str]], undisturbed: Path, tmp_path: Path
) -> None:
    kills = resumed = 0
    for seed in range(4, 24):
        out = tmp_path / str(seed)
        run, counts = kill_until_done(start, out, 2 - kills, seed)
        kills, resumed = kills + counts["kills"], resumed + counts["resumed"]
        assert content(run.path) == content(undisturbed)
        assert run.status.differs_at is None
        assert {old.state for old in run.status.closed} <= {"killed"}
        if kills >= 2:
            break
    assert kills >= 2
    assert resumed >= 1


@pytest.mark.nightly
def test_hundreds_of_kills_change_nothing(
    start: Callable[..., subprocess.Popen[str]],
    undisturbed: Path,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    totals = {"kills": 0, "inside a write": 0, "resumed": 0, "runs": 0}
    expected, lock = content(undisturbed), threading.Lock()

    def one_run(seed: int) -> None:
        if totals["kills"] >= 300 and totals["inside a write"] >= 60:
            return
        out = tmp_path / str(seed)
        run, counts = kill_until_done(start, out, 8, seed)
        assert content(run.path) == expected
        assert run.status.differs_at is None
        with lock:
            for name in ("kills", "inside a write", "resumed"):
                totals[name] += counts[name]
            totals["runs"] += 1
        shutil.rmtree(out)

    with ThreadPoolExecutor(2) as pool:
        for _ in pool.map(one_run, range(1000, 1400)):
            pass
    assert totals["kills"] >= 300
    assert totals["inside a write"] >= 60
    assert totals["resumed"] >= totals["kills"] // 2
    for name, value in totals.items():
        record_property(name.replace(" ", "_"), value)


@pytest.mark.parametrize(
    "number",
    [signal.SIGTERM, *(pytest.param(late, marks=pytest.mark.nightly) for late in (signal.SIGINT, signal.SIGUSR1))],
)
def test_a_signal_saves_and_the_next_command_goes_on(
    start: Callable[..., subprocess.Popen[str]], undisturbed: Path, tmp_path: Path, number: int
) -> None:
    process = start(tmp_path)
    wait_for(lambda: len(steps(tmp_path)) > 0, process)
    time.sleep(0.2)
    asked = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert time.monotonic() - asked < 30
    assert process.returncode == 75
    assert "Issue the same command again" in err
    assert out.startswith("interrupted")
    path = find_runs(tmp_path)[0]
    stopped = read_run(path)
    assert stopped.status.state == "interrupted"
    assert steps(tmp_path)[-1] == stopped.status.agent_steps  # nothing that was trained is lost
    again = start(tmp_path)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    run = read_run(path)
    assert run.attempt.resumed_at == stopped.status.agent_steps
    assert content(path) == content(undisturbed)


@pytest.mark.nightly
def test_a_signal_while_programs_compile_ends_at_once(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # nothing is compiled yet
    process = start(tmp_path, "--network", "impala", "--frames", "4000")
    wait_for(lambda: bool(written(tmp_path, "status.json")), process)
    time.sleep(0.3)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 75, err
    assert time.monotonic() - asked < 20
    run = read_run(find_runs(tmp_path)[0])
    assert effective_state(run.path, run.status) in ("interrupted", "killed")
    assert run.status.agent_steps == 0


@pytest.fixture(scope="module")
def killed_at_two(
    start: Callable[..., subprocess.Popen[str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Path], Path]:
    """Return a function that puts a copy of a run, killed once it had two checkpoints, into a folder."""
    original = tmp_path_factory.mktemp("killed")
    process = start(original)
    wait_for(lambda: len(steps(original)) >= 2, process)
    process.kill()
    process.communicate()

    def copy(out: Path) -> Path:
        shutil.copytree(original, out, dirs_exist_ok=True)
        return find_runs(out)[0]

    return copy


@pytest.mark.parametrize(
    "kinds", [("flipped",), pytest.param(("truncated", "flipped", "emptied"), marks=pytest.mark.nightly)]
)
def test_damaged_checkpoints_cost_an_interval_and_nothing_else(
    start: Callable[..., subprocess.Popen[str]],
    killed_at_two: Callable[[Path], Path],
    undisturbed: Path,
    tmp_path: Path,
    kinds: tuple[str, ...],
) -> None:
    path = killed_at_two(tmp_path)
    rng = random.Random(0)
    for attempt, damage in enumerate(kinds):
        older, newest = steps(tmp_path)[-2:]
        victim = home(path) / "checkpoints" / f"step-{newest:010d}" / "arrays.safetensors"
        data = bytearray(victim.read_bytes())
        if damage == "flipped":
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        victim.write_bytes({"truncated": data[: len(data) // 2], "emptied": b""}.get(damage, bytes(data)))
        damaged = victim.stat().st_mtime_ns
        process = start(tmp_path)
        again = partial(written_after, path, newest, damaged)  # the same step once more
        wait_for(again, process)
        process.kill()
        _, err = process.communicate()
        assert f"step-{newest:010d}" in err
        assert "Going on from the checkpoint before it" in err
        assert read_run(path).provenance.attempts[-1].resumed_at == older, attempt
    process = start(tmp_path)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert content(path) == content(undisturbed)


def test_a_cell_without_a_sound_checkpoint_is_never_started_anew_in_silence(
    start: Callable[..., subprocess.Popen[str]], killed_at_two: Callable[[Path], Path], tmp_path: Path
) -> None:
    path = killed_at_two(tmp_path)
    for manifest in path.rglob("manifest.json"):
        manifest.write_text("{}")
    before = (path / "episodes.jsonl").read_bytes()
    process = start(tmp_path)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 5
    assert "No checkpoint in" in out
    assert "to start this cell anew" in out
    assert (path / "episodes.jsonl").read_bytes() == before
    shutil.rmtree(path / "attempts" / "2" / "checkpoints")  # as the message says
    process = start(tmp_path)
    process.communicate(timeout=300)
    assert process.returncode == 0


def test_what_comes_out_otherwise_is_said_and_the_new_rows_count(
    start: Callable[..., subprocess.Popen[str]],
    killed_at_two: Callable[[Path], Path],
    undisturbed: Path,
    tmp_path: Path,
) -> None:
    path = killed_at_two(tmp_path)
    saved = steps(tmp_path)[-1]
    rows = [json.loads(line) for line in (path / "diagnostics.jsonl").read_text().splitlines()]
    later = rows[-1] | {"agent_step": saved + 200, "frame": 4 * (saved + 200)}
    later["values"] = later["values"] | {"parameter_norm": 1.0}  # as another machine might have had it
    rows = [row for row in rows if row["agent_step"] <= saved]
    (path / "diagnostics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in [*rows, later]))
    process = start(tmp_path)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert f"From agent step {saved + 200} on, it differs" in out
    assert read_run(path).status.differs_at == saved + 200
    assert content(path) == content(undisturbed)
    kept = [json.loads(line) for line in (path / "diagnostics.jsonl").read_text().splitlines()]
    assert later in kept


def test_a_damaged_cell_does_not_stop_its_group(
    start: Callable[..., subprocess.Popen[str]],
    killed_at_two: Callable[[Path], Path],
    undisturbed: Path,
    tmp_path: Path,
) -> None:
    path = killed_at_two(tmp_path)
    (path / "episodes.jsonl").write_text("{}\n")
    process = start(tmp_path, "--seeds", "0-1", "--lanes", "2")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 5, err
    states = {line.split(" seed ")[1][0]: line.split()[0] for line in out.splitlines()}
    assert states == {"0": "failed", "1": "done"}
    assert "episodes.jsonl:1 is damaged" in out


def test_lanes_at_different_checkpoints_go_on_together(
    start: Callable[..., subprocess.Popen[str]], undisturbed: Path, tmp_path: Path
) -> None:
    both = ("--seeds", "0-1", "--lanes", "2")
    process = start(tmp_path, *both)
    wait_for(lambda: len(set(steps(tmp_path))) >= 2 and len(steps(tmp_path)) == 4, process)
    process.kill()
    process.communicate()
    one, other = find_runs(tmp_path)
    common = sorted({path.name for path in one.rglob("step-*")} & {path.name for path in other.rglob("step-*")})
    for newest in (path for path in other.rglob("step-*") if path.name > common[0]):
        shutil.rmtree(newest)  # as if the kill had come between the two lanes' checkpoints
    process = start(tmp_path, *both)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    attempts = [read_run(path).attempt for path in (one, other)]
    assert [attempt.resumed_at for attempt in attempts] == [int(common[0][5:15])] * 2
    assert {attempt.execution["group"] for attempt in attempts} == {"Pong/0 Pong/1"}
    assert content(one) == content(undisturbed)


def test_two_starters_at_once_run_the_cell_once(
    start: Callable[..., subprocess.Popen[str]], undisturbed: Path, tmp_path: Path
) -> None:
    processes = [start(tmp_path), start(tmp_path)]
    ends = [process.communicate(timeout=300) for process in processes]
    assert sorted(process.returncode for process in processes) in ([0, 6], [0, 0]), ends
    assert any("Another process is running" in out for out, _ in ends) or "Nothing to do" in "".join(map(str, ends))
    path = find_runs(tmp_path)[0]
    assert content(path) == content(undisturbed)
    assert read_run(path).status.attempt == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount 80 MiB of memory as a disk; needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(place)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode != 0:
        pytest.skip("a small disk can only be mounted as root")
    yield place
    subprocess.run(["umount", "-l", place], check=True)


@pytest.mark.nightly  # by day test_checkpoints fills a disk, and test_generate one below a run
def test_a_full_disk_is_named_and_the_run_goes_on_once_there_is_space(
    start: Callable[..., subprocess.Popen[str]], undisturbed: Path, small_disk: Path
) -> None:
    process = start(small_disk)
    wait_for(lambda: len(steps(small_disk)) >= 2, process)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 3, (out, err)
    assert out.startswith("failed")
    assert "No space left on device" in out
    assert "Traceback" not in out + err
    path = find_runs(small_disk)[0]
    kept = steps(small_disk)
    assert kept
    full = start(small_disk)
    _, err = full.communicate(timeout=60)
    assert full.returncode == 3
    assert "are free at" in err
    ballast.unlink()
    process = start(small_disk)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert read_run(path).attempt.resumed_at == kept[-1]
    assert content(path) == content(undisturbed)


def test_a_place_that_became_read_only_is_named(
    start: Callable[..., subprocess.Popen[str]], killed_at_two: Callable[[Path], Path], small_disk: Path
) -> None:
    path = killed_at_two(small_disk)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    process = start(small_disk)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 3
    assert "Read-only file system" in err
    assert "--out" in err
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before
