"""What `ci/golden` recorded still holds, and it says so when something does not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RECORDS = ROOT / "ci" / "goldens"


def golden(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "ci" / "golden"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_nothing_pure_has_moved() -> None:
    done = golden("compare", "--pure")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines() == [
        f"{name}: equal" for name in ("config_ids", "cards", "help", "plans", "schemas")
    ]


def test_what_moved_is_named(tmp_path: Path) -> None:
    for name in ("cards", "help", "schemas"):
        shutil.copy(RECORDS / f"{name}.json", tmp_path)
    cards, texts = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("cards", "help"))
    cards["agents"]["dqn"]["version"] = 0
    texts["suite run"][2] = "  Another sentence."
    for name, content in (("cards", cards), ("help", texts)):
        (tmp_path / f"{name}.json").write_text(json.dumps(content))
    done = golden("compare", "cards", "help", "schemas", "--records", str(tmp_path))
    assert done.returncode == 1
    assert "cards: differs\n  agents > dqn > version: 0 -> 1\n" in done.stdout
    assert "help: differs\n  suite run:\n" in done.stdout
    assert "    -  Another sentence.\n    +  Train agents on a task." in done.stdout
    assert "schemas: equal\n" in done.stdout


def test_bits_of_another_processor_are_not_passed_in_silence() -> None:
    sys.path.insert(0, str(RECORDS))
    from golden_runs import comparable

    record = json.loads((RECORDS / "runs.json").read_text())
    assert comparable(record, record) == (record, record, "")
    old, new, remark = comparable(record | {"processor": "abacus"}, record)
    assert remark.startswith("recorded on abacus, this is ")
    assert remark.endswith(": bits not comparable")
    assert old == new
    assert all("bits" not in run for run in old.values())
