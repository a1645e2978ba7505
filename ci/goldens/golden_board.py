"""The board's sections: a site of synthetic runs, and bundles of fixed ones, through the command line."""

import gzip
import hashlib
import io
import json
import re
import sqlite3
import subprocess
import sys
import tempfile
import zipfile
from contextlib import closing
from pathlib import Path
from typing import Any

from golden_product import ROOT, honest, synthetic
from golden_text import short

DATABASE = "data/results.sqlite.gz"


def site() -> dict[str, Any]:
    """Return the hash of every file of the site of three synthetic entries, two seeds each."""
    writer = synthetic()
    small = {"entries": 3, "seeds": 2, "diagnostics": 4, "episodes_per_iteration": 3}
    ends = {"missing": 0.0, "failed": 0.02, "diverged": 0.02, "resumed": 0.05}
    with tempfile.TemporaryDirectory() as folder:
        writer.write(Path(folder) / "runs", writer.Plan("atari40m", **small, **ends))
        _suite(folder, "leaderboard", "ingest", "runs", "--no-references")
        _suite(folder, "leaderboard", "build")
        root = Path(folder) / "site"
        files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        return {name: short(_stable(name, path)) for name, path in files.items()}


def _stable(name: str, path: Path) -> bytes:
    """Return a file's content; of the database what it holds, for the order of its indices differs from file to file.

    The page that gives the database's size and SHA-256 is read without them.
    """
    content = path.read_bytes()
    if name == DATABASE:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.deserialize(gzip.decompress(content))
            return "\n".join(sorted(connection.iterdump())).encode()
    if name == "data/index.html":
        row = rb'(href="results\.sqlite\.gz".*?<td class="num">)[^<]*(</td><td><code class="line">)[0-9a-f]{64}'
        content, count = re.subn(row, rb"\1\2", content)
        assert count == 1, "data/index.html names the database in another way: mend golden_board.py"
    return content


def bundle() -> dict[str, Any]:
    """Return what is in a bundle of honest runs, what its check says, and what that of a broken one says."""
    helper = honest()
    with tempfile.TemporaryDirectory() as folder:
        for run in helper.honest_runs():
            helper.write_run(run, Path(folder) / "runs")
        (Path(folder) / "submission.toml").write_bytes(helper.TOML)
        _suite(folder, "submit", "pack", "runs", "--out", "good.zip")
        content = (Path(folder) / "good.zip").read_bytes()
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {name: archive.read(name) for name in archive.namelist()}
        (Path(folder) / "broken.zip").write_bytes(helper.again(_broken(files)))
        return {
            "sha256": hashlib.sha256(content).hexdigest(),
            "files": {name: short(data) for name, data in files.items()},
            "report": _report(folder, "good.zip", 0),
            "report of a broken one": _report(folder, "broken.zip", 4),
        }


def _broken(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return a bundle's files with another score in its first run."""
    name = min(name for name in files if name.startswith("runs/"))
    run = json.loads(files[name])
    run["status"]["summary"]["score"] += 1
    return files | {name: json.dumps(run, separators=(",", ":")).encode()}


def _report(folder: str, name: str, code: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_suite(folder, "submit", "check", name, "--json", code=code))
    lines = [" | ".join(finding.values()) for finding in found.pop("findings")]
    return found | {"findings": lines, "runs": short(found["runs"])}


def _suite(folder: str, *arguments: str, code: int = 0) -> str:
    """Run the suite in a folder; return what it prints, or end with what it says if it does not exit with `code`."""
    command = [sys.executable, "-m", "suite", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != code:
        sys.exit(f"golden: {' '.join(arguments)} (from {ROOT}) exited with {done.returncode}: {done.stderr}")
    return done.stdout
