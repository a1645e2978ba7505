"""The environments that tasks give their games, as provenance records them: known without an emulator.

What a task asks for is a matter of its file; which library and which ROM or model answered is measured where it runs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from suite.tasks.games import Game
from suite.tasks.task import ClassicEnvironment, Environment, MinAtarEnvironment, MujocoEnvironment, Task

UNCOUNTED = ("num_threads", "batch_size")
"""Options that no result depends on; the fingerprint leaves them out."""

MEASURED = {
    "ale_py": ("ale_py", "rom_sha256"),
    "mujoco": ("mujoco", "gymnasium", "options", "frame_skip", "model_sha256"),
    "gymnasium": ("gymnasium",),
    "minatar": ("minatar",),
}
"""Library -> what it says of itself: the part of an environment that its task's file does not give."""


def library_of(task: Task) -> str:
    """Return the library that a task's environments come from, as provenance calls it."""
    if isinstance(task.environment, ClassicEnvironment):
        return "gymnasium"
    if isinstance(task.environment, MinAtarEnvironment):
        return "minatar"
    return "mujoco" if isinstance(task.environment, MujocoEnvironment) else "ale_py"


def options_of(task: Task, game: Game) -> dict[str, Any]:
    """Return every option that a task gives a game's environment, those of `UNCOUNTED` included."""
    if isinstance(task.environment, MujocoEnvironment):
        return mujoco_options(task.environment, game)
    if isinstance(task.environment, ClassicEnvironment):
        return classic_options(task.environment, game)
    if isinstance(task.environment, MinAtarEnvironment):
        return minatar_options(task.environment, game)
    return atari_options(task.environment, game)


def atari_options(options: Environment, game: Game) -> dict[str, Any]:
    """Return the options of an Atari game: its ROM, the emulator's arguments and how long a seed lasts."""
    return {"rom": game.rom, **emulator_options(options), "reseed_steps": options.reseed_steps}


def mujoco_options(options: MujocoEnvironment, game: Game) -> dict[str, Any]:
    """Return the options of a simulated body: which one, and when its episodes are cut off."""
    return {"id": f"{game.name}-{options.version}", "max_episode_steps": options.max_episode_steps}


def classic_options(options: ClassicEnvironment, game: Game) -> dict[str, Any]:
    """Return the options of an environment of classic control: which one, its cap, and how observations are scaled."""
    return {
        "id": options.names[game.name],
        "max_episode_steps": options.cap(game),
        "bounds": json.dumps(options.bounds[game.name]),
    }


def minatar_options(options: MinAtarEnvironment, game: Game) -> dict[str, Any]:
    """Return the options of a game of MinAtar: which one, the package's arguments, and the cap of its episodes."""
    return {
        "name": options.names[game.name],
        "sticky_action_prob": options.sticky_action_probability,
        "difficulty_ramping": options.difficulty_ramping,
        "max_episode_steps": options.cap(game),
    }


def fingerprint(environment: Mapping[str, Any]) -> str:
    """Return what tells environments apart on the board: 16 digits of the SHA-256 of all that results depend on."""
    relevant = {name: value for name, value in environment.items() if name not in UNCOUNTED}
    return hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]


def emulator_options(options: Environment, threads: int = 1) -> dict[str, Any]:
    """Return every argument of ALE's vector environment, named; none is left to its default."""
    return {
        "batch_size": 0,  # all environments answer each step
        "num_threads": threads,
        "thread_affinity_offset": -1,  # no pinning
        "max_num_frames_per_episode": options.max_episode_frames,
        "repeat_action_probability": options.sticky_action_probability,
        "full_action_space": options.full_action_set,
        "continuous": False,
        "continuous_action_threshold": 0.5,
        "autoreset_mode": "NextStep",  # never reached: every ended episode is reset by us first
        "img_height": options.screen_size,
        "img_width": options.screen_size,
        "grayscale": options.grayscale,
        "stack_num": 1,  # stacks are gathered from the replay
        "frameskip": options.frame_skip,
        "maxpool": options.max_pool,
        "noop_max": options.no_op_max,
        "episodic_life": False,  # would reset the emulator at a life loss
        "life_loss_info": False,  # it would make a lost life look like game over; lives are counted here
        "reward_clipping": False,  # recorded returns are raw; learning clips for itself
        "use_fire_reset": options.fire_reset,
    }
