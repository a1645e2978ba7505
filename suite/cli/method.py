"""`suite method`: start a method of one's own, and prove that it keeps the contract."""

from __future__ import annotations

import json
import keyword
import re
from importlib import resources
from importlib.resources.abc import Traversable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from suite.checks.method.check import Overhead, Report, Result

TEMPLATE = "my_method"


@click.group()
def method() -> None:
    """Add a method of your own: start one, check one."""


@method.command()
@click.argument("name")
@click.option(
    "--into", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Where its folder goes; default: ."
)
def new(name: str, into: Path) -> None:
    """Write a small installable package with a working method to change: code, card, test, README."""
    from suite.errors import UnfitEnvironment

    _refuse(name)
    folder = into / name
    try:
        folder.mkdir(parents=True)
        for path, text in _template(resources.files("suite.checks.method").joinpath("template")):
            file = folder / path.replace(TEMPLATE, name)
            file.parent.mkdir(exist_ok=True)
            file.write_text(text.replace(TEMPLATE, name), encoding="utf-8")
    except FileExistsError as error:
        raise _usage(f"{folder} exists already.", "Choose another name, or another folder with --into.") from error
    except OSError as error:
        raise UnfitEnvironment(
            f"{folder} cannot be written: {error.strerror}.", "Choose another with --into."
        ) from error
    click.echo(f"{folder}: change {name}/method.py and {name}/method.toml in there, then")
    click.echo(f"  suite method check {folder}")
    click.echo(f"  pip install --no-deps --no-build-isolation -e {folder}")
    click.echo(f"  suite run --task smoke --method dense,{name}")


@method.command()
@click.argument("target", metavar="FOLDER|NAME")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="A setting to check it with.")
@click.option("--alone", is_flag=True, help="Leave out combinations with other methods, which take longest.")
@click.option(
    "--overhead",
    type=click.Choice(["none", "tiny", "full"]),
    default="tiny",
    show_default=True,
    help="Time updates beside dense ones: on the check's network, or on the Nature CNN too.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def check(target: str, settings: tuple[str, ...], alone: bool, overhead: Overhead, as_json: bool) -> None:
    """Prove that a method keeps the contract: the package in FOLDER, installed or not, or an installed one by NAME.

    Trains it on a tiny network for some dozens of gradient steps, alone and together with every other method. Takes
    less than a minute, most of it for compiling the combinations. Exits with 4 if a check fails.
    """
    from suite.errors import BadData
    from suite.learning.device import prepare

    folder = Path(target)
    if ("/" in target or folder.is_dir()) and not (folder / "pyproject.toml").is_file() and not _is_method(target):
        raise _usage(f"{folder} has no pyproject.toml.", "Name a package's folder, or an installed method.")
    prepare(None, deterministic=True)
    from suite.checks.method import check as method_check  # takes a second: jax

    def look(name: str, result: Result) -> None:
        click.echo(f"{result.state:<8}{result.name:<26}{result.seconds:5.1f} s  {result.detail}", err=as_json)

    reports = method_check.check(target, settings=settings, alone=alone, overhead=overhead, look=look)
    if as_json:
        documents = [_document(report) for report in reports]
        click.echo(json.dumps({"schema": "suite.method_check/1", "methods": documents}, indent=1))
    failed = sum(result.state == "FAILED" for report in reports for result in report.results)
    if failed:
        raise BadData(f"{failed} checks of {target} failed (named above).", "Mend the method, and check it again.")


def _document(report: Report) -> dict[str, object]:
    rows = [
        {"name": row.name, "state": row.state, "detail": row.detail, "seconds": round(row.seconds, 2)}
        for row in report.results
    ]
    return {"method": report.method, "ok": report.ok, "checks": rows}


def _refuse(name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or keyword.iskeyword(name):
        raise _usage(
            f"{name!r} cannot name a method.", "Use lower-case letters, digits and _, a letter first: my_method."
        )
    if _is_method(name):
        raise _usage(f"The method {name!r} is there already.", "Choose another name, or see `suite show`.")
    if find_spec(name) is not None:
        raise _usage(f"Python has a module {name!r} already, which the package would hide.", "Choose another name.")


def _is_method(name: str) -> bool:
    from suite.contracts import registry

    return name in registry.registered("method")


def _template(folder: Traversable, before: str = "") -> list[tuple[str, str]]:
    """Return the template's files: path and text."""
    files = []
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if entry.is_dir() and entry.name != "__pycache__":
            files += _template(entry, f"{before}{entry.name}/")
        elif entry.is_file():
            files.append((before + entry.name, entry.read_text(encoding="utf-8")))
    return files


def _usage(problem: str, remedy: str) -> Exception:
    from suite.errors import UsageError

    return UsageError(problem, remedy)
