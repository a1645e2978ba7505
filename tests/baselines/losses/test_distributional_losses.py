"""Distributional losses against numbers worked out by hand, naive loops and another library's results."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from baselines.losses.distributional import (
    categorical_q_learning,
    cross_entropy,
    expectation,
    greedy_quantiles,
    midpoints,
    munchausen_bonus,
    project,
    quantile_huber,
    scaled_log_policy,
    soft_quantiles,
)

RLAX = dict(np.load(Path(__file__).parents[2] / "data" / "rlax_distributional.npz"))
SUPPORT = jnp.array([-1.0, 0.0, 1.0])


def naive_projection(target_support, probabilities, support):
    """Share each atom out to its two neighbours, one by one (Bellemare et al. 2017, algorithm 1)."""
    masses = np.zeros(len(support))
    spacing = (support[-1] - support[0]) / (len(support) - 1)
    for atom, mass in zip(target_support, probabilities, strict=True):
        place = (min(max(atom, support[0]), support[-1]) - support[0]) / spacing
        low, high = int(np.floor(place)), int(np.ceil(place))
        if low == high:
            masses[low] += mass
        else:
            masses[low] += mass * (high - place)
            masses[high] += mass * (place - low)
    return masses


@pytest.mark.parametrize(
    ("target_support", "probabilities", "expected"),
    [
        ([-1.0, 0.0, 1.0], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),  # nothing moves
        ([0.25, 0.25, 0.25], [0.2, 0.3, 0.5], [0.0, 0.75, 0.25]),  # terminal: the reward alone
        ([-0.5, 0.5, 1.5], [0.2, 0.3, 0.5], [0.1, 0.1 + 0.15, 0.15 + 0.5]),  # beyond the end: to the end
        ([-7.0, 0.0, 7.0], [0.2, 0.3, 0.5], [0.2, 0.3, 0.5]),
    ],
)
def test_projection_by_hand(target_support, probabilities, expected) -> None:
    found = project(jnp.array(target_support), jnp.array(probabilities), SUPPORT)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7)


@settings(max_examples=50)
@given(
    data=st.data(),
    atoms=st.sampled_from([2, 3, 11, 51]),
    bound=st.sampled_from([1.0, 10.0]),
    reward=st.floats(-4, 4, width=32),
    discount=st.floats(0, 1, width=32),
)
def test_projection_equals_the_loop(data, atoms: int, bound: float, reward: float, discount: float) -> None:
    weights = data.draw(arrays(np.float32, atoms, elements=st.floats(0, 1, width=32)))
    probabilities = (weights + 1e-3) / (weights + 1e-3).sum()
    support = np.linspace(-bound, bound, atoms)
    target_support = reward + discount * support
    found = np.asarray(project(jnp.asarray(target_support), jnp.asarray(probabilities), jnp.asarray(support)))
    np.testing.assert_allclose(found, naive_projection(target_support, probabilities, support), atol=3e-5)
    np.testing.assert_allclose(found.sum(), 1.0, atol=3e-5)
    assert found.min() >= 0.0
    if abs(target_support).max() <= bound:
        np.testing.assert_allclose(found @ support, probabilities @ target_support, atol=1e-4 * bound)


def test_projection_takes_leading_axes() -> None:
    targets = jax.random.normal(jax.random.key(0), (2, 5, 3))
    masses = jax.nn.softmax(jax.random.normal(jax.random.key(1), (2, 5, 3)))
    together = project(targets, masses, SUPPORT)
    for row in np.ndindex(2, 5):
        np.testing.assert_allclose(together[row], project(targets[row], masses[row], SUPPORT), rtol=1e-6)


def test_cross_entropy_and_expectation_by_hand() -> None:
    logits = jnp.log(jnp.array([0.1, 0.2, 0.7])) + 3.0
    np.testing.assert_allclose(expectation(logits, SUPPORT), 0.6, rtol=1e-6)
    np.testing.assert_allclose(
        cross_entropy(jnp.array([0.0, 0.5, 0.5]), logits), -0.5 * np.log(0.2) - 0.5 * np.log(0.7), rtol=1e-6
    )


def test_categorical_loss_by_hand() -> None:
    logits_tm1 = jnp.log(jnp.array([[0.25, 0.5, 0.25], [0.1, 0.2, 0.7]]))
    logits_t = jnp.log(jnp.array([[0.8, 0.1, 0.1], [0.2, 0.2, 0.6]]))  # means -0.7 and 0.4
    arguments = (SUPPORT, jnp.ones(2, jnp.bool_))
    loss = categorical_q_learning(logits_tm1, jnp.int32(0), jnp.float32(0.5), jnp.float32(0.5), logits_t, *arguments)
    # The atoms go to 0, 0.5 and 1: masses 0.2 + 0.2 / 2 on 0 and 0.2 / 2 + 0.6 on 1.
    np.testing.assert_allclose(loss, -0.3 * np.log(0.5) - 0.7 * np.log(0.25), rtol=1e-6)
    legal = jnp.array([True, False])  # then the target is of the first action: masses 0.85 on 0 and 0.15 on 1
    loss = categorical_q_learning(
        logits_tm1, jnp.int32(0), jnp.float32(0.5), jnp.float32(0.5), logits_t, SUPPORT, legal
    )
    np.testing.assert_allclose(loss, -0.85 * np.log(0.5) - 0.15 * np.log(0.25), rtol=1e-6)


def test_projection_and_categorical_loss_equal_rlax() -> None:
    shifted = RLAX["r_t"][:, None] + RLAX["discount_t"][:, None] * RLAX["support"]
    projected = project(jnp.asarray(shifted), jax.nn.softmax(RLAX["logits_t"][:, 0]), jnp.asarray(RLAX["support"]))
    np.testing.assert_allclose(projected, RLAX["projected"], rtol=1e-5, atol=1e-6)

    def loss(logits, *rest):
        return categorical_q_learning(logits, *rest, jnp.asarray(RLAX["support"]), jnp.ones(4, jnp.bool_))

    names = ("logits_tm1", "a_tm1", "r_t", "discount_t", "logits_t")
    losses, gradients = jax.jit(jax.vmap(jax.value_and_grad(loss)))(*(RLAX[name] for name in names))
    np.testing.assert_allclose(losses, RLAX["categorical_loss"], rtol=1e-5)
    np.testing.assert_allclose(gradients, RLAX["categorical_gradient"], rtol=1e-4, atol=1e-6)


def test_quantile_loss_by_hand() -> None:
    np.testing.assert_allclose(midpoints(4), [0.125, 0.375, 0.625, 0.875])
    quantiles, levels, target = jnp.array([0.0, 1.0]), jnp.array([0.25, 0.75]), jnp.array([0.5, -2.0, 1.0])
    # Differences 0.5, -2, 1 and -0.5, -3, 0: Huber losses 1/8, 3/2, 1/2 and 1/8, 5/2, 0.
    first = (0.25 * 0.125 + 0.75 * 1.5 + 0.25 * 0.5) / 3
    second = (0.25 * 0.125 + 0.25 * 2.5 + 0.0) / 3
    np.testing.assert_allclose(quantile_huber(quantiles, levels, target, 1.0), first + second, rtol=1e-6)
    # With threshold 2 the Huber losses are 1/8, 2, 1/2 and 1/8, 4, 0; the sum is divided by 2.
    first = (0.25 * 0.125 + 0.75 * 2.0 + 0.25 * 0.5) / 3
    second = (0.25 * 0.125 + 0.25 * 4.0) / 3
    np.testing.assert_allclose(quantile_huber(quantiles, levels, target, 2.0), (first + second) / 2, rtol=1e-6)


def test_quantile_loss_equals_rlax() -> None:
    def loss(quantiles_tm1, levels, action, reward, discount, selector, quantiles_t):
        best = greedy_quantiles(quantiles_t, selector, jnp.ones(4, jnp.bool_))
        return quantile_huber(quantiles_tm1[:, action], levels, reward + discount * best, 1.0)

    names = ("quantiles_tm1", "levels", "a_tm1", "r_t", "discount_t", "selector_t", "quantiles_t")
    losses, gradients = jax.jit(jax.vmap(jax.value_and_grad(loss)))(*(RLAX[name] for name in names))
    np.testing.assert_allclose(losses, RLAX["quantile_loss"], rtol=1e-5)
    np.testing.assert_allclose(gradients, RLAX["quantile_gradient"], rtol=1e-4, atol=1e-6)


def test_log_policy_by_hand() -> None:
    legal = jnp.ones(3, jnp.bool_)
    q = jnp.array([0.0, 0.03 * np.log(2.0), 0.03 * np.log(5.0)])
    policy = np.array([1, 2, 5]) / 8
    np.testing.assert_allclose(scaled_log_policy(q, 0.03, legal), 0.03 * np.log(policy), rtol=1e-4)
    np.testing.assert_allclose(munchausen_bonus(q, jnp.int32(1), 0.03, -1.0, legal), 0.03 * np.log(0.25), rtol=1e-4)
    np.testing.assert_allclose(munchausen_bonus(100 * q, jnp.int32(0), 0.03, -1.0, legal), -1.0)  # -3 log 5, clipped
    assert float(munchausen_bonus(100 * q, jnp.int32(2), 0.03, -1.0, legal)) <= 0.0
    huge = jnp.array([-1e4, 0.0, 1e4])
    np.testing.assert_allclose(scaled_log_policy(huge, 0.03, legal), [-2e4, -1e4, 0.0], rtol=1e-6)


def test_soft_value_by_hand() -> None:
    legal, temperature = jnp.ones(2, jnp.bool_), 0.5
    q = jnp.array([0.0, 0.5 * np.log(3.0)])  # probabilities 1/4 and 3/4
    quantiles = jnp.array([[1.0, 2.0], [-1.0, 0.0]])
    entropy = -0.25 * np.log(0.25) - 0.75 * np.log(0.75)
    expected = [0.25 * 1 + 0.75 * 2 + 0.5 * entropy, -0.25 + 0.5 * entropy]
    np.testing.assert_allclose(soft_quantiles(quantiles, q, temperature, legal), expected, rtol=1e-6)
    # Of a single sample at its own mean it is the scaled log-sum-exp.
    value = soft_quantiles(q[None], q, temperature, legal)
    np.testing.assert_allclose(value, [0.5 * np.log(1 + 3)], rtol=1e-6)
    # A low temperature leaves the greedy action's quantiles.
    np.testing.assert_allclose(soft_quantiles(quantiles, q, 1e-4, legal), [2.0, 0.0], atol=1e-4)


@settings(max_examples=15)
@given(seed=st.integers(0, 10_000), legal=st.integers(1, 5), temperature=st.sampled_from([0.03, 1.0]))
def test_illegal_actions_are_as_if_they_did_not_exist(seed: int, legal: int, temperature: float) -> None:
    rng = np.random.default_rng(seed)
    mask = jnp.arange(6) < legal
    everyone, action = jnp.ones(legal, jnp.bool_), jnp.int32(rng.integers(legal))
    rubbish = np.where(mask, 0.0, rng.choice([-1e6, 50.0, 1e6], 6)).astype(np.float32)
    q = jnp.asarray(rng.normal(size=6).astype(np.float32) + rubbish)
    samples = jnp.asarray(rng.normal(size=(7, 6)).astype(np.float32) + rubbish)
    np.testing.assert_allclose(
        soft_quantiles(samples, q, temperature, mask),
        soft_quantiles(samples[:, :legal], q[:legal], temperature, everyone),
        rtol=1e-5,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        munchausen_bonus(q, action, temperature, -1.0, mask),
        munchausen_bonus(q[:legal], action, temperature, -1.0, everyone),
        rtol=1e-5,
    )
    np.testing.assert_array_equal(
        greedy_quantiles(samples, samples, mask), greedy_quantiles(samples[:, :legal], samples[:, :legal], everyone)
    )
    log_policy = np.asarray(scaled_log_policy(q, temperature, mask))
    assert np.all(log_policy[legal:] == -np.inf)
    np.testing.assert_allclose(np.exp(log_policy / temperature).sum(), 1.0, rtol=1e-4)
    logits = jnp.asarray(rng.normal(size=(6, 3)).astype(np.float32) + rubbish[:, None] * [-1, 0, 1])
    arguments = (jnp.float32(0.3), jnp.float32(0.9))
    np.testing.assert_allclose(
        categorical_q_learning(logits, action, *arguments, logits, SUPPORT, mask),
        categorical_q_learning(logits[:legal], action, *arguments, logits[:legal], SUPPORT, everyone),
        rtol=1e-5,
    )


def test_gradients_flow_through_the_online_network_only() -> None:
    logits, legal = jnp.array([[0.1, 0.2, 0.3], [0.0, 1.0, -1.0]]), jnp.ones(2, jnp.bool_)

    def categorical(online, target):
        return categorical_q_learning(online, jnp.int32(1), jnp.float32(0.5), jnp.float32(0.9), target, SUPPORT, legal)

    by_online, by_target = jax.grad(categorical, argnums=(0, 1))(logits, logits)
    assert np.any(np.asarray(by_online[1]))
    assert not np.any(np.asarray(by_online[0]))
    assert not np.any(np.asarray(by_target))
    arguments = (jnp.array([0.0, 1.0]), midpoints(2), jnp.array([0.5, 2.0]), 1.0)
    by_quantiles, by_samples = jax.grad(quantile_huber, argnums=(0, 2))(*arguments)
    assert np.any(np.asarray(by_quantiles))
    assert not np.any(np.asarray(by_samples))


def test_quantiles_of_a_coin_are_found() -> None:
    # The loss is least where each quantile has its share of samples below; a wide Huber threshold would give the mean.
    samples = jnp.asarray(np.random.default_rng(0).normal(3.0, 50.0, 401).astype(np.float32))
    levels = midpoints(5)
    quantiles = jnp.zeros(5)
    step = jax.jit(lambda q: q - 20.0 * jax.grad(quantile_huber)(q, levels, samples, 1.0))
    for _ in range(400):
        quantiles = step(quantiles)
    np.testing.assert_allclose(quantiles, np.quantile(samples, levels), atol=3.0)
