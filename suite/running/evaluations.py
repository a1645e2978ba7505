"""The evaluations of cells that are trained in lockstep: when they are due, played and written down."""

from __future__ import annotations

from suite.errors import Stopped
from suite.experience.domains import Domain
from suite.experience.envs.base import Envs
from suite.learning.device import cpu_threads
from suite.learning.programs import Programs
from suite.records.schedule import is_complete, is_due
from suite.running.evaluation import EVALUATION_ENVS, evaluate
from suite.running.group import Training
from suite.running.start import Member
from suite.tasks import Game, Task


class Evaluations:
    """What a task of `last` agent steps wants evaluated."""

    def __init__(self, task: Task, domain: Domain, last: int) -> None:
        self._evaluation = task.evaluation
        self._skip = task.frame_skip
        self._domain = domain
        self._last = last
        self._cut_short: set[int] = set()
        self._envs: dict[Game, Envs] = {}

    @property
    def all_played(self) -> bool:
        """Whether no evaluation was cut short."""
        return not self._cut_short

    @property
    def period(self) -> int | None:
        """Agent steps between two evaluations; None if there is none before the last step."""
        every = None if self._evaluation is None else self._evaluation.every
        return None if every is None else every // self._skip

    def are_due(self, group: Training) -> bool:
        """Return whether there is an evaluation at the step that the lanes have reached."""
        if self._evaluation is None or group.step == 0:
            return False
        return is_due(self._evaluation, group.plan.trajectory, group.step, self._last)

    def play(self, group: Training, index: int, member: Member, programs: Programs) -> None:
        """Play and write down the evaluation episodes of one lane that are missing, unless its monitor has it stop."""
        evaluation, lane, recording, game = self._evaluation, group.lanes[index], member.recording, member.game
        assert evaluation is not None
        recording.reach(group.step, group.updates, lane.episodes)
        done = recording.evaluated
        if is_complete(evaluation, done):
            return
        if evaluation.every is None:
            member.monitor.say(f"plays {evaluation.episodes} evaluation episodes")
        if game not in self._envs:
            self._envs[game] = self._domain.evaluation_envs(game, EVALUATION_ENVS, cpu_threads())
        self._cut_short.add(index)
        learner, envs = group.learners.get(index), self._envs[game]
        episodes = evaluate(programs, learner, lane.streams, envs, evaluation, group.step, done, member.monitor)
        try:
            for episode in episodes:
                recording.evaluation(episode)
        except Stopped:
            return
        self._cut_short.discard(index)

    def close(self) -> None:
        """Release environments."""
        for envs in self._envs.values():
            envs.close()
