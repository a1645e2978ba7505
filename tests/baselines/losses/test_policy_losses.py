"""Policy losses against closed forms, SciPy, naive loops and another library's results.

The numbers called rlax's are RLax 0.1.9's and Distrax 0.1.9's on jax 0.10.2, for the inputs beside them.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from baselines.losses.policy import (
    clipped_surrogate,
    gaussian_entropy,
    gaussian_log_prob,
    generalized_advantages,
    kernel_squares,
    soft_q_target,
    tanh_gaussian_log_prob,
    temperature_loss,
)

X = np.array([[0.9, -2.0], [-0.05, 3.0]], np.float32)
MEAN = np.array([[0.3, -1.0], [0.0, 2.0]], np.float32)
STD = np.array([[0.5, 1.5], [0.1, 0.7]], np.float32)
R_T = np.array([0.126, -0.132, 0.64, 0.105, -0.536, 0.362, 1.304, 0.947], np.float32)
VALUES = np.array([-0.704, -1.265, -0.623, 0.041, -2.325, -0.219, -1.246, -0.732, -0.544], np.float32)
DISCOUNT_T = np.array([0.9, 0.9, 0, 0.9, 0.9, 0.9, 0, 0.9], np.float32)
NEVER = np.zeros(8, bool)
advantages = jax.jit(generalized_advantages)


def test_gaussian_equals_scipy_and_rlax() -> None:
    found = gaussian_log_prob(X, MEAN, STD)
    np.testing.assert_allclose(found, stats.norm.logpdf(X, MEAN, STD).sum(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(found, [-2.492417, -0.324025], rtol=1e-5)
    np.testing.assert_allclose(gaussian_entropy(STD), stats.norm.entropy(MEAN, STD).sum(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(gaussian_entropy(STD), [2.550195, 0.178617], rtol=1e-5)


def test_tanh_gaussian_equals_the_change_of_variables_and_rlax() -> None:
    found = tanh_gaussian_log_prob(X, MEAN, STD)
    action = np.tanh(X.astype(np.float64))
    expected = stats.norm.logpdf(np.arctanh(action), MEAN, STD) - np.log1p(-(action**2))
    np.testing.assert_allclose(found, expected.sum(axis=-1), rtol=1e-5)
    np.testing.assert_allclose(found, [0.877249, 4.297131], rtol=1e-5)


@pytest.mark.parametrize(("mean", "std"), [(0.0, 0.3), (0.8, 0.5), (-1.0, 0.7)])
def test_tanh_gaussian_is_a_density_of_actions(mean: float, std: float) -> None:
    density = jax.jit(
        lambda action: jnp.exp(tanh_gaussian_log_prob(jnp.arctanh(action)[None], jnp.full(1, mean), jnp.full(1, std)))
    )

    def mass(low: float, high: float) -> float:
        return quad(lambda action: float(density(action)), low, high, epsrel=1e-4)[0]

    assert mass(-0.9999, 0.9999) == pytest.approx(1.0, abs=1e-3)
    share = stats.norm.cdf(np.arctanh([-0.2, 0.5]), mean, std)
    assert mass(-0.2, 0.5) == pytest.approx(share[1] - share[0], rel=1e-3)


def test_tanh_gaussian_stays_finite_where_the_action_rounds_to_one() -> None:
    x = jnp.array([[40.0], [-40.0]])
    assert bool(jnp.all(jnp.abs(jnp.tanh(x)) == 1))
    both = jax.jit(jax.vmap(jax.value_and_grad(tanh_gaussian_log_prob)))
    log_prob, slope = both(x, jnp.zeros((2, 1)), jnp.full((2, 1), 20.0))
    # log(1 - tanh(40)**2) is log 4 - 80 to within e**-80.
    expected = stats.norm.logpdf(40, 0, 20) - (np.log(4) - 80)
    np.testing.assert_allclose(log_prob, [expected, expected], rtol=1e-6)
    np.testing.assert_allclose(slope[:, 0], [2 - 0.1, -2 + 0.1], rtol=1e-5)


def test_soft_target_by_hand() -> None:
    q_t = jnp.array([[3.0, -1.0, 5.0], [2.0, 4.0, 5.0]])
    log_prob_t, discount_t = jnp.array([-0.5, 1.0, 2.0]), jnp.array([0.9, 0.9, 0.0])
    found = soft_q_target(jnp.array([1.0, 0.5, -2.0]), discount_t, q_t, log_prob_t, jnp.float32(0.2))
    np.testing.assert_allclose(found, [1 + 0.9 * (2 + 0.1), 0.5 + 0.9 * (-1 - 0.2), -2], rtol=1e-6)
    gradient = jax.grad(lambda q: jnp.sum(soft_q_target(jnp.ones(3), discount_t, q, log_prob_t, jnp.float32(0.2))))(q_t)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.parametrize(("entropy", "rises"), [(-1.0, True), (0.0, False)])
def test_temperature_rises_while_entropy_is_too_low(entropy: float, rises: bool) -> None:
    log_prob = -entropy + jnp.array([0.3, -0.3])
    by_alpha, by_log_prob = jax.grad(temperature_loss, (0, 1))(jnp.float32(0.7), log_prob, -0.5)
    np.testing.assert_allclose(by_alpha, entropy + 0.5, rtol=1e-6)
    assert bool(-by_alpha > 0) is rises
    np.testing.assert_array_equal(by_log_prob, 0)


def test_advantages_equal_rlax() -> None:
    expected = [0.758295, 1.48166, 1.263, -0.210693, 2.524732, 1.2956, 2.55, 1.1894]
    found = advantages(R_T, DISCOUNT_T, NEVER, VALUES[:-1], VALUES[1:], 0.8)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    terminated = DISCOUNT_T == 0
    np.testing.assert_array_equal(advantages(R_T, DISCOUNT_T, terminated, VALUES[:-1], VALUES[1:], 0.8), found)
    # RLax with lambda 0 at the fifth step, which is then the last before an end that bootstraps.
    cut = [0.758295, 1.48166, 1.263, -0.882332, 1.5919, 1.2956, 2.55, 1.1894]
    truncated = np.arange(8) == 4
    found = advantages(R_T, DISCOUNT_T, truncated, VALUES[:-1], VALUES[1:], 0.8)
    np.testing.assert_allclose(found, cut, rtol=1e-5)


def test_advantages_by_hand() -> None:
    """Two steps, the second of which ends the episode; a third of the next one."""
    r_t, v_tm1, v_t = jnp.array([1.0, 2.0, 3.0]), jnp.array([0.5, 0.25, 1.0]), jnp.array([0.25, 4.0, 2.0])
    ended = jnp.array([False, True, False])
    terminated = advantages(r_t, jnp.array([0.5, 0.0, 0.5]), ended, v_tm1, v_t, 0.5)
    first, second, third = 1 + 0.5 * 0.25 - 0.5, 2 - 0.25, 3 + 0.5 * 2 - 1
    np.testing.assert_allclose(terminated, [first + 0.25 * second, second, third])
    truncated = advantages(r_t, jnp.full(3, 0.5), ended, v_tm1, v_t, 0.5)
    second += 0.5 * 4
    np.testing.assert_allclose(truncated, [first + 0.25 * second, second, third])


def test_advantages_in_closed_form() -> None:
    """A constant reward and value: errors are all r + (gamma - 1) v, so that advantages are geometric sums."""
    steps, gamma, decay = 50, 0.9, 0.7
    ones = np.ones(steps, np.float32)
    found = advantages(2 * ones, gamma * ones, NEVER.repeat(7)[:steps], 3 * ones, 3 * ones, decay)
    left, error = np.arange(steps, 0, -1), 2 + (gamma - 1) * 3
    np.testing.assert_allclose(found, error * (1 - (gamma * decay) ** left) / (1 - gamma * decay), rtol=1e-5)


def naive_advantages(r_t, discount_t, ended, v_tm1, v_t, decay):
    """Sum up each step's later errors, one by one."""
    sums = []
    for start in range(len(r_t)):
        total, weight = 0.0, 1.0
        for step in range(start, len(r_t)):
            total += weight * (r_t[step] + discount_t[step] * v_t[step] - v_tm1[step])
            if ended[step]:
                break
            weight *= discount_t[step] * decay
        sums.append(total)
    return sums


@settings(max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), decay=st.sampled_from([0.0, 0.5, 0.95, 1.0]))
def test_advantages_equal_the_loop(seed: int, decay: float) -> None:
    rng = np.random.default_rng(seed)
    r_t, v_tm1, v_t = rng.normal(size=(3, 12)).astype(np.float32)
    ended = rng.random(12) < 0.3
    discount_t = np.where(ended & (rng.random(12) < 0.5), 0, 0.97).astype(np.float32)
    found = advantages(r_t, discount_t, ended, v_tm1, v_t, decay)
    np.testing.assert_allclose(found, naive_advantages(r_t, discount_t, ended, v_tm1, v_t, decay), rtol=1e-4, atol=1e-5)


def test_surrogate_by_hand_and_rlax() -> None:
    ratio = jnp.array([0.5, 0.75, 0.9, 1.0, 1.1, 1.25, 1.5, 2.0])
    advantage = jnp.array([1.2, -0.7, 0.3, -1.1, 0.8, -0.2, 0.6, 1.9])
    losses = clipped_surrogate(ratio, advantage, 0.2)
    # What has gone beyond 0.8 or 1.2 to its own advantage counts as if it had stopped there.
    counts = jnp.array([0.5, 0.8, 0.9, 1.0, 1.1, 1.25, 1.2, 1.2])
    np.testing.assert_allclose(losses, -counts * advantage, rtol=1e-6)
    value, gradient = jax.value_and_grad(lambda ratio: jnp.mean(clipped_surrogate(ratio, advantage, 0.2)))(ratio)
    np.testing.assert_allclose(value, -0.355, rtol=1e-5)
    np.testing.assert_allclose(gradient, [-0.15, 0.0, -0.0375, 0.1375, -0.1, 0.025, 0.0, 0.0], rtol=1e-5, atol=1e-7)


def test_biases_are_no_kernels() -> None:
    params = {"kernel": jnp.array([[1.0, -2.0], [3.0, 0.5]]), "bias": jnp.array([100.0]), "log_alpha": jnp.float32(7)}
    np.testing.assert_allclose(kernel_squares(params), 14.25)
    gradients = jax.grad(kernel_squares)(params)
    np.testing.assert_allclose(gradients["kernel"], 2 * params["kernel"])
    np.testing.assert_array_equal(gradients["bias"], 0)
    np.testing.assert_array_equal(gradients["log_alpha"], 0)
