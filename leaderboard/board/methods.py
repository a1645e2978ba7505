"""The methods page: the card of every method of this suite, and which of them can be combined."""

from __future__ import annotations

import functools

from leaderboard.board.views import MethodCard, Parameter
from suite.contracts import registry
from suite.contracts.card import Card, Setting

DISTRIBUTION = "pruned-rl-suite"


def method_cards() -> tuple[MethodCard, ...]:
    """Return the cards of the suite's own methods, by name, dense first; what others install here is left out.

    So the page depends on the suite's version alone, not on the machine that builds it.
    """
    cards = [
        registry.card("method", name) for name in sorted(shipped("method"), key=lambda name: (name != "dense", name))
    ]
    return tuple(_view(card, cards) for card in cards)


@functools.cache
def shipped(kind: registry.Kind) -> frozenset[str]:
    """Return the names of the components of a kind that the suite itself has, not another package installed here."""
    points = registry.registered(kind).items()
    return frozenset(name for name, point in points if point.dist is not None and point.dist.name == DISTRIBUTION)


def _view(card: Card, cards: list[Card]) -> MethodCard:
    return MethodCard(
        id=card.id,
        version=card.version,
        digest=card.digest,
        title=card.title,
        summary=card.summary,
        paper=card.paper,
        deviations=card.deviations,
        parameters=tuple(_parameter(name, setting) for name, setting in card.settings.items()),
        refusals=tuple("itself" if other is card else card.refusal(other) for other in cards),
    )


def _parameter(name: str, setting: Setting) -> Parameter:
    value = str(setting.value).lower() if isinstance(setting.value, bool) else setting.value
    return Parameter(name, value, setting.unit, setting.range_text(), setting.doc, setting.source)
