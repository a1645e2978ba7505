"""A folder of made files that is replaced as a whole, and only if it is known to be ours."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

from suite.errors import UsageError


def check_target(out: Path, marker: str, what: str) -> None:
    """Raise UsageError unless `out` is missing, empty, or `what` (`a site`) of ours, which holds the file `marker`."""
    if out.is_dir() and (not any(out.iterdir()) or (out / marker).is_file()):
        return
    if out.exists() or out.is_symlink():
        raise UsageError(
            f"{out} exists and is not {what} built by this suite.", "Name a new or empty folder with --out."
        )


def write(files: Mapping[str, bytes], out: Path) -> None:
    """Write all files beside `out`, then put them in its place; what was there stays until that moment."""
    out = out.absolute()
    out.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    old = fresh.with_name(f"{fresh.name}.old")
    try:
        for name, content in sorted(files.items()):
            file = fresh / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        fresh.chmod(0o755)
        if out.exists():
            out.rename(old)
        fresh.rename(out)
    finally:
        if old.exists() and not out.exists():
            old.rename(out)
        for left in (fresh, old):
            shutil.rmtree(left, ignore_errors=True)
