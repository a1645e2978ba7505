"""`suite list`: the names that the other commands take."""

from __future__ import annotations

import json
from typing import Any

import click

KINDS = ("tasks", "agents", "networks", "methods")


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(kind: str | None, as_json: bool) -> None:
    """List tasks, agents, networks and methods; read from their cards, no plug-in code is run."""
    listing = {name: _entries(name) for name in KINDS if kind in (None, name)}
    if as_json:
        click.echo(json.dumps({"schema": "suite.list/1", **listing}, indent=1))
        return
    width = max(len(entry["id"]) for entries in listing.values() for entry in entries)
    for name, entries in listing.items():
        click.echo(name)
        for entry in entries:
            click.echo(f"  {entry['id']:<{width}}  {entry['title']}. {entry['summary']}")


def _entries(kind: str) -> list[dict[str, Any]]:
    from suite import plugins
    from suite.tasks import load_task, task_names

    if kind == "tasks":
        tasks = [load_task(name) for name in task_names()]
        return [
            {"id": task.id, "version": task.version, "title": task.title, "summary": task.summary} for task in tasks
        ]
    singular: plugins.Kind = {"agents": "agent", "networks": "network", "methods": "method"}[kind]  # type: ignore[assignment]
    cards = [plugins.card(singular, name) for name in sorted(plugins.registered(singular))]
    return [{"id": card.id, "version": card.version, "title": card.title, "summary": card.summary} for card in cards]
