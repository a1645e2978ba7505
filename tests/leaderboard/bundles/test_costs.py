"""What the check and ingest of one bundle cost at most, and the site of what was accepted; in other processes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.site.render import build
from leaderboard.store.ingest import ingest
from tests.support import attacks, attacks_costs
from tests.support.attacks_bounds import foreign_card, of_foreign

MIB, SECONDS = 256, 60

pytestmark = pytest.mark.nightly


def measured(how: str, bundle: Path) -> Any:
    """Check or ingest a bundle in another process, and return what came of it and what it took."""
    command = [sys.executable, "-m", "tests.support.costs", how, str(bundle)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


@pytest.mark.parametrize("attack", attacks_costs.COSTS, ids=lambda attack: attack.name)
def test_whatever_a_bundle_holds_it_costs_little(
    attack: attacks.Attack, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    bundle = tmp_path / "bundle.zip"
    bundle.write_bytes(attack.make())
    checked, taken = measured("check", bundle), measured("ingest", bundle)
    assert attack.code in checked["codes"]
    if attack.code == "limits.exceeded":
        assert (checked["codes"], taken["codes"]) == (["limits.exceeded"], ["refused"])
    name = re.sub(r"[^a-z0-9]+", "_", attack.name.lower()).strip("_")
    for how, found in (("check", checked), ("ingest", taken)):
        record_property(f"{how}_{name}_mib", found["peak_mib"])
        record_property(f"{how}_{name}_cpu_s", found["cpu_s"])
        assert found["peak_mib"] < MIB
        assert found["cpu_s"] < SECONDS


def test_a_site_does_not_grow_with_what_departs(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """Of 64 settings that all depart the pages of 4 runs grow by some kB each, and no table by a label's length."""
    card = foreign_card(**{f"a_long_name_of_a_setting_{number}": 0 for number in range(64)})
    sizes = []
    for count in (0, 64):
        values = dict.fromkeys(sorted(card.settings)[:count], 1)
        folder = tmp_path / f"{count}"
        folder.mkdir()
        (folder / "bundle.zip").write_bytes(of_foreign(attacks.good_runs(), card, **values))
        assert ingest([folder], folder / "results.sqlite", references=False).submissions == {"new": 1}
        sizes.append(build(folder / "results.sqlite", folder / "site").bytes)
        record_property(f"site_{count}_departures_mb", sizes[-1] / 1e6)
    assert sizes[1] < 2 * sizes[0]
