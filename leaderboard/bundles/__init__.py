"""Submissions: one zip file each, packed from run directories, read as hostile, checked, and shown with its level."""
