"""A group: lanes of one configuration in lockstep, each by the published single-environment protocol.

One step of all lanes: with environments, an action each and the environments' steps in parallel; then the updates due,
from each lane's own data. Without environments a step is an update, and there is nothing else. A lane that is dropped
stays in the arrays and is heard no more.

A group has one part, or several that take turns: while the emulators of some run, the device works for others, and
the host takes in what came of another. A lane's action depends on its own frames and parameters alone, so that each
lane's protocol stays what it is; a part asks for its next actions right after its updates, before those of another
part get in between. Parts are at most a step apart, and at the same step whenever somebody looks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial
from itertools import accumulate
from typing import Any

from numpy.typing import NDArray

from suite.contracts.agent import DataPlan, Learner
from suite.learning.inspection import Subject
from suite.learning.programs import Programs
from suite.running.lane import FinishedEpisode, Lane
from suite.running.part import Part

TURNS = 32
"""Steps that parts take before they wait for each other: where they do, nothing runs beside anything else."""


class Group:
    """Lanes at the same step `step`, after the same number of gradient steps `updates`; numbered through all `parts`.

    `seen`: by lane, what inspections must know of those before.
    """

    def __init__(self, plan: DataPlan, parts: Sequence[Part]) -> None:
        self.plan = plan
        self.parts = tuple(parts)
        self.lanes: Sequence[Lane] = tuple(lane for part in parts for lane in part.lanes)
        self.step = 0
        self.updates = 0
        self.seen: list[dict[str, NDArray[Any]]] = [{} for _ in self.lanes]
        self._firsts = list(accumulate((len(part.lanes) for part in parts), initial=0))[:-1]
        self._where = [(part, index) for part in parts for index in range(len(part.lanes))]
        self._restored: dict[int, dict[str, float]] = {}
        self._plays = all(part.envs is not None for part in parts)

    @property
    def broken(self) -> set[int]:
        """Lanes whose learner gave a number that is none; see `Part`."""
        return {lane for lane, (part, index) in enumerate(self._where) if index in part.broken}

    def reach(self, step: int) -> None:
        """Go on from a step that the lanes have been brought to."""
        self.step = step
        self.updates = self.plan.updates_by(step)

    def begin(self) -> None:
        """Start from the beginning: the first episode of every lane, where they play."""
        for part in self.parts:
            part.begin()

    def advance(self, most: int = 1) -> list[tuple[int, FinishedEpisode]]:
        """Take a step in every lane, or up to `most` where more come cheaper; return what ended, by lane."""
        if not self._plays:
            self._take_updates(most)
            return []
        return self._take_turns(1 if len(self.parts) == 1 else min(most, TURNS))

    def state_values(self) -> dict[str, float]:
        """Return the exploration rate of the last agent step, where there is one."""
        return {"epsilon": self.plan.epsilon(self.step)} if self._plays and not self.plan.noisy else {}

    def drop(self, lane: int) -> None:
        """Hear no more of a lane: it diverged or failed."""
        part, index = self._where[lane]
        part.drop(index)

    def learner(self, lane: int) -> Learner:
        """Return a lane's learner in the shapes of its own game."""
        part, index = self._where[lane]
        return part.learners.get(index)

    def learner_shapes(self, lane: int) -> Learner:
        """Return a lane's learner as shapes and dtypes."""
        part, index = self._where[lane]
        return part.learners.shapes(index)

    def put_learner(self, lane: int, learner: Learner) -> None:
        """Replace a lane's learner, before the first step is taken here."""
        part, index = self._where[lane]
        part.learners.put(index, learner)

    def measure(self, lane: int) -> dict[str, float]:
        """Return a lane's parameter norm and counts; waits for the device."""
        part, index = self._where[lane]
        return part.learners.measure(index)

    def metrics(self, lane: int) -> dict[str, float]:
        """Return what a lane's last update reported; waits for the device."""
        part, index = self._where[lane]
        feedback = part.learners.feedback(index)
        if feedback is None:
            return dict(self._restored.get(lane, {}))
        return {name: float(value) for name, value in feedback.metrics.items()}

    def restore_metrics(self, lane: int, metrics: Mapping[str, float]) -> None:
        """Set what a lane's last update before a checkpoint reported."""
        self._restored[lane] = dict(metrics)

    def subject(self, lane: int, programs: Programs) -> Subject:
        """Return a lane's learner to be inspected, by programs of its own."""
        own = self.lanes[lane]
        draw = partial(own.inspected, self.updates)
        return Subject(programs, self.learner(lane), own.streams, self.updates, draw, self.seen[lane])

    def settle(self) -> None:
        """Write back the priorities of the last updates, if replay is prioritized; waits for the device."""
        for part in self.parts:
            part.settle()

    def close(self) -> None:
        """Release environments and threads."""
        for part in self.parts:
            part.close()

    def _take_turns(self, steps: int) -> list[tuple[int, FinishedEpisode]]:
        """Take steps in every part, in turn; meanwhile the environments of half of the parts run, rounded down."""
        ended: list[tuple[int, FinishedEpisode]] = []
        running: deque[tuple[int, int]] = deque()

        def receive() -> None:
            number, step = running.popleft()
            found = self.parts[number].receive(step, self._due(step))
            ended.extend((self._firsts[number] + index, episode) for index, episode in found.items())

        for step in range(self.step + 1, self.step + steps + 1):
            for number, part in enumerate(self.parts):
                part.send(step)
                running.append((number, step))
                if len(running) > len(self.parts) // 2:
                    receive()
        while running:
            receive()
        self.reach(self.step + steps)
        return ended

    def _due(self, step: int) -> range:
        """Return the updates that are due after a step."""
        return range(self.plan.updates_by(step - 1), self.plan.updates_by(step))

    def _take_updates(self, most: int) -> None:
        """Take an update in every lane, or several in one call where nothing happens between them."""
        count = min(part.learners.together for part in self.parts)
        if 1 < count <= most and self._can_take(count):
            updates = range(self.updates, self.updates + count)
            self.step += count
            for part in self.parts:
                part.learn_several(self.step, updates)
        else:
            self.step += 1
            updates = self._due(self.step)
            for part in self.parts:
                part.learn(self.step, updates)
        self.updates = updates.stop

    def _can_take(self, count: int) -> bool:
        """Return whether nothing happens between so many updates: each step has one, no copy, and no method is due."""
        after, period = self.step + count, self.plan.target_update_period
        one_each = self.updates == self.step and self.plan.updates_by(after) == after
        copies_between = period and (after - 1) // period > self.step // period
        calm = all(part.learners.is_calm(self.updates, count) for part in self.parts)
        return one_each and not copies_between and calm
