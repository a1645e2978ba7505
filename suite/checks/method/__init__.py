"""The checks of `suite method check`, and the template that passes them."""
