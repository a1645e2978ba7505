"""The rates of a machine from runs that finished there: what they took, shared out among those that ran beside them."""

from __future__ import annotations

import bisect
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from suite.errors import BadData
from suite.records.record import Attempt, CellFile, StatusFile, read_cell, read_provenance, read_status
from suite.running.profiles.profile import Rate, batch_size
from suite.tasks import load_task
from suite.tasks.configuration import Spec

SHORT_SECONDS = 300.0
"""A run below this is timed by its rate at the end, which compilation is not in; a longer one by its whole time."""
HOST_SHARE = 0.5
"""What emulator and loop are taken to have had at most, where nobody timed them apart."""

Hardware = Mapping[str, str | int | float | None]


@dataclass(frozen=True)
class Finished:
    """A run that one attempt finished. `started` and `ended` are seconds of its machine's clock."""

    cell: CellFile
    status: StatusFile
    attempt: Attempt
    started: float
    ended: float

    @property
    def spec(self) -> Spec:
        """Its configuration."""
        return self.cell.spec

    @property
    def game(self) -> str:
        """Its game."""
        return self.cell.game

    @property
    def whole(self) -> float:
        """Its seconds from beginning to end."""
        return self.ended - self.started

    @property
    def steady(self) -> float:
        """Its seconds without what comes once, such as compilation."""
        rate = self.status.frames_per_second
        return min(self.whole, self.status.frames / rate) if rate and self.whole < SHORT_SECONDS else self.whole


def finished_runs(paths: Iterable[Path], hardware: Hardware | None = None) -> list[Finished]:
    """Return the runs that one attempt finished, of those on this hardware if any is named; others say no time."""
    found = []
    for path in paths:
        try:
            status = read_status(path)
            if status.state != "done" or status.attempt != 1 or status.summary is None:
                continue
            attempt = read_provenance(path).attempts[0]
            if hardware is not None and not same_machine(attempt.hardware, hardware):
                continue
            ended = datetime.fromisoformat(status.updated_at).timestamp()
            seconds = status.summary.wall_seconds
            if seconds > 0 and status.agent_steps > 0:
                found.append(Finished(read_cell(path), status, attempt, ended - seconds, ended))
        except (BadData, IndexError, ValueError):
            continue  # estimates do without
    return found


def same_machine(one: Hardware, other: Hardware) -> bool:
    """Return whether two attempts ran on the same kind of machine, with as many cores."""
    return kind_of(one) == kind_of(other)


def kind_of(hardware: Hardware) -> tuple[Any, ...]:
    """Return what tells one kind of machine from another."""
    return tuple(hardware.get(name) for name in ("platform", "device", "cpu", "cores"))


def rates_of(runs: Sequence[Finished]) -> dict[Rate, Finished]:
    """Return a rate for each kind of run, with one of them; operations are not counted yet.

    The rate is that of the quickest: whatever else a machine does only adds.
    """
    shares = machine_seconds(runs)
    kinds: dict[tuple[Any, ...], list[tuple[Finished, float]]] = defaultdict(list)
    for run, share in zip(runs, shares, strict=True):
        lanes = max(1, round(run.whole / share))
        width = run.spec.network.settings.get("width", 1)
        names = (run.spec.task_key, run.spec.agent.id, run.spec.network.id, run.spec.method_label)
        kinds[(*names, width, batch_size(run.spec), lanes)].append((run, share))
    return dict(_rate(kind, members) for kind, members in kinds.items())


def machine_seconds(runs: Sequence[Finished]) -> list[float]:
    """Return the seconds of the machine that each run had: of a time that n runs shared, each had an nth part.

    Runs are taken to have been on one machine.
    """
    moments = sorted({moment for run in runs for moment in (run.started, run.ended)})
    active = [0] * len(moments)
    for run in runs:
        active[bisect.bisect_left(moments, run.started)] += 1
        active[bisect.bisect_left(moments, run.ended)] -= 1
    spent, count = [0.0], 0
    for (start, end), change in zip(pairwise(moments), active, strict=False):
        count += change
        spent.append(spent[-1] + (end - start) / max(1, count))
    at = dict(zip(moments, spent, strict=True)) if moments else {}
    return [at[run.ended] - at[run.started] for run in runs]


def _rate(kind: tuple[Any, ...], members: Sequence[tuple[Finished, float]]) -> tuple[Rate, Finished]:
    from suite.experience.domains import domain_of

    task_key, agent, network, method, width, batch, lanes = kind
    first = members[0][0]
    task = load_task(first.spec.task)
    alone = min(share * lanes * run.steady / run.whole / run.status.agent_steps for run, share in members)
    ratio = first.status.updates / first.status.agent_steps
    host = min(domain_of(task).seconds_per_step, HOST_SHARE * alone) if ratio else alone
    rate = Rate(
        network=network,
        width=width if isinstance(width, int) else 1,
        agent=agent,
        method=method,
        lanes=lanes,
        task=task_key,
        family=task.family,
        batch_size=batch,
        seconds_per_step=host,
        seconds_per_update=(alone - host) / lanes / ratio if ratio else 0.0,
        start_seconds=min(run.whole - run.steady for run, _ in members),
        runs=len(members),
    )
    return rate, first
