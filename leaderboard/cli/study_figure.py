"""`suite study figure` and `report`: the picture of a study, its data, and a verdict on each of its claims."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leaderboard.cli.study_options import JSON, choice_options

if TYPE_CHECKING:
    from leaderboard.studies.choice import Chosen
    from leaderboard.studies.evidence import Evidence
    from leaderboard.studies.figure import Figure
    from leaderboard.studies.verdicts import Verdict

RESULTS = click.option(
    "--results",
    type=click.Path(path_type=Path),
    default=Path("runs"),
    show_default=True,
    help="Where the results are: a database, or a directory of runs and bundles.",
)


@click.command()
@choice_options
@RESULTS
@click.option(
    "--to", type=click.Path(path_type=Path), default=Path(), help="The folder for the files; default: this one."
)
def figure(name: str, rung: str | None, results: Path, to: Path, **choice: Any) -> None:
    """Draw a study's picture from whatever is there, as SVG, PDF, CSV and JSON, and say what it decides."""
    from leaderboard.site.drawing.charts import pdf, svg
    from leaderboard.site.drawing.studies import study_spec
    from leaderboard.studies.figure import figure_of
    from suite import durable
    from suite.errors import UnfitEnvironment

    chosen, evidence, verdicts = _judged(name, rung, results, **choice)
    made = figure_of(chosen.expanded, evidence)
    spec = study_spec(made)
    files = {
        "svg": svg(spec, _alternative(made)).encode(),
        "pdf": pdf(spec),
        "csv": _csv(made).encode(),
        "json": (json.dumps(_document(chosen, made, verdicts), indent=1) + "\n").encode(),
    }
    try:
        durable.make_directory(to.absolute())
        for suffix, content in files.items():
            durable.replace_file(to / f"{chosen.name}.{suffix}", content)
    except OSError as error:
        raise UnfitEnvironment(f"Cannot write to {to}: {error.strerror or error}.", "Name another folder.") from error
    click.echo(f"{to / chosen.name}.svg, .pdf, .csv, .json: {made.done:,} of {made.cells:,} cells")
    for line in _lines(chosen, verdicts):
        click.echo(line)


@click.command()
@choice_options
@RESULTS
@JSON
def report(name: str, rung: str | None, results: Path, as_json: bool, **choice: Any) -> None:
    """Say of each claim of a study whether it holds, fails or is not yet decidable, and on what that rests."""
    from leaderboard.studies.figure import Figure

    chosen, _, verdicts = _judged(name, rung, results, **choice)
    if as_json:
        click.echo(json.dumps(_document(chosen, Figure(chosen.expanded, ()), verdicts), indent=1))
        return
    click.echo(f"{chosen.name}: {chosen.original.title}")
    for line in _lines(chosen, verdicts, tests=True):
        click.echo(line)


def _judged(name: str, rung: str | None, results: Path, **choice: Any) -> tuple[Chosen, Evidence, Sequence[Verdict]]:
    from leaderboard.studies.choice import choose
    from leaderboard.studies.evidence import read_evidence
    from leaderboard.studies.verdicts import verdict
    from suite.errors import UsageError

    if not results.exists() and results != Path("runs"):
        raise UsageError(f"There are no results at {results}.", "Name a database, or a directory of runs.")
    chosen = choose(name, rung, **choice)
    context = chosen.mapped is None and chosen.original.figure in (1, 4)
    evidence = read_evidence(results, [chosen.expanded.task], references=context)
    return chosen, evidence, [verdict(chosen.expanded, claim, evidence) for claim in chosen.expanded.study.claims]


def _lines(chosen: Chosen, verdicts: Sequence[Verdict], *, tests: bool = False) -> Iterator[str]:
    if not chosen.original.claims:
        yield "It claims nothing that results could decide."
    for found in verdicts:
        yield f"{found.words:<17}  {found.claim.text} ({found.claim.source})"
        yield f"{'':<17}  {found.sentence}"
        for test in found.tests if tests else ():
            difference = test.difference
            said = "no result yet" if difference is None else f"{difference.value:+.4f}"
            if difference is not None and difference.low is not None and difference.high is not None:
                said += f" [{difference.low:+.4f}, {difference.high:+.4f}]"
            yield f"{'':<17}    {test.label}: {said}, p for it {test.p_for:.2g}, against it {test.p_against:.2g}"
    if chosen.mapped is not None:
        yield from (f"{'cannot be asked':<17}  {claim}: {why}" for claim, why in chosen.mapped.claims.items())
        yield from (f"note: {note}" for note in chosen.mapped.notes)


def _document(chosen: Chosen, made: Figure, verdicts: Sequence[Verdict]) -> dict[str, Any]:
    return {
        "schema": "suite.study.figure/1",
        "study": chosen.original.id,
        "task": chosen.expanded.task.key,
        "title": chosen.original.title,
        "cells": made.cells,
        "done": made.done,
        "rows": [asdict(row) for row in made.rows],
        "matrices": [asdict(matrix) for matrix in made.matrices],
        "claims": [
            {
                "id": found.claim.id,
                "text": found.claim.text,
                "source": found.claim.source,
                "verdict": found.words,
                "sentence": found.sentence,
                "cells": found.cells,
                "missing": found.missing,
                "tests": [asdict(test) for test in found.tests],
            }
            for found in verdicts
        ],
        "not_asked": {} if chosen.mapped is None else dict(chosen.mapped.claims),
        "notes": [*chosen.original.inferred, *(() if chosen.mapped is None else chosen.mapped.notes)],
    }


def _csv(made: Figure) -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = ("panel", "series", "method", "x", "value", "low", "high", "done", "cells", "context")
    if made.matrices:
        writer.writerow(("panel", "series", "row", "column", "value"))
        for matrix in made.matrices:
            for row, line in enumerate(matrix.values):
                writer.writerows((matrix.panel, matrix.series, row, column, value) for column, value in enumerate(line))
    else:
        writer.writerow(names)
        writer.writerows([getattr(row, name) for name in names] for row in made.rows)
    return text.getvalue()


def _alternative(made: Figure) -> str:
    study = made.expanded.study
    return f"{study.title}: {study.summary} {made.done} of {made.cells} cells have a result."
