"""Replay of bundles through the real emulator: what it gives again, and what it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
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
            answer = envs.step([action])
            actions.append(action)
            total += float(answer.reward[0])
            if answer.truncated[0] or answer.discount[0] == 0 or step + len(actions) > 4000:
                break
        if step + len(actions) > 4000:
            if step < 4000:
                logs[len(episodes)] = Actions.pack(1, len(episodes), bytes(actions[: 4000 - step]))
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


def answering(**rest: object) -> Callable[[Path, float], tuple[dict[str, dict[str, object]], str]]:
    """Return what stands in for the process: it says this of the run that is there."""
    answer: dict[str, object] = {"mismatches": [], "whole": True, "missing": "", **rest}
    return lambda folder, seconds: ({str(found): answer for found in folder.glob("*/*")}, "")


def test_all_runs_replayed_is_a_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle_of(tmp_path, *attacks.good_runs()[:2])
    monkeypatch.setattr(replay, "_verify", answering())
    report = check_bundle(path, replay=True)
    assert (report.level, report.count("error"), len(report.replayed)) == ("replayed", 0, 2)


def test_what_was_not_replayed_to_its_end_is_not_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle_of(tmp_path, attacks.good_runs()[0])
    monkeypatch.setattr(replay, "_verify", answering(whole=False, missing="the end has no actions"))
    report = check_bundle(path, replay=True)
    assert (report.level, report.replayed) == ("recomputed", ())
    assert [one.message for one in report.findings if one.code == "replay.unavailable"] == ["the end has no actions"]


def test_a_replay_that_runs_out_of_time_is_a_sample_drawn_by_lot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = attacks.good_runs()
    path = bundle_of(tmp_path, *runs)
    first = set()
    for _ in range(12):
        moments = iter([0.0, 0.0, 1.0, *[99.0] * 9])
        monkeypatch.setattr(replay.time, "monotonic", lambda moments=moments: next(moments))
        monkeypatch.setattr(replay, "processors", lambda: 1)
        monkeypatch.setattr(replay, "_verify", answering())
        report = check_bundle(path, replay=True, seconds=60.0)
        assert (report.level, len(report.replayed)) == (f"sampled 2 of {len(runs)}", 2)
        first.add(report.replayed)
        assert [one.message for one in report.findings if one.code == "replay.sampled"] == [
            f"2 of {len(runs)} runs were reached in 1 minutes"
        ]
    assert len(first) > 1
    assert json.loads(report.to_json())["level"] == f"sampled 2 of {len(runs)}"


def test_what_could_not_be_replayed_keeps_its_level(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle_of(tmp_path, *attacks.good_runs()[:2])
    said = "Error: {}/run/seed-0 was recorded elsewhere."
    monkeypatch.setattr(replay, "_verify", lambda folder, seconds: ({}, said.format(folder)))
    report = check_bundle(path, replay=True)
    assert (report.level, report.replayed) == ("recomputed", ())
    found = [one.message for one in report.findings if one.code == "replay.unavailable"]
    assert found[0] == "Error: the run was recorded elsewhere."


def test_runs_with_errors_are_not_replayed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(honest.bundle(attacks.good_runs()[:1]))
    monkeypatch.setattr(replay, "replay_runs", lambda bundle, seconds: pytest.fail("it was replayed"))
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
    answers, words = replay._verify(tmp_path, 60.0)  # no run in it
    assert (answers, words) == ({}, "Error: Nothing was verified: no runs there.")


def test_runs_without_actions_are_no_mismatch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = bundle_of(tmp_path, honest.honest_run(with_actions=False))
    monkeypatch.setattr(replay, "_verify", lambda folder, seconds: pytest.fail("there is nothing to replay"))
    report = check_bundle(path, replay=True)
    assert [one.code for one in report.findings if one.severity == "note"] == [
        "record.no_actions",
        "replay.unavailable",
    ]
    assert (report.level, report.count("error")) == ("recomputed", 0)


def codes_and_level(path: Path) -> tuple[list[str], str]:
    report = check_bundle(path, replay=True)
    return [one.code for one in report.findings if one.severity == "error"], report.level


def test_a_bad_last_episode_cannot_be_told_as_one_that_never_ended(tmp_path: Path, breakout: BundledRun) -> None:
    """Its actions, and those after it, are the end of the run: played again, the episode ends within them."""
    assert codes_and_level(bundle_of(tmp_path, breakout)) == ([], "replayed")
    number, last = len(breakout.episodes) - 1, breakout.episodes[-1]
    left = breakout.open_steps
    actions = breakout.logged[number].unpack(last.length)
    actions += breakout.logged[number + 1].unpack(left) if left else b""
    logs = {key: log for key, log in breakout.logged.items() if key < number}
    shortened = honest.with_score(
        breakout, episodes=breakout.episodes[:-1], logged=logs | {number: Actions.pack(1, number, actions)}
    )
    report = check_bundle(bundle_of(tmp_path, shortened), replay=True)
    errors = [one for one in report.findings if one.severity == "error"]
    assert [one.code for one in errors] == ["replay.mismatch"]
    assert f"cut off at the end: over after {last.length} agent steps, not at all" in errors[0].message
    assert report.level == "claimed"


def test_a_run_that_diverged_is_replayed_and_an_invented_one_is_found(tmp_path: Path, breakout: BundledRun) -> None:
    """Stopped at its peak and called diverged: what is scored must have been played all the same."""
    peak = breakout.episodes[len(breakout.episodes) // 2]
    steps = peak.agent_step
    status = breakout.status.model_copy(update={"state": "diverged", "agent_steps": steps, "frames": 4 * steps})
    kept = breakout.episodes[: peak.episode + 1]
    logs = {key: log for key, log in breakout.logged.items() if key <= peak.episode}
    rest = {"checkpoints": (), "diagnostics": tuple(row for row in breakout.diagnostics if row.agent_step <= steps)}
    real = honest.with_score(breakout, status=status, episodes=kept, logged=logs, **rest)
    assert codes_and_level(bundle_of(tmp_path, real)) == ([], "replayed")
    better = (*kept[:-1], kept[-1].model_copy(update={"value": kept[-1].value + 5}))
    invented = honest.with_score(real, episodes=better)
    assert codes_and_level(bundle_of(tmp_path, invented)) == (["replay.mismatch"], "claimed")
    bare = replace(real, logged={})
    assert codes_and_level(bundle_of(tmp_path, bare)) == ([], "recomputed")
