"""Groups of lanes as what clusters run one by one: what a plan's file says of each, and such a file read back."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from suite.contracts.card import Value, written
from suite.errors import UsageError
from suite.records.predecessors import source_path
from suite.records.record import existing_state
from suite.running.plan import Plan
from suite.running.request import Request, Resolved, resolve
from suite.running.runner import Job, make_groups
from suite.tasks.configuration import Cell
from suite.tasks.specification import Dataset, components, path_of

SCHEMA = "suite.groups/1"
AGAIN = "Make the plan again: `suite run --dry-run --json` or `suite study plan --json`."


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class PlannedCell(_Part):
    """A cell of a group: the configuration is the group's."""

    game: str
    seed: int
    path: str


class Group(_Part):
    """Cells of one configuration that one process advances in lockstep, and what they take.

    `group`: its number in the plan. `needs`: the groups whose runs must be done before. `memory_bytes` of the process
    on the host, `device_memory_bytes` on an accelerator, 0 where none is meant; `seconds` projected for all of it, None
    where nobody knows.
    """

    group: int
    config_id: str
    label: str
    cells: tuple[PlannedCell, ...]
    needs: tuple[int, ...] = ()
    memory_bytes: int
    device_memory_bytes: int = 0
    seconds: float | None = None


class Configuration(_Part):
    """A configuration of a plan, and how it is asked for: a `Request` without its data."""

    config_id: str
    request: Request


class PlanFile(_Part):
    """What the file of a plan says of its groups. `computing`: the options of `suite run` that say how, by name."""

    schema_: Literal["suite.groups/1", "suite.plan/1", "suite.study.plan/1"]
    out: Path
    data: Path | None = None
    computing: dict[str, Any] = {}
    configurations: tuple[Configuration, ...]
    groups: tuple[Group, ...]

    @model_validator(mode="after")
    def _whole(self) -> Self:
        known = {item.config_id for item in self.configurations}
        for number, group in enumerate(self.groups):
            if group.group != number or not group.cells or group.config_id not in known:
                raise ValueError(f"group {number} is not whole")
            if not all(needed in range(number) for needed in group.needs):
                raise ValueError(f"group {number} needs one that does not come before it")
        return self

    def resolved(self, group: Group) -> Resolved:
        """Return a group's configuration as this version resolves it; UsageError if that is another one."""
        request = {item.config_id: item.request for item in self.configurations}[group.config_id]
        (resolved,) = resolve(replace(request, data=self.data))
        if (own := resolved.spec.config_id) != group.config_id:
            raise UsageError(f"The plan's {group.config_id} is {own} here: another version made it.", AGAIN)
        return resolved


def read_group(text: str) -> tuple[PlanFile, Group]:
    """Return the plan and the group that `PLAN.json#3` names; UsageError for what is no such file or number."""
    name, mark, number = text.rpartition("#")
    if not mark or not name or not (number.isascii() and number.isdigit()):
        raise UsageError(f"--cells {text!r} names no group of a plan.", "Give the file and a number: PLAN.json#0.")
    plan = read_plan(Path(name))
    if int(number) >= len(plan.groups):
        raise UsageError(f"{name} has {len(plan.groups)} groups, and no number {number}.", "They count from 0.")
    return plan, plan.groups[int(number)]


def read_plan(path: Path) -> PlanFile:
    """Return what a plan's file says; UsageError if it is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return PlanFile.model_validate({**content, "schema_": content.get("schema")})
    except OSError as error:
        raise UsageError(f"The plan {path} cannot be read: {error.strerror or error}.", AGAIN) from error
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"]).replace("schema_", "schema")
        raise UsageError(f"{path} is no plan with groups: {where}: {error.errors()[0]['msg']}.", AGAIN) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is no plan: it holds no JSON object.", AGAIN) from error


def document(plans: Sequence[Plan], computing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the file of the groups of several plans, which share a place for results, in the order of the plans."""
    configurations = {item.spec.config_id: item for plan in plans for item in plan.resolved}
    return {
        "schema": SCHEMA,
        "out": str(plans[0].out.absolute()),
        "data": next((str(plan.data.absolute()) for plan in plans if plan.data is not None), None),
        "computing": dict(computing),
        "configurations": [
            {"config_id": name, "label": item.spec.label, "request": request_document(request_of(item))}
            for name, item in configurations.items()
        ],
        "groups": groups_of(plans),
    }


def groups_of(plans: Sequence[Plan]) -> list[dict[str, Any]]:
    """Return every group of the cells that plans have to run, numbered throughout, with what it takes."""
    entries: list[dict[str, Any]] = []
    sources = _sources(plans)
    for plan in plans:
        for jobs in make_groups(plan.jobs, plan.lanes):
            host, device = plan.costs.memory([job.cell for job in jobs], len(jobs), plan.placement)
            each = plan.costs.projection(jobs[0].cell.spec, len(jobs)).seconds
            entries.append(entry(jobs, host, device, None if each is None else round(each * len(jobs), 1)))
    return numbered(entries, {job.cell.path: needed(job.cell, sources) for plan in plans for job in plan.jobs})


def entry(jobs: Sequence[Job], memory: int, device_memory: int, seconds: float | None) -> dict[str, Any]:
    """Return what a plan says of a group, but for its number and what it needs."""
    spec = jobs[0].cell.spec
    return {
        "config_id": spec.config_id,
        "label": spec.label,
        "cells": [{"game": job.cell.game, "seed": job.cell.seed, "path": job.cell.path} for job in jobs],
        "memory_bytes": memory,
        "device_memory_bytes": device_memory,
        "seconds": seconds,
    }


def numbered(entries: Sequence[dict[str, Any]], needs: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """Return the groups with their numbers, and those of the groups that they need, which come before them.

    `needs`: the paths of the runs that a run starts from, by its own.
    """
    holder = {cell["path"]: number for number, each in enumerate(entries) for cell in each["cells"]}
    wanted = [
        {holder[path] for cell in each["cells"] for path in needs[cell["path"]] if path in holder} for each in entries
    ]
    order: list[int] = []
    while len(order) < len(entries):  # ends: what a run starts from is part of its identity
        left = set(range(len(entries))) - set(order)
        order += sorted(number for number in left if not wanted[number] & left)
    place = {number: index for index, number in enumerate(order)}
    return [
        {"group": index, **entries[number], "needs": sorted(place[needed] for needed in wanted[number])}
        for index, number in enumerate(order)
    ]


def needed(cell: Cell, sources: Mapping[str, Sequence[str]]) -> list[str]:
    """Return the paths of the runs that a cell starts from; `sources`: configurations, by that which needs them."""
    return [str(source_path(Path(), cell, source)) for source in sources[cell.spec.config_id]]


def _sources(plans: Iterable[Plan]) -> dict[str, list[str]]:
    """Return the configurations whose runs those of each configuration start from."""
    found = {}
    for plan in plans:
        for item in plan.resolved:
            found[item.spec.config_id] = list(plan.costs.programs(item.spec).sources.values())
    return found


def request_of(resolved: Resolved) -> Request:
    """Return the request that resolves to this configuration: the published settings, and every departure."""
    spec = resolved.spec
    values: dict[str, Value] = {"precision": spec.precision}
    for kind, component in components(spec):
        values |= {path_of(kind, component.id, key): value for key, value in component.settings.items()}
    if spec.dataset is not None and (dataset := Dataset.read(spec.dataset)) is not None:
        values |= {f"data.{name}": value for name, value in dataset._asdict().items()}
    return Request(
        task=resolved.task.id,
        agent=spec.agent.id,
        network=spec.network.id,
        methods=("+".join(method.id for method in spec.methods),),
        settings=tuple(f"{path}={written(values[path])}" for path in resolved.departures),
        frames=spec.frames if spec.shortened else None,
    )


def request_document(request: Request) -> dict[str, Any]:
    """Return a request for machines, without the place of its data."""
    return {name: value for name, value in asdict(request).items() if name != "data"}


def share(cells: Sequence[tuple[str, Sequence[str]]], index: int, count: int) -> set[str]:
    """Return the paths of the cells of the share `index` of `count`; every cell comes with the paths of what it needs.

    Shares are cells in a row and so of one configuration as far as can be; a cell is where the run that it starts from
    is. They depend on what was asked for and not on what is there, nor on the machine.
    """
    before = {path: needs[0] for path, needs in cells if needs}

    def root(path: str) -> str:
        while path in before:
            path = before[path]
        return path

    units = {name: number for number, name in enumerate(dict.fromkeys(root(path) for path, _ in cells))}
    return {path for path, _ in cells if units[root(path)] * count // len(units) == index - 1}


def shared(plan: Plan, index: int, count: int) -> set[str]:
    """Return the paths of a plan's cells, those that are there included, that belong to a share."""
    order = {item.spec.config_id: number for number, item in enumerate(plan.resolved)}
    sources = _sources([plan])
    cells = sorted(
        [*plan.existing, *(job.cell for job in plan.jobs)],
        key=lambda cell: (order[cell.spec.config_id], cell.seed, plan.games.index(cell.game)),
    )
    return share([(cell.path, needed(cell, sources)) for cell in cells], index, count)


def states_of(group: Group, out: Path) -> list[tuple[PlannedCell, str]]:
    """Return the state of each cell's record, `missing` where there is none."""
    return [(cell, existing_state(out / cell.path) or "missing") for cell in group.cells]
