"""The page of the paper's claims: a verdict where something was run, nothing where nothing was."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

from leaderboard.board.report import Report
from leaderboard.site.book import Book
from leaderboard.site.pages import tradeoffs
from leaderboard.studies.choice import choose
from leaderboard.studies.coverage import PAPER, claims_of
from leaderboard.studies.evidence import Evidence
from tests.support.study_results import made_up


def test_nothing_is_said_where_nothing_was_run() -> None:
    found = claims_of({})
    assert found.coverage[PAPER][""].cells == 12_975
    assert {answer.started for asked in found.asked for answer in asked.answers.values()} == {False}
    assert found.coverage[PAPER][""].done == found.coverage["classic"][""].done == 0
    refused = {(asked.study.id, asked.claim.id) for asked in found.asked if asked.answers["classic"].verdict is None}
    assert {name for name, _ in refused} >= {"fig4", "fig7", "fig8", "fig9", "fig18", "fig19"}
    assert ("fig1", "dqn-gain") not in refused


def test_what_was_run_for_one_study_counts_for_all_that_share_its_cells() -> None:
    evidence = made_up(choose("fig13", "classic").expanded)
    found = claims_of({"classic": evidence})
    by_claim = {(asked.study.id, asked.claim.id): asked.answers for asked in found.asked}
    ticket = by_claim["fig13", "ticket-below"]["classic"].verdict
    assert ticket is not None
    assert ticket.missing == 0
    assert ticket.state != "open" or "seeds a game" in ticket.sentence
    assert found.coverage["classic"][""].done == found.coverage["classic"]["fig13"].done == 3 * 3 * 20
    assert found.coverage["classic"]["fig1"].done == 2 * 3 * 20  # dense and pruned at width 3
    assert by_claim["fig1", "dqn-gain"]["classic"].started is False
    assert by_claim["fig13", "ticket-below"][PAPER].started is False


def test_what_nobody_replayed_decides_nothing() -> None:
    evidence = made_up(choose("fig13", "classic").expanded)

    def started(level: str) -> bool:
        held = {key: tuple(replace(run, level=level) for run in runs) for key, runs in evidence.runs.items()}
        data = SimpleNamespace(by_configuration=held, diagnostics={})
        found = Book(cast(Report, SimpleNamespace(data={"classic": data}))).claims
        return any(asked.answers["classic"].started for asked in found.asked)

    assert (started("replayed"), started("recomputed")) == (True, False)


def test_the_page_has_every_claim_and_invents_none(published_site: Path) -> None:
    page = (published_site / "claims.html").read_text(encoding="utf-8")
    assert "<strong>" not in page  # published curves belong to no cell
    assert page.count('<section>\n<h2 id="fig') == 29
    assert "no result of 150 cells" in page
    assert "0 of 12,975" in page
    assert 'href="claims.html"' in (published_site / "index.html").read_text(encoding="utf-8")


def test_results_of_another_task_are_no_evidence() -> None:
    evidence = made_up(choose("fig13", "classic").expanded)
    found = claims_of({"minatar": evidence, "atari40m": Evidence()})
    assert not any(answer.started for asked in found.asked for answer in asked.answers.values())


def test_claims_about_width_stand_beside_the_trade_offs_of_the_task_that_decides_them() -> None:
    found = claims_of({"classic": made_up(choose("fig1", "classic").expanded)})
    shown = tradeoffs.verdicts(found, "classic")
    assert {study.id for study, _, _ in shown} >= {"fig1"}
    assert all(study.picture.kind == "final" and answer.verdict is not None for study, _, answer in shown)
    assert tradeoffs.verdicts(found, "atari40m") == tradeoffs.verdicts(found, "minatar") == []
