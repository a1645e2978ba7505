"""`suite export paper`: tables, figures and references for a paper. Imports nothing heavy at the top."""

from __future__ import annotations

import json
from pathlib import Path

import click

from leaderboard.cli.options import database_option

_FOLDER = click.Path(file_okay=False, path_type=Path)


EXAMPLES = """\b
Examples:
  suite export paper --task atari40m --out kit
  suite export paper --task atari40m --out kit --width text --db results.sqlite
  suite export paper --task atari40m --out kit --entries "dqn dense" --entries "dqn rigl" --games Pong,Breakout
"""


@click.command(epilog=EXAMPLES)
@database_option
@click.option("--task", "task_name", required=True, metavar="NAME", help="Which task; see `suite list`.")
@click.option("--out", type=_FOLDER, required=True, help="The folder to make or replace.")
@click.option(
    "--width",
    type=click.Choice(["column", "text"]),
    default="column",
    show_default=True,
    help="Figures as wide as a column (3.25 in) or as the text (6.75 in).",
)
@click.option(
    "--entries",
    "names",
    multiple=True,
    metavar="NAME",
    help="Only this entry, named as for `suite compare`; may be given several times.",
)
@click.option("--games", default="all", show_default=True, metavar="A,B|all", help="Only these games of the task.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def paper(db: Path, task_name: str, out: Path, width: str, names: tuple[str, ...], games: str, as_json: bool) -> None:
    """Write a task's results as a kit for papers: booktabs tables, vector figures, captions and BibTeX.

    Bold in a table marks the best group that cannot be told apart, not the best number. README.md in the folder says
    what is what. The same database gives the same bytes.
    """
    from leaderboard.site.paper.kit import write_kit

    chosen = () if games == "all" else tuple(name.strip() for name in games.split(",") if name.strip())
    done = write_kit(db, task_name, out, width=width, entries=names, games=chosen)
    if as_json:
        files = [{"path": str(out / name), "bytes": size} for name, size in done.files.items()]
        document = {"schema": "leaderboard.paper/1", "task": done.task, "content_sha256": done.database}
        click.echo(json.dumps(document | {"entries": done.entries, "width_in": done.width, "files": files}))
        return
    for name, size in done.files.items():
        click.echo(f"{out / name}: {size:,} bytes")
    entries = "1 entry" if done.entries == 1 else f"{done.entries} entries"
    click.echo(f"{entries} of {done.task}, from database content {done.database[:16]}")
