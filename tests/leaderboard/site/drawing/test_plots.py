"""Lines over training: whatever finite numbers a run recorded, the axes hold them, and gaps where there is none."""

import math

import pytest

from leaderboard.board.views import Entry
from leaderboard.site.drawing.charts import Point
from leaderboard.site.drawing.panels import mean_line
from leaderboard.site.drawing.plots import Trace, plot
from leaderboard.store.details import RunDiagnostics, Series

LARGE = 1.7e308


@pytest.mark.parametrize(
    "values",
    [
        (LARGE, LARGE),
        (-LARGE, LARGE),
        (0.0, LARGE),
        (5e-324, 5e-324),
        (0.0, 5e-324),
        (-5e-324, 1.0),
        (1.0, math.nextafter(1.0, 2.0)),
        (-3e37, math.nextafter(-3e37, 0.0)),
        (math.nextafter(2.0, 0.0), 2.0),
        (1e30, -1e-30),
    ],
)
def test_whatever_is_recorded_can_be_drawn(values):
    drawn = plot([Trace(tuple(Point(float(at), value) for at, value in enumerate(values, start=1)))])
    (stroke,) = drawn.strokes
    heights = [float(part.split(" ")[1]) for part in stroke.line[1:].split("L")]
    assert len(heights) == len(values)
    assert all(drawn.top - 1 <= height <= drawn.bottom + 1 for height in heights)
    places = [label.at for label in drawn.y_labels]
    assert 2 <= len(places) <= 12
    assert all(math.isfinite(place) for place in places)
    assert all(len(label.text) < 25 for label in drawn.y_labels)


def test_what_is_no_number_is_a_gap():
    points = tuple(Point(float(at), value) for at, value in enumerate((1.0, math.inf, 3.0, math.nan), start=1))
    assert plot([Trace(points)]).strokes[0].line.count("M") == 2
    assert plot([Trace(points[1:2])]) is None


def test_means_of_the_largest_numbers_are_numbers():
    entry = Entry("0" * 16, "DQN", "CNN", "dense", ("dense",), "DQN", False, (), (), "")
    runs = [RunDiagnostics("0" * 16, "Pong", seed, "", {"loss": Series((1, 2, 90), (LARGE,) * 3)}) for seed in (0, 1)]
    points = mean_line(entry, runs, "loss", 100, 10).points
    assert [(point.x, math.isfinite(point.value)) for point in points] == [(10.0, True), (90.0, True)]
