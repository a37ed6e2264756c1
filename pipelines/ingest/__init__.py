"""From video files to a published dataset: probe, decode once, shots, quality, seed boxes, packs, shards, manifest."""
