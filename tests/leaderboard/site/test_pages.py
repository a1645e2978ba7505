"""Every kind of page is made: a module beside the others that nobody calls would be a page that nobody sees."""

import importlib
import pkgutil
from dataclasses import replace
from pathlib import Path

import pytest

from leaderboard.board import report
from leaderboard.site import pages
from leaderboard.site.book import Book
from leaderboard.site.pages import board, curves, entries, games, profiles, run
from leaderboard.store.database import ResultStore


def test_every_module_of_pages_is_a_kind_that_is_made() -> None:
    names = [module.name for module in pkgutil.iter_modules(pages.__path__)]
    modules = [importlib.import_module(f"{pages.__name__}.{name}") for name in names]
    assert {module.pages for module in modules} == set(pages.KINDS)
    assert len(modules) > 10


@pytest.mark.slow
def test_pages_of_a_task_without_human_scores_never_name_them(smoke_database: Path) -> None:
    with ResultStore.open(smoke_database) as store, store.snapshot() as snapshot:
        found = report.read(snapshot)
    task = replace(next(task for task in found.site.tasks if task.name == "smoke"), reference="threshold")
    book = Book(replace(found, site=replace(found.site, tasks=(task,))))
    kinds = (board.pages, curves.pages, profiles.pages, games.pages, entries.pages, run.pages)
    files = {name: content for kind in kinds for name, content in kind(book).items()}
    assert [name for name, content in files.items() if b"uman-normalized" in content] == []
    assert b"IQM of normalized returns" in files["smoke/curves.html"]
    assert b"normalized score" in files["smoke/profiles.html"]
