"""Measures against hand-made matrices, and against the formulas of public code, written down once more.

Facts of: RLE-Foundation/Plasticine 007ddf2 plasticine_metrics/rank.py (its "stable rank" is srank with delta 0.01) and
norm.py; google/dopamine 9f616b9 labs/redo/weight_recyclers.py (`log_dead_neurons_count`, `estimate_neuron_score`); the
gradient covariance of a public tianshou policy, whose script leaves the last entry of the diagonal at 0.
"""

import base64
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.errors import BadData
from suite.learning import measures
from suite.records import covariance


def of_rank(rank: int, shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(shape[0], rank)) @ rng.normal(size=(rank, shape[1]))


def with_singular_values(values: list[float], rows: int, columns: int) -> np.ndarray:
    rng = np.random.default_rng(1)
    left = np.linalg.qr(rng.normal(size=(rows, len(values))))[0]
    right = np.linalg.qr(rng.normal(size=(columns, len(values))))[0]
    return left @ np.diag(values) @ right.T


@pytest.mark.parametrize("shape", [(9, 5), (5, 9), (6, 6)])
def test_singular_values_are_those_of_the_decomposition(shape: tuple[int, int]) -> None:
    features = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    np.testing.assert_allclose(measures.singular_values(features), np.linalg.svd(features, compute_uv=False), rtol=1e-5)


def test_ranks_of_a_matrix_whose_singular_values_are_known() -> None:
    values = measures.singular_values(with_singular_values([60, 30, 8, 1.5, 0.5], 40, 8))
    np.testing.assert_allclose(values[:5], [60, 30, 8, 1.5, 0.5])
    assert measures.srank(values) == 4  # 98 % after three, 99.5 % after four
    assert measures.srank(values, delta=0.2) == 2
    assert measures.stable_rank(values) == pytest.approx((3600 + 900 + 64 + 2.25 + 0.25) / 3600)
    shares = np.array([0.6, 0.3, 0.08, 0.015, 0.005])
    assert measures.effective_rank(values) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()), rel=1e-6)


def test_a_matrix_of_zeros_has_no_rank() -> None:
    values = measures.singular_values(np.zeros((4, 3)))
    assert (measures.srank(values), measures.stable_rank(values), measures.effective_rank(values)) == (0, 0.0, 0.0)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(0, 1000))
def test_srank_and_effective_rank_are_those_of_public_code(rank: int, seed: int) -> None:
    features = of_rank(rank, (30, 12), seed)
    found = np.linalg.svd(features, compute_uv=False)
    summed = np.cumsum(found) / found.sum()
    public_srank = int((summed < 0.99).sum()) + 1
    shares = found / np.abs(found).sum()
    public_effective = math.exp(-sum(share * math.log(share) for share in shares if share > 0))
    values = measures.singular_values(features)
    assert measures.srank(values) == public_srank <= rank
    assert measures.effective_rank(values) == pytest.approx(public_effective, rel=1e-4)


@pytest.mark.parametrize("threshold", measures.THRESHOLDS)
def test_the_dormant_share_is_that_of_dopamine(threshold: float) -> None:
    rng = np.random.default_rng(3)
    activations = {"conv": rng.random((6, 4, 4, 10)), "dense": rng.random((6, 20))}
    activations["conv"][..., :3] = 0
    activations["conv"][..., 3] *= 0.03
    activations["dense"][:, 5] *= 0.15
    dead = total = 0
    for own in activations.values():
        scores = [np.abs(own[..., unit]).sum() / own[..., unit].size for unit in range(own.shape[-1])]
        scale = sum(scores) / len(scores) + 1e-9
        total += len(scores)
        dead += sum(score / scale <= threshold for score in scores)
    outputs = {name: np.abs(own).mean(axis=tuple(range(own.ndim - 1))) for name, own in activations.items()}
    assert measures.dormant(outputs, threshold) == dead / total
    assert dead >= 3


def test_the_gradient_covariance_is_that_of_public_code() -> None:
    gradients = np.random.default_rng(5).normal(size=(5, 40))
    gradients[4] = -2 * gradients[0]
    found = measures.cosines(measures.products(lambda index: gradients[index], 5))
    for one in range(5):
        for other in range(5):
            norms = math.sqrt(sum(gradients[one] ** 2)) * math.sqrt(sum(gradients[other] ** 2))
            assert found[one, other] == pytest.approx(float(gradients[one] @ gradients[other]) / norms)
    assert found[0, 4] == pytest.approx(-1)
    expected = np.mean([found[i, j] for i in range(5) for j in range(5) if i != j])
    assert measures.off_diagonal_mean(found) == pytest.approx(expected)


@pytest.mark.parametrize("rows", [0, 1, 2, 3, 7, 20])
def test_products_are_the_same_with_as_little_memory_as_there_is(rows: int) -> None:
    gradients = np.random.default_rng(6).normal(size=(7, 11)).astype(np.float32)
    found = measures.products(lambda index: gradients[index], 7, most_bytes=2 * rows * gradients[0].nbytes)
    np.testing.assert_allclose(found, gradients @ gradients.T, rtol=1e-5, atol=1e-6)


def test_products_of_float32_are_multiplied_in_float64(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measures, "COLUMNS", 4)
    gradients = np.random.default_rng(7).normal(size=(3, 11)).astype(np.float32) * np.float32(1e30)
    exact = gradients.astype(np.float64)
    np.testing.assert_allclose(measures.products(lambda index: gradients[index], 3), exact @ exact.T, rtol=1e-12)


def test_what_is_not_finite_has_no_measure() -> None:
    values = measures.singular_values(np.array([[1.0, np.nan], [0.0, np.inf], [0.0, 1.0]]))
    assert len(values) == 2
    assert np.isnan([measures.srank(values), measures.stable_rank(values), measures.effective_rank(values)]).all()
    assert math.isnan(measures.dormant({"one": np.array([0.0, np.nan]), "other": np.ones(2)}, 0.1))
    assert math.isnan(measures.dormant({"one": np.array([0.0, np.inf])}, 0.1))


def test_a_gradient_of_zero_is_at_right_angles_to_all() -> None:
    found = measures.cosines(np.array([[0.0, 0.0], [0.0, 25.0]]))
    np.testing.assert_array_equal(found, [[0, 0], [0, 1]])


def test_the_overlap_of_masks_is_what_both_keep_over_what_either_keeps() -> None:
    one, other = (
        np.packbits(np.array(mask, bool)) for mask in ([1, 1, 1, 0, 0, 0, 0, 0, 1], [0, 1, 1, 1, 0, 0, 0, 0, 1])
    )
    assert measures.overlap(one, other) == 3 / 5
    assert measures.overlap(one, one) == 1
    assert measures.bits(one) == 4


@given(st.integers(2, covariance.LONGEST), st.integers(0, 100))
@settings(max_examples=30)
def test_a_packed_covariance_comes_back_within_half_a_step(size: int, seed: int) -> None:
    rows = np.random.default_rng(seed).normal(size=(size, 7))
    matrix = measures.cosines(rows @ rows.T)
    text = covariance.pack(matrix)
    assert len(text) <= covariance.TEXT
    found = covariance.unpack(text)
    np.testing.assert_allclose(found, matrix, atol=0.5 / covariance.STEPS + 1e-9)
    np.testing.assert_array_equal(found, found.T)
    assert covariance.pack(found) == text


@pytest.mark.parametrize("text", ["", "AAA", "!!!!", "AAA=", base64.b64encode(bytes([128])).decode(), "A" * 4000])
def test_what_is_no_packed_covariance_is_refused(text: str) -> None:
    with pytest.raises(BadData, match="no packed matrix"):
        covariance.unpack(text)
