"""Every store gives back each frame to the bit, at any point of the ring's rounds."""

import jax
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.experience.envs.atari import AtariEnvs
from suite.experience.replay.compressed import CompressedFrames
from suite.experience.replay.device import STAGED, DeviceFrames, _write_and_take
from suite.experience.replay.frames import CACHE_LINE, FrameStore, HostFrames, Recycled
from suite.tasks import GAMES, load_task

SHAPE = (6, 5)


def pictures(count: int, shape: tuple[int, int], seed: int) -> np.ndarray:
    """Return frames [count, h, w] from flat (compresses well) to noise (grows)."""
    rng = np.random.default_rng(seed)
    frames = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    frames[::3] = frames[::3, :1, :1]
    frames[1::3, 2:] = 0
    return frames


def windows_of(store: FrameStore, slots: np.ndarray) -> np.ndarray:
    """Take windows of which nothing is missing."""
    taken: np.ndarray = store.take(slots, np.zeros((len(slots), 0), np.bool_))
    return taken


def played(name: str, steps: int) -> np.ndarray:
    game = GAMES[name]
    envs = AtariEnvs(game, load_task("atari40m").atari)
    rng = np.random.default_rng(0)
    frames = [envs.reset([1])[0].copy()]
    try:
        while len(frames) < steps:
            step = envs.step(rng.integers(game.actions, size=1))
            over = step.discount[0] == 0 or step.truncated[0]
            frames.append((envs.reset([len(frames)]) if over else step.observation)[0].copy())
    finally:
        envs.close()
    return np.stack(frames)


@settings(max_examples=60)
@given(
    capacity=st.integers(1, 30),
    segment=st.integers(1, 12),
    first=st.integers(0, 60),
    puts=st.integers(0, 90),
    seed=st.integers(0, 9),
)
def test_stores_equal_a_list_of_frames_at_every_step(
    capacity: int, segment: int, first: int, puts: int, seed: int
) -> None:
    frames = pictures(puts, SHAPE, seed)
    stores: list[FrameStore] = [HostFrames(capacity, SHAPE), CompressedFrames(capacity, SHAPE, segment)]
    ring = [np.zeros(SHAPE, np.uint8)] * capacity
    everything = np.arange(capacity)[None]
    for t, frame in enumerate(frames, first):
        ring[t % capacity] = frame
        for store in stores:
            store.put(t % capacity, frame)
        if t % 3 == 0:
            for store in stores:
                np.testing.assert_array_equal(windows_of(store, everything)[0], ring)
    for store in stores:
        np.testing.assert_array_equal(windows_of(store, everything)[0], ring)


@pytest.mark.parametrize("name", ["Pong", "UpNDown"])
def test_stores_are_equal_on_real_frames(name: str) -> None:
    frames = played(name, 500)
    host, compressed = HostFrames(180, (84, 84)), CompressedFrames(180, (84, 84), 64)
    for t, frame in enumerate(frames):
        host.put(t % 180, frame)
        compressed.put(t % 180, frame)
    windows = (np.random.default_rng(0).integers(320, 500, (50, 1)) + np.arange(-3, 2)) % 180
    taken = windows_of(compressed, windows)
    assert taken.shape == (50, 5, 84, 84)
    np.testing.assert_array_equal(taken, windows_of(host, windows))
    np.testing.assert_array_equal(taken[:, :4], frames[320:][(windows[:, :4] - 320 % 180) % 180])
    assert compressed.nbytes() < 0.6 * host.nbytes()


@settings(max_examples=30)
@given(order=st.permutations(range(20)), segment=st.integers(1, 12), more=st.integers(0, 40))
def test_a_ring_rebuilt_in_any_order_goes_on(order: list[int], segment: int, more: int) -> None:
    frames = pictures(20 + more, SHAPE, 1)
    store, ring = CompressedFrames(20, SHAPE, segment), np.zeros((20, *SHAPE), np.uint8)
    for t in [*order, *range(20, 20 + more)]:
        store.put(t % 20, frames[t])
        ring[t % 20] = frames[t]
        np.testing.assert_array_equal(windows_of(store, np.arange(20)[None])[0], ring)
    for t in range(20):  # a round in order leaves each block once and no spare room
        store.put(t, frames[t])
    assert all(isinstance(arena, bytes) for arena in store._arenas)
    assert sum(map(len, store._arenas)) == store._lengths.sum()


def test_a_frame_may_be_a_view_and_what_is_taken_is_fresh() -> None:
    frames = pictures(4, SHAPE, 0)
    stores: list[FrameStore] = [HostFrames(4, SHAPE), CompressedFrames(4, SHAPE, 2)]
    for store in stores:
        for slot, frame in enumerate(np.asfortranarray(frames)):
            store.put(slot, frame)
        slots = np.asarray([[0, 1], [0, 3]])
        taken = windows_of(store, slots)
        assert taken.flags.writeable
        taken[:] = 7
        np.testing.assert_array_equal(windows_of(store, slots), frames[slots])


def test_memory_is_the_blocks_and_little_more() -> None:
    host, empty = HostFrames(1000, (84, 84)), CompressedFrames(1000, (84, 84), 50)
    assert host.nbytes() == 0
    assert empty.nbytes() < 10_000
    host.put(0, np.zeros((84, 84), np.uint8))
    assert host.nbytes() == 84 * 84

    rng = np.random.default_rng(0)
    frame = np.zeros((84, 84), np.uint8)
    frame[:12] = rng.integers(0, 256, (12, 84))
    held = []
    for t in range(3000):
        frame[20, 20] = t % 256
        empty.put(t % 1000, frame)
        held.append(empty.nbytes())
    blocks = int(empty._lengths.sum(dtype=np.int64))
    assert 1_000_000 < blocks < 1_300_000
    assert held[999] - blocks < 6 * 1000 + 50 * 20  # two index arrays, and one object for each of 20 segments
    assert max(held) - held[999] < 1.3 * blocks / 20
    assert held[999] == held[1999] == held[2999]


@settings(max_examples=30)
@given(slots=st.lists(st.integers(0, 11), max_size=60), looks=st.sets(st.integers(0, 60)))
def test_frames_on_the_device_equal_those_on_the_host(slots: list[int], looks: set[int]) -> None:
    host, device = HostFrames(12, SHAPE), DeviceFrames(12, SHAPE)
    wanted = np.arange(12).reshape(3, 4)
    for count, (slot, frame) in enumerate(zip(slots, pictures(len(slots), SHAPE, 0), strict=True)):
        host.put(slot, frame)
        device.put(slot, frame)
        if count in looks:
            np.testing.assert_array_equal(windows_of(device, wanted), windows_of(host, wanted))
    np.testing.assert_array_equal(windows_of(device, wanted), windows_of(host, wanted))


@given(data=st.data(), size=st.integers(1, 4), depth=st.integers(0, 4))
def test_zeros_stand_where_a_window_has_no_frames(data: st.DataObject, size: int, depth: int) -> None:
    frames = pictures(6, SHAPE, 2)
    stores: list[FrameStore] = [HostFrames(6, SHAPE), CompressedFrames(6, SHAPE, 4), DeviceFrames(6, SHAPE)]
    slots = np.asarray(
        data.draw(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=size, max_size=size))
    )
    flags = st.lists(st.booleans(), min_size=depth, max_size=depth)
    missing = np.asarray(data.draw(st.lists(flags, min_size=size, max_size=size)), np.bool_).reshape(size, depth)
    expected = frames[slots]
    for row, place in zip(*np.nonzero(missing), strict=True):
        expected[row, place] = 0
    for store in stores:
        for slot, frame in enumerate(frames):
            store.put(slot, frame)
        np.testing.assert_array_equal(store.take(slots, missing), expected)
        np.testing.assert_array_equal(windows_of(store, slots), frames[slots])  # what is stored stays as it was


def test_on_the_device_the_ring_is_written_where_it_is() -> None:
    ring = DeviceFrames(1000, (84, 84))
    new, slots, missing = np.zeros((STAGED, 84, 84), np.uint8), np.zeros((2, 4), np.int32), np.zeros((2, 3), np.bool_)
    program = _write_and_take.lower(ring._frames, np.zeros(STAGED, np.int32), new, slots, missing)
    planned = program.compile().memory_analysis()
    assert planned.alias_size_in_bytes == ring.nbytes()
    assert planned.temp_size_in_bytes < ring.nbytes() / 100


@settings(max_examples=100)
@given(takes=st.lists(st.tuples(st.integers(1, 4), st.sampled_from(("keep", "view", "to jax", "drop"))), max_size=12))
def test_what_was_taken_stays_as_it_was_for_as_long_as_anybody_holds_it(takes: list[tuple[int, str]]) -> None:
    frames = pictures(7, SHAPE, 0)
    stores: list[FrameStore] = [HostFrames(7, SHAPE), CompressedFrames(7, SHAPE, 3)]
    for store in stores:
        for slot, frame in enumerate(frames):
            store.put(slot, frame)
        held = []
        for number, (count, fate) in enumerate(takes):
            slots = (np.arange(2 * count).reshape(count, 2) + number) % 7
            taken = windows_of(store, slots)
            if fate == "keep":
                held.append((taken, frames[slots]))
            elif fate == "view":
                held.append((taken[-1, 1], frames[slots[-1, 1]]))
            elif fate == "to jax":
                held.append((jax.device_put(taken), frames[slots]))
            del taken
        for kept, expected in held:
            np.testing.assert_array_equal(kept, expected)


def test_memory_that_nobody_holds_is_given_out_again_and_lies_where_jax_reads_it() -> None:
    recycled = Recycled()
    first, second = recycled.array((3, 5)), recycled.array((3, 5))
    places = [array.ctypes.data for array in (first, second)]
    assert places[0] != places[1]
    del first
    assert recycled.array((3, 5)).ctypes.data == places[0]
    third = recycled.array((2, 5))
    assert third.shape == (2, 5)
    assert all(place % CACHE_LINE == 0 for place in (*places, third.ctypes.data))
