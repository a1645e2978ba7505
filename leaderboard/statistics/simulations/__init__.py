"""Simulations of boards whose truth is known."""
