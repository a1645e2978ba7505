"""`suite export`: the final policy of a finished run as files for use elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
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
def export(run: Path, out: Path | None, format_: str, as_json: bool) -> None:
    """Write the final policy of the finished run at RUN.

    FILE holds every array whole; if that is smaller, FILE with `.sparse` before its suffix holds the kernels' non-zero
    weights alone. `suite.policy.load_policy` reads both. What the run's record says it ended with is what is written.
    """
    from suite import durable
    from suite.errors import UnfitEnvironment, UsageError
    from suite.export import final_policy
    from suite.record import find_runs, read_run

    found = find_runs(run)
    if len(found) != 1:
        raise UsageError(f"{run} holds {len(found)} runs, not one.", "Name the directory of one run: .../GAME/seed-N.")
    policy = final_policy(read_run(found[0]))
    path = out or Path(f"{policy.spec.config_id}-{policy.game}-seed-{policy.seed}.safetensors")
    dense, sparse = policy.dense(), policy.sparse()
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
            **policy.metadata(),
            "seed": policy.seed,
            "agent_step": policy.agent_step,
            "sparsity": policy.sparsity(),
            "files": [{"path": str(name), "bytes": len(content)} for name, content in files.items()],
        }
        click.echo(json.dumps(document))
        return
    for name, content in files.items():
        click.echo(f"exported    {name}: {len(content):,} bytes" + (" dense" if content is dense else " sparse"))
    click.echo(f"            {policy.spec.label} on {policy.game}, seed {policy.seed}: ", nl=False)
    click.echo(f"{100 * policy.sparsity():.1f} % of the kernel weights are zero")
