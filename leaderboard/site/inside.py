"""What inspections found, as pages show it: panels of several entries, heat maps, and both as files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board import exports
from leaderboard.board.exports import Column, Table
from leaderboard.board.report import TaskData
from leaderboard.board.views import Entry, TaskPage
from leaderboard.site import tables
from leaderboard.site.drawing import charts, panels, plot_files
from leaderboard.site.drawing.heat import Heat, heat, pdf
from leaderboard.site.drawing.panels import Panel
from leaderboard.site.drawing.plots import Plot, Trace, plot
from leaderboard.store.details import RunDiagnostics

PANEL_COLUMNS = 2
"""How many panels stand beside each other on paper."""


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A task's diagnostics: plots by what they show, their values, and who is drawn, in the styles `looks` by label.

    `maps`: gradient covariances with what they are of. `layers`: the sparsity of each masked layer, `layer_plots` its
    plots.
    """

    task: TaskPage
    plots: tuple[tuple[str, Plot], ...]
    panels: tuple[Panel, ...]
    entries: tuple[Entry, ...]
    looks: Mapping[str, charts.Style]
    maps: tuple[tuple[str, Heat], ...] = ()
    layers: tuple[Panel, ...] = ()
    layer_plots: tuple[tuple[str, Plot], ...] = ()


def dashboard(task: TaskPage, data: TaskData, lines: panels.Lines, chosen: Sequence[str]) -> Dashboard | None:
    """Return the panels of the first of these configurations, None where nothing was recorded.

    A panel in which everything is 0 all the time, as the sparsity of dense networks is, is left out.
    """
    shown, layers = panels.panels(lines, chosen), panels.layers(lines, chosen)
    entries = {line.entry.config_id: line.entry for panel in shown for line in panel.lines}
    telling = [panel for panel in shown if any(p.value for line in panel.lines for p in line.points)]
    looks = charts.styles(entries.values())
    if not (kept := _plots(telling, looks)):
        return None
    maps = beside(data, list(entries))
    return Dashboard(
        *(task, kept, tuple(telling), tuple(entries.values()), looks, maps),
        layers=layers,
        layer_plots=_plots(layers, looks),
    )


def beside(data: TaskData, chosen: Sequence[str]) -> tuple[tuple[str, Heat], ...]:
    """Return the last heat maps of at most two configurations in the first game and seed for which both have one."""
    runs = {config_id: data.diagnostics.get(config_id, ()) for config_id in chosen[:2]}
    maps = {name: {(run.game, run.seed): run.maps[-1] for run in own if run.maps} for name, own in runs.items()}
    held = [name for name in runs if maps[name]]
    if not held:
        return ()
    common = set(maps[held[0]]).intersection(*(maps[name] for name in held)) or set(maps[held[0]])
    cell = min(common)
    return tuple(
        (f"{data.entries[name].label}, {cell[0]}, seed {cell[1]}", heat(maps[name][cell][1]))
        for name in held
        if cell in maps[name]
    )


def files(board: Dashboard, name: str, path: str) -> dict[str, bytes]:
    """Return the numbers and the figures of a dashboard under a path; `name` is of whom it is."""
    made = exports.files(_values(name, board), path, _at_the_end(name, board))
    keys = tuple(plot_files.Key.of(entry.label, board.looks[entry.label]) for entry in board.entries)
    picture = plot_files.Picture(board.plots, board.task.unit, "", keys, min(PANEL_COLUMNS, len(board.plots)))
    made[f"{path}.pdf"] = plot_files.pdf(picture)
    if board.maps:
        made[f"{path}-covariance.pdf"] = pdf(board.maps)
    return made


def last_values(recorded: RunDiagnostics) -> tuple[tuple[str, float], ...]:
    """Return the last value of everything that a run's inspections recorded, by name."""
    return tuple((name, series.values[-1]) for name, series in sorted(recorded.series.items()) if series.values)


def last_map(recorded: RunDiagnostics) -> Heat:
    """Return the last heat map of a run that has any."""
    return heat(recorded.maps[-1][1])


def _plots(shown: Sequence[Panel], looks: Mapping[str, charts.Style]) -> tuple[tuple[str, Plot], ...]:
    """Return what can be drawn of some panels, by title."""
    found = []
    for panel in shown:
        traces = [Trace.of(line.points, looks[line.entry.label]) for line in panel.lines]
        if drawn := plot(traces, width=320, height=170):
            found.append((panel.title, drawn))
    return tuple(found)


def _values(name: str, board: Dashboard) -> Table:
    """Return what is drawn, a row for each quantity, entry and point."""
    unit = board.task.unit.capitalize()
    columns = (*tables.ENTRY, Column("quantity", "Quantity"), Column("frames", unit), Column("value", "Value", 4))
    rows = tuple(
        (*tables.entry_cells(line.entry), panel.title, point.x, point.value)
        for panel in (*board.panels, *board.layers)
        for line in panel.lines
        for point in line.points
    )
    caption = f"{board.task.title}: means over the runs of each entry against {board.task.unit}."
    return Table(f"{name} diagnostics", caption, columns, rows)


def _at_the_end(name: str, board: Dashboard) -> Table:
    """Return the last values for LaTeX, a row for each entry."""
    columns = [Column("entry", "Entry"), *(Column(f"q{i}", one.title, 4) for i, one in enumerate(board.panels))]
    last = [{line.entry.label: line.points[-1].value for line in panel.lines} for panel in board.panels]
    rows = tuple((entry.label, *(values.get(entry.label) for values in last)) for entry in board.entries)
    return Table(f"{name} diagnostics", f"{board.task.title}: at the end of training.", tuple(columns), rows)
