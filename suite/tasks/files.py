"""The files of tasks: which there are, how one is read, and which are lists of games over another's protocol."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any

from suite.errors import BadData, unknown_name
from suite.tasks.task import Task


@functools.cache
def task_names() -> tuple[str, ...]:
    """Return the names of all tasks, sorted."""
    files = resources.files("suite.tasks").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


@functools.cache
def load_task(name: str) -> Task:
    """Return a task by name (`atari40m`); unknown names raise with the nearest one."""
    if name not in task_names():
        raise unknown_name("task", name, task_names())
    task = Task.model_validate(_content(name))
    if task.cells_of is not None:
        require_same_protocol(task, load_task(task.cells_of))
    return task


@functools.cache
def games_of_cells(name: str) -> tuple[str, ...]:
    """Return the games that a cell of a task can have: those of every list over its protocol, its own first."""
    own = load_task(name)
    lists = [own.games, *(task.games for task in map(load_task, task_names()) if task.protocol == own.id)]
    return tuple(dict.fromkeys(game for games in lists for game in games))


LIST = frozenset({"id", "cells_of", "title", "summary", "games", "default_seeds", "deviations", "core_hours"})
"""What is a list's own: its names, its games, how many seeds it asks for, and prose."""


def require_same_protocol(task: Task, other: Task) -> None:
    """Raise BadData, naming the fields, unless a list differs from the task whose cells it has in its own fields alone.

    So equal cells are one cell, trained once: see docs/decisions/0005-identity.md.
    """
    fields = sorted(Task.model_fields.keys() - LIST)
    if other.cells_of is not None:
        wrong = f"{other.id} itself has the cells of {other.cells_of}"
    elif different := [name for name in fields if getattr(task, name) != getattr(other, name)]:
        wrong = f"they differ in {', '.join(different)}"
    else:
        return
    raise BadData(
        f"The task {task.id} cannot have the cells of {other.id}: {wrong}.",
        "Make them equal but for the list of games, or leave `cells_of` out.",
    )


OWN = frozenset({"cells_of", "core_hours"})
"""What a task does not take over from its `base`."""


def _content(name: str) -> dict[str, Any]:
    text = resources.files("suite.tasks").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    base = content.pop("base", None)
    if base is None:
        return content
    return {key: value for key, value in _content(base).items() if key not in OWN} | content
