"""Whole runs of MinAtar, killed and continued, alone and beside others; scores proven from actions."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from suite.checks.verify import verify
from suite.cli.main import cli
from suite.records.find import find_runs
from suite.records.record import read_run
from suite.rng import Streams
from suite.tasks import MINATAR, load_task
from tests.support.processes import content, finish, kill_at

pytestmark = pytest.mark.slow
RUNS = [(agent, "MinAtarBreakout") for agent in ("c51", "iqn", "m_iqn", "qr_dqn", "rainbow")]
RUNS += [("dqn", game) for game in MINATAR]


def start(out: Path, agent: str, game: str, *more: str) -> subprocess.Popen[str]:
    """Start a run of the small task, or, of a game that it has not, of the beginning of the large one."""
    task = ["smoke-minatar"] if game in load_task("smoke-minatar").games else ["minatar", "--frames", "3000"]
    command = [sys.executable, "-m", "suite", "run", "--task", *task, "--agent", agent, "--games", game]
    command += ["--method", "magnitude_pruning", "--checkpoint-every", "600", "--inspect-every", "1200"]
    command += ["--out", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_a_short_run_is_scored_by_episodes_that_all_replay(tmp_path: Path) -> None:
    command = ["run", "--task", "smoke-minatar", "--games", "MinAtarBreakout", "--seeds", "0", "--frames", "1500"]
    done = CliRunner().invoke(cli, [*command, "--out", str(tmp_path)])
    assert done.exit_code == 0, done.output
    run = read_run(find_runs(tmp_path)[0])
    found = verify(run)
    assert run.status.updates > 0
    assert found.mismatches == ()
    assert found.episodes == sum(row.frame > 300 for row in run.episodes) > 5


@pytest.mark.nightly
@pytest.mark.parametrize(("agent", "game"), RUNS)
def test_a_run_that_is_killed_goes_on_to_the_same_bits_alone_or_beside_others(
    agent: str, game: str, tmp_path: Path
) -> None:
    finish(start(tmp_path / "whole", agent, game, "--seeds", "0-2", "--lanes", "3"))
    reference = read_run(find_runs(tmp_path / "whole")[1])
    killed = start(tmp_path / "killed", agent, game, "--seeds", "1")
    kill_at(killed, tmp_path / "killed", 1800)
    finish(start(tmp_path / "killed", agent, game, "--seeds", "1"))
    run = read_run(find_runs(tmp_path / "killed")[0])
    assert run.attempt.resumed_at > 0
    assert run.cell.seed == reference.cell.seed == 1
    assert content(run) == content(reference)
    task, values = load_task(run.cell.spec.task), run.diagnostics[-1].values
    prunes = task.id == "smoke-minatar"
    assert (run.status.message == "") == (values["active_parameters"] < values["parameters"]) == prunes
    assert run.attempt.packages["minatar"] == run.attempt.environment["minatar"] == "1.0.15"
    assert len({row.learner for row in run.checkpoints if row.updates}) >= 3
    assert "srank" in values
    assert run.diagnostics[-1].covariance

    streams = Streams(f"{task.id}@1", game, 1)
    assert [row.emulator_seed for row in run.episodes] == list(map(streams.emulator_seed, range(len(run.episodes))))
    after, until = task.score_window(run.cell.spec.frames)
    last = [row.value for row in run.episodes if after < row.frame <= until]
    assert run.status.summary is not None
    if last:
        assert run.status.summary.score == pytest.approx(np.mean(last), rel=1e-12)
    verification = verify(run)
    assert (verification.episodes, verification.mismatches) == (len(last), ())
    higher = [row.model_copy(update={"value": row.value + 1}) for row in run.episodes]
    assert not last or verify(replace(run, episodes=higher)).mismatches
