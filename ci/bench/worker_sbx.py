"""SAC of Stable-Baselines3 (torch) and of SBX (jax), each as it comes, one gradient step an environment step.

Networks, batch and step size are those of our SAC. Evaluation and logs are off on all sides.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import jax
import numpy as np
import sbx
import stable_baselines3
import torch
from serve import Round, Sample, serve, timed

PREFILL = 1000


def sac(library: str, game: str, steps: str) -> Round:
    """Whole training loop; checks that it trains."""
    torch.set_num_threads(1)
    kind: Any = {"sb3": stable_baselines3.SAC, "sbx": sbx.SAC}[library]
    model = kind(
        "MlpPolicy",
        gymnasium.make(f"{game}-v4"),
        learning_rate=3e-4,
        buffer_size=100_000,
        learning_starts=PREFILL,
        batch_size=256,
        tau=0.005,
        gamma=0.99,
        train_freq=1,
        gradient_steps=1,
        policy_kwargs={"net_arch": [256, 256]},
        seed=0,
        **({"device": "cpu"} if library == "sb3" else {}),
    )

    def learn(count: int) -> None:
        model.learn(count, log_interval=None, reset_num_timesteps=False)

    def parameters() -> Any:
        if library == "sb3":
            return next(model.actor.parameters()).detach().numpy().copy()
        return np.asarray(jax.tree.leaves(model.policy.actor_state.params)[0])

    def play() -> dict[str, Sample]:
        before, updates = parameters(), model._n_updates
        sample = timed(int(steps), lambda: learn(int(steps)))
        assert not np.array_equal(before, parameters()), f"the parameters of {library} stand still"
        assert model._n_updates - updates == int(steps), f"{library} took another number of updates"
        return {library: sample}

    learn(PREFILL + 64)
    return play


if __name__ == "__main__":
    serve({"sac": sac}, ("sbx-rl", "stable-baselines3", "torch", "jax", "flax", "gymnasium", "mujoco", "numpy"))
