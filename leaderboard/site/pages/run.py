"""The page of an entry's runs in a game: what came out of each seed, how far it is proven, where it came from."""

from __future__ import annotations

import functools
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.board import exports
from leaderboard.board.exports import Column, Table
from leaderboard.board.views import Entry, Site, TaskPage
from leaderboard.bundles.levels import word
from leaderboard.site import inside, links
from leaderboard.site.book import Book, html
from leaderboard.site.drawing import panels, plots, seeds
from leaderboard.site.drawing.charts import Point
from leaderboard.site.drawing.heat import Heat
from leaderboard.site.parts import Files, Part, all_files, key_of
from leaderboard.store.details import RunDiagnostics
from leaderboard.store.recordings import Key, Packed
from leaderboard.store.rows import StoredRun
from suite.tasks import human_normalized, load_task

PROVEN = {
    "claimed": "The score is what the submitter says. Nothing was computed again.",
    "recomputed": "The score was computed again from the recorded episodes. That they happened is the "
    "word of whoever ran them.",
    "sampled": "Some of the runs that came with it, drawn by lot, were played again in the emulator: a sample, which "
    "does not rank.",
    "replayed": "Every step that the score rests on was played again in the emulator and gave the recorded return. "
    "That proves the score of these actions, not who chose them.",
    "rerun": "Someone else ran the same command and came to the same result.",
    "published": "Others published this number. Nothing was run or checked here.",
}
"""What each level proves."""

POINTS = 20
"""How many points a line of a small panel has."""

MAPS = 6
"""How many heat maps a page shows: the last one of each run."""

_LONGEST = 300
"""Characters of a recorded value that a page shows."""

CURVES = (Column("seed", "Seed"), Column("frames", "Frames"), Column("mean_return", "Return", 1))

Facts = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Seed:
    """A run on the page: its score on the task's scale, its last hashes or None, and how many it recorded."""

    run: StoredRun
    normalized: float | None
    hashes: Sequence[Any] | None
    hashes_in_all: int


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each entry and game that was run, finished or not, and its file."""
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the page of each entry and game, once for all tasks that share its cells."""
    report = book.report

    @functools.lru_cache(maxsize=2)
    def packed(home: str, config_id: str) -> Mapping[Key, Packed]:
        return report.data[home].diagnostics.packed(config_id)

    for config_id, games in book.homes.items():
        for game, (home, held) in games.items():
            runs = tuple(sorted(held, key=lambda run: run.seed))
            data = report.data[home]
            entry = data.entries[config_id]
            if entry.published:
                continue
            digests = [one for one in data.diagnostics.digests(config_id) if one[0][1] == game]
            path = links.runs(home, config_id, game)
            yield Part(
                path.removesuffix(".html"),
                key_of((book.tasks[home], entry, runs, digests)),
                made,
                functools.partial(_inputs, book.frame, packed, book.tasks[home], entry, runs),
                apart=True,
            )


def _inputs(
    frame: Site,
    packed: Callable[[str, str], Mapping[Key, Packed]],
    task: TaskPage,
    entry: Entry,
    runs: tuple[StoredRun, ...],
) -> tuple[Any, ...]:
    held = packed(task.name, entry.config_id)
    own = tuple(held.get((run.config_id, run.game, run.seed, run.environment_fingerprint)) for run in runs)
    return frame, task, entry, runs, own


def made(
    site: Site, task: TaskPage, entry: Entry, runs: tuple[StoredRun, ...], packed: tuple[Packed | None, ...]
) -> Files:
    """Return the page of an entry's runs in a game, each with what it recorded, and the curves as a file."""
    game = runs[0].game
    known, path = load_task(task.name), links.runs(task.name, entry.config_id, game)
    stem, step = path.removesuffix(".html"), known.budget.iteration_length
    rows = tuple((run.seed, (index + 1) * step, mean) for run in runs for index, mean in run.iterations.items())
    caption = f"{entry.label}, {game}: mean raw return of the episodes that ended in each iteration, by seed."
    table = Table(f"{entry.config_id} {game}", caption, CURVES, rows)
    files = {f"{stem}.csv": exports.csv_file(table)}
    seen = [None if one is None else one.unpacked_diagnostics() for one in packed]
    marks = [() if one is None else one.unpacked_checkpoints() for one in packed]
    found = tuple(
        Seed(run, _normalized(run), own[-1] if own else None, len(own)) for run, own in zip(runs, marks, strict=True)
    )
    looks = seeds.looks(len(runs))
    traces = [look.trace(_points(run, step)) for run, look in zip(runs, looks, strict=True)]
    line, container = commands(entry, game, [run.seed for run in runs], data=known.data is not None)
    return files | html(
        site,
        path,
        "run.html",
        task=task,
        entry=entry,
        game=game,
        seeds=found,
        looks=looks,
        plot=plots.plot(traces),
        stem=stem,
        offered=exports.offered(files),
        panels=_panels(entry, seen, max(run.frames for run in runs)),
        last_values=_last_values(seen),
        maps=_maps(runs, seen),
        proven={word(run.level): PROVEN.get(word(run.level), "") for run in runs},
        provenance=together([run.seed for run in runs], [provenance(run.provenance, run) for run in runs]),
        environment=together([run.seed for run in runs], [_environment(run) for run in runs]),
        packages=together([run.seed for run in runs], [facts(run.provenance.get("packages")) for run in runs]),
        command=line,
        container=container,
    )


def commands(entry: Entry, game: str, numbers: Sequence[int], *, data: bool) -> tuple[str, str]:
    """Return the line that repeats an entry's runs in a game, and the same in a container; `data`: it needs logs."""
    more = ["--games", game, "--seeds", listed(numbers)]
    if data:
        more += ["--data", "DATA"]
    line = f"{entry.command} {shlex.join(more)}"
    within = line.removeprefix("suite ")
    mounted = ' -v "$PWD/DATA:/data:ro"' if data else ""
    within = within.replace("--data DATA", "--data /data")
    return line, f'docker run --rm -u "$(id -u):$(id -g)" -v "$PWD/out:/out"{mounted} suite {within}'


def listed(numbers: Sequence[int]) -> str:
    """Return seeds as the command line takes them: 0-4,7."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return ",".join(f"{run[0]}-{run[-1]}" if len(run) > 1 else f"{run[0]}" for run in runs)


def together(numbers: Sequence[int], tables: Sequence[Facts]) -> Facts:
    """Return facts about several seeds as one table: where not all are alike, each value says of which seeds it is."""
    names = dict.fromkeys(name for table in tables for name, _ in table)
    known = [dict(table) for table in tables]
    found = []
    for name in names:
        values: dict[str, list[int]] = {}
        for number, table in zip(numbers, known, strict=True):
            values.setdefault(table.get(name, ""), []).append(number)
        values.pop("", None)
        alike = len(values) == 1 and len(next(iter(values.values()))) == len(numbers)
        parts = [value if alike else f"seed {listed(own)}: {value}" for value, own in values.items()]
        found.append((name, "; ".join(parts)))
    return found


def _environment(run: StoredRun) -> Facts:
    return [("fingerprint", run.environment_fingerprint), *facts(run.provenance.get("environment"))]


def _normalized(run: StoredRun) -> float | None:
    return None if run.score is None or not run.finished else human_normalized(run.game, run.score)


def _panels(entry: Entry, seen: Sequence[RunDiagnostics | None], last: int) -> list[tuple[str, plots.Plot]]:
    """Return a small plot of each quantity of the figure that some run recorded, a line for each seed."""
    looks, found = seeds.looks(len(seen)), []
    for name, title in panels.QUANTITIES:
        if name not in panels.FIGURE:
            continue
        lines = [None if one is None else panels.mean_line(entry, [one], name, last, POINTS) for one in seen]
        if any(point.value for line in lines if line is not None for point in line.points):
            traces = [look.trace(line.points) for look, line in zip(looks, lines, strict=True) if line is not None]
            drawn = plots.plot(traces, width=320, height=170)
            found += [(title, drawn)] if drawn is not None else []
    return found


def _last_values(seen: Sequence[RunDiagnostics | None]) -> list[tuple[str, list[float | None]]]:
    """Return the last value of everything that the runs' inspections recorded, by name, one for each run."""
    known = [{} if one is None else dict(inside.last_values(one)) for one in seen]
    names = sorted({name for values in known for name in values})
    return [(name, [values.get(name) for values in known]) for name in names]


def _maps(runs: Sequence[StoredRun], seen: Sequence[RunDiagnostics | None]) -> tuple[tuple[str, Heat], ...]:
    """Return the last heat map of each run that has any, of the first `MAPS`."""
    drawn = [(run.seed, one) for run, one in zip(runs, seen, strict=True) if one is not None and one.maps]
    return tuple((f"seed {seed}", inside.last_map(one)) for seed, one in drawn[:MAPS])


def _points(run: StoredRun, step: int) -> tuple[Point, ...]:
    if not run.iterations:
        return ()
    return tuple(Point((i + 1) * step, run.iterations.get(i)) for i in range(max(run.iterations) + 1))


def provenance(recorded: Mapping[str, Any], run: StoredRun) -> Facts:
    """Return where a run came from, as rows for people; what was not recorded is left out."""
    git = recorded.get("git")
    git = git if isinstance(git, Mapping) else {}
    dirty = {True: " with changes", False: ""}.get(bool(git.get("dirty")), "")
    rows = [
        (
            "attempt",
            f"{run.attempt}" + (f", went on from agent step {recorded['resumed_at']:,}" if _resumed(recorded) else ""),
        ),
        ("started", run.started_at),
        ("ended", run.ended_at),
        ("suite", shown(recorded.get("suite_version"))),
        ("commit", f"{shown(git.get('commit'))}{dirty}" if git.get("commit") else ""),
        ("command", shlex.join(map(str, recorded.get("command") or ()))),
        *((f"execution: {key}", value) for key, value in facts(recorded.get("execution"))),
        *((f"hardware: {key}", value) for key, value in facts(recorded.get("hardware"))),
        ("run digest", run.digest),
    ]
    return [(key, value[:_LONGEST]) for key, value in rows if value]


def facts(recorded: Any) -> Facts:
    """Return a recorded table as rows, sorted, without what is empty."""
    if not isinstance(recorded, Mapping):
        return []
    return [
        (str(key)[:80], shown(value)) for key, value in sorted(recorded.items()) if value is not None and value != ""
    ]


def shown(value: Any) -> str:
    """Return a recorded value for people, cut where it is long."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else f"{value:,}" if isinstance(value, int) else str(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _resumed(recorded: Mapping[str, Any]) -> bool:
    return isinstance(recorded.get("resumed_at"), int) and recorded["resumed_at"] > 0
