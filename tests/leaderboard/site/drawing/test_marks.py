import re

import pytest

from leaderboard.site.drawing import charts
from leaderboard.site.drawing.marks import dots, marker


@pytest.mark.parametrize("shape", sorted({shape for _, shape in charts.METHODS.values()}))
def test_markers_are_closed_and_stay_around_their_place(shape):
    path = marker(shape, 10, 20, 4)
    assert re.fullmatch(r"M[-0-9.La ]+z", path)
    if "a" not in path:
        corners = [tuple(map(float, point.split())) for point in path[1:-1].split("L")]
        assert all(abs(x - 10) < 5 and abs(y - 20) < 5 for x, y in corners)


def test_dots_of_one_run_lie_on_the_line_and_many_lie_apart():
    assert dots(1, 10) == [0.0]
    many = dots(10, 10)
    assert len({round(one, 6) for one in many}) == 10
    assert all(-5 <= one <= 5 for one in many)
