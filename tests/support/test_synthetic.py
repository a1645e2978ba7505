"""Synthetic runs are runs: the suite reads them, and what they claim holds."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from leaderboard.bundles.check import check_bundle
from leaderboard.bundles.pack import pack
from leaderboard.store.ingest import ingest
from suite.errors import UsageError
from suite.records import claims, record
from suite.records.find import find_runs
from suite.running.request import Request, resolve
from suite.tasks import load_task
from tests.support import synthetic


def _content(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("task", ["smoke", "smoke-mujoco", "smoke-offline"])
def test_what_is_written_is_read_and_holds(task: str, tmp_path: Path) -> None:
    plan = synthetic.Plan(task, entries=4, failed=0.2, diverged=0.2, missing=0.1, resumed=0.2)
    ends = synthetic.write(tmp_path, plan)
    checked = [claims.check(run, run.status.state) for run in map(record.read_run, find_runs(tmp_path))]
    assert len(checked) == sum(ends.values()) - ends["missing"] == 16 - ends["missing"]
    assert len({run.run.cell.config_id for run in checked}) == 4
    assert sum(run.state == "failed" for run in checked) == ends["failed"]
    assert sum(run.state == "diverged" for run in checked) == ends["diverged"]
    for run in checked:
        assert run.state != "done" or (run.score is not None and math.isfinite(run.score))
        assert (
            run.state == "failed" or run.iterations or run.run.status.frames < load_task(task).budget.iteration_length
        )


@pytest.mark.parametrize(
    ("task", "games", "seeds"),
    [
        ("smoke", None, None),
        ("smoke-mujoco", None, None),
        ("smoke-offline", None, None),
        ("smoke100k", None, None),
        ("atari40m", 15, 1),
        ("mujoco", 2, 1),
    ],
)
def test_a_bundle_of_them_passes_its_check_and_is_stored(
    task: str, games: int | None, seeds: int | None, tmp_path: Path
) -> None:
    small = {"actions": False} if task == "mujoco" else {}
    plan = synthetic.Plan(
        task, entries=1, games=games, seeds=seeds, missing=0, failed=0, diverged=0.1, resumed=0.3, **small
    )
    runs = sum(synthetic.write(tmp_path / "runs", plan).values())
    bundle = pack([tmp_path / "runs"], synthetic.STATEMENT, tmp_path / "bundle.zip")
    report = check_bundle(bundle.path)
    assert [one for one in report.findings if one.severity == "error"] == []
    assert (report.level, len(report.runs)) == ("recomputed", runs)
    stored = ingest([bundle.path], tmp_path / "results.sqlite", references=False)
    assert (stored.damaged, stored.submissions, stored.outcomes) == ((), {"new": 1}, {"new": runs})


def test_the_action_log_covers_the_scored_episodes_and_is_as_long_as_they(tmp_path: Path) -> None:
    synthetic.write(tmp_path, synthetic.Plan("smoke", entries=2, missing=0, failed=0, diverged=0))
    for run in map(record.read_run, find_runs(tmp_path)):
        after, until = load_task("smoke").score_window(run.status.frames)
        logs = run.actions()
        for episode in run.episodes:
            if after < episode.frame <= until:
                assert len(logs[episode.episode].unpack(episode.length)) == episode.length


def test_episodes_follow_each_other_without_a_gap(tmp_path: Path) -> None:
    synthetic.write(tmp_path, synthetic.Plan("smoke", entries=1))
    for run in map(record.read_run, find_runs(tmp_path)):
        ends = [episode.agent_step for episode in run.episodes]
        lengths = [episode.length for episode in run.episodes]
        assert [end - length for end, length in zip(ends, lengths, strict=True)] == [0, *ends[:-1]]


def test_a_resumed_run_has_rows_of_both_attempts_and_a_closed_one(tmp_path: Path) -> None:
    ends = synthetic.write(
        tmp_path, synthetic.Plan("smoke-mujoco", entries=1, missing=0, failed=0, diverged=0, resumed=1)
    )
    assert ends == {"resumed": 4}
    for run in map(record.read_run, find_runs(tmp_path)):
        assert run.status.state == "done"
        assert len(run.provenance.attempts) == len(run.status.closed) + 1


def test_the_same_plan_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 0), ("other", 1)):
        synthetic.write(tmp_path / name, synthetic.Plan("smoke", entries=3, seed=seed))
    one, two, other = (_content(tmp_path / name) for name in ("one", "two", "other"))
    assert one == two
    assert one != other


def test_entries_differ_and_begin_with_what_the_task_runs() -> None:
    found = synthetic.entries(synthetic.Plan("atari40m", entries=30))
    assert len({entry.config_id for entry in found}) == 30
    assert found[0].resolved.spec == resolve(Request("atari40m"))[0].spec
    assert len({entry.resolved.spec.agent.id for entry in found}) > 3
    assert len({entry.resolved.spec.method_label for entry in found}) > 5
    assert any(entry.resolved.departures for entry in found)


def test_more_entries_than_the_cards_allow_is_said() -> None:
    with pytest.raises(UsageError, match="The cards give"):
        synthetic.entries(synthetic.Plan("smoke-mujoco", entries=10_000))


def test_the_command_says_how_the_cells_ended(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    synthetic.main(["--task", "smoke", "--entries", "1", "--games", "1", "--missing", "0", "--out", str(tmp_path)])
    assert '"done": 2' in capsys.readouterr().out
    assert len(find_runs(tmp_path)) == 2
