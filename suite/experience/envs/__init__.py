"""Environments as the runner sees them: seeds and actions in, frames and raw rewards out."""
