"""One synthetic run directory: episodes around a learning curve, evaluations, actions, diagnostics, provenance."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from suite.records.schedule import due_steps, stream_name
from suite.records.verified import content_of, write_verified
from suite.rng import Streams
from suite.tasks import Evaluation, Task
from suite.tasks.configuration import Cell
from suite.tasks.environments import fingerprint, library_of, options_of
from tests.support import honest
from tests.support.synthetic_entries import Entry
from tests.support.synthetic_games import LOGS_PER_EPISODE, Setting


class SyntheticRun:
    """One run directory; `state` is how it ended, `resumed` being one that was done in two attempts."""

    def __init__(self, setting: Setting, entry: Entry, seed: int, state: str) -> None:
        self.setting, self.entry, self.seed, self.state = setting, entry, seed, state
        self.task, self.spec = setting.task, entry.resolved.spec
        self.cell = Cell(self.spec, setting.game.name, seed)
        self.config_id = entry.config_id
        self.streams = Streams(self.spec.task_key, setting.game.name, seed)
        self.source = setting.source(self.config_id, seed)
        self.skip = self.task.units_per_step
        self.steps = self.task.agent_steps(self.spec.frames)
        self.every = self.task.agent_steps(self.task.checkpoint_every)
        share = self.source.uniform(0.2, 0.9)
        self.resumed_at = self._checkpoint(share) if state == "resumed" else 0
        self.reached = int(self.steps * share) if state in ("failed", "diverged") else self.steps
        day = int(self.config_id[:8], 16) % 300 + int(share * 4)  # an entry is trained within three days of its own
        self.start = f"{date(2026, 1, 1) + timedelta(days=day)}T0{seed % 10}"
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
        if self.state != "failed":
            write_verified(path, content_of(path), 0, 0)

    def _checkpoint(self, share: float) -> int:
        return int(self.steps * share) // self.every * self.every

    def _attempt(self, step: int) -> int:
        """Return the attempt that recorded a step."""
        return 2 if 0 < self.resumed_at < step else 1

    def _ending(self, length: int) -> str:
        return "truncated" if length == self.setting.longest else "terminated"

    def _curve(self, steps: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return human-normalized returns around the learning curve at some agent steps, with noise of the episode."""
        done = steps / self.task.agent_steps(self.task.budget.length)
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
        trajectory = int(self.spec.agent.settings.get("trajectory_length", 1))  # type: ignore[arg-type]
        steps = due_steps(wanted, trajectory, self.steps)
        after, _ = self.task.score_window(self.reached * self.skip)
        rows = []
        for step in (step for step in steps if step <= self.reached):
            lengths = self._evaluation_lengths(wanted)
            count = len(lengths)
            values = self.setting.raw(self._curve(np.full(count, step))).tolist()
            counts = step * self.skip > after
            logged = counts and self.setting.plan.actions
            picks = self.source.integers(0, LOGS_PER_EPISODE, count).tolist()
            for number, (value, length) in enumerate(zip(values, lengths, strict=True)):
                seed = self.streams.emulator_seed(number, stream_name(step))
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

    def _evaluation_lengths(self, wanted: Evaluation) -> list[int]:
        """Return the lengths of an evaluation's episodes: as many as it wants, or as take the steps that it wants."""
        count = self.setting.plan.evaluation_episodes or wanted.episodes
        if count is not None:
            return [int(length) for length in self.source.choice(self.setting.lengths, count)]
        lengths: list[int] = []
        while sum(lengths) < (wanted.agent_steps or 0):
            lengths.append(int(self.source.choice(self.setting.lengths)))
        return lengths

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
        every = self.task.agent_steps(self.task.diagnostics_every)
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
        environment = honest.MEASURED[library_of(self.task)] | options_of(self.task, self.setting.game)
        return {
            "attempt": attempt,
            "started_at": f"{self.start}:0{attempt}:00Z",
            "resumed_at": resumed_at,
            "execution": {"threads": 8, "deterministic": True, "form": "vmap", "lanes": 5, "replay": "device"},
            "command": ["run", "--task", self.task.id, "--agent", self.spec.agent.id],
            "suite_version": "0.1.0",
            "git": {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False},
            "packages": {"python": "3.11.7", "jax": "0.10.2", "numpy": "2.4.6", **honest.PACKAGES},
            "hardware": {"device": "NVIDIA A100", "platform": "gpu", "driver": None, "cores": 32, "memory_gib": 251.5},
            "environment": environment,
            "environment_fingerprint": fingerprint(environment),
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
        score = math.fsum(returns) / len(returns) if len(returns) >= needed else None
        if state == "diverged" and _evaluated(self.task):  # there is no policy left: it counts as a random one
            score, scored = self.setting.game.random_score, 0
        else:
            scored = len(returns)
        summary = {
            "score": score,
            "scored_episodes": scored,
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
