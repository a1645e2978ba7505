"""All that the goldens take from the product and from the helpers of its tests: only here do their modules have names.

When modules move, this file follows them, and nothing else of `ci/golden` changes.
"""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from pydantic import BaseModel

from suite.cli.main import cli
from suite.contracts import registry
from suite.contracts.card import Card
from suite.errors import SuiteError
from suite.experience.logs.manifest import Manifest as LogManifest
from suite.experience.logs.sample import SampleFile
from suite.learning.program_cost import ProgramCost
from suite.records.attempts import Follows
from suite.records.checkpoints import Manifest as CheckpointManifest
from suite.records.ownership import Owner
from suite.records.record import (
    Actions,
    CellFile,
    Checkpoint,
    Diagnostics,
    Episode,
    EvaluationRow,
    ProvenanceFile,
    StatusFile,
)
from suite.running.checkpointing import LaneState
from suite.running.request import Request, resolve
from suite.tasks import Task, load_task, task_names

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGES = ("suite", "baselines", "leaderboard")
KINDS: tuple[registry.Kind, ...] = ("agent", "network", "method")

WRITTEN: dict[str, type[BaseModel]] = {
    "spec.json": CellFile,
    "provenance.json": ProvenanceFile,
    "status.json": StatusFile,
    "episodes.jsonl": Episode,
    "evaluation.jsonl": EvaluationRow,
    "actions.jsonl": Actions,
    "diagnostics.jsonl": Diagnostics,
    "checkpoints.jsonl": Checkpoint,
    "checkpoints manifest": CheckpointManifest,
    "checkpoints state": LaneState,
    "attempts/n.json": Owner,
    "attempts/n/follows.json": Follows,
    "log manifest": LogManifest,
    "log sample": SampleFile,
    "card": Card,
    "task": Task,
}
"""What the files of run directories, logs, cards and tasks hold."""

__all__ = [
    "KINDS",
    "PACKAGES",
    "ROOT",
    "WRITTEN",
    "Request",
    "SuiteError",
    "cli",
    "honest",
    "load_task",
    "registry",
    "resolve",
    "synthetic",
    "task_names",
    "uncompiled",
    "write_logs",
]


def honest() -> Any:
    """Return the tests' module that makes runs which hold in every respect."""
    return _helper("tests.support.honest")


def synthetic() -> Any:
    """Return the tests' module that writes many synthetic run directories."""
    return _helper("tests.support.synthetic")


def write_logs(out: Path) -> None:
    """Write two made-up logs of Pong as the tests do; the sample is drawn by `suite data sample`."""
    logs = _helper("tests.suite.experience.logs.conftest")
    for run in (1, 2):
        place = logs.Place(out, "Pong", run)
        logs.with_manifest(logs.made_up(place, "......T....X......." * 12, [150, 150], run))


@contextmanager
def uncompiled() -> Iterator[None]:
    """Let plans be made without compiling programs, which takes nearly all of their time: they cost nothing."""
    nothing = dict.fromkeys(("update_operations", "action_operations", "training_bytes"), 0)
    with patch.multiple(ProgramCost, **nothing):
        yield


def _helper(name: str) -> ModuleType:
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
    return importlib.import_module(name)
