"""Experience: environments, replays and logged data, where transitions come from."""
