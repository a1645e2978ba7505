"""The final policy of a finished run as safetensors files: one dense, and one in which sparse kernels are compressed.

    <path>                 an array under its path in the parameters, such as `params/encoder/dense/kernel`
    statistics/<path>      of agents that have them: what stands beside the parameters, such as running means
    <path>.shape           in the compressed file, int64: the shape of a kernel that is stored by its non-zero weights
    <path>.indptr          compressed sparse rows of the kernel reshaped to [inputs, outputs] and transposed:
    <path>.indices           the weights of output o are data[indptr[o] : indptr[o + 1]],
    <path>.data              and belong to the inputs indices[indptr[o] : indptr[o + 1]]

Both files have the same metadata: what `Exported` holds, all as text, and `format` with its version.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from suite.errors import BadData
from suite.records.checkpoints import CheckpointStore
from suite.records.keeping import POLICY, given_up
from suite.records.record import Run
from suite.tasks.configuration import Cell, Spec

FORMAT = "pruned-rl-suite policy/1"
PARTS = ("shape", "indptr", "indices", "data")


@dataclass(frozen=True, slots=True)
class Exported:
    """A policy: the configuration, game and seed that it was trained on, and its parameters by path.

    `agent_step`: when training ended. `learner`: the hash of all that was trained, as in `checkpoints.jsonl`.
    """

    spec: Spec
    game: str
    seed: int
    agent_step: int
    learner: str
    params: Mapping[str, NDArray[Any]]

    def metadata(self) -> dict[str, str]:
        """Return everything but the parameters."""
        return {
            "format": FORMAT,
            "spec": self.spec.canonical(),
            "config_id": self.spec.config_id,
            "game": self.game,
            "seed": str(self.seed),
            "agent_step": str(self.agent_step),
            "learner": self.learner,
        }

    def dense(self) -> bytes:
        """Return the file with every array whole."""
        return save({name: np.ascontiguousarray(array) for name, array in self.params.items()}, self.metadata())

    def sparse(self) -> bytes:
        """Return the file in which each kernel is compressed that gets smaller by it."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, array in self.params.items():
            parts = compress(array) if array.ndim > 1 else {}
            if parts and sum(part.nbytes for part in parts.values()) < array.nbytes:
                arrays |= {f"{name}.{part}": content for part, content in parts.items()}
            else:
                arrays[name] = np.ascontiguousarray(array)
        return save(arrays, self.metadata())

    def sparsity(self) -> float:
        """Return the share of zeros among all kernel weights."""
        kernels = [
            array for name, array in self.params.items() if array.ndim > 1 and not name.startswith("statistics/")
        ]
        return 1 - sum(map(np.count_nonzero, kernels)) / sum(array.size for array in kernels)


def final_policy(run: Run) -> Exported:
    """Return the policy that a finished run ended with, proven by the hash in its record; BadData if that fails.

    Where `--keep policy` left the policy alone, it is that, which names the learner that the record names.
    """
    from suite.records.learner_arrays import learner_arrays_of
    from suite.records.predecessors import final_arrays

    if run.status.state != "done":
        raise BadData(f"{run.path} is {run.status.state}, not done: it has no final policy.", "Let it finish first.")
    cell, step = run.cell, run.status.agent_steps
    what, proof = given_up(run.folder)
    if what != "policy":
        return _of_learner(cell.spec, cell.game, cell.seed, step, learner_arrays_of(final_arrays(run)))
    kept = read_policy(run.folder / POLICY)
    recorded = {row.agent_step: row.learner for row in run.checkpoints}
    named = (kept.game, kept.seed, kept.agent_step, kept.learner) == (cell.game, cell.seed, step, recorded.get(step))
    if not named or hashlib.sha256((run.folder / POLICY).read_bytes()).hexdigest() != proof:
        raise BadData(f"{run.folder / POLICY} is not the policy that the run's record names.", "Run it again.")
    return kept


def write_kept_policy(folder: Path, cell: Cell, step: int, store: CheckpointStore) -> None:
    """Write the policy of a run's last checkpoint into the folder of its last attempt."""
    from suite import durable
    from suite.records.learner_arrays import learner_arrays_of

    loaded = store.newest()
    if loaded is None or loaded.agent_step != step:
        raise BadData(f"{folder} has no checkpoint of its last agent step.", "Run that configuration again.")
    arrays = learner_arrays_of(loaded.arrays)
    durable.replace_file(folder / POLICY, _of_learner(cell.spec, cell.game, cell.seed, step, arrays).dense())


def _of_learner(spec: Spec, game: str, seed: int, step: int, arrays: Mapping[str, NDArray[Any]]) -> Exported:
    from suite.records.learner_arrays import LEARNER, learner_hash

    params: dict[str, NDArray[Any]] = {}
    for part, under in (("params", ""), ("statistics", "statistics/")):
        prefix = f"{LEARNER}.{part}"
        own = (name for name in sorted(arrays) if name.startswith(prefix))
        params |= {under + _path(name.removeprefix(prefix)): arrays[name] for name in own}
    return Exported(spec, game, seed, step, learner_hash(arrays), params)


def read_policy(path: Path) -> Exported:
    """Read a dense or compressed file; BadData if it is no exported policy."""
    remedy = "Name a file that `suite export policy` has written."
    try:
        with safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, SafetensorError) as error:
        raise BadData(f"{path} cannot be read: {error}.", remedy) from error
    if metadata.get("format") != FORMAT:
        raise BadData(f"{path} is no policy of the format {FORMAT!r}.", remedy)
    try:
        return Exported(
            Spec.model_validate_json(metadata["spec"]),
            metadata["game"],
            int(metadata["seed"]),
            int(metadata["agent_step"]),
            metadata["learner"],
            _whole(arrays),
        )
    except (KeyError, ValueError, IndexError) as error:
        raise BadData(f"{path} is damaged ({error}).", "Export the run again.") from error


def compress(kernel: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the parts of a kernel's compressed form, indices as short as they can be."""
    matrix = kernel.reshape(-1, kernel.shape[-1]).T
    outputs, inputs = np.nonzero(matrix)
    ends = np.cumsum(np.bincount(outputs, minlength=matrix.shape[0]))
    return {
        "shape": np.asarray(kernel.shape, np.int64),
        "indptr": np.concatenate([[0], ends]).astype(np.min_scalar_type(len(inputs))),
        "indices": inputs.astype(np.min_scalar_type(matrix.shape[1] - 1)),
        "data": matrix[outputs, inputs],
    }


def expand(parts: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the kernel that `compress` got."""
    shape = tuple(map(int, parts["shape"]))
    matrix = np.zeros((shape[-1], math.prod(shape[:-1])), parts["data"].dtype)
    ends = parts["indptr"].astype(np.int64)
    outputs = np.repeat(np.arange(shape[-1]), ends[1:] - ends[:-1])
    matrix[outputs, parts["indices"]] = parts["data"]
    return np.ascontiguousarray(matrix.T).reshape(shape)


def _whole(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    compressed = {name.removesuffix(".shape") for name in arrays if name.endswith(".shape")}
    whole = {name: array for name, array in arrays.items() if name.rpartition(".")[0] not in compressed}
    return whole | {name: expand({part: arrays[f"{name}.{part}"] for part in PARTS}) for name in compressed}


def _path(place: str) -> str:
    """Return `params/encoder/dense` for `['params']['encoder']['dense']`."""
    return "/".join(re.findall(r"[^\[\]'.]+", place))
