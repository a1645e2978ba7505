"""Which rows a sample is made of, and that building it is exact, bounded in memory, and survives being killed."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite import durable
from suite.errors import BadData, UnfitEnvironment, UsageError
from suite.experience.logs import build as building
from suite.experience.logs import sample
from suite.experience.logs.build import build, verify_samples
from suite.experience.logs.layout import Place, file_name
from suite.experience.logs.manifest import find_manifest, read_manifest, write_manifest
from suite.experience.logs.sample import (
    READINGS,
    Reading,
    SampleFile,
    Selection,
    find_sample,
    index_hash,
    index_set,
    make_plan,
    sample_path,
    stored_rows,
)


def drawn(selection: Selection, *capacities: int, ends: dict[int, list[int]] | None = None) -> list[list[int]]:
    found = index_set(selection, dict(enumerate(capacities)), lambda k: np.asarray((ends or {})[k], np.int64))
    return [rows.tolist() for rows in found.values()]


# -------------------------------------------------------------------------------------------------------- the index set


def test_the_first_rows_of_every_checkpoint() -> None:
    assert drawn(Selection("checkpoints", 0.25), 8, 8) == [[0, 1], [0, 1]]
    assert drawn(Selection("checkpoints", 0.25), 10, 10) == [[0, 1, 2], [0, 1]]  # 2.5 each, 5 in all


def test_the_first_episodes_of_every_checkpoint() -> None:
    ends = {0: [1, 4, 5, 8], 1: [0, 9]}
    assert drawn(Selection("episodes", 0.5), 10, 10, ends=ends) == [list(range(5)), [0]]
    assert drawn(Selection("episodes", 0.99), 10, 10, ends=ends) == [list(range(6)), [0]]
    assert drawn(Selection("episodes", 0.3), 10, 10, ends=ends) == [[0, 1], []]  # 0.6 of an episode is none
    with pytest.raises(UsageError, match=r"A fraction of 0.2 of this log is nothing"):
        drawn(Selection("episodes", 0.2), 10, 10, ends=ends)


def test_blocks_are_whole_and_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "BLOCK", 10)
    found = drawn(Selection("blocks", 0.3), 100, 100, 95)
    assert [len(rows) for rows in found][:2] == [30, 30]
    assert len(found[2]) in (30, 25)
    for rows in found:
        for block in {row // 10 for row in rows}:
            assert set(range(10 * block, min(10 * block + 10, 95 if rows is found[2] else 100))) <= set(rows)
    assert found[0] != found[1]


def test_five_percent_of_the_public_log_is_fifty_thousand_rows_of_each_checkpoint() -> None:
    for reading in ("blocks", "transitions", "checkpoints"):
        found = index_set(Selection(reading), {0: 1_000_000, 49: 1_000_000})
        assert [len(rows) for rows in found.values()] == [50_000, 50_000]
    blocks = index_set(Selection(), {7: 1_000_000})[7].reshape(-1, 1000)
    assert (blocks == blocks[:, :1] + np.arange(1000)).all()
    assert (blocks[:, 0] % 1000 == 0).all()


@settings(max_examples=60)
@given(
    reading=st.sampled_from(["blocks", "transitions", "checkpoints"]),
    capacities=st.lists(st.integers(4, 400), min_size=1, max_size=6),
    fraction=st.sampled_from([0.01, 0.05, 0.1, 0.3, 0.5, 0.999, 1.0]),
    seed=st.integers(0, 5),
)
def test_any_index_set_has_its_share_once_and_is_the_same_again(
    reading: Reading, capacities: list[int], fraction: float, seed: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sample, "BLOCK", 7)
        selection = Selection(reading, fraction, seed)
        try:
            found, again = drawn(selection, *capacities), drawn(selection, *capacities)
        except UsageError:
            assert fraction * sum(capacities) < (7 * len(capacities) + 7) / 2 if reading == "blocks" else 1
            return
    assert found == again
    for rows, capacity in zip(found, capacities, strict=True):
        assert rows == sorted(set(rows))
        assert all(0 <= row < capacity for row in rows)
    unit = 7 * (len(capacities) + 1) if reading == "blocks" else 0.5
    assert abs(sum(map(len, found)) - fraction * sum(capacities)) <= unit
    if fraction == 1.0:
        assert sum(map(len, found)) == sum(capacities)


@pytest.mark.parametrize("reading", ["blocks", "transitions"])
def test_seeds_readings_and_checkpoints_differ_and_rows_are_drawn_evenly(reading: Reading) -> None:
    counts = np.zeros(100)
    for seed in range(300):
        for rows in index_set(Selection(reading, 0.1, seed), {0: 100_000, 1: 100_000}).values():
            counts += np.bincount(rows // 1000, minlength=100) / 10_000
    assert counts.sum() == pytest.approx(600)
    assert np.abs(counts / 6 - 1).max() < (0.75 if reading == "blocks" else 0.02)
    assert drawn(Selection(reading, 0.1, 1), 5000) != drawn(Selection(reading, 0.1, 2), 5000)


GOLDEN = {
    "blocks": "bb0a0624d1c0006f",
    "transitions": "2befa2b434bbc02e",
    "checkpoints": "df52a98a43c01dfd",
}


@pytest.mark.parametrize(("reading", "expected"), GOLDEN.items())
def test_index_sets_never_change(reading: Reading, expected: str) -> None:
    found = index_set(Selection(reading), {0: 100_000, 1: 100_000, 7: 42_042})
    assert index_hash(found)[:16] == expected


def test_the_hash_is_of_suffixes_counts_and_rows() -> None:
    found = {0: np.asarray([3, 4]), 5: np.asarray([], np.int64), 6: np.asarray([1])}
    plain = np.asarray([0, 2, 3, 4, 5, 0, 6, 1, 1], "<i8").tobytes()
    assert index_hash(found) == hashlib.sha256(plain).hexdigest()


@settings(max_examples=100)
@given(st.sets(st.integers(0, 60), min_size=1), st.integers(1, 61), st.integers(1, 5))
def test_what_is_stored_is_the_stacks_and_what_follows(chosen: set[int], rows: int, n_step: int) -> None:
    there = sorted(row for row in chosen if row < rows)
    needed = {other for row in there for other in range(row - 3, row + n_step + 1) if 0 <= other < rows}
    assert stored_rows(np.asarray(there, np.int64), rows, n_step).tolist() == sorted(needed)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"reading": "everything"}, "Unknown reading"),
        ({"fraction": 0.0}, "no share"),
        ({"fraction": 1.5}, "no share"),
        ({"fraction": float("nan")}, "no share"),
        ({"seed": -1}, "at least 0"),
        ({"n_step": 0}, "from 1 to 100"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        Selection(**change)


def test_a_selection_is_named_in_one_word() -> None:
    assert Selection().words == "blocks.0.05.0"
    assert Selection("transitions", 1.0, 3, 3).words == "transitions.1.3.n3"
    assert Selection("episodes", 0.1 + 0.2).words == "episodes.0.3.0"


# ------------------------------------------------------------------------------------------------------------- building

EPISODES = "......T" * 6 + "....X" * 4 + "." * 40


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "BLOCK", 5)
    sample._cached.cache_clear()


def arrays(path: Path, suffix: int) -> dict[str, np.ndarray]:
    folder = path / f"ckpt-{suffix}"
    return {file.stem: np.load(file, allow_pickle=False) for file in folder.glob("*.npy")}


@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("n_step", [1, 3])
def test_a_sample_holds_each_frame_once_with_its_row(
    make_log: Callable[..., Any], kit: SimpleNamespace, small_blocks: None, reading: Reading, n_step: int
) -> None:
    log = make_log(EPISODES, [50, 50, 20])
    selection = Selection(reading, 0.4, 0, n_step)
    plan = make_plan(log.place, read_manifest(log.place), selection)
    built = build(plan)
    path = sample_path(log.place, selection)
    assert path == log.place.folder / "samples" / selection.words
    frames = 0
    for k, part in enumerate(plan.parts):
        found, begin = arrays(path, k), log.begin(k)
        rows = [begin + row for row in part.stored]
        assert found["row"].tolist() == part.stored.tolist()
        assert kit.numbers(found["frames"]).tolist() == [log.frames[row] for row in rows]
        assert found["action"].tolist() == [log.actions[row] for row in rows]
        assert found["reward"].tolist() == [log.rewards[row] for row in rows]
        assert found["terminal"].tolist() == [log.ends[row] == "T" for row in rows]
        last = begin + log.size(k) - 1
        assert found["truncated"].tolist() == [log.ends[row] == "X" and row != last for row in rows]
        assert found["row"][found["drawn"] == 1].tolist() == part.drawn.tolist()
        frames += len(rows)
    assert (plan.frames, plan.bytes) == (frames, frames * (84 * 84 + 15))
    assert plan.bytes <= built.bytes < plan.bytes + 3 * 7 * 200
    assert built.identity == plan.identity == f"made-up.{selection.words}.{plan.index_sha256[:16]}"
    assert find_sample(path) == built
    assert list(verify_samples(log.place)) == []


def test_all_games_with_logs_of_one_length_have_one_index_set(make_log: Callable[..., Any], small_blocks: None) -> None:
    logs = [make_log("....T" * 18, [50, 50]), make_log("...X" * 23, [50, 50], game="Qbert", run=3, seed=1)]
    logs.append(make_log("." * 60, [50, 50], game="Seaquest"))  # its last checkpoint is not full
    for reading in ("blocks", "transitions", "checkpoints"):
        plans = [make_plan(log.place, read_manifest(log.place), Selection(reading, 0.4)) for log in logs]
        assert len({plan.identity for plan in plans}) == 1
    assert plans[2].drawn < plans[0].drawn
    ends = [make_plan(log.place, read_manifest(log.place), Selection("episodes", 0.4)) for log in logs[:2]]
    assert ends[0].identity != ends[1].identity


def test_rows_beyond_the_cursor_are_left_out(make_log: Callable[..., Any], small_blocks: None) -> None:
    log = make_log("." * 40, [30, 30])
    plan = make_plan(log.place, read_manifest(log.place), Selection("blocks", 1.0))
    assert [part.drawn.tolist() for part in plan.parts] == [list(range(30)), list(range(13))]


def test_building_again_changes_nothing_and_damage_is_found(
    make_log: Callable[..., Any], kit: SimpleNamespace, small_blocks: None
) -> None:
    log = make_log(EPISODES, [50, 50, 20])
    plan = make_plan(log.place, read_manifest(log.place), Selection("blocks", 0.4))
    build(plan)
    path = sample_path(log.place, plan.selection)
    before = kit.tree(path)
    stamps = {name: (path / name).stat().st_mtime_ns for name in before}
    build(plan)
    assert {name: (path / name).stat().st_mtime_ns for name in before} == stamps
    victim = path / "ckpt-1" / "frames.npy"
    data = bytearray(victim.read_bytes())
    data[-1] ^= 1
    victim.write_bytes(data)
    assert [str(victim) in problem for problem in verify_samples(log.place)] == [True]
    (path / "sample.json").unlink()
    victim.write_bytes(data[:-1])  # of a part that was not told to be whole, the sizes are looked at
    build(plan)
    assert kit.tree(path) == before
    (path / "sample.json").write_text("{")
    with pytest.raises(BadData, match=r"sample.json is damaged"):
        build(plan)


def test_another_log_in_the_same_place_gives_another_sample(
    make_log: Callable[..., Any], kit: SimpleNamespace, small_blocks: None
) -> None:
    log = make_log(EPISODES, [50, 50])
    first = build(make_plan(log.place, read_manifest(log.place), Selection("blocks", 0.4)))
    (log.place.folder / "manifest.json").unlink()
    log = make_log(EPISODES, [50, 50], seed=1)
    second = build(make_plan(log.place, read_manifest(log.place), Selection("blocks", 0.4)))
    assert first.identity == second.identity
    assert [part.files["action.npy"] for part in first.parts] != [part.files["action.npy"] for part in second.parts]
    assert list(verify_samples(log.place)) == []


def test_a_log_that_is_no_longer_its_manifests_is_refused(make_log: Callable[..., Any], small_blocks: None) -> None:
    log, other = make_log(EPISODES, [50]), make_log(EPISODES, [50], run=2, seed=1)
    for element in ("action", "observation"):
        mine, theirs = (place.logs / file_name(element, 0) for place in (log.place, other.place))
        kept = mine.read_bytes()
        mine.write_bytes(theirs.read_bytes() if element == "action" else kept[:-1])
        with pytest.raises(BadData, match=element):
            build(make_plan(log.place, read_manifest(log.place), Selection("blocks", 0.4)))
        mine.write_bytes(kept)
        assert find_sample(sample_path(log.place, Selection("blocks", 0.4))) is None


def test_a_manifest_is_needed_and_must_be_complete(kit: SimpleNamespace, tmp_path: Path) -> None:
    log = kit.made_up(Place(tmp_path, "Pong", 1), EPISODES, [50])
    kit.write_log(log)
    with pytest.raises(BadData, match=r"no manifest.json") as caught:
        read_manifest(log.place)
    assert "suite data import" in caught.value.remedy
    manifest = kit.with_manifest(log)
    write_manifest(log.place, manifest.model_copy(update={"complete": False}))
    with pytest.raises(BadData, match="not complete"):
        read_manifest(log.place)
    assert find_manifest(log.place) is not None


def test_too_little_space_is_said_first(
    make_log: Callable[..., Any], small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_log(EPISODES, [50])
    plan = make_plan(log.place, read_manifest(log.place), Selection("blocks", 0.4))
    monkeypatch.setattr("suite.experience.logs.files.shutil.disk_usage", lambda path: SimpleNamespace(free=1000))
    with pytest.raises(UnfitEnvironment, match="GiB are needed"):
        build(plan)


def test_memory_is_bounded_by_a_checkpoints_vectors(kit: SimpleNamespace, tmp_path: Path) -> None:
    log = kit.made_up(Place(tmp_path, "Pong", 1), "." * 6000, [6000])  # 42 MB of frames
    kit.with_manifest(log)
    for reading in ("blocks", "transitions"):
        tracemalloc.start()
        plan = make_plan(log.place, read_manifest(log.place), Selection(reading, 0.5))
        build(plan)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert plan.bytes > 20 << 20
        assert peak < 12 << 20


# -------------------------------------------------------------------------------------------------------------- killing


def test_killed_anywhere_nothing_half_built_is_taken_for_whole_and_the_next_call_ends_it(
    make_log: Callable[..., Any],
    kit: SimpleNamespace,
    die_everywhere: Callable[..., int],
    small_blocks: None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    log = make_log("......T" * 3 + "." * 20, [20, 20])
    selection = Selection("blocks", 0.5)
    plan = make_plan(log.place, read_manifest(log.place), selection)
    whole: dict[str, bytes] = {}

    def work(folder: Path) -> None:
        monkeypatch.setattr(building, "sample_path", lambda place, selection: folder)
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            folder.mkdir()
        build(plan)

    def check(folder: Path, ended: bool) -> None:
        found = kit.tree(folder)
        if not whole:
            whole.update(found)
        if ended or "sample.json" in found:
            assert found == whole
        for name, content in found.items():
            if not name.startswith("."):
                assert content == whole[name]

    calls = die_everywhere(tmp_path / "kills", work, check)
    assert calls > 50


def test_a_part_that_is_there_is_not_built_again(
    make_log: Callable[..., Any], small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = make_log(EPISODES, [50, 50, 20])
    plan = make_plan(log.place, read_manifest(log.place), Selection("blocks", 0.4))
    built: list[str] = []
    real = building._build_part

    def until_the_second(place: Place, folder: Path, part: Any) -> Any:
        if len(built) == 2:
            built.append("killed")
            raise KeyboardInterrupt
        built.append(folder.name)
        return real(place, folder, part)

    monkeypatch.setattr(building, "_build_part", until_the_second)
    with pytest.raises(KeyboardInterrupt):
        build(plan)
    assert find_sample(sample_path(log.place, plan.selection)) is None
    build(plan)
    assert built == ["ckpt-0", "ckpt-1", "killed", "ckpt-2"]


def test_a_sample_file_says_all_that_a_reader_needs(make_log: Callable[..., Any], small_blocks: None) -> None:
    log = make_log(EPISODES, [50])
    build(make_plan(log.place, read_manifest(log.place), Selection("blocks", 0.4, 3)))
    path = sample_path(log.place, Selection("blocks", 0.4, 3))
    document = json.loads((path / "sample.json").read_text())
    assert document["schema_version"] == 1
    assert [document[name] for name in ("game", "run", "reading", "fraction", "seed", "n_step", "source")] == [
        *("Pong", 1, "blocks", 0.4, 3, 1, "made-up")
    ]
    assert SampleFile.model_validate(document).selection == Selection("blocks", 0.4, 3)
    for name, entry in document["parts"][0]["files"].items():
        content = (path / "ckpt-0" / name).read_bytes()
        assert (hashlib.sha256(content).hexdigest(), len(content)) == (entry["sha256"], entry["bytes"])


def test_syncs_come_before_names(
    make_log: Callable[..., Any], small_blocks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut finds a directory's name only once all its files are on the disk, and sample.json last."""
    calls: list[str] = []

    class Noting(durable.System):
        def fsync(self, descriptor: int) -> None:
            calls.append("sync " + Path(f"/dev/fd/{descriptor}").readlink().name)

        def rename(self, old: Path, new: Path) -> None:
            calls.append(f"rename {new.name}")
            super().rename(old, new)

    log = make_log(EPISODES, [50])
    monkeypatch.setattr(durable, "system", Noting())
    build(make_plan(log.place, read_manifest(log.place), Selection("blocks", 0.4)))
    named = calls.index("rename ckpt-0")
    arrays_synced = [call for call in calls[:named] if call.endswith((".npy", "part.json"))]
    assert len(arrays_synced) == 8
    assert calls[named - 1] == "sync .tmp-ckpt-0"
    assert calls[named + 1] == "sync blocks.0.4.0"
    assert calls[-3:] == ["sync .sample.json.tmp", "rename sample.json", "sync blocks.0.4.0"]
