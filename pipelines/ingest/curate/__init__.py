"""Which clips are worth keeping."""
