"""The dense twin: same agent, network and settings; of the same submission, else the most proven; else none."""

from dataclasses import replace

import pytest

from leaderboard.board.twins import twins
from leaderboard.store.rows import StoredConfiguration, StoredRun
from suite.tasks import load_task

TASK = load_task("smoke")


def configuration(config_id, method, width=1, **more):
    settings = {"width": width}
    spec = {
        "agent": {"id": "dqn", "settings": {"n_step": 3}},
        "network": {"id": "impala", "settings": settings},
        "methods": [{"id": method, "settings": more}],
    }
    return StoredConfiguration(
        config_id, "run", TASK.key, 16_000, False, "dqn", "impala", str(width), method, spec, ()
    )  # fmt: skip


def runs(config_id, *, level="recomputed", submission=None, seeds=3, games=TASK.games, environment="env", shift=0.0):
    plain = StoredRun(
        config_id, "", 0, environment, 1, "done", 16_000, 0.0, 1, 1, 0.0, {}, "", "", {}, level=level,
        submissions=() if submission is None else (submission,),
    )  # fmt: skip
    return [
        replace(plain, game=game, seed=seed, score=10.0 + seed + shift + len(game))
        for game in games
        for seed in range(seeds)
    ]


def twin_of(name, configurations, held):
    by_id = {item.config_id: item for item in configurations}
    return twins(list(by_id), TASK, by_id, held)[name]


def test_the_twin_is_the_dense_entry_with_the_same_settings():
    configurations = [
        configuration("rigl", "rigl", sparsity=0.9),
        configuration("dense", "dense"),
        configuration("wide", "dense", width=3),
    ]
    held = [run for item in configurations for run in runs(item.config_id)]
    found = twin_of("rigl", configurations, held)
    assert (found.config_id, found.why, found.usable) == ("dense", "", True)
    assert len(found.runs) == 6
    assert set(
        twins([item.config_id for item in configurations], TASK, {c.config_id: c for c in configurations}, held)
    ) == {"rigl"}


def test_without_a_dense_entry_of_its_settings_there_is_no_twin():
    configurations = [configuration("rigl", "rigl"), configuration("wide", "dense", width=3)]
    found = twin_of("rigl", configurations, runs("rigl") + runs("wide"))
    assert (found.config_id, found.why, found.usable) == ("", "no dense twin", False)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"games": ("Pong",)}, "no dense twin: it has 1 of 2 games"),
        ({"environment": "another"}, "no dense twin: it ran in another environment"),
    ],
)
def test_a_twin_with_other_games_or_environments_is_none(changes, why):
    configurations = [configuration("rigl", "rigl"), configuration("dense", "dense")]
    found = twin_of("rigl", configurations, runs("rigl") + runs("dense", **changes))
    assert (found.why, found.usable) == (why, False)


def test_of_several_the_most_proven_is_the_twin():
    first, second = configuration("a-dense", "dense"), configuration("b-dense", "dense", version=2)
    held = runs("rigl") + runs("a-dense") + runs("b-dense", level="replayed")
    assert twin_of("rigl", [configuration("rigl", "rigl"), first, second], held).config_id == "b-dense"


def test_the_runs_of_the_same_submission_count_if_they_are_whole():
    configurations = [configuration("rigl", "rigl"), configuration("dense", "dense")]
    own, ours, theirs = runs("rigl", submission="ours"), runs("dense", submission="ours"), runs("dense", submission="x")
    theirs = [replace(run, seed=run.seed + 10) for run in theirs]
    found = twin_of("rigl", configurations, own + ours + theirs)
    assert (found.same_submission, len(found.runs)) == ("ours", 6)
    assert {run.submission for run in found.runs} == {"ours"}
    found = twin_of("rigl", configurations, own + ours[:4] + theirs)
    assert (found.same_submission, len(found.runs)) == ("", 10)
