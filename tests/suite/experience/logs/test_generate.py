"""A log made from a run's actions is what the run saw, whatever kills its making."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from suite import durable
from suite.errors import BadData, UnfitEnvironment, UsageError
from suite.experience import generate
from suite.experience.envs.atari import AtariEnvs
from suite.experience.generate import build_logs, checkpoint_capacities
from suite.experience.logs.build import build
from suite.experience.logs.dataset import OfflineData
from suite.experience.logs.layout import Place, Row, file_name
from suite.experience.logs.manifest import find_manifest, verify_run
from suite.experience.logs.sample import Selection, make_plan, sample_path
from suite.experience.replay.frames import FrameReplay, HostFrames
from suite.records.record import Actions, Attempt, CellFile, Episode, ProvenanceFile, StatusFile
from suite.rng import Streams
from suite.running.provenance import environment_of
from suite.tasks import GAMES, Task, load_task
from suite.tasks.configuration import Component, Spec

pytestmark = pytest.mark.slow

STEPS = 900


@dataclass
class Played:
    """A finished run, made by hand: its directory, its task, and all its transitions: frame, action, reward, end."""

    path: Path
    task: Task
    transitions: list[tuple[np.ndarray, int, float, str]]
    lengths: list[int]


def write(path: Path, *rows: Any) -> None:
    path.write_text("".join(row.model_dump_json(by_alias=True) + "\n" for row in rows))


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Played:
    """Random play of Breakout for 900 agent steps, episodes cut at 160; every other one starts from a new seed."""
    smoke = load_task("smoke")
    environment = smoke.atari.model_copy(update={"max_episode_frames": 640, "reseed_steps": 200})
    task = smoke.model_copy(update={"environment": environment})
    agent, network = Component(id="dqn", version=1), Component(id="nature_cnn", version=1)
    spec = Spec(
        task="smoke",
        task_version=smoke.version,
        frames=4 * STEPS,
        shortened=True,
        agent=agent,
        network=network,
        methods=(Component(id="dense", version=1),),
    )
    path = tmp_path_factory.mktemp("runs") / spec.task_key / spec.config_id / "Breakout" / "seed-1"
    path.mkdir(parents=True)
    streams, rng = Streams(spec.task_key, "Breakout", 1), np.random.default_rng(4)
    envs = AtariEnvs(GAMES["Breakout"], environment)
    run = Played(path, task, [], [])
    rows, actions, step, segment, in_segment = [], [], 0, 0, 0
    while True:
        frame = envs.reset([streams.emulator_seed(segment) if in_segment == 0 else None])[0].copy()
        own, transitions, total, end = [], [], 0.0, ""
        while not end and step + len(own) < STEPS:
            action = int(rng.integers(4)) if own else 1
            answer = envs.step(np.asarray([action]))
            end = "X" if answer.truncated[0] else "T" if answer.discount[0] == 0 else ""
            transitions.append((frame, action, float(answer.reward[0]), end or "."))
            frame, total = answer.observation[0].copy(), total + float(answer.reward[0])
            own.append(action)
        if not end:
            break  # the unfinished last one
        step += len(own)
        run.transitions += transitions
        run.lengths.append(len(own))
        number, seed = len(rows), streams.emulator_seed(segment)
        rows.append(
            Episode.model_validate(
                {
                    "attempt": 1,
                    "episode": number,
                    "agent_step": step,
                    "frame": 4 * step,
                    "length": len(own),
                    "return": total,
                    "end": "truncated" if end == "X" else "terminated",
                    "emulator_seed": seed,
                }
            )
        )
        actions.append(Actions.pack(1, number, bytes(own)))
        in_segment += len(own)
        if in_segment >= 200:
            segment, in_segment = segment + 1, 0
    envs.close()
    described, fingerprint = environment_of(task, GAMES["Breakout"])
    now = "2026-01-01T00:00:00Z"
    write(path / "spec.json", CellFile(config_id=spec.config_id, spec=spec, game="Breakout", seed=1))
    attempt = Attempt(
        attempt=1,
        started_at=now,
        suite_version="0",
        git={},
        packages={},
        hardware={},
        environment=described,
        environment_fingerprint=fingerprint,
    )
    write(path / "provenance.json", ProvenanceFile(attempts=(attempt,)))
    status = StatusFile(
        state="done",
        attempt=1,
        agent_steps=STEPS,
        frames=4 * STEPS,
        budget_frames=4 * STEPS,
        updates=0,
        episodes=len(rows),
        last_return=0.0,
        frames_per_second=None,
        started_at=now,
        updated_at=now,
    )
    write(path / "status.json", status)
    write(path / "episodes.jsonl", *rows)
    write(path / "actions.jsonl", *actions)
    assert len(rows) >= 4
    assert {end for *_, end in run.transitions} == {".", "T", "X"}
    return run


@pytest.fixture(autouse=True)
def short_episodes(played: Played, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "load_task", lambda name: played.task)


def expected_rows(played: Played) -> list[tuple[np.ndarray, int, float, str]]:
    padding = (np.zeros((84, 84), np.uint8), 0, 0.0, "p")
    rows, begins = [], True
    for transition in played.transitions:
        rows += [padding] * 3 if begins else []
        rows.append(transition)
        begins = transition[3] in "TX"
    return rows


def load(logs: Path, element: str, suffix: int) -> np.ndarray:
    with gzip.open(logs / file_name(element, suffix)) as file:
        return np.load(file, allow_pickle=False)


@pytest.mark.parametrize(
    "per_checkpoint", [200, *(pytest.param(rows, marks=pytest.mark.nightly) for rows in (170, 260, 1_000_000))]
)
def test_a_log_holds_what_the_run_saw(played: Played, tmp_path: Path, per_checkpoint: int) -> None:
    manifest = build_logs(played.path, tmp_path, per_checkpoint)
    rows = expected_rows(played)[:STEPS]
    capacities = checkpoint_capacities(STEPS, per_checkpoint)
    place, begin = Place(tmp_path, "Breakout", 2), 0
    assert manifest.generated is not None
    assert manifest.generated.capacities == capacities
    assert (manifest.run, manifest.source) == (2, f"generated-{manifest.generated.config_id}")
    for entry, capacity in zip(manifest.checkpoints, capacities, strict=True):
        own = rows[begin : begin + capacity]
        found = {name: load(place.logs, name, entry.suffix) for name in ("observation", "action", "reward", "terminal")}
        assert found["observation"].shape == (capacity, 84, 84)
        np.testing.assert_array_equal(found["observation"][: len(own)], np.stack([row[0] for row in own]))
        assert found["action"][: len(own)].tolist() == [row[1] for row in own]
        assert found["reward"][: len(own)].tolist() == [min(1.0, row[2]) for row in own]
        assert found["terminal"][: len(own)].tolist() == [row[3] == "T" for row in own]
        assert not any(array[len(own) :].any() for array in found.values())
        assert list(entry.truncated) == [i for i, row in enumerate(own[:-1]) if row[3] == "X"]
        assert (entry.rows, entry.capacity) == (len(own), capacity)
        begin += capacity
    assert list(verify_run(place)) == []


@pytest.mark.parametrize(
    ("steps", "per_checkpoint", "capacities"),
    [
        (50_000_000, 1_000_000, (1_000_000,) * 50),
        (10_250_000, 1_000_000, (1_000_000,) * 10 + (250_000,)),
        (4_000, 1_000_000, (4_000,)),
        (1_003, 500, (500, 500)),
        (1_004, 500, (500, 500, 4)),
    ],
)
def test_capacities_depend_on_the_budget_alone(steps: int, per_checkpoint: int, capacities: tuple[int, ...]) -> None:
    assert checkpoint_capacities(steps, per_checkpoint) == capacities
    with pytest.raises(UsageError, match="no checkpoint"):
        checkpoint_capacities(steps, 3)


def test_its_windows_are_those_of_the_runs_replay(played: Played, tmp_path: Path) -> None:
    manifest = build_logs(played.path, tmp_path)
    place, selection = Place(tmp_path, "Breakout", 2), Selection("checkpoints", 1.0)
    build(make_plan(place, manifest, selection))
    data = OfflineData.open(sample_path(place, selection))
    replay = FrameReplay(1000, 4, HostFrames(1000, (84, 84)))
    for frame, action, reward, end in played.transitions:
        replay.add(frame, action, min(1.0, reward), terminal=end == "T", truncated=end == "X")
    real = [row for row, (*_, end) in enumerate(expected_rows(played)[:STEPS]) if end != "p"]
    positions = data.windows(1)
    ours, theirs = data.gather(positions, 1, 0.99), replay.gather(np.searchsorted(real, positions), 1, 0.99)
    for name in ("a_tm1", "r_t", "discount_t"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    alive = ours.discount_t > 0
    np.testing.assert_array_equal(ours.frames[alive], theirs.frames[alive])
    np.testing.assert_array_equal(ours.frames[:, :4], theirs.frames[:, :4])
    rows = expected_rows(played)[:STEPS]
    assert len(positions) == sum(rows[row][3] != "X" and row != len(rows) - 1 for row in real)


def test_a_second_call_writes_nothing_and_another_log_is_not_overwritten(
    played: Played, tmp_path: Path, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = build_logs(played.path, tmp_path, 260)
    before = kit.tree(tmp_path)
    monkeypatch.setattr(generate, "AtariEnvs", None)
    assert build_logs(played.path, tmp_path, 260) == first
    with pytest.raises(UsageError, match="that of another log"):
        build_logs(played.path, tmp_path, 270)
    assert kit.tree(tmp_path) == before


@pytest.mark.slow
def test_killed_anywhere_it_goes_on_to_the_same_files(
    played: Played,
    tmp_path: Path,
    kit: SimpleNamespace,
    die_everywhere: Callable[..., int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = [Row(frame, action, min(1.0, reward), end == "T") for frame, action, reward, end in expected_rows(played)]

    def from_memory(run: Any, task: Any, actions: Any, first: int, monitor: Any) -> Generator[Row, None, None]:
        yield from rows[first:]

    monkeypatch.setattr(generate, "_rows", from_memory)  # the emulator takes longest: one of it is in the next test
    whole: dict[str, bytes] = {}

    def work(root: Path) -> None:
        build_logs(played.path, root, 260)

    def check(root: Path, ended: bool) -> None:
        found = kit.tree(root) if root.exists() else {}
        if not whole:
            whole.update(found)
        named = {name: content for name, content in found.items() if not Path(name).name.startswith(".")}
        if ended:
            assert named == whole
        for name, content in named.items():
            if "replay_logs" in name:
                assert content == whole[name]

    calls = die_everywhere(tmp_path / "kills", work, check, stride=6)
    assert calls > 120


def test_it_goes_on_with_the_segment_of_the_missing_checkpoint(
    played: Played, tmp_path: Path, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_logs(played.path, tmp_path / "whole", 260)
    monkeypatch.setattr(generate, "write_manifest", real := generate.write_manifest)
    written = []

    def until_the_third(place: Place, manifest: Any) -> None:
        real(place, manifest)
        written.append(manifest)
        if len(written) == 3:
            raise kit.Killed

    monkeypatch.setattr(generate, "write_manifest", until_the_third)
    with pytest.raises(kit.Killed):
        build_logs(played.path, tmp_path / "killed", 260)
    found = find_manifest(Place(tmp_path / "killed", "Breakout", 2))
    assert found is not None
    assert (len(found.checkpoints), found.complete) == (3, False)
    seeds: list[int] = []

    class Counting(AtariEnvs):
        def reset(self, chosen: Any, mask: Any = None) -> Any:
            seeds.extend(seed for seed in chosen if seed is not None)
            return super().reset(chosen, mask)

    monkeypatch.setattr(generate, "AtariEnvs", Counting)
    build_logs(played.path, tmp_path / "killed", 260)
    assert 0 < len(seeds) < len({row["emulator_seed"] for row in lines(played.path / "episodes.jsonl")})
    assert kit.tree(tmp_path / "killed") == kit.tree(tmp_path / "whole")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def copied(played: Played, root: Path) -> Path:
    path = root / played.path.relative_to(played.path.parents[3])
    path.mkdir(parents=True)
    for file in played.path.iterdir():
        (path / file.name).write_bytes(file.read_bytes())
    return path


def change(path: Path, row: int, **values: Any) -> None:
    rows = lines(path)
    rows[row] |= values
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_what_cannot_be_played_again_is_refused(played: Played, tmp_path: Path) -> None:
    def refused(name: str, file: str, row: int, error: type[Exception], reason: str, **values: Any) -> None:
        path = copied(played, tmp_path / name)
        change(path / file, row, **values)
        with pytest.raises(error, match=reason):
            build_logs(path, tmp_path / name / "out", 260)

    refused("running", "status.json", 0, BadData, "is running, not done", state="running")
    refused("elsewhere", "actions.jsonl", 1, BadData, "no actions of episode 1", episode=77)
    refused("return", "episodes.jsonl", 1, BadData, "Episode 1 .* comes out otherwise", **{"return": 99.0})
    refused("end", "episodes.jsonl", 0, BadData, "Episode 0 .* comes out otherwise", end="truncated")
    refused("seed", "episodes.jsonl", 0, BadData, "comes out otherwise|Other than", emulator_seed=5)
    forged = Actions.pack(1, 0, b"\x09" * played.lengths[0]).deflated
    refused("action", "actions.jsonl", 0, BadData, "Episode 0 .* comes out otherwise", deflated=forged)
    path = copied(played, tmp_path / "emulator")
    (path / "provenance.json").write_text(
        (path / "provenance.json").read_text().replace('fingerprint":"', 'fingerprint":"x')
    )
    with pytest.raises(UnfitEnvironment, match="the environment here differs"):
        build_logs(path, tmp_path / "out")
    path = copied(played, tmp_path / "none")
    (path / "episodes.jsonl").write_text("")
    with pytest.raises(BadData, match="has no finished episode"):
        build_logs(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_full_disk_is_named_and_it_goes_on_once_there_is_space(
    played: Played, tmp_path: Path, kit: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    build_logs(played.path, tmp_path / "whole", 260)

    class Full(kit.Mortal):  # type: ignore[misc, name-defined]
        def write(self, descriptor: int, data: memoryview) -> int:
            if self.done > 60:
                raise OSError(28, "No space left on device")
            return int(super().write(descriptor, data))

    monkeypatch.setattr(durable, "system", Full())
    with pytest.raises(UnfitEnvironment, match="No space left on device"):
        build_logs(played.path, tmp_path / "full", 260)
    assert not list((tmp_path / "full").rglob(".*.tmp"))
    monkeypatch.setattr(durable, "system", kit.Mortal())
    build_logs(played.path, tmp_path / "full", 260)
    assert kit.tree(tmp_path / "full") == kit.tree(tmp_path / "whole")
