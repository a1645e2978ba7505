"""Profiles of devices: what a machine has, and how long configurations took there."""
