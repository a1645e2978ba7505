"""The replay stores each frame once and never lets a window reach where it must not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.errors import SuiteError
from suite.experience.replay.frames import FrameReplay, HostFrames

STACK = 4


def filled(ends: str, capacity: int) -> FrameReplay:
    """Fill a ring: `.` goes on, `T` terminates, `X` is truncated; frame t holds t + 1, the reward is t."""
    replay = FrameReplay(capacity, STACK, HostFrames(capacity, (1, 1)))
    for t, end in enumerate(ends):
        frame = np.full((1, 1), t + 1, np.uint8)
        replay.add(frame, t % 3, float(t), terminal=end == "T", truncated=end == "X")
    return replay


def stacks(replay: FrameReplay, index: int, n_step: int) -> tuple[list[int], list[int]]:
    frames = replay.gather(np.asarray([index]), n_step, 0.99).frames[0, :, 0, 0].tolist()
    return frames[:STACK], frames[-STACK:]


def test_stacks_hold_zero_before_an_episode_begins() -> None:
    replay = filled("..T....", 20)
    assert stacks(replay, 0, 1) == ([0, 0, 0, 1], [0, 0, 1, 2])
    assert stacks(replay, 1, 1) == ([0, 0, 1, 2], [0, 1, 2, 3])
    assert stacks(replay, 3, 1) == ([0, 0, 0, 4], [0, 0, 4, 5])
    assert stacks(replay, 5, 1) == ([0, 4, 5, 6], [4, 5, 6, 7])


def test_a_terminal_ends_the_return_and_the_bootstrap() -> None:
    replay = filled("..T.....", 20)
    one = replay.gather(np.asarray([1, 2, 3]), 1, 0.99)
    np.testing.assert_allclose(one.discount_t, [0.99, 0.0, 0.99], rtol=1e-6)
    np.testing.assert_allclose(one.r_t, [1, 2, 3])
    three = replay.gather(np.asarray([1, 3]), 3, 0.5)
    np.testing.assert_allclose(three.r_t, [1 + 0.5 * 2, 3 + 0.5 * 4 + 0.25 * 5])
    np.testing.assert_allclose(three.discount_t, [0, 0.125])
    assert one.a_tm1.tolist() == [1, 2, 0]


def test_the_range_leaves_out_the_newest_and_the_half_overwritten() -> None:
    assert filled("." * 5, 10).valid_range(1) == (0, 4)
    assert filled("." * 10, 10).valid_range(1) == (0, 9)
    assert filled("." * 11, 10).valid_range(1) == (4, 10)
    assert filled("." * 23, 10).valid_range(3) == (16, 20)
    assert stacks(filled("." * 23, 10), 16, 1) == ([14, 15, 16, 17], [15, 16, 17, 18])


def test_windows_across_a_truncation_are_redrawn_and_across_a_terminal_are_not() -> None:
    replay = filled("...X......T....", 30)
    draws = iter([np.asarray([0.25, 0.75]), np.asarray([0.5, 0.0])])  # indices 3 and 10 of [0, 14); then 7
    indices = replay.sample_indices(1, lambda redraw: next(draws))
    assert indices.tolist() == [7, 10]
    with pytest.raises(SuiteError, match="almost nothing but truncated"):
        filled("XXXX", 10).sample_indices(1, lambda redraw: np.zeros(2))
    with pytest.raises(SuiteError, match="too few"):
        filled(".", 10).sample_indices(1, lambda redraw: np.zeros(2))


@settings(max_examples=60)
@given(
    ends=st.text(alphabet="....TX", min_size=8, max_size=60),
    capacity=st.integers(8, 40),
    n_step=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_any_sampled_window_equals_the_history(ends: str, capacity: int, n_step: int, seed: int) -> None:
    replay = filled(ends, capacity)
    rng = np.random.default_rng(seed)
    try:
        indices = replay.sample_indices(n_step, lambda redraw: rng.random(16))
    except SuiteError:
        return
    windows = replay.gather(indices, n_step, 0.9)
    for row, t in enumerate(indices.tolist()):
        begin = max((i + 1 for i in range(t) if ends[i] in "TX"), default=0)
        history = [i + 1 if i >= begin else 0 for i in range(t - STACK + 1, t + 1)]
        assert windows.frames[row, :STACK, 0, 0].tolist() == history
        window = ends[t : t + n_step]
        first_end = next((k for k, end in enumerate(window) if end in "TX"), None)
        assert first_end is None or window[first_end] == "T"
        steps = range(n_step if first_end is None else first_end + 1)
        assert windows.r_t[row] == pytest.approx(sum(0.9**k * (t + k) for k in steps), rel=1e-6)
        assert windows.discount_t[row] == pytest.approx(0.9**n_step if first_end is None else 0.0)
        if first_end is None:
            after = [i + 1 if i >= begin else 0 for i in range(t + n_step - STACK + 1, t + n_step + 1)]
            assert windows.frames[row, -STACK:, 0, 0].tolist() == after
        assert t + n_step < len(ends)
        assert t - STACK + 1 >= len(ends) - capacity or len(ends) <= capacity


def test_samples_are_uniform_over_the_range() -> None:
    replay = filled("." * 21, 40)
    rng = np.random.default_rng(0)
    counts = np.bincount(replay.sample_indices(1, lambda redraw: rng.random(20_000)), minlength=20)
    assert len(counts) == 20
    assert np.abs(counts / 1000 - 1).max() < 0.12
