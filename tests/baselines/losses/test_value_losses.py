"""TD errors and losses against numbers worked out by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from baselines.losses.value import huber, q_learning, squared

Q_TM1 = jnp.array([1.0, -2.0, 0.5])
Q_T = jnp.array([0.0, 3.0, 2.0])


@pytest.mark.parametrize(
    ("action", "reward", "discount", "expected"),
    [
        (0, 1.0, 0.99, 1.0 + 0.99 * 3.0 - 1.0),
        (1, -1.0, 0.99, -1.0 + 0.99 * 3.0 + 2.0),
        (2, 1.0, 0.0, 1.0 - 0.5),  # terminal: nothing is bootstrapped
        (1, 2.71, 0.99**3, 2.71 + 0.970299 * 3.0 + 2.0),  # three steps summed
    ],
)
def test_td_error(action: int, reward: float, discount: float, expected: float) -> None:
    error = q_learning(Q_TM1, jnp.int32(action), jnp.float32(reward), jnp.float32(discount), Q_T)
    assert error.shape == ()
    np.testing.assert_allclose(error, expected, rtol=1e-6)


def test_gradient_flows_through_the_taken_value_only() -> None:
    arguments = (jnp.float32(1.0), jnp.float32(0.99))
    by_q_tm1, by_q_t = jax.grad(lambda q, p: q_learning(q, jnp.int32(1), *arguments, p), argnums=(0, 1))(Q_TM1, Q_T)
    np.testing.assert_array_equal(by_q_tm1, [0.0, -1.0, 0.0])
    np.testing.assert_array_equal(by_q_t, [0.0, 0.0, 0.0])


@pytest.mark.parametrize(
    ("error", "square", "hubers"), [(0.0, 0.0, 0.0), (-0.5, 0.25, 0.125), (1.0, 1.0, 0.5), (3.0, 9.0, 2.5)]
)
def test_losses(error: float, square: float, hubers: float) -> None:
    np.testing.assert_allclose(squared(jnp.float32(error)), square)
    np.testing.assert_allclose(huber(jnp.float32(error)), hubers)
    np.testing.assert_allclose(jax.grad(huber)(jnp.float32(error)), np.clip(error, -1, 1))


def test_vmap_batches_transitions() -> None:
    batch = (jnp.stack([Q_TM1, Q_T]), jnp.array([0, 2]), jnp.ones(2), jnp.array([0.99, 0.0]), jnp.stack([Q_T, Q_TM1]))
    alone = [q_learning(*(column[row] for column in batch)) for row in range(2)]
    np.testing.assert_array_equal(jax.vmap(q_learning)(*batch), alone)
