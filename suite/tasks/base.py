"""A task: everything that a fair comparison depends on. Changing any of it bumps the task's version."""

from __future__ import annotations

import functools
import tomllib
from importlib import resources
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from suite.card import Value
from suite.errors import unknown_name


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Environment(_Data):
    """Every option of the emulator and of its preprocessing, none left to a library's default.

    `reseed_steps`: agent steps after which the next episode starts from a new emulator seed; see `suite.envs.atari`.
    """

    frame_skip: int
    max_pool: bool
    sticky_action_probability: float
    screen_size: int
    grayscale: bool
    frame_stack: int
    no_op_max: int
    fire_reset: bool
    terminal_on_life_loss: bool
    full_action_set: bool
    max_episode_frames: int
    reseed_steps: int
    reward_clip: float


class Budget(_Data):
    """How long a run is, in emulator frames: `frame_skip` of them to an agent step."""

    frames: int
    iteration_frames: int


class Score(_Data):
    """The score rule.

    `mean_training_return`: the mean unclipped training return of the episodes that end in the last `window_frames`.
    `mean_evaluation_return`: that of the evaluation episodes after training.
    """

    rule: Literal["mean_training_return", "mean_evaluation_return"]
    window_frames: int


class Evaluation(_Data):
    """Episodes that are played once training is over: how many, and with which exploration rate."""

    episodes: int = Field(ge=1)
    epsilon: float = Field(ge=0, le=1)


class Task(_Data):
    """One benchmark task, as read from its TOML file. `agent` and `network` are what is run if none is named."""

    id: str
    version: int = Field(ge=1)
    title: str
    summary: str
    official: bool
    games: tuple[str, ...]
    default_seeds: tuple[int, ...]
    budget: Budget
    environment: Environment
    score: Score
    evaluation: Evaluation | None = None
    agent: str = "dqn"
    network: str = "impala"
    diagnostics_frames: int
    deviations: tuple[str, ...]
    overrides: dict[str, dict[str, Value]] = {}

    @model_validator(mode="after")
    def _score_can_be_had(self) -> Self:
        if self.score.rule == "mean_evaluation_return" and self.evaluation is None:
            raise ValueError("a score by evaluation returns needs [evaluation]")
        return self

    @property
    def key(self) -> str:
        """`id@version`, as shown and stored."""
        return f"{self.id}@{self.version}"

    def agent_steps(self, frames: int) -> int:
        """Return the agent steps in a number of frames."""
        return frames // self.environment.frame_skip

    def score_window(self, frames: int) -> tuple[int, int]:
        """Return the frames (after the first, up to the second) in which a scored episode of a run must end."""
        return max(0, frames - self.score.window_frames), frames


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
    return Task.model_validate(_content(name))


def _content(name: str) -> dict[str, Any]:
    text = resources.files("suite.tasks").joinpath(f"{name}.toml").read_text(encoding="utf-8")
    content = tomllib.loads(text)
    base = content.pop("base", None)
    return content if base is None else _content(base) | content
