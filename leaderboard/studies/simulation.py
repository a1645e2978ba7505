"""Error rates and power of verdicts: simulated results of a study, with the noise of published scores.

`python -m leaderboard.studies.simulation --out FILE` repeats the tables of docs/studies.md. Without a difference every
configuration has the same distribution; with the paper's, what a claim says is better is better by what it reports.
"""

from __future__ import annotations

import argparse
import functools
import json
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from leaderboard.statistics.metrics import Scores
from leaderboard.statistics.simulations.worlds import board
from leaderboard.store.rows import StoredRun
from leaderboard.studies.contrasts import contrasts_of
from leaderboard.studies.definition import Claim, load_study
from leaderboard.studies.evidence import Evidence
from leaderboard.studies.expansion import Expanded, expand
from leaderboard.studies.verdicts import State, verdict
from suite.running.provenance import hardware
from suite.tasks import GAMES

NULL = (
    *(("fig1", "dqn-gain", seeds, noise) for seeds in (3, 5, 10) for noise in ("real", "long tails", "collapse")),
    *(("fig3", "gain", seeds, "real") for seeds in (3, 5)),
    *(("fig5", "faster", seeds, noise) for seeds in (3, 5, 10) for noise in ("real", "collapse")),
    *(("fig1", "dense-falls", seeds, "real") for seeds in (3, 5)),
)
"""Claims that are false where nothing differs: a pair, two pairs, a difference of leads, rows; seeds and noise."""

EFFECTS = tuple(
    (*claim, seeds, "real")
    for claim in (("fig1", "dqn-gain"), ("fig1", "rainbow-gain"), ("fig3", "gain"), ("fig15", "impala-gain"))
    for seeds in (2, 3, 5, 10)
)
"""Claims of which the paper reports how large the difference is."""


def run_of(config_id: str, game: str, seed: int, score: float, iterations: Mapping[int, float]) -> StoredRun:
    """Return a finished run with a raw score and the mean returns of its iterations."""
    return StoredRun(
        config_id=config_id,
        game=game,
        seed=seed,
        environment_fingerprint="simulated",
        attempt=1,
        state="done",
        frames=0,
        score=score,
        parameters=None,
        active_parameters=None,
        sparsity=None,
        departures={},
        ended_at="",
        digest="",
        iterations=iterations,
    )


def results(expanded: Expanded, scores: Mapping[str, Scores]) -> Evidence:
    """Return evidence with human-normalized scores, [seeds] by game, for each configuration."""
    runs = {
        config_id: [
            run_of(config_id, game, seed, _raw(game, float(value)), {})
            for game, values in own.items()
            for seed, value in zip(expanded.seeds, values, strict=False)
        ]
        for config_id, own in scores.items()
    }
    return Evidence(runs)


def simulated(study: str, claim_id: str, seeds: int, noise: str, key: str, *, effect: bool) -> State:
    """Return the verdict on one simulated set of results, a number of `seeds` a game being what was planned."""
    expanded = _expanded(study).reduced(None, range(seeds))
    claim = claim_of(study, claim_id)
    better = {contrast.points[0].config_id for contrast in contrasts_of(expanded, claim)} if effect else set()
    names = list(expanded.configurations)
    factors = [1 + (claim.effect or 0.0) * (name in better) for name in names]
    drawn = board(f"{study}/{claim_id}/{seeds}/{noise}/{effect}/{key}", seeds, noise, factors)
    games = sorted(name for name in expanded.games if GAMES[name].normalizable)
    scores = {name: dict(zip(games, own.values(), strict=True)) for name, own in zip(names, drawn, strict=True)}
    return verdict(expanded, claim, results(expanded, scores)).state


def shares(study: str, claim_id: str, seeds: int, noise: str, boards: int, *, effect: bool) -> dict[str, float]:
    """Return the share of simulated results of which a claim holds, fails, or is open."""
    found = Counter(simulated(study, claim_id, seeds, noise, f"{i}", effect=effect) for i in range(boards))
    return {state: found[state] / boards for state in ("holds", "fails", "open")}


@functools.cache
def _expanded(study: str) -> Expanded:
    return expand(load_study(study))


def claim_of(study: str, claim_id: str) -> Claim:
    """Return a claim of a study."""
    return next(claim for claim in load_study(study).claims if claim.id == claim_id)


def _raw(game: str, score: float) -> float:
    reference = GAMES[game]
    assert reference.random_score is not None
    assert reference.human_score is not None
    return reference.random_score + score * (reference.human_score - reference.random_score)


def _key(row: dict[str, Any]) -> tuple[Any, ...]:
    return bool(row["difference"]), row["study"], row["claim"], row["noise"], row["seeds"]


def _row(job: tuple[str, str, int, str, int, bool]) -> dict[str, Any]:
    study, claim_id, seeds, noise, boards, effect = job
    found = shares(study, claim_id, seeds, noise, boards, effect=effect)
    difference = claim_of(study, claim_id).effect if effect else 0.0
    return {
        "study": study,
        "claim": claim_id,
        "seeds": seeds,
        "noise": noise,
        "difference": difference,
        "boards": boards,
        **found,
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Write rows of claims that are false, and of those with the paper's difference, beside those that are there."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--boards", type=int, default=200, help="Simulated results of each row.")
    parser.add_argument("--seeds", type=int, nargs="+", help="Only rows of these numbers of seeds.")
    parser.add_argument("--noises", nargs="+", help="Only rows of these noises.")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args(arguments)
    jobs = [(*row, given.boards, False) for row in NULL] + [(*row, given.boards, True) for row in EFFECTS]
    jobs = [job for job in jobs if job[2] in (given.seeds or [job[2]]) and job[3] in (given.noises or [job[3]])]
    with ProcessPoolExecutor(given.processes, mp_context=get_context("spawn")) as pool:
        rows = list(pool.map(_row, jobs))
    known = json.loads(given.out.read_text(encoding="utf-8")) if given.out.exists() else {"rows": []}
    made = {_key(row): row for row in [*known["rows"], *rows]}
    rows = [made[key] for key in sorted(made)]
    found = hardware()
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{found['cpu']}, {found['cores']} cores, {found['memory_gib']:.0f} GiB",
        "command": shlex.join(["python", "-m", "leaderboard.studies.simulation", *(arguments or sys.argv[1:])]),
        "figures": {
            "worst_false_holds_percent": 100 * max(row["holds"] for row in rows if not row["difference"]),
            "false_holds_percent": 100 * float(np.mean([row["holds"] for row in rows if not row["difference"]])),
            "least_power_percent": 100 * min((row["holds"] for row in rows if row["difference"]), default=0.0),
        },
        "rows": rows,
    }
    given.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
