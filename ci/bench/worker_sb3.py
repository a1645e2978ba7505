"""Stable-Baselines3's side: its DQN with its own Atari wrappers and its own Nature CNN (VALID padding), in torch.

Not the same work as the others: the network is smaller, the game begins with FIRE, and states are stored whole.
"""

from __future__ import annotations

import ale_py
import gymnasium
import torch
from serve import Round, Sample, serve, timed
from stable_baselines3 import DQN
from stable_baselines3.common.env_util import make_atari_env
from stable_baselines3.common.vec_env import VecFrameStack

LABEL = "sb3"
PREFILL = 5000
CAPACITY = PREFILL  # full, so that every step overwrites the oldest transition, as in nine tenths of a real run


def loop(game: str, steps: str) -> Round:
    """Whole training loop; checks that it trains."""
    torch.set_num_threads(1)
    gymnasium.register_envs(ale_py)
    environment = make_atari_env(
        f"ALE/{game}-v5",
        seed=0,
        env_kwargs={"frameskip": 1, "repeat_action_probability": 0.25},
        wrapper_kwargs={"noop_max": 0, "terminal_on_life_loss": False},
    )
    model = DQN(
        "CnnPolicy",
        VecFrameStack(environment, n_stack=4),
        learning_rate=6.25e-5,
        buffer_size=CAPACITY,
        learning_starts=PREFILL,
        batch_size=32,
        train_freq=4,
        gradient_steps=1,
        target_update_interval=8000,
        exploration_initial_eps=0.01,
        exploration_final_eps=0.01,
        seed=0,
        device="cpu",
    )

    def learn(count: int) -> None:
        model.learn(count, log_interval=None, reset_num_timesteps=False)

    def play() -> dict[str, Sample]:
        before, updates = next(model.policy.parameters()).detach().clone(), model._n_updates
        sample = timed(int(steps), lambda: learn(int(steps)))
        assert not torch.equal(before, next(model.policy.parameters())), "SB3's parameters stand still"
        assert model._n_updates - updates == int(steps) // 4, "SB3 took another number of updates"
        return {LABEL: sample}

    learn(PREFILL + 64)
    return play


if __name__ == "__main__":
    serve({"loop": loop}, ("stable-baselines3", "torch", "ale-py", "gymnasium", "numpy"))
