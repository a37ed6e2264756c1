"""Watched worker processes: generic, knows no video."""
