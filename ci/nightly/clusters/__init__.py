"""Proofs on whole clusters that live on this machine alone: Slurm and Ray."""
