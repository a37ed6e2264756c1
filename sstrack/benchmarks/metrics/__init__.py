"""Scores over predicted and true boxes, as pure array functions."""
