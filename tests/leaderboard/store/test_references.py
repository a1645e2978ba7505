import warnings
from collections import defaultdict

import numpy as np
import pytest

from leaderboard.statistics import metrics
from leaderboard.statistics.intervals import estimate
from leaderboard.store import references
from leaderboard.store.database import ResultStore
from leaderboard.store.models import PUBLISHED, PUBLISHED_SCORES
from suite.tasks import human_normalized, load_task

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def loaded(published_database):
    """The configurations and runs of both tasks of games, as they stand in the database."""
    with ResultStore.open(published_database) as store, store.snapshot() as snapshot:
        keys = [load_task(name).key for name in references.TASKS]
        return {key: (snapshot.configurations(key), snapshot.runs(key)) for key in keys}


def scores_of(runs):
    found = defaultdict(lambda: defaultdict(list))
    for run in runs:
        value = human_normalized(run.game, run.score)
        if value is not None:
            found[run.config_id][run.game].append(value)
    return {name: {game: np.array(values) for game, values in games.items()} for name, games in found.items()}


def test_the_published_curves_are_added_once(tmp_path):
    path = tmp_path / "results.sqlite"
    with ResultStore.open(path, create=True) as store:
        assert references.add_references(store) == 25
        before = path.read_bytes()
        assert references.add_references(store) == 0
        assert path.read_bytes() == before


def test_ten_configurations_for_each_task(loaded):
    for key, (configurations, runs) in loaded.items():
        games = load_task(key.partition("@")[0]).games
        assert len(configurations) == 10
        assert len(runs) == 10 * 5 * len(games)
        assert {run.game for run in runs} == set(games)
        assert all(max(run.iterations) == 39 and run.score == run.iterations[39] for run in runs)
        for item in configurations:
            assert item.source == PUBLISHED
            assert item.published
            assert set(references.CAVEATS) <= set(item.caveats)
            assert (references.IMPALA_CAVEAT in item.caveats) == (item.network == "impala")
            assert (references.RAINBOW_CAVEAT in item.caveats) == (item.agent == "Rainbow")


@pytest.mark.parametrize(
    ("agent", "network", "iqm15", "iqm55"),
    [
        ("dqn", "nature_cnn", 1.68, 0.74),
        ("dqn", "impala", 2.84, 1.12),
        ("rainbow", "nature_cnn", 1.94, 1.22),
        ("rainbow", "impala", 3.23, 1.84),
        ("iqn", "nature_cnn", 2.62, 1.41),
        ("iqn", "impala", 5.05, 2.22),
        ("c51", "nature_cnn", 1.98, 0.65),
        ("c51", "impala", 3.66, 1.19),
        ("qr-dqn", "nature_cnn", 1.50, 0.88),
        ("qr-dqn", "impala", 1.94, 1.08),
    ],
)
def test_the_known_iqms_come_out(loaded, agent, network, iqm15, iqm55):
    for key, count, known in (("atari40m@1", 15, iqm15), ("atari60@1", 55, iqm55)):
        scores = scores_of(loaded[key][1])[f"dopamine.{agent}.{network}.{key}"]
        assert len(scores) == count
        assert round(metrics.iqm_rliable(scores), 2) == known


def test_the_hundred_runs_of_atari_100k_stand_beside_its_board(published_database):
    with ResultStore.open(published_database) as store, store.snapshot() as snapshot:
        configurations, runs = snapshot.configurations("atari100k@1"), snapshot.runs("atari100k@1")
        assert snapshot.configurations("atari100k-extended@2") == []
    assert all(item.published and item.source == PUBLISHED_SCORES for item in configurations)
    assert all("arXiv 2108.13264" in item.caveats[0] and "502ec52" in item.caveats[0] for item in configurations)
    assert len(runs) == 4 * 26 * 100
    assert {run.game for run in runs} == set(load_task("atari100k").games)
    assert {run.level for run in runs} == {"published"}
    known = {"der": 0.183, "drq_eps": 0.280, "drq": 0.224, "spr": 0.337}  # as the file's source says
    found = {name: round(metrics.iqm(scores), 3) for name, scores in scores_of(runs).items()}
    assert found == {f"agarwal.{name}.atari100k@1": value for name, value in known.items()}


def test_dopamines_sac_stands_beside_mujoco_and_says_that_it_is_v2(published_database):
    with ResultStore.open(published_database) as store, store.snapshot() as snapshot:
        (item,), runs = snapshot.configurations("mujoco@1"), snapshot.runs("mujoco@1")
        assert snapshot.configurations("mujoco-v5@1") == []
    assert any("v2" in caveat for caveat in item.caveats)
    assert len(runs) == 5 * 5
    # protocol: means over 5 runs of the last 20,000 steps before a million (../mujoco/data of google/dopamine)
    known = {"Ant": 4889, "HalfCheetah": 11041, "Hopper": 2652, "Humanoid": 4620, "Walker2d": 4826}
    for game, value in known.items():
        own = [run for run in runs if run.game == game]
        assert np.mean([run.iterations[index] for run in own for index in (98, 99)]) == pytest.approx(value, rel=0.02)
        assert np.mean([run.score for run in own]) == pytest.approx(value, rel=0.2)  # of 100,000 steps


def test_intervals_are_close_to_rliables(loaded):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rliable import library, metrics
    for name in ("dopamine.dqn.impala.atari40m@1", "dopamine.iqn.nature_cnn.atari40m@1"):
        scores = scores_of(loaded["atari40m@1"][1])[name]
        matrix = np.stack([scores[game] for game in sorted(scores)], axis=1)
        state = np.random.get_state()
        np.random.seed(0)  # rliable draws from the global generator, whatever it is given
        try:
            _, ends = library.get_interval_estimates(
                {"x": matrix}, lambda x: np.array([metrics.aggregate_iqm(x)]), reps=2000
            )
        finally:
            np.random.set_state(state)
        ours = estimate("iqm_rliable", scores)
        width = float(ends["x"][1, 0] - ends["x"][0, 0])
        assert ours.percentile_low == pytest.approx(float(ends["x"][0, 0]), abs=0.08 * width)
        assert ours.percentile_high == pytest.approx(float(ends["x"][1, 0]), abs=0.08 * width)
