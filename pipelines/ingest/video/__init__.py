"""One video from its bytes to clips."""
