"""`suite leaderboard`: runs and bundles into a database, a database into a site. Imports nothing heavy at the top."""

from __future__ import annotations

import json
from pathlib import Path

import click

from leaderboard.cli.options import database_option
from suite.errors import one_line

_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def leaderboard() -> None:
    """Collect recorded runs and build the site with the standings."""


INGEST_EXAMPLES = """\b
Examples:
  suite leaderboard ingest runs
  suite leaderboard ingest runs bundle.zip results-repository --db results.sqlite
"""


@leaderboard.command(epilog=INGEST_EXAMPLES)
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@database_option
@click.option("--no-references", is_flag=True, help="Do not add the curves that others published.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ingest(paths: tuple[Path, ...], db: Path, no_references: bool, as_json: bool) -> None:
    """Read every run directory and bundle at or below PATH into the database.

    PATH is a folder of run directories, a results repository (submissions/<slug>/bundle.zip, with maintainers'
    attest.toml beside it), or a single bundle. Repeating it changes nothing, and order does not matter: a new file
    from the same run directories and bundles has the same content. What is proven further stands before what is proven
    less; run directories count as replayed once `suite verify` has replayed them, and rank from then on.
    Damaged run directories and refused bundles are named, the others are stored, and the command exits with 4. A
    database of an older schema is migrated first; a copy of it stays.
    """
    from leaderboard.store.ingest import ingest as run
    from suite.errors import BadData

    done = run(paths, db, references=not no_references, progress=_progress)
    counts = {name: done.outcomes.get(name, 0) for name in ("new", "updated", "known", "skipped")}
    bundles = {name: done.submissions.get(name, 0) for name in ("new", "updated", "known")}
    if as_json:
        content = {"schema": "leaderboard.ingest/2", **counts, "submissions": bundles, "damaged": done.damaged}
        content |= {"references_added": done.references_added, "conflicts": len(done.conflicts)}
        content |= {"copies": len(done.copies), "not_replayed": done.unproven}
        click.echo(json.dumps(content | {"database": str(db), "content_sha256": done.digest}))
    else:
        click.echo(f"runs: {_counted(counts)}, {len(done.damaged)} damaged or refused")
        if any(bundles.values()):
            click.echo(f"submissions: {_counted(bundles)}")
        if done.conflicts:
            click.echo(f"conflicts: {len(done.conflicts)}")
        if done.copies:
            click.echo(f"copies of other runs: {len(done.copies)}")
        if done.references_added:
            click.echo(f"published configurations added: {done.references_added}")
        click.echo(f"database: {db} (content {done.digest[:16]})")
        if done.unproven:
            what = f"finished runs that were not replayed, and rank nowhere: {done.unproven}"
            click.echo(f"{what}. `suite verify DIR` replays them; then ingest again.", err=True)
    if done.damaged:
        raise BadData(
            f"{len(done.damaged)} of {done.found} run directories and bundles are damaged or refused (named above).",
            "The others are stored." if len(done.damaged) < done.found else "Nothing of them was stored.",
        )


@leaderboard.command()
@database_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def migrate(db: Path, as_json: bool) -> None:
    """Bring a database of an older suite to this one's schema, leaving a copy of it beside it."""
    from leaderboard.store import models
    from leaderboard.store.schema import migrate as run

    version, copy = run(db)
    if as_json:
        content = {"schema": "leaderboard.migrate/1", "database": str(db), "from": version, "to": models.SCHEMA_VERSION}
        click.echo(json.dumps(content | {"copy": None if copy is None else str(copy)}))
    elif copy is None:
        click.echo(f"{db} has schema {version} already")
    else:
        click.echo(f"{db}: schema {version} is now {models.SCHEMA_VERSION}")
        click.echo(f"copy of the old one: {copy}")


@leaderboard.command()
@database_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def check(db: Path, as_json: bool) -> None:
    """Check a database: the file, its references, its rules, and every score again from the stored episodes.

    It exits with 4 if anything is wrong.
    """
    from leaderboard.store.audit import audit
    from suite.errors import BadData

    done = audit(db)
    if as_json:
        content = {"schema": "leaderboard.check/1", "database": str(db), "runs": done.runs, "scores": done.scores}
        click.echo(json.dumps(content | {"problems": done.problems, "content_sha256": done.digest}))
    else:
        click.echo(f"runs: {done.runs}, scores computed again: {done.scores}, problems: {len(done.problems)}")
        click.echo(f"database: {db} (content {done.digest[:16]})")
    for problem in done.problems:
        _progress(problem)
    if done.problems:
        raise BadData(
            f"{db} is not whole: {done.problems[0]}", "Ingest the run directories and bundles into a new file."
        )


@leaderboard.command()
@database_option
@click.option("--out", type=_FOLDER, default=Path("site"), show_default=True, help="The folder to make or replace.")
@click.option("--release", default="", metavar="NAME", help="Also freeze the site under a name, beside earlier ones.")
@click.option("--bundles", default="", metavar="URL", help="Where bundles can be had; {slug} stands for a slug.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def build(db: Path, out: Path, release: str, bundles: str, as_json: bool) -> None:
    """Build the static site of the database; the same database gives the same bytes.

    A site that is there already is brought up to date: what shows nothing new is not made again. Releases, frozen
    copies of the whole site, stay.
    """
    from leaderboard.site.render import build as run

    done = run(db, out, release=release, bundles=bundles, progress=_progress)
    if as_json:
        content = {"schema": "leaderboard.build/1", "pages": done.pages, "pages_made": done.made}
        content |= {"size_bytes": done.bytes, "large_pages": list(done.large)}
        click.echo(
            json.dumps(content | {"site": str(out), "index": str(out / "index.html"), "content_sha256": done.database})
        )
    else:
        large = f"; {len(done.large)} larger than a page should be (named above)" if done.large else ""
        click.echo(f"pages: {done.pages}, {done.made} of them made anew, {done.bytes / 1000:,.0f} kB{large}")
        click.echo(f"site: {out / 'index.html'}")


def _counted(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())


def _progress(line: str) -> None:
    click.echo(one_line(line), err=True)
