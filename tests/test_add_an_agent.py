"""`docs/add_an_agent.md`: its module and its card, in a package that registers them, train beside a method."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "add_an_agent.md").read_text(encoding="utf-8")


def test_the_agent_of_the_page_trains(tmp_path: Path) -> None:
    module, card, entry = (
        re.findall(rf"^```{language}\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)
        for language in ("python", "toml", "sh")
    )
    package, installed = tmp_path / "my_package", tmp_path / "my_package-1.dist-info"
    for folder in (package, installed):
        folder.mkdir()
    (package / "__init__.py").touch()
    (package / "double_dqn.py").write_text(module[0])
    (package / "double_dqn.toml").write_text(card[0])
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1\n")
    (installed / "entry_points.txt").write_text(
        re.sub(r'project\.entry-points\."(.*)"', r"\1", card[1]).replace('"', "")
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def suite(*arguments: str) -> str:
        command = [sys.executable, "-m", "suite", *arguments]
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    shown, run = (line.removeprefix("suite ").split(" --out")[0].split() for line in entry[0].splitlines()[1:3])
    assert "van Hasselt" in suite(*shown)
    rows = [json.loads(line) for line in suite(*run, "--games", "CartPole", "--seeds", "0", "--json").splitlines()]
    assert [(row["state"], row["label"].split(" / ")[0]) for row in rows] == [("done", "double_dqn")] * 2
    learners = {
        line["learner"]
        for file in tmp_path.rglob("checkpoints.jsonl")
        for line in map(json.loads, file.read_text().splitlines())
    }
    assert len(learners) >= 2
