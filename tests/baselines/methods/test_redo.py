"""ReDo on networks small enough to work out by hand, and the two indexing faults of the public code."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.methods.redo import ID, dormancy, inputs_of
from baselines.networks.heads import QNetwork
from suite.contracts import registry
from suite.contracts.encoder import Layer, connections_of, recorded_units
from suite.contracts.method import Context, Method, View, due_signals, gradient_step, init_learner
from suite.errors import UsageError

pytestmark = pytest.mark.slow
make = registry.load("method", "redo")

SETTINGS = {"threshold": 0.0, "period": 5, "statistics_batch": 2, "end_fraction": 1.0}
LAYERS = (
    Layer("conv", "convolution", feeds="dense"),
    Layer("dense", "dense", feeds="head"),
    Layer("head", "head"),
)
STEPS = 20


def by_hand(params, observation):
    """A 1 x 1 convolution with two units on 2 x 2 positions, a dense layer of three units and a head of two values."""
    layers = params["params"]
    conv = nn.relu(observation @ layers["conv"]["kernel"][0, 0] + layers["conv"]["bias"])
    dense = nn.relu(conv.reshape((len(conv), -1)) @ layers["dense"]["kernel"] + layers["dense"]["bias"])
    return {"conv": conv, "dense": dense, "head": dense @ layers["head"]["kernel"] + layers["head"]["bias"]}


def hand_params():
    """The second unit of `conv` (weight -1) and the third of `dense` (bias -1000) are always zero."""
    dense = jnp.arange(1.0, 25.0).reshape(8, 3)
    return {
        "params": {
            "conv": {"kernel": jnp.array([[[[1.0, -1.0]]]]), "bias": jnp.array([0.5, 0.0])},
            "dense": {"kernel": dense, "bias": jnp.array([1.0, 2.0, -1000.0])},
            "head": {"kernel": jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), "bias": jnp.array([7.0, 8.0])},
        }
    }


def hand_states():
    return jnp.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 0.0]]])[..., None]


def filled(tree, value: float):
    return jax.tree.map(lambda leaf: jnp.full_like(leaf, value), tree)


def hand_view(gradients=None, states=None):
    states = hand_states() if states is None else states
    return View(None, gradients, states, fresh=lambda key: filled(hand_params(), 9.0), activations=by_hand)


def hand_learner(method: Method, params=None):
    """A learner whose moments are all one."""
    params = hand_params() if params is None else params
    optimizer = optax.with_extra_args_support(optax.adam(0.1))
    learner = init_learner(params, optimizer, [method], jax.random.key(0))
    adam = learner.opt_state[0]
    return learner._replace(opt_state=(adam._replace(mu=filled(adam.mu, 1.0), nu=filled(adam.nu, 1.0)), ()))


def made(layers=LAYERS, **changes):
    return make(SETTINGS | changes, Context(STEPS, jax.eval_shape(hand_params), layers))


def test_score_is_the_mean_output_over_the_layers_mean() -> None:
    dense = jnp.array([[1.0, 0.0, -2.0, 0.1], [3.0, 0.0, 2.0, 0.1]])
    # means of absolute outputs 2, 0, 2, 0.1; their mean 1.025
    np.testing.assert_allclose(dormancy(dense), np.array([2, 0, 2, 0.1]) / 1.025, rtol=1e-6)
    conv = jnp.stack([jnp.arange(12.0).reshape(2, 3, 2), jnp.zeros((2, 3, 2))])  # B 2, rows 2, columns 3, units 2
    np.testing.assert_allclose(dormancy(conv), [30 / 33, 36 / 33], rtol=1e-6)  # sums 30 and 36 over 12 places
    np.testing.assert_array_equal(dormancy(jnp.zeros((2, 3))), 0)


def test_the_threshold_counts_as_dormant() -> None:
    method = made(threshold=0.1)
    states = hand_states()
    params = hand_params()
    outputs = by_hand(params, states)
    scores = {name: np.asarray(dormancy(outputs[name])) for name in ("conv", "dense")}
    assert scores["conv"][1] == 0 < 0.1 < scores["conv"][0]
    learner = method.intervene(jax.random.key(0), hand_learner(method), hand_view(), ())
    changed = learner.params["params"]["conv"]["bias"] != params["params"]["conv"]["bias"]
    np.testing.assert_array_equal(changed, [False, True])
    exactly = float(scores["dense"][1])
    for threshold, recycled in ((exactly, True), (np.nextafter(np.float32(exactly), np.float32(0)), False)):
        method = made(threshold=float(threshold))
        learner = method.intervene(jax.random.key(0), hand_learner(method), hand_view(), ())
        assert bool(learner.params["params"]["dense"]["bias"][1] == 9) is recycled


def test_by_hand() -> None:
    method, before = made(), hand_params()["params"]
    learner = jax.jit(lambda learner: method.intervene(jax.random.key(0), learner, hand_view(), ()))(
        hand_learner(method)
    )
    after, adam = learner.params["params"], learner.opt_state[0]

    np.testing.assert_array_equal(after["conv"]["kernel"], [[[[1, 9]]]])
    np.testing.assert_array_equal(after["conv"]["bias"], [0.5, 9])  # 9 is what a new bias is here, in general zero
    # Four positions of two channels: channel 1 is the inputs 1, 3, 5, 7 of `dense`; its third unit is new.
    expected = np.array(before["dense"]["kernel"])
    expected[:, 2] = 9
    expected[[1, 3, 5, 7]] = 0
    np.testing.assert_array_equal(after["dense"]["kernel"], expected)
    np.testing.assert_array_equal(after["dense"]["bias"], [1, 2, 9])
    np.testing.assert_array_equal(after["head"]["kernel"], [[1, 2], [3, 4], [0, 0]])
    np.testing.assert_array_equal(after["head"]["bias"], [7, 8])

    recycled = np.zeros((8, 3))
    recycled[:, 2] = recycled[[1, 3, 5, 7]] = 1
    for moment in (adam.mu["params"], adam.nu["params"]):
        np.testing.assert_array_equal(moment["conv"]["kernel"], [[[[1, 0]]]])
        np.testing.assert_array_equal(moment["dense"]["kernel"], 1 - recycled)
        np.testing.assert_array_equal(moment["head"]["kernel"], [[1, 1], [1, 1], [0, 0]])
        for layer in ("conv", "dense", "head"):
            np.testing.assert_array_equal(moment[layer]["bias"], 1)
    assert adam.count == 0
    jax.tree.map(np.testing.assert_array_equal, learner.target_params, hand_params())

    outputs = by_hand(learner.params, hand_states())["head"]
    np.testing.assert_array_equal(outputs, by_hand(hand_params(), hand_states())["head"])


def test_units_that_feed_two_layers_by_hand() -> None:
    """Both heads of a dueling network lose the third unit's weights, as in the public code, and only those."""
    layers = (
        Layer("dense", "dense", feeds=("head/advantage", "head/value")),
        Layer("head/advantage", "head"),
        Layer("head/value", "head"),
    )
    params = {
        "dense": {"kernel": jnp.ones((2, 3)), "bias": jnp.array([1.0, 2.0, -1000.0])},
        "head": {"advantage": {"kernel": jnp.ones((3, 2))}, "value": {"kernel": jnp.full((3, 1), 2.0)}},
    }

    def units(params, observation):
        return {"dense": nn.relu(observation @ params["dense"]["kernel"] + params["dense"]["bias"])}

    method = make(SETTINGS, Context(STEPS, jax.eval_shape(lambda: params), layers))
    view = View(None, None, jnp.ones((2, 2)), fresh=lambda key: filled(params, 9.0), activations=units)
    learner = method.intervene(jax.random.key(0), hand_learner(method, params), view, ())
    after, moment = learner.params, learner.opt_state[0].mu
    np.testing.assert_array_equal(after["dense"]["kernel"], [[1, 1, 9], [1, 1, 9]])
    np.testing.assert_array_equal(after["dense"]["bias"], [1, 2, 9])
    np.testing.assert_array_equal(after["head"]["advantage"]["kernel"], [[1, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(after["head"]["value"]["kernel"], [[2], [2], [0]])
    np.testing.assert_array_equal(moment["dense"]["kernel"], [[1, 1, 0], [1, 1, 0]])
    np.testing.assert_array_equal(moment["head"]["advantage"]["kernel"], [[1, 1], [1, 1], [0, 0]])
    np.testing.assert_array_equal(moment["head"]["value"]["kernel"], [[1], [1], [0]])


def test_repeating_a_channel_over_neighbouring_inputs_would_cut_live_units() -> None:
    """The public code's flags for the flattened map of `test_by_hand` are inputs 4 to 7: half of them live."""
    dead = jnp.array([False, True])
    ours, public = np.asarray(inputs_of(dead, 8)), np.repeat(np.asarray(dead), 4)
    np.testing.assert_array_equal(ours, [False, True] * 4)
    np.testing.assert_array_equal(public, [False] * 4 + [True] * 4)

    right = by_hand(hand_params(), hand_states())["head"]
    for flags, equal in ((ours, True), (public, False)):
        params = hand_params()
        dense = params["params"]["dense"]
        dense["kernel"] = jnp.where(flags[:, None], 0, dense["kernel"])
        assert bool(jnp.all(by_hand(params, hand_states())["head"] == right)) is equal


class Bench:
    """A network of the suite on small screens, with units that can be killed."""

    def __init__(self, name: str, size: int, **changes) -> None:
        kernel_init = nn.initializers.xavier_uniform()
        encoder = registry.load("network", name)({"width": 1, **changes}, kernel_init=kernel_init)
        self.network = QNetwork(encoder, 3, kernel_init)
        self.states = jax.random.randint(jax.random.key(1), (2, size, size, 2), 0, 256).astype(jnp.uint8)
        shapes = jax.eval_shape(self.network.init, jax.random.key(0), self.states)
        self.params, self.fresh = (random_params(shapes, seed) for seed in range(2))
        for leaf in ("bias", "scale"):
            self.fresh = fill(self.fresh, leaf, float(leaf == "scale"))
        self.q_values = jax.jit(self.network.apply)
        self.method = make(SETTINGS, Context(STEPS, shapes, self.network.layers))
        self.connections = connections_of(shapes, self.network.layers)
        self._recycle = jax.jit(self._recycled)

    def activations(self, params, observation):
        return recorded_units(self.network.apply(params, observation, mutable=["activations"])[1])

    def recycle(self, params):
        return self._recycle(params, self.fresh)

    def _recycled(self, params, fresh):
        view = View(None, None, self.states, fresh=lambda key: fresh, activations=self.activations)
        return self.method.intervene(jax.random.key(2), hand_learner(self.method, params), view, ()).params

    def kill(self, params, source: str, units):
        """Return the parameters with these units of a layer always zero, incoming weights as they were."""
        params = jax.tree.map(lambda leaf: leaf, params)
        layer = find(params, source)
        layer["bias"] = jnp.where(units, -1e6, layer["bias"])
        return params


def random_params(shapes, seed: int):
    rng = np.random.default_rng(seed)

    def draw(leaf):
        fan_in = int(np.prod(leaf.shape[:-1]))
        values = rng.normal(0, fan_in**-0.5, leaf.shape) if leaf.ndim > 1 else rng.uniform(0.01, 0.1, leaf.shape)
        return jnp.asarray(values, jnp.float32)

    return jax.tree.map(draw, shapes)


def fill(params, name: str, value: float):
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: jnp.full_like(leaf, value) if path[-1].key == name else leaf, params
    )


def find(params, layer: str):
    tree = params["params"]
    for part in layer.split("/"):
        tree = tree[part]
    return tree


@pytest.fixture(scope="module")
def nature() -> Bench:
    return Bench("nature_cnn", 12)


@pytest.fixture(scope="module")
def residual() -> Bench:
    return Bench("impala", 9)


def assert_recycled(bench: Bench, source: str, target: str, units, before, after) -> None:
    """Units have new incoming weights, zero bias and no outgoing weights; other units have what they had."""
    new, old = find(after, source), find(before, source)
    assert np.all(np.any(new["kernel"] != old["kernel"], axis=(*range(new["kernel"].ndim - 1),))[units])
    np.testing.assert_array_equal(new["bias"][units], 0)
    reach = np.asarray(inputs_of(jnp.asarray(units), find(after, target)["kernel"].shape[-2]))
    np.testing.assert_array_equal(find(after, target)["kernel"][..., reach, :], 0)


@pytest.mark.parametrize("name", [pytest.param("nature", marks=pytest.mark.nightly), "residual"])
def test_dead_units_are_replaced_without_a_change_of_function(name: str, request: pytest.FixtureRequest) -> None:
    bench: Bench = request.getfixturevalue(name)
    before, dead = bench.params, {}
    for index, (source, _) in enumerate(bench.connections.items()):
        units = np.zeros(find(before, source)["bias"].size, bool)
        units[[index % 3, 7 + index]] = True
        before, dead[source] = bench.kill(before, source, units), units
    scores = {source: dormancy(units) for source, units in bench.activations(before, bench.states).items()}
    dormant = {source: np.asarray(scores[source]) <= 0 for source in dead}
    assert all(np.all(dormant[source] >= dead[source]) for source in dead)
    after = bench.recycle(before)
    for source, (target,) in bench.connections.items():
        assert_recycled(bench, source, target, dormant[source], before, after)
    np.testing.assert_allclose(
        bench.q_values(after, bench.states), bench.q_values(before, bench.states), rtol=1e-5, atol=1e-6
    )
    with pytest.raises(AssertionError):
        np.testing.assert_allclose(
            bench.q_values(before, bench.states), bench.q_values(bench.params, bench.states), rtol=1e-5, atol=1e-6
        )


@settings(max_examples=15)
@given(data=st.data())
def test_any_dead_units_of_a_residual_network(residual: Bench, data: st.DataObject) -> None:
    source, (target,) = data.draw(st.sampled_from([*residual.connections.items()]))
    size = find(residual.params, source)["bias"].size
    units = np.zeros(size, bool)
    units[data.draw(st.lists(st.integers(0, size - 1), min_size=1, max_size=size))] = True
    before = residual.kill(residual.params, source, units)
    after = residual.recycle(before)
    assert_recycled(residual, source, target, units, before, after)
    np.testing.assert_allclose(
        residual.q_values(after, residual.states), residual.q_values(before, residual.states), rtol=1e-5, atol=1e-6
    )


@pytest.mark.parametrize(
    ("source", "published"),
    [("encoder/stack0/block1/conv0", "encoder/stack1/conv"), ("encoder/stack2/block1/conv0", "encoder/dense")],
)
def test_the_public_codes_next_layer_is_fed_by_live_units(residual: Bench, source: str, published: str) -> None:
    """Its list has four of a stack's five convolutions, so that the fourth's successor is the next stack's entry."""
    assert residual.connections[source] == (source.replace("conv0", "conv1"),) != (published,)
    units = np.arange(find(residual.params, source)["bias"].size) < 8
    before = residual.kill(residual.params, source, units)
    wrong = jax.tree.map(lambda leaf: leaf, before)
    kernel = find(wrong, published)["kernel"]
    reach = inputs_of(jnp.asarray(units), kernel.shape[-2])
    find(wrong, published)["kernel"] = jnp.where(reach[:, None], 0, kernel)
    right = residual.q_values(before, residual.states)
    assert np.max(np.abs(residual.q_values(wrong, residual.states) - right)) > 1e-3
    after = residual.recycle(before)
    np.testing.assert_allclose(residual.q_values(after, residual.states), right, rtol=1e-5, atol=1e-6)


def test_a_units_normalization_is_initialized_with_it() -> None:
    bench = Bench("nature_cnn", 8, layer_norm=True)
    before = jax.tree.map(lambda leaf: leaf, bench.params)
    norm = find(before, "encoder/conv2_norm")
    norm["bias"] = norm["bias"].at[5].set(-1e6)
    after = bench.recycle(before)
    assert find(after, "encoder/conv2_norm")["bias"][5] == 0
    assert find(after, "encoder/conv2_norm")["scale"][5] == 1
    assert find(after, "encoder/conv2_norm")["scale"][4] == norm["scale"][4] != 1
    assert bool(jnp.all(find(after, "encoder/conv3")["kernel"][:, :, 5] == 0))


def test_within_the_suites_gradient_step() -> None:
    """After the update of every fifth step, at the parameters after it, and masked once more."""

    def one_weight(state, params):
        conv = params["params"]["conv"]
        kernel = conv["kernel"] * jnp.array([1.0, 0.0])
        return {"params": params["params"] | {"conv": conv | {"kernel": kernel}}}

    masked = Method("masked", project=one_weight)
    methods = [masked, made()]
    optimizer = optax.with_extra_args_support(optax.sgd(0.25))
    step = jax.jit(
        lambda learner, gradients, signals: gradient_step(optimizer, methods, signals, jax.random.key(0), hand_view)(
            learner, gradients
        )
    )
    learner = init_learner(hand_params(), optimizer, methods, jax.random.key(0))
    gradients = filled(hand_params(), 0.0)
    gradients["params"]["head"]["bias"] = jnp.array([4.0, 8.0])
    gradients["params"]["dense"]["bias"] = jnp.array([0.0, 0.0, -4004.0])  # revives the third unit of `dense`
    assert [count for count in range(STEPS) if due_signals(methods, count)] == [4, 9, 14]
    calm = step(learner, gradients, due_signals(methods, 3))
    np.testing.assert_array_equal(calm.params["params"]["conv"]["bias"], [0.5, 0])
    due = step(learner, gradients, due_signals(methods, 4))
    layers = due.params["params"]
    np.testing.assert_array_equal(layers["conv"]["kernel"], [[[[1, 0]]]])
    np.testing.assert_array_equal(layers["conv"]["bias"], [0.5, 9])
    np.testing.assert_array_equal(layers["dense"]["kernel"][1::2], 0)
    np.testing.assert_array_equal(layers["dense"]["bias"], [1, 2, 1])
    np.testing.assert_array_equal(layers["head"]["bias"], [6, 6])


def test_other_methods_states_do_not_count() -> None:
    """Another method may ask for more states; one of -5 makes the dead unit of `conv` put out 5."""
    more = jnp.concatenate([hand_states(), -5 * jnp.ones((1, 2, 2, 1))])
    for count, bias in ((2, 9), (3, 0)):
        method = made(statistics_batch=count)
        learner = method.intervene(jax.random.key(0), hand_learner(method), hand_view(None, more), ())
        assert method.states == count
        assert learner.params["params"]["conv"]["bias"][1] == bias


def test_what_cannot_work_is_refused() -> None:
    with pytest.raises(UsageError, match="known to feed others"):
        made(layers=tuple(layer._replace(feeds="") for layer in LAYERS))
    with pytest.raises(UsageError, match=f"method.{ID}.period"):
        made(period=STEPS)
