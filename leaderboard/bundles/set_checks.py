"""Checks of the runs of a bundle together: complete, each once, and none the copy of another."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.bundles.curves import Curve
from leaderboard.bundles.findings import Finding, finding
from leaderboard.bundles.schema import ManifestRun
from suite.tasks import Task

SIMILAR = 0.999
ALIKE_POINTS = 8
"""Curves of fewer points are too few to be called alike."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """What is kept of a run once it has been checked. `trace`: as `claims.trace`; `digest`: of all that counts."""

    name: str
    claim: ManifestRun
    curve: Curve
    trace: str
    fingerprints: frozenset[str]
    shortened: bool
    digest: str = ""

    @property
    def where(self) -> str:
        """The cell in words."""
        return f"{self.claim.config_id[:8]} {self.claim.game} seed {self.claim.seed}"


def check_grid(runs: Sequence[RunFacts], task: Task, *, partial: bool) -> Iterator[Finding]:
    """Yield findings about games and seeds that are missing, by configuration.

    Default seeds are wanted. More of them come in whole blocks, each of as many as the task has by default, all from
    the first on: none was chosen, and nobody stopped where it was best.
    """
    by_config: dict[str, dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for run in runs:
        by_config[run.claim.config_id][run.claim.game].add(run.claim.seed)
    for config, games in sorted(by_config.items()):
        absent = [game for game in task.games if game not in games]
        found: list[tuple[str, str]] = []
        if absent:
            found.append(("games.missing", f"no run of {', '.join(absent)}"))
        for game, seeds in sorted(games.items()):
            block = len(task.default_seeds)
            further = range(block, -(-(max(seeds) + 1) // block) * block)
            missing = sorted({*task.default_seeds, *further} - seeds)
            if set(further) - seeds:
                left = f"{_seeds(missing)} left out, submitted: {_list(sorted(seeds))}"
                yield finding("seeds.chosen", config[:8], f"{game}: {left}")
            elif any(seed < max(seeds) for seed in missing):
                found.append(("seeds.chosen", f"{game}: {_seeds(missing)} left out, submitted: {_list(sorted(seeds))}"))
            elif missing:
                found.append(("seeds.missing", f"{game}: no run of {_seeds(missing)}"))
        for code, message in found:
            yield finding("partial" if partial else code, config[:8], message)


def check_copies(runs: Sequence[RunFacts]) -> Iterator[Finding]:
    """Yield findings about runs whose episodes or curves are those of another one."""
    first: dict[str, RunFacts] = {}
    for run in runs:
        other = first.setdefault(run.trace, run) if run.trace else run
        if other is run:
            continue
        same_cell = (other.claim.game, other.claim.seed) == (run.claim.game, run.claim.seed)
        yield finding("curves.similar" if same_cell else "curves.identical", run.where, f"as {other.where}")
    by_length: dict[int, list[RunFacts]] = defaultdict(list)
    for run in runs:
        by_length[len(run.curve.points)].append(run)
    for points, group in sorted(by_length.items()):
        if points > ALIKE_POINTS:
            yield from _similar(group)


def _similar(group: Sequence[RunFacts]) -> Iterator[Finding]:
    """Yield a finding for each run whose curve moves from point to point as an earlier one's does."""
    steps = np.diff(np.array([[point.mean_return for point in run.curve.points] for run in group]), axis=1)
    steps -= steps.mean(axis=1, keepdims=True)
    size = np.sqrt((steps**2).sum(axis=1, keepdims=True))
    unit = np.divide(steps, size, out=np.zeros_like(steps), where=size > 1e-9)
    alike = np.triu(unit @ unit.T > SIMILAR, 1)
    for later in np.flatnonzero(alike.any(axis=0)).tolist():
        earlier = group[int(np.flatnonzero(alike[:, later])[0])]
        if earlier.trace != group[later].trace or not earlier.trace:
            yield finding("curves.similar", group[later].where, f"its curve moves as that of {earlier.where}")


def check_environments(runs: Sequence[RunFacts]) -> Iterator[Finding]:
    """Yield a note for each game that was run in several environments."""
    found: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        found[run.claim.game] |= run.fingerprints
    for game, fingerprints in sorted(found.items()):
        if len(fingerprints) > 1:
            yield finding("environment.several", game, f"{len(fingerprints)} environments")


def _seeds(numbers: Sequence[int]) -> str:
    return f"seed{'s' if len(numbers) > 1 else ''} {_list(numbers)}"


def _list(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:20])) + (", ..." if len(numbers) > 20 else "")
