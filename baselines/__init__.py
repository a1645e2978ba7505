"""The competitors: agents, networks and methods, each with its published settings."""
