"""One training step runs where docs/architecture.md says, and nowhere else."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import numpy as np
import pytest

import suite
from suite.contracts.agent import Feedback
from suite.experience.domains import domain_of
from suite.experience.observations import Frames
from suite.experience.replay.placement import Placement
from suite.learning.build import build
from suite.learning.learners import LoopLearners
from suite.learning.programs import Programs
from suite.rng import Streams
from suite.running.request import Request, resolve
from suite.running.start import make_group
from suite.tasks import GAMES

ROOT = Path(suite.__file__).parent.parent
PONG = GAMES["Pong"]


@contextmanager
def files_run() -> Iterator[set[str]]:
    """Yield the files of the checkout in which functions run meanwhile; they are there once it is over."""
    found: set[str] = set()
    called: set[str] = set()

    def note(frame: FrameType, event: str, argument: object) -> None:
        called.add(frame.f_code.co_filename)

    before = sys.gettrace()
    sys.settrace(note)
    try:
        yield found
    finally:
        sys.settrace(before)
    paths = [Path(name) for name in called if name != __file__]
    found |= {str(path.relative_to(ROOT)) for path in paths if path.is_relative_to(ROOT) and path.is_file()}


def uncompiled(programs: Programs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the compiled calls answer without computing: what they compute is traced apart."""
    shapes = programs.shapes()
    answers: dict[str, Any] = {
        "_init": lambda key: shapes,
        "_act": lambda *arguments: np.int32(0),
        "_update": lambda *arguments: (shapes, Feedback({})),
        "_sync": lambda params: params,
    }
    for name, answer in answers.items():
        monkeypatch.setattr(programs, name, answer)


def test_a_step_of_dqn_on_atari_runs_in_the_files_that_the_page_names(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = ("agent.warm_up=8", "agent.replay_capacity=16", "agent.target_update_period=4")
    (resolved,) = resolve(Request("smoke", "dqn", "nature_cnn", settings=settings))
    agent, methods = build(resolved.spec, PONG)
    programs = Programs(agent, methods, Frames(4, 84), PONG.actions)
    shapes, key, legal = programs.shapes(), np.zeros(2, np.uint32), np.ones(PONG.actions, np.bool_)
    data, observation = programs.blank_data(), programs.inputs.blank()
    with files_run() as traced:
        jax.eval_shape(programs.traced_update, shapes, key, np.uint32(0), data, legal, {})
        jax.eval_shape(programs.traced_act, shapes.params, observation, legal, key, np.uint32(0))
    uncompiled(programs, monkeypatch)
    streams, domain = [Streams("smoke@1", "Pong", 0)], domain_of(resolved.task)
    learners = LoopLearners([programs], streams, 1)
    group = make_group(domain, programs.plan, [PONG], [0], streams, [learners], Placement.HOST)
    group.begin()
    with files_run() as stepped:
        while group.updates < 3:
            group.advance()
    group.close()
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [2-8] \|.*$", page, re.MULTILINE)
    named = {path for row in rows for path in re.findall(r"`((?:suite|baselines)/[\w/]+\.py)`", row)}
    ours = {path for path in traced | stepped if path.startswith(("suite/", "baselines/"))}
    assert ours == named
    assert len(named) == 16
