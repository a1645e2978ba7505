"""Moves of a board, day by day, against places that are known."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from leaderboard.board.moves import moves, places, said
from leaderboard.board.twins import Twin
from leaderboard.store.rows import StoredRun
from suite.tasks import load_task

TASK = load_task("smoke")


def board(levels):
    """Return a task's data: by configuration, the score of both games and the day on which they ended."""
    runs = [
        StoredRun(
            config_id, game, seed, "env", 1, "done", 16_000, score, 1, 1, 0.0, {}, f"{day}T10:00:00Z", "", {}
        )
        for config_id, (score, day) in levels.items()
        for game in TASK.games
        for seed in (0, 1)
    ]  # fmt: skip
    entries = {key: SimpleNamespace(published=False, label=key.upper()) for key in levels}
    configurations = {key: SimpleNamespace(frames=TASK.budget.length) for key in levels}
    return SimpleNamespace(task=TASK, runs=runs, entries=entries, configurations=configurations)


def test_a_day_says_who_came_who_leads_and_who_moved():
    data = board({"a": (5.0, "2026-01-01"), "b": (3.0, "2026-01-02"), "c": (9.0, "2026-01-03")})
    found = moves(data, ["2026-01-03", "2026-01-02", "2026-01-01"])
    assert [(move.label, move.text) for move in found["2026-01-03"]] == [
        ("C", "new, and leads"),
        ("A", "from place 1 to 2"),
        ("B", "from place 2 to 3"),
    ]
    assert [(move.label, move.text) for move in found["2026-01-02"]] == [("B", "new, place 2")]
    assert [(move.label, move.text) for move in found["2026-01-01"]] == [("A", "new, and leads")]


def test_an_entry_has_a_place_once_it_has_every_game():
    data = board({"a": (5.0, "2026-01-01"), "b": (9.0, "2026-01-01")})
    assert places(data, data.runs) == {"b": 1, "a": 2}
    half = [run for run in data.runs if (run.config_id, run.game) != ("b", TASK.games[0])]
    assert places(data, half) == {"a": 1}
    data.runs = [replace(run, ended_at="2026-01-05T00:00:00Z") if run.config_id == "b" else run for run in data.runs]
    assert [move.text for move in moves(data, ["2026-01-05"])["2026-01-05"]] == [
        "new, and leads",
        "from place 1 to 2",
    ]


@pytest.mark.parametrize(("level", "verdict"), [(30.0, "better"), (-10.0, "worse")])
def test_a_day_tells_what_is_said_of_an_entry_against_its_dense_twin(level: float, verdict: str) -> None:
    def runs(config_id: str, score: float) -> tuple[StoredRun, ...]:
        days = ["2026-01-01"] * 2 + ["2026-01-03"] * 8
        return tuple(
            StoredRun(
                config_id, game, seed, "env", 1, "done", 16_000, score + seed % 3, 1, 1, 0.0, {}, f"{day}T10Z", "", {}
            )
            for game in TASK.games
            for seed, day in enumerate(days)
        )  # fmt: skip

    held = {"pruned": runs("pruned", level), "dense": runs("dense", 10.0)}
    data = SimpleNamespace(
        task=TASK,
        twins={"pruned": Twin("dense", held["dense"])},
        runs_of=held.__getitem__,
        entries={key: SimpleNamespace(label=key.upper()) for key in held},
    )
    order = ["pruned", "dense"] if verdict == "better" else ["dense", "pruned"]
    standings = [SimpleNamespace(entry=SimpleNamespace(config_id=key), estimate=0.0, judged=True) for key in order]
    page = SimpleNamespace(full=SimpleNamespace(standings=standings))
    found = said(page, data, ["2026-01-03", "2026-01-02", "2026-01-01"])
    assert {day: [(one.label, one.text) for one in own] for day, own in found.items()} == {
        "2026-01-03": [("PRUNED", f"{verdict} now, open before")],
        "2026-01-01": [("PRUNED", "open")],
    }
    standings[-1].judged = False  # of what nobody replayed nothing is said
    assert said(page, data, ["2026-01-03"]) == {}
