"""Experience replay: each frame stored once, stacks and n-step windows gathered when sampled."""
