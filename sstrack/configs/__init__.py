"""Typed configurations with bounds: what a recipe is made of. Knows no torch."""
