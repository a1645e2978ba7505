"""A cell of a bundle, drawn by lot and trained again up to a recorded checkpoint: did the same hashes come out?

That is what a replay cannot show: that a network, trained as the record says, chose the actions. A hash covers the
whole learner and all actions up to its step, so that no more than the first one need be reached.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboard.bundles.bundle import Bundle
from leaderboard.bundles.runs import BundledRun
from suite.contracts import registry
from suite.errors import BadData, UnfitEnvironment, UsageError
from suite.records.record import Attempt, Checkpoint, Run, read_run
from suite.tasks import Task, load_task
from suite.tasks.configuration import Cell
from suite.tasks.specification import components

MOST_CHECKPOINTS = 1_000
"""As often as that a cell writes a checkpoint at most until the one that is compared."""

MATTERS = ("jax", "jaxlib", "flax", "optax", "numpy")
"""Packages on whose versions bits depend."""

Trainer = Callable[[BundledRun, "Goal", Path], Run]


@dataclass(frozen=True, slots=True)
class Goal:
    """How far a cell is trained again: to agent step `step`, past the recorded `checkpoints`, one every `every` steps.

    `diverged`: at that step the record says it left the numbers.
    """

    checkpoints: tuple[Checkpoint, ...]
    every: int
    step: int
    diverged: bool = False


@dataclass(frozen=True, slots=True)
class Rerun:
    """What came of a cell: the `steps` at which it came out the same, and the first at which it did not.

    `differences`: in words, what here is not as the record says it was there, and may make bits differ.
    """

    config_id: str
    game: str
    seed: int
    state: str
    steps: tuple[int, ...]
    differs_at: int | None
    differences: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Whether every hash came out the same."""
        return self.differs_at is None and bool(self.steps)

    def attestation(self) -> str:
        """Return the lines that say so in attest.toml; who did it, and when, is to be filled in."""
        return (
            f'[[reruns]]\nconfig_id = "{self.config_id}"\ngame = "{self.game}"\nseed = {self.seed}\n'
            f'agent_step = {self.steps[-1]}\nby = ""\ndate = ""\n'
        )


def draw(bundle: Bundle, cells: int) -> list[BundledRun]:
    """Return runs of a bundle, drawn by lot; those that diverged, which gain most by a lie, before others."""
    source = random.SystemRandom()
    runs = [(bundle.run(name).status.state == "done", source.random(), name) for name in bundle.run_names]
    return [bundle.run(name) for _, _, name in sorted(runs)[:cells]]


def goal_of(run: Run, until: int) -> Goal:
    """Return how far a run is trained again for its checkpoint number `until`, or its last if it has fewer.

    One that diverged, and has fewer or no more, is trained to where it did. Raises UsageError if there is nothing to
    compare, or BadData if its checkpoints follow no schedule.
    """
    rows, last = run.checkpoints[:until], run.status.agent_steps
    diverged = run.status.state == "diverged" and until >= len(run.checkpoints)
    if not rows and not diverged:
        raise UsageError(f"{run.path} has no checkpoint hash.", "Draw from another bundle.")
    every = math.gcd(*(row.agent_step for row in rows)) or max(1, last)
    step = last if diverged else rows[-1].agent_step
    if step > MOST_CHECKPOINTS * every:
        raise BadData(f"{run.path} has checkpoints at steps that follow no schedule.", "Do not trust it.")
    return Goal(rows, every, step, diverged)


def train_again(run: BundledRun, until: int, out: Path, train: Trainer) -> Rerun:
    """Train a run's cell again below `out` and compare its hashes; UnfitEnvironment where that cannot be done here."""
    _require_components(run)
    goal = goal_of(run, until)
    made = train(run, goal, out)
    found = {row.agent_step: (row.learner, row.history) for row in made.checkpoints}
    wanted = {row.agent_step: (row.learner, row.history) for row in goal.checkpoints}
    wrong = [step for step, hashes in wanted.items() if found.get(step) != hashes]
    ends = (made.status.state, made.status.agent_steps)
    if goal.diverged and not wrong and ends != ("diverged", goal.step):
        wrong = [goal.step]
    same = tuple(step for step in wanted if not wrong or step < wrong[0])
    if goal.diverged and not wrong:
        same = (*same, goal.step)
    cell, differs_at = run.cell, wrong[0] if wrong else None
    differences = tuple(differences_of(_recorded(run, goal), made.attempt))
    return Rerun(cell.config_id, cell.game, cell.seed, made.status.state, same, differs_at, differences)


def differences_of(there: Attempt, here: Attempt) -> list[str]:
    """Return what is not as it was recorded and may make bits differ, in words."""
    pairs: list[tuple[str, object, object]] = [("suite", there.suite_version, here.suite_version)]
    pairs += [("commit", there.git.get("commit"), here.git.get("commit"))]
    pairs += [(name, there.packages.get(name), here.packages.get(name)) for name in MATTERS]
    pairs += [(name, there.hardware.get(name), here.hardware.get(name)) for name in sorted(here.hardware)]
    pairs += [(name, there.execution.get(name), here.execution.get(name)) for name in ("threads", "form")]
    return [f"{name} was {str(old)[:60]!a}, is {str(new)[:60]!a}" for name, old, new in pairs if old != new]


def _recorded(run: Run, goal: Goal) -> Attempt:
    """Return the attempt that recorded what is compared."""
    number = goal.checkpoints[-1].attempt if goal.checkpoints else run.status.attempt
    return next((one for one in run.provenance.attempts if one.attempt == number), run.attempt)


def _require_components(run: Run) -> None:
    """Raise UnfitEnvironment unless every component is installed as the run used it."""
    for kind, part in components(run.cell.spec):
        known = registry.card(kind, part.id) if part.id in registry.registered(kind) else None
        if known is None or known.digest != part.card:
            raise UnfitEnvironment(
                f"The {kind} {part.id!a} is not here as {run.path} used it.",
                "Install the commit or the image that the record names, and what it needs.",
            )


def trainer(threads: int | None = None, data: Path | None = None) -> Trainer:
    """Return what trains a cell here, in this process, as its record says how it was computed."""

    def train(run: BundledRun, goal: Goal, out: Path) -> Run:
        from suite.experience.domains import require_environment
        from suite.learning.device import prepare

        task, spec = load_task(run.cell.spec.task), run.cell.spec
        execution = _recorded(run, goal).execution
        recorded = execution.get("threads")
        wanted = threads or (recorded if isinstance(recorded, int) else None)
        prepare(wanted, deterministic=bool(execution.get("deterministic", True)), precision=spec.precision)
        if data is None:
            require_environment(run, task)
        return _trained(run, goal, out, task, data)

    return train


def _trained(run: BundledRun, goal: Goal, out: Path, task: Task, data: Path | None) -> Run:
    import threading

    from suite.experience.replay.placement import Placement
    from suite.running.progress import open_progress
    from suite.running.runner import Job, run_cells
    from suite.running.start import Options

    execution = _recorded(run, goal).execution
    form = str(execution.get("form", "auto"))
    placement = Placement(str(execution.get("replay", "host")))
    cell = Cell(run.cell.spec, run.cell.game, run.cell.seed)
    if (out / cell.path).exists():
        raise UsageError(
            f"{out / cell.path} is there already.", "Give --out another folder: nothing may be taken over."
        )
    every = goal.every * task.units_per_step
    with open_progress(1) as progress:
        outcomes = run_cells(
            [Job(cell, dict(run.cell.departures))],
            out,
            lanes=1,
            options=Options(every, placement, form, data, goal.step),
            progress=progress,
            stop=threading.Event(),
            finished=lambda outcome: None,
        )
    if outcomes and outcomes[0].state == "failed":
        raise UnfitEnvironment(f"It could not be trained here: {outcomes[0].message}", "See the message.")
    return read_run(out / cell.path)


def reruns(
    bundle: Bundle, cells: int, until: int, out: Path, train: Trainer, said: Callable[[str], None]
) -> Sequence[Rerun]:
    """Draw cells of a checked bundle and train them again, one after another; `said` hears which."""
    found = []
    for run in draw(bundle, cells):
        goal = goal_of(run, until)
        said(f"drawn: {run.cell.config_id} {run.cell.game} seed {run.cell.seed}, to agent step {goal.step:,}")
        found.append(train_again(run, until, out, train))
    return found
