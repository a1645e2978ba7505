"""Cells of a bundle, drawn and trained again: which, how far, and what is said of their hashes."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from leaderboard.bundles import rerun
from leaderboard.bundles.attest import read_attest
from leaderboard.bundles.bundle import open_bundle
from leaderboard.bundles.rerun import Goal, draw, goal_of, train_again
from leaderboard.bundles.runs import BundledRun
from suite.cli.main import cli
from suite.errors import BadData, UnfitEnvironment, UsageError
from suite.records.record import Checkpoint, Run
from tests.support import attacks, honest


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def with_checkpoints(run: BundledRun, *steps: int) -> BundledRun:
    """Return a run with hashes at these agent steps, the last of them its end."""
    rows = [
        Checkpoint(
            attempt=1, agent_step=s, frame=4 * s, updates=s // 40, learner=_hash(f"l{s}"), history=_hash(f"h{s}")
        )
        for s in steps
    ]
    return replace(run, checkpoints=(*rows, *run.checkpoints))


RUN = with_checkpoints(honest.honest_run("smoke", "Pong", 0), 1000, 2000, 3000)


def training(change: Callable[[BundledRun], Run] = lambda run: run) -> tuple[rerun.Trainer, list[Goal]]:
    """Return what stands in for training: it makes the record itself, changed."""
    asked: list[Goal] = []

    def train(run: BundledRun, goal: Goal, out: Path) -> Run:
        asked.append(goal)
        return change(replace(run, checkpoints=tuple(row for row in run.checkpoints if row.agent_step <= goal.step)))

    return train, asked


def at(step: int, learner: str) -> Callable[[BundledRun], Run]:
    def change(run: BundledRun) -> Run:
        rows = (
            row.model_copy(update={"learner": learner}) if row.agent_step == step else row for row in run.checkpoints
        )
        return replace(run, checkpoints=tuple(rows))

    return change


def test_a_cell_is_trained_no_further_than_the_checkpoint_that_is_asked_for(tmp_path: Path) -> None:
    train, asked = training()
    first, third, all_of_it = (train_again(RUN, until, tmp_path, train) for until in (1, 3, 99))
    assert [(goal.step, goal.every) for goal in asked] == [(1000, 1000), (3000, 1000), (4000, 1000)]
    assert [one.steps for one in (first, third, all_of_it)] == [(1000,), (1000, 2000, 3000), (1000, 2000, 3000, 4000)]
    assert all(one.same and one.differences == () for one in (first, third, all_of_it))


def test_a_hash_that_comes_out_otherwise_is_named_with_what_is_different_here(tmp_path: Path) -> None:
    def change(run: BundledRun) -> Run:
        packages = run.attempt.packages | {"numpy": "1.0"}
        return attacks.attempt_changed(replace(run, checkpoints=at(2000, "c" * 64)(run).checkpoints), packages=packages)

    train, _ = training(change)
    found = train_again(RUN, 3, tmp_path, train)
    assert (found.same, found.steps, found.differs_at) == (False, (1000,), 2000)
    assert found.differences == ("numpy was '2.4.6', is '1.0'",)
    missing, _ = training(lambda run: replace(run, checkpoints=()))
    assert train_again(RUN, 1, tmp_path, missing).differs_at == 1000


def test_a_run_that_is_said_to_diverge_must_do_so_there(tmp_path: Path) -> None:
    run = with_checkpoints(honest.diverged(honest.honest_run("smoke", "Pong", 0), 2500), 1000, 2000)
    train, asked = training()
    assert train_again(run, 1, tmp_path, train).steps == (1000,)
    assert train_again(run, 2, tmp_path, train).steps == (1000, 2000, 2500)
    assert asked[-1] == Goal(run.checkpoints, 1000, 2500, diverged=True)
    went_on, _ = training(lambda run: replace(run, status=run.status.model_copy(update={"state": "interrupted"})))
    found = train_again(run, 2, tmp_path, went_on)
    assert (found.same, found.differs_at, found.steps) == (False, 2500, (1000, 2000))


def test_cells_are_drawn_by_lot_and_those_that_diverged_first(tmp_path: Path) -> None:
    runs = list(attacks.good_runs())
    runs[3] = honest.diverged(runs[3], 2000)
    path = tmp_path / "bundle.zip"
    path.write_bytes(honest.bundle(runs))
    drawn: Counter[tuple[str, int]] = Counter()
    with open_bundle(path) as bundle:
        for _ in range(40):
            first, second = draw(bundle, 2)
            assert first.status.state == "diverged"
            drawn[second.cell.game, second.cell.seed] += 1
        assert len(draw(bundle, 99)) == 4
    assert len(drawn) == 3


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no checkpoint hash"):
        goal_of(replace(RUN, checkpoints=()), 1)
    with pytest.raises(BadData, match="follow no schedule"):
        goal_of(replace(RUN, checkpoints=with_checkpoints(RUN, 1).checkpoints), 99)
    foreign = RUN.cell.spec.agent.model_copy(update={"card": "0" * 16})
    spec = RUN.cell.spec.model_copy(update={"agent": foreign})
    train, asked = training()
    with pytest.raises(UnfitEnvironment, match="The agent 'dqn' is not here"):
        train_again(replace(RUN, cell=RUN.cell.model_copy(update={"spec": spec})), 1, tmp_path, train)
    assert asked == []


def invoke(monkeypatch: pytest.MonkeyPatch, bundle: Path, train: rerun.Trainer, *more: str) -> tuple[int, str, str]:
    monkeypatch.setattr(rerun, "trainer", lambda threads, data: train)
    done = CliRunner().invoke(cli, ["submit", "rerun", str(bundle), *more])
    return done.exit_code, done.stdout, done.stderr


def test_the_command_prints_what_a_maintainer_attests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "bundle.zip"
    path.write_bytes(honest.bundle([RUN], attacks.LEFT_OUT))
    train, _ = training()
    code, out, err = invoke(monkeypatch, path, train, "--until", "2")
    assert (code, f"drawn: {RUN.cell.config_id} Pong seed 0, to agent step 2,000" in err) == (0, True)
    attest = tmp_path / "attest.toml"
    head = f'bundle_sha256 = "{"a" * 64}"\nby = "A"\ndate = "2026-03-01"\nevidence = "seen"\n'
    said = out.replace('by = ""', 'by = "A"').replace('date = ""', 'date = "2026-03-01"')
    attest.write_text(head + said)
    (read,) = read_attest(attest).reruns
    assert (read.config_id, read.game, read.seed, read.agent_step) == (RUN.cell.config_id, "Pong", 0, 2000)
    train, _ = training(at(1000, "c" * 64))
    code, out, err = invoke(monkeypatch, path, train)
    assert (code, out) == (4, f"differs: {RUN.cell.config_id} Pong seed 0: first at agent step 1,000\n")
    code, out, _ = invoke(monkeypatch, path, train, "--json")
    assert (code, json.loads(out)["cells"][0]["differs_at"]) == (4, 1000)


@pytest.mark.nightly
def test_real_training_comes_to_the_same_hashes_and_another_setting_does_not(tmp_path: Path) -> None:
    def suite(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(cli, words)
        return done.exit_code, done.output

    cell = ("--task", "smoke", "--network", "nature_cnn", "--games", "Pong", "--seeds", "0", "--frames", "4000")
    code, said = suite("run", *cell, "--checkpoint-every", "1600", "--out", str(tmp_path / "runs"))
    assert code == 0, said
    (tmp_path / "me.toml").write_bytes(attacks.LEFT_OUT)
    bundle = str(tmp_path / "bundle.zip")
    code, said = suite("submit", "pack", str(tmp_path / "runs"), "--out", bundle, "--toml", str(tmp_path / "me.toml"))
    assert code == 0, said
    code, said = suite("submit", "rerun", bundle, "--until", "2", "--out", str(tmp_path / "again"))
    assert (code, "agent_step = 800" in said) == (0, True), said
    assert suite("submit", "rerun", bundle, "--out", str(tmp_path / "runs"))[0] == 2
