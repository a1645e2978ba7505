"""One program for many lanes: padded heads and every form give what the lanes give alone."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.networks.heads import QNetwork
from baselines.networks.minatar_cnn import MinAtarCNN
from suite.contracts import registry
from suite.contracts.agent import Agent, DataPlan
from suite.contracts.method import Context, Method
from suite.experience.observations import Arrays, Frames
from suite.experience.replay.base import Replay
from suite.experience.samples import Windows
from suite.learning.batching import Form, by_shifted_slices, crop_to, over_lanes, pad_to
from suite.learning.build import build, programs_for
from suite.learning.learners import LoopLearners, StackedLearners
from suite.learning.programs import Programs
from suite.rng import Draw, Streams
from suite.running.group import Group
from suite.running.lane import Lane
from suite.running.part import Part
from suite.running.request import Request, resolve
from suite.tasks import GAMES

pytestmark = pytest.mark.slow

SCREEN = 12
ACTIONS = (3, 6, 4)


class Convolutional(nn.Module):
    """A convolution, strided and padded as the Nature network's, and a dense layer."""

    kernel_init: Any

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = observation.astype(jnp.float32) / 255.0
        x = nn.relu(nn.Conv(4, (3, 3), strides=(2, 2), padding="SAME", kernel_init=self.kernel_init, name="conv")(x))
        return nn.relu(nn.Dense(8, kernel_init=self.kernel_init, name="dense")(x.reshape((x.shape[0], -1))))


def settings_of(kind: Any, name: str) -> dict[str, Any]:
    return {key: setting.value for key, setting in registry.card(kind, name).settings.items()}


def programs(actions: int) -> Programs:
    values = settings_of("agent", "dqn") | {"batch_size": 8, "learning_rate": 1e-2}
    agent: Agent = registry.load("agent", "dqn")(
        values, lambda **initializers: Convolutional(initializers["kernel_init"]), actions
    )
    shapes = jax.eval_shape(agent.init, jax.random.key(0), jnp.zeros((1, SCREEN, SCREEN, 4), jnp.uint8))
    pruning = settings_of("method", "magnitude_pruning") | {"mask_period": 2, "sparsity": 0.5, "start_fraction": 0.2}
    pruning |= {"distribution": "uniform"}
    method: Method = registry.load("method", "magnitude_pruning")(pruning, Context(10, shapes))
    return Programs(agent, (method,), Frames(4, SCREEN), actions)


def windows(seed: int, actions: int) -> Windows:
    rng = np.random.default_rng(seed)
    return Windows(
        rng.integers(0, 256, (8, 5, SCREEN, SCREEN), dtype=np.uint8),
        rng.integers(0, actions, 8, dtype=np.int32),
        rng.normal(size=8).astype(np.float32),
        np.full(8, 0.9, np.float32),
    )


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("form", list(Form))
def test_lanes_in_one_program_learn_and_act_as_they_do_alone(form: Form) -> None:
    own = [programs(actions) for actions in ACTIONS]
    streams = [Streams("probe@1", "x", seed) for seed in range(len(ACTIONS))]
    loop, stacked = LoopLearners(own, streams, 1), StackedLearners(own, streams, form)
    for count in range(9):  # masks are refreshed at 2, 4, 6 and 8
        samplers = {lane: partial(windows, 10 * count + lane, actions) for lane, actions in enumerate(ACTIONS)}
        for learners in (loop, stacked):
            learners.update(count, samplers)
            if count == 4:
                learners.sync()
    for lane, actions in enumerate(ACTIONS):
        alone, together = loop.get(lane), stacked.get(lane)
        assert jax.tree.structure(alone) == jax.tree.structure(together)
        for one, other in zip(jax.tree.leaves(alone), jax.tree.leaves(together), strict=True):
            assert (one.shape, one.dtype) == (other.shape, other.dtype)
            np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)
        assert together.params["params"]["head"]["bias"].shape == (actions,)
        kept = [int(mask.sum()) for mask in jax.tree.leaves(alone.methods)]
        assert kept == [int(mask.sum()) for mask in jax.tree.leaves(together.methods)]
        assert min(kept) < 8 * actions
        loss = stacked.feedback(lane).metrics["loss"]
        np.testing.assert_allclose(loss, loop.feedback(lane).metrics["loss"], rtol=1e-3)
        assert stacked.measure(lane) == pytest.approx(loop.measure(lane), rel=1e-4)
    padding = jax.tree.map(lambda leaf: leaf, stacked._stacked.params["params"]["head"])
    for lane, actions in enumerate(ACTIONS):
        assert not np.asarray(padding["kernel"][lane, :, actions:]).any()
        assert not np.asarray(padding["bias"][lane, actions:]).any()
    stacks = [windows(99, 3).frames[row, :4] for row in range(3)]
    assert stacked.act([0, 1, 2], stacks, 7)() == loop.act([0, 1, 2], stacks, 7)()
    assert stacked.act([2], stacks[2:], 7)() == loop.act([2], stacks[2:], 7)()
    assert all(action < actions for action, actions in zip(stacked.act([0, 1, 2], stacks, 7)(), ACTIONS, strict=True))


class Values(Arrays):
    """Arrays whose actions are whatever the agent puts out."""

    def action(self, chosen: Any) -> Any:
        return np.asarray(chosen)


class Noise(Replay):
    """A replay that draws noise, the same for the same update."""

    def __init__(self, number: int, actions: int) -> None:
        self._number = number
        self._actions = actions

    def sample(self, plan: DataPlan, draw: Draw) -> Windows:
        return windows(10 * draw.update + self._number, self._actions)

    def sample_states(self, count: int, uniform: Callable[[int], np.ndarray]) -> np.ndarray:
        return windows(self._number, self._actions).frames[:count, :4]

    def inspected(self, plan: DataPlan, count: int, uniform: Callable[[int], np.ndarray]) -> Windows:
        return windows(self._number, self._actions)


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize("form", [None, Form.VMAP])
def test_several_updates_in_one_call_are_the_same_updates(form: Form | None, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [programs(actions) for actions in ACTIONS]
    plan = replace(own[0].plan, update_period=1, warm_up=0, target_update_period=8)
    streams = [Streams("probe@1", "x", number) for number in range(len(ACTIONS))]
    replays = [Noise(number, actions) for number, actions in enumerate(ACTIONS)]
    lanes = [Lane(plan, stream, replay) for stream, replay in zip(streams, replays, strict=True)]
    one_by_one = Group(plan, [Part(plan, lanes, LoopLearners(own, streams, 1))])
    while one_by_one.step < 24:
        one_by_one.advance()

    learners = LoopLearners(own, streams, 1) if form is None else StackedLearners(own, streams, form)
    monkeypatch.setattr(type(learners), "together", 4)
    group, steps = Group(plan, [Part(plan, lanes, learners)]), [0]
    while group.step < 24:
        group.advance(24 - group.step)
        steps.append(group.step)
    # masks are refreshed at 2, 4, 6 and 8; targets are copied after 8, 16 and 24
    assert steps == [*range(10), 13, 14, 15, 16, 20, 24]
    assert group.updates == one_by_one.updates == 24
    for lane in range(len(ACTIONS)):
        expected, found = one_by_one.learner(lane), group.learner(lane)
        for one, other in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=5e-5)
        assert group.metrics(lane)["loss"] == pytest.approx(one_by_one.metrics(lane)["loss"], rel=1e-2)


def test_a_lane_put_back_is_that_lane_and_one_without_a_sample_does_not_disturb_the_others() -> None:
    own = [programs(actions) for actions in ACTIONS]
    stacked = StackedLearners(own, [Streams("probe@1", "x", seed) for seed in range(len(ACTIONS))], Form.VMAP)
    before = [stacked.get(lane) for lane in range(len(ACTIONS))]
    other = own[2].init(Streams("probe@1", "other", 0))
    stacked.put(2, other)
    jax.tree.map(np.testing.assert_array_equal, stacked.get(2), other)
    jax.tree.map(np.testing.assert_array_equal, stacked.get(1), before[1])
    stacked.put(2, before[2])

    samplers = {lane: partial(windows, lane, actions) for lane, actions in enumerate(ACTIONS)}
    stacked.update(1, samplers)
    everyone = [stacked.get(lane) for lane in range(len(ACTIONS))]
    for lane, learner in enumerate(before):
        stacked.put(lane, learner)
    stacked.update(1, {lane: samplers[lane] for lane in (0, 2)})
    for lane in (0, 2):
        jax.tree.map(np.testing.assert_array_equal, stacked.get(lane), everyone[lane])


@settings(max_examples=40)
@given(
    have=st.lists(st.integers(1, 4), min_size=1, max_size=3), more=st.lists(st.integers(0, 3), min_size=3, max_size=3)
)
def test_padding_is_zero_and_cropping_undoes_it(have: list[int], more: list[int]) -> None:
    array = np.arange(1, 1 + np.prod(have)).reshape(have).astype(np.float32)
    wide = jax.ShapeDtypeStruct(tuple(size + extra for size, extra in zip(have, more, strict=False)), np.float32)
    padded = pad_to([wide], [array])
    assert padded[0].shape == wide.shape
    assert float(padded[0].sum()) == array.sum()
    np.testing.assert_array_equal(crop_to([array], padded)[0], array)


@pytest.mark.usefixtures("quick_compilation")
@pytest.mark.parametrize(
    ("size", "strides", "padding"), [((8, 8), (4, 4), "SAME"), ((3, 3), 1, "SAME"), ((4, 4), (2, 2), "VALID")]
)
def test_a_convolution_as_a_matrix_product_is_that_convolution(
    size: tuple[int, int], strides: int | tuple[int, int], padding: str
) -> None:
    conv = nn.Conv(5, size, strides=strides, padding=padding)
    inputs = jax.random.normal(jax.random.key(0), (3, 2, 21, 21, 4))
    params = jax.vmap(lambda key: conv.init(key, inputs[0]))(jax.random.split(jax.random.key(1), 3))

    def loss(params: Any, x: jax.Array) -> jax.Array:
        return jnp.sum(jnp.sin(conv.apply(params, x)))

    results = {
        form: jax.jit(over_lanes(jax.value_and_grad(loss, argnums=(0, 1)), 3, form))(params, inputs) for form in Form
    }
    for form in Form:
        for one, other in zip(jax.tree.leaves(results[form]), jax.tree.leaves(results[Form.UNROLLED]), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
    both = over_lanes(jax.value_and_grad(loss, argnums=(0, 1)), 3, Form.MATMUL)
    text = str(jax.make_jaxpr(both)(params, inputs))
    assert "dot_general" in text
    assert "conv_general_dilated" not in text


@pytest.mark.usefixtures("quick_compilation")
def test_shifted_slices_are_the_patches_of_any_kernel_and_stride() -> None:
    rng = np.random.default_rng(0)
    cases = [((8, 8), 4, "SAME"), ((3, 3), 2, "SAME"), ((5, 2), 2, "VALID"), ((2, 3), 3, "SAME"), ((1, 4), 1, "VALID")]

    def both(x: jax.Array, kernels: list[jax.Array]) -> list[tuple[jax.Array, jax.Array]]:
        numbers = ("NHWC", "HWIO", "NHWC")
        return [
            (
                by_shifted_slices(x, kernel, stride, padding),
                jax.lax.conv_general_dilated(x, kernel, (stride, stride), padding, dimension_numbers=numbers),
            )
            for kernel, (_, stride, padding) in zip(kernels, cases, strict=True)
        ]

    x, *kernels = (
        rng.integers(-3, 4, shape).astype(np.float32)
        for shape in ((2, 11, 14, 3), *((*size, 3, 2) for size, *_ in cases))
    )
    for found, expected in jax.jit(both)(x, kernels):
        np.testing.assert_array_equal(found, expected)


def test_a_convolution_of_another_kind_is_left_as_it_is() -> None:
    x = jnp.ones((2, 8, 8, 4))
    for conv in (nn.Conv(4, (3, 3), feature_group_count=2), nn.Conv(4, (3, 3), kernel_dilation=2), nn.Conv(4, (3,))):
        params = jax.eval_shape(conv.init, jax.random.key(0), x)
        stacked = jax.tree.map(lambda leaf: jnp.ones((1, *leaf.shape)), params)
        assert "conv_general_dilated" in str(jax.make_jaxpr(over_lanes(conv.apply, 1, Form.MATMUL))(stacked, x[None]))


def test_lanes_that_act_in_one_call_act_as_they_do_alone() -> None:
    (resolved,) = resolve(Request("minatar"))
    own = programs_for(resolved.spec, GAMES["MinAtarBreakout"])
    streams = [Streams("probe@1", "x", seed) for seed in range(4)]
    together, alone = LoopLearners([own] * 4, streams, 1), [LoopLearners([own], [stream], 1) for stream in streams]
    rng, chosen = np.random.default_rng(0), set()
    for step in range(60):
        pictures = list((rng.random((4, 10, 10, 4)) < 0.2).astype(np.uint8))
        expected = [learners.act([0], [pictures[lane]], step)()[0] for lane, learners in enumerate(alone)]
        assert together.act([0, 1, 2, 3], pictures, step)() == expected
        assert together.act([3, 1], [pictures[3], pictures[1]], step)() == [expected[3], expected[1]]
        chosen |= set(enumerate(expected))
    assert len(chosen) > 8  # the lanes differ, and each takes several actions


def test_one_call_for_several_lanes_gives_each_the_bits_that_it_has_alone() -> None:
    """Actions seldom tell the last bit: here an agent's action is its values themselves."""
    (resolved,) = resolve(Request("minatar", settings=("network.hidden=16",)))
    game = GAMES["MinAtarSeaquest"]
    agent, _ = build(resolved.spec, game)
    network = QNetwork(MinAtarCNN(16, 16, nn.initializers.xavier_uniform()), 6, nn.initializers.xavier_uniform())

    def values(params: Any, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return jnp.asarray(network.apply(params, observation)) + jax.random.uniform(key)

    own = Programs(agent._replace(act=values), (), Values((10, 10, 10), "uint8"), 6)
    streams = [Streams("probe@1", "x", seed) for seed in range(3)]
    learners, keys = [own.init(stream) for stream in streams], [jnp.asarray(s.key_data("act")) for s in streams]
    pictures = (np.random.default_rng(0).random((3, 10, 10, 10)) < 0.2).astype(np.uint8)
    together = own.act_each(learners, pictures, keys, 7)
    for lane, found in enumerate(together):
        (one,) = own.act_each(learners[lane : lane + 1], pictures[lane : lane + 1], keys[lane : lane + 1], 7)
        np.testing.assert_array_equal(found, one)
        np.testing.assert_array_equal(found, own.act(learners[lane], pictures[lane], keys[lane], 7))
