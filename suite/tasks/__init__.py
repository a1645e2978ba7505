"""Tasks as data: one TOML file each, read into `Task`; `games.py` holds the reference scores."""

from suite.tasks.games import ATARI, GAMES, MUJOCO, Game, game, human_normalized
from suite.tasks.task import (
    Budget,
    Data,
    Environment,
    Evaluation,
    Inspection,
    MujocoEnvironment,
    Score,
    Task,
    games_of_cells,
    load_task,
    task_names,
)

__all__ = [
    "ATARI",
    "GAMES",
    "MUJOCO",
    "Budget",
    "Data",
    "Environment",
    "Evaluation",
    "Game",
    "Inspection",
    "MujocoEnvironment",
    "Score",
    "Task",
    "game",
    "games_of_cells",
    "human_normalized",
    "load_task",
    "task_names",
]
