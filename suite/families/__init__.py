"""Families of tasks: where experience comes from, and all that follows from it. One module each."""

from suite.families.base import Family, Saved, Setup, family_of

__all__ = ["Family", "Saved", "Setup", "family_of"]
