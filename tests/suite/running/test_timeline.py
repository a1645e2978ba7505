from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.learning.build import build
from suite.running.request import Request, resolve
from suite.running.timeline import STEPS_BETWEEN_REPORTS, Event, Timeline
from suite.tasks import GAMES, load_task

periods = st.integers(1, 120)


def test_each_thing_is_due_at_its_own_period_and_some_at_the_end() -> None:
    timeline = Timeline(100, diagnose=40, checkpoint=48, evaluations=[50, 100])
    due = {step: found for step in range(101) if (found := timeline.due(step))}
    assert due == {
        32: {Event.REPORT},
        40: {Event.DIAGNOSE},
        48: {Event.CHECKPOINT},
        50: {Event.EVALUATE},
        64: {Event.REPORT},
        80: {Event.DIAGNOSE},
        96: {Event.REPORT, Event.CHECKPOINT},
        100: {Event.DIAGNOSE, Event.CHECKPOINT, Event.EVALUATE},
    }


@settings(max_examples=50)
@given(st.integers(1, 300), periods, periods, st.sets(st.integers(1, 300)))
def test_who_jumps_to_the_next_event_misses_none(last: int, diagnose: int, checkpoint: int, steps: set[int]) -> None:
    timeline = Timeline(last, diagnose, checkpoint, sorted(step for step in steps if step <= last))
    step, met = 0, set()
    while step < last:
        step += timeline.steps_until_next(step)
        met.add(step)
    assert met == {step for step in range(last + 1) if timeline.due(step)} | {last}


@pytest.mark.parametrize(
    ("task", "agent", "checkpoint", "evaluations"),
    [("smoke", "dqn", 1_600, []), ("mujoco", "ppo", 50_000, [10_240, 20_480])],
)
def test_a_timeline_is_in_agent_steps(task: str, agent: str, checkpoint: int, evaluations: list[int]) -> None:
    found, spec = load_task(task), resolve(Request(task, agent))[0].spec
    plan = build(spec, GAMES[found.games[0]])[0].plan
    length = 24_000
    timeline = Timeline.of(found, plan, length, checkpoint)
    last = found.agent_steps(length)
    due = {event: [step for step in range(last + 1) if event in timeline.due(step)] for event in Event}
    skip = found.units_per_step
    assert due[Event.EVALUATE] == (evaluations if found.evaluation is None or found.evaluation.every else [last])
    assert due[Event.DIAGNOSE] == sorted(
        {*range(found.diagnostics_every // skip, last, found.diagnostics_every // skip), last}
    )
    assert due[Event.CHECKPOINT] == sorted({*range(checkpoint // skip, last, checkpoint // skip), last})
    assert due[Event.REPORT] == list(range(STEPS_BETWEEN_REPORTS, last + 1, STEPS_BETWEEN_REPORTS))
