"""Labelled sequences to measure a tracker on, and the rules that score it. No tracking happens here."""
