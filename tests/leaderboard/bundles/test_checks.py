"""Single checks: what the record rules say, beside the suite's own functions, and what is only for review."""

from __future__ import annotations

import csv
import gzip
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.bundles import curves, limits
from leaderboard.bundles.check import check_bundle, table
from leaderboard.bundles.curves import Curve
from leaderboard.bundles.findings import CODES
from leaderboard.bundles.pack import manifest_of, pack, zipped
from leaderboard.bundles.run_checks import is_within, numbers_of, score_caps
from leaderboard.bundles.schema import ManifestRun, ReportFile
from leaderboard.bundles.set_checks import RunFacts, check_copies
from suite.checks import reach
from suite.errors import UsageError
from suite.records.claims import IterationMean
from suite.records.judged_rows import is_whole, of_evaluation
from suite.records.schedule import by_segment, due_steps
from suite.tasks import GAMES, Evaluation, load_task
from tests.support import attacks, attacks_bounds, honest


def report_of(tmp_path: Path, content: bytes) -> Any:
    path = tmp_path / "bundle.zip"
    path.write_bytes(content)
    return check_bundle(path)


def codes(report: Any) -> list[str]:
    return [one.code for one in report.findings]


@settings(max_examples=60)
@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 2000))
def test_evaluations_are_due_at_the_first_end_of_a_trajectory_at_or_after_each_interval(
    every: int, trajectory: int, last: int
) -> None:
    evaluation = Evaluation(episodes=1, every=every, epsilon=0.0)
    ends = range(trajectory, last + 1, trajectory)
    expected = [step for step in ends if step // every > (step - trajectory) // every]
    assert due_steps(evaluation, trajectory, last) == expected


def test_a_single_evaluation_is_due_at_the_end() -> None:
    assert due_steps(Evaluation(episodes=5, epsilon=0.0), 1, 100) == [100]


def test_steps_that_are_only_claimed_make_no_evaluations_due() -> None:
    run = honest.honest_run("smoke100k")
    run = replace(run, status=run.status.model_copy(update={"agent_steps": 10**18, "frames": 10**18}))
    (found,) = of_evaluation(run, load_task("mujoco"))
    assert found.code == "record.evaluation"


@pytest.mark.parametrize(
    ("lengths", "whole"),
    [
        ([40, 60], True),
        ([100], True),
        ([40, 80], True),
        ([40, 59], False),
        ([100, 1], False),
        ([40, 60, 10], False),
        ([], False),
    ],
)
def test_an_evaluation_of_so_many_steps_ends_with_the_episode_that_reaches_them(
    lengths: list[int], whole: bool
) -> None:
    rows = [honest.honest_run("smoke100k").evaluation[0].model_copy(update={"length": length}) for length in lengths]
    rows = [row.model_copy(update={"episode": number}) for number, row in enumerate(rows)]
    evaluation = Evaluation(agent_steps=100, epsilon=0.0)
    assert is_whole(evaluation, rows) is whole
    assert is_whole(Evaluation(episodes=2, epsilon=0.0), rows) is (len(lengths) == 2)
    if len(rows) > 1:
        assert not is_whole(evaluation, rows[::-1])
        assert not is_whole(evaluation, [rows[0], rows[0], *rows[2:]])


def test_a_segment_ends_with_the_episode_that_reaches_its_steps() -> None:
    run, task = honest.honest_run(mean_length=150), load_task("smoke")
    found = [[row.length for row in segment] for segment in by_segment(run.episodes, task)]
    assert sum(map(len, found)) == len(run.episodes)
    assert all(sum(lengths[:-1]) < task.atari.reseed_steps for lengths in found)
    assert all(sum(lengths) >= task.atari.reseed_steps for lengths in found[:-1])
    assert len(by_segment(run.episodes, load_task("mujoco"))) == len(run.episodes)


@pytest.mark.parametrize(("task", "cap"), [("atari40m", 27_000), ("smoke", 2_000), ("mujoco", 1_000)])
def test_the_longest_episode_follows_from_the_task(task: str, cap: int) -> None:
    assert load_task(task).environment.max_episode_steps == cap


@pytest.mark.parametrize(
    ("version", "denied"),
    [("0.9.1", False), ("0.10.0", True), ("0.10.1", True), ("0.10.1rc1", True), ("0.10.2", False), ("x", False)],
)
def test_denied_versions_are_a_range(version: str, denied: bool) -> None:
    assert is_within(version, {"first": "0.10.0", "fixed": "0.10.2"}) is denied


def test_versions_are_compared_as_numbers() -> None:
    assert numbers_of("0.9.10") < numbers_of("0.12.1") < numbers_of("1")
    assert numbers_of("9" * 1000)[0] > 0


def test_score_caps_are_of_games_that_exist_and_hold_what_people_and_chance_reach() -> None:
    for name, (low, high) in score_caps().items():
        game = GAMES[name]
        assert low <= min(game.random_score or low, game.human_score or low)
        assert max(game.random_score or low, game.human_score or low) <= high
    assert score_caps()["Pong"] == (-21, 21)


def test_score_caps_hold_what_others_published() -> None:
    file = Path(__file__).resolve().parents[3] / "leaderboard/data/dopamine_atari_train_returns.csv.gz"
    found: dict[str, list[float]] = {}
    with gzip.open(file, "rt", newline="") as text:
        for row in csv.DictReader(text):
            found.setdefault(row["game"], []).append(float(row["mean_train_return"]))
    held = {game: values for game, values in found.items() if game in score_caps()}
    assert len(held) >= 5
    for game, values in held.items():
        low, high = score_caps()[game]
        assert low <= min(values) <= max(values) <= high, game


def facts(game: str, seed: int, means: list[float], trace: str = "") -> RunFacts:
    claim = ManifestRun(path="x", config_id="0" * 16, game=game, seed=seed, state="done", score=None, scored_episodes=0)
    points = tuple(IterationMean(index, mean, 1) for index, mean in enumerate(means))
    return RunFacts("x", claim, Curve("0" * 16, game, seed, 1, points), trace, frozenset(), False)


def test_a_curve_with_a_little_noise_is_for_review() -> None:
    source = honest.random.Random(3)
    first = [source.gauss(0, 10) + index for index in range(40)]
    second = [value + source.gauss(0, 0.01) for value in first]
    other = [source.gauss(0, 10) + index for index in range(40)]
    found = list(check_copies([facts("Pong", 0, first), facts("Pong", 1, second), facts("Pong", 2, other)]))
    assert [(one.code, one.severity) for one in found] == [("curves.similar", "review")]
    assert "Pong seed 1" in found[0].where


def test_flat_and_short_curves_are_not_called_alike() -> None:
    flat = [facts("Pong", seed, [-21.0] * 40) for seed in range(3)]
    short = [facts("Pong", seed, [1.0, 2.0, 1.0]) for seed in range(3)]
    assert list(check_copies([*flat, *short])) == []


def test_a_method_that_changes_nothing_is_for_review_not_an_error() -> None:
    found = list(check_copies([facts("Pong", 0, [], "same"), facts("Pong", 0, [], "same")]))
    assert [one.code for one in found] == ["curves.similar"]


def test_departures_that_are_listed_are_notes(tmp_path: Path) -> None:
    runs = honest.honest_runs(settings=("agent.learning_rate=0.001",))
    report = report_of(tmp_path, honest.bundle(runs))
    assert codes(report) == ["protocol.departure"] * 4
    assert report.level == "recomputed"
    assert "agent.learning_rate: published 6.25e-05" in report.findings[0].message


def test_what_is_knowingly_left_out_is_for_review(tmp_path: Path) -> None:
    report = report_of(tmp_path, honest.bundle(honest.honest_runs()[:1], attacks.LEFT_OUT))
    assert codes(report) == ["partial", "partial"]
    assert (report.count("error"), report.level) == (0, "recomputed")


def test_runs_without_actions_are_noted(tmp_path: Path) -> None:
    report = report_of(tmp_path, honest.bundle(honest.honest_runs(with_actions=False)))
    assert codes(report) == ["record.no_actions"] * 4


def test_a_modified_checkout_and_a_foreign_method_are_for_review(tmp_path: Path) -> None:
    run = attacks.attempt_changed(attacks.good_runs()[0], git={"commit": "x", "dirty": True})
    report = report_of(tmp_path, attacks_bounds.of_foreign([run], attacks_bounds.foreign_card()))
    assert sorted(set(codes(report))) == [*("cards.foreign", "partial", "provenance.commit", "provenance.modified")]
    assert report.level == "recomputed"


def test_a_run_that_diverged_is_a_result(tmp_path: Path) -> None:
    run = attacks.good_runs()[2]
    diverged = honest.diverged(run, 2000)
    report = report_of(tmp_path, honest.bundle([*attacks.good_runs()[:2], diverged, attacks.good_runs()[3]]))
    assert codes(report) == ["runs.diverged"]


def test_a_report_has_the_published_form_and_counts_what_it_lists(tmp_path: Path) -> None:
    report = report_of(tmp_path, honest.bundle(honest.honest_runs()[:1], attacks.LEFT_OUT))
    read = ReportFile.model_validate_json(report.to_json(), strict=True)
    assert (read.errors, read.reviews, read.notes, len(read.runs)) == (0, 2, 0, 1)
    assert read.runs[0].score == report.runs[0].score
    lines = table(report).splitlines()
    assert lines[-1] == "1 run of smoke@1: 0 errors, 2 for review, 0 notes; level: recomputed"
    assert "and 1 more" in lines[0]


def test_curves_by_another_version_count_by_their_rows(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    table_ = pq.read_table(io.BytesIO(attacks.good_files()["curves.parquet"]))
    other = io.BytesIO()
    pq.write_table(table_, other, compression="gzip", data_page_version="2.0", store_schema=False)
    assert other.getvalue() != attacks.good_files()["curves.parquet"]
    assert codes(report_of(tmp_path, attacks.foreign_parquet(other.getvalue()))) == []
    short = io.BytesIO()
    pq.write_table(table_.slice(1), short, store_schema=False)
    assert codes(report_of(tmp_path, attacks.foreign_parquet(short.getvalue()))) == ["curves.differ"]


def test_curves_are_read_without_threads_whose_memory_varies() -> None:
    """Under 16 MiB, where threads that got no memory made the reader fail, or wait for ever."""
    written = attacks.good_files()["curves.parquet"]
    code = "import leaderboard.bundles.curves as read; read.PARQUET_BYTES = 2**24; read._compare()"
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=len(written).to_bytes(8, "little") + 2 * written,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, b"same"), done.stderr[-500:]


def test_curves_that_cannot_be_compared_are_not_said_to_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    written = attacks.good_files()["curves.parquet"]
    assert (curves.difference(written, written), curves.difference(b"", written)) == ("", curves.DIFFERS)
    broken = written[:-40] + bytes(36) + b"PAR1"
    assert "within the limits of such a file (exit status 1)" in curves.difference(broken, written)

    def late(*arguments: Any, seconds: float, **keywords: Any) -> Any:
        raise subprocess.TimeoutExpired("python", seconds)

    monkeypatch.setattr(curves, "run_module", late)
    assert curves.difference(written, written) == "it was not read in 120 seconds"


def test_a_rejected_file_has_a_report_of_the_published_form(tmp_path: Path) -> None:
    read = ReportFile.model_validate_json(report_of(tmp_path, b"x").to_json(), strict=True)
    assert (read.errors, read.level, read.bundle.sha256) == (1, "claimed", "")


def test_every_code_is_explained() -> None:
    guide = (Path(__file__).resolve().parents[3] / "docs/submitting.md").read_text()
    assert [code for code in CODES if f"`{code}`" not in guide] == []
    assert all(meaning.endswith(".") and remedy.endswith(".") for _, meaning, remedy in CODES.values())


def test_a_run_of_a_game_in_two_environments_is_noted(tmp_path: Path) -> None:
    runs = list(attacks.good_runs())
    runs[0] = attacks.environment_changed(ale_py="0.13.0")(runs[0])
    report = report_of(tmp_path, honest.bundle(runs))
    assert codes(report) == ["environment.several"]
    assert json.loads(report.to_json())["errors"] == 0


def test_a_bundle_is_judged_for_the_games_of_the_task_that_it_is_packed_for(tmp_path: Path) -> None:
    """A run of one game of both lists, and one of the longer list's alone: other games are missing."""
    runs = [honest.honest_run("atari40m", game, mean_length=9_000) for game in ("Pong", "Alien")]
    for run in runs:
        honest.write_run(run, tmp_path / "runs")
    missing = {}
    for task in (None, "atari40m", "atari60"):
        packed = pack([tmp_path / "runs"], honest.TOML, tmp_path / f"{task}.zip", task)
        found = check_bundle(packed.path)
        assert set(codes(found)) == {"games.missing", "seeds.missing"}, table(found)
        (said,) = [one.message for one in found.findings if one.code == "games.missing"]
        missing[task] = (found.task, said.partition(",")[0])
    few = ("atari40m@1", "no run of MsPacman")
    assert missing == {None: few, "atari40m": few, "atari60": ("atari60@1", "no run of AirRaid")}
    with pytest.raises(UsageError, match="These are runs of atari40m@1, not of atari100m@1, whose cells atari100m has"):
        pack([tmp_path / "runs"], honest.TOML, tmp_path / "other.zip", "atari100m")


def test_a_bundle_of_a_list_over_a_protocol_has_cells_of_that_protocol_alone(tmp_path: Path) -> None:
    run = honest.honest_run("atari100m", "Pong", mean_length=9_000)
    files = honest.bundle_files([run])
    table_of = json.loads(files.pop("manifest.json"))
    content = zipped(files | {"manifest.json": manifest_of(files, "atari60@1", table_of["runs"])})
    assert "runs.mixed" in codes(report_of(tmp_path, content))


def departing(count: int) -> bytes:
    """Return a bundle of a run of each of so many configurations that depart from the published settings."""
    settings_of = [(f"agent.learning_rate={number}e-3",) for number in range(1, count + 1)]
    return bytes(honest.bundle([honest.honest_run(settings=each) for each in settings_of], attacks.LEFT_OUT))


def test_what_runs_do_not_reach_is_asked_once_and_what_takes_too_long_is_for_review(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def slow(name: str, *, data: bytes, seconds: float) -> Any:
        asked.append(data.count(b"\n") + 1)
        raise subprocess.TimeoutExpired(name, seconds, output=b'[]\n["dqn: learns nothing"]\nnull\n["cut o')

    reach.answers.cache_clear()
    monkeypatch.setattr(reach, "run_module", slow)
    report = report_of(tmp_path, departing(4))
    reach.answers.cache_clear()
    assert asked == [4]
    found = [one.code for one in report.findings if one.code.startswith("provenance")]
    assert found == ["provenance.unreached", "provenance.unasked", "provenance.unasked"]


def test_more_is_not_asked_than_a_check_has_time_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "QUESTIONS", 2)
    monkeypatch.setattr(reach, "run_module", None)
    assert codes(report_of(tmp_path, departing(3))) == ["limits.exceeded"]


def test_a_question_without_an_answer_costs_the_next_none() -> None:
    run = honest.honest_run(settings=("agent.learning_rate=0.25",))
    question = reach.question(run)
    assert question
    nonsense = question.replace('"Pong"', '"Ping"')
    assert dict(reach.answers((nonsense, question))) == {question: ()}
