"""Clips: the record of one shot's frames, and the scores that choose them. Arrays in, numbers out; no files."""
