"""From view-models to files: a folder of plain pages that needs neither a network nor JavaScript."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from leaderboard.site import charts, report
from leaderboard.site.views import Site, Span, TaskPage
from leaderboard.statistics.aggregate import STATISTICS_POLICY, Estimate
from leaderboard.store.database import ResultStore
from suite.errors import UnfitEnvironment, UsageError

MARKER = ".pruned-rl-suite-site"
"""The file by which a folder is known to be a site of ours, and may be replaced."""

NONE = "\N{EM DASH}"

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What was built: the number of pages, their bytes, and the content hash of the database."""

    pages: int
    bytes: int
    database: str


def build(db: Path, out: Path, *, progress: Progress = lambda _: None) -> BuildReport:
    """Build the site of a database into `out`, which is replaced as a whole if it is a site of ours, or made.

    Raises UsageError if `out` holds anything else, UnfitEnvironment if it cannot be written.
    """
    _check_target(out)
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        site = report.site(snapshot)
    files = _static()
    for task in site.tasks:
        progress(
            f"{task.key}: {task.entries_here} configurations run here, {task.entries_published} published by others"
        )
        files |= _task_files(site, task)
    for page in ("index.html", "methods.html"):
        files[page] = _environment().get_template(page).render(site=site, root="").encode()
    files[MARKER] = f"{site.database}\n".encode()
    try:
        _write(files, out)
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write the site to {out}: {error.strerror or error}.",
            "Choose another place with --out, or free space.",
        ) from error
    pages = sum(name.endswith(".html") for name in files)
    return BuildReport(pages, sum(len(content) for content in files.values()), site.database)


def _task_files(site: Site, task: TaskPage) -> dict[str, bytes]:
    page = _environment().get_template("task.html")
    files = {
        f"{task.name}/index.html": page.render(site=site, task=task, policy=STATISTICS_POLICY, root="../").encode()
    }
    if task.full.curves:
        label = curve_label(task)
        sizes = {"curves": (900, 380, 3), "curves-narrow": (400, 320, 1)}
        for name, (width, height, columns) in sizes.items():
            svg = charts.curve_chart(
                task.full.curves,
                task.full.iteration_frames,
                task.unit,
                label,
                width=width,
                height=height,
                columns=columns,
            )
            files[f"{task.name}/{name}.svg"] = svg.encode()
    return files


def curve_label(task: TaskPage) -> str:
    """Return the sentence that stands for the chart: what it shows, and where each curve ends."""
    ends = (f"{curve.entry.label} {curve.points[-1].estimate.value:.2f}" for curve in task.full.curves)
    return f"{task.title}: IQM of human-normalized returns against {task.unit}. Last points: {', '.join(ends)}."


def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        loader=PackageLoader("leaderboard.site"),
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"fixed": fixed, "si": si, "whole": whole, "span": span}
    environment.globals |= {"decimals": decimals, "style_of": charts.style, "curve_label": curve_label, "NONE": NONE}
    return environment


def fixed(value: float | None, digits: int = 2) -> str:
    """Format a number with so many decimals; a true minus sign, and a dash for None."""
    if value is None:
        return NONE
    text = f"{value:,.{digits}f}"
    text = text.removeprefix("-") if float(text.replace(",", "")) == 0 else text
    return text.replace("-", "\N{MINUS SIGN}")


def decimals(estimate: Estimate) -> int:
    """Return how many decimals to show: two, or as many more as tell the ends of the interval apart."""
    if estimate.low is None or estimate.high is None:
        return 2
    return next((digits for digits in range(2, 9) if fixed(estimate.low, digits) != fixed(estimate.high, digits)), 9)


def si(value: float | None) -> str:
    """Format a count with at most three digits and a unit: 1.62M, 16k."""
    if value is None:
        return NONE
    for size, unit in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{float(f'{value / size:.3g}'):g}{unit}"
    return f"{value:g}"


def whole(value: int) -> str:
    """Format a whole number with groups of three digits."""
    return f"{value:,}"


def percent(value: float) -> str:
    """Format a fraction as a percentage with at most three digits."""
    return f"{100 * value:.3g}\N{NARROW NO-BREAK SPACE}%"


_FORMS: dict[str, Callable[[float], str]] = {"si": si, "whole": "{:.0f}".format, "percent": percent}


def span(value: Span | None, form: str = "si") -> str:
    """Format a range, once if its ends look the same: as `si`, `percent` or `whole`."""
    if value is None:
        return NONE
    show = _FORMS[form]
    low, high = show(value.low), show(value.high)
    return low if low == high else f"{low}\N{EN DASH}{high}"


def _static() -> dict[str, bytes]:
    folder = resources.files("leaderboard.site") / "static"
    return {f"static/{file.name}": file.read_bytes() for file in folder.iterdir() if file.is_file()}


def _check_target(out: Path) -> None:
    if out.is_dir() and (not any(out.iterdir()) or (out / MARKER).is_file()):
        return
    if out.exists() or out.is_symlink():
        raise UsageError(
            f"{out} exists and is not a site built by this suite.", "Name a new or empty folder with --out."
        )


def _write(files: dict[str, bytes], out: Path) -> None:
    """Write all files beside `out`, then put them in its place; a site that was there stays until that moment."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    old = fresh.with_name(f"{fresh.name}.old")
    try:
        for name, content in sorted(files.items()):
            file = fresh / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        fresh.chmod(0o755)
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
