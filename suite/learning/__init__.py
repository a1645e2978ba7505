"""Learning: agent, methods and network as a fixed set of compiled programs, what the device computes."""
