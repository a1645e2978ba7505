"""Value-based agents, one module and one card each."""
