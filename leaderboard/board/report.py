"""The report: what the pages show, from the database. Pure: the same database gives the same values."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from leaderboard.board import names, standings
from leaderboard.board.estimates import Question, prepare
from leaderboard.board.methods import method_cards
from leaderboard.board.twins import Twin, twins
from leaderboard.board.views import Board, Entry, GameCell, GameRow, Site, TaskPage, Unfinished
from leaderboard.store.claims import foremost
from leaderboard.store.recordings import Recordings
from leaderboard.store.rows import StoredConfiguration, StoredRun, StoredSubmission
from leaderboard.store.snapshot import Conflict, Snapshot
from suite import __version__
from suite.contracts.card import Value
from suite.errors import BadData
from suite.tasks import (
    GAMES,
    ClassicEnvironment,
    MinAtarEnvironment,
    MujocoEnvironment,
    Task,
    human_normalized,
    load_task,
    task_names,
)


@dataclass(frozen=True)
class TaskData:
    """What the database holds of a task: one run of each cell, by configuration, game and seed, and their entries.

    `diagnostics` are what runs recorded in detail, by configuration. `uncounted` are results that nobody replayed, of
    configurations whose replayed ones have every game: they change nothing there. `conflicts` are the cells of which
    there are several results.
    """

    task: Task
    configurations: Mapping[str, StoredConfiguration]
    runs: tuple[StoredRun, ...]
    entries: Mapping[str, Entry]
    diagnostics: Recordings = field(default_factory=Recordings)
    uncounted: tuple[StoredRun, ...] = ()
    conflicts: tuple[Conflict, ...] = ()

    @functools.cached_property
    def by_configuration(self) -> Mapping[str, tuple[StoredRun, ...]]:
        """The runs of each configuration that has any, by game and seed."""
        found: dict[str, list[StoredRun]] = defaultdict(list)
        for run in self.runs:
            found[run.config_id].append(run)
        return {config_id: tuple(runs) for config_id, runs in found.items()}

    @functools.cached_property
    def twins(self) -> Mapping[str, Twin]:
        """The dense twin of every configuration with a method that was run here on the full budget."""
        length = self.task.budget.length
        ids = [key for key, item in self.configurations.items() if not item.published and item.frames == length]
        return twins([key for key in ids if key in self.by_configuration], self.task, self.configurations, self.runs)

    def runs_of(self, config_id: str) -> tuple[StoredRun, ...]:
        """Return the runs of a configuration, by game and seed."""
        return self.by_configuration.get(config_id, ())


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that pages are made from: what they show, and by a task's name the data behind it."""

    site: Site
    data: Mapping[str, TaskData]
    submissions: tuple[StoredSubmission, ...] = ()


def read(snapshot: Snapshot) -> Report:
    """Return the report of a database, official tasks first.

    Raises BadData if it holds results of a task that this suite does not know.
    """
    tasks = sorted(map(load_task, task_names()), key=_place)
    unknown = set(snapshot.tasks()) - {task.key for task in tasks}
    if unknown:
        raise BadData(
            f"The database holds results of {', '.join(sorted(unknown))}, which this suite ({__version__}) lacks.",
            "Build the site with the suite that has these tasks.",
        )
    data = {task.id: task_data(snapshot, task) for task in tasks}
    prepare(question for found in data.values() for question in questions(found))
    pages = tuple(task_page(found) for found in data.values())
    return Report(Site(pages, method_cards(), snapshot.digest(), __version__), data, tuple(snapshot.submissions()))


def task_data(snapshot: Snapshot, task: Task) -> TaskData:
    """Return what the database holds of a task: of its protocol's cells, those on its list of games.

    What others published is a task's own, and so are runs from before it shared another one's cells.
    """
    keys = dict.fromkeys((task.protocol_key, task.key))
    everything = [run for key in keys for run in snapshot.runs(key)]
    listed = {run.config_id for run in everything if run.game in task.games}
    elsewhere = {run.config_id for run in everything} - listed
    configurations = [
        item
        for key in keys
        for item in snapshot.configurations(key)
        if item.config_id not in elsewhere and not (item.published and key != task.key)
    ]
    by_id = {item.config_id: item for item in configurations}
    held = _one_per_cell([run for run in everything if run.game in task.games and run.config_id in by_id])
    runs, uncounted = _counted(task, held)
    conflicts = tuple(one for one in snapshot.conflicts() if one.config_id in by_id and one.game in task.games)
    entries = names.entries(configurations, _departures(runs), _footnotes(configurations), task.id)
    diagnostics = snapshot.diagnostics(*keys, games=task.games)
    return TaskData(task, by_id, tuple(runs), entries, diagnostics, tuple(uncounted), conflicts)


def each_once(data: Iterable[TaskData]) -> Iterator[tuple[TaskData, StoredRun]]:
    """Yield every run of several tasks once, with the first of them on whose board it is."""
    seen = set()
    for found in data:
        for run in found.runs:
            cell = (run.config_id, run.game, run.seed)
            if cell not in seen:
                seen.add(cell)
                yield found, run


def questions(data: TaskData) -> list[Question]:
    """Return what the pages of a task will ask about its scores."""
    found: list[Question] = []
    for shortened in (False, True):
        grouped: dict[str, list[StoredRun]] = defaultdict(list)
        for run in data.runs:
            if (data.configurations[run.config_id].frames != data.task.budget.length) == shortened:
                grouped[run.config_id].append(run)
        found += standings.questions(data.task, grouped, shortened=shortened)
    return found


def _footnotes(configurations: Iterable[StoredConfiguration]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(caveat for item in configurations for caveat in item.caveats))


def _place(task: Task) -> tuple[bool, int, bool, int, int, str]:
    """Return what tasks are sorted by: official first, then the family, then the budget, then the number of games."""
    lives = task.environment.terminal_on_life_loss
    return not task.official, task.place, lives, task.budget.length, len(task.games), task.id


def task_page(data: TaskData) -> TaskPage:
    """Return a task's page: the full budget, the shortened ones apart, and what is unfinished."""
    task, runs, entries = data.task, data.runs, data.entries
    held = {run.config_id for run in runs}  # all runs of a configuration may have been retracted
    configurations = [item for item in data.configurations.values() if item.config_id in held]
    footnotes = _footnotes(configurations)
    by_budget: dict[int, list[StoredConfiguration]] = defaultdict(list)
    for item in configurations:
        by_budget[item.frames].append(item)
    full = by_budget.pop(task.budget.length, [])
    budgets = sorted(by_budget, reverse=True)
    here = {config_id for config_id in held if not entries[config_id].published}
    return TaskPage(
        name=task.id,
        key=task.key,
        title=task.title,
        summary=task.summary,
        official=task.official,
        protocol=protocol(task),
        deviations=task.deviations,
        unit=task.unit,
        games=len(task.games),
        unnormalized=tuple(name for name in task.games if not GAMES[name].normalizable),
        default_seeds=len(task.default_seeds),
        full=_board(data, task.budget.length, full),
        shortened=tuple(_board(data, frames, by_budget[frames]) for frames in budgets),
        unfinished=_unfinished(configurations, runs, entries),
        footnotes=footnotes,
        entries_here=len(here),
        entries_published=len(held) - len(here),
        runs_here=sum(run.finished and run.config_id in here for run in runs),
        reference=GAMES[task.games[0]].reference,
    )


def _scored(task: Task) -> str:
    evaluation, window = task.evaluation, f"the last {task.score.window_length:,} {task.unit}"
    if task.score.rule == "mean_training_return" or evaluation is None:
        return f"the training episodes that end in {window}"
    how = f"with epsilon {evaluation.epsilon:g}" if evaluation.epsilon else "without exploration"
    if evaluation.every is None:
        return f"{evaluation.episodes} episodes played after training {how}"
    each = (
        f"{evaluation.episodes} episodes"
        if evaluation.episodes is not None
        else f"as many episodes as take {evaluation.agent_steps:,} agent steps"
    )
    return f"the evaluations in {window}: every {evaluation.every:,}, {each} {how}"


def protocol(task: Task) -> str:
    """Return the protocol in a paragraph: all that a number on the page depends on."""
    if isinstance(task.environment, ClassicEnvironment):
        return _classic_protocol(task)
    if isinstance(task.environment, MinAtarEnvironment):
        return _minatar_protocol(task)
    return _continuous_protocol(task) if isinstance(task.environment, MujocoEnvironment) else _atari_protocol(task)


def _atari_protocol(task: Task) -> str:
    environment, budget = task.atari, task.budget
    sticky = environment.sticky_action_probability
    run = "Each run is one agent on one game with one seed"
    if task.data is None:
        parts = [
            f"{run} for {budget.length:,} emulator frames, {task.agent_steps(budget.length):,} agent steps of "
            f"{environment.frame_skip} frames each."
        ]
    else:
        parts = [
            f"{run} for {budget.length:,} gradient steps on {100 * task.data.fraction:g} % of the transitions that "
            f"another agent logged, drawn as {task.data.reading}; nothing is played but evaluation episodes."
        ]
    parts += [
        f"Actions are sticky with probability {sticky:g}." if sticky else "Actions are not sticky.",
        f"The action set is {'the full one' if environment.full_action_set else 'the minimal one of each game'}; "
        f"episodes end at game over or after {environment.max_episode_frames:,} frames"
        f"{', for learning also with every life' if environment.terminal_on_life_loss else ''}; "
        f"rewards are clipped to ±{environment.reward_clip:g} for learning and reported raw.",
        f"The score of a run is the mean raw return of {_scored(task)}, normalized so that 0 is the random policy and "
        "1 the human tester.",
    ]
    if environment.no_op_max:
        parts.insert(2, f"Each episode starts with 0 to {environment.no_op_max - 1} no-op frames.")
    return " ".join(parts)


def _continuous_protocol(task: Task) -> str:
    options = task.mujoco
    return (
        f"Each run is one agent in one environment (Gymnasium's {options.version} of MuJoCo's) with one seed for "
        f"{task.budget.length:,} environment steps. Episodes end with the environment's own condition or after "
        f"{options.max_episode_steps:,} steps, which is no terminal for learning. The score of a run is the mean raw "
        f"return of {_scored(task)}. Returns of different environments have no common scale, so that there is no "
        "aggregate and no rank: look at each environment."
    )


def _classic_protocol(task: Task) -> str:
    options = task.classic
    caps = ", ".join(f"{options.names[name]} {options.max_episode_steps[name]}" for name in task.games)
    return (
        f"Each run is one agent in one environment of Gymnasium's classic control with one seed for "
        f"{task.budget.length:,} environment steps. Episodes end with the environment's own condition or at a cap, "
        f"which is no terminal for learning, in steps: {caps}. Observations are scaled to [-1, 1]. The score of a run "
        f"is the mean raw return of {_scored(task)}, normalized so that 0 is the random policy and 1 the return from "
        "which Gymnasium calls the environment solved."
    )


def _minatar_protocol(task: Task) -> str:
    options = task.minatar
    ramping = "games become harder as they go on" if options.difficulty_ramping else "no game becomes harder"
    return (
        f"Each run is one agent on one game of MinAtar with one seed for {task.budget.length:,} environment steps. At "
        f"every step the last action is repeated with probability {options.sticky_action_probability:g}, all six "
        f"actions are offered, and {ramping}. The score of a run is the mean raw return of {_scored(task)}. "
        "What is to be 1 on a common scale is this suite's dense DQN: until it has been run, there is no aggregate and "
        "no rank."
    )


def _one_per_cell(runs: Sequence[StoredRun]) -> list[StoredRun]:
    """Keep one run of a cell that ran in several environments: a result before none, then the one that stands first."""
    cells: dict[tuple[str, str, int], list[StoredRun]] = defaultdict(list)
    for run in runs:
        cells[run.config_id, run.game, run.seed].append(run)
    kept = []
    for _, held in sorted(cells.items()):
        rows = dict(enumerate([run for run in held if run.finished] or held))
        first = foremost({number: run.rank for number, run in rows.items()}, rows)
        kept.append(held[0] if first is None else rows[first])
    return kept


def _counted(task: Task, runs: Sequence[StoredRun]) -> tuple[list[StoredRun], list[StoredRun]]:
    """Return the runs that make the entries, and the results that do not count.

    Where the replayed results of a configuration have every game, others of it neither add to it nor take its rank.
    """
    needed = standings.counted_games(task) or set(task.games)
    proven: dict[str, set[str]] = defaultdict(set)
    for run in runs:
        if run.finished and run.proven:
            proven[run.config_id].add(run.game)
    whole = {config_id for config_id, games in proven.items() if games >= needed}
    out = [run for run in runs if run.config_id in whole and run.finished and not run.proven]
    left_out = {id(run) for run in out}
    return [run for run in runs if id(run) not in left_out], out


def _departures(runs: Sequence[StoredRun]) -> dict[str, dict[str, Value]]:
    """Return, for each configuration, the published values of the settings that its runs record as departing."""
    found: dict[str, dict[str, Value]] = defaultdict(dict)
    for run in runs:
        found[run.config_id].update(run.departures)
    return found


def _board(data: TaskData, frames: int, configurations: Sequence[StoredConfiguration]) -> Board:
    task, runs, entries = data.task, data.runs, data.entries
    grouped: dict[str, list[StoredRun]] = {item.config_id: [] for item in configurations}
    for run in runs:
        if run.config_id in grouped:
            grouped[run.config_id].append(run)
    shortened = frames != task.budget.length
    specs = {item.config_id: item.spec for item in configurations}
    rows = standings.standings(task, grouped, entries, specs, ranked=task.official and not shortened)
    rows = tuple(replace(row, notes=(*row.notes, *_beside(data, row.entry.config_id))) for row in rows)
    ticks, rows = standings.forest(rows)
    ids = [row.entry.config_id for row in rows]
    complete = [row.entry for row in rows if row.estimate is not None]
    here = {entry.config_id for entry in complete if not entry.published}
    return Board(
        frames=frames,
        shortened=shortened,
        iteration_length=task.budget.iteration_length,
        games_needed=len(standings.counted_games(task)),
        standings=rows,
        ticks=ticks,
        curves=() if shortened else standings.curves(task, grouped, complete),
        games=_games(task, [grouped[config_id] for config_id in ids]),
        twins={
            one: twin.config_id for one, twin in data.twins.items() if twin.usable and {one, twin.config_id} <= here
        },
    )


def _beside(data: TaskData, config_id: str) -> list[str]:
    """Return what there is beside the results of an entry: others of the same cells, and others that do not count."""
    conflicts = [one for one in data.conflicts if one.config_id == config_id]
    uncounted = [run for run in data.uncounted if run.config_id == config_id]
    notes = []
    if conflicts:
        others = sorted({other.holder for one in conflicts for other in one.others})
        cells = f"{len(conflicts)} cell{'s' * (len(conflicts) > 1)}"
        notes.append(f"in {cells} another result stands behind: {_listed(others)}")
    if uncounted:
        notes.append(f"{len(uncounted)} more that nobody replayed: not counted")
    return notes


def _listed(names: Sequence[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _games(task: Task, runs_by_entry: Sequence[Sequence[StoredRun]]) -> tuple[GameRow, ...]:
    """Return a row for each game on which some entry has a score; those without a human score come last."""
    rows = []
    for name in sorted(task.games, key=lambda name: (not GAMES[name].normalizable, name)):
        cells = tuple(_cell(name, runs) for runs in runs_by_entry)
        if any(cells):
            rows.append(GameRow(name, GAMES[name].random_score, GAMES[name].human_score, cells))
    return tuple(rows)


def _cell(game: str, runs: Sequence[StoredRun]) -> GameCell | None:
    scores = [run.score for run in runs if run.game == game and run.finished and run.score is not None]
    if not scores:
        return None
    mean = sum(scores) / len(scores)
    return GameCell(mean, human_normalized(game, mean), len(scores))


def _unfinished(
    configurations: Sequence[StoredConfiguration], runs: Sequence[StoredRun], entries: Mapping[str, Entry]
) -> tuple[Unfinished, ...]:
    budgets = {item.config_id: item.frames for item in configurations}
    return tuple(
        Unfinished(
            label=entries[run.config_id].label,
            game=run.game,
            seed=run.seed,
            state=run.state,
            frames=run.frames,
            budget_frames=budgets[run.config_id],
            attempt=run.attempt,
        )
        for run in sorted(runs, key=lambda run: (entries[run.config_id].label, run.game, run.seed))
        if not run.finished
    )
