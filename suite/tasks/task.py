"""A task: everything that a fair comparison depends on. Changing any of it bumps the task's version."""

from __future__ import annotations

from typing import ClassVar, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Field, model_validator

from suite.contracts.card import Family, Value
from suite.tasks.games import Game

PART = 256
"""The most states that one call of a program looks at."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", serialize_by_alias=True)


class Environment(_Data):
    """Atari: every option of the emulator and of its preprocessing, none left to a library's default.

    `reseed_steps`: agent steps after which the next episode starts from a new emulator seed; see
    `suite.experience.envs.atari`.
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

    numbered_actions: ClassVar[bool] = True
    """An action is one of a game's, by its number."""
    whole_rewards: ClassVar[bool] = True
    """Rewards are differences of a score, which has no fractions."""

    @property
    def max_episode_steps(self) -> int:
        """The most agent steps that an episode can have."""
        return -(-self.max_episode_frames // self.frame_skip)

    def cap(self, game: Game) -> int:
        """Return the most agent steps that an episode of a game can have."""
        return self.max_episode_steps

    def action_bytes(self, game: Game) -> int:
        """Return the bytes that an action takes in a log of actions."""
        return 1


class MujocoEnvironment(_Data):
    """Continuous control: which of Gymnasium's MuJoCo tasks are meant, with their own defaults.

    `version`: the suffix of the environments' names. `max_episode_steps`: truncation, in environment steps.
    """

    version: Literal["v4", "v5"]
    max_episode_steps: int

    reseed_steps: ClassVar[int] = 1
    """Every episode starts from a seed of its own."""
    terminal_on_life_loss: ClassVar[bool] = False
    """A body has no lives."""
    numbered_actions: ClassVar[bool] = False
    """An action is a vector in [-1, 1], one number for each of a body's actuators."""
    whole_rewards: ClassVar[bool] = False
    """Rewards are sums of distances and forces."""

    def cap(self, game: Game) -> int:
        """Return the most environment steps that an episode of a body can have."""
        return self.max_episode_steps

    def action_bytes(self, game: Game) -> int:
        """Return the bytes that an action takes in a log of actions: a float32 for each actuator."""
        return 4 * game.actions


class DiscreteEnvironment(_Data):
    """Small environments with numbered actions, each episode from a seed of its own.

    `max_episode_steps`: truncation, in environment steps, by game. `reward_clip`: for learning only.
    """

    max_episode_steps: dict[str, int]
    reward_clip: float

    reseed_steps: ClassVar[int] = 1
    """Every episode starts from a seed of its own."""
    terminal_on_life_loss: ClassVar[bool] = False
    """Nothing has lives."""
    numbered_actions: ClassVar[bool] = True
    """An action is one of a game's, by its number."""
    whole_rewards: ClassVar[bool] = True
    """Rewards count steps or points."""

    def cap(self, game: Game) -> int:
        """Return the most environment steps that an episode of a game can have."""
        return self.max_episode_steps[game.name]

    def action_bytes(self, game: Game) -> int:
        """Return the bytes that an action takes in a log of actions."""
        return 1


class ClassicEnvironment(DiscreteEnvironment):
    """Classic control: Gymnasium's environments of these names, which hold a game's version, by game.

    `bounds`: the lowest and the highest value of each component of an observation, which is scaled to [-1, 1] by them.
    """

    names: dict[str, str]
    bounds: dict[str, tuple[tuple[float, ...], tuple[float, ...]]]


class MinAtarEnvironment(DiscreteEnvironment):
    """MinAtar: the games that the package calls by these names, and how many channels each shows, by game.

    `sticky_action_probability`: of the last action in place of the one chosen, at every step. `difficulty_ramping`:
    whether games that can become harder do.
    """

    names: dict[str, str]
    channels: dict[str, int]
    sticky_action_probability: float
    difficulty_ramping: bool


class Budget(_Data):
    """How long a run is, and each of the iterations that its curve is made of, in the task's unit (see `Task.unit`).

    In files, lengths in a task's unit are called after Atari's, whatever the unit.
    """

    length: int = Field(alias="frames")
    iteration_length: int = Field(alias="iteration_frames")


class Score(_Data):
    """The score rule, over the last `window_length` of a run, in the task's unit.

    `mean_training_return`: the mean unclipped training return of the episodes that end there.
    `mean_evaluation_return`: that of the episodes of all evaluations there.
    """

    rule: Literal["mean_training_return", "mean_evaluation_return"]
    window_length: int = Field(alias="window_frames")


class Evaluation(_Data):
    """Episodes that are played with fixed parameters, without the agent's own exploration.

    `every`: in the task's unit, or None for once at the end. As many `episodes` are played, or as many as take at least
    `agent_steps`. `epsilon`: the share of uniformly random actions.
    """

    episodes: int | None = Field(default=None, ge=1)
    agent_steps: int | None = Field(default=None, ge=1)
    every: int | None = Field(default=None, ge=1)
    epsilon: float = Field(ge=0, le=1)

    @model_validator(mode="after")
    def _one_measure(self) -> Self:
        if (self.episodes is None) == (self.agent_steps is None):
            raise ValueError("an evaluation has either episodes or agent_steps")
        return self


class Inspection(_Data):
    """How often a network is measured on states of its replay; see docs/diagnostics.md. Training does not depend on it.

    `every`: in the task's unit, a multiple of the period of the other diagnostics. `states`: how many are drawn for
    ranks and units. `gradients`: of how many transitions the gradients are compared with each other.
    """

    every: int = Field(ge=1)
    states: int = Field(default=2_048, ge=1)
    gradients: int = Field(default=32, ge=2, le=64)

    @model_validator(mode="after")
    def _states_come_in_equal_parts(self) -> Self:
        if (self.states > PART and self.states % PART) or self.gradients > min(self.states, PART):
            raise ValueError(f"states must be a multiple of {PART} or fewer, and not fewer than gradients")
        return self

    @property
    def parts(self) -> tuple[int, ...]:
        """How many states are looked at in one call, for each call."""
        return (min(self.states, PART),) * max(1, self.states // PART)


class Data(_Data):
    """Offline: the share of a logged run that is trained on, drawn as `suite.experience.logs.sample` says."""

    reading: Literal["blocks", "transitions", "episodes", "checkpoints"]
    fraction: float = Field(gt=0, le=1)
    seed: int = Field(default=0, ge=0)


class Task(_Data):
    """One benchmark task, as read from its TOML file. `agent` and `network` are what is run if none is named.

    `cells_of`: the task whose protocol this is another list of games over; its cells are that task's. `exploration`:
    whether the rate of random actions falls from 1 after the warm-up or is `epsilon_train` from the first step on.
    `core_hours`: about what one run takes of a CPU core, with the task's own agent and network. `overrides`: what is
    published for the task, by kind (`agent`) or component (`agent.dqn`, which goes before) and setting. `factors`: what
    a setting is multiplied by, by game, component and setting, where games' values differ.
    """

    id: str
    version: int = Field(ge=1)
    cells_of: str | None = None
    title: str
    summary: str
    official: bool
    games: tuple[str, ...]
    default_seeds: tuple[int, ...]
    budget: Budget
    environment: Environment | MujocoEnvironment | ClassicEnvironment | MinAtarEnvironment
    data: Data | None = None
    score: Score
    evaluation: Evaluation | None = None
    agent: str = "dqn"
    network: str = "impala"
    core_hours: float | None = Field(default=None, gt=0)
    diagnostics_every: int = Field(alias="diagnostics_frames")
    inspection: Inspection | None = None
    deviations: tuple[str, ...]
    exploration: Literal["decaying", "constant"] = "decaying"
    overrides: dict[str, dict[str, Value]] = {}
    factors: dict[str, dict[str, dict[str, float]]] = {}

    @model_validator(mode="after")
    def _score_can_be_had(self) -> Self:
        if self.score.rule == "mean_evaluation_return" and self.evaluation is None:
            raise ValueError("a score by evaluation returns needs [evaluation]")
        return self

    @model_validator(mode="after")
    def _inspections_fall_on_diagnoses(self) -> Self:
        if self.inspection is not None and self.inspection.every % self.diagnostics_every:
            raise ValueError("the period of [inspection] is no multiple of diagnostics_frames")
        return self

    @property
    def key(self) -> str:
        """`id@version`, as shown and stored."""
        return f"{self.id}@{self.version}"

    @property
    def protocol(self) -> str:
        """The task that its cells name: itself, or the one whose protocol it shares."""
        return self.cells_of or self.id

    @property
    def protocol_key(self) -> str:
        """`id@version` of that task, as cells, run directories and random streams have it."""
        return f"{self.protocol}@{self.version}"

    @property
    def family(self) -> Family:
        """Where experience comes from: an emulator, a log of one, simulated physics, classic control, or MinAtar.

        A name, for cards and lists. What follows from it are properties of a task, its environment or its domain.
        """
        if isinstance(self.environment, MujocoEnvironment):
            return "continuous"
        if isinstance(self.environment, ClassicEnvironment):
            return "classic"
        if isinstance(self.environment, MinAtarEnvironment):
            return "minatar"
        return "atari" if self.data is None else "offline"

    @property
    def unit(self) -> str:
        """What budgets, intervals and the `frame` of a record count."""
        return {"atari": "frames", "offline": "gradient steps"}.get(self.family, "environment steps")

    @property
    def place(self) -> int:
        """Where tasks of its family stand in a list of all: emulators, logs, physics, classic control, MinAtar."""
        return get_args(Family).index(self.family)

    @property
    def checkpoint_every(self) -> int:
        """How much of the unit lies between checkpoints if nobody says otherwise: some minutes to an hour of work."""
        periods = {"atari": 1_000_000, "offline": 125_000, "continuous": 50_000, "classic": 10_000, "minatar": 500_000}
        return periods[self.family]

    @property
    def program_threads(self) -> int | None:
        """The threads of one CPU program if nobody says otherwise; None: all cores.

        A small network's program is over before several threads have shared it out: there, lanes share the cores.
        """
        return 1 if isinstance(self.environment, DiscreteEnvironment) else None

    @property
    def units_per_step(self) -> int:
        """How much of the unit one step of a run is: an agent step, or offline a gradient step."""
        return self.atari.frame_skip if self.family == "atari" else 1

    @property
    def atari(self) -> Environment:
        """The environment of an Atari task, offline ones included."""
        assert isinstance(self.environment, Environment)
        return self.environment

    @property
    def mujoco(self) -> MujocoEnvironment:
        """The environment of a task of continuous control."""
        assert isinstance(self.environment, MujocoEnvironment)
        return self.environment

    @property
    def discrete(self) -> DiscreteEnvironment:
        """The environment of a task of small environments with numbered actions."""
        assert isinstance(self.environment, DiscreteEnvironment)
        return self.environment

    @property
    def classic(self) -> ClassicEnvironment:
        """The environment of a task of classic control."""
        assert isinstance(self.environment, ClassicEnvironment)
        return self.environment

    @property
    def minatar(self) -> MinAtarEnvironment:
        """The environment of a task of MinAtar."""
        assert isinstance(self.environment, MinAtarEnvironment)
        return self.environment

    def factors_of(self, game: str, kind: str, component: str) -> dict[str, float]:
        """Return what settings of a component are multiplied by in a game."""
        return self.factors.get(game, {}).get(f"{kind}.{component}", {})

    def agent_steps(self, length: int) -> int:
        """Return the steps of a run of so many of the unit."""
        return length // self.units_per_step

    def score_window(self, length: int) -> tuple[int, int]:
        """Return where (after the first, up to the second, in the unit) a scored episode of a run must end."""
        return max(0, length - self.score.window_length), length
