"""Recorded runs in, standings out: the SQLite store, the statistics and the static site. Never loads jax."""
