"""What synthetic run directories are written of: the plan, and its entries, drawn from the cards."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from suite.contracts import registry
from suite.errors import UsageError
from suite.running.request import Request, Resolved, resolve
from suite.tasks import Task, load_task
from tests.support import honest

SETTINGS = ((), ("method.sparsity=0.8",), ("network.width=3",), ("agent.n_step=5",), ("agent.learning_rate=1e-4",))
COMBINATIONS = ("magnitude_pruning+redo", "magnitude_pruning+weight_decay", "reset+l2_init", "rigl+redo")
PAPER = (
    *itertools.product(("dqn", "rainbow"), ("dense", "magnitude_pruning"), ((1,), (3,), (5,))),
    *(("dqn", "magnitude_pruning", (3, share)) for share in (0.5, 0.9, 0.99)),
    *(("dqn", method, (3,)) for method in ("rigl", "redo", "reset", "weight_decay")),
)
"""Agents, methods, and widths of the Impala network with the sparsity, as in arXiv 2402.12479: see `Plan.paper`."""
PARAMETERS = {"nature_cnn": 4_045_476, "impala": 1_062_998, "mlp": 210_185}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written. None: as many games, seeds or iterations as the task has, or evaluation episodes as it wants.

    `episodes_per_iteration`: of training. `evaluation_episodes`: of each evaluation; fewer than the task wants may
    leave a run without a score. `iterations`: fewer than the task has make shortened runs, which are not ranked.
    `paper`: the first entries are those of arXiv 2402.12479 instead of random ones. `diagnostics`: rows a run.
    `missing`, `failed`, `diverged`, `resumed`: shares of all cells.
    """

    task: str = "atari40m"
    entries: int = 30
    games: int | None = None
    seeds: int | None = None
    iterations: int | None = None
    episodes_per_iteration: int = 12
    evaluation_episodes: int | None = None
    diagnostics: int = 40
    actions: bool = True
    missing: float = 0.02
    failed: float = 0.01
    diverged: float = 0.01
    resumed: float = 0.03
    seed: int = 0
    paper: bool = False


@dataclass(frozen=True)
class Entry:
    """A configuration, and how good it is: human-normalized `level`, its `lean` by game, its `speed` of learning."""

    resolved: Resolved
    level: float
    speed: float
    lean: dict[str, float]

    @cached_property
    def config_id(self) -> str:
        """Its spec's identity, which takes a while to compute."""
        return self.resolved.spec.config_id

    @cached_property
    def parameters(self) -> int:
        """How many parameters its network has."""
        network = self.resolved.spec.network
        width = int(network.settings.get("width", 1))  # type: ignore[arg-type]
        return PARAMETERS.get(network.id, 1_000_000) * width**2

    @cached_property
    def sparsity(self) -> float:
        """The share of zeros that its method ends with."""
        values = [method.settings.get("sparsity", 0.0) for method in self.resolved.spec.methods]
        return max(float(value) for value in values)  # type: ignore[arg-type]


def entries(plan: Plan) -> list[Entry]:
    """Return the plan's entries, the task's own agent and network without a method first; all differ."""
    source = np.random.default_rng([plan.seed, 1])
    task, games = load_task(plan.task), game_names(plan)
    found: dict[str, Entry] = {}
    for resolved in itertools.chain(_paper(task) if plan.paper else (), _candidates(task, source)):
        frames = (plan.iterations or _iterations(task)) * task.budget.iteration_length
        spec = resolved.spec.model_copy(
            update={
                "frames": frames,
                "shortened": frames != task.budget.length,
                "dataset": honest.dataset_of(task, resolved.spec, "generated-0123456789abcdef"),
            }
        )
        if spec.config_id in found:
            continue
        level, speed = source.lognormal(-0.1, 0.45), source.uniform(0.08, 0.5)
        lean = dict(zip(games, source.lognormal(0, 0.35, len(games)), strict=True))
        if plan.paper and len(found) < len(PAPER):
            level, speed = _paper_level(*PAPER[len(found)]), 0.3
            lean = {name: value * (1 + game / len(games)) for game, (name, value) in enumerate(_common(lean).items())}
        found[spec.config_id] = Entry(replace(resolved, spec=spec), level, speed, lean)
        if len(found) == plan.entries:
            break
    if len(found) < plan.entries:
        raise UsageError(f"The cards give {len(found)} entries for {plan.task}.", "Ask for fewer.")
    return list(found.values())


def _paper(task: Task) -> Iterator[Resolved]:
    """Yield the entries of `PAPER`."""
    for agent, method, (width, *share) in PAPER:
        settings = (f"network.width={width}", *(f"method.sparsity={one}" for one in share))
        yield from resolve(Request(task.id, agent, "impala", (method,), settings))


def _paper_level(agent: str, method: str, settings: tuple[float, ...]) -> float:
    """Return a level: wide dense networks are worse, wide pruned ones better, unless hardly a weight is left."""
    width, *share = settings
    pruned = method == "magnitude_pruning"
    change = 0.15 * (width - 1) * (1 if pruned else -0.5) - (0.5 if share == [0.99] else 0.0)
    return {"dqn": 0.6, "rainbow": 1.0}[agent] * (1 + change + 0.1 * (method in ("rigl", "reset")))


def _common(lean: dict[str, float]) -> dict[str, float]:
    """Return the leans of an entry that hardly leans: its games differ as those of all others do."""
    return {name: value**0.25 for name, value in lean.items()}


def _candidates(task: Task, source: np.random.Generator) -> Iterator[Resolved]:
    """Yield what the cards allow for a task: first its own agent and network, then the rest in random order."""
    methods = (*registry.registered("method"), *COMBINATIONS)
    first = (str(task.agent), str(task.network), "dense", ())
    product = itertools.product(registry.registered("agent"), registry.registered("network"), methods, SETTINGS)
    others = [choice for choice in product if choice != first]
    # Plain entries and dense ones are what most people run: they come three times as often.
    weights = np.asarray([(1 + 2 * (not rest)) * (1 + 2 * (method == "dense")) for *_, method, rest in others], float)
    order = source.choice(len(others), len(others), replace=False, p=weights / weights.sum())
    for agent, network, method, settings in (first, *(others[index] for index in order)):
        try:
            yield from resolve(Request(task.id, agent, network, (method,), settings))
        except UsageError:
            continue  # made for another family, senseless together, or without that setting


def game_names(plan: Plan) -> tuple[str, ...]:
    """Return the games of a plan."""
    return load_task(plan.task).games[: plan.games]


def _iterations(task: Task) -> int:
    return -(-task.budget.length // task.budget.iteration_length)
