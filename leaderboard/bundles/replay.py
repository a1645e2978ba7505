"""Replay of a bundle's runs: their files, written by us from what was validated, go through `suite verify`."""

from __future__ import annotations

import json
import subprocess
import tempfile
from pathlib import Path

from leaderboard.bundles.bundle import Bundle
from leaderboard.bundles.findings import Finding, finding
from leaderboard.bundles.runs import BundledRun
from suite.children import run_module

SECONDS = 6 * 3600
"""How long all replays together may take."""


def replay_runs(bundle: Bundle) -> tuple[list[Finding], list[str]]:
    """Replay every finished run of a checked bundle; return findings, and the names of the runs that came out the same.

    Runs that diverged have no score to be replayed.
    """
    found: list[Finding] = []
    names: list[str] = []
    with tempfile.TemporaryDirectory(prefix="suite-replay-") as folder:
        paths: dict[str, str] = {}
        for number, name in enumerate(bundle.run_names):
            run = bundle.run(name)
            if run.status.state != "done":
                continue
            if _has_actions(run):
                path = Path(folder) / f"run-{number}" / "seed-0"
                _write(run, path)
                paths[str(path)] = name
            else:
                found.append(finding("replay.unavailable", name, "it was submitted without actions"))
        answers, problem = _verify(Path(folder)) if paths else ({}, "")
    for place, name in paths.items():
        if place not in answers:
            found.append(finding("replay.unavailable", name, problem.replace(place, "the run")))
        elif mismatches := answers[place]:
            found += [finding("replay.mismatch", name, text.replace(place, "the run")) for text in mismatches[:10]]
        else:
            names.append(name)
    return found, names


def _has_actions(run: BundledRun) -> bool:
    """Return whether there is something to replay, or nothing that would have to be."""
    summary = run.status.summary
    nothing_scored = summary is None or summary.scored_episodes == 0
    return nothing_scored or bool(run.actions()) or any(row.actions for row in run.evaluation)


def _write(run: BundledRun, path: Path) -> None:
    """Write a run directory that `suite verify` reads; all names are ours."""
    path.mkdir(parents=True)
    for name, model in (("spec", run.cell), ("provenance", run.provenance), ("status", run.status)):
        (path / f"{name}.json").write_text(model.model_dump_json(), encoding="utf-8")
    for name, rows in (
        ("episodes", run.episodes),
        ("evaluation", run.evaluation),
        ("actions", tuple(run.actions().values())),
        ("checkpoints", run.checkpoints),
        ("diagnostics", run.diagnostics),
    ):
        text = "".join(row.model_dump_json(by_alias=True) + "\n" for row in rows)
        (path / f"{name}.jsonl").write_text(text, encoding="utf-8")


def _verify(folder: Path) -> tuple[dict[str, list[str]], str]:
    """Return what `suite verify` says of each run that it got to, and its last words on standard error."""
    try:
        done = run_module("suite", ["verify", str(folder), "--json"], seconds=SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {}, type(error).__name__
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    said = done.stderr.decode("utf-8", "replace").splitlines()
    words = next((line for line in said if line.startswith(("Error", "Unexpected"))), "no answer")
    return {answer["path"]: list(answer["mismatches"]) for answer in answers}, words
