"""What the board's script shows of chosen entries beside each other: a file of a task's curves, games and settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from leaderboard.board.report import TaskData
from leaderboard.board.views import GameCell, TaskPage
from leaderboard.site import links
from leaderboard.site.drawing import charts
from suite.contracts.card import written


def path(task: TaskPage) -> str:
    """Return the path of the file."""
    return f"{links.slug(task.name)}/compare/entries.js"


def file(task: TaskPage, data: TaskData) -> dict[str, bytes]:
    """Return the file under its path: a script that sets `chosenFrom`, by entry and, of settings, those that differ."""
    board, curves = task.full, {curve.entry.config_id: curve for curve in task.full.curves}
    settings = {
        row.entry.config_id: _settings(data.configurations[row.entry.config_id].spec) for row in board.standings
    }
    told = [name for name in sorted(set().union(*settings.values())) if _differ(name, settings)]
    entries = {}
    for place, row in enumerate(board.standings):
        key = row.entry.config_id
        points = charts.curve_points(curves[key], board.iteration_length) if key in curves else ()
        cells = [game.cells[place] for game in board.games]
        entries[links.slug(key)] = {
            "curve": [[point.x, charts.rounded(point.value, 4)] for point in points],
            "games": [None if cell is None else charts.rounded(_score(task, cell), 4) for cell in cells],
            "settings": {name: settings[key][name] for name in told if name in settings[key]},
        }
    content = {
        **{"unit": task.unit, "scale": task.scale if task.aggregated else "raw"},
        **{"games": [game.game for game in board.games], "entries": entries},
    }
    return {
        path(task): f"self.chosenFrom = {json.dumps(content, ensure_ascii=False, separators=(',', ':'))};\n".encode()
    }


def _score(task: TaskPage, cell: GameCell) -> float | None:
    return cell.normalized if task.aggregated else cell.score


def _differ(name: str, settings: Mapping[str, Mapping[str, str]]) -> bool:
    return len({own.get(name) for own in settings.values()}) > 1


def _settings(spec: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the settings of an entry by their paths; of numbers that others published none is known."""
    if spec is None:
        return {}
    parts = [("agent", spec["agent"]), ("network", spec["network"]), *((item["id"], item) for item in spec["methods"])]
    found = {"agent": spec["agent"]["id"], "network": spec["network"]["id"]}
    found["method"] = "+".join(item["id"] for item in spec["methods"])
    for kind, part in parts:
        found |= {f"{kind}.{name}": written(value) for name, value in part["settings"].items()}
    return found
