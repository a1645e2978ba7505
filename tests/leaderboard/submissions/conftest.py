"""The helpers of this folder as modules: `attacks` and `honest`, and what a process of its own found."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
