"""Paths of all pages, relative to the site's root. Pages link to each other through these alone."""

from __future__ import annotations

import functools
import hashlib
import posixpath
import re

OVERVIEW = "index.html"
METHODS = "methods/index.html"
COMPARE = "compare/index.html"
COVERAGE = "coverage/index.html"
DATA = "data/index.html"
RULES = "rules.html"
CLAIMS = "claims.html"
STATISTICS = "statistics.html"
CHANGELOG = "changelog.html"
SUBMISSIONS = "submissions/index.html"
RELEASES = "releases/index.html"

_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")


def board(task: str) -> str:
    """Return the path of a task's board."""
    return f"{slug(task)}/index.html"


def curves(task: str) -> str:
    """Return the path of a task's learning curves."""
    return f"{slug(task)}/curves.html"


def profiles(task: str) -> str:
    """Return the path of a task's performance profiles."""
    return f"{slug(task)}/profiles.html"


def tradeoffs(task: str) -> str:
    """Return the path of a task's scores against what entries cost."""
    return f"{slug(task)}/tradeoffs.html"


def games(task: str) -> str:
    """Return the path of a task's table of all games."""
    return f"{slug(task)}/games/index.html"


def game(task: str, name: str) -> str:
    """Return the path of a game's page within a task."""
    return f"{slug(task)}/games/{slug(name)}.html"


def entry(task: str, config_id: str) -> str:
    """Return the path of a configuration's page within a task."""
    return f"{slug(task)}/entries/{slug(config_id)}.html"


def coverage(task: str) -> str:
    """Return the path of a task's matrix of seeds."""
    return f"coverage/{slug(task)}.html"


def method(name: str) -> str:
    """Return the path of a method's page."""
    return f"methods/{slug(name)}.html"


def runs(task: str, config_id: str, game: str) -> str:
    """Return the path of the page of a configuration's runs in a game; see `Book.homes` for the task."""
    return f"{slug(task)}/runs/{slug(config_id)}/{slug(game)}.html"


def run(page: str, seed: int) -> str:
    """Return the place of a run on the page of all seeds."""
    return f"{page}#seed-{seed}"


def submission(name: str) -> str:
    """Return the path of a submission's page."""
    return f"submissions/{slug(name)}.html"


def pair(task: str, one: str, other: str) -> str:
    """Return the path of the comparison of two configurations; the same for both orders."""
    first, second = sorted((slug(one), slug(other)))
    return f"{slug(task)}/compare/{first}--{second}.html"


def release(name: str) -> str:
    """Return the path of a frozen release's front page."""
    return f"releases/{name}/index.html"


def slug(name: str) -> str:
    """Return a name as one part of a path and of an URL: itself if it is plain, else its letters and a hash."""
    if _PLAIN.fullmatch(name) and name != "index":
        return name
    letters = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-")[:40]
    return f"{letters}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".strip("-")


def relative(target: str, page: str) -> str:
    """Return a link from a page to a target, both relative to the site's root; `#anchor` may follow the target."""
    path, mark, anchor = target.partition("#")
    return _from_folder(path, posixpath.dirname(page) or ".") + mark + anchor


@functools.lru_cache(maxsize=10_000)
def _from_folder(path: str, folder: str) -> str:
    return posixpath.relpath(path, folder)
