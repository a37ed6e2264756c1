"""Following one target through a video with a trained network."""
