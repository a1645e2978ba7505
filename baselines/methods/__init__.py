"""Methods that act around gradient steps, one module and one card each, and the masks they share."""
