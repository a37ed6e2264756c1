"""Any container to upright, square-pixel, progressive SDR pictures in the order they are shown. Travels inside the
model package, so it imports nothing of ours from outside this room."""
