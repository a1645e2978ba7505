"""Job arrays of Slurm: which groups of lanes make one, what it waits for, and the script that its tasks run."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from suite.cli.launch.resources import Resources, depths
from suite.cli.launch.wishes import Wishes
from suite.running.groups import Group

MOST_TASKS = 1000
"""Of an array: Slurm's own default is 1,001 (MaxArraySize), 0 included."""
MOST_RESTARTS = 100

BODY = """\
# Runs one group of lanes of a plan. A stop that saved (exit 75), and a cell that somebody else holds (6), is taken up
# again, unless the job was cancelled: then it is no longer RUNNING, and stays so.
plan={plan}
groups=({groups})
group=${{groups[$SLURM_ARRAY_TASK_ID]}}
job=${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID
trap : TERM USR1 # this shell outlives what is meant for the step
# Signals before the end of the time, and at the start of a pre-emption's grace, reach steps alone: hence srun.
srun --cpus-per-task="$SLURM_CPUS_PER_TASK" --unbuffered {suite} run --cells "$plan#$group" --json
code=$?
echo "group $group: exit $code after ${{SLURM_RESTART_COUNT:-0}} restarts on $SLURMD_NODENAME"
if [[ $code == 75 || $code == 6 ]] && ((${{SLURM_RESTART_COUNT:-0}} < {restarts})); then
  [[ $(squeue --noheader --format %T --job "$job") == RUNNING ]] && scontrol requeue "$job"
fi
exit $code"""


@dataclass(frozen=True, slots=True)
class After:
    """What an array waits for. `aftercorr` of an array: each task for that array's task of the same number.

    `afterok`: all of its tasks for these tasks of arrays, (array, task).
    """

    kind: str
    tasks: tuple[tuple[int, int], ...]

    def option(self, jobs: Mapping[int, str]) -> str:
        """Return the value of sbatch's --dependency; `jobs`: Slurm's numbers of the arrays, or words for them."""
        if self.kind == "aftercorr":
            return f"aftercorr:{jobs[self.tasks[0][0]]}"
        return "afterok:" + ":".join(f"{jobs[array]}_{task}" for array, task in self.tasks)


@dataclass(frozen=True, slots=True)
class Array:
    """A job array: the group that each of its tasks runs, by the task's number, alike in what they are given."""

    number: int
    groups: Mapping[int, int]
    resources: Resources
    after: After | None

    def body(self, plan: Path, wishes: Wishes) -> str:
        """Return the script that a task runs."""
        return BODY.format(
            plan=shlex.quote(str(plan)),
            groups=" ".join(f"[{task}]={group}" for task, group in self.groups.items()),
            suite=wishes.suite or f"{shlex.quote(sys.executable)} -P -m suite",
            restarts=MOST_RESTARTS,
        )

    @property
    def tasks(self) -> str:
        """Return the tasks' numbers as sbatch's --array takes them: `0-11`, or `3,5`."""
        numbers = list(self.groups)
        row = numbers == list(range(numbers[0], numbers[-1] + 1))
        return f"{numbers[0]}-{numbers[-1]}" if row else ",".join(map(str, numbers))


def arrays_of(groups: Sequence[Group], resources: Mapping[int, Resources]) -> list[Array]:
    """Return the arrays of all groups, what others wait for first.

    Groups that start from one group each stand at that group's place in an array of their own, so that each waits for
    that one alone; one that starts from several is an array of one task.
    """
    found: list[Array] = []
    places: dict[int, tuple[int, int]] = {}
    waiting = depths(groups)
    for depth in sorted(set(waiting.values())):
        alike = [group for group in groups if waiting[group.group] == depth]
        for after, chosen, given in _batches(alike, resources, places):
            array = Array(len(found), chosen, given, after)
            found.append(array)
            places |= {group: (array.number, task) for task, group in chosen.items()}
    return found


def _batches(
    groups: Sequence[Group], resources: Mapping[int, Resources], places: Mapping[int, tuple[int, int]]
) -> Iterator[tuple[After | None, dict[int, int], Resources]]:
    rows: dict[Resources, list[int]] = {}
    beside: dict[tuple[int, Resources, int], dict[int, int]] = {}
    for group in groups:
        given = resources[group.group]
        if not group.needs:
            rows.setdefault(given, []).append(group.group)
        elif len(group.needs) == 1:
            array, task = places[group.needs[0]]
            layer = sum(task in tasks for key, tasks in beside.items() if key[:2] == (array, given))
            beside.setdefault((array, given, layer), {})[task] = group.group
        else:
            yield After("afterok", tuple(places[number] for number in group.needs)), {0: group.group}, given
    for given, numbers in rows.items():
        for start in range(0, len(numbers), MOST_TASKS):
            yield None, dict(enumerate(numbers[start : start + MOST_TASKS])), given
    for (array, given, _), tasks in beside.items():
        first = min(tasks)
        yield After("aftercorr", ((array, first),)), dict(sorted(tasks.items())), given
