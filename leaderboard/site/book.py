"""The book that every kind of page is made with: the report, and one strict environment for all templates."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, pass_context
from jinja2.runtime import Context

from leaderboard.board.answers import TaskAnswers, answers
from leaderboard.board.credits import Credit, credits_of
from leaderboard.board.duels import Duel, all_duels
from leaderboard.board.report import Report
from leaderboard.board.views import TaskPage
from leaderboard.site import citing, links, text
from leaderboard.site.drawing import charts, marks, spans
from leaderboard.site.releases import Release
from suite.contracts.card import written


@dataclass(frozen=True)
class Book:
    """All that pages are made from; `html` fills a template.

    `database`: the file to offer for download. `releases`: the frozen ones beside these pages, the newest first.
    """

    report: Report
    database: bytes = b""
    releases: tuple[Release, ...] = ()

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
    def credits(self) -> dict[str, tuple[Credit, ...]]:
        """Whose submissions the entries are of, by configuration."""
        return credits_of(self.report)

    @functools.cached_property
    def date(self) -> str:
        """The day of the newest result that was run here; "" where there is none."""
        runs = (run for data in self.report.data.values() for run in data.runs if run.finished)
        return max((run.ended_at[:10] for run in runs), default="")

    def cite(self, name: str, title: str, config_id: str = "") -> str:
        """Return the BibTeX entry of a board, or of an entry with its submitters."""
        authors = [name for credit in self.credits.get(config_id, ()) for name in credit.names]
        return citing.bibtex(self.report.site, name, title, self.date, authors)

    def of_aggregated(self, page: Callable[[Book, TaskPage], dict[str, bytes]]) -> dict[str, bytes]:
        """Return what `page` makes of each task that has a common scale."""
        files: dict[str, bytes] = {}
        for task in self.report.site.tasks:
            if task.aggregated:
                files |= page(self, task)
        return files

    def html(self, path: str, template: str, **values: Any) -> dict[str, bytes]:
        """Return one page under its path, relative to the site's root.

        Templates see `site`, `page` (the path, for `link`) and the values; an unknown name raises.
        """
        filled = environment().get_template(template).render(site=self.report.site, page=path, **values)
        return {path: filled.encode()}


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
    }
    return found


@pass_context
def _link(context: Context, target: str) -> str:
    """Return the link from the page that is being made to a path of `links`."""
    return links.relative(target, context["page"])
