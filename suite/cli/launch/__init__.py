"""Launchers: groups of lanes handed to Slurm or to Ray, or one of them run here."""
