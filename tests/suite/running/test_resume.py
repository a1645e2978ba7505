"""A run that was stopped or killed and continued ends with the same bits as one that never was."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from suite.contracts.agent import ApplyGradients, Batch, Learner
from suite.experience.domains.atari import Atari
from suite.experience.envs.base import Envs
from suite.experience.observations import Frames
from suite.experience.replay.frames import FrameReplay
from suite.experience.replay.placement import Placement
from suite.learning.build import build, programs_for
from suite.learning.inspection import Found, inspect
from suite.learning.learners import LoopLearners
from suite.learning.programs import Programs
from suite.monitor import SILENT, Monitor
from suite.records.checkpoints import Loaded
from suite.records.learner_arrays import learner_hash
from suite.rng import Streams
from suite.running.checkpointing import SEEN, Checkpoint, learner_arrays, restore, save
from suite.running.group import Group
from suite.running.request import Request, resolve
from suite.running.start import make_group
from suite.tasks import ATARI, GAMES, Game, Inspection, load_task
from suite.tasks.configuration import Spec

pytestmark = pytest.mark.slow

TASK = load_task("smoke")


def group_of(
    cells: Sequence[tuple[str, int]],
    placement: Placement = Placement.HOST,
    cap: int = 8000,
    reseed: int = 250,
    prioritized: bool = False,
    lives: bool = False,
    parts: Sequence[int] = (),
    **settings: Any,
) -> Group:
    """Build a group on the network `tiny`, with small settings of its own and episodes capped at `cap` frames.

    `parts`: the lanes of each part; one part if none are given.
    """
    changes = {"warm_up": 40, "replay_capacity": 300, "target_update_period": 60, "epsilon_decay": 40} | settings
    paths = tuple(f"agent.{name}={value}" for name, value in changes.items())
    spec = resolve(Request("smoke", "dqn", "tiny", ("magnitude_pruning",), paths, None, None))[0].spec
    make_programs = prioritized_programs if prioritized else programs_for
    programs = [make_programs(spec, GAMES[game]) for game, _ in cells]
    streams = [Streams("smoke@1", game, seed) for game, seed in cells]
    changed = {"max_episode_frames": cap, "reseed_steps": reseed, "terminal_on_life_loss": lives}
    environment = TASK.atari.model_copy(update=changed)
    domain = Atari(TASK.model_copy(update={"environment": environment}))
    games, seeds = [GAMES[game] for game, _ in cells], [seed for _, seed in cells]
    sizes = iter(parts or [len(cells)])
    learners, first = [], 0
    for size in sizes:
        own = slice(first, first := first + size)
        learners.append(LoopLearners(programs[own], streams[own], 2))
    group = make_group(domain, programs[0].plan, games, seeds, streams, learners, placement)
    group.domain = domain  # type: ignore[attr-defined]
    return group


@cache
def prioritized_programs(spec: Spec, game: Game) -> Programs:
    """Return the programs of a DQN that draws by priority, two updates at a time."""
    dqn, methods = build(spec, game)

    def update(learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients) -> Any:
        after, feedback = dqn.update(learner, batch, key, apply_gradients)
        sizes = jnp.abs(batch.r_t) + batch.weight * feedback.metrics["loss"]
        return after, feedback._replace(priorities=jnp.sqrt(2.0 + sizes))

    plan = replace(dqn.plan, replay="prioritized", updates_per_period=2)
    return Programs(dqn._replace(update=update, plan=plan), methods, Frames(4, 84), game.actions)


def saved(group: Group, index: int) -> Checkpoint:
    """Take a lane's checkpoint, through bytes."""
    checkpoint = save(group, index, "", {})
    arrays = {name: np.array(array) for name, array in checkpoint.arrays.items()}
    return Checkpoint.read(Loaded(group.step, arrays, checkpoint.state.model_dump_json().encode(), ()))


def resumed(
    cells: Sequence[tuple[str, int]], checkpoints: Sequence[Checkpoint], at_once: int = 3, **options: Any
) -> Group:
    """Build the same group anew and bring it to the checkpoints."""
    group = group_of(cells, **options)

    def more(index: int, count: int) -> Envs:
        return group.domain.environments([GAMES[cells[index][0]]] * count, 1)  # type: ignore[attr-defined, no-any-return]

    restore(group, checkpoints, more, at_once, [SILENT] * len(cells))
    return group


def advance(group: Group, to: int) -> list[Any]:
    """Advance to an agent step; return the episodes that ended, in their order, then by lane."""
    ended = []
    while group.step < to:
        ended += group.advance(to - group.step)
    return sorted(ended, key=lambda found: (found[1].agent_step, found[0]))


def digest(group: Group, index: int) -> dict[str, str]:
    """Return a hash of every part of a lane's state."""
    lane, replay, actor = group.lanes[index], group.lanes[index].replay, group.lanes[index].actor
    assert isinstance(replay, FrameReplay)
    assert actor is not None
    slots = np.arange(min(replay.added, replay.capacity))

    def of(*arrays: np.ndarray) -> str:
        return hashlib.sha256(b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)).hexdigest()

    columns = (replay.actions, replay.rewards, replay.terminal, replay.truncated, replay.depth)
    return {
        "learner": learner_hash(learner_arrays(group.learner(index))),
        "frames": of(np.asarray(replay.store.take(slots[:, None], np.zeros((len(slots), 0), np.bool_)))),
        "columns": of(*(column[slots] for column in columns)),
        "priorities": "" if replay.priorities is None else of(*replay.priorities.arrays().values()),
        "stack": of(actor.observation),
        "counters": f"{lane.step} {lane.episodes} {replay.added} {actor._return} {actor.chain.hex()}",
        "history": of(*(np.frombuffer(episode, np.uint8) for segment in actor.history for episode in segment)),
        "metrics": json.dumps(group.metrics(index), sort_keys=True),
    }


def check_exact(cells: Sequence[tuple[str, int]], stop: int, end: int, **options: Any) -> None:
    """Compare a group that runs to `end` with one that is taken up anew at `stop`."""
    straight = group_of(cells, **options)
    straight.begin()
    advance(straight, stop)
    straight.settle()
    checkpoints = [saved(straight, index) for index in range(len(cells))]
    again = resumed(cells, checkpoints, **options)
    for index in range(len(cells)):
        assert digest(again, index) == digest(straight, index)
    assert advance(again, end) == advance(straight, end)
    for index in range(len(cells)):
        assert digest(again, index) == digest(straight, index)
    straight.close()
    again.close()


@pytest.mark.parametrize("stop", [1, 41, 299, 300, 301, 777])
def test_a_lane_goes_on_to_the_same_bits(tiny: None, stop: int) -> None:
    check_exact([("Breakout", 0)], stop, stop + 80)


def test_short_episodes_and_truncations_are_rebuilt(tiny: None) -> None:
    check_exact([("Pong", 1)], 400, 500, cap=112)  # truncated every 28 agent steps; the 300 newest are kept


@pytest.mark.parametrize(
    "reseed", [pytest.param(1, marks=pytest.mark.nightly), 60, pytest.param(100_000, marks=pytest.mark.nightly)]
)
def test_segments_of_any_length_are_rebuilt(tiny: None, reseed: int) -> None:
    check_exact([("Breakout", 0), ("Pong", 1)], 470, 560, cap=160, reseed=reseed)


def test_a_stop_between_two_episodes(tiny: None) -> None:
    check_exact([("Pong", 1)], 392, 500, cap=112)  # 14 episodes of 28: the one at hand has no action yet


@pytest.mark.parametrize("stop", [290, pytest.param(431, marks=pytest.mark.nightly)])
def test_lost_lives_are_terminals_that_are_rebuilt(tiny: None, stop: int) -> None:
    cells = [("Breakout", 0), ("Pong", 0)]
    check_exact(cells, stop, stop + 60, lives=True)
    group = group_of(cells, lives=True)
    group.begin()
    ended = advance(group, 300)
    replay, actor = group.lanes[0].replay, group.lanes[0].actor
    assert isinstance(replay, FrameReplay)
    assert replay.terminal.sum() > sum(index == 0 for index, _ in ended)  # lives, and the games' ends
    (after,) = np.flatnonzero(replay.terminal)[:1] + 1
    assert replay.depth[after] == 0
    assert actor is not None
    assert sum(len(own) for own in actor.history[-1]) <= 300
    group.close()


@pytest.mark.parametrize("placement", [Placement.COMPRESSED, Placement.DEVICE])
def test_frames_are_rebuilt_wherever_they_live(tiny: None, placement: Placement) -> None:
    check_exact([("Breakout", 0)], 377, 420, placement=placement, cap=160)


@pytest.mark.parametrize("placement", [Placement.COMPRESSED, Placement.DEVICE])
def test_it_does_not_matter_where_frames_live(tiny: None, placement: Placement) -> None:
    elsewhere, host = group_of([("Breakout", 0)], placement=placement), group_of([("Breakout", 0)])
    for group in (elsewhere, host):
        group.begin()
        advance(group, 350)
    assert digest(elsewhere, 0) == digest(host, 0)


def test_lanes_at_different_places_of_their_episodes_go_on_together(tiny: None) -> None:
    check_exact([("Breakout", 0), ("Pong", 0), ("Breakout", 1)], 361, 420, cap=800)


@pytest.mark.parametrize(
    "stop", [pytest.param(120, marks=pytest.mark.nightly), 301, pytest.param(640, marks=pytest.mark.nightly)]
)
def test_priorities_are_part_of_it(tiny: None, stop: int) -> None:
    check_exact([("Breakout", 0), ("Breakout", 1)], stop, stop + 80, prioritized=True, cap=240)


def test_prioritized_lanes_draw_by_what_their_updates_reported(tiny: None) -> None:
    group = group_of([("Breakout", 0)], prioritized=True)
    group.begin()
    advance(group, 240)
    group.settle()
    replay = group.lanes[0].replay
    assert isinstance(replay, FrameReplay)
    priorities = replay.priorities
    assert priorities is not None
    priorities.add_until(240)
    leaves = priorities.arrays()["leaves"][:240]
    assert group.updates == 2 * (240 // 4 - 10)
    assert priorities.maximum > 1  # some update reported more than a new transition's 1
    assert len(np.unique(leaves)) > 100
    assert leaves[-1] > 1  # the newest cannot be drawn yet: it has the maximum that it entered with


@pytest.mark.nightly
def test_every_game_goes_on_to_the_same_bits(tiny: None, record_property: Any) -> None:
    for name in ATARI:
        check_exact([(name, 0)], 520, 640, cap=1200)
    record_property("games", len(ATARI))
    record_property("agent_steps_compared", 120 * len(ATARI))
    assert len(ATARI) == 60


def test_a_lane_of_many_equals_the_lane_alone(tiny: None) -> None:
    cells = [("Pong", 0), ("Breakout", 0), ("Pong", 1), ("Breakout", 1)]
    alone = {}
    for cell in cells:
        group = group_of([cell], cap=480)
        group.begin()
        alone[cell] = ([episode for _, episode in advance(group, 250)], digest(group, 0))
        group.close()
    for width in (2, 4):
        group = group_of(cells[:width], cap=480)
        group.begin()
        ended = advance(group, 250)
        for index, cell in enumerate(cells[:width]):
            assert ([episode for lane, episode in ended if lane == index], digest(group, index)) == alone[cell]
        group.close()


def test_parts_that_take_turns_leave_each_lane_the_bits_that_it_has_in_one(tiny: None) -> None:
    cells = [("Pong", 0), ("Breakout", 0), ("Pong", 1)]
    whole, halved = group_of(cells, cap=480, prioritized=True), group_of(cells, cap=480, prioritized=True, parts=[2, 1])
    assert [len(group.parts) for group in (whole, halved)] == [1, 2]
    for group in (whole, halved):
        group.begin()
    assert advance(whole, 200) == advance(halved, 200)
    for group in (whole, halved):
        group.settle()
    middle = [saved(halved, lane) for lane in range(3)]  # actions of step 201 were asked for, and are asked for again
    again = resumed(cells, middle, cap=480, prioritized=True, parts=[1, 2])
    for group in (whole, halved, again):
        group.drop(1)
        advance(group, 260)
        group.settle()
    for lane in (0, 2):
        assert digest(whole, lane) == digest(halved, lane) == digest(again, lane)
        assert whole.metrics(lane) == halved.metrics(lane) == again.metrics(lane)
    assert [part.active for part in whole.parts] == [{0, 2}]
    assert [part.active for part in halved.parts] == [{0}, {0}]
    for group in (whole, halved, again):
        group.close()


def test_a_dropped_lane_does_not_disturb_the_others(tiny: None) -> None:
    cells = [("Pong", 0), ("Breakout", 0), ("Pong", 1)]
    alone = group_of(cells[2:], cap=480)
    together = group_of(cells, cap=480)
    for group in (alone, together):
        group.begin()
    advance(together, 100)
    together.drop(0)
    together.drop(1)
    advance(together, 400)  # far enough for the dropped lanes' emulators to end episodes
    advance(alone, 400)
    assert digest(together, 2) == digest(alone, 0)


class Heard(Monitor):
    """A monitor that notes what it is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({"form": "loop", "lanes": 2, "threads": 1}, {"form": "loop", "lanes": 5, "threads": 1}, []),
        ({"form": "loop", "threads": 1}, {"form": "loop", "threads": 2}, ["threads was 1, is 2"]),
        ({"form": "matmul", "lanes": 5, "parts": 4}, {"form": "matmul", "lanes": 5}, ["parts was 4, is none"]),
        (
            {"form": "loop", "lanes": 5},
            {"form": "matmul", "lanes": 4, "parts": 4},
            ["form was loop, is matmul", "lanes was 5, is 4", "parts was none, is 4"],
        ),
    ],
)
def test_what_makes_other_bits_is_said_when_a_run_goes_on(
    tiny: None, before: dict[str, Any], now: dict[str, Any], said: list[str]
) -> None:
    group = group_of([("Pong", 0)])
    group.begin()
    monitor = Heard()
    save(group, 0, "", before).check("", now, monitor)
    group.close()
    assert monitor.said == [f"{each}: bits may come out otherwise than before" for each in said]


def looked_at(group: Group) -> Found:
    """Inspect the first lane as it is now."""
    learners = group.parts[0].learners
    assert isinstance(learners, LoopLearners)
    return inspect(group.subject(0, learners._programs[0]), Inspection(every=1, states=8, gradients=4))


def test_inspections_change_no_bit_of_training_and_come_out_the_same_after_a_checkpoint(tiny: None) -> None:
    cells = [("Pong", 0)]
    alone, inspected = group_of(cells, prioritized=True), group_of(cells, prioritized=True)
    alone.begin()
    inspected.begin()
    advance(alone, 100)
    found = []
    for step in (60, 80):
        advance(inspected, step)
        found.append(looked_at(inspected))
    inspected.settle()
    middle = saved(inspected, 0)
    advance(inspected, 100)
    found.append(looked_at(inspected))
    assert digest(alone, 0) == digest(inspected, 0)
    one, other = saved(alone, 0), saved(inspected, 0)
    assert one.state == other.state
    assert {name for name in other.arrays if name not in one.arrays} == {f"{SEEN}masks", f"{SEEN}ever"}
    for name, array in one.arrays.items():
        assert array.tobytes() == other.arrays[name].tobytes(), name
    again = resumed(cells, [middle], prioritized=True)
    advance(again, 100)
    assert looked_at(again) == found[-1]
    assert found[0] != found[1] != found[2]
    assert 0 < found[-1].values["mask_overlap"] <= 1
    assert found[-1].values["mask_explored"] <= 1
    for group in (alone, inspected, again):
        group.close()
