"""Checks: proofs that a record replays and that a method keeps its promises."""
