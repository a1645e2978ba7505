"""What the check or the ingest of a bundle takes: `python -m tests.support.costs check|ingest BUNDLE`.

It prints one JSON object: codes of findings, the most memory that this process had, in MiB, and its processor seconds.
Nothing is imported that the commands do not import.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any


def measured(path: Path, *, ingest: bool) -> dict[str, Any]:
    """Check a bundle, or take it into a database, and return what came of it and what it took."""
    start = time.process_time()
    if ingest:
        from leaderboard.store.ingest import ingest as run

        done = run([path], path.with_name("results.sqlite"), references=False)
        codes = ["refused"] if done.damaged else ["stored"]
    else:
        from leaderboard.bundles.check import check_bundle

        codes = [one.code for one in check_bundle(path).findings]
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    peak = int(line.split()[1]) / 1024
    return {"codes": codes[:20], "peak_mib": round(peak, 1), "cpu_s": round(time.process_time() - start, 2)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measured(Path(sys.argv[2]), ingest=sys.argv[1] == "ingest")))
