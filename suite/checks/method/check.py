"""The promises of the method contract, proven on a tiny network, one result each: `suite method check`."""

from __future__ import annotations

import dataclasses
import math
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import flax
import jax
import numpy as np
import optax

import suite
from suite.checks.method.overhead import overhead_of
from suite.checks.method.promises import Broken, check_actions, check_learner, check_pair, check_programs, has_masks
from suite.checks.method.roles import check_roles
from suite.checks.method.trial import (
    BATCH_SIZE,
    NETWORK,
    Arrays,
    Trial,
    arrays_of,
    first_difference,
    quick_compilation,
    registration,
    round_trip,
    stand_ins,
)
from suite.contracts import registry
from suite.contracts.card import Setting, Value
from suite.contracts.method import Method
from suite.errors import SuiteError, UnfitEnvironment, UsageError
from suite.learning import build
from suite.running.request import Request, resolve
from suite.tasks import GAMES, load_task, task_names

UPDATES = 40
TINY_SECONDS, FULL_SECONDS = 3.0, 20.0
"""How long updates are timed, on the check's network and on the Nature network."""
VECTORS = "mlp"
"""The network of tasks that show vectors; the check's network reads pictures."""
State = Literal["ok", "FAILED", "refused", "skipped"]
Overhead = Literal["none", "tiny", "full"]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one check; `refused`: a combination that is not meant to be; `skipped`: one that cannot be here."""

    name: str
    state: State
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Report:
    """All results of a method."""

    method: str
    results: tuple[Result, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return all(result.state != "FAILED" for result in self.results)


def check(
    target: str,
    *,
    settings: Sequence[str] = (),
    alone: bool = False,
    overhead: Overhead = "none",
    look: Callable[[str, Result], None] = lambda method, result: None,
) -> tuple[Report, ...]:
    """Check the methods of the package in the folder `target`, or the installed method of that name.

    `settings`: as for `--set`. `alone`: leave out combinations. `overhead`: the network on which time is measured:
    none, the tiny one, or `full`, the Nature network too. `look` is told a method's name and each result at once.
    """
    folder = Path(target) if (Path(target) / "pyproject.toml").is_file() else None
    with registration(folder) as found:
        if folder is None:
            registry.entry("method", target)
        reports = []
        for name in found or (target,):
            results = []
            for result in _Checks(name, settings, alone=alone, overhead=overhead).run():
                results.append(result)
                look(name, result)
            reports.append(Report(name, tuple(results)))
        return tuple(reports)


class _Checks:
    """The checks of one method: each returns what it found, or raises."""

    def __init__(self, name: str, settings: Sequence[str], *, alone: bool, overhead: Overhead) -> None:
        self._name = name
        self._others = () if alone else tuple(sorted(set(registry.registered("method")) - {name}))
        self._overhead = overhead
        self._trial = Trial(name, settings=tuple(settings))

    def run(self) -> Iterator[Result]:
        """Yield results; where the first of them fail, the others would say nothing."""
        with quick_compilation():
            for name, function in (
                ("card", self._card),
                ("settings", self._settings),
                ("programs", lambda: check_programs(self._trial)),
                ("updates", self._updates),
            ):
                result = self._one(name, function)
                yield result
                if result.state == "FAILED" and name != "settings":
                    return
            yield self._one("determinism", self._determinism)
            yield self._one("checkpoint", self._checkpoint)
            yield self._one("actions", lambda: check_actions(self._trial))
            yield self._one("layers", lambda: check_roles(self._trial))
            for other in self._others:
                yield self._one(f"with {other}", partial(self._pair, other))
        if self._overhead != "none":
            yield self._one("overhead", lambda: overhead_of(self._trial, TINY_SECONDS))
        if self._overhead == "full":
            nature = dataclasses.replace(self._trial, network="nature_cnn", batch_size=32)
            yield self._one("overhead, Nature", lambda: overhead_of(nature, FULL_SECONDS))

    def _one(self, name: str, function: Callable[[], str]) -> Result:
        start = time.perf_counter()
        state: State = "ok"
        try:
            detail = function()
        except _NotRun as error:
            state, detail = error.state, str(error)
        except Exception as error:  # noqa: BLE001 - whatever a plug-in raises is a finding
            state, detail = "FAILED", _explained(error)
        return Result(name, state, detail, time.perf_counter() - start)

    def _card(self) -> str:
        card = registry.card("method", self._name)
        method = self._trial.built[0]
        if method.id != card.id:
            raise Broken(f"make() returns a method with the id {method.id!r}; the card says {card.id!r}.")
        settings = stand_ins([card]) + [text for text in self._trial.settings if text.startswith("method.")]
        builds, refuses = [], []
        for task in task_names():
            try:
                network = None if load_task(task).network == VECTORS else NETWORK
                (resolved,) = resolve(Request(task, network=network, methods=(self._name,), settings=tuple(settings)))
                build.build(resolved.spec, GAMES[load_task(task).games[0]])
                builds.append(task)
            except UsageError as error:
                refuses.append(f"; not for {task}: {error}")
        return f"version {card.version}, digest {card.digest}; builds for {', '.join(builds)}{''.join(refuses)}"

    def _settings(self) -> str:
        card, context = registry.card("method", self._name), self._trial.context
        make = registry.load("method", self._name)
        values = self._trial.method_settings(self._name)
        _exercise(make(values, context), self._trial)
        tried, refused = 0, 0
        for name, setting in card.settings.items():
            for value in _extremes(setting):
                tried += 1
                try:
                    _exercise(make(values | {name: value}, context), self._trial)
                except UsageError:
                    refused += 1
                except Exception as error:
                    raise Broken(f"{name} = {value!r}, which the card allows, gives {_explained(error)}") from error
        return f"{len(values)} read; {tried} extreme values: {tried - refused} build, {refused} are refused in words"

    @cached_property
    def _course(self) -> tuple[Arrays, Arrays]:
        """The learner in the middle and at the end of the updates that all checks share."""
        trial, counts = self._trial, self._trial.counts(UPDATES)
        learner = trial.learner()
        check_learner(trial, learner, "at initialization")
        half: Arrays = {}
        for done, count in enumerate(counts):
            if done == len(counts) // 2:
                half = arrays_of(learner)
            learner = trial.step(learner, count)
            check_learner(trial, learner, f"after update {count:,}")
        sparsity = trial.programs.measure(learner)["sparsity"]
        if not 0 <= sparsity < 1:
            raise Broken(f"The sparsity is {sparsity}, which is no share of the weights.")
        return half, arrays_of(learner)

    def _updates(self) -> str:
        _ = self._course
        counts = self._trial.counts(UPDATES)
        due = sum(1 for count in counts if any(count in method.due for method in self._trial.built))
        masked = "masked weights are zero" if has_masks(self._trial) else "no masks"
        return f"{len(counts)} updates, {due} of them due: shapes stay, all is finite, {masked}"

    def _determinism(self) -> str:
        again = dataclasses.replace(self._trial)
        learner, counts = again.learner(), again.counts(UPDATES)
        for done, count in enumerate(counts):
            if done == len(counts) // 2 and (name := first_difference(self._course[0], arrays_of(learner))):
                raise Broken(f"The same key gave other bits in {name} after {done} updates.")
            learner = again.step(learner, count)
        if name := first_difference(self._course[1], arrays_of(learner)):
            raise Broken(f"The same key gave other bits in {name} after {len(counts)} updates.")
        return f"built and trained twice: the same bits after {len(counts)} updates"

    def _checkpoint(self) -> str:
        (half, end), counts = self._course, self._trial.counts(UPDATES)
        learner = round_trip(self._trial, half)
        if name := first_difference(half, arrays_of(learner)):
            raise Broken(f"{name} does not come back from a checkpoint as it was.")
        for count in counts[len(counts) // 2 :]:
            learner = self._trial.step(learner, count)
        if name := first_difference(end, arrays_of(learner)):
            raise Broken(f"{name} differs where a run went on from a checkpoint: something is kept outside the state.")
        return "comes back exactly, and going on from it gives the bits of a run without a stop"

    def _pair(self, other: str) -> str:
        card, theirs = registry.card("method", self._name), registry.card("method", other)
        if reason := card.refusal(theirs):
            raise _NotRun("refused", reason)
        try:
            _ = Trial(other).built
        except UnfitEnvironment as error:
            raise _NotRun("skipped", str(error)) from error
        return check_pair(dataclasses.replace(self._trial, methods=f"{self._name}+{other}"))


class _NotRun(Exception):
    """Why a combination was not run."""

    def __init__(self, state: State, reason: str) -> None:
        super().__init__(reason)
        self.state = state


def _exercise(method: Method, trial: Trial) -> None:
    """Trace and call whatever a method offers, so that what can go wrong at its values does."""
    shapes = trial.context.shapes
    state = jax.eval_shape(method.init, jax.random.key(0), shapes)
    jax.eval_shape(method.project, state, shapes)
    jax.eval_shape(method.masks, state)
    if method.features is not None:
        jax.eval_shape(method.features, np.zeros((BATCH_SIZE, 8), np.float32))
    for count in {*method.due[:1], *method.due[-1:]}:
        method.signal(count)


def _extremes(setting: Setting) -> list[Value]:
    """Return the values at the ends of a setting's range."""
    kind = type(setting.value)
    if kind is bool:
        return [False, True]
    if kind is str:
        return list(setting.choices)
    values: list[float] = [end for end in (setting.minimum, setting.maximum) if end is not None]
    if setting.above is not None:
        values.append(math.floor(setting.above) + 1 if kind is int else setting.above + 1e-9 * max(1, setting.above))
    found: list[Value] = []
    for value in values:
        try:
            found.append(setting.check("value", int(value) if kind is int else float(value)))
        except UsageError:
            continue
    return found


def _explained(error: Exception) -> str:
    """Return an error in one line, with the innermost place that is neither the suite's nor a library's."""
    if isinstance(error, Broken | SuiteError):
        return str(error)
    text = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    others = [Path(module.__file__).parent for module in (jax, flax, optax, np, suite) if module.__file__]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        file = Path(frame.filename)
        if not any(file.is_relative_to(folder) for folder in others):
            return f"{text} ({file.name}, line {frame.lineno})"
    return text
