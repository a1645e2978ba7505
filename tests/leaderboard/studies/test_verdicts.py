"""A verdict says what the results decide, and errs as rarely as it says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from leaderboard.studies.definition import Claim, Rule, load_study
from leaderboard.studies.evidence import Evidence
from leaderboard.studies.expansion import Expanded, expand
from leaderboard.studies.simulation import results, shares
from leaderboard.studies.verdicts import verdict

ROOT = Path(__file__).resolve().parents[3]
RECORD = ROOT / "ci/nightly/verdicts.json"


def levels(expanded: Expanded, by_arm: dict[str, float], *, spread: float = 0.02, seeds: int = 5) -> Evidence:
    """Results whose scores lie around a level of each arm; other arms have none."""
    source = np.random.default_rng(3)
    return results(
        expanded,
        {
            name: {
                game: by_arm[f"{point.coordinates['arm']}"] + spread * source.normal(size=seeds)
                for game in expanded.games
            }
            for name, point in expanded.configurations.items()
            if f"{point.coordinates['arm']}" in by_arm
        },
    )


def asked(study: str, claim: str, evidence_of: dict[str, float], **how: float) -> str:
    expanded = expand(load_study(study))
    found = next(one for one in expanded.study.claims if one.id == claim)
    return verdict(expanded, found, levels(expanded, evidence_of, **how)).state  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("study", "claim", "by_arm", "state"),
    [
        ("fig3", "gain", {"dense": 1.0, "pruned": 1.3}, "holds"),
        ("fig3", "gain", {"dense": 1.0, "pruned": 1.0}, "fails"),  # practically equal
        ("fig3", "gain", {"dense": 1.0, "pruned": 0.8}, "fails"),
        ("fig3", "one-percent", {"dense": 1.0, "pruned": 1.0}, "holds"),
        ("fig3", "one-percent", {"dense": 1.0, "pruned": 0.8}, "fails"),
        ("fig4", "dqn-no-gain", {"dense": 1.0, "pruned": 1.0}, "holds"),
        ("fig4", "dqn-no-gain", {"dense": 1.0, "pruned": 1.3}, "fails"),
        ("fig26", "no-effect", {"reset": 1.0}, "holds"),
        ("fig13", "ticket-below", {"dense": 1.0, "pruned": 1.3, "lottery ticket": 0.7}, "holds"),
        ("fig13", "ticket-below", {"dense": 1.0, "pruned": 1.3}, "open"),
        ("fig5", "faster", {"dense": 1.0, "pruned": 1.3}, "open"),
    ],
)
def test_a_verdict_follows_from_the_levels(study: str, claim: str, by_arm: dict[str, float], state: str) -> None:
    assert asked(study, claim, by_arm) == state


def test_an_undecided_claim_says_what_is_missing_and_what_would_decide_it() -> None:
    expanded = expand(load_study("fig3"))
    claim = expanded.study.claims[0]
    empty = verdict(expanded, claim, Evidence())
    assert (empty.cells, empty.missing) == (225, 225)
    assert empty.sentence == "Not yet decidable: 225 of its 225 cells have no result."
    noisy = verdict(expanded, claim, levels(expanded, {"dense": 1.0, "pruned": 1.1}, spread=1.5))
    assert noisy.state == "open"
    assert noisy.missing == 0
    assert "seeds a game would find such a difference" in noisy.sentence
    clear = verdict(expanded, claim, levels(expanded, {"dense": 1.0, "pruned": 1.3}))
    assert clear.sentence.startswith("Holds: pruned dqn \N{MULTIPLICATION SIGN}3 sparsity 0.9")
    assert all(test.difference and abs(test.difference.value - 0.3) < 0.02 for test in clear.tests)


def test_a_game_without_results_decides_nothing_however_clear_the_others_are() -> None:
    expanded = expand(load_study("fig3"))
    found = levels(expanded, {"dense": 1.0, "pruned": 1.3})
    without = Evidence({name: [run for run in runs if run.game != "Pong"] for name, runs in found.runs.items()})
    assert verdict(expanded, expanded.study.claims[0], without).state == "open"


def test_leads_that_narrow_and_rows_that_rise_are_told() -> None:
    expanded = expand(load_study("fig5"))
    source = np.random.default_rng(1)
    ratio = {name: float(point.coordinates["replay_ratio"]) for name, point in expanded.configurations.items()}

    def of(slopes: dict[str, float]) -> Evidence:
        return results(
            expanded,
            {
                name: {
                    game: 2 + slopes[f"{point.coordinates['arm']}"] * ratio[name] + 0.02 * source.normal(size=5)
                    for game in expanded.games
                }
                for name, point in expanded.configurations.items()
            },
        )

    claim = next(one for one in expanded.study.claims if one.id == "faster")
    assert verdict(expanded, claim, of({"dense": -0.1, "pruned": -0.4})).state == "holds"
    assert verdict(expanded, claim, of({"dense": -0.4, "pruned": -0.1})).state == "fails"
    rising = Claim(
        id="r",
        text="t",
        source="s",
        rules=(Rule.model_validate({"rule": "rises", "a": {"arm": "dense"}, "along": "replay_ratio"}),),
    )
    assert verdict(expanded, rising, of({"dense": 0.3, "pruned": 0.0})).state == "holds"
    assert verdict(expanded, rising, of({"dense": -0.3, "pruned": 0.0})).state == "fails"


@pytest.mark.slow
def test_of_results_without_a_difference_few_claims_hold() -> None:
    found = shares("fig1", "dqn-gain", 5, "real", 20, effect=False)
    assert found["holds"] <= 4 / 20  # of 20 at 5 %, more than 4 come up in one of 400 tries


@pytest.mark.slow
def test_with_the_papers_difference_nearly_all_hold() -> None:
    found = shares("fig1", "dqn-gain", 5, "real", 8, effect=True)
    assert found["holds"] >= 0.75
    assert found["fails"] == 0


def test_in_the_record_false_claims_rarely_hold_and_the_papers_differences_are_found() -> None:
    record = json.loads(RECORD.read_text(encoding="utf-8"))
    false, true = ([row for row in record["rows"] if bool(row["difference"]) == is_true] for is_true in (False, True))
    boards = sum(row["boards"] for row in false)
    assert boards >= 400
    assert sum(row["holds"] * row["boards"] for row in false) / boards <= 0.05
    assert record["figures"]["worst_false_holds_percent"] == pytest.approx(100 * max(row["holds"] for row in false))
    assert {row["seeds"] for row in true} >= {2, 3, 5}
    assert min(row["holds"] for row in true if row["seeds"] >= 3) >= 0.9


def test_the_table_of_the_document_is_the_record() -> None:
    rows = json.loads(RECORD.read_text(encoding="utf-8"))["rows"]
    shown = []
    for row in rows:
        difference = f"{100 * row['difference']:.0f} %" if row["difference"] else "none"
        claim = f"{row['study']} {row['claim']} | {difference} | {row['seeds']}"
        shown.append(f"| {claim} | {100 * row['holds']:.0f} | {100 * row['fails']:.0f} |")
    document = (ROOT / "docs/studies.md").read_text(encoding="utf-8")
    assert re.findall(r"^\| fig.*\|$", document, re.MULTILINE) == shown
    assert {row["boards"] for row in rows} == {60}
