"""One group of lanes of a plan's file, made ready to run here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from suite.cli.training import Computing, prepared
from suite.errors import UsageError

if TYPE_CHECKING:
    from suite.running.plan import Plan

BESIDE = ("cells", "out", "as_json", "dry_run")


def given(context: click.Context) -> set[str]:
    """Return the names of the parameters that stand on the command line."""
    return {name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE}


def planned_group(
    text: str, out: Path | None, computing: Computing, context: click.Context, kept: Sequence[str]
) -> tuple[Plan, Computing]:
    """Return the plan of the group that `PLAN.json#3` names, and how it is computed: as planned, or as options say.

    `kept`: the options that a plan's file has. UsageError beside one that says again what the plan says.
    """
    from suite.running.groups import read_group

    named = given(context)
    for parameter in context.command.params:
        if parameter.name in named - {*BESIDE, *kept}:
            raise UsageError(
                f"{parameter.opts[0]} says nothing beside --cells: the plan says what is run.", "Leave it out."
            )
    plan, group = read_group(text)
    how: dict[str, Any] = {name: value for name, value in plan.computing.items() if name in set(kept) - named}
    computing = replace(computing, lanes=str(len(group.cells)), **how)
    resolved = plan.resolved(group)

    def make() -> Plan:
        from suite.running.plan import plan_of  # takes a second: jax

        asked = [(resolved, cell.game, cell.seed) for cell in group.cells]
        place = plan.out if out is None or "out" not in named else out
        return plan_of(asked, place, computing.lanes, computing.placement, plan.data)

    return prepared(resolved, computing, make), computing
