"""One measurement of `ci/bench/gpu`, in a process of its own: `python gpu_worker.py NAME SIZES`; prints JSON last.

NAME is `kind/network/form/lanes/variant`. `update`: one update of all lanes, again and again, on data that stay where
they are. `steps`: the whole training loop on real games, replay on the device. SIZES: see `Sizes`.
"""

from __future__ import annotations

import itertools
import json
import pickle
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parents[1]), str(HERE.parent / "gpu")]

WINDOWS = 3
VARIANTS = {
    "default": (True, "float32"),
    "whole": (True, "float32"),
    "free": (False, "float32"),
    "tf32": (True, "tf32"),
}
"""Whether kernels are deterministic, and the precision of products.

`default` is how runs are computed; `whole`: the same without parts of the lanes taking turns.
"""


class Sizes(NamedTuple):
    """`updates` or `steps` of each lane in a window; `batch` of an update; transitions in a replay before the first.

    `programs`: where `ci/gpu_compile --programs` left executables, or "".
    """

    updates: int = 40
    steps: int = 400
    batch: int = 32
    prefill: int = 1000
    programs: str = ""


def update(name: list[str], sizes: Sizes) -> dict[str, Any]:
    """Time an update of all lanes."""
    import catalog
    import jax
    import jax.numpy as jnp
    import numpy as np

    from suite.rng import Streams

    _, network, form, lanes, _ = name
    alone = form == "loop"
    own = catalog.Name("atari40m", "dqn", network, "dense", "update", form, 1 if alone else int(lanes))
    function, shapes, how = catalog.program(own, (f"agent.batch_size={sizes.batch}",))
    start = time.perf_counter()
    call, carried = executable(function, shapes, how, Path(sizes.programs) / f"{str(own).replace('/', '_')}.pickle")
    compile_s = time.perf_counter() - start
    programs = catalog.programs(own, (f"agent.batch_size={sizes.batch}",))
    learners = [programs.init(Streams("bench", "Pong", seed)) for seed in range(int(lanes))]
    random = np.random.default_rng(0)
    frames = random.integers(256, size=shapes[3].frames.shape, dtype=np.uint8)
    rest = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes[1:])
    arguments = (*rest[:2], jax.device_put(rest[2]._replace(frames=frames)), jnp.ones_like(rest[3]))
    state: Any = learners if alone else jax.tree.map(lambda *leaves: jnp.stack(leaves), *learners)
    del learners

    def step(state: Any) -> Any:
        return [call(own, *arguments)[0] for own in state] if alone else call(state, *arguments)[0]

    copied = jax.tree.map(jnp.copy, state)
    state, again = step(state), step(copied)
    same = all(bool(jnp.array_equal(*pair)) for pair in zip(*map(jax.tree.leaves, (state, again)), strict=True))
    del copied, again
    holder = [state]

    def window() -> None:
        for _ in range(sizes.updates):
            holder[0] = step(holder[0])
        jax.block_until_ready(holder[0])  # type: ignore[no-untyped-call]

    return {
        "ms_per_update_of_all": [round(1000 * seconds / sizes.updates, 4) for seconds in windows(window)],
        "compile_s": round(compile_s, 1),
        "program": "carried" if carried else "compiled here",
        "same_bits_when_repeated": same,
    }


def executable(function: Any, shapes: Any, how: dict[str, Any], carried: Path) -> tuple[Callable[..., Any], bool]:
    """Return a compiled function: one that was compiled elsewhere, where it is there and this jax takes it."""
    import jax

    if carried.is_file():
        from jax.experimental.serialize_executable import deserialize_and_load

        try:
            return deserialize_and_load(*pickle.loads(carried.read_bytes())), True
        except (ValueError, TypeError, RuntimeError) as error:  # another jaxlib, card or driver
            print(f"{carried.name} cannot be used here: {str(error)[:200]}", file=sys.stderr)
    return jax.jit(function, **how).lower(*shapes).compile(), False


def steps(name: list[str], sizes: Sizes) -> dict[str, Any]:
    """Time the training loop: emulators, actions, replay, updates."""
    import jax

    from suite.experience.domains import domain_of
    from suite.experience.replay.placement import Placement
    from suite.learning.batching import Form
    from suite.learning.build import programs_for
    from suite.rng import Streams
    from suite.running.request import Request, resolve
    from suite.running.start import Options, lanes_by_part, make_group, make_learners
    from suite.tasks import GAMES, load_task

    _, network, form, lanes, variant = name
    filled = (f"agent.warm_up={sizes.prefill}", f"agent.replay_capacity={2 * sizes.prefill}", "agent.epsilon_decay=1")
    (resolved,) = resolve(Request("atari40m", "dqn", network, settings=(*filled, f"agent.batch_size={sizes.batch}")))
    spec, task = resolved.spec, load_task("atari40m")
    games = [GAMES[game] for game in itertools.islice(itertools.cycle(task.games), int(lanes))]
    streams = [Streams(spec.task_key, game.name, seed) for seed, game in enumerate(games)]
    programs = [programs_for(spec, game) for game in games]
    domain, chosen = domain_of(task), None if form == "loop" else Form(form)
    place = Placement.HOST if jax.default_backend() == "cpu" else Placement.DEVICE
    options = Options(1, place, form, overlap=variant != "whole")
    learners = make_learners(programs, streams, lanes_by_part(len(games), options, domain), chosen, 1)
    group = make_group(domain, programs[0].plan, games, range(len(games)), streams, learners, place)
    group.begin()

    def advance(steps: int) -> None:
        until = group.step + steps
        while group.step < until:
            group.advance(until - group.step)

    advance(sizes.prefill + 2 * programs[0].plan.update_period)
    processor = time.process_time()

    def window() -> None:
        advance(sizes.steps)
        jax.block_until_ready([each.get(0).params for each in learners])  # type: ignore[no-untyped-call]

    seconds = windows(window)
    processor = time.process_time() - processor
    group.close()
    rates = [len(games) * sizes.steps / each for each in seconds]
    return {
        "agent_steps_per_s": [round(rate, 1) for rate in sorted(rates)],
        "median": round(statistics.median(rates), 1),
        "processors_busy": round(processor / sum(seconds), 2),
        "games": len({game.name for game in games}),
    }


def windows(work: Callable[[], None]) -> list[float]:
    """Return the sorted seconds of three windows."""
    found = []
    for _ in range(WINDOWS):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return sorted(found)


def main() -> None:
    """Measure what the command line names."""
    from suite.learning.device import prepare

    name, sizes = sys.argv[1].split("/"), Sizes(**json.loads(sys.argv[2]))
    deterministic, precision = VARIANTS[name[-1]]
    prepare(None, deterministic=deterministic, precision=precision)
    import jax

    found = {"update": update, "steps": steps}[name[0]](name, sizes)
    device = jax.devices()[0]
    peak = (device.memory_stats() or {}).get("peak_bytes_in_use")
    found |= {"device": device.device_kind, "jax": jax.__version__}
    print(json.dumps(found | ({"peak_mib": round(peak / 2**20)} if peak else {})))


if __name__ == "__main__":
    main()
