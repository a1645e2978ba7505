"""`docs/add_a_method.md`, typed by the letter: its blocks run in order in an environment that has what a user's has."""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from suite.contracts import registry

ROOT = Path(__file__).resolve().parent.parent
TEXT = (ROOT / "docs" / "add_a_method.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(bash|python)\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment of its own, in which this one's packages are found and what is installed stays its own."""
    home = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(home)], check=True)
    (packages,) = home.glob("lib/python*/site-packages")
    ours = [*os.environ.get("PYTHONPATH", "").split(os.pathsep), sysconfig.get_path("purelib")]
    (packages / "ours.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in ours if path))
    for name, module, function in (("suite", "suite.cli.main", "main"), ("pip", "pip._internal.cli.main", "main")):
        script = home / "bin" / name
        script.write_text(
            f"#!{home / 'bin' / 'python'}\nimport sys\nfrom {module} import {function}\nsys.exit(main())\n"
        )
        script.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_", "SUITE_"))}
    offline = {"PIP_NO_INDEX": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**kept, **offline, "PATH": f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.nightly  # by day the template is checked, and an outsider's method installed, listed and run, on their own
def test_the_page_can_be_typed(environment: dict[str, str], tmp_path: Path) -> None:
    assert {language for language, _ in BLOCKS} == {"bash", "python"}
    work = tmp_path / "work"
    work.mkdir()
    printed = []
    for language, block in BLOCKS:
        command = ["bash", "-euo", "pipefail", "-c", block] if language == "bash" else ["python", "-c", block]
        done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{block}\n{done.stdout}\n{done.stderr}"
        printed.append(done.stdout)
    text = "".join(printed)
    assert "FAILED" not in text
    assert {f"with {name}" for name in registry.registered("method")} <= set(re.findall(r"with \w+", text))
    assert "method my_method, version 1, card " in text
    labels = re.findall(r"^done +Pong seed 0  (\S+ / \S+ / \S+)", text, re.MULTILINE)
    assert sorted(label.rpartition(" ")[2] for label in labels) == [
        *("dense", "my_method", "my_method+magnitude_pruning"),
    ]


def test_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)]+)\)", TEXT)
    assert links
    for link in links:
        assert (ROOT / "docs" / link).resolve().is_file()
