"""Every agent and network of the suite has a name for people, from its card."""

from typing import Literal

import pytest

from leaderboard.board.names import entries, method_name, title
from leaderboard.store.models import RUN_HERE
from leaderboard.store.rows import StoredConfiguration
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
    "network": {"impala": "Impala", "minatar_cnn": "MinAtar CNN", "mlp": "MLP", "nature_cnn": "Nature CNN"},
}


@pytest.mark.parametrize("kind", ["agent", "network"])
def test_every_built_in_has_a_label(kind: Literal["agent", "network"]) -> None:
    own = [name for name, point in registry.registered(kind).items() if point.module.startswith("baselines.")]
    assert {name: title(kind, name) for name in own} == {name: LABELS[kind][name] for name in own}


def test_methods_are_called_what_their_papers_call_them() -> None:
    """Whose name is no plain word of a sentence has the spelling of its card; a combination names its parts."""
    own = [name for name, point in registry.registered("method").items() if point.module.startswith("baselines.")]
    spelled = {name: method_name(name) for name in own if method_name(name) != name.replace("_", " ")}
    assert spelled == {
        **{"jaxpruner": "JaxPruner", "l2_features": "L2 features", "l2_init": "L2 Init"},
        **{"redo": "ReDo", "rigl": "RigL", "set": "SET"},
    }
    assert {name: registry.card("method", name).title.partition("-")[0].split()[0] for name in spelled} == {
        name: word.split()[0] for name, word in spelled.items()
    }
    assert method_name("reset+rigl") == "reset+RigL"
    assert method_name("somebody_elses") == "somebody elses"


def test_what_others_install_and_what_is_gone_keep_their_names() -> None:
    assert title("agent", "somebody_elses") == "somebody_elses"
    assert title("network", "tiny") == "tiny"


def test_a_label_lists_as_many_departures_as_fit() -> None:
    """Each takes 5 letters and 2 between them: 17 make 119."""
    settings = {f"s{number:02}": 1 for number in range(40)}
    parts = {"agent": {"id": "dqn", "settings": {}}, "methods": [{"id": "mine", "settings": settings}]}
    configuration = StoredConfiguration(
        *("0" * 16, RUN_HERE, "smoke@1", 16_000, False, "dqn", "tiny", None, "mine", parts, ()),
    )
    published = {f"method.mine.{name}": 0 for name in settings}
    found = entries([configuration], {"0" * 16: published}, (), "smoke")["0" * 16]
    assert (
        found.label
        == f"DQN \N{MIDDLE DOT} tiny \N{MIDDLE DOT} mine ({', '.join(f's{n:02} 1' for n in range(17))}, 23 more)"
    )
    assert len(found.departures) == 40
