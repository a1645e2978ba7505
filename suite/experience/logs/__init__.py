"""Logged runs for offline training: the DQN-replay layout read, checked, imported, generated, and sampled."""
