"""Helpers that several tests share; a test is never imported by another."""
