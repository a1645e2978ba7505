"""What a group of lanes is given on a cluster, from its plan, and the order in which groups can run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from suite.cli.launch.wishes import Wishes
from suite.running.groups import Group

MEMORY_MARGIN = 1.2
TIME_MARGIN = 1.5
"""What is asked for over what is projected. Memory was found right to a tenth; time is a rough figure, and a job that
comes to its end saves and is taken up again."""
MOST_MINUTES = 24 * 60


class Resources(NamedTuple):
    """What a job is given: cores, GPUs, GiB of memory, minutes."""

    cpus: int
    gpus: int
    memory_gib: float
    minutes: int


def resources_of(group: Group, wishes: Wishes, threads: int) -> Resources:
    """Return what a group is given: what somebody wishes, or what the plan says with a margin, in round numbers.

    A core for every thread of its program and for every lane's emulator; one GPU where the plan is for one.
    """
    half_hours = math.ceil((group.seconds or MOST_MINUTES * 60) * TIME_MARGIN / 1800)
    return Resources(
        wishes.cpus or max(threads, len(group.cells)),
        int(group.device_memory_bytes > 0) if wishes.gpus is None else wishes.gpus,
        wishes.memory or float(math.ceil(group.memory_bytes * MEMORY_MARGIN / 2**30)),
        wishes.time or min(max(1, half_hours) * 30, MOST_MINUTES),
    )


def depths(groups: Sequence[Group]) -> Mapping[int, int]:
    """Return how many groups, one after the other, every group waits for."""
    by_number = {group.group: group for group in groups}
    found: dict[int, int] = {}

    def depth(number: int) -> int:
        if number not in found:
            found[number] = max((1 + depth(needed) for needed in by_number[number].needs), default=0)
        return found[number]

    return {group.group: depth(group.group) for group in groups}
