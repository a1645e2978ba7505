"""`suite list`: the names that the other commands take."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import click

from suite.durations import duration

KINDS = ("tasks", "agents", "networks", "methods")


@click.command("list")
@click.argument("kind", required=False, type=click.Choice(KINDS))
@click.option("--verbose", is_flag=True, help="All that each publishes: sources, deviations, settings.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def list_(kind: str | None, verbose: bool, as_json: bool) -> None:
    """List tasks, agents, networks and methods; read from their cards, no plug-in code is run.

    Tasks stand in the order of what one run of them costs.
    """
    listing = {name: _documents(name) if verbose else _entries(name) for name in KINDS if kind in (None, name)}
    if as_json:
        click.echo(json.dumps({"schema": "suite.list/1", **listing}, indent=1))
        return
    if verbose:
        click.echo("\n\n".join("\n".join(_lines(name[:-1], entry)) for name in listing for entry in listing[name]))
        return
    width = max(len(entry["id"]) for entries in listing.values() for entry in entries)
    for name, entries in listing.items():
        click.echo(name)
        for entry in entries:
            click.echo(f"  {entry['id']:<{width}}  {entry['title']}. {entry['summary']}{_cost(entry)}")


def _cost(entry: dict[str, Any]) -> str:
    hours = entry.get("core_hours")
    return f" A run: about {duration(3600 * hours)} of a CPU core." if hours else ""


def _entries(kind: str) -> list[dict[str, Any]]:
    from suite.contracts import registry
    from suite.tasks import load_task, task_names

    if kind == "tasks":
        tasks = sorted(map(load_task, task_names()), key=lambda task: (task.core_hours or math.inf, task.id))
        names = ("id", "version", "title", "summary", "core_hours")
        return [{name: getattr(task, name) for name in names} for task in tasks]
    singular: registry.Kind = {"agents": "agent", "networks": "network", "methods": "method"}[kind]  # type: ignore[assignment]
    cards = [registry.card(singular, name) for name in sorted(registry.registered(singular))]
    return [{"id": card.id, "version": card.version, "title": card.title, "summary": card.summary} for card in cards]


def _documents(kind: str) -> list[dict[str, Any]]:
    """Return what `suite show` gives of each, which includes an entry."""
    from suite.cli.show import published

    return [published(kind[:-1], entry["id"]) for entry in _entries(kind)]


def _lines(kind: str, document: dict[str, Any]) -> Iterator[str]:
    """Yield one component's lines: no tables, so that a line can be searched for and wraps as the terminal does."""
    from suite.cli.show import task_options, text_of

    digest = f", card {document['digest']}" if "digest" in document else ""
    yield f"{kind} {document['id']}, version {document['version']}{digest}"
    yield f"  {document['title']}. {document['summary']}"
    if document.get("paper"):
        yield f"  Published: {document['paper']}"
    for deviation in document["deviations"]:
        yield f"  Departs from its sources: {deviation}"
    for name, setting in document.get("settings", {}).items():
        value = " ".join(filter(None, (text_of(setting["value"]), setting["unit"])))
        yield f"  {name} = {value} ({setting['range']}): {setting['doc']}"
        yield f"    Source: {setting['source']}"
    if kind == "task":
        options, notes = task_options(document)
        yield from (f"  {path} = {value}{note and f': {note}'}" for path, value, note in options)
        yield from (f"  {path}: {note}" for path, note in notes.items())
