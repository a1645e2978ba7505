"""`suite show`: all that a method, agent, network or task publishes about itself."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from importlib import resources
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from suite.contracts.card import Card
    from suite.tasks import Task

COMPONENTS = ("method", "agent", "network")
KINDS = (*COMPONENTS, "task")


@click.command()
@click.argument("what", metavar="[KIND] NAME", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show(what: tuple[str, ...], as_json: bool) -> None:
    """Show the card of a method, agent, network or task (KIND): identity, deviations, settings with their sources.

    KIND may be left out where the name says it. Read from cards, no plug-in code is run.
    """
    kind, name = _find(what)
    document = published(kind, name)
    if as_json:
        click.echo(json.dumps({"schema": "suite.show/1", "kind": kind, **document}, indent=1))
        return
    _print(kind, document)


def published(kind: str, name: str) -> dict[str, Any]:
    """Return all that one component or task publishes about itself, as JSON has it."""
    return _task_document(name) if kind == "task" else _card_document(kind, name)


def task_options(task: dict[str, Any]) -> tuple[list[tuple[str, str, str]], dict[str, str]]:
    """Return path, value and note of each option of a task's document, and the notes that belong to no option."""
    notes = task["sources"]
    rows = []
    for key, value in task.items():
        if isinstance(value, dict) and key != "sources":
            rows += _rows(key, value)
        elif value is not None and key not in ("id", "version", "title", "summary", "deviations", "sources"):
            rows.append((key, text_of(value)))
    known = dict(rows)
    own = {path: note for path, note in notes.items() if path not in known}
    return [(path, value, notes.get(path, "")) for path, value in rows], own


def _find(what: tuple[str, ...]) -> tuple[str, str]:
    from suite.errors import UsageError, unknown_name

    names = _names()
    if len(what) > 2:
        raise UsageError(f"suite show takes a kind and a name, not {len(what)} words.", "Show one at a time.")
    *kinds, name = what
    if not kinds:
        found = [kind for kind in KINDS if name in names[kind]]
        if not found:
            raise unknown_name("name", name, {known for own in names.values() for known in own})
        if len(found) > 1:
            raise UsageError(f"{name} names several: {', '.join(found)}.", f"Say which: suite show {found[0]} {name}")
        return found[0], name
    if kinds[0] not in KINDS:
        raise unknown_name("kind", kinds[0], KINDS)
    if name not in names[kinds[0]]:
        raise unknown_name(kinds[0], name, names[kinds[0]])
    return kinds[0], name


def _names() -> dict[str, list[str]]:
    from suite.contracts import registry
    from suite.tasks import task_names

    own = {kind: sorted(registry.registered(kind)) for kind in COMPONENTS}
    return {**own, "task": list(task_names())}


def _card_document(kind: str, name: str) -> dict[str, Any]:
    from suite.contracts import registry

    card = registry.card(kind, name)
    document: dict[str, Any] = {
        "id": card.id,
        "version": card.version,
        "digest": card.digest,
        "title": card.title,
        "summary": card.summary,
        "paper": card.paper,
        "deviations": list(card.deviations),
    }
    if kind == "method":
        document |= {"claims": list(card.claims), "cannot_be_combined_with": _refused(card)}
    settings = {key: setting.model_dump(mode="json", exclude_none=True) for key, setting in card.settings.items()}
    for key, setting in card.settings.items():
        settings[key]["range"] = setting.range_text()
    return {**document, "settings": settings}


def _refused(card: Card) -> dict[str, str]:
    """Return why this method cannot be combined, by method: those installed, and those that its card names."""
    from suite.contracts import registry

    others = [registry.card("method", name) for name in sorted(registry.registered("method")) if name != card.id]
    return card.conflicts | {other.id: reason for other in others if (reason := card.refusal(other))}


def _task_document(name: str) -> dict[str, Any]:
    from suite.tasks import load_task

    task = load_task(name)
    return {**task.model_dump(mode="json"), "sources": _notes(task)}


def _notes(task: Task) -> dict[str, str]:
    """Return what a task's file says beside its values, by their path: sources and meanings are comments there."""
    notes: dict[str, str] = {}
    files = resources.files("suite.tasks")
    names, base = [], task.id
    while base:
        names.append(base)
        text = files.joinpath(f"{base}.toml").read_text(encoding="utf-8")
        match = re.search(r'^base = "([\w-]+)"', text, re.MULTILINE)
        base = match[1] if match else ""
    for each in reversed(names):
        section = ""
        for line in files.joinpath(f"{each}.toml").read_text(encoding="utf-8").splitlines():
            if header := re.match(r"\[([\w.]+)\](?: # (.*))?$", line):
                section, note = header[1], header[2]
                path = section
            elif (value := re.match(r"(\w+) = .* # (.*)$", line)) and value[1] != "base":
                path, note = f"{section}.{value[1]}".lstrip("."), value[2]
            else:
                continue
            if note:
                notes[path] = note
    return notes


def _print(kind: str, document: dict[str, Any]) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    if not console.is_terminal:
        console.width = 160  # a pipe has no width
    digest = f", card {document['digest']}" if "digest" in document else ""
    console.print(f"{kind} {document['id']}, version {document['version']}{digest}")
    console.print(f"{document['title']}. {document['summary']}")
    if document.get("paper"):
        console.print(f"Published: {document['paper']}")
    refused = document.get("cannot_be_combined_with", {})
    if "alone" in document.get("claims", ()):
        refused = {"any other method": refused[next(iter(refused))]} if refused else {}
    _list(console, "Cannot be combined with", [f"{name}: {reason}" for name, reason in refused.items()])
    _list(console, "Departs from its sources", document["deviations"])
    if kind == "task":
        _print_task(console, document)
    elif document["settings"]:
        rows = [
            (name, text_of(setting["value"]), setting["unit"], setting["range"], setting["doc"], setting["source"])
            for name, setting in document["settings"].items()
        ]
        _table(console, ("setting", "value", "unit", "range", "meaning", "source"), rows)


def _print_task(console: Console, task: dict[str, Any]) -> None:
    rows, notes = task_options(task)
    _table(console, ("option", "value", "note"), rows)
    _list(console, "Notes", [f"{path}: {note}" for path, note in notes.items()])


def _rows(before: str, values: dict[str, Any]) -> list[tuple[str, str]]:
    """Return a section's options by their path."""
    rows = []
    for key, value in values.items():
        rows += _rows(f"{before}.{key}", value) if isinstance(value, dict) else [(f"{before}.{key}", text_of(value))]
    return rows


def text_of(value: Any) -> str:
    """Return a value as it is written in TOML, numbers with thousands apart."""
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, list):
        return ", ".join(map(text_of, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:_}"
    return json.dumps(value)


def _list(console: Console, heading: str, lines: list[str]) -> None:
    if lines:
        console.print(f"\n{heading}")
        for line in lines:
            console.print(f"  {line}")


def _table(console: Console, headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for index, heading in enumerate(headings):
        table.add_column(heading, no_wrap=index == 0, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    console.print()
    console.print(table)
