"""What there is to ingest."""
