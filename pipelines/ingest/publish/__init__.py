"""From packs to a manifest."""
