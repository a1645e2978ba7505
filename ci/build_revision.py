"""Build hook: the commit that a wheel or source archive was built from, as `suite/REVISION` inside it.

`suite.running.provenance` reads it where there is no checkout. `<commit>`, or `<commit>-modified` for a changed tree.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

FILE = "suite/REVISION"


class RevisionHook(BuildHookInterface[Any]):
    """Adds the file to what is built from a checkout; an archive's own file is taken as it is."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file where git knows the commit; an editable installation has its checkout."""
        root = Path(self.root)
        if version == "editable" or not (root / ".git").exists() or (revision := _revision(root)) is None:
            return
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "REVISION"
        file.write_text(revision + "\n", encoding="ascii")
        build_data["force_include"][str(file)] = FILE

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary file."""
        if hasattr(self, "_folder"):
            self._folder.cleanup()


def _revision(root: Path) -> str | None:
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return commit + ("-modified" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def _git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
