"""The evaluations of cells that are trained in lockstep: played, and written down."""

from __future__ import annotations

from suite.errors import Stopped
from suite.experience.domains import Domain
from suite.experience.envs.base import Envs
from suite.learning.device import cpu_threads
from suite.learning.programs import Programs
from suite.records.schedule import is_complete
from suite.running.evaluation import EVALUATION_ENVS, evaluate
from suite.running.group import Group
from suite.running.member import Member
from suite.tasks import Game, Task


class Evaluations:
    """What a task wants evaluated."""

    def __init__(self, task: Task, domain: Domain) -> None:
        self._evaluation = task.evaluation
        self._domain = domain
        self._cut_short: set[int] = set()
        self._envs: dict[Game, Envs] = {}

    @property
    def all_played(self) -> bool:
        """Whether no evaluation was cut short."""
        return not self._cut_short

    def play(self, group: Group, index: int, member: Member, programs: Programs) -> None:
        """Play and write down the evaluation episodes of one lane that are missing, unless its monitor has it stop."""
        evaluation, lane, recording, game = self._evaluation, group.lanes[index], member.recording, member.game
        assert evaluation is not None
        recording.reach(group.step, group.updates, lane.episodes)
        done = recording.evaluated
        if is_complete(evaluation, done):
            return
        if evaluation.every is None:
            member.say(f"plays {evaluation.episodes} evaluation episodes")
        if game not in self._envs:
            self._envs[game] = self._domain.evaluation_envs(game, EVALUATION_ENVS, cpu_threads())
        self._cut_short.add(index)
        learner, envs = group.learner(index), self._envs[game]
        episodes = evaluate(programs, learner, lane.streams, envs, evaluation, group.step, done, member)
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
