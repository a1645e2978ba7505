"""Twelve cells on a Slurm of our own, with all that happens to jobs there: they complete, with a local run's bits."""

import json
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from clusters.cells import STUDY, call, command, compared, midway, wait_for
from clusters.loopback import Slurm
from suite.records.record import read_run, read_status

PREEMPTED = 4


class Launched:
    """The arrays of one `--launcher slurm`: which run each of their tasks trains."""

    def __init__(self, document: dict[str, Any]) -> None:
        plan = json.loads(Path(document["plan"]).read_text(encoding="utf-8"))
        self.paths: dict[str, str] = {
            f"{array['job']}_{task}": plan["groups"][group]["cells"][0]["path"]
            for array in document["arrays"]
            for task, group in array["tasks"].items()
        }
        self.needs = {
            group["cells"][0]["path"]: [plan["groups"][number]["cells"][0]["path"] for number in group["needs"]]
            for group in plan["groups"]
        }


def proof() -> tuple[str, dict[str, float]]:
    """Run it; the figures."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as name:
        folder = Path(name)
        study, local, out = folder / "cluster.toml", folder / "local", folder / "runs"
        study.write_text(STUDY, encoding="utf-8")
        (folder / "slurm").mkdir()
        with Slurm(folder / "slurm") as slurm:
            call(command(study, local))
            figures = _on_slurm(slurm, study, out)
        return "suite study run --launcher slurm, on a Slurm of its own", figures | compared(local, out)


def _on_slurm(slurm: Slurm, study: Path, out: Path) -> dict[str, float]:
    words = command(study, out, "--launcher", "slurm", "--cluster", "time=20", "--cluster", "partition=low", "--json")
    launched = Launched(json.loads(call(words, slurm.environment)))
    seen: set[str] = set()
    cancelled = _cancel(slurm, launched, out, seen)
    for _ in range(PREEMPTED):
        _preempt(slurm, launched, out, seen)
    processes = _lose_a_node(slurm, launched, out, seen)
    _come_to_the_end_of_time(slurm, launched, out, seen)
    wait_for("the queue to end", lambda: None if _queue(slurm) else True)
    states = {path: read_status(out / path).state for path in launched.paths.values()}
    if states.pop(cancelled) != "interrupted" or set(states.values()) != {"done"}:
        sys.exit(f"after the queue: {states}, cancelled: {cancelled}")
    again = Launched(json.loads(call(words, slurm.environment)))
    if list(again.paths.values()) != [cancelled]:
        sys.exit(f"the same command again runs {again.paths}")
    wait_for("the cancelled cell", lambda: None if _queue(slurm) else True)
    return {
        "jobs": len(launched.paths),
        "preempted": PREEMPTED,
        "nodes_killed": 1,
        "processes_killed": processes,
        "time_limits": 1,
        "cancelled": 1,
        "tickets_after_their_source": _tickets(launched, out),
    }


def _queue(slurm: Slurm) -> list[list[str]]:
    """Task, state and node of every job in the queue of the partition `low`."""
    lines = slurm.client("squeue", "-h", "-r", "-p", "low", "-o", "%F_%K %T %N").splitlines()
    return [line.split() for line in lines]


def _found(slurm: Slurm, launched: Launched, out: Path, seen: set[str], node: str | None = None) -> tuple[str, str]:
    """A job that is midway and to which nothing was done yet, and its node."""

    def find() -> tuple[str, str] | None:
        for task, state, *nodes in _queue(slurm):
            fresh = state == "RUNNING" and task in launched.paths and task not in seen and node in (None, *nodes)
            if fresh and midway(out, launched.paths[task]):
                return task, nodes[0]
        return None

    task, where = wait_for("a job midway", find)
    seen.add(task)
    return task, where


def _interrupt(
    slurm: Slurm,
    launched: Launched,
    out: Path,
    seen: set[str],
    stop: Callable[[str, str], object],
) -> str:
    """Do to a job midway, its task and node given, what interrupts it; the task. One that is done before: another."""
    while True:
        task, node = _found(slurm, launched, out, seen)
        stop(task, node)
        path = launched.paths[task]
        state = wait_for(f"{path} to stop", partial(_state, out, path))
        print(f"{stop.__name__.strip('_')}: {path} is {state}", file=sys.stderr)
        if state == "interrupted":
            return task


def _state(out: Path, path: str) -> str | None:
    state = read_status(out / path).state
    return None if state == "running" else state


def _preempt(slurm: Slurm, launched: Launched, out: Path, seen: set[str]) -> None:
    """Have a job make way for one of higher priority: it saves, and is taken up again."""

    def preempt(task: str, node: str) -> None:
        slurm.client("sbatch", "--parsable", "-p", "high", "-w", node, "-o", "/dev/null", "--wrap", "sleep 3")

    _interrupt(slurm, launched, out, seen, preempt)


def _lose_a_node(slurm: Slurm, launched: Launched, out: Path, seen: set[str]) -> int:
    """Kill a node and everything on it while a job is midway; bring it back once the controller has missed it."""
    _, node = _found(slurm, launched, out, seen)
    killed = slurm.kill_node(node)
    wait_for("the controller", lambda: True if "down" in slurm.client("sinfo", "-h", "-n", node, "-o", "%T") else None)
    slurm.start_node(node)
    return killed


def _come_to_the_end_of_time(slurm: Slurm, launched: Launched, out: Path, seen: set[str]) -> None:
    """Let a job come to the notice before the end of its time; it has its time again afterwards."""

    def shorten(task: str, node: str) -> None:
        slurm.client("scontrol", "update", f"JobId={task}", "TimeLimit=2")

    task = _interrupt(slurm, launched, out, seen, shorten)
    slurm.client("scontrol", "update", f"JobId={task}", "TimeLimit=20")


def _cancel(slurm: Slurm, launched: Launched, out: Path, seen: set[str]) -> str:
    """Cancel a job that none waits for: it saves and stays cancelled; the path of its run."""
    needed = {path for paths in launched.needs.values() for path in paths}
    sources = {task for task, path in launched.paths.items() if path in needed}

    def cancel(task: str, node: str) -> None:
        slurm.client("scancel", task)

    others = sources | seen
    task = _interrupt(slurm, launched, out, others, cancel)
    seen |= others - sources
    wait_for("the job to leave", lambda: None if task in [one for one, *_ in _queue(slurm)] else True)
    if "JobState=CANCELLED" not in slurm.client("scontrol", "show", "job", task):
        sys.exit(f"{task} was cancelled and is not: {slurm.client('scontrol', 'show', 'job', task)}")
    return launched.paths[task]


def _tickets(launched: Launched, out: Path) -> int:
    """How many cells waited for another; ends the proof if one began before that was done."""
    waiting = {path: needs for path, needs in launched.needs.items() if needs}
    for path, needs in waiting.items():
        began = read_run(out / path).provenance.attempts[0].started_at
        if any(began < read_status(out / needed).updated_at for needed in needs):
            sys.exit(f"{path} began before {needs} was done")
    return len(waiting)
