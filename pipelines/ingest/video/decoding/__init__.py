"""Decoders as child processes, and what they write."""
