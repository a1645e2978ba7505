"""Methods on trial: registered for a while, trained a few gradient steps on a tiny network, with made-up data."""

from __future__ import annotations

import dataclasses
import importlib
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from suite.contracts import registry
from suite.contracts.agent import Agent, Learner, Params
from suite.contracts.card import Card, Value
from suite.contracts.method import Context, Method, due_examples, init_learner, wrap_optimizer
from suite.errors import BadData, SuiteError
from suite.experience.domains import domain_of
from suite.experience.observations import Inputs
from suite.experience.samples import Rows, Windows
from suite.learning import build
from suite.learning.programs import Programs
from suite.records.checkpoints import CheckpointStore
from suite.rng import Streams
from suite.running.checkpointing import learner_arrays, restored_learner
from suite.running.request import Request, resolve
from suite.tasks import MUJOCO, Game, load_task
from suite.tasks.configuration import Spec

Arrays = dict[str, NDArray[Any]]
TASKS = {"atari": "atari40m", "offline": "offline5", "continuous": "mujoco"}
"""Whose number of gradient steps schedules get: at a task's full length every published period comes round."""
NETWORK = "check_network"
BATCH_SIZE = 4
A_RUN = "0" * 16
"""A config_id for settings that must name a run to start from, and are published empty."""
_DISTRIBUTION = "suite-method-check"


@contextmanager
def registration(folder: Path | None = None) -> Iterator[tuple[str, ...]]:
    """Register the check's network, and the methods of the package in `folder`; yield the latter's names.

    What pip would write (metadata with entry points) is put on the path for a while; nothing is installed.
    """
    points = {"suite.networks": {NETWORK: f"suite.checks.method.{NETWORK}:make"}}
    paths: list[str] = []
    methods: dict[str, str] = {}
    if folder is not None:
        methods = _entry_points(folder)
        paths = list(dict.fromkeys(str(_root_of(folder, name, value)) for name, value in methods.items()))
        points["suite.methods"] = methods
    with tempfile.TemporaryDirectory() as temporary:
        metadata = Path(temporary) / f"{_DISTRIBUTION.replace('-', '_')}-1.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {_DISTRIBUTION}\nVersion: 1\n")
        lines = [f"[{group}]\n" + "".join(f"{k} = {v}\n" for k, v in own.items()) for group, own in points.items()]
        (metadata / "entry_points.txt").write_text("\n".join(lines))
        before, modules = list(sys.path), set(sys.modules)
        sys.path[:0] = [temporary, *paths]
        _forget()
        try:
            yield tuple(methods)
        finally:
            sys.path[:] = before
            packages = {value.partition(":")[0].partition(".")[0] for value in methods.values()}
            for name in set(sys.modules) - modules:
                if name.partition(".")[0] in packages:
                    del sys.modules[name]
            _forget()


def _forget() -> None:
    importlib.invalidate_caches()
    registry.registered.cache_clear()
    registry.card.cache_clear()


def _entry_points(folder: Path) -> dict[str, str]:
    path = folder / "pyproject.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"{path} cannot be read: {error}.", "Name a package's folder, or an installed method.") from error
    found = content.get("project", {}).get("entry-points", {}).get("suite.methods", {})
    if not found:
        raise BadData(
            f"{path} registers no method.",
            'Add [project.entry-points."suite.methods"] with a line such as my_method = "my_method.method:make".',
        )
    return {str(name): str(value) for name, value in found.items()}


def _root_of(folder: Path, name: str, value: str) -> Path:
    package = re.split(r"[.:]", value)[0]
    for root in (folder / "src", folder):
        if (root / package / "__init__.py").is_file() or (root / f"{package}.py").is_file():
            return root.resolve()
    raise BadData(
        f"{folder / 'pyproject.toml'} says that {name} is {value}, but {folder} has no package {package}.",
        "Name a package that lies there, or below src/.",
    )


@contextmanager
def quick_compilation() -> Iterator[None]:
    """Compile with few optimizations for a while: a quarter of the time, for programs that run a few times."""
    before = jax.config.read("jax_disable_most_optimizations")  # type: ignore[no-untyped-call]
    jax.config.update("jax_disable_most_optimizations", True)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)  # type: ignore[no-untyped-call]


def stand_ins(cards: Sequence[Card]) -> list[str]:
    """Return settings as for `--set` that name a made-up run wherever a method is published without one."""
    return [
        f"method.{card.id}.{name}={A_RUN}"
        for card in cards
        for name, setting in card.settings.items()
        if setting.value == "" and not setting.choices
    ]


@dataclass(frozen=True)
class Trial:
    """A combination of methods on an agent and the check's network (or another), for a number of actions.

    `methods`: as on the command line, `A+B`; empty for none at all. `settings`: as for `--set`. `disguise`: from the
    agent and its parameters' shapes to another one, around which the methods are built.
    """

    methods: str
    agent: str = "dqn"
    actions: int = 4
    settings: tuple[str, ...] = ()
    network: str = NETWORK
    batch_size: int = BATCH_SIZE
    disguise: Callable[[Agent, Params], Agent] | None = None

    @cached_property
    def _spec(self) -> Spec:
        names = self.methods.split("+") if self.methods else []
        given = [text for text in self.settings if names or not text.startswith("method.")]
        paths = {text.partition("=")[0].strip() for text in given}
        own = stand_ins([registry.card("method", name) for name in names])
        if "batch_size" in registry.card("agent", self.agent).settings:
            own.append(f"agent.batch_size={self.batch_size}")
        given += [text for text in own if text.partition("=")[0] not in paths]
        network: str | None = self.network
        if not load_task(self.task).environment.numbered_actions:
            network = None if network == NETWORK else network
            given.append("agent.hidden_units=8")
        (resolved,) = resolve(Request(self.task, self.agent, network, (self.methods or "dense",), tuple(given)))
        return resolved.spec if names else resolved.spec.model_copy(update={"methods": ()})

    @cached_property
    def _built(self) -> tuple[Agent, tuple[Method, ...]]:
        agent, methods = build.build(self._spec, self.game)
        if self.disguise is None:
            return agent, methods
        disguised = self.disguise(agent, build.shapes_of(agent, self._inputs))
        return disguised, build.methods_for(disguised, self._spec, self._inputs)

    @property
    def _inputs(self) -> Inputs:
        return domain_of(load_task(self.task)).inputs(self.game)

    @property
    def built(self) -> tuple[Method, ...]:
        """The methods."""
        return self._built[1]

    @property
    def context(self) -> Context:
        """What the methods were told."""
        agent, _ = self._built
        rate = float(self._spec.agent.settings.get("learning_rate", 0.0))
        return Context(self.total_updates, self.programs.shapes().params, agent.layers, rate, agent.step_size)

    def method_settings(self, name: str) -> dict[str, Value]:
        """Return the settings that one of the methods was built with."""
        return next(dict(component.settings) for component in self._spec.methods if component.id == name)

    @property
    def total_updates(self) -> int:
        """The gradient steps that schedules are written for."""
        return build.full_updates(load_task(self.task), self._built[0].plan)

    @cached_property
    def programs(self) -> Programs:
        """The compiled side."""
        agent, methods = self._built
        return build.compiled(agent, methods, self._inputs, self.game.actions)

    @property
    def task(self) -> str:
        """The task that the agent is for."""
        return TASKS[(*registry.card("agent", self.agent).families, "atari")[0]]

    @property
    def game(self) -> Game:
        """A game of so many actions, or a body that has its own."""
        if load_task(self.task).environment.numbered_actions:
            return Game("check", "", self.actions, None, None, 0)
        return MUJOCO["Hopper"]

    @property
    def streams(self) -> Streams:
        """The random streams of every trial."""
        return Streams("check@1", "check", 0)

    def learner(self) -> Learner:
        """Return the learner that a run starts from, with what it takes over from other runs."""
        return self._adopted(self.programs.init(self.streams))

    def started(self, params: Any) -> Learner:
        """Return the same from given parameters, without compiling a program for it."""
        agent, methods = self._built
        optimizer = wrap_optimizer(agent.optimizer, methods)
        copied = jax.tree.map(lambda leaf: leaf.copy(), params)
        return self._adopted(init_learner(copied, optimizer, methods, jax.random.key(1)))

    def _adopted(self, learner: Learner) -> Learner:
        if sources := self.programs.sources:
            arrays = source_arrays(self.agent, self.actions)
            learner = self.programs.adopt(learner, dict.fromkeys(sources, arrays))
        return learner

    def data(self, updates: int, actions: int | None = None) -> Any:
        """Return a batch of noise as it is sampled for one update, the same for the same count."""
        rng = np.random.default_rng(updates)
        blank, states = self.programs.blank_data(), self.programs.states(updates)
        noise = _vectors(blank, rng) if isinstance(blank, Rows) else _windows(blank, rng, actions or self.actions)
        if not states:
            return noise
        shape = (states, *self.programs.inputs.blank().shape)
        extra = rng.normal(size=shape).astype(np.float32) if isinstance(blank, Rows) else _pixels(rng, shape)
        return noise._replace(states=extra)

    def transitions(self, name: str, count: int) -> Any:
        """Return noise as `count` transitions, the same for the same name; see `suite.learning.inspection.Subject`."""
        programs, rng = self.programs, np.random.default_rng([count, *name.encode()])
        blank = programs.inputs.blank_data(dataclasses.replace(programs.plan, batch_size=count))
        return _vectors(blank, rng) if isinstance(blank, Rows) else _windows(blank, rng, self.actions)

    def step(self, learner: Learner, updates: int) -> Learner:
        """Return the learner after the update that `updates` others went before; the given one is consumed."""
        learner, _ = self.programs.update(learner, self.streams, updates, self.data(updates))
        return learner

    def examples(self) -> list[int]:
        """Return a count for every set of methods that is due together at times; see `due_examples`."""
        return due_examples(self.built, self.total_updates)

    def counts(self, number: int) -> list[int]:
        """Return about `number` counts, ascending: stretches around the first, middle and last steps that are due."""
        marks = {0, *self.examples()}
        for method in self.built:
            due = _within(method.due, self.total_updates)
            marks |= {due[index] for index in {0, 1, len(due) // 2, len(due) - 1} if 0 <= index < len(due)}
        length = max(2, -(-number // len(marks)))
        around = {mark + offset - 1 for mark in marks for offset in range(length)}
        return sorted(count for count in around if 0 <= count < self.total_updates)


def _windows(blank: Windows, rng: np.random.Generator, actions: int) -> Windows:
    size = len(blank.a_tm1)
    return Windows(
        _pixels(rng, blank.frames.shape),
        rng.integers(0, actions, size, np.int32),
        rng.integers(-1, 2, size).astype(np.float32),
        np.where(rng.random(size) < 0.1, 0, 0.99).astype(np.float32),
        None if blank.weight is None else rng.uniform(0.5, 1, size).astype(np.float32),
    )


def _vectors(blank: Rows, rng: np.random.Generator) -> Rows:
    """Return noise in every float field; actions within their bounds, some transitions terminal."""
    batch = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), blank.batch)
    size = len(blank.batch.r_t)
    ends: Any = np.where(rng.random(size) < 0.1, 0, 0.99).astype(np.float32)
    return Rows(
        batch._replace(a_tm1=np.tanh(batch.a_tm1), discount_t=ends, weight=blank.batch.weight, legal=blank.batch.legal)
    )


def _pixels(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return rng.integers(0, 256, shape, np.uint8)


def _within(due: range, total: int) -> range:
    return range(due.start, min(due.stop, total), due.step)


def arrays_of(learner: Learner) -> Arrays:
    """Return a learner's arrays by name, in memory that no later update touches."""
    return {name: array.copy() for name, array in learner_arrays(learner).items()}


def round_trip(trial: Trial, arrays: Mapping[str, NDArray[Any]]) -> Learner:
    """Return the learner of these arrays after they were written to a checkpoint and read from it."""
    with tempfile.TemporaryDirectory() as temporary:
        store = CheckpointStore(Path(temporary))
        store.write(1, arrays, b"{}")
        loaded = store.newest()
    assert loaded is not None
    return restored_learner(trial.programs.shapes(), loaded.arrays)


def first_difference(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> str:
    """Return the name of the first array that differs in any bit; empty if none does."""
    if one.keys() != other.keys():
        return sorted(one.keys() ^ other.keys())[0]
    for name, array in one.items():
        same = (array.dtype, array.shape) == (other[name].dtype, other[name].shape)
        if not same or array.tobytes() != other[name].tobytes():
            return name
    return ""


_SOURCES: dict[tuple[str, int], Arrays] = {}


def source_arrays(agent: str, actions: int) -> Arrays:
    """Return what a run leaves that others may start from: of a registered method with masks if there is one."""
    if (agent, actions) not in _SOURCES:
        trial = Trial(_source_method(agent), agent, actions)
        learner = trial.learner()
        last = {_within(method.due, trial.total_updates)[-1] for method in trial.built if method.due}
        for count in sorted({0, *last}):
            learner = trial.step(learner, count)
        _SOURCES[agent, actions] = arrays_of(learner)
    return _SOURCES[agent, actions]


def _source_method(agent: str) -> str:
    for name in sorted(registry.registered("method")):
        card = registry.card("method", name)
        if "masks" in card.claims and not stand_ins([card]):
            with suppress(SuiteError):
                _ = Trial(name, agent).built
                return name
    return ""
