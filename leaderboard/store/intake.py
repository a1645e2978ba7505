"""Bundles on their way into the database: where they lie, what is attested of them, and the rows that they become."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from leaderboard.store import models
from leaderboard.store.database import NewSubmission
from leaderboard.store.details import packed
from leaderboard.store.rows import NewRun, new_run
from suite.errors import BadData

if TYPE_CHECKING:
    from leaderboard.bundles.attest import Attest
    from leaderboard.bundles.bundle import Bundle
    from leaderboard.bundles.findings import Finding
    from leaderboard.bundles.schema import Submission

ARRIVALS = "arrivals.txt"
ARRIVALS_BYTES = 8_000_000

SLUG = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?", re.ASCII)
"""What the folder of a submission may be called; it is part of addresses."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A bundle file; `slug` is its folder's name in a results repository, or "" where it lies elsewhere.

    `arrived` is its place in the history of that repository, None where no history says: see `arrivals`.
    """

    path: Path
    slug: str = ""
    arrived: int | None = None

    def attestation(self, sha256: str) -> models.Attestation | None:
        """Return what maintainers attest of it, whose SHA-256 is this; only a results repository holds that.

        BadData if it does not hold.
        """
        file = self.path.with_name("attest.toml")
        return _attestation(file, sha256) if self.slug and file.exists() else None


def find_bundles(path: Path) -> Iterator[Placed]:
    """Yield the bundle that `path` is, or those below it called `bundle.zip`."""
    known: dict[Path, dict[str, int]] = {}
    if path.is_file():
        yield _placed(path, known)
        return
    for folder, below, files in os.walk(path):
        if "spec.json" in files and Path(folder).name.startswith("seed-"):
            below.clear()  # a run directory: it holds none
        elif "bundle.zip" in files:
            yield _placed(Path(folder) / "bundle.zip", known)


def content_of(path: Path) -> bytes:
    """Return the bytes of a bundle; BadData if it is no plain file, too large or cannot be read."""
    from leaderboard.bundles.archive import PACKED_BYTES

    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise BadData(f"{path} is no plain file.", "Put the bundle itself there.")
        if found.st_size > PACKED_BYTES:
            text = f"{path} has {found.st_size:,} bytes; a bundle has at most {PACKED_BYTES:,}."
            raise BadData(text, "Leave it out.")
        with path.open("rb") as file:
            return file.read(PACKED_BYTES + 1)
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror or error}.", "Mend its permissions.") from error


def read_bundle(placed: Placed, content: bytes, sha256: str, attestation: models.Attestation | None) -> NewSubmission:
    """Check a bundle and return the rows it becomes; BadData, with the first finding, if its check has errors."""
    from leaderboard.bundles.check import examine

    if placed.slug and not SLUG.fullmatch(placed.slug):
        raise BadData(
            f"{placed.path}: a submission's folder cannot be called {placed.slug!a}.",
            "Use at most 64 small letters, digits and hyphens.",
        )
    done = examine(placed.path, content, sha256, partial(new_run, own=False))
    errors = [item for item in done.report.findings if item.severity == "error"]
    if errors or done.bundle is None:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise BadData(
            f"{placed.path}: {errors[0].where}: {errors[0].message} [{errors[0].code}]{more}.",
            f"See `suite submit check {placed.path}`.",
        )
    level, findings = done.report.level, done.report.findings
    return new_submission(done.bundle, done.kept, placed.slug, level, findings, attestation, placed.arrived)


def new_submission(
    bundle: Bundle,
    runs: Sequence[NewRun],
    slug: str,
    level: str,
    findings: Sequence[Finding] = (),
    attestation: models.Attestation | None = None,
    arrived: int | None = None,
) -> NewSubmission:
    """Return the rows that a bundle and its runs become whose check has this outcome."""
    from leaderboard.bundles.check import FINDINGS

    report = {"level": level, "findings": [asdict(item) for item in findings[:FINDINGS]]}
    last = max((new.row.ended_at for new in runs), default="")
    row = _row(bundle, slug, report, last)
    row.arrived = arrived
    return NewSubmission(row, runs, attestation)


def _placed(path: Path, known: dict[Path, dict[str, int]]) -> Placed:
    """Return a bundle with its place; `known` keeps what histories say from one bundle to the next."""
    place = path.absolute()
    if place.name != "bundle.zip" or place.parent.parent.name != "submissions":
        return Placed(place)
    root, slug = place.parents[2], place.parent.name
    if root not in known:
        known[root] = arrivals(root / ARRIVALS)
    return Placed(place, slug, known[root].get(f"submissions/{slug}/{place.name}"))


def arrivals(file: Path) -> dict[str, int]:
    """Return the place of each bundle in the history of a results repository, by its path; of no file, nothing.

    The file lies beside `submissions` and lists a path a line, as git's history has them, the first first: what the
    maintainers' own history says, never what a bundle says of itself. A path that is there twice was replaced: its last
    place is that of the bundle that lies there. BadData if it is too large or cannot be read.
    """
    try:
        with file.open("rb") as opened:
            content = opened.read(ARRIVALS_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise BadData(f"{file} cannot be read: {error.strerror or error}.", "Mend its permissions.") from error
    if len(content) > ARRIVALS_BYTES:
        raise BadData(f"{file} has more than {ARRIVALS_BYTES:,} bytes.", "Make it anew; see docs/submitting.md.")
    lines = [line for line in content.decode("utf-8", "replace").splitlines() if line]
    return {line: place for place, line in enumerate(lines)}


def _row(bundle: Bundle, slug: str, report: dict[str, Any], last: str) -> models.Submission:
    submission = bundle.submission
    statement = submission.model_dump(mode="json", by_alias=True, exclude={"contact"})
    documents = {
        "statement": statement,
        "environment": bundle.environment.model_dump(mode="json"),
        "cards": {f"{kind}/{name}": card.model_dump(mode="json") for (kind, name), card in bundle.cards.items()},
    }
    return models.Submission(
        sha256=bundle.sha256,
        slug=slug or models.slug_of(bundle.sha256),
        title=submission.title,
        authors=_json(statement["authors"]),
        license=submission.license,
        links=_json(_links(submission)),
        submitted_at=last,
        level=report["level"],
        report=_json(report),
        documents=packed(documents),
    )


def _links(submission: Submission) -> list[tuple[str, str]]:
    links = [("code", submission.code.url)]
    if (paper := submission.paper) is not None:
        if paper.doi is not None:
            links.append(("paper", f"https://doi.org/{paper.doi}"))
        if paper.arxiv is not None:
            links.append(("paper", f"https://arxiv.org/abs/{paper.arxiv}"))
        if paper.url is not None:
            links.append(("paper", paper.url))
    return links


def _attestation(file: Path, sha256: str) -> models.Attestation:
    from leaderboard.bundles.attest import read_attest

    attest = read_attest(file)
    if attest.bundle_sha256 != sha256:
        raise BadData(f"{file} attests another bundle than the one beside it.", "A maintainer attests it anew.")
    return attestation_row(attest)


def attestation_row(attest: Attest) -> models.Attestation:
    """Return the row of an attestation."""
    flags = [(flag.code, flag.reason, flag.date, flag.by) for flag in attest.flags]
    reruns = [(one.config_id, one.game, one.seed, one.agent_step, one.by, one.date) for one in attest.reruns]
    content: list[Any] = [attest.bundle_sha256, attest.level, attest.by, attest.date, attest.evidence, flags]
    content += [reruns] if reruns else []
    return models.Attestation(
        sha256=attest.bundle_sha256,
        digest=hashlib.sha256(_json(content).encode()).hexdigest(),
        level=attest.level,
        by=attest.by,
        date=attest.date,
        evidence=attest.evidence,
        flags=_json(flags),
        reruns=_json(reruns),
    )


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
