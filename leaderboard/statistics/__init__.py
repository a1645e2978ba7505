"""Numbers for the board: aggregates, intervals, ranks, comparisons, all under a named policy."""
