"""Contracts: what you write to add an agent, a network or a method."""
