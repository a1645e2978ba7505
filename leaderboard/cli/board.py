"""`suite leaderboard`: run directories into a database, a database into a site. Imports nothing heavy at the top."""

from __future__ import annotations

import json
from pathlib import Path

import click

_DB = click.Path(dir_okay=False, path_type=Path)
_FOLDER = click.Path(file_okay=False, path_type=Path)


@click.group()
def leaderboard() -> None:
    """Collect recorded runs and build the site with the standings."""


@leaderboard.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=_FOLDER)
@click.option("--db", type=_DB, default=Path("results.sqlite"), show_default=True, help="The results database.")
@click.option("--no-references", is_flag=True, help="Do not add the curves that others published.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def ingest(directories: tuple[Path, ...], db: Path, no_references: bool, as_json: bool) -> None:
    """Read every run directory at or below DIR into the database.

    Repeating it changes nothing; a newer attempt takes the place of an older one. Damaged run directories are named,
    the others are stored, and the command exits with 4.
    """
    from leaderboard.store.ingest import ingest as run
    from suite.errors import BadData

    done = run(directories, db, references=not no_references, progress=_progress)
    counts = {name: done.outcomes.get(name, 0) for name in ("new", "updated", "known", "skipped")}
    if as_json:
        content = {"schema": "leaderboard.store.ingest/1", **counts, "references_added": done.references_added}
        click.echo(json.dumps(content | {"damaged": done.damaged, "database": str(db), "content_sha256": done.digest}))
    else:
        parts = [f"{count} {name}" for name, count in counts.items()] + [f"{len(done.damaged)} damaged"]
        click.echo(f"runs: {', '.join(parts)}")
        if done.references_added:
            click.echo(f"published configurations added: {done.references_added}")
        click.echo(f"database: {db} (content {done.digest[:16]})")
    if done.damaged:
        total = sum(counts.values()) + len(done.damaged)
        raise BadData(
            f"{len(done.damaged)} of {total} run directories are damaged (named above).", "The others are stored."
        )


@leaderboard.command()
@click.option("--db", type=_DB, default=Path("results.sqlite"), show_default=True, help="The results database.")
@click.option("--out", type=_FOLDER, default=Path("site"), show_default=True, help="The folder to make or replace.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def build(db: Path, out: Path, as_json: bool) -> None:
    """Build the static site of the database; the same database gives the same bytes."""
    from leaderboard.site.render import build as run

    done = run(db, out, progress=_progress)
    if as_json:
        content = {"schema": "leaderboard.build/1", "pages": done.pages, "size_bytes": done.bytes}
        click.echo(
            json.dumps(content | {"site": str(out), "index": str(out / "index.html"), "content_sha256": done.database})
        )
    else:
        click.echo(f"pages: {done.pages}, {done.bytes / 1000:,.0f} kB")
        click.echo(f"site: {out / 'index.html'}")


def _progress(line: str) -> None:
    click.echo(line, err=True)
