"""The axis of differences: it holds what is drawn, and its labels can be read."""

from hypothesis import example, given
from hypothesis import strategies as st

from leaderboard.site.drawing.spans import axis
from leaderboard.statistics.intervals import Estimate

LETTER = 6.9
"""Pixels of a letter at most, at 11 px; the axis of the forests is 300 wide, and its outer labels end with it."""


@example(-0.016, 0.042, 0.042)
@given(st.floats(-3, 3), st.floats(0.01, 3), st.floats(0.01, 3))
def test_labels_of_an_axis_do_not_touch(value: float, below: float, above: float) -> None:
    place, ticks = axis([Estimate(value, value - below, value + above)])
    reach = 0.0
    for tick in ticks:
        width, middle = LETTER * len(tick.label), 3 * tick.position
        start = middle if tick.position < 5 else middle - width if tick.position > 95 else middle - width / 2
        assert start >= reach - 1e-9
        reach = start + width
    assert 0 <= place(value - below) < place(value + above) <= 100
