"""The `suite` command; nothing here imports jax at module level."""
