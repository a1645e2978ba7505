"""The checker: recomputes everything that a bundle claims, and never fails on what it reads."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Generic, TypeVar

from leaderboard.bundles import limits, run_checks, set_checks
from leaderboard.bundles.archive import Archive
from leaderboard.bundles.bundle import Bundle, open_bundle
from leaderboard.bundles.curves import DIFFERS, Curve, difference, parquet_version, write_curves
from leaderboard.bundles.environment import Environments
from leaderboard.bundles.findings import SEVERITIES, Finding, Rejected, Severity, finding, shown
from leaderboard.bundles.levels import CLAIMED, RECOMPUTED, REPLAYED, sampled
from leaderboard.bundles.runs import BundledRun, document_name
from leaderboard.bundles.schema import VERSION, ManifestRun
from leaderboard.bundles.set_checks import RunFacts
from leaderboard.bundles.submission_checks import check_commit, check_names, check_submission
from suite.checks import reach
from suite.contracts.registry import Kind
from suite.errors import BadData
from suite.records import claims
from suite.records.claims import Checked
from suite.records.judged_cell import Cards
from suite.records.record import FINISHED
from suite.tasks import Task, load_task, task_names
from suite.tasks.specification import components

Comparison = Callable[[str, Sequence[RunFacts]], list[Finding]]
"""What a bundle, by its SHA-256 and the facts of its runs, is beside others: see `leaderboard.store.comparison`."""

KeptT = TypeVar("KeptT")

COMPONENT = re.compile(r"[a-z][a-z0-9_]{0,63}", re.ASCII)
MOST_COMPONENTS = 12

FINDINGS = 500
"""How many findings a report lists; the counts are of all."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a check found. `level` is what these runs have shown here; an error leaves them `claimed`.

    `runs`: the claims of all runs that could be read. `replayed`: their names, where `replay` was asked for.
    """

    bundle: str
    sha256: str
    level: str
    findings: tuple[Finding, ...]
    task: str = ""
    title: str = ""
    runs: tuple[ManifestRun, ...] = ()
    replayed: tuple[str, ...] = ()

    def count(self, severity: Severity) -> int:
        """Return how many findings have this severity."""
        return sum(one.severity == severity for one in self.findings)

    def to_json(self) -> str:
        """Return report.json: one JSON object in ASCII."""
        content = {
            "schema": "leaderboard.report/1",
            "bundle": {"name": self.bundle, "sha256": self.sha256, "title": self.title, "task": self.task},
            "level": self.level,
            "errors": self.count("error"),
            "reviews": self.count("review"),
            "notes": self.count("note"),
            "findings": [asdict(one) for one in self.findings[:FINDINGS]],
            "runs": [run.model_dump(mode="json") | {"replayed": run.path in self.replayed} for run in self.runs],
        }
        return json.dumps(content, indent=1, sort_keys=True, allow_nan=False)


@dataclass(frozen=True, slots=True)
class Examined(Generic[KeptT]):
    """A bundle and what its check found. `kept`: of every run what was to be kept of it; of a bad bundle nothing.

    `bundle` is None where not even its structure holds.
    """

    report: Report
    bundle: Bundle | None
    kept: tuple[KeptT, ...]


@dataclass(slots=True)
class _Progress(Generic[KeptT]):
    """What a check has found so far. `keep` says what is kept of a run, `now` which dates are still to come."""

    keep: Callable[[Checked], KeptT]
    now: datetime
    bundle: Bundle | None = None
    findings: list[Finding] = field(default_factory=list)
    facts: list[RunFacts] = field(default_factory=list)
    environments: Environments = field(default_factory=Environments)
    replayed: list[str] = field(default_factory=list)
    kept: list[KeptT] = field(default_factory=list)
    asked: dict[str, list[tuple[str, tuple[str, ...]]]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return any(one.severity == "error" for one in self.findings)


def check_bundle(
    path: Path,
    *,
    replay: bool = False,
    seconds: float | None = None,
    compare: Comparison | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Report:
    """Check a bundle, and with `replay` run what it scores through the emulator, in processes of their own.

    With `seconds`, runs are replayed in an order drawn by lot for so long: the level says how far that came.

    Whatever the file holds, the answer is a report: a bundle that cannot be read further has one finding that says so.
    With `compare`, its runs are compared with those of others; what that raises is raised.
    `progress` gets a line before what takes long.
    """
    done = _Progress(lambda checked: None, datetime.now(UTC))
    _examine(lambda: open_bundle(path), path.name, done)
    if replay and not done.failed and (bundle := done.bundle) is not None:
        from leaderboard.bundles.replay import SECONDS, replay_runs

        progress(f"Replaying {plural(len(bundle.run_names), 'run')} (Atari: about 16,000 scored frames a second).")
        with _answering(done, path.name):
            found = replay_runs(bundle, SECONDS if seconds is None else seconds)
            done.findings += found.findings
            done.replayed += found.names
    if compare is not None and done.bundle is not None:
        done.findings += compare(done.bundle.sha256, done.facts)
    return _report(path, done, replay=replay)


def examine(path: Path, content: bytes, sha256: str, keep: Callable[[Checked], KeptT]) -> Examined[KeptT]:
    """Check a bundle that was read from `path`, and return it with what `keep` makes of its runs, one after another.

    The answer is the same whenever it is asked for: a date is to come if it is in the next century.
    """
    done = _Progress(keep, run_checks.LATEST)
    _examine(lambda: Bundle(path, Archive(content, sha256)), path.name, done)
    report = _report(path, done, replay=False)
    return Examined(report, done.bundle, () if done.failed else tuple(done.kept))


def _examine(read: Callable[[], Bundle], name: str, done: _Progress[KeptT]) -> None:
    try:
        with _answering(done, name):
            done.bundle = read()
            _check(done.bundle, done)
    except limits.Exceeded as error:
        done.findings[:] = [error.finding]
        done.facts.clear()
        done.kept.clear()


def _check(bundle: Bundle, done: _Progress[KeptT]) -> None:
    if bundle.version != VERSION:
        done.findings.append(finding("schema.converted", "bundle", f"it has schema {bundle.version}"))
    done.findings += check_submission(bundle.submission)
    used: set[tuple[Kind, str]] = set()
    for name in bundle.run_names:
        with _answering(done, name):
            used |= _check_one(bundle, name, done)
    done.findings += check_names(used)
    if not bundle.run_names:
        done.findings.append(finding("runs.none", "bundle", "there is no run in it"))
    elif len(done.facts) == len(bundle.run_names):
        if unused := bundle.cards.keys() - used:
            kind, card = min(unused)
            done.findings.append(finding("cards.missing", "cards", f"{kind} {card} is used by no run"))
        _check_together(bundle, done)
    if not done.failed:  # another process, which nothing that is wrong anyway shall cost
        done.findings += _check_reach(done.asked)


def _check_reach(asked: Mapping[str, Sequence[tuple[str, tuple[str, ...]]]]) -> Iterator[Finding]:
    """Yield what runs say wrongly of what they do not reach; `asked`: names of runs and what they say, by question."""
    answers = reach.answers(tuple(asked)) if asked else {}
    for question, runs in asked.items():
        for name, told in runs:
            if question not in answers:
                yield finding("provenance.unasked", name, "what it does not reach took too long, or too much memory")
            else:
                yield from (finding(o.code, name, o.message) for o in reach.of_unreached(told, answers[question]))


def _check_one(bundle: Bundle, name: str, done: _Progress[KeptT]) -> set[tuple[Kind, str]]:
    """Check one run and return its components; only what is to be kept of it is, so that memory holds one at a time."""
    run = bundle.run(name)
    task = _task(run, bundle.manifest.task, name)
    checked = _checked(run, name)
    done.findings += _check_run(run, task, bundle.cards, name, done.now)
    done.findings += check_commit(bundle.submission, run.provenance.attempts, name)
    told, question = run.attempt.unreached, reach.question(run)
    if question:
        done.asked.setdefault(question, []).append((name, told))
        limits.check_questions(len(done.asked))
    elif question is not None:
        done.findings += (finding(one.code, name, one.message) for one in reach.of_unreached(told, ()))
    done.facts.append(_facts(checked, task, name))
    done.environments.add(run.provenance.attempts)
    limits.check_findings(len(done.findings))
    if not done.failed:
        done.kept.append(done.keep(checked))
    return {(kind, part.id) for kind, part in components(run.cell.spec)}


def _checked(run: BundledRun, name: str) -> Checked:
    """Return a run with everything recomputed; Rejected for what is so wrong that the rest makes no sense."""
    if document_name(run) != name:
        raise Rejected("runs.identity", name, f"it holds {shown(run.cell.config_id)} {shown(run.cell.game)}")
    names = [part.id for _, part in components(run.cell.spec)]
    if bad := [one for one in names if not COMPONENT.fullmatch(one)] or names[MOST_COMPONENTS:]:
        raise Rejected("runs.identity", name, f"{shown(bad[0])} is no component, or one too many")
    if run.status.state not in FINISHED:
        raise Rejected("runs.unfinished", name, f"it is {run.status.state}")
    numbers = [attempt.attempt for attempt in run.provenance.attempts]
    known = set(numbers)
    if numbers != sorted(known):
        raise Rejected("runs.claims", name, "its attempts are out of order")
    if max(known, default=0) > limits.LAST_ATTEMPT:
        raise Rejected("runs.claims", name, f"it has an attempt beyond number {limits.LAST_ATTEMPT:,}")
    if not {row.attempt for row in (*run.episodes, *run.evaluation)} | {run.status.attempt} <= known:
        raise Rejected("runs.claims", name, "it has rows of an attempt without provenance")
    try:
        return claims.check(run, run.status.state)
    except claims.Contradicted as error:
        raise Rejected(error.inconsistency.code, name, f"{error.inconsistency.message}.") from error


def _check_run(run: BundledRun, task: Task, cards: Cards, name: str, now: datetime) -> Iterator[Finding]:
    """Yield everything else about one run."""
    if run.status.state == "diverged":
        yield finding("runs.diverged", name, "it diverged")
    if run.cell.spec.shortened:
        yield finding("protocol.shortened", name, f"{run.cell.spec.frames:,} of {task.budget.length:,} {task.unit}")
    found = list(claims.further(run, task, cards))
    yield from (finding(one.code, name, one.message) for one in found)
    if all(one.code != "protocol.departures" for one in found):
        for key, value in sorted(run.cell.departures.items()):
            yield finding("protocol.departure", name, f"{key}: published {shown(value)}")
    yield from run_checks.check_cards(run, cards, name)
    for attempt in run.provenance.attempts:
        yield from run_checks.check_versions(attempt, name)
    yield from run_checks.check_returns(run, task, name)
    yield from run_checks.check_provenance(run, task, name, now)


def _task(run: BundledRun, key: str, name: str) -> Task:
    task, own = load_task(run.cell.spec.task), run.cell.spec.task_key
    if own not in (key, _protocol_of(key)):
        raise Rejected("runs.mixed", name, f"it is a run of {shown(own)}, the bundle is of {key}")
    if task.key != own:
        raise Rejected("task.version", name, f"it is a run of {own}, this suite has {task.key}")
    return task


def _protocol_of(key: str) -> str:
    """Return the key of the task whose cells a bundle of this task has: its own, unless it is a list over another's."""
    name = key.partition("@")[0]
    known = load_task(name) if name in task_names() else None
    return key if known is None or known.key != key else known.protocol_key


def _facts(checked: Checked, task: Task, name: str) -> RunFacts:
    run, cell = checked.run, checked.run.cell
    claim = ManifestRun(
        path=name,
        config_id=cell.config_id,
        game=cell.game,
        seed=cell.seed,
        state="done" if checked.state == "done" else "diverged",
        score=checked.score,
        scored_episodes=checked.scored_episodes,
    )
    curve = Curve(cell.config_id, cell.game, cell.seed, task.budget.iteration_length, checked.iterations)
    fingerprints = frozenset(attempt.environment_fingerprint for attempt in run.provenance.attempts)
    return RunFacts(name, claim, curve, claims.trace(run), fingerprints, cell.spec.shortened, checked.digest)


def _check_together(bundle: Bundle, done: _Progress[KeptT]) -> None:
    """Check what all runs, once they could all be read, are together, and the files that follow from them."""
    task = load_task(bundle.manifest.task.partition("@")[0])
    done.findings += set_checks.check_grid(done.facts, task, partial=bundle.submission.partial)
    done.findings += set_checks.check_copies(done.facts)
    done.findings += set_checks.check_environments(done.facts)
    done.findings += _check_manifest(bundle, done.facts)
    expected = {**done.environments.document(), "schema_version": VERSION}
    if json.loads(bundle.environment.model_dump_json()) != expected:
        done.findings.append(finding("environment.lock", "environment.json", "it differs from the runs' provenance"))
    if not done.failed:  # another process, which nothing that is wrong anyway shall cost
        done.findings += _check_curves(bundle, done.facts)


def _check_manifest(bundle: Bundle, facts: list[RunFacts]) -> Iterator[Finding]:
    claims = {run.path: run for run in bundle.manifest.runs}
    if len(claims) != len(bundle.manifest.runs) or claims.keys() != {run.name for run in facts}:
        yield finding("manifest.claims", "manifest.json", "its table is not of the runs that are there")
        return
    for run in facts:
        claim = claims[run.name]
        if claim != run.claim:
            text = f"it claims {claim.score} over {claim.scored_episodes}, the episodes give {run.claim.score}"
            yield finding("manifest.claims", run.where, text)


def _check_curves(bundle: Bundle, facts: list[RunFacts]) -> Iterator[Finding]:
    """Compare the curves with those made here: by their bytes if the same library wrote both, else row by row."""
    claimed, expected = bundle.read("curves.parquet"), write_curves(run.curve for run in facts)
    same_library = bundle.manifest.parquet_version == parquet_version()
    if claimed == expected:
        return
    if problem := DIFFERS if same_library else difference(claimed, expected):
        yield finding("curves.differ", "curves.parquet", problem)


@contextmanager
def _answering(done: _Progress[KeptT], where: str) -> Iterator[None]:
    """Turn whatever is raised into a finding; only what goes beyond a limit ends the check."""
    try:
        yield
    except limits.Exceeded:
        raise
    except Rejected as error:
        done.findings.append(error.finding)
    except BadData as error:
        done.findings.append(finding("runs.claims", where, error.problem))
    except Exception as error:  # noqa: BLE001 - hostile input must never end the checker
        done.findings.append(finding("checker.defect", where, f"{type(error).__name__}: {error}"))


def _report(path: Path, done: _Progress[KeptT], *, replay: bool) -> Report:
    bundle = done.bundle
    return Report(
        bundle=shown(path.name).strip("'\""),
        sha256=bundle.sha256 if bundle is not None else "",
        level=_level(done) if replay or done.failed else RECOMPUTED,
        findings=tuple(sorted(done.findings, key=lambda one: SEVERITIES.index(one.severity))),
        task=bundle.manifest.task if bundle is not None else "",
        title=shown(bundle.submission.title).strip("'\"") if bundle is not None else "",
        runs=tuple(run.claim for run in done.facts),
        replayed=tuple(done.replayed),
    )


def _level(done: _Progress[KeptT]) -> str:
    """Return how far a bundle is proven: a sample of its runs is called one, and only all of them are `replayed`."""
    if done.failed:
        return CLAIMED
    names, count = {run.name for run in done.facts}, len(done.replayed)
    if names and names == set(done.replayed):
        return REPLAYED
    return sampled(count, len(names)) if count else RECOMPUTED


def table(report: Report) -> str:
    """Return a report for people: a line for each finding, the same ones of many runs together, then the result."""
    lines = []
    groups = Counter((one.severity, one.code) for one in report.findings)
    for (severity, code), count in groups.items():
        first = next(one for one in report.findings if one.code == code)
        more = f" (and {count - 1} more)" if count > 1 else ""
        lines.append(f"{severity:<7} {code:<20} {first.where}: {first.message}{more}")
        if severity != "note":
            lines.append(f"{'':<28} {first.remedy}")
    counts = (
        plural(report.count("error"), "error"),
        f"{report.count('review')} for review",
        plural(report.count("note"), "note"),
    )
    runs = plural(len(report.runs), "run")
    lines.append(f"{runs} of {report.task or 'no task'}: {', '.join(counts)}; level: {report.level}")
    return "\n".join(lines)


def plural(count: int, noun: str) -> str:
    """Return a number with its noun: `1 run`, `2 runs`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
