"""A finished run's policy leaves as safetensors, dense and compressed, and acts as the agent did."""

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from safetensors.numpy import load_file, save_file

from baselines.methods.masks import apply_masks, keep_counts, largest_masks, layer_sparsities
from suite.cli.main import cli
from suite.contracts import registry
from suite.contracts.method import Context
from suite.errors import BadData
from suite.learning.build import build
from suite.learning.policy import Policy, load_policy
from suite.records.checkpoints import CheckpointStore
from suite.records.find import find_runs
from suite.records.policy_file import Exported, compress, expand, final_policy, read_policy
from suite.records.record import read_run
from suite.running.request import Request, resolve
from suite.tasks import GAMES

pytestmark = pytest.mark.slow

CELL = ("--task", "smoke", "--network", "tiny", "--games", "Pong", "--seeds", "0", "--frames", "6400")
PRUNE = ("--method", "magnitude_pruning", "--set", "method.start_fraction=0.0", "--set", "method.end_fraction=0.3")


def suite(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture(scope="module")
def runs(tiny_path: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A finished run with 95 % sparsity and a dense one; both have the network `tiny`."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tiny_path))
        registry.registered.cache_clear()
        for name, method in (("pruned", PRUNE), ("dense", ())):
            out = tmp_path_factory.mktemp(name)
            result = suite("run", *CELL, *method, "--out", str(out))
            assert result.exit_code == 0, result.output
            (found[name],) = find_runs(out)
    registry.registered.cache_clear()
    return found


def exported(run: Path, folder: Path) -> tuple[Path, Path]:
    result = suite("export", "policy", str(run), "--out", str(folder / "policy.safetensors"))
    assert result.exit_code == 0, result.output
    return folder / "policy.safetensors", folder / "policy.sparse.safetensors"


def test_both_files_hold_what_the_run_ended_with(runs: dict[str, Path], tmp_path: Path) -> None:
    dense, sparse = exported(runs["pruned"], tmp_path)
    loaded = CheckpointStore(runs["pruned"]).newest()
    assert loaded is not None
    kernel = loaded.arrays["learner.params['params']['encoder']['dense']['kernel']"]
    np.testing.assert_array_equal(load_file(dense)["params/encoder/dense/kernel"], kernel)
    one, other = read_policy(dense), read_policy(sparse)
    assert one.params.keys() == other.params.keys()
    for name, array in one.params.items():
        np.testing.assert_array_equal(array, other.params[name])
    run = read_run(runs["pruned"])
    for policy in (one, other):
        assert (policy.spec, policy.game, policy.seed) == (run.cell.spec, "Pong", 0)
        assert (policy.agent_step, policy.learner) == (1600, run.checkpoints[-1].learner)
        assert run.status.summary is not None
        assert policy.sparsity() == pytest.approx(run.status.summary.sparsity, abs=1e-6)
    assert one.sparsity() > 0.9
    assert sparse.stat().st_size < dense.stat().st_size / 4


def test_what_is_printed(runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = suite("export", "policy", str(runs["pruned"]), "--format", "safetensors")
    assert result.exit_code == 0
    files = sorted(tmp_path.iterdir())
    assert [file.name.partition(".")[2] for file in files] == ["safetensors", "sparse.safetensors"]
    for file in files:
        assert f"{file.name}: {file.stat().st_size:,} bytes" in result.stdout
    assert "% of the kernel weights are zero" in result.stdout
    document = json.loads(suite("export", "policy", str(runs["pruned"]), "--json").stdout)
    assert document["schema"] == "suite.export/1"
    assert [entry["bytes"] for entry in document["files"]] == [file.stat().st_size for file in files]


def test_a_dense_policy_is_one_file(runs: dict[str, Path], tmp_path: Path) -> None:
    dense, sparse = exported(runs["dense"], tmp_path)
    assert dense.exists()
    assert not sparse.exists()


@pytest.mark.usefixtures("tiny")
def test_a_loaded_policy_acts_as_the_agent(runs: dict[str, Path], tmp_path: Path) -> None:
    run = read_run(runs["pruned"])
    policies = [load_policy(path) for path in exported(runs["pruned"], tmp_path)]
    assert [policy.sparse_layer for policy in policies] == ["params/encoder/dense/kernel"] * 2
    random = np.random.default_rng(0)
    params, agent = tree(final_policy(run).params), build(run.cell.spec, GAMES["Pong"])[0]
    for _ in range(50):
        stack = random.integers(256, size=(4, 84, 84), dtype=np.uint8)
        action = agent.act(params, jnp.asarray(stack.transpose(1, 2, 0))[None], jnp.ones(6, bool), jax.random.key(0))
        assert [policy.act(stack) for policy in policies] == [int(action[0])] * 2


def tree(params: Any) -> Any:
    whole: dict[str, Any] = {}
    for name, array in params.items():
        *folders, leaf = name.split("/")
        node = whole
        for folder in folders:
            node = node.setdefault(folder, {})
        node[leaf] = jnp.asarray(array)
    return whole


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("network", ["nature_cnn", pytest.param("impala", marks=pytest.mark.nightly)])
def test_baselines_sparse_and_dense_agree(network: str) -> None:
    """Random weights with masks as trained ones have them: the same actions, and activations to rounding."""
    (resolved,) = resolve(Request("atari40m", "dqn", network))
    agent, _ = build(resolved.spec, GAMES["Boxing"])
    params = jax.jit(agent.init)(jax.random.key(1), jnp.zeros((1, 84, 84, 4), jnp.uint8))
    act = jax.jit(agent.act)
    context = Context(1, jax.eval_shape(lambda: params), agent.layers)
    keep = keep_counts(context.shapes, layer_sparsities(context, 0.95, "erk"), 1.0)
    params = apply_masks(params, largest_masks(params, keep))
    named = {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    sparse = Policy(resolved.spec, GAMES["Boxing"], named)
    assert sparse.sparse_layer == "params/encoder/dense/kernel"
    assert Policy(resolved.spec, GAMES["Boxing"], named, sparse_below=0.0).sparse_layer == ""
    random = np.random.default_rng(0)
    for _ in range(10):
        stack = random.integers(256, size=(4, 84, 84), dtype=np.uint8)
        observation = jnp.asarray(stack.transpose(1, 2, 0))[None]
        expected = int(act(params, observation, jnp.ones(18, jnp.bool_), jax.random.key(0))[0])
        assert sparse.act(stack) == expected
    found, expected_units = sparse.activations(stack), agent.activations(params, observation)
    assert found.keys() == expected_units.keys()
    for layer, units in expected_units.items():
        np.testing.assert_allclose(found[layer], units, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "kernel",
    [
        np.zeros((5, 3), np.float32),
        np.eye(300, 7, dtype=np.float32),
        np.pad(np.ones((400, 1), np.float32), ((0, 0), (2, 2))),
    ],
)
def test_uneven_kernels(kernel: np.ndarray) -> None:
    """Outputs without any weight, and one that has them all."""
    np.testing.assert_array_equal(expand(compress(kernel)), kernel)


@given(
    st.lists(st.integers(1, 7), min_size=2, max_size=4).flatmap(
        lambda shape: arrays(np.float32, shape, elements=st.sampled_from([0, 0, 0, 1.5, -2, 3e-40]))
    )
)
def test_compressed_kernels_come_back(kernel: np.ndarray) -> None:
    back = expand(compress(kernel))
    assert back.dtype == kernel.dtype
    np.testing.assert_array_equal(back, kernel)


def test_indices_are_as_short_as_they_can_be() -> None:
    assert compress(np.eye(256, 2, dtype=np.float32))["indices"].dtype == np.uint8
    assert compress(np.eye(257, 2, dtype=np.float32))["indices"].dtype == np.uint16
    parts = compress(np.ones((7744, 512), np.float32))
    assert (parts["indices"].dtype, parts["indptr"].dtype) == (np.uint16, np.uint32)


def test_an_unfinished_run_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs["dense"], tmp_path / "seed-0"))
    status = json.loads((copy / "status.json").read_text())
    (copy / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))
    result = suite("export", "policy", str(copy), "--out", str(tmp_path / "policy"))
    assert result.exit_code == 4
    assert "interrupted, not done" in result.stderr
    assert not (tmp_path / "policy").exists()


def test_another_learner_than_recorded_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(runs["dense"], tmp_path / "seed-0"))
    loaded = CheckpointStore(copy).newest()
    assert loaded is not None
    for name, array in loaded.arrays.items():
        if name.endswith("['head']['bias']"):
            array += 1
    CheckpointStore(copy).write(loaded.agent_step, loaded.arrays, loaded.state)
    result = suite("export", "policy", str(copy), "--out", str(tmp_path / "policy"))
    assert result.exit_code == 4
    assert "not the learner that its record names" in result.stderr


def test_one_run_must_be_named(runs: dict[str, Path], tmp_path: Path) -> None:
    assert suite("export", "policy", str(tmp_path / "nothing")).exit_code == 2
    assert "holds 0 runs" in suite("export", "policy", str(tmp_path)).stderr
    result = suite(
        "export", "policy", str(runs["dense"].parents[3]), "--out", str(tmp_path / "sub" / "policy.safetensors")
    )
    assert result.exit_code == 0, "a folder above it will do"
    assert (tmp_path / "sub" / "policy.safetensors").exists()


def test_what_is_no_policy_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    with pytest.raises(BadData, match="cannot be read"):
        read_policy(path)
    path.write_bytes(b"nothing")
    with pytest.raises(BadData, match="cannot be read"):
        read_policy(path)
    save_file({"x": np.zeros(3)}, path)
    with pytest.raises(BadData, match="no policy of the format"):
        load_policy(path)
    policy = final_policy(read_run(runs["pruned"]))
    save_file({"a.shape": np.asarray([2, 2])}, path, policy.metadata())
    with pytest.raises(BadData, match="damaged"):
        read_policy(path)


@pytest.mark.usefixtures("tiny")
def test_arrays_of_another_network_are_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    policy = final_policy(read_run(runs["dense"]))
    params = dict(policy.params) | {"params/encoder/dense/bias": np.zeros(3, np.float32)}
    other = Exported(policy.spec, policy.game, policy.seed, policy.agent_step, policy.learner, params)
    (tmp_path / "policy").write_bytes(other.dense())
    with pytest.raises(BadData, match="dense/bias is not what this version computes with"):
        load_policy(tmp_path / "policy")


@pytest.mark.usefixtures("tiny")
def test_a_layer_inside_a_transformation_stays_dense(
    runs: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent, methods = build(read_run(runs["pruned"]).cell.spec, GAMES["Pong"])
    path, _ = exported(runs["pruned"], tmp_path)
    stack = np.random.default_rng(0).integers(256, size=(4, 84, 84), dtype=np.uint8)
    expected = load_policy(path).act(stack)
    monkeypatch.setattr("suite.learning.policy.build", lambda *_: (agent._replace(act=jax.jit(agent.act)), methods))
    policy = load_policy(path)
    assert policy.sparse_layer == ""
    assert policy.act(stack) == expected


@pytest.mark.usefixtures("tiny")
def test_a_stack_of_another_shape_is_refused(runs: dict[str, Path], tmp_path: Path) -> None:
    policy = load_policy(exported(runs["dense"], tmp_path)[0])
    for stack in (np.zeros((84, 84, 4), np.uint8), np.zeros((4, 84, 84), np.float32)):
        with pytest.raises(ValueError, match="an observation is uint8"):
            policy.act(stack)
