"""`suite export`: what was recorded, as files for use elsewhere. Other packages add kinds (`suite.exports`)."""

from __future__ import annotations

import json
from importlib.metadata import entry_points
from pathlib import Path

import click


class ExportGroup(click.Group):
    """A group that finds what other packages can export, by entry point, and loads it when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, other packages' after our own."""
        others = sorted(point.name for point in entry_points(group="suite.exports"))
        return [*self.commands, *(name for name in others if name not in self.commands)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return one subcommand."""
        if cmd_name in self.commands:
            return self.commands[cmd_name]
        for point in entry_points(group="suite.exports", name=cmd_name):
            found: click.Command = point.load()
            return found
        return None


@click.group(cls=ExportGroup)
def export() -> None:
    """Write what was recorded as files for use elsewhere."""


@export.command()
@click.argument("run", metavar="RUN", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), metavar="FILE", help="Default: named after the run, here.")
@click.option(
    "--format",
    "format_",
    type=click.Choice(["safetensors"]),
    default="safetensors",
    show_default=True,
    help="The only one so far.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def policy(run: Path, out: Path | None, format_: str, as_json: bool) -> None:
    """Write the final policy of the finished run at RUN.

    FILE holds every array whole; if that is smaller, FILE with `.sparse` before its suffix holds the kernels' non-zero
    weights alone. `suite.learning.policy.load_policy` reads both. What the run's record says it ended with is what is
    written.
    """
    from suite import durable
    from suite.errors import UnfitEnvironment, UsageError
    from suite.records.find import find_runs
    from suite.records.policy_file import final_policy
    from suite.records.record import read_run

    found = find_runs(run)
    if len(found) != 1:
        raise UsageError(f"{run} holds {len(found)} runs, not one.", "Name the directory of one run: .../GAME/seed-N.")
    final = final_policy(read_run(found[0]))
    path = out or Path(f"{final.spec.config_id}-{final.game}-seed-{final.seed}.safetensors")
    dense, sparse = final.dense(), final.sparse()
    files = {path: dense}
    if len(sparse) < len(dense):
        files[path.with_name(f"{path.stem}.sparse{path.suffix}")] = sparse
    try:
        durable.make_directory(path.absolute().parent)
        for name, content in files.items():
            durable.replace_file(name, content)
    except OSError as error:
        raise UnfitEnvironment(f"Cannot write {path}: {error.strerror or error}.", "Name another file.") from error
    if as_json:
        document = {
            "schema": "suite.export/1",
            **final.metadata(),
            "seed": final.seed,
            "agent_step": final.agent_step,
            "sparsity": final.sparsity(),
            "files": [{"path": str(name), "bytes": len(content)} for name, content in files.items()],
        }
        click.echo(json.dumps(document))
        return
    for name, content in files.items():
        click.echo(f"exported    {name}: {len(content):,} bytes" + (" dense" if content is dense else " sparse"))
    click.echo(f"            {final.spec.label} on {final.game}, seed {final.seed}: ", nl=False)
    click.echo(f"{100 * final.sparsity():.1f} % of the kernel weights are zero")
