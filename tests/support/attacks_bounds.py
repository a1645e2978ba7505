"""Named attacks on what a check, an ingest and the board cost, on what `suite run` cannot make, and on readers' eyes.

As `attacks`, to whose list these belong; those that take memory to measure are in `attacks_costs`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from leaderboard.bundles import limits
from leaderboard.bundles.runs import BundledRun
from suite.contracts.card import Card
from suite.tasks.configuration import Component
from tests.support import attacks, honest
from tests.support.attacks import Attack, attempt_changed, changed_first, good_files, good_runs, remade

# --- more than is allowed ---------------------------------------------------------------------------------------------


def numbered(count: int, value: Any = "0") -> dict[str, Any]:
    """Return so many invented names with a value."""
    return {f"x{number}": value for number in range(count)}


def departing(count: int) -> Callable[[BundledRun], BundledRun]:
    """Return what lists so many invented departures."""
    return lambda run: replace(run, cell=run.cell.model_copy(update={"departures": numbered(count, 1.0)}))


def component_with(settings: dict[str, Any]) -> Callable[[BundledRun], BundledRun]:
    """Return what gives a run a method of these settings that nobody knows."""
    method = Component(id="mine", version=1, card="0" * 16, settings=settings)
    return lambda run: attacks.respecified(run, methods=(method,))


def attempted(count: int) -> Callable[[BundledRun], BundledRun]:
    """Return what gives a run so many attempts."""

    def change(run: BundledRun) -> BundledRun:
        (one,) = run.provenance.attempts
        attempts = tuple(one.model_copy(update={"attempt": number}) for number in range(1, count + 1))
        return replace(run, provenance=run.provenance.model_copy(update={"attempts": attempts}))

    return change


def closed(count: int) -> Callable[[BundledRun], BundledRun]:
    """Return what says that so many attempts ended before."""
    row = {"attempt": 1, "state": "killed", "frames": 0, "updated_at": "2026-01-01T00:00:00Z"}
    return lambda run: attacks.status_changed(
        run, closed=type(run.status).model_validate({**run.status.model_dump(), "closed": [row] * count}).closed
    )


def with_megabyte(name: str) -> attacks.Files:
    """Return the files of the honest bundle, one of them longer by a MiB."""
    return {**good_files(), name: attacks.padded(good_files()[name] + b" " * 2**20)}


def cards(count: int) -> bytes:
    """Return the honest bundle with so many cards more."""
    card = good_files()["cards/method-dense.json"]
    named = {f"cards/method-x{n}.json": card.replace(b'"dense"', b'"x%d"' % n) for n in range(count)}
    return bytes(honest.again({**good_files(), **named}))


def seeds(count: int) -> bytes:
    """Return a bundle with so many run documents of one game, which need not be read."""
    named = {f"runs/00000000-Pong-{seed}.json": b"{}" for seed in range(count)}
    return bytes(honest.again({**good_files(), **named}))


def card_changed(change: Callable[[Any], Any]) -> Callable[[], bytes]:
    """Return a maker of the honest bundle with another card of dense."""
    return lambda: bytes(honest.again(attacks.edit(dict(good_files()), "cards/method-dense.json", change)))


def foreign_card(name: str = "mine", **settings: Any) -> Card:
    """Return the card of a method that is not here, with settings of these published values."""
    rows = {key: {"value": value, "doc": "A setting.", "source": "mine"} for key, value in settings.items()}
    return Card.model_validate({"id": name, "version": 1, "title": name, "summary": "Mine.", "settings": rows})


def of_foreign(runs: Sequence[BundledRun], card: Card, *, listed: bool = True, **settings: Any) -> bytes:
    """Return a bundle of runs with a method of this card, which lies in it, at other settings than the published ones.

    `listed`: what departs is listed.
    """
    values = {name: setting.value for name, setting in card.settings.items()} | settings
    method = Component(id=card.id, version=card.version, card=card.digest, settings=values)
    departures = {f"method.{card.id}.{name}": card.settings[name].value for name in settings if name in card.settings}
    made = [attacks.respecified(run, methods=(method,)) for run in runs]
    if listed:
        made = [replace(run, cell=run.cell.model_copy(update={"departures": departures})) for run in made]
    files = honest.bundle_files(made, attacks.LEFT_OUT)
    named = {f"cards/method-{card.id}.json": honest.document(card.model_dump(mode="json"))}
    return bytes(honest.again(files | named))


def measuring(loss: float) -> Callable[[], bytes]:
    """Return a maker of a bundle whose first run records a loss throughout."""

    def change(run: BundledRun) -> BundledRun:
        rows = (row.model_copy(update={"values": {**row.values, "loss": loss}}) for row in run.diagnostics)
        return replace(run, diagnostics=tuple(rows))

    return changed_first(change)


def timed(seconds: float) -> Callable[[], bytes]:
    """Return a maker of a bundle whose first run says that it took so long."""
    return changed_first(lambda run: attacks.summary_changed(run, wall_seconds=seconds))


def again_as(number: int) -> bytes:
    """Return a bundle whose first run has a second attempt of this number, which ended it."""

    def change(run: BundledRun) -> BundledRun:
        (one,) = run.provenance.attempts
        attempts = (one, one.model_copy(update={"attempt": number}))
        run = replace(run, provenance=run.provenance.model_copy(update={"attempts": attempts}))
        return attacks.status_changed(run, attempt=number)

    return changed_first(change)()


def diverged_after(updates: int) -> bytes:
    """Return a bundle whose first run diverged after so many updates, and has no summary."""

    def change(run: BundledRun) -> BundledRun:
        return attacks.status_changed(honest.diverged(run, run.status.agent_steps // 2), updates=updates, summary=None)

    return changed_first(change)()


SETTING = {"value": 0, "doc": "d", "source": "s"}

ATTACKS = [
    Attack("101 departures", "limits.exceeded", changed_first(departing(limits.DEPARTURES + 1))),
    Attack("10,000 departures in each run", "limits.exceeded", lambda: remade(lambda r: [*map(departing(10_000), r)])),
    Attack("65 settings", "limits.exceeded", changed_first(component_with(numbered(limits.SETTINGS + 1)))),
    Attack("settings of 20,000 letters", "limits.exceeded", changed_first(component_with(numbered(20, "a" * 1000)))),
    Attack(
        "65 settings on a card",
        "limits.exceeded",
        card_changed(lambda content: content.update(settings=numbered(limits.SETTINGS + 1, SETTING))),
    ),
    Attack("card of 33 kB", "limits.exceeded", card_changed(lambda content: content.update(summary="long " * 6_600))),
    Attack("33 cards more", "limits.exceeded", lambda: cards(33)),
    Attack(
        "201 packages",
        "limits.exceeded",
        changed_first(lambda run: attempt_changed(run, packages=numbered(limits.PACKAGES + 1))),
    ),
    Attack(
        "101 options",
        "limits.exceeded",
        changed_first(attacks.environment_changed(**numbered(limits.OPTIONS + 1, 1))),
    ),
    Attack(
        "101 facts of the hardware",
        "limits.exceeded",
        changed_first(lambda run: attempt_changed(run, hardware=numbered(limits.OPTIONS + 1))),
    ),
    Attack(
        "command of 20,000 letters",
        "limits.exceeded",
        changed_first(lambda run: attempt_changed(run, command=("run",) * 4000)),
    ),
    Attack(
        "51 sentences on what is not reached",
        "limits.exceeded",
        changed_first(lambda run: attempt_changed(run, unreached=("It is long.",) * (limits.SENTENCES + 1))),
    ),
    Attack("501 attempts", "limits.exceeded", changed_first(attempted(limits.ATTEMPTS + 1))),
    Attack("501 attempts that ended before", "limits.exceeded", changed_first(closed(limits.ATTEMPTS + 1))),
    Attack("101 seeds of a game", "limits.exceeded", lambda: seeds(limits.SEEDS + 1)),
    Attack(
        "environment.json of 1 MiB and more",
        "limits.exceeded",
        lambda: bytes(honest.again(with_megabyte("environment.json"))),
    ),
    Attack(
        "manifest.json of 1 MiB and more",
        "limits.exceeded",
        lambda: attacks.zipped(with_megabyte("manifest.json")),
    ),
]


# --- what `suite run` does not make -----------------------------------------------------------------------------------


def parted(change: Callable[[Component], Component]) -> Callable[[], bytes]:
    """Return a maker of a bundle whose runs have another method."""
    return attacks.made_of(methods=lambda methods: tuple(map(change, methods)))


def checkpoints(*rows: tuple[int, int, str, str]) -> Callable[[], bytes]:
    """Return a maker of a bundle whose first run has checkpoints: agent step, updates, letters of both hashes."""

    def change(run: BundledRun) -> BundledRun:
        (last,) = run.checkpoints
        made = []
        for step, updates, learner, history in rows:
            hashes = {"learner": digest(learner), "history": digest(history)}
            made.append(last.model_copy(update={"agent_step": step, "frame": 4 * step, "updates": updates} | hashes))
        return replace(run, checkpoints=tuple(made))

    return changed_first(change)


def digest(text: str) -> str:
    """Return a text's hash, or a single letter 64 times."""
    return text * 64 if len(text) == 1 else hashlib.sha256(text.encode()).hexdigest()


def returning(value: float) -> Callable[[], bytes]:
    """Return a maker of a bundle in which an episode of a game without known bounds returns that."""

    def make() -> bytes:
        run = honest.honest_run("atari40m", "Qbert", 0)
        changed = attacks.episodes_of(run, value=lambda old, number: old if number else value)
        return bytes(honest.bundle([changed], attacks.LEFT_OUT))

    return make


def shortened(*told: str) -> bytes:
    """Return a bundle of a run that ends before it learns, and says this of it."""
    run, frames = honest.honest_run("smoke", "Pong", 0), 400
    run = attacks.respecified(run, frames=frames, shortened=True)
    run = attacks.status_changed(run, frames=frames, budget_frames=frames, agent_steps=frames // 4, updates=0)
    checkpoint = run.checkpoints[0].model_copy(update={"agent_step": frames // 4, "frame": frames, "updates": 0})
    run = honest.with_score(run, episodes=(), logged={}, checkpoints=(checkpoint,))
    run = attacks.summary_changed(run, updates=0)
    return bytes(honest.bundle([attempt_changed(run, unreached=told)], attacks.LEFT_OUT))


def seeded(*more: int) -> Callable[[], bytes]:
    """Return a maker of the honest bundle with runs of more seeds, which is said to be partial."""

    def make() -> bytes:
        runs = [honest.honest_run("smoke", game, seed) for game in ("Pong", "Breakout") for seed in more]
        return bytes(honest.bundle([*good_runs(), *runs], attacks.LEFT_OUT))

    return make


ATTACKS += [
    Attack(
        "component that nobody knows, without card",
        "cards.missing",
        parted(lambda method: Component(id="mine", version=1, card="0" * 16, settings={"x": 1})),
    ),
    Attack(
        "method of another card's digest",
        "cards.missing",
        parted(lambda part: part.model_copy(update={"card": "1" * 16})),
    ),
    Attack("method without a digest", "cards.missing", parted(lambda part: part.model_copy(update={"card": ""}))),
    Attack(
        "setting that nobody has",
        "protocol.settings",
        parted(lambda part: part.model_copy(update={"settings": {"x": 1}})),
    ),
    Attack(
        "words in a label",
        "protocol.settings",
        lambda: of_foreign(good_runs(), foreign_card(note="a"), note="verified by us"),
    ),
    Attack(
        "words in a label, not listed",
        "protocol.settings",
        lambda: of_foreign(good_runs(), foreign_card(note="a"), listed=False, note="re-run by the maintainers"),
    ),
    Attack(
        "words as the name of a setting",
        "schema.fields",
        card_changed(lambda content: content.update(settings={"re-run by the maintainers, verified": SETTING})),
    ),
    Attack(
        "words as a published value",
        "schema.fields",
        card_changed(lambda content: content.update(settings={"note": {**SETTING, "value": "verified by us"}})),
    ),
    Attack(
        "words as a departure of a foreign method",
        "protocol.departures",
        lambda: of_foreign(
            [attacks.with_departure(run, "method.mine.verified", "yes") for run in good_runs()],
            foreign_card(),
            listed=False,
        ),
    ),
    Attack(
        "departure of a foreign method, not listed",
        "protocol.departures",
        lambda: of_foreign(good_runs(), foreign_card(x=1), listed=False, x=2),
    ),
    Attack("departure of another method", "protocol.departures", attacks.with_departures(method__redo__threshold=0.5)),
    Attack("departure of the task", "protocol.departures", attacks.with_departures(task__games="all")),
    Attack("departure without a name", "protocol.departures", attacks.with_departures(**{"": 1})),
    Attack("data's share among the departures", "protocol.departures", attacks.with_departures(data__fraction=1.0)),
    Attack(
        "two agents in one",
        "runs.identity",
        changed_first(lambda run: attacks.component_changed(run, "dqn+sac")),
    ),
    *(
        Attack(name, code, attacks.made_of("smoke-offline", dataset=f"dqn-replay.{dataset}"))
        for name, code, dataset in (
            ("data of a play list", "protocol.specification", "best.0.05.0.0123456789abcdef"),
            ("data of no share", "protocol.specification", "blocks.0.0.0123456789abcdef"),
            ("data without an index set", "protocol.specification", "blocks.0.05.0"),
            ("data of another draw", "protocol.departures", "blocks.0.05.7.0123456789abcdef"),
        )
    ),
    Attack(
        "one parameter",
        "runs.summary",
        changed_first(lambda run: attacks.summary_changed(run, parameters=1, active_parameters=1)),
    ),
    Attack(
        "no parameter",
        "runs.summary",
        changed_first(lambda run: attacks.summary_changed(run, parameters=0, active_parameters=0)),
    ),
    Attack(
        "more active parameters than there are",
        "runs.summary",
        changed_first(lambda run: attacks.summary_changed(run, active_parameters=2_000_000)),
    ),
    Attack("sparsity of 1.5", "runs.summary", changed_first(lambda run: attacks.summary_changed(run, sparsity=1.5))),
    Attack(
        "1,000,000,000 updates",
        "runs.summary",
        changed_first(lambda run: attacks.status_changed(attacks.summary_changed(run, updates=10**9), updates=10**9)),
    ),
    Attack("loss beyond what 32 bits hold", "schema.fields", measuring(1e39)),
    Attack("loss of almost infinity", "schema.fields", measuring(-1.7e308)),
    Attack("slower than any clock", "schema.fields", timed(1e308)),
    Attack("time backwards, and no end of it", "schema.fields", timed(-1e308)),
    Attack(
        "rate that is none",
        "schema.fields",
        changed_first(lambda run: attacks.status_changed(run, frames_per_second=1e308)),
    ),
    Attack("attempt 10,001", "runs.claims", lambda: again_as(10_001)),
    Attack("attempt of 31 digits", "schema.fields", lambda: again_as(10**30)),
    Attack("diverged after 10**30 updates", "schema.fields", lambda: diverged_after(10**30)),
    Attack("diverged after 2**53 updates", "runs.summary", lambda: diverged_after(2**53)),
    Attack("return of 1e12", "score.impossible", returning(1e12)),
    Attack("return of -1e11", "score.impossible", returning(-1e11)),
    Attack("learner of zeros", "record.checkpoints", checkpoints((4000, 100, "0", "history"))),
    Attack("history of letters", "record.checkpoints", checkpoints((4000, 100, "learner", "a"))),
    Attack(
        "one history throughout",
        "record.checkpoints",
        checkpoints((2000, 50, "one", "same"), (4000, 100, "two", "same")),
    ),
    Attack(
        "two learners in turn",
        "record.checkpoints",
        checkpoints((1000, 25, "a1", "h1"), (2000, 50, "b1", "h2"), (3000, 75, "a1", "h3"), (4000, 100, "b1", "h4")),
    ),
    Attack("last checkpoint of fewer updates", "record.checkpoints", checkpoints((4000, 99, "one", "two"))),
    Attack(
        "checkpoint behind the end",
        "record.checkpoints",
        checkpoints((4000, 100, "one", "two"), (4100, 110, "x1", "y1")),
    ),
    Attack("learns nothing and does not say so", "provenance.unreached", shortened),
    Attack("learns nothing and says something else", "provenance.unreached", lambda: shortened("dqn: all is well.")),
    Attack(
        "sentence on what is not reached, of a run that reaches all",
        "provenance.unreached",
        changed_first(lambda run: attempt_changed(run, unreached=("Verified by the maintainers.",))),
    ),
    Attack("one chosen seed more", "seeds.chosen", seeded(7)),
    Attack("half a block of seeds more", "seeds.chosen", seeded(2)),
    Attack("second block of seeds without the first", "seeds.chosen", seeded(4, 5)),
]


# --- what readers do not see ------------------------------------------------------------------------------------------


def stated(old: bytes, new: str) -> Callable[[], bytes]:
    """Return a maker of the honest bundle whose submission.toml says something else."""
    return lambda: bytes(honest.again(attacks.toml(old, new.encode())(dict(good_files()))))


def any_maker(attributes: int) -> Callable[[], bytes]:
    """Return a maker of the honest bundle whose manifest has this mode, made on a system that knows none."""

    def make() -> bytes:
        content = attacks.raw_zip([replace(one, mode=attributes) for one in attacks.entries()])
        return content.replace(bytes((20, 3)) + bytes((20, 0)), bytes((20, 0)) + bytes((20, 0)))

    return make


ATTACKS += [
    Attack("Hangul filler as a title", "text.invisible", stated(b"Two games, two seeds", "\u3164")),
    Attack("half-width filler in an author", "text.invisible", stated(b"Ada Example", "Ada\uffa0Example")),
    Attack("Braille blank in an author", "text.invisible", stated(b"Ada Example", "Ada\u2800Example")),
    Attack("variation selector in a title", "text.invisible", stated(b"Two games", "Two games\ufe0e")),
    Attack("supplementary selector in an issue", "text.invisible", stated(b"It is a test.", "It is\U000e0101 a test.")),
    Attack("grapheme joiner in a rule", "text.invisible", stated(b"published settings", "published\u034f settings")),
    Attack("name almost as another", "text.lookalike", lambda: of_foreign(good_runs(), foreign_card("rlg1"))),
    Attack("name with another underscore", "text.lookalike", lambda: of_foreign(good_runs(), foreign_card("re_do"))),
    Attack("FILL IN as a title", "submission.unfilled", stated(b"Two games, two seeds", "FILL IN")),
    Attack("fill in, in a sentence", "submission.unfilled", stated(b"published settings", "We Fill in later")),
    Attack("another commit than what ran", "provenance.commit", stated(b'"0123456789abcdef"', '"fedcba9876543210"')),
    Attack("link, made on no Unix", "archive.type", any_maker(0o120777)),
    Attack("named pipe, made on no Unix", "archive.type", any_maker(0o010644)),
]
