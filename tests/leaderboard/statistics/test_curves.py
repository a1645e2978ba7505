from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from leaderboard.statistics import curves, metrics
from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.intervals import Estimate
from leaderboard.store import references
from suite.tasks import human_normalized, load_task

FEW = replace(STATISTICS_POLICY, name="few", curve_repetitions=500)


def some_curves(runs=3, points=4, seed=5):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(i, 1, size=(runs, points)) for i, name in enumerate("abcde")}


@pytest.fixture(scope="module")
def published():
    """Dopamine's curves of 40M frames on 15 games: (agent, network) to game to [runs, points]."""
    found = defaultdict(dict)
    games = load_task("atari40m").games
    for (agent, network, game), runs in references._curves().items():
        if game in games and network in references.NETWORKS:
            rows = [[human_normalized(game, value) for i, value in sorted(run) if i < 40] for run in runs.values()]
            found[agent, network][game] = np.array(rows)
    return found


def test_a_curve_is_its_points():
    scores = some_curves()
    points = curves.iqm_curve(scores)
    finals = [metrics.iqm({name: values[:, p] for name, values in scores.items()}) for p in range(4)]
    assert [point.value for point in points] == finals
    assert all(point.low < point.value < point.high for point in points)


def test_a_curve_of_one_run_each_has_no_interval():
    points = curves.iqm_curve(some_curves(runs=1))
    assert all(point.low is None and point.percentile_low is None for point in points)


def test_curves_do_not_depend_on_any_order():
    scores = some_curves()
    turned = {name: values[::-1] for name, values in reversed(scores.items())}
    assert curves.iqm_curve(scores, FEW) == curves.iqm_curve(turned, FEW)
    assert curves.area_under_curve(scores, policy=FEW) == curves.area_under_curve(turned, policy=FEW)
    other = some_curves(seed=6)
    assert curves.area_between(scores, other, policy=FEW) == curves.area_between(turned, other, policy=FEW)


def test_an_area_is_the_mean_height_by_trapezes():
    scores = some_curves()
    heights = [point.value for point in curves.iqm_curve(scores, FEW)]
    places = [0.0, 1.0, 3.0, 10.0]
    found = curves.area_under_curve(scores, places, FEW)
    assert found.value == pytest.approx(np.trapezoid(heights, places) / 10)
    assert found.low < found.value < found.high


def test_an_area_of_curves_that_do_not_change_is_a_final_score():
    """All points alike: the area's interval is that of the score, of other draws."""
    scores = {name: np.repeat(values[:, :1], 6, axis=1) for name, values in some_curves(runs=5).items()}
    area = curves.area_under_curve(scores)
    point = curves.iqm_curve(scores)[0]
    assert area.value == pytest.approx(point.value)
    assert area.high - area.low == pytest.approx(point.high - point.low, rel=0.1)


def test_points_that_lack_a_run_are_left_out_of_areas():
    scores = some_curves(points=5)
    holed = {name: values.copy() for name, values in scores.items()}
    holed["c"][1, 2] = np.nan
    kept = {name: np.delete(values, 2, axis=1) for name, values in scores.items()}
    places = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert curves.complete_points(holed).tolist() == [True, True, False, True, True]
    assert curves.area_under_curve(holed, places, FEW) == curves.area_under_curve(kept, [0.0, 1.0, 3.0, 4.0], FEW)
    both = curves.area_between(scores, holed, places, FEW)
    assert both == curves.area_between(kept, kept, [0.0, 1.0, 3.0, 4.0], FEW)
    with pytest.raises(ValueError, match="finite"):
        curves.iqm_curve(holed, FEW)


def test_areas_refuse_what_they_cannot_place():
    with pytest.raises(ValueError, match="rising positions"):
        curves.area_under_curve(some_curves(), [0.0, 2.0, 1.0, 3.0])
    with pytest.raises(ValueError, match="no point"):
        curves.area_under_curve({"a": np.full((2, 3), np.nan)})


def test_the_area_between_is_the_difference_of_areas(published):
    ours, theirs = published["IQN", "impala"], published["DQN", "impala"]
    found, turned = (curves.area_between(*pair, policy=FEW) for pair in ((ours, theirs), (theirs, ours)))
    areas = [curves.area_under_curve(side, policy=FEW) for side in (ours, theirs)]
    assert found.value == pytest.approx(areas[0].value - areas[1].value)
    assert (found.low, found.high) == pytest.approx((-turned.high, -turned.low))
    halves = [(area.percentile_high - area.percentile_low) / 2 for area in areas]
    assert found.percentile_high - found.percentile_low == pytest.approx(2 * np.hypot(*halves), rel=0.15)
    same = curves.area_between(ours, ours, policy=FEW)
    assert same.low < same.value == 0 < same.high


def test_resampling_every_point_by_itself_makes_areas_look_certain(published):
    """On published curves the error of the area is several times what independent resamples of the points say."""
    ratios = []
    for entry in published.values():
        area = curves.area_under_curve(entry, policy=FEW)
        shared = (area.percentile_high - area.percentile_low) / (2 * 1.96)
        points = curves.iqm_curve(entry, FEW)
        apart = [(point.percentile_high - point.percentile_low) / (2 * 1.96) for point in points]
        counts = np.full(40, 1 / 39)
        counts[[0, -1]] /= 2
        ratios.append(shared / np.sqrt(np.sum((counts * apart) ** 2)))
    assert min(ratios) > 2
    assert np.mean(ratios) > 3


def test_runs_keep_their_number_over_time_in_the_published_curves(published):
    """Their source does not promise it; without it no area could have an interval."""
    neighbours = []
    for entry in published.values():
        for values in entry.values():
            centered = values - values.mean(axis=0)
            scaled = centered / centered.std(axis=0)
            neighbours.append(np.mean(scaled[:, 1:] * scaled[:, :-1]))
    assert 0.4 < np.mean(neighbours) < 0.7


def test_one_point_is_an_area_too():
    found = curves.area_under_curve(some_curves(points=1), policy=FEW)
    assert isinstance(found, Estimate)
    assert found.value == curves.iqm_curve(some_curves(points=1), FEW)[0].value


def test_many_areas_at_once_are_those_of_each_pair_alone():
    entries = {name: some_curves(seed=seed) for name, seed in (("a", 1), ("b", 2), ("twin", 1))}
    entries["c"] = {game: values.copy() for game, values in some_curves(seed=3).items()}
    entries["c"]["a"][0, 1] = np.nan
    pairs = [("a", "b"), ("a", "c"), ("b", "c"), ("a", "twin"), ("b", "a")]
    found = curves.areas_between(entries, pairs, [1, 2, 4, 5], FEW)
    assert found == {(a, b): curves.area_between(entries[a], entries[b], [1, 2, 4, 5], FEW) for a, b in pairs}
    assert found["a", "b"].value == pytest.approx(-found["b", "a"].value)
    assert found["a", "twin"].low < 0 < found["a", "twin"].high
