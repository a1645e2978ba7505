"""Sinks: where people watch curves. They are fed from records, never the other way round, and may fail without harm."""
