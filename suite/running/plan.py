"""The plan of a run command: which cells it runs, in which order, how many at a time, and where their replay lies."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from suite.errors import UsageError
from suite.experience.domains import Domain, domain_of
from suite.experience.replay.placement import Placement
from suite.records.keeping import LAST, Keep
from suite.records.record import FINISHED, existing_state
from suite.running.cost import Basis, Costs, Projection
from suite.running.machine import Machine, this_machine
from suite.running.request import Resolved, parse_games, parse_seeds
from suite.running.runner import Job
from suite.tasks import Task
from suite.tasks.configuration import Cell

LEAST_FREE_DISK = 64 * 2**20
"""For logs and whatever else; checkpoints come on top."""
BASES: dict[Basis, str] = {
    "measured": "measured there",
    "scaled": "scaled by operations from the nearest that was measured there",
    "rough": "a rough figure from operation counts",
    "unknown": "the profile has no measured rate to go by; `suite profile record RUNS --out FILE` makes one that has",
}
"""What projected seconds rest on."""


@dataclass(frozen=True)
class Plan:
    """Cells to run, in order, and those that are there already. `existing` maps finished cells to their state.

    `keep`: what stays of checkpoints, which come every `checkpoint_every` of the task's unit; 0 where nobody says.
    """

    resolved: tuple[Resolved, ...]
    seeds: tuple[int, ...]
    out: Path
    lanes: int
    jobs: tuple[Job, ...]
    existing: dict[Cell, str]
    placement: Placement
    costs: Costs
    data: Path | None = None
    keep: Keep = LAST
    checkpoint_every: int = 0

    @property
    def task(self) -> Task:
        """The task that was asked for."""
        return self.costs.task

    @property
    def domain(self) -> Domain:
        """The task's domain."""
        return self.costs.domain

    @property
    def games(self) -> tuple[str, ...]:
        """The games that were asked for."""
        return self.costs.games

    @property
    def total(self) -> int:
        """The number of cells that were asked for."""
        return len(self.jobs) + len(self.existing)

    @property
    def together(self) -> int:
        """The number of cells that are run at a time: there may be fewer than lanes."""
        return min(self.lanes, len(self.jobs))

    @property
    def machine(self) -> Machine:
        """The machine that it is made for."""
        return self.costs.machine

    @cached_property
    def projections(self) -> dict[str, Projection]:
        """What a cell of each configuration has of the machine's time, by its name; where none is left, one alone."""
        together = max(1, self.together)
        return {item.spec.config_id: self.costs.projection(item.spec, together) for item in self.resolved}

    @property
    def seconds(self) -> float | None:
        """Projected seconds for all that is left; None where nothing is known of a part."""
        found = [self.projections[job.cell.spec.config_id].seconds for job in self.jobs]
        known = [seconds for seconds in found if seconds is not None]
        return sum(known) if len(known) == len(found) else None

    @property
    def basis(self) -> str:
        """What the projected seconds rest on, in words."""
        found = Counter(projection.basis for projection in self.projections.values())
        if len(found) == 1:
            return BASES[next(iter(found))]
        return "; ".join(f"{found[basis]} of {found.total()} {BASES[basis]}" for basis in BASES if found[basis])

    @cached_property
    def memory(self) -> tuple[int, int]:
        """The bytes that the process will hold at its peak: (host, device)."""
        return self.costs.memory([job.cell for job in self.jobs], self.lanes, self.placement)

    @property
    def lane_bytes(self) -> int:
        """The bytes of the largest lane, on host and device together."""
        return max((sum(self.costs.lane_bytes(job.cell, self.placement)) for job in self.jobs), default=0)

    @property
    def disk(self) -> int:
        """The bytes that checkpoints may take: those that stay of every cell, or its policy, and while it runs two."""
        checkpoint = max(self.costs.checkpoint_bytes(item.spec) for item in self.resolved)
        longest = max((job.cell.spec.frames for job in self.jobs), default=0)
        staying = self.keep.most(1 + longest // self.checkpoint_every if self.checkpoint_every else 1)
        policies = [self.costs.policy_bytes(job.cell.spec) for job in self.jobs if self.keep.what == "policy"]
        return (len(self.jobs) * staying + 2 * self.together) * checkpoint + sum(policies) + LEAST_FREE_DISK

    def only(self, paths: Container[str]) -> Plan:
        """Return the plan of the cells with these paths alone."""
        return replace(
            self,
            jobs=tuple(job for job in self.jobs if job.cell.path in paths),
            existing={cell: state for cell, state in self.existing.items() if cell.path in paths},
        )

    def fits(self, margin: float = 1.0) -> bool:
        """Return whether host and device have the memory."""
        host, device = self.memory
        return host <= self.machine.memory * margin and device <= self.machine.device_memory * margin


def make_plan(
    resolved: Sequence[Resolved],
    games: str,
    seeds: str | None,
    out: Path,
    lanes: str,
    placement: str = "auto",
    data: Path | None = None,
    machine: Machine | None = None,
) -> Plan:
    """Return the plan for resolved configurations; UsageError for games, seeds or lanes that cannot be.

    `machine`: where it is to run; by default this one, by what runs of the task below `out` took here.
    """
    task = resolved[0].task
    if task.data is not None and data is None:
        raise UsageError(
            f"{task.id} learns from logged data, and none is named.",
            "Give --data DIR; `suite data --help` says how to get or make some.",
        )
    chosen_games = parse_games(games, task)
    chosen_seeds = task.default_seeds if seeds is None else parse_seeds(seeds)
    cells = [(item, name, seed) for seed in chosen_seeds for name in chosen_games for item in resolved]
    return plan_of(cells, out, lanes, placement, data, machine)


def plan_of(
    asked: Sequence[tuple[Resolved, str, int]],
    out: Path,
    lanes: str,
    placement: str = "auto",
    data: Path | None = None,
    machine: Machine | None = None,
) -> Plan:
    """Return the plan for cells, each with its configuration, game and seed; those of one task, at least one.

    `machine`: as in `make_plan`.
    """
    jobs: list[Job] = []
    existing: dict[Cell, str] = {}
    for item, name, seed in asked:
        cell = Cell(item.spec, name, seed)
        state = existing_state(out / cell.path)
        if state is not None and state in FINISHED:
            existing[cell] = state
        else:
            jobs.append(Job(cell, item.departures))
    resolved = tuple({item.spec.config_id: item for item, _, _ in asked}.values())
    games = tuple(dict.fromkeys(name for _, name, _ in asked))
    seeds = tuple(dict.fromkeys(seed for _, _, seed in asked))
    task = resolved[0].task
    if machine is None:
        machine = this_machine(task.program_threads, out / task.protocol_key)
    costs = Costs(task, domain_of(task, data, resolved[0].spec.dataset), games, machine)
    first = Plan(resolved, seeds, out, 1, tuple(jobs), existing, Placement.HOST, costs, data)
    return _placed(first, lanes, placement)


def _placed(plan: Plan, lanes: str, placement: str) -> Plan:
    """Return the plan with its lanes, and its replay in the first place where that many fit."""
    choices = [Placement.HOST, Placement.COMPRESSED] if placement == "auto" else [Placement(placement)]
    if placement == "auto" and plan.machine.accelerator:
        choices.insert(0, Placement.DEVICE)
    for choice in choices:
        plan = replace(plan, placement=choice)
        plan = replace(plan, lanes=_lanes(lanes, plan))
        if plan.fits():
            break
    return plan


def _lanes(text: str, plan: Plan) -> int:
    if text != "auto":
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1024):
            raise UsageError(f"--lanes {text!r} cannot be read.", "Give a whole number from 1, or `auto`.")
        return int(text)
    most = max(1, min(plan.machine.processors, len(plan.jobs)))
    return next((count for count in range(most, 1, -1) if replace(plan, lanes=count).fits(0.95)), 1)
