"""The page of each run: what came out, how far it is proven, where it came from, and the command that repeats it."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from leaderboard.board import exports
from leaderboard.board.report import TaskData
from leaderboard.board.views import Entry, TaskPage
from leaderboard.bundles.levels import word
from leaderboard.site import inside, links
from leaderboard.site.book import Book
from leaderboard.site.downloads import seed_files
from leaderboard.site.drawing import panels, plot_files, plots
from leaderboard.site.drawing.charts import Point, style
from leaderboard.site.text import NONE, duration, fixed, raw, si
from leaderboard.store.details import RunDiagnostics
from leaderboard.store.rows import StoredRun
from suite.tasks import Task, human_normalized

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

SHOWN = 6
"""How many checkpoint hashes a page lists: the last ones."""

_LONGEST = 300
"""Characters of a recorded value that a page shows."""


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each run that was run, finished or not, and the files that all seeds of a game share."""
    files: dict[str, bytes] = {}
    pictures: dict[str, plot_files.Picture] = {}
    for task in book.report.site.tasks:
        data = book.report.data[task.name]
        own = [run for run in data.runs if not data.entries[run.config_id].published]
        for (config_id, game), group in itertools.groupby(own, key=lambda run: (run.config_id, run.game)):
            seeds = list(group)
            stem = links.run(task.name, config_id, game, 0).rpartition("-")[0]
            made, picture = seed_files.files(task, data, seeds), seed_files.picture(task, data, seeds)
            shared = {f"{stem}-{name}": content for name, content in made.items()}
            offered = exports.offered(shared)
            if picture is not None:
                pictures[f"{stem}-curves.pdf"] = picture
                offered[f"{stem}-curves"] = (*offered[f"{stem}-curves"], "pdf")
            files.update(shared)
            for run in seeds:
                path, values = links.run(task.name, config_id, game, run.seed), _values(task, data, run, seeds)
                files.update(book.html(path, "run.html", stem=stem, offered=offered, **values))
    return files | plot_files.pdfs(pictures)


def commands(data: TaskData, entry: Entry, run: StoredRun) -> tuple[str, str]:
    """Return the line that repeats a run, and the same in a container."""
    more = ["--games", run.game, "--seeds", str(run.seed)]
    if data.task.data is not None:
        more += ["--data", "DATA"]
    line = f"{entry.command} {shlex.join(more)}"
    inside = line.removeprefix("suite ")
    mounted = ' -v "$PWD/DATA:/data:ro"' if data.task.data is not None else ""
    inside = inside.replace("--data DATA", "--data /data")
    return line, f'docker run --rm -u "$(id -u):$(id -g)" -v "$PWD/out:/out"{mounted} suite {inside}'


def _values(task: TaskPage, data: TaskData, run: StoredRun, seeds: Sequence[StoredRun]) -> dict[str, Any]:
    entry = data.entries[run.config_id]
    hashes = seed_files.checkpoints(data, run)
    step = data.task.budget.iteration_length
    line, container = commands(data, entry, run)
    seen = seed_files.of_run(data, run)
    return {
        "task": task,
        "entry": entry,
        "run": run,
        "strip": _strip(data.task, task, run),
        "plot": _plot(entry, run, seeds, step),
        "last_values": () if seen is None else inside.last_values(seen),
        "maps": () if seen is None else inside.maps_of(seen, task.unit),
        "panels": () if seen is None else _panels(entry, seen, run.frames),
        "points": [((index + 1) * step, mean) for index, mean in run.iterations.items()],
        "others": [other.seed for other in seeds if other is not run],
        "provenance": provenance(run.provenance, run),
        "packages": facts(run.provenance.get("packages")),
        "environment": facts(run.provenance.get("environment")),
        "hashes": hashes[-SHOWN:],
        "hashes_in_all": len(hashes),
        "proven": PROVEN.get(word(run.level), ""),
        "command": line,
        "container": container,
    }


def _panels(entry: Entry, seen: RunDiagnostics, last: int) -> list[tuple[str, plots.Plot]]:
    """Return a small plot of each quantity of the figure that the run recorded."""
    lines = {name: panels.mean_line(entry, [seen], name, last) for name, _ in panels.QUANTITIES}
    kept = {name: line for name, line in lines.items() if line is not None and any(p.value for p in line.points)}
    found = panels.panels({entry.config_id: kept}, [entry.config_id], panels.FIGURE)
    drawn = (
        (one.title, plots.plot([plots.Trace.of(one.lines[0].points, style(entry))], width=320, height=170))
        for one in found
    )
    return [(title, plot) for title, plot in drawn if plot is not None]


def _strip(task: Task, page: TaskPage, run: StoredRun) -> list[tuple[str, str, str]]:
    normalized = None if run.score is None else human_normalized(run.game, run.score)
    items = [("state", run.state, "")]
    if run.finished:
        note = "" if normalized is None else f"{fixed(normalized)} {page.scale}"
        items.append(("score", raw(run.score) if run.score is not None else NONE, note))
    if run.scored_episodes is not None:
        items.append(("scored episodes", f"{run.scored_episodes:,}", ""))
    items.append(
        (page.unit, si(run.frames), f"of {si(task.budget.length)}" if run.frames != task.budget.length else "")
    )
    if run.wall_seconds is not None:
        items.append(("wall time", duration(run.wall_seconds), "all attempts" if run.attempt > 1 else ""))
    if run.sparsity:
        items.append(("sparsity", f"{100 * run.sparsity:.3g} %", ""))
    items.append(("proven", run.level, ""))
    return items


def _plot(entry: Entry, run: StoredRun, seeds: Sequence[StoredRun], step: int) -> plots.Plot | None:
    drawn = style(entry)
    traces = [plots.Trace(_points(other, step), faint=True) for other in seeds if other is not run]
    return plots.plot([*traces, plots.Trace(_points(run, step), drawn.colour)])


def _points(run: StoredRun, step: int) -> tuple[Point, ...]:
    if not run.iterations:
        return ()
    return tuple(Point((i + 1) * step, run.iterations.get(i)) for i in range(max(run.iterations) + 1))


def provenance(recorded: Mapping[str, Any], run: StoredRun) -> list[tuple[str, str]]:
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


def facts(recorded: Any) -> list[tuple[str, str]]:
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
