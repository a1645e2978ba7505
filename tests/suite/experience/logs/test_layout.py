"""The layout is read as Dopamine writes it, quirks included, and what cannot be is named."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.errors import BadData, UsageError
from suite.experience.logs.check import ZeroFrames, check_sequence, inspect, unmarked_ends
from suite.experience.logs.layout import (
    ELEMENTS,
    Checkpoint,
    file_name,
    find_places,
    invalid_range,
    missing_files,
    read_vectors,
    rows_below_cursor,
    scan,
)
from suite.experience.logs.npy import deflated, header_bytes


class Buffer:
    """What Dopamine's logged replay buffer does, told in a few lines: a ring that is written out when nearly full."""

    def __init__(self, logs: Path, capacity: int, kit: SimpleNamespace) -> None:
        self.logs, self.capacity, self.kit = logs, capacity, kit
        self.store: dict[str, Any] = {
            "observation": np.full((capacity, 84, 84), 77, np.uint8),  # numpy.empty: whatever there was
            "action": np.full(capacity, -9, np.int32),
            "reward": np.full(capacity, np.nan, np.float32),
            "terminal": np.full(capacity, 5, np.uint8),
        }
        self.added = self.logged = 0
        self.begins = True
        self.rows: list[tuple[int, int, float, int]] = []

    def add(self, number: int, action: int, reward: float, terminal: int) -> None:
        for _ in range(3 if self.begins else 0):
            self._put(0, 0, 0.0, 0)
        self._put(number, action, reward, terminal)
        self.begins = bool(terminal)
        if self.added % self.capacity == self.capacity - 1:
            self.write(self.added)

    def _put(self, number: int, action: int, reward: float, terminal: int) -> None:
        slot = self.added % self.capacity
        image = self.kit.frame(number)
        for name, value in zip(self.store, (image, action, reward, terminal), strict=True):
            self.store[name][slot] = value
        self.rows.append((number, action, reward, terminal))
        self.added += 1

    def write(self, add_count: int) -> None:
        around = [(add_count - 1 + offset) % self.capacity for offset in range(5)]
        arrays = self.store | {"add_count": np.asarray(add_count), "invalid_range": np.asarray(around)}
        self.logs.mkdir(parents=True, exist_ok=True)
        for name, array in arrays.items():
            with gzip.open(self.logs / file_name(name, self.logged), "wb", 1) as file:
                np.save(file, array, allow_pickle=False)
        self.logged += 1


def filled(logs: Path, kit: SimpleNamespace, ends: str, capacity: int) -> Buffer:
    buffer = Buffer(logs, capacity, kit)
    for number, end in enumerate(ends, start=1):
        buffer.add(number, number % 6, float(number % 3 - 1), int(end == "T"))
    return buffer


def test_names_are_those_of_the_public_bucket() -> None:
    assert [file_name(element, 7) for element in ELEMENTS] == [
        "$store$_observation_ckpt.7.gz",
        "$store$_action_ckpt.7.gz",
        "$store$_reward_ckpt.7.gz",
        "$store$_terminal_ckpt.7.gz",
        "add_count_ckpt.7.gz",
        "invalid_range_ckpt.7.gz",
    ]


def test_what_dopamine_logs_is_read_up_to_its_cursor(kit: SimpleNamespace, tmp_path: Path) -> None:
    buffer = filled(tmp_path, kit, "...T" + "." * 30, 12)
    assert buffer.logged == 3
    for k in range(3):
        found = inspect(tmp_path, k, 6)
        assert (found.capacity, found.rows, found.add_count) == (12, 11, 12 * k + 11)  # the last slot is an older row
        vectors = read_vectors(tmp_path, k, 6)
        expected = buffer.rows[12 * k : 12 * k + 11]
        assert vectors.action.tolist() == [row[1] for row in expected]
        assert vectors.reward.tolist() == [row[2] for row in expected]
        assert vectors.terminal.tolist() == [row[3] for row in expected]
        assert found.truncated == ()


def test_a_filling_that_dopamine_skips_is_no_damage(kit: SimpleNamespace, tmp_path: Path) -> None:
    buffer = filled(tmp_path, kit, "....T" + "." * 30, 12)  # the padding leaps over row 11, at which it would log
    found = [inspect(tmp_path, k, 6) for k in range(buffer.logged)]
    assert [entry.add_count for entry in found] == [23, 35]
    check_sequence(tmp_path, found)


def test_a_last_buffer_that_is_partly_full_counts_from_its_beginning(kit: SimpleNamespace, tmp_path: Path) -> None:
    buffer = filled(tmp_path, kit, "." * 30, 12)
    buffer.write(buffer.added % 12)
    found = [inspect(tmp_path, k, 6) for k in range(buffer.logged)]
    assert [entry.rows for entry in found] == [11, 11, buffer.added % 12]
    check_sequence(tmp_path, found)


@pytest.mark.parametrize(
    ("add_count", "capacity", "rows"), [(0, 10, 0), (9, 10, 9), (10, 10, 10), (19, 10, 9), (25, 10, 5), (3, 10, 3)]
)
def test_rows_are_those_below_the_cursor(add_count: int, capacity: int, rows: int) -> None:
    assert rows_below_cursor(add_count, capacity) == rows


def test_the_rows_around_the_cursor_are_dopamines() -> None:
    assert invalid_range(999_999, 1_000_000) == [999_998, 999_999, 0, 1, 2]
    assert invalid_range(2_000_000, 1_000_000) == [999_999, 0, 1, 2, 3]
    assert invalid_range(25, 10, 3) == [2, 3, 4, 5, 6, 7, 8]


def test_places_and_files_are_found_and_the_rest_is_told(make_log: Callable[..., Any], tmp_path: Path) -> None:
    one, other = make_log("....", [7]), make_log("....", [7], run=12, game="Qbert")
    root = tmp_path / "data"
    for name in ("Pong/0/replay_logs", "Pong/x/replay_logs", "runs/dqn@1/abc"):
        (root / name).mkdir(parents=True)
    assert find_places(root) == [one.place, other.place]
    logs = one.place.logs
    (logs / file_name("action", 3)).write_bytes(b"")
    for name in ("episode_end_indices_ckpt.0.gz", "$store$_action_ckpt.00.gz", "add_count_ckpt.1.gz.part", ".hidden"):
        (logs / name).write_bytes(b"")
    found, others = scan(logs)
    assert found == {0: set(ELEMENTS), 3: {"action"}}
    assert others == ["$store$_action_ckpt.00.gz", "add_count_ckpt.1.gz.part", "episode_end_indices_ckpt.0.gz"]
    assert len(missing_files(found)) == 5
    with pytest.raises(UsageError, match="not a directory"):
        find_places(root / "nothing")


def rewrite(logs: Path, element: str, change: Callable[[np.ndarray], np.ndarray], suffix: int = 0) -> None:
    path = logs / file_name(element, suffix)
    with gzip.open(path) as file:
        array = np.load(file, allow_pickle=False)
    array = np.asarray(change(array))
    path.write_bytes(b"".join(deflated([header_bytes(array.dtype.str, array.shape), array.tobytes()])))


def at(row: int, value: object) -> Callable[[np.ndarray], np.ndarray]:
    def change(array: np.ndarray) -> np.ndarray:
        array[row] = value
        return array

    return change


WRONG = {
    "action too large": ("action", at(5, 6), "6 in row 5 is none of the game's 6 actions"),
    "negative action": ("action", at(5, -1), "-1 in row 5"),
    "unclipped reward": ("reward", at(4, 20), r"20.0 in row 4 is no reward clipped to \[-1, 1\]"),
    "no number": ("reward", at(4, np.nan), "nan in row 4"),
    "terminal 2": ("terminal", at(4, 2), "2 in row 4 is neither 0 nor 1"),
    "other type": ("action", lambda array: array.astype(np.int64), "of type <i8, not <i4"),
    "signed bytes": ("terminal", lambda array: array.astype(np.int8), r"of type \|i1, not \|u1"),
    "float frames": ("observation", lambda array: array.astype(np.float32), "of type <f4, not"),
    "stacked frames": ("observation", lambda array: np.stack([array] * 4, -1), r"its shape is \(20, 84, 84, 4\)"),
    "small frames": (
        "observation",
        lambda array: array[:, :80, :80],
        r"its shape is \(20, 80, 80\), not \(rows, 84, 84",
    ),
    "fewer frames": ("observation", lambda array: array[:-1], "19 rows, the checkpoint's terminal file 20"),
    "fewer actions": ("action", lambda array: array[:-1], "19 rows, the checkpoint's terminal file 20"),
    "more rewards": ("reward", lambda array: np.append(array, array[:1]), "21 rows"),
    "nearly nothing": ("terminal", lambda array: array[:3], "it claims 3 rows"),
    "a list of counts": ("add_count", lambda array: array.reshape(1), "not a single int64"),
    "a count of another type": ("add_count", lambda array: array.astype(np.int32), "not a single int64"),
    "a negative count": ("add_count", lambda array: -array, "it counts -20 rows"),
    "another count": (
        "add_count",
        lambda array: array + 1,
        "invalid_range_ckpt.0.gz .* not fit add_count, which is 21",
    ),
    "another range": ("invalid_range", at(0, 7), "does not fit add_count"),
    "a long range": ("invalid_range", lambda array: np.arange(100), "no short list of row numbers"),
    "a terminal moved": ("terminal", lambda array: np.roll(array, 1), "Row 11 of checkpoint 0 .* should be padding"),
    "frames moved": (
        "observation",
        lambda array: np.roll(array, 1, 0),
        "row 8 .* padding, but its frame is not all zero",
    ),
}


@pytest.mark.parametrize(("element", "change", "reason"), WRONG.values(), ids=WRONG)
def test_what_does_not_fit_is_named(
    make_log: Callable[..., Any], element: str, change: Callable[[np.ndarray], np.ndarray], reason: str
) -> None:
    logs = make_log("....T.........", [20]).place.logs
    rewrite(logs, element, change)
    with pytest.raises(BadData, match=reason) as caught:
        inspect(logs, 0, 6)
    assert str(logs) in caught.value.problem
    assert caught.value.remedy


def test_values_beyond_the_cursor_do_not_count(make_log: Callable[..., Any]) -> None:
    logs = make_log("....", [20]).place.logs
    for element, value in (("action", 99), ("reward", np.nan), ("terminal", 9), ("observation", 3)):
        rewrite(logs, element, at(10, value))
    assert inspect(logs, 0, 6).rows == 7


def test_files_of_other_checkpoints_are_found_out(make_log: Callable[..., Any]) -> None:
    log = make_log("...T" * 12, [25, 25, 25])
    logs = log.place.logs
    for one, other in ((0, 1), (1, 2)):
        for element in ("terminal", "action", "observation", "add_count"):
            names = [logs / file_name(element, k) for k in (one, other)]
            kept = [name.read_bytes() for name in names]
            names[0].write_bytes(kept[1])
            with pytest.raises(BadData):
                check_sequence(logs, [inspect(logs, k, 6) for k in range(3)])
            names[0].write_bytes(kept[0])


def test_checkpoints_in_the_wrong_order_or_twice_are_named(make_log: Callable[..., Any]) -> None:
    log = make_log("." * 60, [20, 20, 20])
    logs = log.place.logs
    entries = [inspect(logs, k, 6) for k in range(3)]
    check_sequence(logs, entries)

    def renamed(k: int, suffix: int) -> Checkpoint:
        return entries[k].model_copy(update={"suffix": suffix})

    with pytest.raises(BadData, match=r"add_count_ckpt.1.gz counts 20 rows, no more than that of checkpoint 0"):
        check_sequence(logs, [renamed(1, 0), renamed(0, 1), entries[2]])
    shutil.copy(logs / file_name("observation", 0), logs / file_name("observation", 1))
    with pytest.raises(BadData, match=r"observation_ckpt.1.gz is the same file as that of checkpoint 0"):
        check_sequence(logs, [inspect(logs, k, 6) for k in range(3)])


# ------------------------------------------------------------------------------------------------ ends without a mark


@pytest.mark.parametrize(
    ("blank", "terminals", "ends"),
    [
        ("000.....", [], []),  # the padding of the first episode
        ("....000.", [], [3]),
        ("...T000.", [3], []),
        ("....00..", [], []),  # a game that is black for two rows
        (".....000", [], [4]),
        (".....00.", [], []),
        ("......00", [], [5]),  # the checkpoint ends within the padding
        (".......0", [], [6]),
        ("........", [], []),
        ("...0000.", [], [2]),
        ("0.....00", [], [5]),
        ("..000.000.", [], [1, 5]),
    ],
)
def test_padding_after_a_row_that_is_not_terminal_tells_a_time_limit(
    blank: str, terminals: list[int], ends: list[int]
) -> None:
    terminal = np.zeros(len(blank), np.uint8)
    terminal[terminals] = 1
    assert unmarked_ends(np.asarray([letter == "0" for letter in blank]), terminal) == ends


@pytest.mark.parametrize("capacities", [[40], [9, 31], [12, 12, 16], [13, 27], [14, 26], [15, 25]])
def test_time_limits_are_found_on_import(make_log: Callable[..., Any], capacities: list[int]) -> None:
    log = make_log(".....X...T....X..." + "." * 22, capacities)
    for k in range(len(capacities)):
        begin = log.begin(k)
        ends = log.ends[begin : begin + log.size(k)]
        known = [row for row, end in enumerate(ends) if end == "X" and row < len(ends) - 1]
        assert list(inspect(log.place.logs, k, 6).truncated) == known


@settings(max_examples=30)
@given(
    content=st.lists(st.booleans(), min_size=1, max_size=12), piece=st.integers(500, 30_000), rows=st.integers(0, 12)
)
def test_zero_frames_are_found_in_pieces_of_any_size(content: list[bool], piece: int, rows: int) -> None:
    frames = np.zeros((len(content), 84, 84), np.uint8)
    frames[np.asarray(content), 83, 83] = 1
    zeros, data = ZeroFrames(rows), frames.tobytes()
    for begin in range(0, len(data), piece):
        zeros.take(data[begin : begin + piece])
    expected = [not there for there in content][:rows]
    assert zeros.zero.tolist() == expected + [False] * (rows - len(expected))
