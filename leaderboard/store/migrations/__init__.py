"""Migrations of a results database; run by `leaderboard.store.schema`, never by hand."""
