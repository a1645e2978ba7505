"""Tasks as data: one TOML file each, read into `Task`; `games.py` holds the reference scores."""

from suite.tasks.base import Budget, Environment, Score, Task, load_task, task_names
from suite.tasks.games import GAMES, Game, game, human_normalized

__all__ = [
    "GAMES",
    "Budget",
    "Environment",
    "Game",
    "Score",
    "Task",
    "game",
    "human_normalized",
    "load_task",
    "task_names",
]
