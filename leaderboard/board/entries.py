"""Finding the entries of a board by the names that people type."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboard.board import report, standings
from leaderboard.board.report import TaskData
from leaderboard.board.views import Entry
from leaderboard.bundles.levels import is_proven
from leaderboard.statistics.metrics import Scores
from leaderboard.store.database import ResultStore
from leaderboard.store.rows import StoredConfiguration, StoredRun
from suite.errors import UsageError
from suite.tasks import Task, load_task, task_names


@dataclass(frozen=True, slots=True)
class Competitor:
    """An entry with its results: human-normalized scores [runs] by game, and the runs of all states behind them."""

    task: Task
    configuration: StoredConfiguration
    entry: Entry
    runs: tuple[StoredRun, ...]
    scores: Scores

    @property
    def label(self) -> str:
        """What the board calls it."""
        return self.entry.label

    @property
    def level(self) -> str:
        """How far the least proven of its results is proven."""
        return standings.level_of(self.entry, self.runs)

    @property
    def unjudged(self) -> str:
        """Why no verdict is given on it, as on the board, or nothing; none is missing beside what others published."""
        if self.entry.published:
            return ""
        if not is_proven(self.level):
            return f"it is {self.level}, and only what was replayed whole is judged"
        if self.scoreless:
            return f"{self.scoreless} of its runs ended without a score, and the others alone say too much of it"
        skipped = standings.skipped_seeds(self.task, self.runs)
        return f"it is {standings.picked(skipped)}" if skipped else ""

    @property
    def judged(self) -> bool:
        """Whether verdicts are given on it."""
        return not self.unjudged

    @property
    def scoreless(self) -> int:
        """How many results it has without a score, in games that enter the aggregate."""
        return standings.scoreless_runs(self.runs)

    @property
    def complete(self) -> bool:
        """Whether every game that enters the aggregate has a result, and every result a score; False without any."""
        return bool(self.scores) and self.scores.keys() == standings.counted_games(self.task) and not self.scoreless


def read_boards(db: Path, task: str | None) -> dict[str, list[Competitor]]:
    """Return the entries of a task, or of every task in the database that has any, by the task's name.

    Raises UsageError for an unknown task or database, BadData for a damaged one.
    """
    names = task_names() if task is None else (load_task(task).id,)
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        known = set(snapshot.tasks())
        tasks = [found for found in map(load_task, names) if known & {found.key, found.protocol_key}]
        boards = {found.id: competitors(report.task_data(snapshot, found)) for found in tasks}
    if task is None:
        boards = {found.id: [item for item in boards[found.id] if _at_home(item)] for found in tasks}
    boards = {name: entries for name, entries in boards.items() if entries}
    if not boards:
        raise UsageError(
            f"{db} has no results{'' if task is None else f' of {names[0]}'}.",
            "Put some in with `suite leaderboard ingest DIR --db FILE`.",
        )
    return boards


def _at_home(item: Competitor) -> bool:
    """Return whether an entry is looked for on this board if no task is named.

    It may stand on the board of the task whose cells it has, too; there it is at home unless it has other games.
    """
    task, spec = item.task, item.configuration
    if task.cells_of is None or spec.task != task.protocol_key:
        return True
    return not {run.game for run in item.runs} <= set(load_task(task.cells_of).games)


def find(names: Sequence[str], boards: dict[str, list[Competitor]]) -> list[Competitor]:
    """Return the entries that are meant by names, all of one task.

    A name is a label, a configuration's id or its beginning, or words of one label alone. Raises UsageError where a
    name means none or several, or where several tasks have all of them.
    """
    matching = {task: [_meant(name, entries) for name in names] for task, entries in boards.items()}
    whole = [task for task, found in matching.items() if all(found)]
    if not whole:
        _refuse(names, boards, matching)
    if len(whole) > 1:
        raise UsageError(f"Several tasks have these entries: {', '.join(whole)}.", "Say which with --task.")
    found = []
    for name, meant in zip(names, matching[whole[0]], strict=True):
        if len(meant) > 1:
            raise UsageError(f"{name!r} means several entries of {whole[0]}: {_listed(meant)}.", "Name one in full.")
        found.append(meant[0])
    twice = {item.configuration.config_id for item in found}
    if len(twice) < len(found):
        raise UsageError("The same entry is named twice.", "Name different ones.")
    if len({item.configuration.frames for item in found}) > 1:
        raise UsageError("These entries have different budgets.", "Compare entries of one budget.")
    return found


def scoreless(task: Task, label: str) -> UsageError:
    """Return the error for an entry, or a task's entries, without a score that could be aggregated."""
    if standings.counted_games(task):
        return UsageError(f"{label} has no finished run yet.", "Run it to its end and ingest it; see `suite plan`.")
    return UsageError(
        f"{label} has no score on a common scale, so that there is nothing to aggregate.",
        "Look at each environment on the site.",
    )


def competitors(data: TaskData) -> list[Competitor]:
    """Return the entries of a task, by their configurations' ids."""
    runs = {config_id: tuple(group) for config_id, group in itertools.groupby(data.runs, key=lambda run: run.config_id)}
    return [
        Competitor(
            task=data.task,
            configuration=configuration,
            entry=data.entries[config_id],
            runs=runs.get(config_id, ()),
            scores=standings.normalized_scores(runs.get(config_id, ())),
        )
        for config_id, configuration in sorted(data.configurations.items())
    ]


def _meant(name: str, entries: Iterable[Competitor]) -> list[Competitor]:
    """Return the entries that a name can mean: by their whole name, else by its beginning or its words.

    Among the words of an entry are the ids of its methods, as `--method` has them.
    """
    entries, words = list(entries), _words(name)
    exact = [
        item for item in entries if name == item.configuration.config_id or name.casefold() == item.label.casefold()
    ]
    same = [item for item in entries if words and words == _words(item.label)]
    started = [item for item in entries if len(name) >= 4 and item.configuration.config_id.startswith(name.casefold())]
    shared = [item for item in entries if words and set(words) <= {*_words(item.label), *item.entry.methods}]
    return exact or same or started or shared


def _words(text: str) -> list[str]:
    """Return the words of a label; signs between them do not count, nor an x before a number."""
    text = re.sub(r"\bx(?=\d+\b)", "", text.casefold())
    return re.findall(r"[^\s\N{MIDDLE DOT}\N{MULTIPLICATION SIGN}()\[\],]+", text)


def _refuse(
    names: Sequence[str], boards: dict[str, list[Competitor]], matching: dict[str, list[list[Competitor]]]
) -> None:
    """Raise the error for a name that no task has, or for names that no task has together."""
    for place, name in enumerate(names):
        if not any(found[place] for found in matching.values()):
            everyone = [item for entries in boards.values() for item in entries]
            near = difflib.get_close_matches(name.casefold(), [item.label.casefold() for item in everyone], 3, 0.4)
            close = [item for item in everyone if item.label.casefold() in near]
            listed = f"Near matches: {_listed(close)}." if close else f"There are: {_listed(everyone)}."
            raise UsageError(f"No entry is called {name!r}.", listed)
    where = [
        f"{name!r} is in {', '.join(task for task, found in matching.items() if found[place])}"
        for place, name in enumerate(names)
    ]
    raise UsageError(f"No task has all of these entries: {'; '.join(where)}.", "Name entries of one task.")


def _listed(entries: Sequence[Competitor], most: int = 12) -> str:
    """Return labels with the ids that name them without doubt."""
    shown = [f"{item.label} ({item.configuration.config_id[:40]})" for item in entries[:most]]
    return ", ".join(shown) + (f" and {len(entries) - most} more" if len(entries) > most else "")
