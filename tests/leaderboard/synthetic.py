#!/usr/bin/env python3
"""Many synthetic run directories, written fast: for proofs of speed, size and looks.

    python tests/leaderboard/synthetic.py --task atari40m --entries 30 --out DIR

Specs are real: agents, networks, methods and settings are drawn from the cards. Scores are not: a level of each entry,
a lean of each entry towards each game, noise of each seed that differs between games, learning curves, and now and then
a seed that never learns. Some cells are missing, some failed, some diverged, some went on after a kill. The same
arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite import plugins
from suite.errors import UsageError
from suite.record import pack
from suite.resolve import Request, Resolved, resolve
from suite.rng import Streams
from suite.spec import Cell
from suite.tasks import GAMES, Game, Task, load_task

CAPS = {
    "Pong": 21,
    "Tennis": 24,
    "DoubleDunk": 24,
    "IceHockey": 30,
    "Boxing": 100,
    "FishingDerby": 90,
    "Freeway": 34,
    "Bowling": 300,
    "Breakout": 860,
}
"""The largest returns of games that have one, or nearly."""
SETTINGS = ((), ("method.sparsity=0.8",), ("network.width=3",), ("agent.n_step=5",), ("agent.learning_rate=1e-4",))
COMBINATIONS = ("magnitude_pruning+redo", "magnitude_pruning+weight_decay", "reset+l2_init", "rigl+redo")
PARAMETERS = {"nature_cnn": 4_045_476, "impala": 1_062_998, "mlp": 210_185}
LOGS_PER_EPISODE = 2
"""How many different action logs there are of an episode of a game."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is written. None: as many games, seeds or iterations as the task has, or evaluation episodes as it wants.

    `episodes_per_iteration`: of training. `evaluation_episodes`: of each evaluation; fewer than the task wants may
    leave a run without a score. `iterations`: fewer than the task has make shortened runs, which are not ranked.
    `diagnostics`: rows a run. `missing`, `failed`, `diverged`, `resumed`: shares of all cells.
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


@dataclass(frozen=True)
class Setting:
    """What all runs of a game share: its task, the lengths of an iteration's episodes, and logs of actions."""

    plan: Plan
    task: Task
    game: Game
    width: float = field(default=0.1)
    """The noise between seeds, relative to the level."""

    def source(self, *names: object) -> np.random.Generator:
        """Return the random numbers of a name: the same, whatever else is written."""
        key = repr((self.plan.seed, self.task.key, self.game.name, *names)).encode()
        return np.random.Generator(np.random.Philox(key=int.from_bytes(hashlib.sha256(key).digest()[:16], "little")))

    @property
    def longest(self) -> int:
        """The agent steps after which an episode is truncated."""
        if self.task.family == "continuous":
            return self.task.mujoco.max_episode_steps
        return self.task.atari.max_episode_frames // self.task.atari.frame_skip

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """The agent steps of an iteration's episodes [E], in sum no more than it has, none above the task's cap."""
        steps = self.task.agent_steps(self.task.budget.iteration_frames)
        shares = self.source("lengths").uniform(0.7, 1.3, self.plan.episodes_per_iteration)
        return np.minimum((steps * shares / shares.sum()).astype(np.int64), self.longest).clip(min=1)

    @cached_property
    def logs(self) -> dict[int, list[str]]:
        """Packed actions by the length of an episode; every action is repeated for some steps, as players do."""
        source = self.source("actions")
        return {
            length: [self._log(source, length) for _ in range(LOGS_PER_EPISODE)] for length in map(int, self.lengths)
        }

    def _log(self, source: np.random.Generator, length: int) -> str:
        if self.task.family == "continuous":
            return pack(source.normal(size=(length, self.game.actions)).astype("<f4").tobytes())
        chosen = source.integers(0, self.game.actions, length)
        again = np.maximum.accumulate(np.where(source.random(length) < 0.25, np.arange(length), 0))
        return pack(chosen[again].astype(np.uint8).tobytes())

    def raw(self, normalized: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return raw returns: whole numbers within the game's bounds, or of a simulation in thousands."""
        if not self.game.normalizable:
            return np.round(3000 * normalized, 3)
        low, high = float(self.game.random_score or 0), float(self.game.human_score or 1)
        values = np.round(low + normalized * (high - low))
        cap = CAPS.get(self.game.name)
        return values if cap is None else np.clip(values, min(low, -cap) if low < 0 else 0, cap)


def entries(plan: Plan) -> list[Entry]:
    """Return the plan's entries, the task's own agent and network without a method first; all differ."""
    source = np.random.default_rng([plan.seed, 1])
    task, games = load_task(plan.task), _games(plan)
    found: dict[str, Entry] = {}
    for resolved in _candidates(task, source):
        frames = (plan.iterations or _iterations(task)) * task.budget.iteration_frames
        spec = resolved.spec.model_copy(
            update={
                "frames": frames,
                "shortened": frames != task.budget.frames,
                "dataset": None if task.data is None else "generated-0123456789abcdef.blocks.0.05.0",
            }
        )
        if spec.config_id in found:
            continue
        level, speed = source.lognormal(-0.1, 0.45), source.uniform(0.08, 0.5)
        lean = dict(zip(games, source.lognormal(0, 0.35, len(games)), strict=True))
        found[spec.config_id] = Entry(replace(resolved, spec=spec), level, speed, lean)
        if len(found) == plan.entries:
            break
    if len(found) < plan.entries:
        raise UsageError(f"The cards give {len(found)} entries for {plan.task}.", "Ask for fewer.")
    return list(found.values())


def write(out: Path, plan: Plan) -> Counter[str]:
    """Write the plan's run directories below `out`; return how many cells ended how, `missing` ones included."""
    task = load_task(plan.task)
    drawn = entries(plan)
    ends: Counter[str] = Counter()
    noise = np.random.default_rng([plan.seed, 2])
    for name in _games(plan):
        setting = Setting(plan, task, GAMES[name], width=float(noise.lognormal(-2.2, 0.6)))
        for entry, seed in itertools.product(drawn, range(plan.seeds or len(task.default_seeds))):
            state = _end(plan, setting.source("end", entry.config_id, seed).random())
            ends[state] += 1
            if state != "missing":
                _Run(setting, entry, seed, state).write(out)
    return ends


def _candidates(task: Task, source: np.random.Generator) -> Iterator[Resolved]:
    """Yield what the cards allow for a task: first its own agent and network, then the rest in random order."""
    methods = (*plugins.registered("method"), *COMBINATIONS)
    first = (str(task.agent), str(task.network), "dense", ())
    product = itertools.product(plugins.registered("agent"), plugins.registered("network"), methods, SETTINGS)
    others = [choice for choice in product if choice != first]
    # Plain entries and dense ones are what most people run: they come three times as often.
    weights = np.asarray([(1 + 2 * (not rest)) * (1 + 2 * (method == "dense")) for *_, method, rest in others], float)
    order = source.choice(len(others), len(others), replace=False, p=weights / weights.sum())
    for agent, network, method, settings in (first, *(others[index] for index in order)):
        try:
            yield from resolve(Request(task.id, agent, network, (method,), settings))
        except UsageError:
            continue  # made for another family, senseless together, or without that setting


def _games(plan: Plan) -> tuple[str, ...]:
    return load_task(plan.task).games[: plan.games]


def _iterations(task: Task) -> int:
    return -(-task.budget.frames // task.budget.iteration_frames)


def _end(plan: Plan, draw: float) -> str:
    for state in ("missing", "failed", "diverged", "resumed"):
        draw -= getattr(plan, state)
        if draw < 0:
            return state
    return "done"


class _Run:
    """One run directory; `state` is how it ended, `resumed` being one that was done in two attempts."""

    def __init__(self, setting: Setting, entry: Entry, seed: int, state: str) -> None:
        self.setting, self.entry, self.seed, self.state = setting, entry, seed, state
        self.task, self.spec = setting.task, entry.resolved.spec
        self.cell = Cell(self.spec, setting.game.name, seed)
        self.config_id = entry.config_id
        self.streams = Streams(self.spec.task_key, setting.game.name, seed)
        self.source = setting.source(self.config_id, seed)
        self.skip = self.task.frame_skip
        self.steps = self.task.agent_steps(self.spec.frames)
        self.every = self.task.agent_steps(self.task.checkpoint_every)
        share = self.source.uniform(0.2, 0.9)
        self.resumed_at = self._checkpoint(share) if state == "resumed" else 0
        self.reached = int(self.steps * share) if state in ("failed", "diverged") else self.steps
        self.start = f"2026-0{1 + seed % 9}-{10 + int(share * 10):02}T0{seed % 10}"
        # A seed in forty never learns; the others scatter around the entry's level in this game.
        dud = self.source.random() < 0.025
        scatter = float(np.exp(setting.width * self.source.normal()))
        self.level = 0.02 if dud else entry.level * entry.lean[self.cell.game] * scatter

    def write(self, root: Path) -> None:
        """Write every file of it."""
        path = root / self.cell.path
        path.mkdir(parents=True, exist_ok=True)
        online = self.task.family != "offline"
        episodes = self._episodes() if online else []
        evaluation = self._evaluation()
        files = {
            "spec.json": _json(self._cell_file()),
            "provenance.json": _json({"schema_version": 1, "attempts": self._attempts()}),
            "episodes.jsonl": "".join(row for _, row in episodes),
            "evaluation.jsonl": "".join(row for _, row in evaluation),
            "actions.jsonl": self._actions()
            if online and self.setting.plan.actions and not _evaluated(self.task)
            else "",
            "diagnostics.jsonl": self._diagnostics(),
            "checkpoints.jsonl": self._checkpoints(),
            "run.lock": "",
            "status.json": _json(self._status(evaluation if _evaluated(self.task) else episodes, len(episodes))),
        }
        for name, text in files.items():
            (path / name).write_text(text, encoding="utf-8")

    def _checkpoint(self, share: float) -> int:
        return int(self.steps * share) // self.every * self.every

    def _attempt(self, step: int) -> int:
        """Return the attempt that recorded a step."""
        return 2 if 0 < self.resumed_at < step else 1

    def _ending(self, length: int) -> str:
        return "truncated" if length == self.setting.longest else "terminated"

    def _curve(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return human-normalized returns around the learning curve at some agent steps, with noise of the episode."""
        done = steps / self.task.agent_steps(self.task.budget.frames)
        speed = self.entry.speed
        means = self.level * done / (done + speed) * (1 + speed)
        return means + (0.03 + 0.25 * np.abs(means)) * self.source.normal(size=len(steps))

    @cached_property
    def _played(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The lengths of the training episodes, in another order in every iteration, and where they end."""
        lengths = self.setting.lengths
        count = -(-self.steps // int(lengths.sum()))
        played = self.source.permuted(np.tile(lengths, (count, 1)), axis=1).ravel()
        ends = np.cumsum(played)
        inside = ends <= self.reached
        return played[inside], ends[inside]

    @cached_property
    def _segments(self) -> list[int]:
        """The first episode of every stretch that starts from an emulator seed of its own, and the end of the last."""
        played, _ = self._played
        limit = 1 if self.task.family == "continuous" else self.task.atari.reseed_steps
        starts, steps = [0], 0
        for number, length in enumerate(played.tolist(), start=1):
            steps += length
            if steps >= limit:
                starts.append(number)
                steps = 0
        return starts if starts[-1] == len(played) else [*starts, len(played)]

    def _episodes(self) -> list[tuple[float, str]]:
        """Return (return if it is in the score window else NaN, line) of every training episode."""
        played, ends = self._played
        values = self.setting.raw(self._curve(ends)).tolist()
        after, _ = self.task.score_window(self.reached * self.skip)
        rows, number = [], 0
        lengths, steps = played.tolist(), ends.tolist()
        for segment, (first, last) in enumerate(itertools.pairwise(self._segments)):
            seed = self.streams.emulator_seed(segment)
            for number in range(first, last):
                step, value = steps[number], values[number]
                rows.append(
                    (
                        value if step * self.skip > after else float("nan"),
                        f'{{"attempt":{self._attempt(step)},"agent_step":{step},"frame":{step * self.skip},'
                        f'"episode":{number},"length":{lengths[number]},"return":{value},'
                        f'"end":"{self._ending(lengths[number])}","emulator_seed":{seed}}}\n',
                    )
                )
        return rows

    def _actions(self) -> str:
        """Return the log of every scored episode and of those of its segment before it."""
        played, ends = self._played
        after, _ = self.task.score_window(self.spec.frames)
        scored = np.flatnonzero(ends * self.skip > after)
        if not len(scored):
            return ""
        begin = max(start for start in self._segments if start <= scored[0])
        picks = self.source.integers(0, LOGS_PER_EPISODE, len(played)).tolist()
        return "".join(
            f'{{"attempt":{self._attempt(int(ends[number]))},"episode":{number},'
            f'"deflated":"{self.setting.logs[int(played[number])][picks[number]]}"}}\n'
            for number in range(begin, len(played))
        )

    def _evaluation(self) -> list[tuple[float, str]]:
        """Return (return if it is in the score window else NaN, line) of every evaluation episode."""
        wanted = self.task.evaluation
        if wanted is None:
            return []
        every = wanted.every
        steps = [self.steps] if every is None else list(range(every, self.steps + 1, every))
        count = self.setting.plan.evaluation_episodes or wanted.episodes or 40
        after, _ = self.task.score_window(self.reached * self.skip)
        rows = []
        for step in (step for step in steps if step <= self.reached):
            values = self.setting.raw(self._curve(np.full(count, step))).tolist()
            lengths = self.source.choice(self.setting.lengths, count).tolist()
            counts = step * self.skip > after
            logged = counts and self.setting.plan.actions
            picks = self.source.integers(0, LOGS_PER_EPISODE, count).tolist()
            for number, (value, length) in enumerate(zip(values, lengths, strict=True)):
                seed = self.streams.emulator_seed(number, f"evaluation/{step}")
                actions = self.setting.logs[length][picks[number]] if logged else ""
                rows.append(
                    (
                        value if counts else float("nan"),
                        f'{{"attempt":{self._attempt(step)},"agent_step":{step},"frame":{step * self.skip},'
                        f'"episode":{number},"length":{length},"return":{value},"end":"{self._ending(length)}",'
                        f'"emulator_seed":{seed},"actions":"{actions}"}}\n',
                    )
                )
        return rows

    def _updates(self, step: int) -> int:
        if self.task.family == "offline":
            return step
        settings = self.spec.agent.settings
        warm_up, period = int(settings.get("warm_up", 0)), int(settings.get("update_period", 1))  # type: ignore[arg-type]
        return max(0, (step - warm_up) // period * int(settings.get("updates_per_period", 1)))  # type: ignore[arg-type]

    def _sparsity(self, step: int) -> float:
        """Return the share of zeros at a step: a cubic schedule between 20 % and 80 % of training."""
        done = min(max((step / self.steps - 0.2) / 0.6, 0.0), 1.0)
        return float(round(self.entry.sparsity * (1 - (1 - done) ** 3), 6))

    def _diagnostics(self) -> str:
        every = self.task.agent_steps(self.task.diagnostics_frames)
        thin = max(1, self.steps // every // max(1, self.setting.plan.diagnostics))
        steps = range(every * thin, self.reached + 1, every * thin)
        losses = self.source.lognormal(-5, 0.4, len(steps)).tolist()
        rows = []
        for step, loss in zip(steps, losses, strict=True):
            zeros, done = self._sparsity(step), step / self.steps
            values = {
                "loss": round(loss * (1 + 3 * done), 9),
                "mean_q": round(5 * self.level * done, 6),
                "active_parameters": float(int(self.entry.parameters * (1 - zeros))),
                "parameter_norm": round(32 + 40 * done**0.5 * (1 - 0.5 * zeros), 6),
                "parameters": float(self.entry.parameters),
                "sparsity": zeros,
            }
            rows.append(
                f'{{"attempt":{self._attempt(step)},"agent_step":{step},"frame":{step * self.skip},'
                f'"updates":{self._updates(step)},"values":{json.dumps(values, separators=(",", ":"))}}}\n'
            )
        return "".join(rows)

    def _checkpoints(self) -> str:
        every = max(1, min(self.every, self.steps))
        rows = []
        for step in range(every, self.reached + 1, every):
            name = f"{self.config_id}/{self.cell.game}/{self.seed}/{step}".encode()
            learner, history = (hashlib.sha256(part + name).hexdigest() for part in (b"learner", b"history"))
            rows.append(
                f'{{"attempt":{self._attempt(step)},"agent_step":{step},"frame":{step * self.skip},'
                f'"updates":{self._updates(step)},"learner":"{learner}","history":"{history}"}}\n'
            )
        return "".join(rows)

    def _cell_file(self) -> dict[str, object]:
        return {
            "schema_version": 1,
            "config_id": self.config_id,
            "spec": self.spec.model_dump(mode="json"),
            "game": self.cell.game,
            "seed": self.seed,
            "departures": self.entry.resolved.departures,
        }

    def _attempts(self) -> list[dict[str, object]]:
        starts = [0, self.resumed_at] if self.resumed_at else [0]
        return [self._provenance(number, start) for number, start in enumerate(starts, start=1)]

    def _provenance(self, attempt: int, resumed_at: int) -> dict[str, object]:
        return {
            "attempt": attempt,
            "started_at": f"{self.start}:0{attempt}:00Z",
            "resumed_at": resumed_at,
            "execution": {"threads": 8, "deterministic": True, "form": "vmap", "lanes": 5, "replay": "device"},
            "command": ["run", "--task", self.task.id, "--agent", self.spec.agent.id],
            "suite_version": "0.1.0",
            "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
            "packages": {"python": "3.11.7", "jax": "0.10.2", "ale-py": "0.12.1", "numpy": "2.4.6"},
            "hardware": {"device": "NVIDIA A100", "platform": "gpu", "driver": None, "cores": 32, "memory_gib": 251.5},
            "environment": {"ale_py": "0.12.1", "rom": self.setting.game.rom, "repeat_action_probability": 0.25},
            "environment_fingerprint": hashlib.sha256(self.setting.game.name.encode()).hexdigest()[:16],
        }

    def _status(self, rows: list[tuple[float, str]], episodes: int) -> dict[str, object]:
        returns = [value for value, _ in rows if value == value]
        needed = 1
        if _evaluated(self.task) and self.task.evaluation is not None:
            needed = self.task.evaluation.episodes or 1
        state = "done" if self.state == "resumed" else self.state
        attempt = 2 if self.resumed_at else 1
        seconds = round(self.reached / 900 * (1 + 0.1 * self.source.random()), 3)
        zeros = self._sparsity(self.reached)
        summary = {
            "score": math.fsum(returns) / len(returns) if len(returns) >= needed else None,
            "scored_episodes": len(returns),
            "parameters": self.entry.parameters,
            "active_parameters": int(self.entry.parameters * (1 - zeros)),
            "sparsity": zeros,
            "updates": self._updates(self.reached),
            "wall_seconds": seconds,
        }
        closed = {"attempt": 1, "state": "killed", "frames": self.resumed_at * self.skip, "updated_at": self._end_time}
        return {
            "schema_version": 1,
            "state": state,
            "attempt": attempt,
            "agent_steps": self.reached,
            "frames": self.reached * self.skip,
            "budget_frames": self.spec.frames,
            "updates": self._updates(self.reached),
            "episodes": episodes,
            "last_return": returns[-1] if returns else None,
            "frames_per_second": round(self.reached * self.skip / seconds, 1),
            "started_at": f"{self.start}:01:00Z",
            "updated_at": self._end_time,
            "message": "the loss is not finite" if state == "diverged" else "" if state == "done" else "out of memory",
            "summary": None if state == "failed" else summary,
            "differs_at": None,
            "closed": [closed] if self.resumed_at else [],
        }

    @property
    def _end_time(self) -> str:
        return f"{self.start[:10]}T23:59:59Z"


def _evaluated(task: Task) -> bool:
    return task.score.rule == "mean_evaluation_return"


def _json(content: dict[str, object]) -> str:
    return json.dumps(content, indent=1, allow_nan=False)


def main(arguments: list[str]) -> None:
    """Read the command line and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True, help="where run directories go")
    defaults = Plan()
    parser.add_argument("--task", default=defaults.task)
    parser.add_argument("--no-actions", dest="actions", action="store_false", help="leave the logs of actions empty")
    for name in (
        "entries",
        "games",
        "seeds",
        "iterations",
        "episodes_per_iteration",
        "evaluation_episodes",
        "diagnostics",
    ):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(defaults, name))
    for name in ("missing", "failed", "diverged", "resumed"):
        parser.add_argument(f"--{name}", type=float, default=getattr(defaults, name), help="share of all cells")
    parser.add_argument("--seed", type=int, default=0, help="other numbers")
    given = vars(parser.parse_args(arguments))
    out = given.pop("out")
    sys.stdout.write(json.dumps(write(out, Plan(**given)), sort_keys=True) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
