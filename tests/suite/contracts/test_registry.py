"""A third party's method: a module, a card beside it and an entry point, as the README says; nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

MODULE = '''
"""Multiplies every update by a factor: a method in ten lines."""

import optax

from suite.contracts.method import Context, Method


def make(settings, context: Context) -> Method:
    scale = optax.scale(settings["factor"])
    return Method("half_step", wrap=lambda inner: optax.with_extra_args_support(optax.chain(inner, scale)))
'''
CARD = """
id = "half_step"
version = 1
title = "Half step"
summary = "Takes half of every update."

[settings.factor]
value = 0.5
doc = "Factor on every update."
source = "a test"
minimum = 0
maximum = 1
"""


def install(root: Path, name: str = "half_step", distribution: str = "outsider", card: str | None = CARD) -> None:
    """Lay out what pip would: a package and its metadata."""
    package = root / distribution.replace("-", "_")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "half_step.py").write_text(MODULE)
    if card is not None:
        (package / "half_step.toml").write_text(card)
    metadata = root / f"{package.name}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[suite.methods]\n{name} = {package.name}.half_step:make\n")


def suite(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "suite", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(root)},
    )


@pytest.mark.slow
def test_an_outsiders_method_is_found_listed_set_and_run(tmp_path: Path) -> None:
    install(tmp_path)
    assert "half_step" in suite(tmp_path, "list", "methods").stdout
    done = suite(
        tmp_path,
        *("run", "--task", "smoke", "--network", "nature_cnn", "--games", "Pong", "--seeds", "0", "--frames", "2400"),
        *("--method", "half_step+magnitude_pruning", "--set", "method.factor=0", "--out", str(tmp_path / "out")),
        "--json",
    )
    assert done.returncode == 0, done.stderr
    row = json.loads(done.stdout)
    assert row["state"] == "done"
    assert row["label"].endswith("half_step+magnitude_pruning")
    first, *_, last = (
        json.loads(line)["values"]["parameter_norm"]
        for line in (Path(row["path"]) / "diagnostics.jsonl").read_text().splitlines()
    )
    assert last == first  # a factor of 0 learns nothing


@pytest.mark.parametrize(
    ("name", "card", "code", "sentence"),
    [
        ("half_step", None, 4, "The card of method 'half_step' at"),
        ("half_step", "id = 1", 4, "id: Input should be a valid string"),
        ("other_name", CARD, 4, "names 'half_step' but is registered as 'other_name'"),
        ("magnitude_pruning", CARD, 2, "Two installed packages register the method 'magnitude_pruning'"),
    ],
)
def test_a_plug_in_that_cannot_be_used_is_named(
    tmp_path: Path, name: str, card: str | None, code: int, sentence: str
) -> None:
    install(tmp_path, name, card=card)
    done = suite(tmp_path, "run", "--task", "smoke", "--method", name, "--dry-run")
    assert done.returncode == code, done.stderr
    assert sentence in done.stderr
    assert "Traceback" not in done.stderr
