"""Groups of lanes as tasks of a Ray cluster: this process waits for them, and has those on lost nodes run again."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from suite.cli.launch.resources import Resources, resources_of
from suite.cli.launch.wishes import Wishes
from suite.cli.signals import stopping_signals
from suite.errors import ExitCode, UnfitEnvironment
from suite.running.groups import Group

RETRIES = 5
"""Of a group whose node or process was lost. One that ended by itself, however it ended, is not tried again."""
WAITS = 10
WAIT_SECONDS = 30.0
"""How often, and how long, a task waits for cells that another process still holds: one on a lost node, say."""
PATIENCE_SECONDS = 120.0
"""How long tasks have to save what they have when this process is asked to stop."""


def run_on_ray(
    plan: Path,
    groups: Sequence[Group],
    wishes: Wishes,
    threads: int,
    stop: threading.Event,
    ended: Callable[[Group, int], None],
) -> list[int]:
    """Run the groups of a plan, saying how each ended; return their exit codes.

    UnfitEnvironment where Ray is not installed, or no cluster answers.
    """
    ray = _connected(wishes)
    try:
        remote = ray.remote(max_calls=1)(run_group)  # a process of its own for each group: jax is set up once in one
        tasks: dict[int, Any] = {}
        for group in groups:
            given = resources_of(group, wishes, threads)
            before = [tasks[number] for number in group.needs]
            options = {**_options(given), "max_retries": RETRIES, "name": f"suite group {group.group}"}
            tasks[group.group] = remote.options(**options).remote(f"{plan}#{group.group}", *before)
        with stopping_signals(lambda number: stop.set()):  # Ray has put a handler of its own in place
            return _wait(ray, {tasks[group.group]: group for group in groups}, stop, ended)
    finally:
        ray.shutdown()


def run_group(cells: str, *before: int) -> int:
    """Run a group on the node where this is called; return the exit code of `suite run`.

    Nothing is run where a group before it has an exit code that is none of success: its source is not there.
    """
    import click

    from suite.cli.main import cli

    if any(code != ExitCode.DONE for code in before):
        return int(ExitCode.UNFIT)
    code = 0
    for _ in range(WAITS):
        try:
            found = cli.main(["run", "--cells", cells, "--json"], prog_name="suite", standalone_mode=False)
            code = int(found or 0)
        except click.ClickException as error:
            error.show()
            code = error.exit_code
        if code != ExitCode.LOCKED:
            break
        time.sleep(WAIT_SECONDS)
    return code


def _options(given: Resources) -> Mapping[str, Any]:
    return {"num_cpus": given.cpus, "num_gpus": given.gpus, "memory": int(given.memory_gib * 2**30)}


def _wait(ray: Any, pending: dict[Any, Group], stop: threading.Event, ended: Callable[[Group, int], None]) -> list[int]:
    """Return the exit codes of tasks as they end; a stop asks them to save, and waits until they have."""
    codes: list[int] = []
    asked: float | None = None
    while pending:
        ready, _ = ray.wait(list(pending), timeout=0.5)
        for task in ready:
            group = pending.pop(task)
            try:
                code = int(ray.get(task))
            except ray.exceptions.TaskCancelledError:
                code = int(ExitCode.INTERRUPTED)
            except ray.exceptions.RayError:  # lost more often than RETRIES, or ended by an error of its own
                code = int(ExitCode.UNEXPECTED)
            codes.append(code)
            ended(group, code)
        if stop.is_set() and asked is None:
            asked = time.monotonic()
            for task in pending:
                ray.cancel(task, force=False)
        if asked is not None and time.monotonic() - asked > PATIENCE_SECONDS:
            return [*codes, int(ExitCode.INTERRUPTED)]
    return codes


def _connected(wishes: Wishes) -> Any:
    """Return Ray, connected to the cluster."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UnfitEnvironment(
            "--launcher ray needs the package ray, which is not installed.",
            "Install it: pip install 'pruned-rl-suite[ray]'; in a clone, pip install --require-hashes -r "
            "docker/requirements-ray.txt.",
        ) from error
    address = wishes.address
    try:
        ray.init(address=None if address == "auto" and "RAY_ADDRESS" in os.environ else address, log_to_driver=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise UnfitEnvironment(
            f"No Ray cluster answers at {os.environ.get('RAY_ADDRESS', address)}: {error}.",
            "Start one with `ray start --head`, name another with --cluster address=HOST:PORT, or make one of this "
            "machine with --cluster address=local.",
        ) from error
    return ray
