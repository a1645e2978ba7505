"""Training sees every window that may be drawn, no other, and just as a replay would give it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.contracts.agent import DataPlan
from suite.errors import BadData, UnfitEnvironment, UsageError
from suite.experience.logs import sample
from suite.experience.logs.build import build
from suite.experience.logs.dataset import OfflineData
from suite.experience.logs.layout import Place
from suite.experience.logs.manifest import read_manifest
from suite.experience.logs.sample import READINGS, Reading, Selection, make_plan, sample_path
from suite.experience.replay.frames import FrameReplay, HostFrames

PLAN = DataPlan(
    capacity=1,
    batch_size=5,
    n_step=1,
    gamma=0.9,
    warm_up=0,
    update_period=1,
    updates_per_period=1,
    target_update_period=1,
    epsilon_train=0.0,
    epsilon_decay=1,
)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample, "BLOCK", 5)
    sample._cached.cache_clear()


def built(log: Any, selection: Selection) -> OfflineData:
    build(make_plan(log.place, read_manifest(log.place), selection))
    return OfflineData.open(sample_path(log.place, selection))


def rows_of(data: OfflineData, positions: np.ndarray) -> list[tuple[int, int]]:
    """Return the checkpoint and row of positions."""
    found = []
    for part in data.sample_file.parts:
        rows = np.load(data.path / f"ckpt-{part.suffix}" / "row.npy")
        found += [(part.suffix, int(row)) for row in rows]
    return [found[position] for position in positions]


# -------------------------------------------------------------------------------------------------------- by hand


def test_windows_of_a_small_log_by_hand(make_log: Callable[..., Any], kit: SimpleNamespace) -> None:
    # rows:  0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19
    #        p p p . . T p p p . .  X  p  p  p  .  .  .  .  .       X: a time limit; no mark but the padding
    log = make_log("..T..X.....", [20])
    assert log.ends == "ppp..Tppp..Xppp....."
    data = built(log, Selection("checkpoints", 1.0))
    assert rows_of(data, data.windows(1)) == [(0, row) for row in (3, 4, 5, 9, 10, 15, 16, 17, 18)]
    assert rows_of(data, data.windows(2)) == [(0, row) for row in (3, 4, 5, 9, 15, 16, 17)]
    assert rows_of(data, data.windows(3)) == [(0, row) for row in (3, 4, 5, 15, 16)]
    first = data.gather(data.windows(1)[:3], 1, 0.9)
    assert kit.numbers(first.frames).tolist() == [[0, 0, 0, 4, 5], [0, 0, 4, 5, 6], [0, 4, 5, 6, 0]]
    np.testing.assert_array_equal(first.discount_t, np.asarray([0.9, 0.9, 0.0], np.float32))
    assert first.a_tm1.tolist() == log.actions[3:6]
    assert first.r_t.tolist() == log.rewards[3:6]
    two = data.gather(data.windows(2)[1:2], 2, 0.5)
    assert two.r_t.tolist() == [log.rewards[4] + 0.5 * log.rewards[5]]
    assert two.discount_t.tolist() == [0.0]
    after = data.gather(data.windows(2)[4:5], 2, 0.5)
    assert kit.numbers(after.frames).tolist() == [[0, 0, 0, 16, 17, 18]]
    assert after.discount_t.tolist() == [0.25]


def test_no_window_reaches_from_one_checkpoint_into_another(make_log: Callable[..., Any]) -> None:
    data = built(make_log("." * 30, [11, 11, 11]), Selection("checkpoints", 1.0))
    rows = rows_of(data, data.windows(1))
    assert rows == [(k, row) for k in range(3) for row in range(3, 10)]


def test_windows_at_the_edges_of_blocks(make_log: Callable[..., Any]) -> None:
    log = make_log("." * 57, [60])
    for n_step, longest in ((1, 1), (1, 3), (3, 3)):
        data = built(log, Selection("blocks", 0.25, 1, n_step))
        blocks = sorted({row // 5 for row in np.flatnonzero(data_drawn(data, 60))})
        expected = []
        for block in blocks:
            lacking = 0 if longest <= n_step or block + 1 in blocks else longest - n_step
            expected += [row for row in range(5 * block, 5 * block + 5 - lacking) if 3 <= row < 60 - longest]
        assert [row for _, row in rows_of(data, data.windows(longest))] == expected


def data_drawn(data: OfflineData, rows: int) -> np.ndarray:
    drawn = np.zeros(rows, bool)
    for part in data.sample_file.parts:
        folder = data.path / f"ckpt-{part.suffix}"
        drawn[np.load(folder / "row.npy")[np.load(folder / "drawn.npy") == 1]] = True
    return drawn


# ------------------------------------------------------------------------------------------ against other descriptions


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return lambda: tmp_path_factory.mktemp("log")


@settings(max_examples=40)
@given(
    episodes=st.text(alphabet="......TX", min_size=12, max_size=70),
    capacities=st.lists(st.integers(6, 40), min_size=1, max_size=3),
    reading=st.sampled_from(READINGS),
    fraction=st.sampled_from([0.3, 0.6, 1.0]),
    longest=st.integers(1, 3),
    n_step=st.integers(1, 3),
    seed=st.integers(0, 20),
)
def test_every_window_and_no_other_is_drawn(
    kit: SimpleNamespace,
    folder: Callable[[], Path],
    episodes: str,
    capacities: list[int],
    reading: Reading,
    fraction: float,
    longest: int,
    n_step: int,
    seed: int,
) -> None:
    capacities = [max(capacities)] * (len(capacities) - 1) + capacities[-1:]
    log = kit.made_up(Place(folder(), "Pong", 1), episodes, capacities, seed)
    manifest = kit.with_manifest(log)
    selection = Selection(reading, fraction, seed, longest)
    expected: dict[tuple[int, int], list[int]] = {}
    try:
        plan = make_plan(log.place, manifest, selection)
    except UsageError:
        return
    for part in plan.parts:
        k = part.checkpoint.suffix
        windows = log.windows(k, set(part.drawn.tolist()), n_step, set(part.stored.tolist()))
        expected |= {(k, row): numbers for row, numbers in windows.items()}
    build(plan)
    data = OfflineData.open(sample_path(log.place, selection))
    if not expected:
        with pytest.raises(UsageError, match=f"No window of {n_step} steps"):
            data.windows(n_step)
        return
    positions = data.windows(n_step)
    found = rows_of(data, positions)
    assert found == sorted(expected)
    windows = data.gather(positions, n_step, 0.9)
    assert windows.frames.shape == (len(positions), 4 + n_step, 84, 84)
    assert kit.numbers(windows.frames).tolist() == [expected[place] for place in found]
    outcomes = [log.outcome(k, row, n_step, 0.9) for k, row in found]
    np.testing.assert_allclose(windows.r_t, [total for total, _ in outcomes], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(windows.discount_t, [discount for _, discount in outcomes], rtol=1e-6)
    assert windows.a_tm1.tolist() == [log.actions[log.begin(k) + row] for k, row in found]
    assert [array.dtype for array in windows[:4]] == [np.uint8, np.int32, np.float32, np.float32]
    assert all(end not in "p" for k, row in found for end in log.ends[log.begin(k) + row])


@pytest.mark.parametrize("n_step", [1, 3])
def test_windows_are_those_of_a_replay(make_log: Callable[..., Any], kit: SimpleNamespace, n_step: int) -> None:
    episodes = "....T" * 4 + "..X" * 3 + ".T" * 2 + "......X.........."
    log = make_log(episodes, [200])
    data = built(log, Selection("checkpoints", 1.0))
    replay = FrameReplay(100, 4, HostFrames(100, (84, 84)))
    real = [row for row, end in enumerate(log.ends) if end != "p"]
    for row in real:
        end = log.ends[row]
        image = kit.frame(log.frames[row])
        replay.add(image, log.actions[row], log.rewards[row], terminal=end == "T", truncated=end == "X")
    positions = data.windows(n_step)
    rows = [row for _, row in rows_of(data, positions)]
    indices = np.asarray([real.index(row) for row in rows])
    ours, theirs = data.gather(positions, n_step, 0.99), replay.gather(indices, n_step, 0.99)
    for name in ("a_tm1", "r_t", "discount_t"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    np.testing.assert_array_equal(ours.frames[:, :4], theirs.frames[:, :4])
    alive = ours.discount_t > 0  # what follows a terminal is never looked at
    np.testing.assert_array_equal(ours.frames[alive], theirs.frames[alive])
    valid = np.arange(*replay.valid_range(n_step))
    assert sorted(indices) == sorted(valid[~replay._crosses_truncation(valid, n_step)])


def test_windows_are_those_that_dopamine_would_draw(make_log: Callable[..., Any]) -> None:
    """Its rule for a full buffer whose cursor is at 0, told anew; it leaves out one row more at either end."""
    log = make_log("....T" * 4 + "......", [37])
    terminal = [end == "T" for end in log.ends]
    around = {36, 0, 1, 2, 3}
    theirs = [row for row in range(37) if row not in around and not any(terminal[row - 3 : row])]
    data = built(log, Selection("checkpoints", 1.0))
    assert sorted({row for _, row in rows_of(data, data.windows(1))} - {3}) == theirs


# ------------------------------------------------------------------------------------------------------------- drawing


def test_numbers_draw_windows_evenly_and_alike(make_log: Callable[..., Any]) -> None:
    data = built(make_log("....T" * 8, [60]), Selection("blocks", 0.6))
    windows = data.windows(1)
    ends = np.asarray([0.0, 0.5, np.nextafter(1.0, 0.0), 0.25, 0.25])
    drawn = data.sample(PLAN, lambda redraw: ends)
    at = [windows[0], windows[len(windows) // 2], windows[-1], *[windows[len(windows) // 4]] * 2]
    np.testing.assert_array_equal(drawn.frames, data.gather(np.asarray(at), 1, 0.9).frames)
    assert drawn.weight is None
    assert drawn.states is None
    many = data._draw(1, lambda redraw: np.random.default_rng(0).random(30_000))
    counts = np.bincount(np.searchsorted(windows, many), minlength=len(windows))
    assert np.abs(counts * len(windows) / 30_000 - 1).max() < 0.15


def test_states_are_the_stacks_of_windows(make_log: Callable[..., Any]) -> None:
    data = built(make_log("....T" * 8, [60]), Selection("blocks", 0.6))
    numbers = np.linspace(0, 0.99, 6)
    states = data.sample_states(6, lambda redraw: numbers)
    positions = data.windows(1)[(numbers * len(data.windows(1))).astype(int)]
    np.testing.assert_array_equal(states, data.gather(positions, 1, 1.0).frames[:, :4])


def test_frames_may_be_taken_from_elsewhere(make_log: Callable[..., Any]) -> None:
    data = built(make_log("....T" * 8, [20, 20, 20]), Selection("blocks", 0.6))
    elsewhere, asked = data.all_frames(), []

    def take(positions: np.ndarray) -> np.ndarray:
        asked.append(positions)
        return elsewhere[positions]

    positions = data.windows(1)
    ours, theirs = data.gather(positions, 1, 0.9), data.gather(positions, 1, 0.9, take)
    np.testing.assert_array_equal(ours.frames, theirs.frames)
    assert asked[0].shape == (len(positions), 5)
    plan = replace(PLAN, n_step=2)
    numbers = np.linspace(0, 0.9, 5)
    one, other = data.sample(plan, lambda redraw: numbers), data.sample(plan, lambda redraw: numbers, take)
    np.testing.assert_array_equal(one.frames, other.frames)
    assert data.sample_states(5, lambda redraw: numbers, take).shape == (5, 4, 84, 84)


def test_what_a_record_wants_to_know(make_log: Callable[..., Any]) -> None:
    log, other = make_log("....T" * 8, [60]), make_log("...T" * 9, [60], run=2, seed=1)
    data, second = built(log, Selection("blocks", 0.6)), built(other, Selection("blocks", 0.6))
    assert data.identity == second.identity
    assert data.identity.startswith("made-up.blocks.0.6.0.")
    assert data.digest != second.digest
    assert data.rows == 35  # of 60 rows, 12 blocks of 5, of which 7 are 0.6
    assert data.nbytes == sum(file.stat().st_size for file in data.path.rglob("*.npy"))
    assert (data.stack, data.selection) == (4, Selection("blocks", 0.6))


def test_frames_are_mapped_and_not_read(kit: SimpleNamespace, tmp_path: Path) -> None:
    log = kit.made_up(Place(tmp_path, "Pong", 1), "." * 3000, [3000])
    kit.with_manifest(log)
    selection = Selection("blocks", 1.0)
    build(make_plan(log.place, read_manifest(log.place), selection))
    tracemalloc.start()
    data = OfflineData.open(sample_path(log.place, selection))
    data.sample(PLAN, lambda redraw: np.linspace(0, 0.99, 5))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert data.nbytes > 20 << 20
    assert peak < 1 << 20
    with pytest.raises(ValueError, match="read-only"):
        data._frames[0][0] = 1


# -------------------------------------------------------------------------------------------------------------- errors


def test_what_cannot_be_served_is_refused(make_log: Callable[..., Any], tmp_path: Path) -> None:
    log = make_log("....T" * 8, [60])
    data = built(log, Selection("transitions", 0.1))
    with pytest.raises(UsageError, match="No window of 20 steps") as caught:
        data.windows(20)
    assert "--n-step 20" in caught.value.remedy
    with pytest.raises(UsageError, match="sampled uniformly, not prioritized"):
        data.sample(replace(PLAN, replay="prioritized"), lambda redraw: np.zeros(5))
    with pytest.raises(UnfitEnvironment, match="holds no sample") as missing:
        OfflineData.open(tmp_path)
    assert "suite data sample" in missing.value.remedy


@pytest.mark.parametrize("name", ["frames", "row", "action", "reward", "terminal", "truncated", "drawn"])
@pytest.mark.parametrize("damage", ["gone", "short", "flipped"])
def test_a_damaged_sample_is_not_trained_on(make_log: Callable[..., Any], name: str, damage: str) -> None:
    log = make_log("....T" * 8, [60])
    data = built(log, Selection("blocks", 0.6))
    victim = data.path / "ckpt-0" / f"{name}.npy"
    content = bytearray(victim.read_bytes())
    content[-1] ^= 64
    if damage == "gone":
        victim.unlink()
    else:
        victim.write_bytes(content if damage == "flipped" else content[:-1])
    if (name, damage) == ("frames", "flipped"):
        OfflineData.open(data.path)  # 18 GB are not read at every start; `suite data verify` finds it
        return
    with pytest.raises(BadData, match=f"{name}.npy"):
        OfflineData.open(data.path)
