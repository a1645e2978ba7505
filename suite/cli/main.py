"""The `suite` command: gathers its subcommands, turns expected errors into one sentence and an exit code."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import entry_points
from typing import IO, Any

import click

from suite.cli import signals
from suite.errors import ExitCode, SuiteError, of_machine, one_line

OWN_COMMANDS = {
    "run": "suite.cli.run:run",
    "status": "suite.cli.status:status",
    "verify": "suite.cli.verify:verify",
    "evaluate": "suite.cli.play:evaluate",
    "video": "suite.cli.play:video",
    "export": "suite.cli.export:export",
    "list": "suite.cli.listing:list_",
    "show": "suite.cli.show:show",
    "data": "suite.cli.data:data",
    "method": "suite.cli.method:method",
    "profile": "suite.cli.profile:profile",
    "sink": "suite.cli.sink:sink",
    "demo": "suite.cli.demo:demo",
}


BLAS_THREADS = "OPENBLAS_NUM_THREADS"
"""How many threads NumPy's linear algebra starts. With one, what inspections record does not depend on the cores, costs
a third less processor time, and commands beside each other do not wait for each other's threads."""


class _Failure(click.ClickException):
    """A SuiteError on its way out of click: problem on one line, remedy on the next."""

    def __init__(self, error: SuiteError) -> None:
        super().__init__(error.problem)
        self.error = error
        self.exit_code = int(error.exit_code)  # type: ignore[misc]

    def show(self, file: IO[Any] | None = None) -> None:
        """Print to standard error."""
        click.echo(f"Error: {one_line(self.error.problem)}", err=True)
        if self.error.remedy:
            click.echo(one_line(self.error.remedy), err=True)


class _Stopped(click.ClickException):
    """Ctrl-C in a command that has no way of its own to end: whatever it writes, it writes whole or not at all."""

    exit_code = int(ExitCode.STOPPED)

    def show(self, file: IO[Any] | None = None) -> None:
        """Print to standard error."""
        click.echo("Stopped. What was finished stands; issue the same command again for the rest.", err=True)


class SuiteGroup(click.Group):
    """A group that loads a subcommand's module when it is needed, and knows SuiteError."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all names, other packages' (entry points `suite.commands`) after our own."""
        others = sorted(point.name for point in entry_points(group="suite.commands"))
        return [*OWN_COMMANDS, *(name for name in others if name not in OWN_COMMANDS)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Load one subcommand."""
        if cmd_name in OWN_COMMANDS:
            module, _, attribute = OWN_COMMANDS[cmd_name].partition(":")
            command: click.Command = getattr(import_module(module), attribute)
            return command
        for point in entry_points(group="suite.commands", name=cmd_name):
            found: click.Command = point.load()
            return found
        return None

    def invoke(self, ctx: click.Context) -> object:
        """Run the subcommand; a SuiteError, a disk's error, or Ctrl-C, becomes its message and exit code."""
        try:
            return super().invoke(ctx)
        except SuiteError as error:
            raise _Failure(error) from error
        except OSError as error:
            if (unfit := of_machine(error)) is None:
                raise
            raise _Failure(unfit) from error
        except KeyboardInterrupt as error:
            raise _Stopped("") from error


@click.command(
    cls=SuiteGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 unexpected, 2 usage, 3 environment unfit, 4 bad data, 5 some cells failed or "
    "diverged, 6 locked or overtaken, 75 interrupted and resumable, 130 stopped by Ctrl-C.",
)
@click.version_option(package_name="pruned-rl-suite", prog_name="suite")
def cli() -> None:
    """Does pruning, resetting or regularising a network really help? Train, record, compare."""


def main() -> None:
    """Run the command line; nothing leaves as a bare traceback unless SUITE_DEBUG is set."""
    signals.ends_with_command = True
    os.environ.setdefault(BLAS_THREADS, "1")
    try:
        cli(prog_name="suite")
    except SystemExit as leaving:
        if leaving.code == ExitCode.INTERRUPTED:  # everything is saved; a thread that still compiles is not waited for
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(ExitCode.INTERRUPTED))
        raise
    except Exception as error:
        if os.environ.get("SUITE_DEBUG"):
            raise
        click.echo(f"Unexpected error: {type(error).__name__}: {error}", err=True)
        click.echo("This is a defect; run again with SUITE_DEBUG=1 and report what it prints.", err=True)
        sys.exit(int(ExitCode.UNEXPECTED))
