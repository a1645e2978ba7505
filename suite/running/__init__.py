"""Running: cells planned, advanced in lockstep, written down, stopped and resumed."""
