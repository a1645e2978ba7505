import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.statistics.trimming import Rows, sums

game = st.tuples(
    st.lists(st.sampled_from([-1.5, -1.0, 0.0, 0.25, 2.0]), min_size=1, max_size=5),
    st.sampled_from([-100.0, -3.0, 0.0, 0.0, 3.0, 100.0]),
)


def drawn(sizes, source):
    """Counts of one resample: as many draws of each game as it has rows."""
    return np.concatenate([np.bincount(source.integers(size, size=size), minlength=size) for size in sizes])


def by_hand(values, sizes, counts, trim):
    """The mean of the middle, and the variances of a game's winsorized runs over what is kept, run by run."""
    games = np.repeat(np.arange(len(sizes)), sizes)
    runs = [
        (values[i], 1 / sizes[games[i]], games[i]) for i in np.argsort(values, kind="stable") for _ in range(counts[i])
    ]
    ends = np.cumsum([weight for _, weight, _ in runs])
    low, high = trim * len(sizes), (1 - trim) * len(sizes)
    kept = [max(0.0, min(end, high) - max(end - run[1], low)) for end, run in zip(ends, runs, strict=True)]
    mean = sum(part * run[0] for part, run in zip(kept, runs, strict=True)) / (high - low)
    inside = [run[0] for part, run in zip(kept, runs, strict=True) if part > 1e-9]
    clipped = [(min(max(value, inside[0]), inside[-1]), number) for value, _, number in runs]
    parts = [[value for value, number in clipped if number == g] for g in range(len(sizes))]
    scale = (1 - 2 * trim) * len(sizes)
    return mean, [np.var(part, ddof=1) / scale**2 if len(part) > 1 else 0.0 for part in parts]


@given(st.lists(game, min_size=2, max_size=8), st.sampled_from([0.0, 0.25]), st.integers(0, 99))
@settings(max_examples=80)
def test_games_that_are_cut_kept_whole_or_left_out_count_as_if_every_run_were_gone_through(games, trim, seed):
    sizes = tuple(len(values) for values, _ in games)
    values = np.concatenate([np.array(block) + shift for block, shift in games])
    per_draw = np.repeat([1 / size for size in sizes], sizes)
    rows = Rows(values[:, None], sizes, sizes, per_draw, (trim * len(sizes), (1 - trim) * len(sizes)))
    source = np.random.default_rng(seed)
    counts = np.stack([drawn(sizes, source) for _ in range(5)], axis=1)
    means, _, variances = sums(rows, None, counts.astype(np.float64))
    alone = sums(rows, np.ones(1), counts.astype(np.float64))
    if max(sizes) > 1:
        assert alone[0] == pytest.approx(means)
        assert alone[2] == pytest.approx(variances, abs=1e-12)
    for column in range(5):
        mean, expected = by_hand(values, sizes, counts[:, column], trim)
        assert means[0, column] == pytest.approx(mean, abs=1e-9)
        assert variances[0, :, column] == pytest.approx(expected, abs=1e-9)


def test_what_is_gone_through_is_what_the_trim_can_cut():
    """Eight games far apart, three runs each: two lie below, two above, and the third and the sixth end at the trim."""
    values = np.repeat(np.arange(8.0), 3) * 100 + np.tile([0.0, 1, 2], 8)
    point = Rows(values[:, None], (3,) * 8, (3,) * 8, np.ones(24), (6.0, 18.0)).points[0]
    assert point.base == 6
    assert point.cut.numbers.tolist() == [2, 5]
    assert point.whole.numbers.tolist() == [3, 4]
    assert (point.block, point.weight, point.values[3]) == (3, 6, 350)
    assert point.whole.values[:, 0].tolist() == [1, 2, 1, 2]
