"""The profile of the card that `--dry-run --device-profile h200` reads: what is known of it without having one."""

from __future__ import annotations

from typing import Any

HEAD = """name = "h200"
title = "NVIDIA H200, 16 cores"
source = "memory of programs as they compile without the card: ci/gpu_compile --profile; no time was measured"
platform = "gpu"
cores = 16
memory_gib = 128.0
device_memory_gib = 138.8
"""
"""`device_memory_gib`: the 149.0 GB that the card's description has (`target.py`)."""
FORM = "matmul"
"""What `--form auto` is on a GPU."""
KINDS = ("update", "several")


def toml(programs: dict[str, dict[str, Any]]) -> str:
    """Return the profile, with the peak of every recorded update; of offline tasks that of sixteen in one call."""
    peaks: dict[tuple[str, int, str, str, int], int] = {}
    for name, entry in programs.items():
        _, agent, network, method, kind, form, lanes = name.split("/")
        if form == FORM and kind in KINDS and "peak_bytes" in entry:
            kept, _, width = network.partition("@")
            row = (kept, int(width or 1), agent, method, int(lanes))
            peaks[row] = max(entry["peak_bytes"], peaks.get(row, 0))
    return HEAD + "".join(
        f'\n[[programs]]\nnetwork = "{network}"\nwidth = {width}\nagent = "{agent}"\nmethod = "{method}"\n'
        f"lanes = {lanes}\npeak_bytes = {peak}\n"
        for (network, width, agent, method, lanes), peak in sorted(peaks.items())
    )
