"""The evaluations of cells that are trained in lockstep: played, and written down."""

from __future__ import annotations

from collections.abc import Callable

from suite.experience.domains import Domain
from suite.experience.envs.base import Envs
from suite.learning.device import cpu_threads
from suite.learning.programs import Programs
from suite.records.schedule import is_complete
from suite.running.evaluation import EVALUATION_ENVS, evaluate
from suite.running.group import Training
from suite.running.recorder import Recording
from suite.running.resume import Stopped
from suite.tasks import Game, Task


class Evaluations:
    """What a task wants evaluated; `check_stop` raises `Stopped` where an evaluation must end."""

    def __init__(self, task: Task, domain: Domain, check_stop: Callable[[], None]) -> None:
        self._evaluation = task.evaluation
        self._domain = domain
        self._check_stop = check_stop
        self._cut_short: set[int] = set()
        self._envs: dict[Game, Envs] = {}

    @property
    def all_played(self) -> bool:
        """Whether no evaluation was cut short."""
        return not self._cut_short

    def play(
        self,
        group: Training,
        index: int,
        game: Game,
        programs: Programs,
        recording: Recording,
        say: Callable[[str], None],
    ) -> None:
        """Play and write down the evaluation episodes of one lane that are missing."""
        evaluation, lane = self._evaluation, group.lanes[index]
        assert evaluation is not None
        recording.reach(group.step, group.updates, lane.episodes)
        done = recording.evaluated
        if is_complete(evaluation, done):
            return
        if evaluation.every is None:
            say(f"plays {evaluation.episodes} evaluation episodes")
        if game not in self._envs:
            self._envs[game] = self._domain.evaluation_envs(game, EVALUATION_ENVS, cpu_threads())
        self._cut_short.add(index)
        learner, envs = group.learners.get(index), self._envs[game]
        episodes = evaluate(programs, learner, lane.streams, envs, evaluation, group.step, done, self._check_stop)
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
