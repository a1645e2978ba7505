import pytest

from leaderboard.board.flops import NO_LAYERS, NO_NETWORK, Flops, encoder, erk, flops


def spec(network, methods=(), **settings):
    return {
        "network": {"id": network, "settings": {"width": 1} | settings},
        "methods": [{"settings": m} for m in methods],
    }


def test_the_nature_encoder_by_hand():
    conv = 8 * 8 * 4 * 32 * 21**2 + 4 * 4 * 32 * 64 * 11**2 + 3 * 3 * 64 * 64 * 11**2
    assert flops(spec("nature_cnn"), 0.0) == Flops(2.0 * (conv + 7744 * 512), 2.0 * (conv + 7744 * 512))


def test_the_impala_encoder_by_hand():
    first = 9 * 4 * 16 * 84**2 + 4 * 9 * 16 * 16 * 42**2
    rest = 9 * 16 * 32 * 42**2 + 4 * 9 * 32 * 32 * 21**2 + 9 * 32 * 32 * 21**2 + 4 * 9 * 32 * 32 * 11**2
    assert flops(spec("impala", variant="A"), 0.0).dense == 2.0 * (first + rest + 3872 * 512)
    weights = {variant: sum(layer.weights for layer in encoder(spec("impala", variant=variant))) for variant in "ABCD"}
    assert weights == {"A": 2079808, "B": 4353152, "C": 2370688, "D": 2079808}  # kernels less a head of 6 actions


def test_uniform_zeros_save_their_share():
    found = flops(spec("impala", [{"distribution": "uniform"}, {"threshold": 0.1}], variant="A"), 0.9)
    assert found.sparse == pytest.approx(0.1 * found.dense)


def test_erk_keeps_the_total_and_small_kernels_dense():
    shapes = [(3, 3, 4, 16), (3, 3, 16, 16), (3872, 512), (512, 6)]
    densities = erk(shapes, 0.05)
    sizes = [576, 2304, 3872 * 512, 3072]
    assert sum(d * n for d, n in zip(densities, sizes, strict=True)) == pytest.approx(0.05 * sum(sizes))
    assert max(densities) == 1.0
    free = [(d, sum(s) / n) for d, s, n in zip(densities, shapes, sizes, strict=True) if d < 1]
    assert len({round(d / score, 9) for d, score in free}) == 1


@pytest.mark.parametrize(
    ("given", "sparsity", "expected"),
    [
        (None, None, Flops(None, None, NO_NETWORK)),
        (spec("mine"), 0.0, Flops(None, None, NO_NETWORK)),
        (spec("impala", width="1"), 0.0, Flops(None, None, NO_NETWORK)),
        (spec("impala", variant="Z"), 0.0, Flops(None, None, NO_NETWORK)),
    ],
)
def test_what_is_not_known_is_not_guessed(given, sparsity, expected):
    assert flops(given, sparsity) == expected


def test_zeros_without_a_place_are_not_counted():
    found = flops(spec("nature_cnn", [{"distribution": "global"}]), 0.9)
    assert (found.sparse, found.why) == (None, NO_LAYERS)
    assert found.dense > 0
