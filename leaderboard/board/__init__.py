"""The board as plain values: entries, standings, curves and pairs, as the database has them."""
