"""Losses of a single transition; callers batch them with `jax.vmap`."""
