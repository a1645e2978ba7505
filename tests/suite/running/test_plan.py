"""What a plan says that its cells will take."""

from dataclasses import replace
from pathlib import Path

from suite.records.keeping import Keep
from suite.running.plan import make_plan
from suite.running.request import Request, resolve


def test_policies_that_stay_are_planned_for(tmp_path: Path) -> None:
    plan = make_plan(resolve(Request("smoke-classic")), "CartPole", "0-2", tmp_path, "1")
    policy, nothing, last = (replace(plan, keep=Keep(what)).disk for what in ("policy", "none", "final"))
    kernels_and_biases = (4 + 1) * 512 + (512 + 1) * 512 + (512 + 1) * 2
    assert policy - nothing == 3 * 4 * kernels_and_biases
    assert policy < last
