"""Groups of lanes as job arrays of Slurm, submitted by submitit: this process ends, and Slurm has the rest."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suite import durable
from suite.cli.launch.arrays import Array, arrays_of
from suite.cli.launch.resources import resources_of
from suite.cli.launch.wishes import Wishes
from suite.errors import UnfitEnvironment
from suite.running.groups import Group


def scripts(plan: Path, groups: Sequence[Group], wishes: Wishes, threads: int) -> list[tuple[Array, Path]]:
    """Write the script of every array beside the plan, to be read, or submitted by hand; return them."""
    _require_submitit()
    from submitit.slurm.slurm import _make_sbatch_string

    found = []
    for array in arrays_of(groups, {group.group: resources_of(group, wishes, threads) for group in groups}):
        parameters = _parameters(array, wishes, plan)
        text = _make_sbatch_string(command=array.body(plan, wishes), folder=_folder(plan), **parameters)
        path = plan.with_name(f"array-{array.number}.sbatch")
        durable.replace_file(path, text.encode())
        found.append((array, path))
    return found


def by_hand(found: Sequence[tuple[Array, Path]]) -> list[str]:
    """Return the lines of a shell that submit the scripts."""
    jobs = {array.number: f"$array{array.number}" for array, _ in found}
    lines = []
    for array, path in found:
        after = [] if array.after is None else ["--kill-on-invalid-dep=yes", f"--dependency={array.after.option(jobs)}"]
        lines.append(" ".join([f"array{array.number}=$(sbatch", "--parsable", *after, f"{shlex.quote(str(path))})"]))
    return lines


def submit(plan: Path, found: Sequence[tuple[Array, Path]], wishes: Wishes) -> dict[int, str]:
    """Submit the arrays; return Slurm's number of each. UnfitEnvironment where this machine submits nothing."""
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UnfitEnvironment(
            "This machine submits no jobs: there is no sbatch on its path.",
            "Do it where there is one; with --dry-run, --launcher slurm writes the scripts and submits nothing.",
        )
    submitit = _require_submitit()
    jobs: dict[int, str] = {}
    for array, _ in found:
        executor = submitit.SlurmExecutor(folder=_folder(plan))
        executor.update_parameters(**_parameters(array, wishes, plan, jobs))
        try:
            jobs[array.number] = str(executor._submit_command(array.body(plan, wishes)).job_id)
        except submitit.core.utils.FailedJobError as error:
            said = (str(error).strip() or "it does not say why.").splitlines()[-1]
            raise UnfitEnvironment(f"Slurm refuses array {array.number}: {said}", "See --cluster.") from error
    return jobs


def _parameters(array: Array, wishes: Wishes, plan: Path, jobs: dict[int, str] | None = None) -> dict[str, Any]:
    """Return submitit's parameters of an array; `jobs`: the numbers of the arrays before it, None for a script alone.

    A dependency that can no longer be met ends its job: a source failed, and the same command makes a new plan.
    """
    given = array.resources
    more: dict[str, Any] = {"requeue": True, "array": f"{array.tasks}%{min(wishes.parallel, len(array.groups))}"}
    more |= {"mem": f"{int(given.memory_gib * 1024)}M", "signal": f"USR1@{wishes.notice}"}
    more |= {"output": f"{_folder(plan)}/%A_%a.log"}
    if jobs is not None and array.after is not None:
        more |= {"dependency": array.after.option(jobs), "kill_on_invalid_dep": "yes"}
    return {
        "job_name": f"suite-{plan.parent.name}",
        "time": given.minutes,
        "cpus_per_task": given.cpus,
        "gpus_per_node": given.gpus or None,
        **{name: getattr(wishes, name) for name in ("partition", "account", "qos", "constraint")},
        "stderr_to_stdout": True,
        "use_srun": False,  # the body has its own
        "wckey": None,
        "additional_parameters": more,
    }


def _folder(plan: Path) -> Path:
    return plan.parent / "logs"


def _require_submitit() -> Any:
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")  # else it closes every handler that others set up
    try:
        import submitit
    except ImportError as error:
        raise UnfitEnvironment(
            "--launcher slurm needs the package submitit, which is not installed.",
            "Install it: pip install 'pruned-rl-suite[slurm]'; in a clone, pip install --require-hashes -r "
            "docker/requirements-slurm.txt.",
        ) from error
    return submitit
