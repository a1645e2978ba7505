"""What the overview opens on: the pair with the most cells in common, over the games that both have."""

import pytest

from leaderboard.board import report
from leaderboard.board.opening import opening
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest

GAMES = ("CartPole", "Acrobot")


@pytest.fixture
def opened(tmp_path, run_maker, spec_maker):
    """Ingest runs of `classic`, given by methods, games and seeds; return what the overview opens on."""

    def build(*runs, replayed=True):
        for methods, games, seeds in runs:
            spec = spec_maker("classic", methods=methods)
            for game in games:
                for seed in seeds:
                    run_maker(tmp_path / "runs", spec, game, seed, level=1.0 + 0.1 * len(methods[0]))
        for proof in () if replayed else tmp_path.rglob("verified.json"):
            proof.unlink()
        db = tmp_path / "results.sqlite"
        ingest([tmp_path / "runs"], db, references=False)
        with ResultStore.open(db) as store, store.snapshot() as snapshot:
            return opening(report.read(snapshot))

    return build


def test_a_pair_is_compared_over_the_games_that_both_have(opened):
    found = opened((("dense",), (*GAMES, "MountainCar"), range(3)), (("magnitude_pruning",), GAMES, range(3)))
    assert (found.duel.a.method, found.duel.b.method, found.games) == ("magnitude pruning", "dense", GAMES)
    assert found.duel.comparison.left_out == ()
    assert found.duel.comparison.seeds == (3, 3)
    assert found.duel.comparison.difference.low < found.duel.comparison.difference.high
    first, last = (found.curves[found.duel.a.config_id].points[place].estimate.value for place in (0, -1))
    assert first < last
    assert found.duel.comparison.a > found.duel.comparison.b


def test_the_pair_with_the_most_cells_in_common_is_shown_and_pruning_among_equals(opened):
    dense = (("dense",), GAMES, (0, 1, 2))
    equals = ("l2_init", "magnitude_pruning", "redo", "reset", "rigl", "set", "static_sparse", "weight_decay")
    assert opened(dense, *(((name,), GAMES, (0, 1)) for name in equals)).duel.a.method == "magnitude pruning"
    assert opened((("redo",), GAMES, (2,))).duel.a.method == "ReDo"


def test_without_a_plain_self_nothing_is_shown(opened):
    assert opened((("magnitude_pruning",), GAMES, (0, 1))) is None


def test_no_verdict_is_given_on_what_was_not_replayed(opened):
    runs = (("dense",), GAMES, range(3)), (("magnitude_pruning",), GAMES, range(3))
    assert opened(*runs, replayed=False).unjudged.startswith("12 of 12 runs were not replayed")


def test_no_verdict_is_given_where_seeds_were_picked(opened):
    assert opened((("dense",), GAMES, range(4)), (("magnitude_pruning",), GAMES, range(3))).unjudged == ""
    found = opened((("redo",), GAMES, (1, 3, 4, 5, 6)), (("dense",), GAMES, range(7)))
    assert (found.duel.a.method, found.unjudged) == ("magnitude pruning", "")  # what may be judged comes first


def test_of_picked_seeds_alone_it_says_so(opened):
    found = opened((("dense",), GAMES, range(4)), (("redo",), GAMES, (1, 3)))
    assert found.unjudged == "without seeds 0, 2 of some game, with later ones"
