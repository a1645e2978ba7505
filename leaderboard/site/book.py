"""The book that every kind of page is made with: the report, and one strict environment for all templates."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from leaderboard.board.answers import TaskAnswers, answers
from leaderboard.board.credits import Credit, credits_of
from leaderboard.board.duels import Duel, all_duels
from leaderboard.board.exports import Copy
from leaderboard.board.report import Report, TaskData, each_once
from leaderboard.board.views import Site, TaskPage
from leaderboard.site import citing, inside, links, text
from leaderboard.site.drawing import charts, marks, panels, spans
from leaderboard.site.drawing.charts import Line
from leaderboard.site.fold import folded
from leaderboard.site.inside import Dashboard
from leaderboard.site.parts import Files, Part, key_of, whole
from leaderboard.site.releases import Release
from leaderboard.site.stamp import STAND_IN
from leaderboard.store.rows import StoredRun
from leaderboard.studies.coverage import Claims, claims_of
from leaderboard.studies.evidence import Evidence, Measures
from suite.contracts.card import written

WIDEST = 60
"""How many entries stand beside each other in a table of all games."""

LINES = 40
"""How many entries' recorded lines are remembered."""


@dataclass(frozen=True)
class Book:
    """All that pages are made from; `html` fills a template.

    `database`: the copy that is offered for download. `releases`: the frozen ones beside these pages, the newest first.
    `bundles`: where the bundle of a submission can be had, with `{slug}` for its slug; "" where nobody says.
    """

    report: Report
    database: Copy | None = None
    releases: tuple[Release, ...] = ()
    bundles: str = ""

    @functools.cached_property
    def duels(self) -> dict[str, tuple[Duel, ...]]:
        """The pairs of every task that have a page, by its name; compared once."""
        return all_duels(self.report)

    @functools.cached_property
    def answers(self) -> dict[str, TaskAnswers]:
        """What methods change, by the name of every task."""
        report = self.report
        return {
            task.name: answers(task, report.data[task.name], self.duels.get(task.name, ()))
            for task in report.site.tasks
        }

    @functools.cached_property
    def claims(self) -> Claims:
        """The paper's claims on every rung, from what was replayed whole of all tasks."""
        found = self.report.data.items()
        return claims_of({name: Evidence(_proven(data), Measures(data.diagnostics)) for name, data in found})

    @functools.cached_property
    def credits(self) -> dict[str, tuple[Credit, ...]]:
        """Whose submissions the entries are of, by configuration."""
        return credits_of(self.report)

    @functools.cached_property
    def site(self) -> Site:
        """The site that templates see: in place of the database's hash stands what is replaced in every file."""
        return replace(self.report.site, database=STAND_IN)

    @functools.cached_property
    def frame(self) -> Site:
        """What pages that are made apart see of the site."""
        return self.site.bare

    @functools.cached_property
    def homes(self) -> dict[str, dict[str, tuple[str, list[StoredRun]]]]:
        """By configuration and game: the first task on whose board the runs are, and one run of each cell."""
        found: dict[str, dict[str, tuple[str, list[StoredRun]]]] = {}
        for data, run in each_once(self.report.data.values()):
            found.setdefault(run.config_id, {}).setdefault(run.game, (data.task.id, []))[1].append(run)
        return found

    @functools.cached_property
    def tasks(self) -> dict[str, TaskPage]:
        """The tasks without their results, by name."""
        return {task.name: task.bare for task in self.report.site.tasks}

    @functools.cached_property
    def lines(self) -> Callable[[str, str], Mapping[str, Line]]:
        """What an entry of a task recorded while training, as lines by quantity; some are remembered."""
        return functools.lru_cache(maxsize=LINES)(lambda task, key: panels.recorded(self.report.data[task], key))

    def dashboard(self, task: str, chosen: Sequence[str]) -> Dashboard | None:
        """Return the diagnostics of some entries of a task; None where nothing was recorded."""
        lines = {key: found for key in chosen if (found := self.lines(task, key))}
        return inside.dashboard(self.tasks[task], self.report.data[task], lines, chosen)

    def key(self, task: str) -> str:
        """Return the hash of all that pages about a task as a whole are made from."""
        return self._keys[task]

    @functools.cached_property
    def everything(self) -> str:
        """The hash of all that there is."""
        return key_of((self._keys, self.report.site.database, self.database, self.releases, self.bundles))

    @functools.cached_property
    def _keys(self) -> dict[str, str]:
        return {name: self._key(data) for name, data in self.report.data.items()}

    def _key(self, data: TaskData) -> str:
        total = hashlib.sha256()
        for config_id, item in sorted(data.configurations.items()):
            recorded = data.diagnostics.digests(config_id)
            total.update(repr((item, self.credits.get(config_id), recorded)).encode())
        for run in (*data.runs, *data.uncounted):
            total.update(repr((run, self.homes.get(run.config_id, {}).get(run.game, ("",))[0])).encode())
        total.update(repr(data.conflicts).encode())
        return total.hexdigest()

    def runs_page(self, config_id: str, game: str) -> str:
        """Return the path of the page of a configuration's runs in a game."""
        return links.runs(self.homes[config_id][game][0], config_id, game)

    @functools.cached_property
    def date(self) -> str:
        """The day of the newest result that was run here; "" where there is none."""
        return _newest(run for data in self.report.data.values() for run in data.runs)

    def cite(self, name: str, title: str, runs: Iterable[StoredRun], config_id: str = "") -> str:
        """Return the BibTeX entry of a board, or of an entry with its submitters; `runs` are those that it shows."""
        authors = [name for credit in self.credits.get(config_id, ()) for name in credit.names]
        return citing.bibtex(self.site, name, title, _newest(runs), authors)

    def of_aggregated(self, kind: str, page: Callable[[Book, TaskPage], Files]) -> Iterator[Part]:
        """Yield what `page` makes of each task that has a common scale."""
        for task in self.report.site.tasks:
            if task.aggregated:
                yield whole(f"{task.name} {kind}", self.key(task.name), page, self, task)

    def html(self, path: str, template: str, **values: Any) -> dict[str, bytes]:
        """Return one page under its path, relative to the site's root.

        Templates see `site`, `page` (the path, for `link`) and the values; an unknown name raises.
        """
        return html(self.site, path, template, **values)


def html(site: Site, path: str, template: str, **values: Any) -> dict[str, bytes]:
    """Return one page under its path, as `Book.html` does, of a site that it need not know whole; folded if large."""
    filled = environment().get_template(template).render(site=site, page=path, **values)
    return folded(path, filled.encode())


def _proven(data: TaskData) -> dict[str, list[StoredRun]]:
    """Return the runs of a task by configuration that were replayed whole: nothing else is judged."""
    return {key: [run for run in runs if run.proven] for key, runs in data.by_configuration.items()}


def _newest(runs: Iterable[StoredRun]) -> str:
    return max((run.ended_at[:10] for run in runs if run.finished), default="")


@functools.cache
def environment() -> Environment:
    """Return the templates' environment: everything is escaped, and a name that is missing is an error."""
    found = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("leaderboard.site"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    found.filters |= {
        "fixed": text.fixed,
        "signed": text.signed,
        "raw": text.raw,
        "si": text.si,
        "whole": text.whole,
        "percent": text.percent,
        "duration": text.duration,
        "size": text.size,
        "span": text.span,
        "opening": text.opening,
        "written": written,
        "papers": citing.papers,
    }
    found.globals |= {
        "decimals": text.decimals,
        "style_of": charts.style,
        "marker": marks.marker,
        "links": links,
        "link": _link,
        "NONE": text.NONE,
        "SAYS": spans.SAYS,
        "WIDEST": WIDEST,
    }
    return found


@pass_context
def _link(context: Context, target: str) -> str:
    """Return the link from the page that is being made to a path of `links`."""
    return links.relative(target, context["page"])
