"""Named attacks on what a replay proves and on where a result stands; as `attacks`, to whose list these belong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from leaderboard.bundles.runs import BundledRun
from suite.records.record import Actions
from tests.support import attacks, honest
from tests.support.attacks import Attack, changed_first, environment_changed, good_runs, remade

Change = Callable[[BundledRun], BundledRun]


def ended(run: BundledRun, actions: bytes | None) -> BundledRun:
    """Return a run with other actions of the episode that was cut off at its end, or none."""
    number = len(run.episodes)
    logs = {key: log for key, log in run.logged.items() if key != number}
    return replace(run, logged=logs if actions is None else logs | {number: Actions.pack(1, number, actions)})


def last_left_out(count: int) -> Change:
    """Return what tells the last episodes of a run as the steps of one that never ended, without their actions."""

    def change(run: BundledRun) -> BundledRun:
        kept = run.episodes[:-count]
        logs = {key: log for key, log in run.logged.items() if key < len(kept)}
        return honest.with_score(run, episodes=kept, logged=logs)

    return change


def told_as_diverged(steps: int, change: Change = lambda run: run) -> Change:
    """Return what stops a run after so many agent steps and calls it diverged."""
    return lambda run: change(honest.diverged(run, steps))


def without_first_log(run: BundledRun) -> BundledRun:
    """Return a run without the first of its action logs."""
    first = min(run.logged)
    return replace(run, logged={key: log for key, log in run.logged.items() if key != first})


def beyond(run: BundledRun) -> BundledRun:
    """Return a run with actions of an episode after the one that was cut off."""
    number = len(run.episodes) + 1
    return replace(run, logged=run.logged | {number: Actions.pack(1, number, b"\0" * 9)})


def every(change: Change) -> Callable[[], bytes]:
    """Return what makes a bundle of all honest runs, each of them changed."""
    return lambda: remade(lambda runs: [change(run) for run in runs])


def alone(change: Change) -> Callable[[], bytes]:
    """Return what makes a bundle of a single changed run."""
    return lambda: bytes(honest.bundle([change(good_runs()[0])], attacks.LEFT_OUT))


ATTACKS = [
    *(
        Attack(f"last {count} of each run left out", "record.actions", every(last_left_out(count)))
        for count in (1, 2, 3)
    ),
    Attack("end without actions", "record.actions", changed_first(lambda run: ended(run, None))),
    Attack("end of one action", "record.actions", changed_first(lambda run: ended(run, b"\0"))),
    Attack("end too long by one", "record.actions", changed_first(lambda run: ended(run, bytes(run.open_steps + 1)))),
    Attack("end too short by one", "record.actions", changed_first(lambda run: ended(run, bytes(run.open_steps - 1)))),
    Attack(
        "end with an unknown action", "record.actions", changed_first(lambda run: ended(run, b"\x11" * run.open_steps))
    ),
    Attack("end that is a bomb", "record.actions", changed_first(lambda run: ended(run, bytes(10_000_000)))),
    Attack("actions beyond the end", "record.actions", changed_first(beyond)),
    *(
        Attack(
            f"stopped at {steps} of 4000, called diverged, one episode without actions",
            "record.actions",
            changed_first(told_as_diverged(steps, without_first_log)),
        )
        for steps in (1500, 2000, 3000)
    ),
    Attack(
        "diverged, without its end",
        "record.actions",
        changed_first(told_as_diverged(2000, lambda run: ended(run, None))),
    ),
    *(
        Attack(f"invented option {name} of one run", "environment.options", alone(environment_changed(**{name: value})))
        for name, value in (
            ("overclock", 1),
            ("zz", ""),
            ("seed", 0),
            ("difficulty", 0),
            ("mode", 0),
            ("ale_py_", "0.12.1"),
            ("Repeat_action_probability", 0.25),
        )
    ),
    Attack("invented option of every run", "environment.options", every(environment_changed(turbo=True))),
]
