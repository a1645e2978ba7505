"""DrQ (Kostrikov et al. 2021) with Agarwal et al.'s epsilons (2021), as in Dopamine's Atari 100k code."""

from __future__ import annotations

from typing import Literal

import jax

from baselines.losses.value import LOSSES
from baselines.parts.augmentation import random_intensity, random_shift
from baselines.parts.composed import Parts, build
from baselines.parts.value_based import EpsilonSettings, LossSettings, adam, data_plan
from suite.contracts.agent import Agent
from suite.contracts.encoder import MakeEncoder


class DrQSettings(EpsilonSettings, LossSettings):
    """Settings of DrQ(epsilon)."""

    shift: int
    shift_range: Literal["open", "whole"]
    intensity: float


def make(settings: DrQSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build DrQ(epsilon) for `actions` discrete actions."""
    pad, whole_range = settings.shift, settings.shift_range == "whole"
    scale = settings.intensity

    def augment(key: jax.Array, images: jax.Array) -> jax.Array:
        """Change images before the encoder divides them by 255; afterwards would come to the same."""
        shift_key, intensity_key = jax.random.split(key)
        images = random_shift(shift_key, images, pad, whole_range=whole_range) if pad else images
        return random_intensity(intensity_key, images, scale)

    parts = Parts(element_loss=LOSSES[settings.loss], augment=augment)
    return build(parts, network, actions, adam(settings), data_plan(settings))
