"""Bundles of honest runs: what goes in comes out, in this schema version and the one before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from leaderboard.bundles.bundle import open_bundle
from leaderboard.bundles.check import check_bundle
from leaderboard.bundles.findings import Rejected
from leaderboard.bundles.runs import DIAGNOSTIC_ROWS, from_document, to_document
from leaderboard.bundles.schema import MODELS, json_schema
from suite.records import covariance
from suite.records.claims import check
from suite.records.record import Diagnostics, read_run
from tests.support import attacks, honest

GOLDEN = Path(__file__).with_name("golden")
SCHEMAS = Path(__file__).resolve().parents[3] / "leaderboard/bundles/schemas"


@pytest.mark.parametrize("task", ["smoke", "smoke100k"])
def test_a_run_comes_back_as_it_was(tmp_path: Path, task: str) -> None:
    run = honest.honest_run(task, "Breakout", 1, methods="magnitude_pruning")
    path = honest.write_run(run, tmp_path)
    read = read_run(path)
    back = from_document(json.loads(to_document(read)), "runs/x.json")
    assert check(back, "done").digest == check(read, "done").digest
    assert back.actions() == read.actions()
    assert (back.checkpoints, back.provenance, back.diagnostics) == (
        read.checkpoints,
        read.provenance,
        read.diagnostics,
    )


def test_diagnostics_are_thinned_evenly_and_keep_the_last() -> None:
    run = honest.honest_run()
    rows = tuple(
        Diagnostics(
            attempt=1, agent_step=step, frame=4 * step, updates=0, values={"loss": step / 3} if step % 2 else {}
        )
        for step in range(1, 5001)
    )
    back = from_document(json.loads(to_document(attacks.replace(run, diagnostics=rows))), "runs/x.json")
    assert [row.agent_step for row in back.diagnostics] == list(range(5, 5001, 5))
    assert len(back.diagnostics) == DIAGNOSTIC_ROWS
    assert back.diagnostics[0].values == {"loss": 5 / 3}
    assert back.diagnostics[1].values == {}


def test_what_inspections_found_comes_back_whole_and_other_text_is_refused() -> None:
    run = honest.honest_run()
    text = covariance.pack(np.array([[1, 0.5, -1], [0.5, 1, 0], [-1, 0, 1]]))
    rows = tuple(
        row.model_copy(update={"values": row.values | {"srank": 7.0}, "covariance": text if index == 1 else ""})
        for index, row in enumerate(run.diagnostics)
    )
    document = json.loads(to_document(attacks.replace(run, diagnostics=rows)))
    assert from_document(document, "runs/x.json").diagnostics == rows
    assert "covariance" not in json.loads(to_document(run))["diagnostics"]
    document["diagnostics"]["covariance"][1] = "AAA="
    with pytest.raises(Rejected, match="no packed matrix"):
        from_document(document, "runs/x.json")
    document["diagnostics"]["covariance"] = [text]
    with pytest.raises(Rejected, match="several lengths"):
        from_document(document, "runs/x.json")


def test_an_opened_bundle_says_who_what_and_where(tmp_path: Path) -> None:
    path = tmp_path / "good.zip"
    path.write_bytes(attacks.good())
    with open_bundle(path) as bundle:
        assert bundle.submission.authors[0].name == "Ada Example"
        assert bundle.manifest.task == "smoke@1"
        assert sorted(bundle.cards) == [("agent", "dqn"), ("method", "dense"), ("network", "impala")]
        assert [(run.cell.game, run.cell.seed) for run in bundle.runs()] == [
            ("Breakout", 0),
            ("Breakout", 1),
            ("Pong", 0),
            ("Pong", 1),
        ]
        assert bundle.sha256 == honest.hashlib.sha256(attacks.good()).hexdigest()


def test_a_bundle_of_the_version_before_is_converted_as_the_golden_file_says() -> None:
    golden = json.loads((GOLDEN / "version-1.json").read_text())
    with open_bundle(GOLDEN / "version-1.zip") as bundle:
        found: dict[str, Any] = {
            "submission": bundle.submission.model_dump(mode="json", by_alias=True),
            "manifest": bundle.manifest.model_dump(mode="json", exclude={"files"}),
            "environments": len(bundle.environment.environments),
            "runs": {run.path.name: check(run, run.status.state).digest for run in bundle.runs()},
        }
    assert bundle.version == 1
    assert (found["submission"]["relationship"], found["submission"]["known_issues"]) == (None, [])
    assert found == golden


def test_a_converted_bundle_says_so() -> None:
    report = check_bundle(GOLDEN / "version-1.zip")
    assert "schema.converted" in [one.code for one in report.findings]
    assert report.count("error") == 0


@pytest.mark.parametrize("field", ["relationship = 'first_party'\n", "known_issues = []\n", "partial = true\n"])
def test_a_field_of_this_version_in_the_one_before_is_refused(tmp_path: Path, field: str) -> None:
    with open_bundle(GOLDEN / "version-1.zip") as bundle:
        files = {name: bundle._archive.read(name) for name in bundle._archive.names}
    files["submission.toml"] = field.encode() + files["submission.toml"]
    manifest = json.loads(files.pop("manifest.json"))
    fresh = json.loads(honest.manifest_of(files, manifest["task"], manifest["runs"]))
    files["manifest.json"] = json.dumps({**manifest, "files": fresh["files"]}).encode()
    path = tmp_path / "mixed.zip"
    path.write_bytes(attacks.zipped(files))
    with pytest.raises(Rejected, match="came with schema 2"):
        open_bundle(path)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_published_schemas_are_up_to_date(name: str) -> None:
    published = json.loads((SCHEMAS / f"{name}.json").read_text())
    assert published == json_schema(name)  # else: suite submit schema NAME > .../schemas/NAME.json
    assert published["additionalProperties"] is False


def test_nothing_else_is_published() -> None:
    assert sorted(path.stem for path in SCHEMAS.iterdir()) == sorted(MODELS)
