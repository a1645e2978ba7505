"""Every agent and network of the suite has a name for people, from its card."""

from typing import Literal

import pytest

from leaderboard.board.names import title
from suite.contracts import registry

LABELS = {
    "agent": {
        "c51": "C51",
        "cql": "CQL",
        "cql_c51": "CQL+C51",
        "der": "DER",
        "dqn": "DQN",
        "drq_eps": "DrQ(epsilon)",
        "iqn": "IQN",
        "m_iqn": "M-IQN",
        "ppo": "PPO",
        "qr_dqn": "QR-DQN",
        "rainbow": "Rainbow",
        "sac": "SAC",
    },
    "network": {"impala": "Impala", "mlp": "MLP", "nature_cnn": "Nature CNN"},
}


@pytest.mark.parametrize("kind", ["agent", "network"])
def test_every_built_in_has_a_label(kind: Literal["agent", "network"]) -> None:
    own = [name for name, point in registry.registered(kind).items() if point.module.startswith("baselines.")]
    assert {name: title(kind, name) for name in own} == {name: LABELS[kind][name] for name in own}


def test_what_others_install_and_what_is_gone_keep_their_names() -> None:
    assert title("agent", "somebody_elses") == "somebody_elses"
    assert title("network", "tiny") == "tiny"
