"""Replay of bundles through the real emulator: what it gives again, and what it does not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leaderboard.bundles import replay
from leaderboard.bundles.bundle import open_bundle
from leaderboard.bundles.check import check_bundle
from leaderboard.bundles.runs import BundledRun
from suite.records.record import Actions, Episode
from suite.rng import Streams
from suite.tasks import GAMES, load_task
from tests.support import attacks, honest
from tests.support.surroundings import poisoned

pytestmark = pytest.mark.slow


def played(game: str, seed: int) -> BundledRun:
    """Return a run of a few random episodes of the real emulator, cut off where the budget ends."""
    from suite.experience.domains import domain_of

    task = load_task("smoke")
    domain = domain_of(task)
    envs = domain.evaluation_envs(GAMES[game], 1, 1)
    streams, source = Streams(task.key, game, seed), np.random.default_rng(seed)
    episodes: list[Episode] = []
    logs: dict[int, Actions] = {}
    step = left = segment = 0
    while True:
        fresh = left <= 0
        segment, left = (segment + 1, task.atari.reseed_steps) if fresh else (segment, left)
        emulator_seed = streams.emulator_seed(segment - 1)
        envs.reset([emulator_seed if fresh else None])
        total, actions = 0.0, bytearray()
        while True:
            action = int(source.integers(GAMES[game].actions))
            envs.send(np.array([action], np.uint8))
            answer = envs.receive()
            actions.append(action)
            total += float(answer.reward[0])
            if answer.truncated[0] or answer.discount[0] == 0 or step + len(actions) > 4000:
                break
        if step + len(actions) > 4000:
            break
        step, left, number = step + len(actions), left - len(actions), len(episodes)
        end = "truncated" if answer.truncated[0] else "terminated"
        fields = {"attempt": 1, "agent_step": step, "frame": 4 * step, "episode": number, "length": len(actions)}
        row = {**fields, "return": total, "end": end, "emulator_seed": emulator_seed}
        episodes.append(Episode.model_validate(row))
        logs[number] = Actions.pack(1, number, bytes(actions))
    envs.close()
    environment, fingerprint = domain.environment(GAMES[game])
    run = attacks.attempt_changed(
        honest.honest_run("smoke", game, seed), environment=environment, environment_fingerprint=fingerprint
    )
    return honest.with_score(run, episodes=tuple(episodes), logged=logs)


@pytest.fixture(scope="module")
def pong() -> BundledRun:
    return played("Pong", 0)


@pytest.fixture(scope="module")
def breakout() -> BundledRun:
    return played("Breakout", 0)


def test_scores_that_the_emulator_gives_again_are_replayed_and_others_are_named(
    tmp_path: Path, pong: BundledRun, breakout: BundledRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    poisoned(tmp_path, monkeypatch)
    last = breakout.episodes[-1]
    better = last.model_copy(update={"value": last.value + 7})
    raised = honest.with_score(breakout, episodes=(*breakout.episodes[:-1], better))
    path = tmp_path / "bundle.zip"
    path.write_bytes(honest.bundle([pong, raised], attacks.LEFT_OUT))
    report = check_bundle(path, replay=True)
    errors = [one for one in report.findings if one.severity == "error"]
    assert [(one.code, one.where) for one in errors] == [
        ("replay.mismatch", f"runs/{breakout.cell.config_id[:8]}-Breakout-0.json")
    ]
    assert f"return {last.value:g}, recorded {last.value + 7:g}" in errors[0].message
    assert report.replayed == (f"runs/{pong.cell.config_id[:8]}-Pong-0.json",)
    assert report.level == "claimed"
    assert not (tmp_path / "executed").exists()


def bundle_of(tmp_path: Path, *runs: BundledRun) -> Path:
    path = tmp_path / "bundle.zip"
    path.write_bytes(honest.bundle(list(runs), attacks.LEFT_OUT))
    return path


def test_all_runs_replayed_is_a_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle_of(tmp_path, *attacks.good_runs()[:2])
    monkeypatch.setattr(replay, "_verify", lambda folder: ({str(found): [] for found in folder.glob("*/*")}, ""))
    report = check_bundle(path, replay=True)
    assert (report.level, report.count("error"), len(report.replayed)) == ("replayed", 0, 2)


def test_what_could_not_be_replayed_keeps_its_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle_of(tmp_path, *attacks.good_runs()[:2])
    monkeypatch.setattr(replay, "_verify", lambda folder: ({}, f"Error: {folder}/run-0/seed-0 was recorded elsewhere."))
    report = check_bundle(path, replay=True)
    assert (report.level, report.replayed) == ("recomputed", ())
    found = [one.message for one in report.findings if one.code == "replay.unavailable"]
    assert found[0] == "Error: the run was recorded elsewhere."


def test_runs_with_errors_are_not_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(honest.bundle(attacks.good_runs()[:1]))
    monkeypatch.setattr(replay, "replay_runs", lambda bundle: pytest.fail("it was replayed"))
    assert check_bundle(path, replay=True).level == "claimed"


def test_what_is_written_for_the_replay_is_the_run(tmp_path: Path) -> None:
    from suite.records.record import read_run

    path = bundle_of(tmp_path, attacks.good_runs()[0])
    with open_bundle(path) as bundle:
        run = bundle.run(bundle.run_names[0])
    replay._write(run, tmp_path / "seed-0")
    back = read_run(tmp_path / "seed-0")
    assert (back.cell, back.status, back.provenance) == (run.cell, run.status, run.provenance)
    assert (back.episodes, back.actions()) == (run.episodes, run.actions())


def test_a_process_that_answers_nothing_is_no_replay(tmp_path: Path) -> None:
    answers, words = replay._verify(tmp_path)  # no run in it
    assert (answers, words) == ({}, "Error: Nothing was verified: no runs there.")


def test_runs_without_actions_are_no_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle_of(tmp_path, honest.honest_run(with_actions=False))
    monkeypatch.setattr(replay, "_verify", lambda folder: pytest.fail("there is nothing to replay"))
    report = check_bundle(path, replay=True)
    assert [one.code for one in report.findings if one.severity == "note"] == [
        "record.no_actions",
        "replay.unavailable",
    ]
    assert (report.level, report.count("error")) == ("recomputed", 0)


def test_a_diverged_run_is_not_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = attacks.good_runs()[0]
    diverged = replace(run, status=run.status.model_copy(update={"state": "diverged"}))
    path = bundle_of(tmp_path, diverged)
    monkeypatch.setattr(replay, "_verify", lambda folder: ({}, "no answer"))
    report = check_bundle(path, replay=True)
    assert (report.level, report.replayed) == ("recomputed", ())
    assert "replay.unavailable" not in [one.code for one in report.findings]
