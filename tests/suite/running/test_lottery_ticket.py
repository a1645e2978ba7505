"""A lottery ticket through the command line: the final masks of a pruned run, from the original initialization."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result

from suite.checks.verify import verify
from suite.cli.main import cli
from suite.errors import BadData, ExitCode
from suite.learning.build import programs_for
from suite.records.attempts import home
from suite.records.checkpoints import CheckpointStore
from suite.records.keeping import POLICY
from suite.records.policy_file import final_policy, read_policy
from suite.records.record import read_run
from suite.rng import Streams
from suite.running.checkpointing import learner_arrays
from suite.running.session import Session
from suite.tasks import GAMES

pytestmark = pytest.mark.slow

CELL = ("--task", "smoke", "--network", "tiny", "--games", "Pong", "--seeds", "0")
SHORT = ("--frames", "7200", "--set", "agent.batch_size=4")
PRUNE = (*CELL, *SHORT, "--method", "magnitude_pruning", "--set", "method.magnitude_pruning.start_fraction=0.1")
MASKS = "learner.methods"
KERNELS = ("['params']['encoder']['dense']['kernel']", "['params']['head']['kernel']")


def run(out: Path, *arguments: str) -> Result:
    return CliRunner().invoke(cli, ("run", *arguments, "--out", str(out), "--json"))


def ticket(source: str, *more: str) -> tuple[str, ...]:
    return (*CELL, *SHORT, "--method", "lottery_ticket", "--set", f"method.lottery_ticket.ticket='{source}'", *more)


def last_arrays(path: str) -> dict[str, Any]:
    loaded = CheckpointStore(home(Path(path))).newest()
    assert loaded is not None
    return loaded.arrays


@pytest.fixture
def pruned(tmp_path: Path, tiny: None) -> dict[str, Any]:
    """A finished run of magnitude pruning: what its line says, in the directory `tmp_path`."""
    result = run(tmp_path, *PRUNE)
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def test_a_ticket_keeps_the_final_masks_and_the_original_initialization(tmp_path: Path, pruned: dict[str, Any]) -> None:
    result = run(tmp_path, *ticket(pruned["config_id"]))
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    source, target = last_arrays(pruned["path"]), last_arrays(document["path"])
    found = {name.removeprefix(MASKS + "['lottery_ticket']"): a for name, a in target.items() if name.startswith(MASKS)}
    given = {
        name.removeprefix(MASKS + "['magnitude_pruning']"): a for name, a in source.items() if name.startswith(MASKS)
    }
    assert len(found) == 2
    assert found.keys() == given.keys()
    for kernel, mask in found.items():
        np.testing.assert_array_equal(mask, given[kernel])
        assert not mask.all()
        for params in ("learner.params", "learner.target_params"):
            assert np.all(target[params + kernel][~mask] == 0)
    one, other = read_run(Path(pruned["path"])), read_run(Path(document["path"]))
    assert one.status.summary is not None
    assert other.status.summary is not None
    assert 0.2 < other.status.summary.sparsity == one.status.summary.sparsity
    assert {row.values["sparsity"] for row in other.diagnostics} == {one.status.summary.sparsity}

    spec, game = other.cell.spec, GAMES["Pong"]
    streams = Streams(spec.task_key, "Pong", 0)
    programs = programs_for(spec, game)
    original = learner_arrays(programs_for(one.cell.spec, game).init(streams))
    fresh = learner_arrays(programs.adopt(programs.init(streams), {"lottery_ticket": source}))
    for kernel, mask in found.items():
        for params in ("learner.params", "learner.target_params"):
            np.testing.assert_array_equal(fresh[params + kernel], np.where(mask, original[params + kernel], 0))

    again = run(tmp_path, *ticket(pruned["config_id"]))
    assert again.exit_code == 0
    assert "Nothing to do" in again.stderr


def test_a_stopped_ticket_goes_on_to_the_same_bits(
    tmp_path: Path, pruned: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    every = ("--checkpoint-every", "3600")
    whole = json.loads(run(tmp_path, *ticket(pruned["config_id"], *every)).stdout)
    expected = last_arrays(whole["path"])
    save = Session._save

    def save_and_stop(self: Session, group: Any, index: int, scheduled: bool) -> None:
        save(self, group, index, scheduled)
        self._monitor._stop.set()

    other = tmp_path / "other"
    source = Path(pruned["path"]).relative_to(tmp_path)
    (other / source).parent.mkdir(parents=True)
    (other / source).symlink_to(Path(pruned["path"]), target_is_directory=True)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "_save", save_and_stop)
        assert run(other, *ticket(pruned["config_id"], *every)).exit_code == 75
    again = run(other, *ticket(pruned["config_id"], *every))
    assert again.exit_code == 0, again.output
    path = Path(json.loads(again.stdout)["path"])
    assert [(old.attempt, old.state) for old in read_run(path).status.closed] == [(1, "interrupted")]
    found = last_arrays(str(path))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array)


def test_a_ticket_needs_a_run_that_was_pruned(tmp_path: Path, tiny: None) -> None:
    none = run(tmp_path, *CELL, "--method", "lottery_ticket")
    assert none.exit_code == 2
    assert "--set method.lottery_ticket.ticket=CONFIG_ID" in none.output
    missing = run(tmp_path, *ticket("0123456789abcdef"))
    assert missing.exit_code == 3
    assert "0123456789abcdef" in missing.output
    assert "missing" in missing.output
    dense = json.loads(run(tmp_path, *CELL, "--frames", "2800").stdout)
    unfit = run(tmp_path, *ticket(dense["config_id"]))
    assert unfit.exit_code == 5, unfit.output
    assert "removed no weights" in unfit.output


@pytest.mark.parametrize("what", ["policy", pytest.param("none", marks=pytest.mark.nightly)])
def test_a_run_that_gave_up_its_checkpoints_says_so_where_they_are_wanted(
    tmp_path: Path, tiny: None, what: str
) -> None:
    result = run(tmp_path, *PRUNE, "--keep", what)
    assert result.exit_code == 0, result.output
    document, path = json.loads(result.stdout), Path(json.loads(result.stdout)["path"])
    assert CheckpointStore(path).steps() == ()
    assert verify(read_run(path)).mismatches == ()  # which needs actions, and no checkpoint
    assert "Nothing to do" in run(tmp_path, *PRUNE).stderr
    refused = run(tmp_path, *ticket(document["config_id"]))
    assert refused.exit_code == ExitCode.BAD_DATA
    assert f"{path} was run with --keep {what}, so that its last checkpoint is gone." in refused.stderr
    exported = CliRunner().invoke(cli, ["export", "policy", str(path), "--out", str(tmp_path / "policy.safetensors")])
    if what == "none":
        assert exported.exit_code == ExitCode.BAD_DATA
        assert "its last checkpoint is gone" in exported.stderr
        return
    assert exported.exit_code == 0, exported.output
    whole = run(tmp_path / "whole", *PRUNE)
    kept, expected = final_policy(read_run(path)), final_policy(read_run(Path(json.loads(whole.stdout)["path"])))
    assert kept.metadata() == expected.metadata()
    for policy in (kept, read_policy(tmp_path / "policy.safetensors")):
        assert policy.params.keys() == expected.params.keys()
        assert all((policy.params[name] == array).all() for name, array in expected.params.items())
    changed = bytearray((path / POLICY).read_bytes())
    changed[-1] ^= 1
    (path / POLICY).write_bytes(changed)
    with pytest.raises(BadData, match="is not the policy that the run's record names"):
        final_policy(read_run(path))


def test_more_checkpoints_stay_where_that_is_asked_for(tmp_path: Path, tiny: None) -> None:
    for asked, steps in (("2", [1500, 1800]), ("all", [300, 600, 900, 1200, 1500, 1800])):
        out = tmp_path / asked
        result = run(out, *PRUNE, "--checkpoint-every", "1200", "--keep-checkpoints", asked)
        assert result.exit_code == 0, result.output
        assert list(CheckpointStore(Path(json.loads(result.stdout)["path"])).steps()) == steps
