"""Replay of a bundle's runs: their files, written by us from what was validated, go through `suite verify`.

One run at a time is on the disk, in an order that nobody can foresee, so that what was replayed within a time limit is
a sample that its submitter did not choose.
"""

from __future__ import annotations

import json
import random
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from leaderboard.bundles.bundle import Bundle
from leaderboard.bundles.findings import Finding, finding
from leaderboard.bundles.runs import BundledRun
from suite.children import run_module
from suite.learning.device import processors

SECONDS = 6 * 3600.0
"""How long all replays together may take, unless less is given."""

MOST_AT_ONCE = 4
"""How many runs are replayed at a time, where there are as many processors: each takes about 150 MB."""


@dataclass(slots=True)
class Replayed:
    """What a replay found: findings, and the names of the runs that came out the same."""

    findings: list[Finding] = field(default_factory=list)
    names: list[str] = field(default_factory=list)


def replay_runs(bundle: Bundle, seconds: float = SECONDS) -> Replayed:
    """Replay the runs of a checked bundle, those that diverged too, for at most so many seconds."""
    done, ends = Replayed(), time.monotonic() + seconds
    names = list(bundle.run_names)
    random.SystemRandom().shuffle(names)
    with ThreadPoolExecutor(min(MOST_AT_ONCE, processors())) as pool:
        reached = list(pool.map(lambda name: _reached(bundle, name, ends, done), names))
    late = reached.count(False)
    if late:
        text = f"{len(names) - late} of {len(names)} runs were reached in {seconds / 60:.3g} minutes"
        done.findings.append(finding("replay.sampled", bundle.path.name, text))
    done.names.sort()
    return done


def _reached(bundle: Bundle, name: str, ends: float, done: Replayed) -> bool:
    """Replay a run unless time is up; return whether it was reached."""
    left = ends - time.monotonic()
    if left > 0:
        _replay(bundle.run(name), name, left, done)
    return left > 0


def _replay(run: BundledRun, name: str, seconds: float, done: Replayed) -> None:
    """Replay one run and add what was found."""
    if not _has_actions(run):
        done.findings.append(finding("replay.unavailable", name, "it was submitted without actions"))
        return
    with tempfile.TemporaryDirectory(prefix="suite-replay-") as folder:
        path = Path(folder) / "run" / "seed-0"
        _write(run, path)
        answers, problem = _verify(Path(folder), seconds)
    place = str(path)
    if place not in answers:
        done.findings.append(finding("replay.unavailable", name, problem.replace(place, "the run")))
        return
    answer = answers[place]
    if mismatches := answer["mismatches"]:
        done.findings += [finding("replay.mismatch", name, text.replace(place, "the run")) for text in mismatches[:10]]
    elif answer["whole"]:
        done.names.append(name)
    else:
        done.findings.append(finding("replay.unavailable", name, answer["missing"]))


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


def _verify(folder: Path, seconds: float) -> tuple[dict[str, dict[str, Any]], str]:
    """Return what `suite verify` says of each run that it got to, and its last words on standard error."""
    try:
        done = run_module("suite", ["verify", str(folder), "--json"], seconds=seconds)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {}, type(error).__name__
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    said = done.stderr.decode("utf-8", "replace").splitlines()
    words = next((line for line in said if line.startswith(("Error", "Unexpected"))), "no answer")
    return {answer["path"]: answer for answer in answers}, words
