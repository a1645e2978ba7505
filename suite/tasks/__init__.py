"""Tasks as data: one TOML file each, read into `Task`; `games.py` holds the reference scores."""

from suite.tasks.files import games_of_cells, load_task, task_names
from suite.tasks.games import ATARI, CLASSIC, GAMES, MINATAR, MUJOCO, Game, game, human_normalized
from suite.tasks.task import (
    Budget,
    ClassicEnvironment,
    Data,
    DiscreteEnvironment,
    Environment,
    Evaluation,
    Inspection,
    MinAtarEnvironment,
    MujocoEnvironment,
    Score,
    Task,
)

__all__ = [
    "ATARI",
    "CLASSIC",
    "GAMES",
    "MINATAR",
    "MUJOCO",
    "Budget",
    "ClassicEnvironment",
    "Data",
    "DiscreteEnvironment",
    "Environment",
    "Evaluation",
    "Game",
    "Inspection",
    "MinAtarEnvironment",
    "MujocoEnvironment",
    "Score",
    "Task",
    "game",
    "games_of_cells",
    "human_normalized",
    "load_task",
    "task_names",
]
