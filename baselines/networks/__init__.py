"""Encoders from observations to features, one module and one card each, and the heads on top of them."""
