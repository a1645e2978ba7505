"""Who stands and who ranks, end to end: bundles and run directories in, a site built, its pages read."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import html5lib
import pytest

from leaderboard.bundles.runs import BundledRun
from leaderboard.site import links
from leaderboard.site.render import build
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite.records.verified import content_of, write_verified
from suite.tasks import load_task
from tests.support import attacks, honest
from tests.support.attacks_levels import ended, last_left_out

pytestmark = pytest.mark.slow

PARTIAL = attacks.LEFT_OUT
ATTEST = 'bundle_sha256 = "{}"\nlevel = "{}"\nby = "A. Maintainer"\ndate = "2026-03-01"\nevidence = "seen"\n'


def better(runs: Sequence[BundledRun]) -> list[BundledRun]:
    """Return the same cells with an invented return more in every episode."""
    found = []
    for run in runs:
        rows = tuple(row.model_copy(update={"value": min(row.value + 9, 21.0)}) for row in run.episodes)
        found.append(honest.with_score(run, episodes=rows))
    return found


def dated(runs: Sequence[BundledRun], start: str, end: str) -> list[BundledRun]:
    """Return runs that say of themselves when they started and ended."""
    found = []
    for run in runs:
        attempt = run.attempt.model_copy(update={"started_at": start})
        status = run.status.model_copy(update={"started_at": start, "updated_at": end})
        found.append(replace(run, status=status, provenance=run.provenance.model_copy(update={"attempts": (attempt,)})))
    return found


def elsewhere(runs: Sequence[BundledRun], **options: object) -> list[BundledRun]:
    """Return runs that say that they had another environment."""
    return [attacks.environment_changed(**options)(run) for run in runs]


def place(root: Path, slug: str, runs: Sequence[BundledRun], level: str = "", more: str = "") -> None:
    """Lay a bundle into the results repository, as the next one to arrive."""
    folder = root / "submissions" / slug
    folder.mkdir(parents=True)
    content = honest.bundle(runs, PARTIAL)
    (folder / "bundle.zip").write_bytes(content)
    if level:
        (folder / "attest.toml").write_text(ATTEST.format(hashlib.sha256(content).hexdigest(), level) + more)
    with (root / "arrivals.txt").open("a") as history:
        history.write(f"submissions/{slug}/bundle.zip\n")


def rerun_of(run: BundledRun) -> str:
    cell = f'config_id = "{run.cell.config_id}"\ngame = "{run.cell.game}"\nseed = {run.cell.seed}\n'
    return f'\n[[reruns]]\n{cell}agent_step = 1000\nby = "A. Maintainer"\ndate = "2026-03-02"\n'


@pytest.fixture(scope="module")
def ranked_smoke() -> Iterator[None]:
    """The small task as an official one, whose entries are ranked."""
    task = load_task("smoke")
    object.__setattr__(task, "official", True)
    yield
    object.__setattr__(task, "official", False)


DENSE = honest.honest_runs("smoke")
REDO = honest.honest_runs("smoke", methods="redo")
RESET = honest.honest_runs("smoke", methods="reset")
DECAY = honest.honest_runs("smoke", methods="weight_decay")
INIT = honest.honest_runs("smoke", methods="l2_init")
WITHOUT_ENDS = [last_left_out(2)(run) for run in INIT]
"""Two bad last episodes told as the steps of one that never ended, whose actions are missing."""


@pytest.fixture(scope="module")
def site(ranked_smoke: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that was tried, and what it was tried against, on one site."""
    root = tmp_path_factory.mktemp("precedence")
    # A stranger's better numbers of attested cells, which arrived before them and say that they end in 9999.
    place(root, "hijack", dated(better(DENSE), "2026-01-01T00:00:00Z", "9999-12-31T23:59:59Z"))
    place(root, "elsewhere", elsewhere(better(DENSE), ale_py="0.11.9"))
    place(root, "one-seed", better(DENSE[:1])[:1])
    place(root, "invented", elsewhere(better(DENSE), overclock=True))
    place(root, "more-seeds", better([honest.honest_run("smoke", "Pong", seed) for seed in range(4)]))
    place(root, "honest", DENSE, "rerun", rerun_of(DENSE[0]))
    # Equals: the first that arrived, though the other says that it is older.
    place(root, "first", REDO)
    place(root, "backdated", dated(better(REDO), "0001-01-01T00:00:00Z", "0001-01-01T01:00:00Z"))
    # One's own replayed runs against a sample.
    place(root, "stranger", better(RESET), "sampled 3 of 4")
    for run in RESET:
        path = honest.write_run(run, root / "runs")
        write_verified(path, content_of(path), 1, 1)
    # Stopped at the peak and called diverged; a bad end left out: nobody could replay them, so nobody attested.
    place(root, "peak", [honest.diverged(run, 2000) for run in DECAY])
    place(root, "no-end", WITHOUT_ENDS)
    place(root, "other-end", [ended(run, bytes(run.open_steps)) for run in WITHOUT_ENDS])
    report = ingest([root], root / "results.sqlite", references=False)
    assert sorted(Path(path).parent.name for path in report.damaged) == ["invented", "no-end"]
    build(root / "results.sqlite", root / "site")
    return root / "site"


def text_of(page: Path) -> str:
    found = html5lib.parse(page.read_text(), namespaceHTMLElements=False)
    return " ".join(" ".join(found.itertext()).split())


def rows(site: Path) -> dict[str, tuple[str, str]]:
    """Return the class and the text of each row of the board, by configuration, in its order."""
    board = html5lib.parse((site / links.board("smoke")).read_text(), namespaceHTMLElements=False)
    return {
        row.get("data-id"): (row.get("class"), " ".join(" ".join(row.itertext()).split()))
        for row in board.iter("tr")
        if row.get("data-id")
    }


def scores(site: Path, config_id: str) -> list[tuple[str, int, float | None, str]]:
    with ResultStore.open(site.parent / "results.sqlite") as store, store.snapshot() as snapshot:
        return [
            (run.game, run.seed, run.score, run.submission or "mine")
            for run in snapshot.runs("smoke@1")
            if run.config_id == config_id
        ]


def expected(runs: Sequence[BundledRun], holder: str) -> list[tuple[str, int, float | None, str]]:
    found = []
    for run in runs:
        assert run.status.summary is not None
        found.append((run.cell.game, run.cell.seed, run.status.summary.score, holder))
    return sorted(found)


def key(runs: Sequence[BundledRun]) -> str:
    return runs[0].cell.config_id


def test_only_what_was_replayed_is_ranked_and_the_rest_stands_below_marked(site: Path) -> None:
    found = rows(site)
    ranked = [name for name, (kind, _) in found.items() if "open" not in kind.split()]
    assert set(ranked) == {key(DENSE), key(RESET)}
    assert list(found)[:2] == ranked
    assert set(list(found)[2:]) == {key(REDO), key(DECAY), key(INIT)}
    board = text_of(site / links.board("smoke"))
    assert board.index("Run here, ranked") < board.index("Not replayed: not ranked")
    for name in ranked:
        assert re.match(r"[A-Z]", found[name][1])
    for name in (key(REDO), key(DECAY), key(INIT)):
        assert re.match("\N{EM DASH}", found[name][1])
        assert "recomputed" in found[name][1]


def test_a_hijack_changes_nothing_and_is_seen_everywhere(site: Path) -> None:
    standing = [row for row in scores(site, key(DENSE)) if row[3] == "honest"]
    assert standing == expected(DENSE, "honest")
    said = "in 4 cells another result stands behind: elsewhere, hijack, more-seeds and 1 more"
    assert said in rows(site)[key(DENSE)][1]
    for slug in ("honest", "hijack", "elsewhere", "one-seed"):
        page = text_of(site / links.submission(slug))
        assert "Other results of the same cells" in page
        assert "honest (re-run, " in page
    page = text_of(site / links.CHANGELOG)
    for slug in ("hijack", "elsewhere", "one-seed"):
        assert re.search(rf"honest \(rerun\) stands before [a-z, -]*{slug}", page), slug
    assert not (site / links.submission("invented")).exists()


def test_seeds_that_nobody_replayed_do_not_enter_a_replayed_entry(site: Path) -> None:
    assert "2 more that nobody replayed: not counted" in rows(site)[key(DENSE)][1]
    assert "not counted: not replayed" in text_of(site / links.submission("more-seeds"))
    assert "2/2 \N{MULTIPLICATION SIGN} 2" in rows(site)[key(DENSE)][1]


def test_a_date_decides_nothing_and_is_a_finding_where_it_cannot_be(site: Path) -> None:
    assert scores(site, key(REDO)) == expected(REDO, "first")
    for slug in ("backdated", "hijack"):
        assert "provenance.dates" in text_of(site / links.submission(slug))
    assert "provenance.dates" not in text_of(site / links.submission("first"))


def test_ones_own_replayed_runs_stand_before_a_strangers_sample(site: Path) -> None:
    assert scores(site, key(RESET)) == expected(RESET, "mine")
    assert "a run directory (replayed, " in text_of(site / links.submission("stranger"))


def test_runs_called_diverged_stand_unranked_and_are_counted_as_such(site: Path) -> None:
    kind, text = rows(site)[key(DECAY)]
    assert "open" in kind.split()
    assert "4 diverged" in text


def test_a_bad_end_left_out_is_refused_and_with_invented_actions_stands_unranked(site: Path) -> None:
    assert not (site / links.submission("no-end")).exists()
    kind, text = rows(site)[key(INIT)]
    assert "open" in kind.split()
    assert "recomputed" in text
    assert scores(site, key(INIT)) == expected(WITHOUT_ENDS, "other-end")


def test_a_drawn_rerun_is_shown_with_how_far_it_went(site: Path) -> None:
    run = DENSE[0]
    said = f"trained again: {run.cell.game} seed {run.cell.seed} to agent step 1,000 (25 %), the same hash"
    assert said in rows(site)[key(DENSE)][1]
    assert "to agent step 1,000, by A. Maintainer on 2026-03-02" in text_of(site / links.submission("honest"))
    page = text_of(site / links.runs("smoke", key(DENSE), run.cell.game))
    assert f"Seed {run.cell.seed} was drawn and trained again to agent step 1,000 by A. Maintainer" in page
