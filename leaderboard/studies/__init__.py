"""Studies as data: which cells a figure needs, what it claims, and whether the results that are there decide it."""
