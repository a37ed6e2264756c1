"""Self-supervised visual object tracking: network, objectives, tracker, scores. No I/O beyond files passed in."""
