"""Checks before a run: environments, sources, a place to write, memory; and the lines that are said first."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from suite.durations import duration
from suite.errors import UnfitEnvironment
from suite.experience.replay.placement import Placement
from suite.learning.build import programs_for, unreached
from suite.learning.device import gpu_problem
from suite.records.predecessors import check_source
from suite.records.schedule import due_steps
from suite.records.score import by_evaluation
from suite.running.machine import is_accelerator
from suite.running.plan import Plan
from suite.running.request import Resolved
from suite.tasks import GAMES


def preflight(plan: Plan, image: str) -> list[str]:
    """Check that this machine can, raising UnfitEnvironment if not; return the lines that are said first.

    `image` is the name of the container image that this runs in, or empty.
    """
    for name in plan.games:
        plan.domain.check(GAMES[name])
    _check_sources(plan)
    _check_writable(plan.out, plan.disk)
    _check_memory(plan)
    keep = ' (kept only if mounted: docker run -u "$(id -u):$(id -g)" -v "$PWD/out:/out" ...)' if image else ""
    device = plan.machine.description
    lines = [
        f"Results go to {plan.out.resolve()}{keep}.",
        f"Device: {device}; {len(plan.jobs)} of {plan.total} cells to run, {plan.lanes} at a time.",
        *without_gpu(image),
    ]
    if plan.jobs and plan.seconds is not None:
        lines.append(f"Projected: {duration(plan.seconds)} in all, {plan.basis}.{_first_try(plan.seconds, plan)}")
    for item in plan.resolved:
        lines += [f"NOT REACHED: {text}" for text in unreached(item.spec, plan.costs.widest)]
    lines += filter(None, (unscored(plan, item) for item in plan.resolved))
    return list(dict.fromkeys(lines))


def without_gpu(image: str) -> list[str]:
    """Return what is said of a CUDA image's name where no GPU is computed on, and why not; nothing elsewhere."""
    if "cuda" not in image or is_accelerator():
        return []
    problem = gpu_problem() or ("jax finds no GPU here that it can use.", "`nvidia-smi` lists those that are visible.")
    return [f"NO GPU, although this is the CUDA image: {problem[0]} {problem[1]}"]


def unscored(plan: Plan, item: Resolved) -> str:
    """Return what to say of a budget that ends before the first evaluation is due; "" of any other."""
    evaluation, frames = plan.task.evaluation, item.spec.frames
    if evaluation is None or evaluation.every is None or not by_evaluation(plan.task):
        return ""
    if due_steps(evaluation, plan.costs.programs(item.spec).plan.trajectory, plan.task.agent_steps(frames)):
        return ""
    return (
        f"NO SCORE: a budget of {frames:,} {plan.task.unit} ends before the first evaluation, which comes after "
        f"{evaluation.every:,}. Give more --frames."
    )


def _check_sources(plan: Plan) -> None:
    """Refuse a cell that starts from a run which is neither done nor among those to be done."""
    planned = {item.spec.config_id for item in plan.resolved}
    for job in plan.jobs:
        programs = programs_for(job.cell.spec, GAMES[job.cell.game])
        for source in programs.sources.values():
            if source not in planned:
                check_source(plan.out, job.cell, source)


def _check_memory(plan: Plan) -> None:
    if plan.fits():
        return
    lanes = plan.together
    needs = [
        f"{needed / 2**30:.1f} GiB of {kind}memory; {available / 2**30:.1f} GiB are available"
        for kind, needed, available in zip(
            ("", "device "), plan.memory, (plan.machine.memory, plan.machine.device_memory), strict=True
        )
        if needed > available
    ]
    remedy = "Use fewer --lanes" if lanes > 1 else "Use a machine with more memory"
    other = "" if plan.placement is Placement.COMPRESSED else ", --replay compressed"
    raise UnfitEnvironment(f"{lanes} lane(s) need {' and '.join(needs)}.", f"{remedy}{other}, or a shorter --frames.")


def _first_try(seconds: float, plan: Plan) -> str:
    if plan.machine.accelerator or seconds < 3600:
        return ""
    return " On a CPU try first: suite run --task smoke --network nature_cnn"


def _check_writable(out: Path, needed: int) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        free = shutil.disk_usage(out).free
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write to {out}: {error.strerror or error}.",
            'Choose another place with --out; in a container give your user with -u "$(id -u):$(id -g)".',
        ) from error
    if free < needed:
        raise UnfitEnvironment(
            f"Only {free / 2**20:,.0f} MiB are free at {out}; checkpoints and logs may take {needed / 2**20:,.0f}.",
            "Free space, choose another --out, or run fewer cells.",
        )
