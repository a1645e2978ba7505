"""A method for the suite; it is registered by the entry point in pyproject.toml."""
