"""Measuring trackers: plan pieces, track, keep raw results, score them."""
