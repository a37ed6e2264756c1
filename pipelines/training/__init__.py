"""Training runs: the loop, its checkpoints, and its launch on Ray Train."""
