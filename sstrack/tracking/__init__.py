"""Following one target through a video with a trained network."""

TRACKER_VERSION = 3
"""Raised when the same network and configuration track otherwise than before, so that old results are not found."""
