"""The plan of a study: which cells are there, which are missing, and what those take."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from leaderboard.board.flops import encoder
from leaderboard.studies.expansion import Expanded, Point
from suite.records.record import FINISHED, existing_state
from suite.running.profiles.profile import Profile, Rate, batch_size
from suite.tasks import GAMES
from suite.tasks.configuration import Cell, Spec

BYTES_PER_WEIGHT = 16
"""float32: parameters, target network, and Adam's two moments."""


@dataclass(frozen=True)
class StudyPlan:
    """The cells of a study with their states below a directory of runs, and what the missing ones take on a device.

    `lanes`: how many cells of a configuration make a group that one process runs.
    """

    expanded: Expanded
    out: Path
    device: Profile | None = None
    lanes: int = 1

    @cached_property
    def states(self) -> dict[tuple[str, str, int], str]:
        """The state of every cell: `missing`, or that of its record."""
        return {
            (point.config_id, cell.game, cell.seed): existing_state(self.out / cell.path) or "missing"
            for point, cell in self.expanded.cells()
        }

    def states_of(self, config_id: str) -> Counter[str]:
        """Return how many cells of a configuration have each state, by its name."""
        return Counter(state for (name, _, _), state in self.states.items() if name == config_id)

    @cached_property
    def missing(self) -> list[tuple[Point, Cell]]:
        """The cells without a result, in the order in which they can be run."""
        return [
            (point, cell)
            for point, cell in self.expanded.cells()
            if self.states[point.config_id, cell.game, cell.seed] not in FINISHED
        ]

    @cached_property
    def updates(self) -> dict[str, int]:
        """The gradient steps of a cell of each configuration."""
        from suite.learning.build import data_plan  # takes a second: jax

        task = self.expanded.task
        game = GAMES[self.expanded.games[0]]
        return {
            name: data_plan(point.resolved.spec, game).updates_by(task.agent_steps(point.resolved.spec.frames))
            for name, point in self.expanded.configurations.items()
        }

    def lane_bytes(self, point: Point) -> int:
        """Return what a lane holds on the host: its replay and its learner, without what an update takes beside."""
        from suite.experience.domains import domain_of
        from suite.experience.replay.placement import Placement
        from suite.learning.build import data_plan

        spec, task = point.resolved.spec, self.expanded.task
        domain = domain_of(task) if task.data is None else None
        weights = sum(layer.weights for layer in encoder(spec.model_dump(mode="json")) or ())
        if domain is None:
            return weights * BYTES_PER_WEIGHT
        game = max((GAMES[name] for name in self.expanded.games), key=lambda game: game.actions)
        plan = data_plan(spec, game)
        replay = domain.replay_bytes(plan, task.agent_steps(spec.frames), game, Placement.HOST)
        return sum(replay) + weights * BYTES_PER_WEIGHT

    def hours(self, point: Point) -> float | None:
        """Return the hours of a cell on the device; None where it was not measured there.

        Other widths are scaled by the operations of the network, other batches in proportion; what a distributional
        head or a method adds is left out.
        """
        spec, steps = point.resolved.spec, self.expanded.task.agent_steps(point.resolved.spec.frames)
        rate = None if self.device is None else self.device.nearest(spec)
        if self.device is None or rate is None:
            return None
        factor = 1.0 if self.device.fixed else _factor(spec, rate)
        return sum(rate.seconds(steps, self.updates[point.config_id], factor)) / 3600

    def document(self) -> dict[str, Any]:
        """Return the plan for machines: every cell with its own command, and the groups of those that are missing."""
        from suite.running.groups import request_document  # takes a second: jax

        hours = {name: self.hours(point) for name, point in self.expanded.configurations.items()}
        return {
            "schema": "suite.study.plan/1",
            "study": self.expanded.study.id,
            "task": self.expanded.task.key,
            "out": str(self.out),
            "data": next((str(p.request.data) for p in self.expanded.points if p.request.data is not None), None),
            "cells_total": len(self.states),
            "cells_missing": len(self.missing),
            "gradient_steps_missing": sum(self.updates[point.config_id] for point, _ in self.missing),
            "device": None if self.device is None else self.device.model_dump(exclude={"rates", "programs"}),
            "device_hours_missing": sum(hours[point.config_id] or 0.0 for point, _ in self.missing),
            "cells_without_rate": sum(hours[point.config_id] is None for point, _ in self.missing),
            "configurations": [
                {
                    "config_id": name,
                    "label": point.resolved.spec.label,
                    "coordinates": dict(point.coordinates),
                    "gradient_steps": self.updates[name],
                    "lane_bytes": self.lane_bytes(point),
                    "hours": hours[name],
                    "needs": list(point.needs),
                    "request": request_document(point.request),
                }
                for name, point in self.expanded.configurations.items()
            ],
            "cells": [
                {
                    "config_id": point.config_id,
                    "game": cell.game,
                    "seed": cell.seed,
                    "state": self.states[point.config_id, cell.game, cell.seed],
                    "path": cell.path,
                    "needs": point.needed(cell.game, cell.seed),
                    "command": point.command(cell.game, cell.seed),
                }
                for point, cell in self.expanded.cells()
            ],
            "groups": self.groups(),
        }

    def groups(self) -> list[dict[str, Any]]:
        """Return the groups of the missing cells as a plan's file has them: memory and time by this plan's figures."""
        from suite.running.cost import PROCESS_BYTES, PROGRAMS_BYTES
        from suite.running.groups import entry, numbered
        from suite.running.runner import Job, make_groups

        entries = []
        for jobs in make_groups([Job(cell, point.resolved.departures) for point, cell in self.missing], self.lanes):
            point = self.expanded.configurations[jobs[0].cell.spec.config_id]
            hours = self.hours(point)
            memory = PROCESS_BYTES + PROGRAMS_BYTES + len(jobs) * self.lane_bytes(point)
            entries.append(entry(jobs, memory, 0, None if hours is None else round(hours * 3600 * len(jobs), 1)))
        return numbered(entries, {cell.path: point.needed(cell.game, cell.seed) for point, cell in self.missing})


def _factor(spec: Spec, rate: Rate) -> float:
    """Return the operations of an update of a spec over those that a rate was measured with, by layers and batch."""
    batch = batch_size(spec) / rate.batch_size
    width = spec.network.settings.get("width", 1)
    document = spec.model_dump(mode="json")
    layers = encoder(document)
    if layers is None:  # two dense layers, of which the one between them is what grows
        return batch * ((float(width) / rate.width) ** 2 if isinstance(width, int) else 1.0)
    document["network"]["settings"]["width"] = rate.width
    measured = encoder(document) or layers
    operations = [sum(layer.weights * layer.places for layer in kernels) for kernels in (layers, measured)]
    return batch * operations[0] / operations[1]
