"""The results database, and what comes into it."""
