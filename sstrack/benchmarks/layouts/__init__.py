"""Readers of benchmarks as they are distributed: each finds clips, reads their truth, names their frames."""
