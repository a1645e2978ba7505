#!/usr/bin/env python3
"""Many synthetic run directories, written fast: for proofs of speed, size and looks.

    python tests/support/synthetic.py --task atari40m --entries 30 --out DIR

Specs are real: agents, networks, methods and settings are drawn from the cards. Scores are not: a level of each entry,
a lean of each entry towards each game, noise of each seed that differs between games, learning curves, and now and then
a seed that never learns. Some cells are missing, some failed, some diverged, some went on after a kill. The same
arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np

from suite.tasks import GAMES, load_task
from tests.support.synthetic_entries import Entry, Plan, entries, game_names
from tests.support.synthetic_games import Setting
from tests.support.synthetic_runs import SyntheticRun

__all__ = ["STATEMENT", "Entry", "Plan", "entries", "write"]

STATEMENT = b"""\
schema = 2
title = "Synthetic runs"
contact = "someone@example.org"
license = "CC0-1.0"
relationship = "third_party"
partial = true
deviations = []
known_issues = ["No number in it was ever measured."]

[[authors]]
name = "Ada Example"

[code]
url = "https://example.org/code"
commit = "0123456789abcdef"

[tuning]
budget_runs = 0
games_used = []
selection_rule = "published settings"

[compute]
device = "none"
"""
"""A submission.toml for a bundle of them."""


def write(out: Path, plan: Plan) -> Counter[str]:
    """Write the plan's run directories below `out`; return how many cells ended how, `missing` ones included."""
    task = load_task(plan.task)
    drawn = entries(plan)
    ends: Counter[str] = Counter()
    noise = np.random.default_rng([plan.seed, 2])
    for name in game_names(plan):
        setting = Setting(plan, task, GAMES[name], width=float(noise.lognormal(-2.2, 0.6)))
        for entry, seed in itertools.product(drawn, range(plan.seeds or len(task.default_seeds))):
            state = _end(plan, setting.source("end", entry.config_id, seed).random())
            ends[state] += 1
            if state != "missing":
                SyntheticRun(setting, entry, seed, state).write(out)
    return ends


def _end(plan: Plan, draw: float) -> str:
    for state in ("missing", "failed", "diverged", "resumed"):
        draw -= getattr(plan, state)
        if draw < 0:
            return state
    return "done"


def main(arguments: list[str]) -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="where run directories go")
    defaults = Plan()
    parser.add_argument("--task", default=defaults.task)
    parser.add_argument("--paper", action="store_true", help="first the entries of the paper: widths, sparsities")
    parser.add_argument("--no-actions", dest="actions", action="store_false", help="leave the logs of actions empty")
    for name in (
        "entries",
        "games",
        "seeds",
        "iterations",
        "episodes_per_iteration",
        "evaluation_episodes",
        "diagnostics",
    ):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    for name in ("missing", "failed", "diverged", "resumed"):
        parser.add_argument(f"--{name}", type=float, default=getattr(defaults, name), help="share of all cells")
    parser.add_argument("--seed", type=int, default=0, help="other numbers")
    given = vars(parser.parse_args(arguments))
    out = given.pop("out")
    sys.stdout.write(json.dumps(write(out, Plan(**given)), sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
