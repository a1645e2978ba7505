"""Points over what they cost: places, the front, and round numbers on the axes."""

import itertools

import pytest

from leaderboard.board.views import Style
from leaderboard.site.drawing.scatter import Dot, front, scatter

LOOK = Style("#123456", [1, 0], "circle", 2.4)


def dots(*places, series=""):
    return [
        Dot(f"{i}", x, value, value - 0.1, value + 0.1, LOOK, series or f"{i}") for i, (x, value) in enumerate(places)
    ]


def test_the_front_holds_whom_nobody_beats_at_the_same_cost_or_less():
    found = front(dots((1, 0.5), (2, 0.4), (3, 0.9), (3, 0.8), (5, 0.9), (6, 1.0)))
    assert [(dot.x, dot.value) for dot in found] == [(1, 0.5), (3, 0.9), (6, 1.0)]


@pytest.mark.parametrize("log", [True, False])
def test_every_point_lies_within_the_axes_and_in_their_order(log):
    places = [(1_000.0, 0.2), (40_000.0, 0.9), (5e6, 0.5)]
    plot = scatter(dots(*places), log=log, steps=True)
    points = [stroke for stroke in plot.strokes if stroke.marks]
    xs = [float(stroke.line[1:].partition(" ")[0]) for stroke in points]
    assert plot.left < xs[0] <= xs[1] < xs[2] < plot.right
    ends = [float(part) for stroke in points for part in stroke.line.partition(" ")[2].split("V")]
    assert all(plot.top <= end <= plot.bottom for end in ends)
    labels = [label.at for label in plot.x_labels]
    assert 2 <= len(labels) <= 7
    assert labels == sorted(labels)
    assert all(one.at > other.at for one, other in itertools.pairwise(plot.y_labels))


def test_powers_are_evenly_apart_where_the_axis_is_one_of_powers():
    plot = scatter(dots((100.0, 0.1), (10_000.0, 0.2), (1_000_000.0, 0.3)), log=True, steps=False)
    first, second, third = (float(stroke.line[1:].partition(" ")[0]) for stroke in plot.strokes)
    assert second - first == pytest.approx(third - second, abs=0.11)
    assert [label.text for label in plot.x_labels] == ["100", "1k", "10k", "100k", "1M"]


def test_a_line_goes_through_a_series_and_steps_through_the_front():
    plot = scatter(dots((1, 0.5), (3, 0.9), (5, 0.7), series="one"), log=False, steps=True)
    faint = [stroke for stroke in plot.strokes if stroke.faint]
    assert [stroke.line.count("L") for stroke in faint] == [2, 0]
    assert faint[1].line.count("H") == 1
    alone = scatter(dots((1, 0.5), (3, 0.9)), log=False, steps=False)
    assert [stroke for stroke in alone.strokes if stroke.faint] == []


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("places", [((1.0, 0.2), (1.7e308, 0.9)), ((5e-324, 1.7e308), (1.7e308, -1.7e308))])
def test_places_as_far_apart_as_numbers_go_can_be_drawn(places, log):
    plot = scatter(dots(*places), log=log, steps=True)
    assert sum(bool(stroke.marks) for stroke in plot.strokes) == 2
    assert all("nan" not in stroke.line + stroke.marks and "inf" not in stroke.line for stroke in plot.strokes)
