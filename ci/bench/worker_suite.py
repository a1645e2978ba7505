"""Our side: the loop, the emulator, the replay and the compiled programs of this checkout."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from emulation import LABEL, TASK, ale, emulator
from flax import linen as nn
from serve import Round, Sample, serve, timed

from suite.contracts import registry
from suite.contracts.agent import Learner
from suite.experience.domains import domain_of
from suite.experience.envs.atari import AtariEnvs
from suite.experience.replay.frames import aligned
from suite.experience.replay.placement import Placement, make_replay
from suite.experience.samples import Windows
from suite.learning.build import build, programs_for
from suite.learning.device import prepare
from suite.learning.learners import LoopLearners
from suite.learning.program_cost import cost_of
from suite.learning.programs import Programs, wait_for
from suite.rng import Sampling, Streams
from suite.running.group import Group
from suite.running.request import Request, resolve
from suite.running.start import make_group
from suite.tasks import GAMES, Task, load_task
from suite.tasks.configuration import Spec

PREFILL = 5000
CAPACITY = PREFILL  # full, so that every step overwrites the oldest transition, as in nine tenths of a real run
FILLED = (f"agent.warm_up={PREFILL}", f"agent.replay_capacity={CAPACITY}", "agent.epsilon_decay=1")
BOXING = GAMES["Boxing"]
ACTIONS = BOXING.actions  # all 18
PRUNING = "magnitude_pruning"
NEED_MORE = ("dense", "jaxpruner", "lottery_ticket")
"""Methods left out of the comparison with dense: itself, one that needs another package, one that needs a run."""
RECORDED = 10_000


class NullNetwork(nn.Module):
    """Every sixth pixel of the newest frame, 196 numbers; with the head behind it, what is left is the host's loop."""

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, 84, 84, 4] to float32 features [B, 196]."""
        pixels = observation[:, ::6, ::6, -1].astype(jnp.float32) / 255.0
        return pixels.reshape((pixels.shape[0], -1))


# The loop. `make_lanes`, `advance` and `learner_of` are all that knows how lanes are built and stepped.


def make_lanes(network: str, game: str, count: int) -> Group:
    """Return lanes with seeds 0, 1, ... that explore at random until their replay is prefilled."""
    spec = spec_of(network, *FILLED)
    programs = null_programs(spec, game) if network == "null" else programs_for(spec, GAMES[game])
    streams = [Streams(spec.task_key, game, seed) for seed in range(count)]
    return group_of(TASK, programs, game, streams)


def group_of(task: Task, programs: Programs, game: str, streams: Sequence[Streams]) -> Group:
    """Return lanes of one program that have begun."""
    count = len(streams)
    learners, games = LoopLearners([programs] * count, streams, threads=1), [GAMES[game]] * count
    group = make_group(domain_of(task), programs.plan, games, range(count), streams, [learners], Placement.HOST)
    group.begin()
    return group


def advance(group: Group) -> None:
    """Take one agent step in every lane."""
    group.advance()


def learner_of(group: Group) -> tuple[int, Any]:
    """Return the updates so far and the parameters of the first lane."""
    return group.updates, group.learner(0).params


def null_programs(spec: Spec, game: str) -> Programs:
    """Return the programs of DQN on the null network."""
    make, actions = registry.load("agent", "dqn"), GAMES[game].actions
    agent = make(dict(spec.agent.settings), lambda **initializers: NullNetwork(), actions)
    return Programs(agent, (), domain_of(TASK).inputs(GAMES[game]), actions)


def rounds(group: Group, steps: str, label: str = LABEL) -> Round:
    """Return the rounds of a loop, its replay filled first; each checks that it trains. `steps` are of all lanes."""
    count, period = len(group.lanes), group.plan.update_period
    ticks = int(steps) // count
    for _ in range(group.plan.warm_up + 64):
        advance(group)

    def work() -> None:
        for _ in range(ticks):
            advance(group)
        jax.block_until_ready(learner_of(group)[1])  # type: ignore[no-untyped-call]

    def play() -> dict[str, Sample]:
        updates, params = learner_of(group)
        before = jax.tree.map(np.array, params)
        sample = timed(ticks * count, work)
        moved = jax.tree.map(lambda old, new: bool(np.any(old != new)), before, learner_of(group)[1])
        assert any(jax.tree.leaves(moved)), "our parameters stand still"
        assert learner_of(group)[0] - updates == ticks // period, "we took another number of updates"
        return {label: sample}

    return play


def loop(network: str, game: str, lanes: str, steps: str) -> Round:
    """Whole training loop of DQN on Atari."""
    return rounds(make_lanes(network, game, int(lanes)), steps)


# One part at a time.


def replay(placement: str, transitions: str, batches: str) -> Round:
    """Batches from a large replay, filled with random play that is repeated until it is full."""
    plan = build(spec_of("nature", f"agent.replay_capacity={transitions}"), BOXING)[0].plan
    ring = make_replay(plan, TASK.atari, Placement(placement))
    environments = AtariEnvs(GAMES["Breakout"], TASK.atari)
    random = np.random.default_rng(0)
    recorded: list[tuple[Any, int, float, bool]] = []
    frame = environments.reset([0])[0]
    while len(recorded) < RECORDED:
        chosen = random.integers(environments.actions, size=1)
        step = environments.step(chosen)
        terminal = bool(step.discount[0] == 0)
        recorded.append((frame, int(chosen[0]), float(step.reward[0]), terminal))
        frame = environments.reset([None])[0] if terminal else step.observation[0]
    while ring.added < int(transitions):
        for frame, action, reward, terminal in recorded:
            ring.add(frame, action, reward, terminal=terminal, truncated=False)
    sampling, counts = Sampling(Streams(TASK.key, "Breakout", 0), plan.batch_size), itertools.count()

    def work() -> None:
        for _ in range(int(batches)):
            ring.sample(plan, partial(sampling.draw, next(counts)))

    work()
    return lambda: {f"{LABEL}, {placement}": timed(int(batches), work)}


def copy(transitions: str, batches: str) -> Round:
    """The bytes of a batch, copied from random places of an array as large as the ring: the least there is to do."""
    random = np.random.default_rng(0)
    frames = np.ones((int(transitions), 84, 84), np.uint8)
    batch = aligned((32, 5, 84, 84))
    drawn = random.integers(int(transitions) - 5, size=(int(batches), 32, 1)) + np.arange(5)

    def work() -> None:
        for slots in drawn:
            frames.take(slots, axis=0, out=batch, mode="clip")

    work()
    return lambda: {"copy alone": timed(int(batches), work)}


class Updates:
    """Gradient steps on one batch of noise, each waited for."""

    def __init__(self, programs: Programs) -> None:
        self.programs = programs
        self.streams = Streams(TASK.key, "Pong", 0)
        self.learner: Learner = programs.init(self.streams)
        random = np.random.default_rng(0)
        plan = programs.plan
        self.windows = Windows(
            random.integers(256, size=(plan.batch_size, 5, 84, 84), dtype=np.uint8),
            random.integers(ACTIONS, size=plan.batch_size, dtype=np.int32),
            random.choice(np.asarray([-1, 0, 1], np.float32), plan.batch_size),
            np.full(plan.batch_size, plan.gamma, np.float32),
        )

    def step(self, count: int) -> None:
        """Take the update that `count` others went before."""
        self.learner, _ = self.programs.update(self.learner, self.streams, count, self.windows)
        jax.block_until_ready(self.learner)  # type: ignore[no-untyped-call]


def update(repeats: str) -> Round:
    """Floating-point operations of updates, as the compiler counts them, beside those of a matrix product."""
    learning = {network: Updates(programs_for(spec_of(network), BOXING)) for network in ("nature", "impala")}
    cost = {network: cost_of(updates.programs).update_operations / 1e9 for network, updates in learning.items()}
    counts = itertools.count()

    def work(updates: Updates) -> None:
        for _ in range(int(repeats)):
            updates.step(next(counts))

    size = 1024
    product = jax.jit(jnp.matmul)
    matrix = jnp.full((size, size), 1 / size, jnp.float32)

    def multiply() -> None:
        for _ in range(4 * int(repeats)):
            product(matrix, matrix).block_until_ready()

    def play() -> dict[str, Sample]:
        samples = {name: timed(int(repeats) * cost[name], partial(work, learning[name])) for name in learning}
        return samples | {"matrix product": timed(4 * int(repeats) * 2 * size**3 / 1e9, multiply)}

    play()
    return play


def pruning(repeats: str) -> Round:
    """Updates with and without masks, taken in turn, on the Nature CNN with all 18 actions."""
    dense, pruned = (Updates(programs_for(spec_of("nature", method=name), BOXING)) for name in ("dense", PRUNING))
    pruned.step(last_refresh())
    sides = [("pruned", pruned), ("dense", dense)]

    def play() -> dict[str, Sample]:
        spent = {label: 0.0 for label, _ in sides}
        for turn in range(int(repeats)):
            sides.reverse()
            for label, updates in sides:
                spent[label] += timed(1, partial(updates.step, turn + 1)).cpu_s
        return {label: Sample(int(repeats), spent[label]) for label in ("pruned", "dense")}

    play()
    return play


def methods(repeats: str) -> Round:
    """Ordinary updates of every method, taken in turn, on the Nature CNN with all 18 actions."""
    names = [name for name in registry.registered("method") if name not in NEED_MORE]
    sides = [(name, Updates(programs_for(spec_of("nature", method=name), BOXING))) for name in ("dense", *names)]
    for _, updates in sides:
        updates.step(1)

    def play() -> dict[str, Sample]:
        spent = dict.fromkeys(("dense", *names), 0.0)
        for turn in range(int(repeats)):
            sides.reverse()
            for label, updates in sides:
                spent[label] += timed(1, partial(updates.step, turn + 2)).cpu_s
        return {label: Sample(int(repeats), cpu_s) for label, cpu_s in spent.items()}

    play()
    return play


def refresh(repeats: str) -> Round:
    """New masks for all 4.05 million weights of the Nature CNN with 18 actions, from magnitudes."""
    _, (method,) = build(spec_of("nature", method=PRUNING), BOXING)
    learner = programs_for(spec_of("nature", method=PRUNING), BOXING).init(Streams(TASK.key, "Pong", 0))
    signal = method.signal(last_refresh())
    program = jax.jit(
        lambda learner, signal: method.refresh(jax.random.key(0), learner, learner.params, signal).methods
    )

    def work() -> None:
        for _ in range(int(repeats)):
            jax.block_until_ready(program(learner, signal))  # type: ignore[no-untyped-call]

    work()
    return lambda: {LABEL: timed(int(repeats), work)}


def last_refresh() -> int:
    """Return the update of the last mask refresh, from which the masks have their final sparsity."""
    _, (method,) = build(spec_of("nature", method=PRUNING), BOXING)
    assert method.milestones is not None
    return method.milestones["pruning ends"]


def sac(game: str, lanes: str, steps: str) -> Round:
    """Whole training loop of SAC, without evaluation."""
    group = lanes_of("mujoco", "sac", game, int(lanes), "agent.replay_capacity=100000")
    return rounds(group, steps, f"{LABEL} x{lanes}" if int(lanes) > 1 else LABEL)


def minatar(game: str, lanes: str, steps: str) -> Round:
    """Whole training loop of DQN on MinAtar."""
    return rounds(lanes_of("minatar", "dqn", f"MinAtar{game}", int(lanes), *FILLED), steps, f"{LABEL} x{lanes}")


def classic(game: str, lanes: str, steps: str) -> Round:
    """Whole training loop of DQN on classic control."""
    return rounds(lanes_of("classic", "dqn", game, int(lanes), *FILLED), steps, f"{LABEL} x{lanes}")


def lanes_of(task_name: str, agent: str, game: str, count: int, *settings: str) -> Group:
    """Return lanes of a task's own network with seeds 0, 1, ..."""
    task = load_task(task_name)
    (resolved,) = resolve(Request(task.id, agent, None, ("dense",), settings))
    streams = [Streams(task.key, game, seed) for seed in range(count)]
    return group_of(task, programs_for(resolved.spec, GAMES[game]), game, streams)


def fused(game: str, updates: str, steps: str, width: str = "1") -> Round:
    """Updates of SAC alone, several in one call: what is left of a step when nothing is acted, drawn or recorded."""
    (resolved,) = resolve(Request("mujoco", "sac", width=int(width)))
    programs, together = programs_for(resolved.spec, GAMES[game]), int(updates)
    streams = Streams("mujoco@1", game, 0)
    rng = np.random.default_rng(0)
    one = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(leaf.dtype), programs.blank_data())
    rows = jax.tree.map(lambda leaf: np.stack([leaf] * together), one)
    key, legal = streams.key_data("update"), np.ones(programs.actions, np.bool_)

    @partial(jax.jit, donate_argnums=0)
    def several(learner: Any, first: jax.Array, rows: Any) -> Any:
        def body(carry: Any, row: Any) -> Any:
            learner, count = carry
            learner, _ = programs.traced_update(learner, key, count, row, legal, {})
            return (learner, count + 1), None

        (learner, _), _ = jax.lax.scan(body, (learner, first), rows)
        return learner

    state = [programs.init(streams)]

    def work() -> None:
        for call in range(int(steps) // together):
            state[0] = several(state[0], np.uint32(call), rows)
        wait_for(state[0])

    work()
    label = f"{LABEL} updates, {together} a call" if together > 1 else f"{LABEL} updates, width {width}"
    return lambda: {label: timed(int(steps), work)}


@cache
def spec_of(network: str, *settings: str, method: str = "dense") -> Spec:
    """Return the published configuration of DQN with a network; the null network has the spec of the Nature CNN."""
    name = "impala" if network == "impala" else "nature_cnn"
    (resolved,) = resolve(Request(TASK.id, "dqn", name, (method,), settings))
    return resolved.spec


if __name__ == "__main__":
    prepare(None, deterministic=False)  # as a run does
    serve(
        {
            "loop": loop,
            "emulator": emulator,
            "ale": ale,
            "replay": replay,
            "copy": copy,
            "update": update,
            "pruning": pruning,
            "methods": methods,
            "refresh": refresh,
            "sac": sac,
            "fused": fused,
            "minatar": minatar,
            "classic": classic,
        },
        ("jax", "jaxlib", "flax", "ale-py", "gymnasium", "numpy"),
    )
