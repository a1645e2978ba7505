"""The monitor of work that takes long: hears what is worth a line and how far it is, and may have it stopped."""

from __future__ import annotations

from suite.errors import Stopped


class Monitor:
    """Hears nothing, and stops nothing: what those who do are made from."""

    @property
    def stopped(self) -> bool:
        """Whether the work is to stop."""
        return False

    def say(self, text: str) -> None:
        """Hear what is worth a line."""

    def tick(self, done: int = 0, total: int = 0) -> None:
        """Hear now and then how much of the work is done; raises Stopped if it is to stop."""
        if self.stopped:
            raise Stopped


SILENT = Monitor()
