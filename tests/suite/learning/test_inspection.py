"""Inspections of networks whose numbers are known by hand, and of every agent."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from suite.checks.method.trial import arrays_of, first_difference
from suite.contracts import registry
from suite.contracts.encoder import FEATURES, Layer, record_units
from suite.experience.observations import Frames
from suite.experience.samples import Windows
from suite.learning.inspection import Subject, inspect
from suite.learning.programs import Programs
from suite.records.covariance import unpack
from suite.rng import Streams
from suite.tasks import Inspection

STREAMS = Streams("inspection@1", "game", 0)
INPUTS = Frames(stack=1, screen=2)
ACTIONS = 2


class Plain(nn.Module):
    """Pixels as they are, or through a layer of three units."""

    hidden: bool
    kernel_init: Any

    @nn.compact
    def __call__(self, observation: Any) -> Any:
        x = observation.astype(jnp.float32).reshape((observation.shape[0], -1))
        if self.hidden:
            x = record_units(self, "dense", nn.relu(nn.Dense(3, kernel_init=self.kernel_init, name="dense")(x)))
        return x

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (Layer("dense", "dense", FEATURES),) if self.hidden else ()


pytestmark = pytest.mark.usefixtures("quick_compilation")


@cache
def programs_of(*, hidden: bool) -> Programs:
    values = {name: setting.value for name, setting in registry.card("agent", "dqn").settings.items()}
    make: Any = lambda **initializers: Plain(hidden, **initializers)  # noqa: E731
    agent = registry.load("agent", "dqn")(values | {"batch_size": 4}, make, ACTIONS)
    return Programs(agent, (), INPUTS, ACTIONS)


def transitions(name: str, count: int) -> Windows:
    """Return made-up transitions that all end their episode, so that the target is the reward."""
    rng = np.random.default_rng([count, *name.encode()])
    frames = rng.integers(0, 5, (count, 2, 2, 2), np.uint8)
    rewards = rng.normal(size=count).astype(np.float32)
    return Windows(frames, rng.integers(0, ACTIONS, count, np.int32), rewards, np.zeros(count, np.float32))


def test_a_linear_network_has_the_gradients_and_values_of_paper_and_pencil() -> None:
    programs = programs_of(hidden=False)
    learner = programs.init(STREAMS)
    kernel, bias = (np.asarray(learner.params["params"]["head"][name], np.float64) for name in ("kernel", "bias"))
    data = transitions("inspect/0", 8)
    inputs = np.concatenate([data.frames[:, 0].reshape(8, 4), np.ones((8, 1))], axis=1).astype(np.float64)
    q = inputs @ np.vstack([kernel, bias])
    errors = data.r_t - q[np.arange(8), data.a_tm1]
    expected = np.zeros((8, 8))
    for i in range(8):
        for j in range(8):  # the gradient of (r - q)^2 is -2 (r - q) x, in the column of the action
            cosine = inputs[i] @ inputs[j] / np.linalg.norm(inputs[i]) / np.linalg.norm(inputs[j])
            expected[i, j] = np.sign(errors[i] * errors[j]) * cosine * (data.a_tm1[i] == data.a_tm1[j])
    subject = Subject(programs, learner, STREAMS, 3, transitions, {})
    found = inspect(subject, Inspection(every=1, states=8, gradients=8))
    np.testing.assert_allclose(unpack(found.covariance), expected, atol=0.5 / 127 + 1e-6)
    taken = q[np.arange(8), data.a_tm1]
    mean = np.zeros((5, ACTIONS))
    for i in range(8):
        mean[:, data.a_tm1[i]] += -2 * errors[i] * inputs[i] / 8
    assert found.values["gradient_norm"] == pytest.approx(np.linalg.norm(mean), rel=1e-4)
    assert found.values["q_variance"] == pytest.approx(taken.var(), rel=1e-4)
    assert found.values["q_norm"] == pytest.approx(np.linalg.norm(q, axis=1).mean(), rel=1e-4)
    assert found.values["q_target_variance"] == pytest.approx(data.r_t.var(), rel=1e-4)
    assert found.values["weight_change"] == 0  # it has not moved from where it began
    assert found.values["update_size"] > 0
    assert not {"srank", "dormant_0", "mask_overlap"} & found.values.keys()  # no layer whose units are known, no masks


def with_rewards(reward: float) -> Callable[[str, int], Windows]:
    """Return what draws transitions of which the last has a reward of its own, and so a gradient."""

    def draw(name: str, count: int) -> Windows:
        data = transitions(name, count)
        return data._replace(r_t=np.append(data.r_t[:-1], np.float32(reward)))

    return draw


def test_gradients_whose_squares_leave_float32_are_compared_as_others() -> None:
    programs = programs_of(hidden=False)
    draw = with_rewards(1e25)
    subject = Subject(programs, programs.init(STREAMS), STREAMS, 3, draw, {})
    found = inspect(subject, Inspection(every=1, states=8, gradients=8))
    largest = 2 * 1e25 * np.linalg.norm([*draw("inspect/0", 8).frames[-1, 0].ravel(), 1])
    assert found.values["gradient_norm"] == pytest.approx(largest / 8, rel=1e-4)
    usual = inspect(replace(subject, draw=transitions), Inspection(every=1, states=8, gradients=8))
    theirs, ours = (np.abs(unpack(one.covariance)) for one in (usual, found))  # the error's sign is that of the reward
    np.testing.assert_allclose(ours, theirs, atol=1 / 127 + 1e-6)


def test_a_gradient_that_is_not_finite_leaves_out_what_is_said_of_gradients() -> None:
    programs = programs_of(hidden=False)
    subject = Subject(programs, programs.init(STREAMS), STREAMS, 3, with_rewards(np.nan), {})
    found = inspect(subject, Inspection(every=1, states=8, gradients=8))
    assert found.covariance == ""
    assert not {"gradient_norm", "gradient_cosine"} & found.values.keys()
    assert np.isfinite(found.values["q_variance"])


def test_values_and_units_that_are_not_finite_are_no_zeros() -> None:
    programs = programs_of(hidden=True)
    learner = programs.init(STREAMS)
    kernel = np.full((4, 3), 3e38, np.float32)
    params = {"params": {**learner.params["params"], "encoder": {"dense": {"kernel": kernel, "bias": np.zeros(3)}}}}
    subject = Subject(programs, learner._replace(params=params), STREAMS, 0, transitions, {})
    found = inspect(subject, Inspection(every=1, states=16, gradients=2)).values
    names = ("srank", "stable_rank", "effective_rank", "dormant_0", "dormant_0.1", "q_variance")
    assert not np.isfinite([found[name] for name in names]).any()
    assert "policy_churn" not in found


def test_units_of_a_layer_are_counted_as_they_were_made() -> None:
    programs = programs_of(hidden=True)
    learner = programs.init(STREAMS)
    kernel = np.zeros((4, 3), np.float32)
    kernel[0, 0] = 1.0  # unit 0 is the first pixel, unit 1 a hundredth of it, unit 2 is never positive
    kernel[0, 1] = 0.01
    kernel[0, 2] = -1.0
    params = {"params": {**learner.params["params"], "encoder": {"dense": {"kernel": kernel, "bias": np.zeros(3)}}}}
    subject = Subject(programs, learner._replace(params=params), STREAMS, 0, transitions, {})
    found = inspect(subject, Inspection(every=1, states=16, gradients=2)).values
    shares = [found[f"dormant_{level}"] for level in ("0", "0.025", "0.1")]
    assert shares == pytest.approx([1 / 3, 1 / 3, 2 / 3], rel=1e-5)  # unit 1's score is 0.01 / (1.01 / 3)
    assert found["srank"] == 1  # all units are multiples of one pixel
    assert found["stable_rank"] == pytest.approx(1, abs=1e-6)
    assert found["effective_rank"] == pytest.approx(1, abs=1e-3)
    pixels = transitions("inspect/0", 16).frames[:, 0, 0, 0].astype(np.float64)
    assert found["feature_norm"] == pytest.approx((pixels * np.hypot(1, 0.01)).mean(), rel=1e-4)


def test_an_inspection_leaves_the_learner_as_it_is_and_gives_the_same_twice() -> None:
    programs = programs_of(hidden=True)
    learner = programs.init(STREAMS)
    before = arrays_of(learner)
    subject = Subject(programs, learner, STREAMS, 7, transitions, {})
    first = inspect(subject, Inspection(every=1, states=16, gradients=4))
    again = inspect(subject, Inspection(every=1, states=16, gradients=4))
    assert first == again
    assert first_difference(before, arrays_of(learner)) == ""
    other_step = inspect(replace(subject, updates=8), Inspection(every=1, states=16, gradients=4))
    assert other_step.values.keys() == first.values.keys()
